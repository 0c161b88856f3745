-- metrics.lua - how good forecasts, intervals and yes/no predictions are.
--
-- Numbers are tensors or plain tables; a score that is not defined (a division by nothing, one class
-- only) is nil. Scores are fractions, never per cent. Missing actuals (NaN) are left out.

local core = require("core.metrics")
local raise = require("raise")
local metrics = {}

--- All scores of a point forecast at once.
--- @param actual tensor|table  (N) what came; NaN = not known
--- @param forecast tensor|table  (N)
--- @param opt table? { weight = (N), train = the series before, season = 1 (of mase and rmsse) }
--- @return table  mae mse rmse bias bias_share medae max_error mape_nonzero mape_nonzero_n mape_eps
---   mape_one smape wape r2 mase rmsse rmsse_m5 n
--- Raises: shape, nan, invalid, nomem
--- Source: Hyndman and Koehler 2006; Makridakis et al. 2022 (rmsse)
function metrics.point(actual, forecast, opt)
  return (raise.check(core.point(actual, forecast, opt)))
end

-- One score of metrics.point as a function of its own.
local function point_score(name)
  return function(actual, forecast, opt)
    return metrics.point(actual, forecast, opt)[name]
  end
end

--- Mean |e|. Arguments and errors of this and the next ones: see metrics.point.
--- @return number
metrics.mae = point_score("mae")
--- Root of the mean e^2.
--- @return number
metrics.rmse = point_score("rmse")
--- Mean e = forecast - actual: above 0 too much was forecast.
--- @return number
metrics.bias = point_score("bias")
--- Mean |e|/|actual| over the actuals that are not 0.
--- @return number?
metrics.mape = point_score("mape_nonzero")
--- Mean 2|e|/(|actual| + |forecast|), 0 to 2.
--- @return number
metrics.smape = point_score("smape")
--- Sum |e| / sum |actual|.
--- @return number?
metrics.wape = point_score("wape")
--- Mean |e| in units of the naive error of opt.train at lag opt.season.
--- @return number?
metrics.mase = point_score("mase")
--- Root mean squared error in units of the naive one of opt.train.
--- @return number?
metrics.rmsse = point_score("rmsse")

--- All scores of a quantile forecast.
--- @param actual tensor|table  (N)
--- @param forecast tensor|table  (N, Q)
--- @param levels table  (Q) ascending, between 0 and 1
--- @param opt table? { weight = (N), level_weight = (Q), for pinball_weighted }
--- @return table  pinball pinball_weighted wql crps crps_trapezoid coverage width winkler crossings n
---   and lists pinball_per_quantile, wql_per_quantile, below_per_quantile
--- Raises: shape, nan, invalid
--- Source: Gneiting and Raftery 2007
function metrics.quantile(actual, forecast, levels, opt)
  return (raise.check(core.quantile(actual, forecast, levels, opt)))
end

--- Mean pinball loss over rows and levels.
--- @param actual tensor|table  (N)
--- @param forecast tensor|table  (N, Q)
--- @param levels table  (Q) ascending, between 0 and 1
--- @param opt table? as metrics.quantile
--- @return number
function metrics.pinball(actual, forecast, levels, opt)
  return metrics.quantile(actual, forecast, levels, opt).pinball
end

--- CRPS of samples, and its fair form (nil for one sample).
--- @param actual tensor|table  (N)
--- @param samples tensor|table  (N, S)
--- @param opt table? { weight = (N) }
--- @return number, number?
--- Raises: shape, nan, invalid, nomem
--- Source: Zamo and Naveau 2018
function metrics.crps(actual, samples, opt)
  return raise.check(core.samples(actual, samples, opt))
end

-- A state that has seen the batches: a pair, or a list of pairs { samples, actual }.
local function interval(kind, samples, actual, opt)
  local conf = { kind = kind }
  for k, v in pairs(opt or {}) do conf[k] = v end
  local state = raise.check(core.interval(conf))
  raise.check(state:add(samples, actual))
  return state
end

