-- tuning.lua - the search for parameters of TiDE: a trial fits a network to the months before the last ones and is
-- judged by how it forecasts those. See tuning_space.lua for what is searched, lua/tune.lua for how.
--
-- Trials run side by side, each on one thread. What they share (the panel, one for each span) is made before the
-- first of them and is only read.

local dataset = require("dataset")
local dataset_features = require("dataset_features")
local forecast = require("forecast")
local json = require("json")
local learn_tide = require("learn_tide")
local metrics = require("metrics")
local model_config = require("model_config")
local model_store = require("model_store")
local score = require("forecast_score")
local settings = require("settings")
local space = require("tuning_space")
local tensor = require("tensor")
local tune = require("tune")

local tuning = {}

local JUDGED_MONTHS = 2 -- the last ones, which no trial learns from
local JUDGED_FROM = 10  -- months there must be for two; else one
local RUNG = 3          -- epochs after which a trial may be given up; then three times as many, and so on

--- Seconds a search has when the request does not say.
tuning.BUDGET_S = { lite = 3600, full = 7200 }

--- Trials of a search.
--- @param mode string
--- @return integer
function tuning.trials(mode)
  return mode == "full" and settings.tuning_samples_full or settings.tuning_samples_lite
end

--- Months a trial learns from.
--- @param steps integer  months of the panel
--- @return integer
--- Source: ours
function tuning.learnt(steps)
  return steps - (steps >= JUDGED_FROM and JUDGED_MONTHS or 1)
end

