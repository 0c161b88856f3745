-- TiDE from Lua: csv -> backtest against baselines -> fit -> save -> load -> predict.
local tensor, tide = require("tensor"), require("tide")
local backtest, task, fs = require("backtest"), require("task"), require("fs")
local n = 0
local function check(cond, what)
  n = n + 1
  if not cond then error("failed: " .. what, 2) end
end
local function raises(code, fn, ...)
  local ok, e = pcall(fn, ...)
  check(not ok and type(e) == "table" and e.code == code,
    "code " .. code .. ", found " .. tostring(type(e) == "table" and e.code or e))
end
local function same(a, b)
  return (a - b):abs():max() == 0
end
local dir = "/tmp/tide_test_" .. require("crypto").token(6)
fs.mkdir(dir)

-- 60 series of 80 steps with a season of 7 that a known covariate switches off now and then
local N, T, H = 60, 80, 4
local day = tensor.range(T + H)
local season = (day * (2 * math.pi / 7)):table()
local off = tensor.random({ T + H }, { kind = "uniform", seed = 5 }):table()
local future, wave = {}, {}
for t = 1, T + H do
  local on = off[t] < 0.8
  future[t] = { math.sin(season[t]), math.cos(season[t]), on and 0 or 1 }
  wave[t] = on and 3 * math.sin(season[t]) or -4
