-- tune.lua - the search for good parameters: of trees, of TiDE, of anything a Lua function can judge.
--
--   local found = tune.run({
--     space = { learning_rate = tune.log_uniform(0.01, 0.3), num_leaves = tune.int(7, 127, { log = true }) },
--     objective = function(params, trial)
--       …train, after each epoch: trial:report(epoch, loss)      -- does not return when the trial is not worth more
--       return loss
--     end,
--     trials = 50, budget_s = 600, pruner = "asha",
--   })
--   found.best.params, found.best.value
--
-- Dimensions are tune_space.lua, the sampler tune_tpe.lua, stopping early tune_prune.lua.

local prune = require("tune_prune")
local raise = require("raise")
local random = require("tune_random")
local space = require("tune_space")
local task = require("task")
local time = require("time")
local tpe = require("tune_tpe")

local tune = {}

local TRIALS = 50
local CLOCK_SLACK_S = 0.05
local FRESH_DRAWS = 20  -- tries to find a point that was not tried yet
local PRUNERS = { asha = { kind = "asha", first = 1, factor = 3 }, median = { kind = "median", first = 1 } }
local SAMPLERS = { tpe = true, random = true, grid = true }
local END = {}          -- what ends a trial from inside trial:report

-- ---- dimensions ----

--- A number, evenly likely in [low, high].
--- @param low number
--- @param high number
--- @param opt table? { grid = points of a grid search, default 5 }
--- @return dimension
--- Raises: invalid
--- Source: ours
function tune.uniform(low, high, opt)
  return space.real(low, high, false, opt)
end

--- A number whose logarithm is evenly likely: for rates, penalties, sizes.
--- @param low number  more than 0
--- @param high number
--- @param opt table? { grid = points of a grid search, default 5 }
--- @return dimension
--- Raises: invalid
--- Source: ours
function tune.log_uniform(low, high, opt)
  return space.real(low, high, true, opt)
end

--- See tune_space.lua.
tune.int, tune.choice, tune.when = space.int, space.choice, space.when

--- Parameters by flat name ("net/depth"), as records have them, nested.
--- @param params table
--- @return table
--- Source: ours
function tune.nested(params)
  return space.nested({ fixed = {} }, params)
end

-- ---- one trial ----

local trial = {}
trial.__index = trial
trial.__name = "trial"

local function is_figure(v)
  return type(v) == "number" and v == v and v ~= math.huge and v ~= -math.huge
end

local function elapsed(self)
  return self.spent + (time.monotonic() - self.began)
end

