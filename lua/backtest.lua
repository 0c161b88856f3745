-- backtest.lua - which model would have been right: rolling origins, no leakage.
--
-- At each origin a model is made anew, fitted to what was known then, asked for the next steps, and
-- scored against what came. A model is never handed a value behind its origin.

local metrics = require("core.metrics")
local numbers = require("core.numbers")
local baseline, raise = require("baseline"), require("raise")
local backtest = {}

local function invalid(message)
  raise.error("invalid", message)
end

local function cut(x, from, to, dim)
  return (raise.check(numbers.cut(x, from, to, dim)))
end

-- Time is the second dimension, but the first of covariates that all series share.
local function until_step(x, step)
  local sizes = { numbers.shape(x) }
  return cut(x, 0, step, #sizes == 2 and 1 or 2)
end

-- What is known at an origin: target, past covariates and weights up to it, future covariates as far
-- as the horizon. What else is in the data does not depend on time.
local function cut_data(data, origin, horizon)
  if type(data) ~= "table" or data.target == nil then
    return cut(data, 0, origin)
  end
  local out = {}
  for k, v in pairs(data) do out[k] = v end
  out.target = cut(data.target, 0, origin)
  if data.weight then out.weight = cut(data.weight, 0, origin) end
  if data.keep then out.keep = cut(data.keep, 0, origin) end
  if data.past then out.past = until_step(data.past, origin) end
  if data.future then out.future = until_step(data.future, origin + horizon) end
  return out
end

-- A fresh model: a table of options for baseline.new, or a function that makes one.
local function make(spec)
  if type(spec) == "function" then return spec() end
  if type(spec) == "table" then return baseline.new(spec) end
  invalid("a model is a table of options or a function that makes one")
end

local function names_of(models)
  local names = {}
  for name in pairs(models) do names[#names + 1] = name end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  if #names == 0 then invalid("no models to test") end
  return names
end

local function origins_of(T, opt)
  local folds, horizon, step = opt.folds or 3, opt.horizon, opt.step or opt.horizon
  local origins = {}
  for k = folds - 1, 0, -1 do origins[#origins + 1] = T - horizon - k * step end
  if origins[1] < (opt.min_history or 1) then
    invalid(("%d folds of %d steps need %d steps of history, the data have %d"):format(folds,
      horizon, (opt.min_history or 1) + horizon + (folds - 1) * step, T))
  end
  return origins
end

-- One model at one origin.
local function forecast(spec, data, origin, opt)
  local known = cut_data(data, origin, opt.horizon)
  local model <close> = make(spec)
  model:fit(known, type(opt.fit) == "function" and opt.fit(origin) or opt.fit)
  return model:predict(known, { horizon = opt.horizon, quantiles = opt.quantiles })
end

local function better(a, b, by)
  if b == nil or b.scores[by] == nil then return true end
  return a.scores[by] ~= nil and a.scores[by] < b.scores[by]
end

local function check_opt(opt)
  if type(opt) ~= "table" or type(opt.models) ~= "table" or opt.data == nil then
    invalid("backtest.run{ models =, data =, horizon =, folds = } expected")
  end
  for _, name in ipairs({ "horizon", "folds", "step", "season" }) do
    local v = opt[name]
    if v ~= nil and (math.type(v) ~= "integer" or v < 1) then
      invalid(("%s is %s, a whole number of 1 or more expected"):format(name, tostring(v)))
    end
  end
  if opt.horizon == nil then invalid("horizon is missing") end
end

--- Scores models over rolling origins.
--- Waits (compute pool); cancellable.
--- @param opt table { models = { name = options of baseline.new or function() -> model }, data =
---   (N, T) or { target = that, past =, future =, static =, weight = } as for tide, horizon,
---   folds = 3, step = horizon (between origins), season = 1 (of mase), quantiles = list of levels,
---   by = "rmsse" (lower is better), blend = 3, min_history = 1, keep = false, fit = options of fit
---   or function(origin) -> them }
--- @return table { rows = list of { name, scores = { mase rmsse mae rmse smape pinball
---   pinball_scaled wql coverage bias wape values undefined } } best first, pick = name of the
---   first, blend = names of the first few, origins, forecasts = [name][fold] (with keep) }
--- Raises: what a model raises; invalid, shape, nan
--- Source: Tashman 2000 (rolling origin)
function backtest.run(opt)
  check_opt(opt)
  local target = opt.data
  if type(target) == "table" and target.target ~= nil then target = target.target end
  local _, T, targets = numbers.shape(target)
  if targets and targets ~= 1 then invalid("a backtest scores one target, not " .. targets) end
  local origins, by = origins_of(T, opt), opt.by or "rmsse"
  local rows, forecasts = {}, opt.keep and {} or nil
  for _, name in ipairs(names_of(opt.models)) do
    local state = metrics.backtest(opt.season or 1)
    if forecasts then forecasts[name] = {} end
    for fold, origin in ipairs(origins) do
      local out = forecast(opt.models[name], opt.data, origin, opt)
      local came = cut(target, origin, origin + opt.horizon)
      raise.check(state:add(cut(target, 0, origin), came, out.mean, out.quantiles,
        out.quantiles and opt.quantiles or nil))
      if forecasts then forecasts[name][fold] = out end
    end
    rows[#rows + 1] = { name = name, scores = state:scores() }
  end
  table.sort(rows, function(a, b)
    if better(a, b, by) ~= better(b, a, by) then return better(a, b, by) end
    return tostring(a.name) < tostring(b.name)
  end)
  local blend = {}
  for i = 1, math.min(opt.blend or 3, #rows) do blend[i] = rows[i].name end
  return { rows = rows, pick = rows[1].name, blend = blend, origins = origins,
    forecasts = forecasts }
end

--- A model that answers with the mean of several, also level by level of their quantiles: what a
--- backtest's `blend` is for. Has fit, predict and close.
--- @param specs table list of options of baseline.new or functions that make a model
--- @return model
--- Raises: invalid; what the models raise
--- Source: Petropoulos and Svetunkov 2020 (combinations beat single choices)
function backtest.blend(specs)
  if type(specs) ~= "table" or #specs == 0 then invalid("a list of models expected") end
  local models = {}
  for i, spec in ipairs(specs) do models[i] = make(spec) end
  local self = {}
  function self.fit(_, data, fit)
    for _, m in ipairs(models) do m:fit(data, fit) end
    return self
  end
  function self.predict(_, data, opt)
    local means, quantiles = {}, {}
    for i, m in ipairs(models) do
      local out = m:predict(data, opt)
      means[i], quantiles[i] = out.mean, out.quantiles
    end
    return { mean = raise.check(numbers.mean(means)), levels = opt and opt.quantiles,
      quantiles = #quantiles == #models and raise.check(numbers.mean(quantiles)) or nil }
  end
  function self.close()
    for _, m in ipairs(models) do m:close() end
  end
  return setmetatable(self, { __close = self.close })
end

return backtest
