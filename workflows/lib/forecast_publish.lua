-- forecast_publish.lua - a model and what it says, from memory into the main database: rows of models,
-- training_results, prediction_results and fact_predictions. Called inside the transaction that publishes.

local crypto = require("crypto")
local db = require("db")
local json = require("json")
local publish = require("upload_publish")
local tensor = require("tensor")

local forecast_publish = {}

local INSERT = [[INSERT INTO fact_predictions(multiindex_id, prediction_month, result_id, model_id, quantile_05,
    quantile_25, quantile_50, quantile_75, quantile_95, method)
  SELECT p.value ->> 0, :month, :result, :model, round(p.value ->> 1, 2), round(p.value ->> 2, 2),
    round(p.value ->> 3, 2), round(p.value ->> 4, 2), round(p.value ->> 5, 2),
    iif(p.value ->> 6 > 0, 'cold_start', 'model')
  FROM json_each(:rows) p]]

--- The forecast of a month as JSON: a row of id, five quantiles and whether it is of the attributes only, for each
--- product.
--- Waits.
--- @param panel panel
--- @param month table  { month, quantiles, cold } of forecast.predict
--- @return table  { month, rows = text, summary }
--- Source: ours
function forecast_publish.rows(panel, month)
  local all = tensor.concat({ month.quantiles, month.cold:reshape({ panel.n, 1 }) }, 2):table()
  local text = panel.d:value([[SELECT json_group_array(json_array(item.multiindex_id, value ->> 0, value ->> 1,
      value ->> 2, value ->> 3, value ->> 4, value ->> 5))
    FROM json_each(?) r JOIN item ON item.product = r.key + 1]], { json.encode(all) })
  local total = month.quantiles:sum(1):table()
  local summary = { n_products = panel.n, n_cold_start = month.cold:sum() // 1 | 0 }
  for i, name in ipairs({ "units_q05", "units_q25", "units_q50", "units_q75", "units_q95" }) do
    summary[name] = tonumber(("%.2f"):format(total[i]))
  end
  return { month = month.month, rows = text, summary = summary }
end

--- What a model said of a month that has come since: the other side of a duel.
--- Waits.
--- @param panel panel
--- @param main db
--- @param row table  of models, metadata read
--- @return table?  { model_id, quantiles (N, 5), NaN where it said nothing }; nil when it had seen the panel's last
---   month, or said nothing of it
--- Source: ours
function forecast_publish.promised(panel, main, row)
  local until_ = row.metadata and row.metadata.months and row.metadata.months.to
  if type(until_) ~= "string" or until_ >= panel.last then return nil end
  local q = publish.with_shop(panel.d, main, function()
    return (panel.d:matrix([[SELECT quantile_05, quantile_25, quantile_50, quantile_75, quantile_95
      FROM item LEFT JOIN shop.fact_predictions p ON p.multiindex_id = item.multiindex_id
        AND p.prediction_month = ? AND p.model_id = ? ORDER BY product]], { panel.last, row.model_id }))
  end, "deferred")
  if q:isnan():mean() == 1 then return nil end
  return { model_id = row.model_id, quantiles = q }
end

--- Writes what the backtest said of its last month.
--- Waits.
--- @param tx db
--- @param result_id string  of the training result
--- @param held table  of forecast_publish.rows
--- Source: ours
function forecast_publish.held(tx, result_id, held)
  tx:exec([[INSERT INTO backtest_predictions(result_id, multiindex_id, prediction_month, quantile_05, quantile_25,
      quantile_50, quantile_75, quantile_95)
    SELECT :result, p.value ->> 0, :month, round(p.value ->> 1, 2), round(p.value ->> 2, 2),
      round(p.value ->> 3, 2), round(p.value ->> 4, 2), round(p.value ->> 5, 2)
    FROM json_each(:rows) p]], { result = result_id, month = held.month, rows = held.rows })
end

--- Writes the forecasts of a model: those it made of the same months before are replaced.
--- Waits.
--- @param tx db
--- @param job_id string
--- @param model_id string
--- @param months table  array of forecast_publish.rows
--- @return table  array of { result_id, prediction_month, … the summary }
--- Source: ours
function forecast_publish.predictions(tx, job_id, model_id, months)
  local out = json.array({})
  for i, m in ipairs(months) do
    local result_id = crypto.uuid(7)
    tx:exec("DELETE FROM prediction_results WHERE model_id = ? AND prediction_month = ?", { model_id, m.month })
    tx:exec("DELETE FROM fact_predictions WHERE prediction_month = ? AND model_id = ?", { m.month, model_id })
    tx:exec([[INSERT INTO prediction_results(result_id, job_id, model_id, prediction_month, summary_metrics)
      VALUES (?, ?, ?, ?, ?)]], { result_id, job_id, model_id, m.month, json.encode(m.summary, { sorted = true }) })
    tx:exec(INSERT, { month = m.month, result = result_id, model = model_id, rows = m.rows })
    out[i] = { result_id = result_id, prediction_month = m.month }
    for k, v in pairs(m.summary) do out[i][k] = v end
  end
  return out
end

--- Writes a trained model and its scores.
--- Waits.
--- @param tx db
--- @param m table { model_id, job_id, config_id, file = name in models/, sha256, metadata, metrics, duration }
--- @return string  the id of the training result
--- Source: ours
function forecast_publish.model(tx, m)
  local result_id = crypto.uuid(7)
  tx:exec([[INSERT INTO models(model_id, job_id, model_kind, model_path, metadata, sha256)
    VALUES (?, ?, 'sales', ?, ?, ?)]],
    { m.model_id, m.job_id, m.file, json.encode(m.metadata, { sorted = true }), m.sha256 })
  tx:exec([[INSERT INTO training_results(result_id, job_id, model_id, config_id, metrics, duration)
    VALUES (?, ?, ?, ?, ?, ?)]],
    { result_id, m.job_id, m.model_id, m.config_id or db.null, json.encode(m.metrics, { sorted = true }), m.duration })
  tx:exec("UPDATE jobs SET config_id = ?, model_id = ?, result_id = ? WHERE job_id = ?",
    { m.config_id or db.null, m.model_id, result_id, m.job_id })
  return result_id
end

return forecast_publish