-- The panels by span, without what only trees see.
local function panels(d, main, range, spans, progress)
  local out, features = {}, {}
  for name, v in pairs(dataset_features) do features[name] = v end
  features.trees = {}
  for i, span in ipairs(spans) do
    progress((i - 1) / #spans)
    out[span] = dataset.build(d, main, { from = range.first, to = range.last, span = span, features = features })
  end
  return out
end

-- What trials are ranked by: the metric of the settings when it can be told of the judged months at all, else the
-- loss. Any forecast will do to find out.
local function metric_of(panel, at)
  local q = tensor.new({ panel.n, 5 }, 0) + tensor.from({ 0, 1, 2, 3, 4 })
  for month = at, panel.steps - 1 do
    local found = score.validation(panel, { at = month, y = panel.units:pick(2, month + 1):copy(), q = q },
      forecast.LEVELS)
    if found[settings.model_metric] == nil then return "val_loss", false end
  end
  return settings.model_metric, settings.model_metric_higher_is_better
end

--- Makes what trials learn from.
--- Waits; cancellable.
--- @param d db  scratch
--- @param main db
--- @param range table  of dataset.range
--- @param base table  configuration a trial may also have the span of
--- @param progress function  (share)
--- @return table  { panels = by span, steps, at = months learnt, products, metric, higher_is_better }
--- Raises: no_data, not_enough_data, no_sales
--- Source: ours
function tuning.prepare(d, main, range, base, progress)
  local spans, is_there = {}, {}
  for _, span in ipairs({ base.train_ds_config.span, table.unpack(space.SPANS) }) do
    if not is_there[span] then spans[#spans + 1] = span end
    is_there[span] = true
  end
  local all = panels(d, main, range, spans, progress)
  local one = all[spans[1]]
  forecast.check(one)
  local at = tuning.learnt(one.steps)
  if not learn_tide.can(at) then
    error({ code = "not_enough_data", message = ("there are %d complete months of sales (%s to %s), too few to judge "
      .. "parameters by"):format(one.steps, one.first, one.last), details = { months = one.steps } }, 0)
  end
  local metric, higher = metric_of(one, at)
  return { panels = all, steps = one.steps, at = at, products = one.n, metric = metric, higher_is_better = higher }
end

-- What one month's quantiles are worth: the metrics of the reference, and the pinball loss as val_loss.
local function judge(panel, at, fitted)
  local m = { at = at, y = panel.units:pick(2, at + 1):copy(), q = learn_tide.predict(panel, at, fitted) }
  local out = score.validation(panel, m, forecast.LEVELS)
  out.val_loss = metrics.quantile(m.y, m.q, forecast.LEVELS).pinball
  out.val_WAPE = metrics.wape(m.y, m.q:pick(2, 3):copy())
  return out
end

--- The metrics of a fitted network, the mean over the judged months; one that a month does not have is left out.
--- Waits; cancellable.
--- @param panel panel
--- @param at integer  months it has learnt from
--- @param fitted table  of learn_tide.fit
--- @return table  { val_MIWS, val_MIC, val_MIWS_MIC_Ratio, val_loss, val_WAPE }
--- Source: plastinka 4.9
function tuning.judge(panel, at, fitted)
  local sum, n = {}, panel.steps - at
  for month = at, panel.steps - 1 do
    for name, v in pairs(judge(panel, month, fitted)) do
      local s = sum[name] or { 0, 0 }
      sum[name] = { s[1] + v, s[2] + 1 }
    end
  end
  local out = {}
  for name, s in pairs(sum) do
    if s[2] == n then out[name] = s[1] / n end
  end
  return out
end

-- The figure of a trial.
local function figure_of(work, found)
  local v = found[work.metric]
  if v == nil then error({ code = "nan", message = work.metric .. " of this trial is no number" }, 0) end
  return v
end

--- One trial: fits and judges.
--- Waits; cancellable.
--- @param work table  of tuning.prepare
--- @param config table
--- @param trial trial?  told after 3, 9, 27 … epochs
--- @return number, table  the figure, all metrics and epochs
--- Raises: as learn_tide.fit; nan (the metric is no number)
--- Source: ours
function tuning.trial(work, config, trial)
  local panel, at = work.panels[config.train_ds_config.span], work.at
  local lags, next_rung = learn_tide.lags(config, at), RUNG
  local is_seasonal = at >= learn_tide.SEASONS_MIN
  local growing
  local _ <close> = setmetatable({}, { __close = function() -- also when the trial is given up
    if growing then growing:close() end
  end })
  local fitted = learn_tide.fit(panel, at, config, { refit = false, threads = 1, on_epoch = function(r, net)
    growing = net
    if trial == nil or r.epoch < next_rung then return end
    next_rung = next_rung * RUNG
    local found = tuning.judge(panel, at, { net = net, lags = lags, is_seasonal = is_seasonal })
    trial:report(r.epoch, figure_of(work, found))
  end })
  local net <close> = fitted.net
  local found = tuning.judge(panel, at, { net = net, lags = fitted.lags, is_seasonal = fitted.is_seasonal })
  found.epochs, found.train_loss = fitted.epochs, fitted.train_loss
  return figure_of(work, found), found
end

--- Known good configurations to begin with: the one in use, then the best by the metric of the settings.
--- Waits.
--- @param main db
--- @return table  array of configurations
--- Source: plastinka 5
function tuning.start(main)
  local r = model_store.ranking()
  local out, is_there = json.array({}), {}
  local function add(id, config)
    if not is_there[id] then out[#out + 1] = config end
    is_there[id] = true
  end
  local effective = model_store.effective_config(main)
  add(effective.config_id, effective.config)
  local value = model_store.metric_sql("t.metrics")
  local rows = main:query(([[WITH tried AS (
      SELECT t.config_id, VALUE AS value FROM training_results t
      UNION ALL SELECT t.config_id, VALUE FROM tuning_results t)
    SELECT c.config_id, c.config FROM configs c JOIN tried USING (config_id) WHERE value IS NOT NULL
    GROUP BY c.config_id ORDER BY max(value * :sign) DESC, c.rowid DESC LIMIT :n]])
    :gsub("VALUE", function() return value end),
    { metric = r.metric, sign = r.sign, n = settings.tuning_seed_configs })
  for _, row in ipairs(rows) do
    local ok, config = pcall(model_config.check, json.decode(row.config))
    if ok then add(row.config_id, config) end
  end
  return out
end

--- Searches.
--- Waits; cancellable.
--- @param work table  of tuning.prepare
--- @param start table  of tuning.start: the first is the base of all trials, and the first trial as it is
--- @param opt table { mode, trials, budget_s, parallel, seed, keep, on_trial } as of tune.run
--- @return table  of tune.run; the info of a trial is its metrics
--- Source: plastinka 5
function tuning.search(work, start, opt)
  local base, points = start[1], {}
  for i, config in ipairs(start) do points[i] = space.point(config) end
  return tune.run({
    space = space.of(opt.mode, work.at), start = points, trials = opt.trials, budget_s = opt.budget_s,
    parallel = opt.parallel, seed = opt.seed or 42, keep = opt.keep, on_trial = opt.on_trial,
    mode = work.higher_is_better and "max" or "min",
    pruner = { kind = "asha", first = RUNG, factor = RUNG, last = base.training_config.max_epochs },
    objective = function(params, trial)
      local is_base = trial.number == 1 -- what the others are compared with: never given up
      local config = is_base and base or model_config.check(space.merge(base, params))
      return tuning.trial(work, config, not is_base and trial or nil)
    end,
  })
end

--- The configuration of a trial.
--- @param base table  the first of tuning.start
--- @param record table  of tune.run
--- @return table
--- Source: ours
function tuning.config(base, record)
  if record.number == 1 then return base end
  return model_config.check(space.merge(base, tune.nested(record.params)))
end

return tuning
