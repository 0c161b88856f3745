-- forecast.lua - the model of a shop: TiDE, trees and simple methods blended as past months say, intervals as
-- wide as past errors were, and trees of attributes for products nobody has seen sell.
--
-- Three stages, each given what the one before answered: backtest (rolling months, no look ahead: weights and
-- intervals of a month come of the months before it), fit (on everything), predict.

local blend = require("blend")
local json = require("json")
local learn_simple = require("learn_simple")
local learn_tide = require("learn_tide")
local learn_trees = require("learn_trees")
local score = require("forecast_score")
local tensor = require("tensor")
local tide = require("tide")
local trees = require("trees")

local forecast = {}

local MONTHS_MIN = 3     -- to learn anything
local ROLLING_MAX = 6    -- months forecast in the backtest, of which …
local JUDGED_MAX = 3     -- … the last are scored
local KNOWN_MONTHS = 2   -- a product seen for less is forecast by its attributes
local CELLS_MAX = 60000  -- products * months up to which everything is fitted anew for each rolling month
local NORMAL_WIDTH = 3.3 -- standard deviations between the quantiles 0.05 and 0.95
local SPREAD_MAX = 3
local CEILING = 3 -- times the best month of the last twelve
local COLD_CEILING = 10
local PRIOR = { "mean_3", "ses", "tide", "trees" }

--- Levels of all quantiles.
forecast.LEVELS = learn_tide.LEVELS

-- Fits what learns; nil for what cannot be learnt of so little.
local function fit_all(panel, at, config, opt)
  local out = {}
  if learn_tide.can(at) then
    local ok, fitted = pcall(learn_tide.fit, panel, at, config, opt)
    if ok then out.tide = fitted
    elseif type(fitted) ~= "table" or (fitted.code ~= "invalid" and fitted.code ~= "diverged") then error(fitted, 0)
    else out.why_no_tide = fitted.message end
  end
  if learn_trees.can(at) then out.trees = learn_trees.fit(panel, at) end
  return out
end

-- Forecasts of all members (or of those with a weight) for the month after `at`, and the quantiles of the network.
local function members(panel, at, fitted, weights)
  local f, quantiles = {}, nil
  for _, name in ipairs(learn_simple.names()) do
    if not weights or weights[name] then f[name] = learn_simple.predict(panel, at, name) end
  end
  if fitted.tide then
    quantiles = learn_tide.predict(panel, at, fitted.tide)
    f.tide = quantiles:pick(2, 3):copy()
  end
  if fitted.trees then
    f.trees = learn_trees.predict(panel, at, fitted.trees)
      :minimum(learn_tide.ceiling(panel, at):reshape({ panel.n }))
  end
  return f, quantiles
end

-- How uncertain a product is, in ln(1 + units): as wide as the network says, else as its own months differ.
local function spread(panel, at, q)
  if q then
    local width = q:pick(2, 5):copy():log1p() - q:pick(2, 1):copy():log1p()
    return (width / NORMAL_WIDTH + 0.3):minimum(SPREAD_MAX)
  end
  local z = panel.units:slice(2, math.max(1, at - 5), at):log1p()
  return z:std(2):reshape({ panel.n }) * 0.3 + 0.5
end

-- What no quantile may pass.
local function ceiling(panel, at, widen)
  return learn_tide.ceiling(panel, at, CEILING * (widen or 1)):reshape({ panel.n })
end

-- 1 for products that have been seen long enough to go by their own sales.
local function known(panel, at)
  return tensor.new({ panel.n }, KNOWN_MONTHS):le(panel:ages(at))
end

local function close(fitted)
  if fitted.tide then fitted.tide.net:close() end
  if fitted.trees then fitted.trees.model:close() end
  if fitted.cold then fitted.cold.model:close() end
end