--- Tells how good the trial is so far. Does not return when the trial is not worth going on with, when
--- the budget is over or the figure is no number: then the trial ends here.
--- @param step number  epochs, rounds, rows …: rising
--- @param value number  as the objective's
--- Raises: invalid
--- Source: ours
function trial:report(step, value)
  local self_, search = self.inner, self.search
  local last = self_.reports[#self_.reports]
  if type(step) ~= "number" or (last and step <= last[1]) then
    raise.error("invalid", ("step %s was reported after %s, expected more"):format(tostring(step),
      last and tostring(last[1]) or "nothing"))
  end
  if self_.ending then error(END, 0) end
  if not is_figure(value) then
    self_.ending = "failed"
    self_.error = { code = "nan", message = ("step %s: the figure is %s"):format(tostring(step), tostring(value)) }
    error(END, 0)
  end
  self_.reports[#self_.reports + 1] = { step, search.sign * value }
  if search.on_report then search.on_report(self.number, step, value) end
  if search.budget_s and elapsed(search) >= search.budget_s then
    self_.ending = "stopped"
  elseif search.pruner then
    local others = {}
    for _, t in ipairs(search.list) do
      if t ~= self_ then others[#others + 1] = t end
    end
    if prune.is_last(self_, others, search.pruner) then self_.ending = "pruned" end
  end
  if self_.ending then error(END, 0) end
end

-- ---- choosing the next point ----

local function key_of(s, values)
  local parts = {}
  for i, item in ipairs(s.dims) do parts[i] = tostring(values[item.name]) end
  return table.concat(parts, "\0")
end

local RANK = { completed = 1, pruned = 2, stopped = 2, failed = 3, running = 4 }

local function before(a, b)
  if RANK[a.status] ~= RANK[b.status] then return RANK[a.status] < RANK[b.status] end
  local step_a, step_b = 0, 0
  if RANK[a.status] == 2 then
    step_a = a.reports[#a.reports] and a.reports[#a.reports][1] or 0
    step_b = b.reports[#b.reports] and b.reports[#b.reports][1] or 0
  end
  if step_a ~= step_b then return step_a > step_b end
  if a.cost and b.cost and a.cost ~= b.cost then return a.cost < b.cost end
  return a.number < b.number
end

local function draw(self, rng)
  local s = self.space
  if self.sampler == "random" then return tpe.random(s, rng) end
  local ranked, n_ended = table.move(self.list, 1, #self.list, 1, {}), 0
  table.sort(ranked, before)
  for _, t in ipairs(ranked) do
    if RANK[t.status] <= 2 and t.cost then n_ended = n_ended + 1 end
  end
  return tpe.suggest(s, ranked, n_ended, rng, self)
end

-- Places of the next trial, or nil when there is no other point.
local function next_point(self, number)
  local s = self.space
  if self.grid then return self.grid[number] end
  local rng = random.new(self.seed, number)
  local start = self.start[number]
  if start then
    local places = space.places(s, space.flat(s, start))
    for i, item in ipairs(s.dims) do -- what the start does not say is drawn
      if not space.is_active(s, i, places) then
        places[i] = nil
      elseif places[i] == nil then
        places[i] = item.d.kind == "choice" and rng:pick(item.d.n) or rng:unit()
      end
    end
    return places
  end
  local places = draw(self, rng)
  for _ = 1, FRESH_DRAWS do
    if not self.seen[key_of(s, space.values(s, places))] then return places end
    places = self.size and tpe.random(s, rng) or draw(self, rng)
  end
  if not self.size then return places end
  for _, point in ipairs(space.grid(s, self.size, true)) do -- few are left: the first of them
    if not self.seen[key_of(s, space.values(s, point))] then return point end
  end
  return nil
end

-- ---- running ----

local function reports_of(self, inner)
  if #inner.reports == 0 then return nil end
  local out = {}
  for i, r in ipairs(inner.reports) do out[i] = { r[1], self.sign * r[2] } end
  return out
end

local function call(self, inner, params)
  local t = setmetatable({ number = inner.number, params = params, inner = inner, search = self }, trial)
  if not self.budget_s then return pcall(self.objective, params, t) end
  local left = math.max(0.001, self.budget_s - elapsed(self))
  local out = table.pack(pcall(task.timeout, left, self.objective, params, t))
  -- the loop's clock is read once in each of its rounds: it may be a little ahead of ours
  if not out[1] and not inner.ending and elapsed(self) >= self.budget_s - CLOCK_SLACK_S then
    inner.ending = "stopped"
  end
  return table.unpack(out, 1, out.n)
end

-- Runs the objective once. Nothing it does wrong ends the search.
local function execute(self, inner)
  local began = time.monotonic()
  local record = { number = inner.number, params = space.values(self.space, inner.places) }
  local ok, value, info = call(self, inner, space.nested(self.space, record.params))
  local last = inner.reports[#inner.reports]
  if inner.ending then
    record.status, record.error = inner.ending, inner.error
    if last and inner.ending ~= "failed" then record.value = self.sign * last[2] end
  elseif not ok then
    record.status = "failed"
    local is_object = type(value) == "table"
    record.error = { code = is_object and tostring(value.code or "script_error") or "script_error",
      message = tostring(is_object and value.message or value) }
  else
    if value == nil and last then value = self.sign * last[2] end
    record.status = is_figure(value) and "completed" or "failed"
    if is_figure(value) then record.value, record.info = value, info
    else record.error = { code = "nan", message = "the objective returned " .. tostring(value) } end
  end
  record.reports, record.seconds = reports_of(self, inner), time.monotonic() - began
  record.elapsed = elapsed(self)
  return record
end

-- A record becomes part of the history.
local function take(self, inner, record)
  inner.status, inner.number, inner.record = record.status, record.number, record
  inner.cost = record.value and self.sign * record.value
  inner.places = space.places(self.space, record.params)
  inner.reports = {}
  for i, r in ipairs(record.reports or {}) do inner.reports[i] = { r[1], self.sign * r[2] } end
  self.seen[key_of(self.space, record.params)] = true
  if record.status == "completed" and (not self.best or inner.cost < self.best.cost
      or (inner.cost == self.best.cost and inner.number < self.best.number)) then
    self.best = inner
  end
end

local function result_of(self)
  local list = {}
  for _, t in ipairs(self.list) do
    if t.record then list[#list + 1] = t.record end
  end
  table.sort(list, function(a, b) return a.number < b.number end)
  local best = self.best and self.best.record
  return { best = best, best_params = best and space.nested(self.space, best.params), trials = list,
    seconds = elapsed(self), ended_by = self.ended_by or "trials" }
end

-- Runs the next trial; false when there is none.
local function step(self)
  if self.next > self.trials then return false end
  local number = self.next
  while self.known[number] do number = number + 1 end
  if number > self.trials then return false end
  self.next = number + 1
  local inner = { number = number, status = "running", reports = {} }
  local function run_new()
    if self.budget_s and elapsed(self) >= self.budget_s then
      self.ended_by = "budget"
      return nil
    end
    inner.places = next_point(self, number)
    if not inner.places then
      self.ended_by = "space"
      return nil
    end
    self.seen[key_of(self.space, space.values(self.space, inner.places))] = true
    self.list[#self.list + 1] = inner
    return execute(self, inner)
  end
  local record = self.keep and self.keep("trial " .. number, run_new)
  if not self.keep then record = run_new() end
  if not record then return false end
  if not inner.places then -- remembered by keep: it ran in an earlier life
    self.list[#self.list + 1] = inner
    if record.elapsed > elapsed(self) then self.spent, self.began = record.elapsed, time.monotonic() end
  end
  take(self, inner, record)
  if record.status == "stopped" then self.ended_by = "budget" end
  if self.on_trial then self.on_trial(record, result_of(self)) end
  return true
end

local function whole(name, value, low, high)
  local n = math.tointeger(value)
  if not n or n < low or n > high then
    raise.error("invalid", ("%s is %s, expected a whole number from %d to %d"):format(name, tostring(value), low, high))
  end
  return n
end

local function pruner_of(value)
  if value == nil or value == false then return nil end
  local kind = type(value) == "table" and value.kind or value
  local default = PRUNERS[kind]
  if not default then
    raise.error("invalid", ("pruner is %s, expected asha or median"):format(tostring(kind)))
  end
  local given = type(value) == "table" and value or {}
  local out = { startup = given.startup, last = given.last }
  for k, v in pairs(default) do
    out[k] = given[k] or v
  end
  if type(out.first) ~= "number" or out.first <= 0 or (out.factor and math.tointeger(out.factor) or 2) < 2 then
    raise.error("invalid", "a pruner's first step is more than 0 and its factor a whole number of 2 or more")
  end
  return out
end

local function new(opt)
  local sampler, mode = opt.sampler or "tpe", opt.mode or "min"
  if not SAMPLERS[sampler] then
    raise.error("invalid", ("sampler is %s, expected tpe, random or grid"):format(tostring(sampler)))
  end
  if mode ~= "min" and mode ~= "max" then
    raise.error("invalid", ("mode is %s, expected min or max"):format(tostring(mode)))
  end
  if type(opt.objective) ~= "function" then raise.error("invalid", "objective is no function") end
  if opt.budget_s ~= nil and not (is_figure(opt.budget_s) and opt.budget_s > 0) then
    raise.error("invalid", ("budget_s is %s, expected seconds"):format(tostring(opt.budget_s)))
  end
  local self = {
    space = space.read(opt.space), objective = opt.objective, sampler = sampler, sign = mode == "min" and 1 or -1,
    trials = whole("trials", opt.trials or TRIALS, 1, 100000), budget_s = opt.budget_s,
    seed = whole("seed", opt.seed or 1, math.mininteger, math.maxinteger), pruner = pruner_of(opt.pruner),
    multivariate = opt.multivariate ~= false, startup = opt.startup, candidates = opt.candidates,
    start = sampler == "grid" and {} or opt.start or {}, keep = opt.keep, on_trial = opt.on_trial,
    on_report = opt.on_report, list = {}, seen = {}, known = {}, next = 1, spent = 0, began = time.monotonic(),
  }
  self.size = space.size(self.space)
  if sampler == "grid" then
    self.grid = space.grid(self.space, self.trials)
    self.trials = math.min(self.trials, #self.grid)
  end
  local past = opt.resume and (opt.resume.trials or opt.resume) or {}
  for _, record in ipairs(past) do
    if record.status ~= "stopped" and record.status ~= "running" then
      local inner = { reports = {} }
      take(self, inner, record)
      self.list[#self.list + 1], self.known[record.number] = inner, true
      self.spent = math.max(self.spent, record.elapsed or 0)
    end
  end
  return self
end

--- Searches. A trial whose objective raises, or answers NaN, is recorded as failed and the search goes on.
--- The same for the same seed, and the same after `resume` as without a pause, when parallel = 1.
--- Waits.
--- @param opt table { space, objective = function(params, trial) -> figure, info (JSON, kept with the trial)?,
---   trials = 50, budget_s = seconds in all (a running trial is ended too), sampler = "tpe" | "random" | "grid",
---   pruner = "asha" | "median" | { kind, first = step of the first rung, factor = 3, last = step at which a
---   trial is done anyway }, mode = "min" | "max", seed = 1, parallel = trials at once, default 1,
---   multivariate = true (dimensions together), startup = 10 (trials at random first), start = list of
---   parameters to try first, resume = what an earlier run returned, or its list of trials, keep =
---   function(name, fn) -> fn() or what it returned in an earlier life: job:step's, on_trial =
---   function(record, result so far), on_report = function(number, step, figure) }
--- @return table { best = record?, best_params = nested?, trials = list of { number, params by flat name, status =
---   "completed" | "pruned" | "failed" | "stopped", value?, info?, error = { code, message }?, reports = list
---   of { step, figure }?, seconds, elapsed }, seconds, ended_by = "trials" | "budget" | "space" }
--- Raises: invalid; what keep or on_trial raise
--- Source: tune_tpe.lua, tune_prune.lua name theirs
function tune.run(opt)
  local self = new(opt)
  local parallel = whole("parallel", opt.parallel or 1, 1, 64)
  local workers = {}
  for i = 1, math.min(parallel, self.trials) do
    workers[i] = function()
      while step(self) do task.sleep(0) end -- choosing a point is much computation, if no trial waits
      return true
    end
  end
  task.all(workers)
  return result_of(self)
end

return tune