end
local level = tensor.random({ N, 1 }, { kind = "uniform" }) * 10 + 5
local all = level + tensor.from(wave) + tensor.random({ N, T + H }, { seed = 9 }) * 0.3
future = tensor.from(future)
all:slice(2, 1, T):save(dir .. "/sales.csv")
local target = tensor.load(dir .. "/sales.csv")
check(#target == N and target:shape()[2] == T, "csv")
local data = { target = target, future = future }

local conf = { input_chunk = 14, output_chunk = H, future_cov = 3, hidden_size = 32,
  decoder_output_dim = 4, temporal_decoder_hidden = 16, dropout = 0.02, scale = "standard",
  quantiles = { 0.1, 0.5, 0.9 } }
local how = { epochs = 25, batch_size = 64, lr = 5e-3, schedule = "cosine", clip_norm = 1 }

-- a backtest against baselines: the covariate decides, so the model that knows it wins
local result = backtest.run({ data = data, horizon = H, folds = 2, season = 7, fit = how,
  quantiles = { 0.1, 0.5, 0.9 },
  models = { tide = function() return tide.new(conf) end,
    snaive = { method = "seasonal_naive", season = 7, horizon = H },
    mean = { method = "mean", horizon = H } } })
check(result.pick == "tide", "the backtest picks " .. result.pick)
local by_name = {}
for _, row in ipairs(result.rows) do by_name[row.name] = row.scores end
check(by_name.tide.rmsse < by_name.snaive.rmsse / 2, "clearly better than the seasonal naive")
check(by_name.tide.coverage > 0.5 and by_name.tide.coverage < 1, "coverage")

-- training with validation, reports, early stopping and a second fit
local reports = {}
local m <close> = tide.new(conf)
how.valid_from, how.patience, how.refit = T - 12, 5, true
how.on_epoch = function(r) reports[#reports + 1] = r end
m:fit(data, how)
local last = m.history[#m.history]
check(last.finished and last.phase == 2 and #reports == #m.history - 1, "two phases, all reported")
check(reports[1].valid_loss > reports[1].best_loss - 1e-9 and reports[1].seconds > 0, "report")
local out = m:predict(data, { quantiles = { 0.1, 0.25, 0.9 } })
local actual = all:slice(2, T + 1, T + H)
check(out.mean:shape()[2] == H and out.quantiles:shape()[3] == 3, "shapes")
check((out.mean - actual):abs():mean() < 0.8, "forecast error " .. (out.mean - actual):abs():mean())
local q = out.quantiles
check((q:pick(3, 2) - q:pick(3, 1)):min() >= 0 and (q:pick(3, 3) - q:pick(3, 2)):min() >= 0,
  "quantiles never cross")

-- save, load, predict: the same bits; a note and the scale come back
m:save(dir .. "/m.tide", { trained = "today" })
local back <close> = tide.load(dir .. "/m.tide")
check(back.note.trained == "today" and back:options().hidden_size == 32, "note and options")
check(same(back:predict(data).mean, m:predict(data, { threads = 2 }).mean), "the same forecast")
check(#back:params() > 10 and back:params()[1].name:find("dense.0.weight", 1, true), "params")

-- a model from a file learns further: it starts where it was, not from nothing, with its scaling
local function loss_of(history) return history[#history].best_loss or history[#history].train_loss end
local before = back:predict(data).mean
back:fit(data, { epochs = 2, batch_size = 64, lr = 1e-4, valid_from = T - 12 })
local fresh <close> = tide.new(conf)
fresh:fit(data, { epochs = 2, batch_size = 64, lr = 1e-4, valid_from = T - 12 })
check(loss_of(back.history) < loss_of(fresh.history) / 2, "warm " .. loss_of(back.history) ..
  ", from nothing " .. loss_of(fresh.history))
check(not same(back:predict(data).mean, before), "it did learn")
check((back:predict(data).mean - actual):abs():mean() < 0.8, "as good as before")
back:fit(data, { epochs = 3, batch_size = 64, lr = 1e-4, valid_from = T - 12, refit = true })
check(back.history[#back.history].phase == 2, "a second fit of a warm model")
check((back:predict(data).mean - actual):abs():mean() < 0.8, "does not start from nothing")
back:save(dir .. "/m2.tide")
check(same(tide.load(dir .. "/m2.tide"):predict(data).mean, back:predict(data).mean), "saved again")

-- samples by dropout
local draws = m:predict(data, { samples = 40, quantiles = { 0.05, 0.95 } })
check((draws.quantiles:pick(3, 2) - draws.quantiles:pick(3, 1)):min() >= 0, "samples in order")
check(same(draws.mean, m:predict(data, { samples = 40, quantiles = { 0.05, 0.95 } }).mean), "seed")

-- a checkpoint in the middle, resumed in a new model: the same weights as in one go
local short = { epochs = 6, batch_size = 64, lr = 5e-3, threads = 1 }
local whole <close> = tide.new(conf)
whole:fit(data, short)
local half <close> = tide.new(conf)
short.checkpoint, short.on_epoch = dir .. "/c.tide", function(r) return r.epoch < 3 end
half:fit(data, short)
local rest <close> = tide.new(conf)
rest:fit(data, { epochs = 6, batch_size = 64, lr = 5e-3, threads = 2, resume = dir .. "/c.tide" })
check(#rest.history == 3, "three epochs were left")
check(same(whole:predict(data).mean, rest:predict(data).mean), "resumed bit for bit")

-- refusals
raises("invalid", tide.new, { input_chunk = 0, output_chunk = 1 })
raises("invalid", tide.new, { input_chunk = 4, output_chunk = 1, quantiles = { 0.9, 0.1 } })
raises("shape", m.predict, m, { target = target, future = future:slice(1, 1, T) })
raises("shape", m.fit, m, { target = target })
raises("nan", m.fit, m, { target = target / 0 * 0, future = future })
raises("notfound", tide.load, dir .. "/no.tide")
raises("corrupt", tide.load, dir .. "/sales.csv")
raises("diverged", function()
  local wild <close> = tide.new({ input_chunk = 14, output_chunk = H, scale = "standard" })
  wild:fit(target, { lr = 1e5, optimizer = "sgd", epochs = 50 })
end)
check(not pcall(tide.new, { input_chunk = "x" }), "not a number")
check(not pcall(m.fit, m, data, { schedule = "up" }), "no such schedule")
local gone <close> = tide.new(conf)
gone:close()
check(not pcall(gone.predict, gone, data), "closed")

-- between epochs the model forecasts, and what it learns is the same
local asked, quiet = tide.new(conf), tide.new(conf)
local on_the_way = {}
asked:fit(data, { epochs = 3, max_steps = 2, on_epoch = function(report, model)
  check(model == asked, "it is told of the model")
  on_the_way[report.epoch] = model:predict(data).mean
end })
quiet:fit(data, { epochs = 3, max_steps = 2 })
check(same(asked:predict(data).mean, quiet:predict(data).mean), "looking changes nothing")
local third <close> = tide.new(conf)
third:fit(data, { epochs = 2, max_steps = 2 })
check(same(on_the_way[2], third:predict(data).mean) and not same(on_the_way[1], on_the_way[2]), "forecasts on the way")
local reading
raises("busy", function()
  asked:fit(data, { epochs = 2, on_epoch = function()
    reading = task.start(function() return asked:predict(data, { samples = 5000 }) end)
    task.sleep(0.001)
  end })
end)
task.wait(reading)
asked:close()
quiet:close()

-- a cancelled fit stops at once, and the model can be trained again
local slow <close> = tide.new({ input_chunk = 30, output_chunk = H, future_cov = 3, hidden_size = 512 })
local t = task.start(function() slow:fit(data, { epochs = 10000 }) end)
task.sleep(0) task.sleep(0) -- a whole turn of the loop: it has begun, and is at work from then on
raises("busy", slow.predict, slow, data)
task.cancel(t)
local ok, err
for _ = 1, 600 do -- until the thread has seen it, which is after at most one batch
  ok, err = pcall(slow.fit, slow, data, { epochs = 1, max_steps = 1 })
  if ok or err.code ~= "busy" then break end
  task.sleep(0.05)
end
check(ok, "trained again: " .. tostring(err and err.message))

pcall(fs.remove, dir .. "/m.tide"); pcall(fs.remove, dir .. "/m2.tide")
 pcall(fs.remove, dir .. "/c.tide"); pcall(fs.remove, dir .. "/sales.csv")
print(n .. " checks")