-- Members that all of these months have and that may be blended.
local function common(months)
  local out = {}
  for name in pairs(months[#months].f) do
    local is_everywhere = not learn_simple.ONLY_JUDGED[name]
    for _, m in ipairs(months) do is_everywhere = is_everywhere and m.f[name] ~= nil end
    if is_everywhere then out[#out + 1] = name end
  end
  table.sort(out)
  return out
end

-- Weights and intervals, as the months 1 to n of the list tell.
local function learn(months, n)
  local past = {}
  for i = 1, n do
    if months[i].f.trees and months[i].f.tide then past[#past + 1] = months[i] end
  end
  if #past < 2 then past = table.move(months, 1, n, 1, {}) end
  local names, prior, is_there = common(past), {}, {}
  for _, name in ipairs(names) do is_there[name] = true end
  for _, name in ipairs(PRIOR) do if is_there[name] then prior[#prior + 1] = name end end
  local weights = blend.choose(past, names, prior)
  local seen = {}
  for i, m in ipairs(past) do
    seen[i] = { y = m.y, q50 = blend.mix(m.f, weights), spread = m.spread, known = m.known, ceiling = m.ceiling }
  end
  return { weights = weights, intervals = blend.calibrate(seen, forecast.LEVELS) }
end

--- Months a panel must have, and something sold in them.
--- @param panel panel
--- Raises: not_enough_data (details: months, needed), no_sales
--- Source: ours
function forecast.check(panel)
  if panel.steps < MONTHS_MIN then
    error({ code = "not_enough_data", message = ("there are %d complete months of sales (%s to %s), at least %d are "
      .. "needed to learn"):format(panel.steps, panel.first, panel.last, MONTHS_MIN),
      details = { months = panel.steps, needed = MONTHS_MIN } }, 0)
  end
  if panel.units:sum() == 0 then
    error({ code = "no_sales", message = "nothing was sold from " .. panel.first .. " to " .. panel.last }, 0)
  end
end

--- Forecasts past months from what was known before them.
--- Waits; cancellable.
--- @param panel panel
--- @param config table  of model_config
--- @param opt table? { progress = function(share, text), rival = of forecast_publish.promised }
--- @return table  plain data: { weights, intervals, epochs, months (judged), models = { name = { wape, mase, bias,
---   pinball, coverage_90 } }, by_month = array of { month, wape = { name = number }, coverage_90 }, val = { val_MIWS,
---   … } of the last judged month, held = { month, quantiles = rows of five } of it, duel = of score.duel }
--- Raises: not_enough_data, no_sales; what models raise
--- Source: Tashman 2000 (rolling origin)
function forecast.backtest(panel, config, opt)
  forecast.check(panel)
  local progress = opt and opt.progress or function() end
  local rival = opt and opt.rival
  local T, months = panel.steps, {}
  local first = math.max(2, T - ROLLING_MAX)
  local is_small = panel.n * T <= CELLS_MAX
  local fitted, epochs
  for at = first, T - 1 do
    progress((at - first) / (T - first), "looking back: " .. panel:month(at + 1))
    -- in a duel both have seen all but the last month
    local is_due = is_small or at == T - JUDGED_MAX or (at == T - 1 and rival ~= nil)
    if not fitted or is_due or not (fitted.tide and fitted.trees) then
      if fitted then close(fitted) end
      -- how long to train is found out once, on the months before the first
      fitted = fit_all(panel, at, config, { epochs = epochs or (not learn_tide.can(at) and 1 or nil), refit = true })
      if fitted.tide and not epochs then epochs = math.max(3, fitted.tide.epochs) end
    end
    local f, quantiles = members(panel, at, fitted)
    months[#months + 1] = { at = at, month = panel:month(at + 1), y = panel.units:pick(2, at + 1):copy(), f = f,
      spread = spread(panel, at, quantiles), known = known(panel, at), ceiling = ceiling(panel, at) }
  end
  close(fitted)
  local judged = {}
  for i = math.max(2, #months - JUDGED_MAX + 1), #months do
    local m = months[i]
    local learnt = learn(months, i - 1)
    m.f.model = blend.mix(m.f, learnt.weights)
    m.q = blend.quantiles(m.f.model, m.spread, learnt.intervals, 1, m.ceiling)
    judged[#judged + 1] = m
  end
  local out = learn(months, #months)
  out.epochs = epochs
  out.months, out.models, out.by_month = score.table(panel, judged, forecast.LEVELS)
  local last = judged[#judged]
  if last then
    out.val = score.validation(panel, last, forecast.LEVELS)
    out.held = { month = last.month, quantiles = last.q:table() }
  end
  if rival and last then out.duel = score.duel(panel, last, rival, forecast.LEVELS) end
  return out
end

--- Fits the model on everything.
--- Waits; cancellable.
--- @param panel panel
--- @param config table
--- @param learnt table  of forecast.backtest
--- @param opt table? { on_epoch, checkpoint, resume } of tide.fit
--- @return table  model, for forecast.predict and forecast.save
--- Raises: what models raise
--- Source: ours
function forecast.fit(panel, config, learnt, opt)
  local fitted = fit_all(panel, panel.steps, config, opt)
  fitted.cold = learn_trees.fit_cold(panel, panel.steps)
  fitted.note = {
    kind = "sales", weights = learnt.weights, intervals = learnt.intervals, span = panel.span,
    first_month = panel.first, last_month = panel.last, first_year = panel.first_year, vocabulary = panel.vocabulary,
    features = panel.features, config = config, levels = forecast.LEVELS,
  }
  return fitted
end

-- A month ahead: quantiles (N, 5), and 1 where they are of the attributes only.
local function one_month(panel, model, widen)
  local at = panel.steps
  local f, quantiles = members(panel, at, model, model.note.weights)
  local weights = {}
  local sum = 0
  for name, w in pairs(model.note.weights) do if f[name] then weights[name] = w; sum = sum + w end end
  for name, w in pairs(weights) do weights[name] = w / sum end
  local q50, cold, most = blend.mix(f, weights), 1 - known(panel, at), ceiling(panel, at, widen)
  if model.cold then
    local by_attributes = learn_trees.predict_cold(panel, at, model.cold)
    q50 = q50 * (1 - cold) + by_attributes * cold
  end
  most = most + cold * (q50 + 1) * COLD_CEILING -- who never sold has no best month
  -- of a new product less is known
  local s = spread(panel, at, quantiles) + cold * 0.5
  return blend.quantiles(q50, s, model.note.intervals, widen, most), cold
end

--- Forecasts the months behind a panel.
--- Waits; cancellable.
--- @param panel panel  is longer by the months but one that were forecast
--- @param model table
--- @param horizon integer  months
--- @return table  array of { month, quantiles (N, 5), cold (N) of 0 and 1 }
--- Raises: what models raise
--- Source: ours
function forecast.predict(panel, model, horizon)
  local out = {}
  for h = 1, horizon do
    local q, cold = one_month(panel, model, math.sqrt(h))
    out[h] = { month = panel:month(panel.steps + 1), quantiles = q, cold = cold }
    if h < horizon then panel:extend(q:pick(2, 3):copy()) end
  end
  return out
end

--- Writes a model into one file, whole or not at all.
--- Waits.
--- @param model table
--- @param path string
--- Raises: io, full, invalid (no network in it)
--- Source: ours
function forecast.save(model, path)
  if not model.tide then
    error({ code = "not_enough_data", message = "the network has too little to learn from: "
      .. (model.why_no_tide or "too few months") }, 0)
  end
  local note = {}
  for k, v in pairs(model.note) do note[k] = v end
  note.lags, note.is_seasonal, note.epochs = model.tide.lags, model.tide.is_seasonal, model.tide.epochs
  note.trees = model.trees and { text = model.trees.model:text(), names = model.trees.names }
  note.cold = model.cold and { text = model.cold.model:text(), names = model.cold.names }
  model.tide.net:save(path, note)
end

--- Reads a model.
--- Waits.
--- @param path string
--- @return table  for forecast.predict; its `note` says how the panel must be built
--- Raises: notfound, corrupt, unsupported, invalid (no model of sales)
--- Source: ours
function forecast.load(path)
  local net = tide.load(path)
  local note = net.note
  if type(note) ~= "table" or note.kind ~= "sales" or type(note.weights) ~= "table" then
    net:close()
    error({ code = "invalid", message = "the file is a network, but no model of sales: it has no weights" }, 0)
  end
  local model = { note = note, tide = { net = net, lags = note.lags, is_seasonal = note.is_seasonal } }
  for _, part in ipairs({ "trees", "cold" }) do
    if note[part] and note[part] ~= json.null then
      model[part] = { model = trees.parse(note[part].text), names = note[part].names }
    end
  end
  return model
end

--- Lets go of a model.
--- @param model table
function forecast.close(model)
  close(model)
end

return forecast