--- MIWS: mean interval width score, sales and no-sales rows weighed together. Lower is better.
--- @param samples tensor|table  (N, S) draws per row, in scaled space
--- @param actual tensor|table  (N) scaled; exactly 1e-6 marks "sold nothing"
--- @param opt table? { low = 0.05, high = 0.95, zero_threshold = 0, nonzero_threshold = 0, base = 1,
---   direction = "none", single = false (round like float32) }
--- @return number  infinite when one of the two groups is empty
--- Raises: shape, nan, invalid (an empty group has a threshold), nomem
--- Source: ours (the reference's training metric)
function metrics.miws(samples, actual, opt)
  return (raise.check(interval("miws", samples, actual, opt):value()))
end

--- MIC: how often the interval holds the actual. Higher is better.
--- @param samples tensor|table  (N, S)
--- @param actual tensor|table  (N)
--- @param opt table? as metrics.miws
--- @return number
function metrics.mic(samples, actual, opt)
  return (raise.check(interval("mic", samples, actual, opt):value()))
end

--- Width against cover in one number. Lower is better.
--- @param samples tensor|table  (N, S)
--- @param actual tensor|table  (N)
--- @param opt table? low, high, single, as metrics.miws
--- @return number
function metrics.miws_mic_ratio(samples, actual, opt)
  local conf = { for_ratio = true }
  for k, v in pairs(opt or {}) do conf[k] = v end
  local miws = interval("miws", samples, actual, conf)
  return (raise.check(miws:ratio(interval("mic", samples, actual, conf))))
end

--- A MIWS or MIC over several batches: state:add(samples, actual), state:value(), state:groups(),
--- and for kind "miws" state:ratio(mic), both made with for_ratio = true. Its calls answer
--- nil, message, code when refused.
--- @param opt table { kind = "miws" | "mic", for_ratio = false, … as metrics.miws }
--- @return userdata
--- Raises: invalid
--- Source: ours
function metrics.interval(opt)
  return (raise.check(core.interval(opt)))
end

--- All scores of a yes/no prediction.
--- @param label tensor|table  (N) 0 or 1
--- @param score tensor|table  (N)
--- @param opt table? { weight = (N) }
--- @return table  auc average_precision brier logloss best_f1 best_threshold base_rate n
--- Raises: shape, nan, invalid, nomem
--- Source: Fawcett 2006; Brier 1950
function metrics.class(label, score, opt)
  return (raise.check(core.class(label, score, opt)))
end

-- One score of metrics.class as a function of its own.
local function class_score(name)
  return function(label, score, opt)
    return metrics.class(label, score, opt)[name]
  end
end

--- Area under the ROC curve; ties count half. As metrics.class.
--- @return number?
metrics.auc = class_score("auc")
--- Step-wise area under precision over recall.
--- @return number?
metrics.average_precision = class_score("average_precision")
--- Mean (score - label)^2.
--- @return number
metrics.brier = class_score("brier")
--- Mean negative log likelihood.
--- @return number
metrics.logloss = class_score("logloss")

--- What saying "yes" at score >= threshold comes to.
--- @param label tensor|table  (N) 0 or 1
--- @param score tensor|table  (N)
--- @param threshold number
--- @param opt table? { weight = (N) }
--- @return table  tp fp fn tn precision recall f1 accuracy threshold
--- Raises: shape, nan, invalid
--- Source: Fawcett 2006
function metrics.class_at(label, score, threshold, opt)
  return (raise.check(core.class_at(label, score, threshold, opt)))
end

--- F1 at a threshold.
--- @param label tensor|table  (N) 0 or 1
--- @param score tensor|table  (N)
--- @param threshold number?  0.5
--- @param opt table? { weight = (N) }
--- @return number
function metrics.f1(label, score, threshold, opt)
  return metrics.class_at(label, score, threshold or 0.5, opt).f1
end

--- Reliability table: bins of equal width over 0 to 1, and the expected calibration error.
--- @param label tensor|table  (N) 0 or 1
--- @param score tensor|table  (N), 0 to 1
--- @param bins integer? 10
--- @param opt table? { weight = (N) }
--- @return table, number  list of { low, high, weight, mean_score, yes_rate }; the error
--- Raises: shape, nan, invalid
--- Source: ours
function metrics.calibration(label, score, bins, opt)
  return raise.check(core.calibration(label, score, bins or 10, opt))
end

--- What kind of demand a series is: smooth, erratic, intermittent, lumpy.
--- @param series tensor|table  (T)
--- @return table  adi, cv2, class; empty when nothing was ever sold
--- Raises: -
--- Source: Syntetos, Boylan and Croston 2005
function metrics.demand(series)
  return core.demand(series)
end

return metrics
