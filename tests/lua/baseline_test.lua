-- Baselines and backtests through their faces.
local baseline, backtest = require("baseline"), require("backtest")
local task, tensor = require("task"), require("tensor")
local n = 0
local function check(cond, what)
  n = n + 1
  if not cond then error("failed: " .. what, 2) end
end
local function fails(code, what, fn, ...)
  local ok, err = pcall(fn, ...)
  check(not ok and type(err) == "table" and err.code == code,
    what .. ": " .. tostring(type(err) == "table" and err.code or err))
end
local nan = 0 / 0

-- series with a season of 4, a trend, and noise from a plain generator
local seed = 7
local function noise()
  seed = (seed * 1103515245 + 12345) % 2147483648
  return seed / 2147483648 - 0.5
end
local function block(N, T)
  local rows = {}
  for i = 1, N do
    rows[i] = {}
    for t = 1, T do rows[i][t] = 20 * i + t * 0.3 + 3 * ((t - 1) % 4) + noise() end
  end
  return rows
end
local data = block(70, 40)

-- every method: fit, predict, quantiles in order, one row alone gives what it gives among others
for _, method in ipairs(baseline.methods()) do
  local model <close> = baseline.new({ method = method, horizon = 4, season = 4, window = 8 })
  local out = model:fit(data):predict(data, { quantiles = { 0.1, 0.5, 0.9 } })
  check(#out.mean == 70 and #out.mean[1] == 4 and #out.quantiles[70][4] == 3, method .. ": shape")
  for i = 1, 70 do
    for h = 1, 4 do
      local q = out.quantiles[i][h]
      check(out.mean[i][h] == out.mean[i][h] and q[1] <= q[2] and q[2] <= q[3], method)
    end
  end
  local alone = model:predict({ target = { data[50] } }, { quantiles = { 0.1, 0.5, 0.9 } })
  check(alone.mean[1][4] == out.mean[50][4] and alone.quantiles[1][2][3] == out.quantiles[50][2][3],
    method .. ": a row alone is as among others")
  check(out.each == nil, "no details unless asked for")
end

-- details, options, floor, missing
local ets <close> = baseline.new({ method = "ets", season = 4 })
local out = ets:fit(data):predict(data, { horizon = 2, details = true })
check(out.each[1].form and out.each[1].alpha and out.quantiles == nil, "details")
check(ets:options().method == "ets" and ets:options().fitted, "options")
local floor <close> = baseline.new({ method = "drift", floor = 0, horizon = 3 })
check(floor:fit({ { 3, 2, 1 } }):predict({ { 3, 2, 1 } }).mean[1][3] == 0, "floor")
local gap <close> = baseline.new({ method = "mean" })
check(gap:fit({ { 1, nan, 3 } }):predict({ { 1, nan, 3 } }).mean[1][1] == 2, "missing is a gap")
local zero <close> = baseline.new({ method = "mean", missing_zero = true })
check(math.abs(zero:fit({ { 1, nan, 3 } }):predict({ { 1, nan, 3 } }).mean[1][1] - 4 / 3) < 1e-15,
  "missing is a zero")
local short = gap:predict({ { nan, nan } }).mean[1][1]
check(short ~= short, "nothing known, nothing forecast")

-- tensors in, tensors out
local t32 = tensor.from(data)
local tm <close> = baseline.new({ method = "ses", horizon = 2 })
local to = tm:fit({ target = t32 }):predict(t32, { quantiles = { 0.1, 0.9 } })
check(to.mean:shape()[1] == 70 and to.mean:shape()[2] == 2, "a tensor of means")
check(to.quantiles:shape()[3] == 2 and to.quantiles:get(1, 1, 1) < to.mean:get(1, 1), "quantiles")
check(math.abs(to.mean:get(5, 1) - tm:predict(data).mean[5][1]) < 1e-4, "as the tables give")

-- what is refused
fails("shape", "too short for ridge", function()
  baseline.new({ method = "ridge", window = 50, horizon = 4 }):fit(data)
end)
fails("nan", "infinite", function() baseline.new({ method = "ses" }):fit({ { 1, 1 / 0 } }) end)
fails("invalid", "levels", function() gap:predict(data, { quantiles = { 0.9, 0.1 } }) end)
check(not pcall(baseline.new, { method = "no such" }), "an unknown method")
check(not pcall(baseline.new, { method = "ses", alpha = 2 }), "alpha out of range")
local fresh = baseline.new({ method = "ses" })
check(not pcall(fresh.predict, fresh, data), "predict before fit")
check(not pcall(gap.fit, gap, { 1, 2, 3 }), "a list is no matrix")
fresh:close()
check(not pcall(fresh.fit, fresh, data), "closed")

-- cancelling ends the wait; the process goes on and frees everything
local big = block(400, 60)
local t = task.start(function()
  local m <close> = baseline.new({ method = "ets", season = 4, horizon = 4 })
  return m:fit(big):predict(big)
end)
task.sleep(0.01)
task.cancel(t)
fails("cancelled", "a cancelled forecast", task.wait, t)

-- save, load, predict
local path = "/tmp/plastinka_baseline_" .. require("crypto").token(6)
local ridge <close> = baseline.new({ method = "ridge", window = 8, horizon = 4, instance_norm = true })
ridge:fit(data):save(path)
local back <close> = baseline.load(path)
local a, b = ridge:predict(data, { quantiles = { 0.5 } }), back:predict(data, { quantiles = { 0.5 } })
for i = 1, 70 do
  for h = 1, 4 do
    check(a.mean[i][h] == b.mean[i][h] and a.quantiles[i][h][1] == b.quantiles[i][h][1], "as saved")
  end
end
check(back:options().method == "ridge" and back:options().horizon == 4, "options of a loaded one")
require("fs").remove(path)
fails("notfound", "no such file", baseline.load, path .. ".none")
fails("shape", "further than fitted", ridge.predict, ridge, data, { horizon = 5 })

-- backtest: scores, choice, and nothing from behind the origin
local models = {
  naive = { method = "naive" }, season = { method = "seasonal_naive", season = 4 },
  ets = { method = "ets", season = 4 },
  own = function() return baseline.new({ method = "mean" }) end,
}
local opt = { models = models, data = data, horizon = 4, folds = 3, step = 2, season = 4,
  quantiles = { 0.1, 0.5, 0.9 }, keep = true }
local r = backtest.run(opt)
check(#r.rows == 4 and r.pick == "ets" and r.rows[1].name == "ets", "ets fits these series best")
check(r.rows[4].name == "own" and #r.blend == 3 and r.blend[1] == "ets", "order")
check(#r.origins == 3 and r.origins[1] == 32 and r.origins[3] == 36, "origins")
for _, row in ipairs(r.rows) do
  check(row.scores.rmsse > 0 and row.scores.mase > 0 and row.scores.pinball > 0 and
    row.scores.coverage <= 1 and row.scores.values == 70 * 4 * 3, row.name .. " is scored")
end
local last = r.origins[1]
local changed = {}
for i, row in ipairs(data) do
  changed[i] = { table.unpack(row) }
  for k = last + 1, 40 do changed[i][k] = -1e6 + 17 * k end
end
local other = backtest.run({ models = models, data = { target = changed }, horizon = 4, folds = 3,
  step = 2, season = 4, quantiles = { 0.1, 0.5, 0.9 }, keep = true })
for name in pairs(models) do
  local x, y = r.forecasts[name][1], other.forecasts[name][1]
  for i = 1, 70 do
    for h = 1, 4 do
      check(x.mean[i][h] == y.mean[i][h] and x.quantiles[i][h][1] == y.quantiles[i][h][1],
        name .. ": what comes after the origin changes nothing")
    end
  end
end
check(other.rows[1].scores.rmsse ~= r.rows[1].scores.rmsse, "but the scores see what came")
fails("invalid", "not enough history", backtest.run,
  { models = models, data = data, horizon = 20, folds = 3 })
fails("invalid", "no horizon", backtest.run, { models = models, data = data })
fails("invalid", "no models", backtest.run, { models = {}, data = data, horizon = 1 })

local rt = backtest.run({ models = models, data = tensor.from(data), horizon = 4, folds = 3, step = 2,
  season = 4, quantiles = { 0.1, 0.5, 0.9 } })
for i, row in ipairs(rt.rows) do
  check(row.name == r.rows[i].name and math.abs(row.scores.rmsse - r.rows[i].scores.rmsse) < 1e-3,
    "a tensor is scored as a table")
end

-- covariates: cut so that a model sees the past of `past`, and `future` as far as the horizon
local seen = {}
local spy = function()
  local m = baseline.new({ method = "naive" })
  return setmetatable({
    fit = function(_, d)
      seen[#seen + 1] = d
      return m:fit(d)
    end,
    predict = function(_, d, o) return m:predict(d, o) end,
  }, { __close = function() m:close() end })
end
backtest.run({ models = { spy = spy }, horizon = 4, folds = 2, step = 2, data = {
  target = tensor.from(data), past = tensor.new({ 70, 40, 2 }), future = tensor.new({ 44, 3 }),
  static = tensor.new({ 70, 5 }), weight = tensor.new({ 70, 40 }, 1) } })
check(#seen == 2 and seen[1].target:shape()[2] == 34 and seen[1].past:shape()[2] == 34 and
  seen[1].past:shape()[3] == 2 and seen[1].future:shape()[1] == 38 and
  seen[1].weight:shape()[2] == 34 and seen[1].static:shape()[2] == 5, "covariates at the origin")
check(seen[2].target:shape()[2] == 36 and seen[2].future:shape()[1] == 40, "and at the next")

-- the blend of the best is a model like any other
local blend <close> = backtest.blend({ models.ets, models.own })
local mixed = blend:fit(data):predict(data, { horizon = 2, quantiles = { 0.5 } })
local one = baseline.new(models.ets):fit(data):predict(data, { horizon = 2 })
local two = models.own():fit(data):predict(data, { horizon = 2 })
check(math.abs(mixed.mean[3][2] - (one.mean[3][2] + two.mean[3][2]) / 2) < 1e-9, "blend")
check(#mixed.quantiles[1][1] == 1, "blend of quantiles")

print(n .. " checks")
