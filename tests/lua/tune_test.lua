-- The search for parameters: spaces, samplers, pruners, what is refused; the same after a pause.
local json, task, time = require("json"), require("task"), require("time")
local random, space = require("tune_random"), require("tune_space")
local trees, tune = require("trees"), require("tune")

local n = 0
local function check(cond, what)
  n = n + 1
  if not cond then error("failed: " .. what, 2) end
end
local function same(found, expected, what)
  check(found == expected, ("%s: found %s, expected %s"):format(what, tostring(found), tostring(expected)))
end
local function refused(pattern, opt)
  local ok, err = pcall(tune.run, opt)
  check(not ok and type(err) == "table" and err.code == "invalid" and err.message:find(pattern),
    pattern .. ", found " .. tostring(type(err) == "table" and err.message or err))
end

-- ---- dimensions: a value and its place belong together ----

for _, d in ipairs({ tune.int(3, 12), tune.int(10, 500, { step = 10 }), tune.int(1, 200, { log = true }) }) do
  for cell = 0, d.n - 1 do
    local value = d.low + cell * d.step
    same(space.value(d, space.place(d, value)), value, "a whole number and back")
    local a, b = space.edges(d, cell)
    check(a < b and a >= 0 and b <= 1 and space.cell(d, 0.5 * (a + b)) == cell, "its cell")
  end
  same(space.value(d, 0), d.low, "the low end")
  same(space.value(d, 1), d.low + (d.n - 1) * d.step, "the high end")
end
local rate = tune.log_uniform(1e-5, 1e-1)
check(math.abs(space.value(rate, 0.5) - 1e-3) < 1e-12 and math.abs(space.place(rate, 1e-4) - 0.25) < 1e-12, "logarithm")
same(space.value(rate, 1), 1e-1, "no rounding past the end")
same(space.place(rate, -1), 0, "a value beside the range")
same(space.place(tune.choice({ "a", true, 3 }), 3.0), 3, "choices")
same(space.place(tune.choice({ "a" }), "b"), nil, "no such choice")

local rng = random.new(7, 3)
local sum, squares = 0, 0
for _ = 1, 4000 do
  local x = rng:normal()
  sum, squares = sum + x, squares + x * x
end
check(math.abs(sum / 4000) < 0.06 and math.abs(squares / 4000 - 1) < 0.08, "normal numbers")
same(random.new(7, 3):unit(), random.new(7, 3):unit(), "one stream for one pair")
check(random.new(7, 3):unit() ~= random.new(7, 4):unit() and random.new(8, 3):unit() ~= random.new(7, 3):unit(),
  "another for another")

-- ---- functions with known minima ----

local function branin(p)
  local x, y = p.x, p.y
  return (y - 5.1 / (4 * math.pi ^ 2) * x * x + 5 / math.pi * x - 6) ^ 2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x)
    + 10
end
local branin_space = { x = tune.uniform(-5, 10), y = tune.uniform(0, 15) } -- least: 0.3979

local function mixed(p)
  local v = (math.log(p.lr, 10) + 3) ^ 2 + 0.05 * math.abs(p.net.layers - 3) + (p.net.width == 64 and 0 or 0.3)
    + 0.5 * p.dropout
  if p.optimizer == "sgd" then return v + 0.2 + (p.momentum - 0.9) ^ 2 end
  return v
end
local mixed_space = {
  lr = tune.log_uniform(1e-6, 1e-1), dropout = tune.uniform(0, 0.8), epochs = 5,
  net = { layers = tune.int(1, 8), width = tune.choice({ 16, 32, 64, 128, 256 }) },
  optimizer = tune.choice({ "adam", "sgd" }), momentum = tune.when(tune.uniform(0, 1), "optimizer", "sgd"),
}

-- Mean of the best values over fixed seeds.
local function mean_best(objective, s, sampler, multivariate)
  local total = 0
  for seed = 1, 12 do
    total = total + tune.run({ space = s, objective = objective, trials = 50, sampler = sampler, seed = seed,
      multivariate = multivariate }).best.value
  end
  return total / 12
end
local function check_margin(objective, s, least, what)
  local by_luck = mean_best(objective, s, "random") - least
  local by_tpe = mean_best(objective, s, "tpe") - least
  check(by_tpe < 0.7 * by_luck, ("%s: %.4f above the least, at random %.4f"):format(what, by_tpe, by_luck))
  return by_luck
end
check_margin(mixed, mixed_space, 0, "mixed")
local by_luck = check_margin(branin, branin_space, 0.3979, "branin")
check(mean_best(branin, branin_space, "tpe", false) - 0.3979 < 0.7 * by_luck, "one dimension after the other")

