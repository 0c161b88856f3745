-- health_model.lua - how the model that forecasts is: its metric, and how its forecasts did on the
-- months that have come since. /health asks every second, so what costs is computed once for each
-- state of the data.
--
-- Drift: forecasts of the last complete months, each made by a model that had not seen that month,
-- against what was sold; their WAPE over what was promised before them: by the backtest of the model that
-- forecast the first of them. So training again does not hide that something happened.

local db = require("db")
local json = require("core.json")
local settings = require("settings")

local health_model = {}

local MONTHS = 3        -- complete months looked at
local UNITS_LEAST = 20  -- sold in them: fewer say nothing

local known_state, known = nil, nil

local STATE = [[SELECT coalesce((SELECT model_id FROM models WHERE model_kind = 'sales' AND is_active = 1), '-')
  || ' ' || coalesce((SELECT max(prediction_id) FROM fact_predictions), 0)
  || ' ' || coalesce((SELECT max(updated_at) || count(*) FROM data_months), '')
  || ' ' || coalesce((SELECT max(rowid) FROM training_results), 0)]]

-- The newest forecast of each complete month by a model that had not seen it.
local LIVE = [[SELECT r.prediction_month AS month, r.model_id, max(r.rowid) AS newest
  FROM prediction_results r JOIN data_months d ON d.data_date = r.prediction_month AND d.is_complete = 1
  JOIN models m ON m.model_id = r.model_id AND m.model_kind = 'sales'
  WHERE coalesce(json_extract(m.metadata, '$.months.to'), substr(m.created_at, 1, 10)) < r.prediction_month
  GROUP BY r.prediction_month ORDER BY r.prediction_month DESC LIMIT ]] .. MONTHS

local MISSED = [[SELECT count(*) AS n, total(abs(quantile_50 - coalesce(units, 0))) AS missed, total(units) AS sold,
    total(coalesce(units, 0) BETWEEN quantile_05 AND quantile_95) AS covered
  FROM fact_predictions p LEFT JOIN (SELECT multiindex_id, sum(value) AS units FROM fact_sales
    WHERE data_date >= :month AND data_date < date(:month, '+1 month') GROUP BY multiindex_id) USING (multiindex_id)
  WHERE p.prediction_month = :month AND p.model_id = :model_id]]

-- What its test promised: of the blend that forecasts, or of the network where there is only that.
local EXPECTED = [[SELECT avg(coalesce(json_extract(metrics, '$.backtest.models.model.wape'),
  json_extract(metrics, '$.backtest.models.tide.wape'))) FROM training_results
  WHERE model_id IN (SELECT value FROM json_each(?))]]

local function tidy(x) return math.floor(x * 1000 + 0.5) / 1000 end

-- nil when there is nothing to judge by
local function live_error(d)
  local missed, sold, n, covered, months, models = 0, 0, 0, 0, {}, {}
  for _, row in ipairs(d:query(LIVE)) do
    local e = d:row(MISSED, { month = row.month, model_id = row.model_id })
    if e.n > 0 then
      missed, sold, n, covered = missed + e.missed, sold + e.sold, n + e.n, covered + e.covered
      months[#months + 1], models[#models + 1] = row.month:sub(1, 7), row.model_id
    end
  end
  if sold < UNITS_LEAST then return nil end
  local out = { wape = tidy(missed / sold), coverage_90 = tidy(covered / n), months = months }
  local expected = d:value(EXPECTED, { json.encode({ models[#models] }) }) or d:value(EXPECTED, { json.encode(models) })
  if expected and expected > 0 then
    out.expected_wape, out.drift = tidy(expected), tidy(missed / sold / expected)
  end
  return out
end

local function metric_of(d, id)
  return d:value([[SELECT json_extract(metrics, '$."' || ?2 || '"') FROM training_results WHERE model_id = ?1
    AND json_type(metrics, '$."' || ?2 || '"') IN ('integer', 'real') ORDER BY rowid DESC LIMIT 1]],
    { id, settings.model_metric })
end

-- The simple method that beat the active model in its own backtest: { name, wape }, with the model's wape; nil when
-- none did.
local function beaten_by(d, id)
  return d:row([[WITH m AS (SELECT metrics -> '$.backtest.models' AS t FROM training_results WHERE model_id = ?
      AND json_type(metrics, '$.backtest.models') = 'object' ORDER BY rowid DESC LIMIT 1)
    SELECT key AS name, value ->> 'wape' AS wape, t ->> '$.model.wape' AS own FROM m, json_each(m.t)
    WHERE key IN ('naive', 'seasonal_naive', 'mean_3') AND wape < own ORDER BY wape LIMIT 1]], { id })
end

local function look(d)
  local id = d:value("SELECT model_id FROM models WHERE model_kind = 'sales' AND is_active = 1")
  if not id then
    if not d:value("SELECT 1 FROM data_months LIMIT 1") then
      return { status = "healthy", details = { reason = "there is nothing to forecast from yet" } }
    end
    return { status = "degraded", details = { reason = "no model is active" } }
  end
  local alarm = settings.model_metric_alarm
  local details = { model_id = id, metric = settings.model_metric, threshold = alarm ~= 0 and alarm or nil,
                    metric_value = metric_of(d, id), live = live_error(d) }
  local reasons = {}
  if not details.metric_value then
    reasons[1] = "the active model has no " .. details.metric
  elseif alarm ~= 0 and (settings.model_metric_higher_is_better and details.metric_value < alarm
    or not settings.model_metric_higher_is_better and details.metric_value >= alarm) then
    reasons[1] = ("%s of the active model is %.4g, on the bad side of %.4g"):format(details.metric,
      details.metric_value, alarm)
  end
  local beaten = beaten_by(d, id)
  if beaten then
    reasons[#reasons + 1] = ("%s alone missed less in the backtest: %.3g of what was sold, the model %.3g"):format(
      beaten.name, beaten.wape, beaten.own)
  end
  local live = details.live
  if live and live.drift then
    details.drift_threshold = settings.model_drift_alarm
    if live.drift > settings.model_drift_alarm then
      reasons[#reasons + 1] = ("forecasts of %s missed %.3g of what was sold, %.3g times what the test promised; "
        .. "train again, or tune"):format(table.concat(live.months, ", "), live.wape, live.drift)
    end
  end
  if reasons[1] then details.reason = table.concat(reasons, "; ") end
  return { status = reasons[1] and "degraded" or "healthy", details = details }
end

--- The component active_model_metric of /health. Cheap unless there are new data or models.
--- Waits.
--- @return string  "healthy" or "degraded"
--- @return table   { reason, model_id, metric, metric_value, threshold, live = { wape, coverage_90, months,
---   expected_wape, drift }, drift_threshold }
--- Source: plastinka.md 1.6.13, without defect 20
function health_model.status()
  local d = db.main()
  local state = d:value(STATE)
  if state ~= known_state then known, known_state = look(d), state end
  return known.status, known.details
end

return health_model