-- constants and nesting reach the objective; a dimension that does not apply is not there
local n_sgd = 0
local found = tune.run({ space = mixed_space, trials = 40, objective = function(p, trial)
  check(p.epochs == 5 and type(p.net.layers) == "number" and trial.number >= 1, "parameters")
  check((p.momentum ~= nil) == (p.optimizer == "sgd"), "a dimension with a condition")
  if p.momentum then n_sgd = n_sgd + 1 end
  return mixed(p), { twice = 2 * mixed(p) }
end })
check(n_sgd > 0 and n_sgd < 40, "both ways")
same(#found.trials, 40, "all trials")
same(found.best.info.twice, 2 * found.best.value, "what the objective adds")
same(found.best_params.net.layers, found.best.params["net/layers"], "nested and flat")
same(tune.nested(found.best.params).net.layers, found.best_params.net.layers, "nested by hand")
for i, t in ipairs(found.trials) do
  same(t.number, i, "in order")
  check(t.status == "completed" and t.value >= found.best.value and t.seconds >= 0, "a record")
end

-- ---- the greatest ----
same(tune.run({ space = { a = tune.int(1, 20) }, objective = function(p) return -(p.a - 13) ^ 2 end, mode = "max",
  trials = 30 }).best.params.a, 13, "mode max")

-- ---- grid ----
local seen = {}
found = tune.run({ sampler = "grid", trials = 1000, objective = function(p)
  local key = ("%s %s %s"):format(p.a, p.b, tostring(p.c))
  check(not seen[key], "once each")
  seen[key] = true
  return p.a
end, space = { a = tune.uniform(0, 1, { grid = 3 }), b = tune.choice({ "x", "y" }),
  c = tune.when(tune.int(1, 4), "b", "y") } })
same(#found.trials, 3 * (1 + 4), "every combination that makes a difference")
check(seen["0.5 x nil"] and seen["1.0 y 4"], "the points")
same(#tune.run({ sampler = "grid", trials = 4, objective = function(p) return p.a end,
  space = { a = tune.int(1, 100) } }).trials, 4, "no more than asked")

-- a small space: each point once, then it ends
for _, sampler in ipairs({ "tpe", "random" }) do
  found = tune.run({ sampler = sampler, trials = 100, space = { a = tune.int(1, 6), b = tune.choice({ 1, 2, 3 }) },
    objective = function(p) return p.a * p.b end })
  same(#found.trials, 18, sampler .. ": all points")
  same(found.ended_by, "space", sampler .. ": and no more")
end

-- ---- what goes wrong is recorded ----
found = tune.run({ space = { x = tune.uniform(0, 1) }, trials = 40, objective = function(p, trial)
  if trial.number % 4 == 1 then error({ code = "diverged", message = "too fast" }, 0) end
  if trial.number % 4 == 2 then return 0 / 0 end
  if trial.number == 3 then error("plain") end
  if trial.number == 7 then trial:report(1, math.huge) end
  if trial.number == 11 then return "text" end
  return p.x
end })
same(#found.trials, 40, "it goes on")
same(found.trials[1].error.code, "diverged", "an error")
check(found.trials[3].error.message:find("plain") and found.trials[3].status == "failed", "a text")
same(found.trials[2].error.code, "nan", "NaN")
same(found.trials[7].error.code, "nan", "a report that is no number")
same(found.trials[11].status, "failed", "no number at all")
check(found.best.value < 0.1, "the good ones count")
found = tune.run({ space = { x = tune.uniform(0, 1) }, trials = 15, objective = function() error("never") end })
check(found.best == nil and found.best_params == nil and #found.trials == 15, "nothing was good")
-- regions that fail are left: seven in ten points at random do
local n_failed = 0
tune.run({ space = { x = tune.uniform(0, 1), y = tune.uniform(0, 1) }, trials = 60, objective = function(p, trial)
  if p.y > 0.3 then
    if trial.number > 30 then n_failed = n_failed + 1 end
    error("diverged")
  end
  return (p.x - 0.4) ^ 2
end })
check(n_failed <= 15, ("failed trials teach: %d of the last 30 failed"):format(n_failed))

-- ---- pruning ----
-- Curves that fall to their quality; bad ones show it early.
local function curve(p, trial, steps)
  local v
  for step = 1, steps do
    v = p.x + 2 ^ (-step / 3)
    trial:report(step, v)
  end
  return v
end
for _, pruner in ipairs({ "asha", "median" }) do
  local n_steps = 0
  found = tune.run({ space = { x = tune.uniform(0, 1) }, trials = 40, sampler = "random",
    pruner = { kind = pruner, last = 27 }, on_report = function() n_steps = n_steps + 1 end,
    objective = function(p, trial)
      local v = curve(p, trial, 27)
      return v
    end })
  local n_pruned, n_done = 0, 0
  for _, t in ipairs(found.trials) do
    if t.status == "pruned" then
      n_pruned = n_pruned + 1
      check(#t.reports < 27 and t.value == t.reports[#t.reports][2], "a pruned trial")
    else
      n_done = n_done + 1
      same(#t.reports, 27, "a whole trial")
    end
  end
  check(n_pruned >= 12 and n_done >= 3, ("%s: %d pruned, %d whole"):format(pruner, n_pruned, n_done))
  check(n_steps < 0.75 * 40 * 27, ("%s: %d steps"):format(pruner, n_steps))
  check(found.best.params.x < 0.1, pruner .. ": the best was not lost")
end
-- rungs at 2 and 6: a trial goes on when it is among the best third of those that came there before it
local function alive(order)
  local count = {}
  tune.run({ space = { x = tune.choice(order) }, sampler = "grid", trials = 9,
    pruner = { kind = "asha", first = 2, factor = 3 }, objective = function(p, trial)
      for step = 1, 6 do
        trial:report(step, p.x)
        count[step] = (count[step] or 0) + 1
      end
      return p.x
    end })
  return table.concat(count, " ")
end
same(alive({ 1, 2, 3, 4, 5, 6, 7, 8, 9 }), "9 1 1 1 1 1", "none is better than the first")
same(alive({ 9, 8, 7, 6, 5, 4, 3, 2, 1 }), "9 9 9 9 9 9", "each is the best so far")
same(alive({ 5, 6, 7, 1, 8, 2, 9, 3, 4 }), "9 3 3 3 3 2", "the sixth is second of six")
-- a trial that goes on reporting behind a pcall ends all the same
found = tune.run({ space = { x = tune.choice({ 1, 2, 3 }) }, sampler = "grid", pruner = { kind = "asha", factor = 2 },
  objective = function(p, trial)
    pcall(trial.report, trial, 1, p.x)
    return -100
  end })
same(found.trials[3].status, "pruned", "what was pruned stays pruned")
same(found.trials[3].value, 3, "with what it reported")
found = tune.run({ space = { x = tune.uniform(0, 1) }, trials = 1, objective = function(_, trial)
  trial:report(2, 1)
  trial:report(2, 1)
end })
same(found.trials[1].error.code, "invalid", "steps rise")

-- ---- the same again, and after a pause ----
local function plain(result)
  local list = {}
  for i, t in ipairs(result.trials) do
    list[i] = { t.number, t.status, t.params, t.value or false, t.reports or false }
  end
  return json.encode(list, { sorted = true })
end
local function search(opt)
  local o = { space = mixed_space, trials = 36, pruner = "asha", seed = 5, objective = function(p, trial)
    for step = 1, 9 do trial:report(step, mixed(p) + 1 / step) end
    if trial.number == 7 then error("a bad one") end
    return mixed(p)
  end }
  for k, v in pairs(opt or {}) do o[k] = v end
  return tune.run(o)
end
local whole = search()
same(plain(search()), plain(whole), "the same for the same seed")
check(plain(search({ seed = 6 })) ~= plain(whole), "another seed")
for _, at in ipairs({ 1, 9, 23 }) do
  local first = search({ trials = at })
  local text = json.encode(first)
  same(plain(search({ resume = json.decode(text) })), plain(whole), "resumed after " .. at)
  same(plain(search({ resume = json.decode(text).trials })), plain(whole), "from the list alone")
end
-- killed in the middle of a trial, with steps that are remembered as a job's are
local memory, n_runs = {}, 0
local function keep(name, fn)
  if memory[name] then return json.decode(memory[name]) end
  local value = fn()
  memory[name] = json.encode(value)
  return value
end
for life = 1, 4 do
  local ok, err = pcall(search, { keep = keep, on_trial = function(record)
    n_runs = n_runs + 1
    if life < 4 and record.number == 8 * life then error({ code = "invalid", message = "killed" }, 0) end
  end })
  if life < 4 then same(not ok and err.message, "killed", "a life ends") end
  if life == 4 then same(plain(err), plain(whole), "four lives make one search") end
end
check(n_runs > 36, "it was told of remembered trials too")

-- ---- starting points ----
found = search({ trials = 3, start = { { lr = 1e-3, dropout = 0.25, net = { layers = 3, width = 64 },
  optimizer = "adam" }, { ["net/layers"] = 4, unknown = 1, optimizer = "sgd", lr = 7 } } })
check(math.abs(found.trials[1].params.lr - 1e-3) < 1e-12, "what is known to be good comes first")
same(found.trials[1].params.momentum, nil, "as it is")
same(found.trials[2].params["net/layers"], 4, "by flat name")
check(found.trials[2].params.momentum and found.trials[2].params.lr == 0.1, "the rest is drawn, what is out is cut")

-- ---- at once, and in time ----
local now, most = 0, 0
found = tune.run({ space = { x = tune.uniform(0, 1) }, trials = 24, parallel = 4, objective = function(p)
  now = now + 1
  most = math.max(most, now)
  task.sleep(0.002)
  now = now - 1
  return p.x
end })
same(most, 4, "at once")
same(#found.trials, 24, "all of them")
for i, t in ipairs(found.trials) do same(t.number, i, "each number once") end

local began = time.monotonic()
found = tune.run({ space = { x = tune.uniform(0, 1) }, trials = 10000, budget_s = 0.4, parallel = 2,
  objective = function(p, trial)
    if trial.number > 6 then task.sleep(60) end
    return p.x
  end })
check(time.monotonic() - began < 20, "a trial that hangs ends with the budget")
same(found.ended_by, "budget", "the budget")
check(#found.trials == 8 and found.trials[8].status == "stopped" and found.best.value, "stopped, not lost")
found = tune.run({ space = { x = tune.uniform(0, 1) }, trials = 1, budget_s = 0.05, objective = function(p, trial)
  for step = 1, 1000 do
    task.sleep(0.01)
    trial:report(step, p.x)
  end
end })
check(found.trials[1].status == "stopped" and found.trials[1].value and not found.best, "what it reported is kept")
local later = tune.run({ space = { x = tune.uniform(0, 1) }, trials = 2, objective = function(p) return p.x end,
  resume = found })
check(later.trials[1].status == "completed" and #later.trials == 2, "what was stopped runs again")

-- ---- trees, as they are meant to be tuned ----
local x, y, vx, vy = {}, {}, {}, {}
rng = random.new(1, 1)
for i = 1, 900 do
  local a, b = rng:unit() * 6, rng:unit() * 6
  local to_x, to_y = i <= 600 and x or vx, i <= 600 and y or vy
  to_x[#to_x + 1], to_y[#to_y + 1] = { a, b }, math.sin(a) * b + 0.1 * rng:normal()
end
found = tune.run({ trials = 12, pruner = { kind = "asha", first = 10 }, parallel = 2,
  space = { num_leaves = tune.int(2, 31, { log = true }), learning_rate = tune.log_uniform(0.003, 0.3) },
  objective = function(p, trial)
    local loss
    for _, rounds in ipairs({ 10, 30, 60 }) do
      local model <close>, report = trees.train(x, y, { num_leaves = p.num_leaves, learning_rate = p.learning_rate,
        num_iterations = rounds, valid = { vx, vy }, metric = "l2", min_data_in_leaf = 5 })
      loss = report.valid.l2[rounds]
      trial:report(rounds, loss)
      check(model:info().n_trees == rounds, "trained")
    end
    return loss
  end })
check(found.best.value < 0.6, ("trees were tuned to %.3f"):format(found.best.value))

-- ---- misuse ----
local function zero() return 0 end
local good = { x = tune.uniform(0, 1) }
refused("no dimension to search", { space = { a = 1 }, objective = zero })
refused("the space is a nil", { objective = zero })
refused("without /", { space = { ["a/b"] = tune.int(1, 2) }, objective = zero })
refused("objective is no function", { space = good })
refused("sampler is magic", { space = good, objective = zero, sampler = "magic" })
refused("pruner is axe", { space = good, objective = zero, pruner = "axe" })
refused("factor", { space = good, objective = zero, pruner = { kind = "asha", factor = 1 } })
refused("trials is 0", { space = good, objective = zero, trials = 0 })
refused("parallel is 1.5", { space = good, objective = zero, parallel = 1.5 })
refused("budget_s is %-1", { space = good, objective = zero, budget_s = -1 })
refused("mode is best", { space = good, objective = zero, mode = "best" })
refused("depends on c, which is no dimension", { space = { a = tune.when(tune.int(1, 2), "c", 1) }, objective = zero })
refused("depends on itself", { space = { a = tune.when(tune.int(1, 2), "b", 1),
  b = tune.when(tune.int(1, 2), "a", 1) }, objective = zero })
for _, make in ipairs({ function() tune.uniform(1, 1) end, function() tune.uniform(0 / 0, 1) end,
    function() tune.log_uniform(0, 1) end, function() tune.int(2, 1) end, function() tune.int(0, 5, { log = true }) end,
    function() tune.int(1, 5, { step = 0 }) end, function() tune.choice({}) end, function() tune.choice({ {} }) end,
    function() tune.when({}, "a", 1) end }) do
  local ok, err = pcall(make)
  check(not ok and err.code == "invalid", "a dimension that is none")
end
local ok, err = pcall(tune.run, { space = good, objective = zero, on_trial = function()
  error({ code = "io", message = "mine" }, 0)
end })
check(not ok and err.code == "io" and err.message == "mine", "what the callbacks raise is raised")
print(n .. " checks")
