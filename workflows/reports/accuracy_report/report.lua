-- How good the forecast of a month was, now that its sales are known: errors, coverage of the intervals, the
-- worst misses, against what simple methods would have said. And the backtest of the last training; before the
-- first forecast has come true, also what that would have said of its last month.
local json = require("json")
local parts = require("report_parts")
local time = require("time")

local EXPECTED = "0.15 * quantile_05 + 0.225 * quantile_25 + 0.25 * quantile_50 + 0.225 * quantile_75 + "
  .. "0.15 * quantile_95"

-- Methods that words.lua has a name for, as method_NAME.
local NAMED = " model tide trees naive seasonal_naive mean_2 mean_3 mean_6 mean_12 ses ets theta median croston tsb "

-- The backtest of the model's training, or of the last: methods by their error, with a chart.
local function backtest_of(cx)
  local d, t = cx.db, cx.t
  local row = d:row([[SELECT metrics FROM training_results WHERE json_extract(metrics, '$.backtest.models') IS NOT NULL
    ORDER BY model_id IS :model_id DESC, created_at DESC, rowid DESC LIMIT 1]], { model_id = cx.model_id or json.null })
  if not row then return nil end
  local backtest = json.decode(row.metrics).backtest
  local own, list = backtest.models.model and "model" or "tide", {}
  for name, m in pairs(backtest.models) do
    if type(m) == "table" and type(m.wape) == "number" then
      m.name, m.is_own = name, name == own
      m.label = NAMED:find(" " .. name .. " ", 1, true) and t["method_" .. name] or name
      for k, v in pairs(m) do
        if v == json.null then m[k] = nil end
      end
      list[#list + 1] = m
    end
  end
  table.sort(list, function(a, b)
    if a.wape ~= b.wape then return a.wape < b.wape end
    return a.name < b.name
  end)
  if #list == 0 then return nil end
  local months = {}
  for i, m in ipairs(backtest.months or {}) do months[i] = tostring(m):sub(1, 7) end
  local out = { methods = list, months = table.concat(months, ", ") }
  local bars = {}
  for i, m in ipairs(list) do
    bars[i] = { name = m.label, v = m.wape * 100 }
    if m.is_own then out.own, out.place = m, i end
  end
  out.chart = parts.bars(cx.chart, bars, { title = t.error_by_method, decimals = 1, unit = "\u{A0}%",
    highlight = out.place, bar = 24 })
  return out
end

return {
  title = "accuracy_report",
  summary = "Forecast and actual of a month: errors, coverage of the intervals, worst misses, against simple methods",
  uses_model = true, first_model = true,
  -- months whose sales are known; the last of all even without forecasts, for the backtest
  months = [[SELECT month FROM (
      SELECT r.prediction_month AS month, 1 AS has_rows FROM prediction_results r
        JOIN data_months m ON m.data_date = r.prediction_month AND m.is_complete = 1
        WHERE :model_id IS NULL OR r.model_id = :model_id
      UNION ALL
      SELECT max(data_date), 0 FROM data_months WHERE is_complete = 1
        AND EXISTS (SELECT 1 FROM training_results WHERE json_extract(metrics, '$.backtest.models') IS NOT NULL))
    WHERE month IS NOT NULL GROUP BY month ORDER BY max(has_rows) DESC, month DESC]],
  args = function(cx)
    local month = cx.month
    local year_ago = time.add_months(month, -12)
    return {
      backtest_id = cx.db:value([[SELECT t.result_id FROM training_results t
          WHERE NOT EXISTS (SELECT 1 FROM fact_predictions WHERE prediction_month = :month AND model_id = :model_id)
            AND EXISTS (SELECT 1 FROM backtest_predictions b
                        WHERE b.result_id = t.result_id AND b.prediction_month = :month)
          ORDER BY t.model_id IS :model_id DESC, t.created_at DESC, t.rowid DESC LIMIT 1]],
        { month = month, model_id = cx.model_id or json.null }) or json.null,
      after = time.add_months(month, 1), last = time.add_months(month, -1), since_3 = time.add_months(month, -3),
      year_ago = year_ago, year_ago_after = time.add_months(year_ago, 1),
      has_year = cx.db:value("SELECT count(*) FROM data_months WHERE data_date = ?", { year_ago }),
    }
  end,
  steps = {
    [[CREATE TABLE said AS
      SELECT multiindex_id, prediction_month, model_id, method, quantile_05, quantile_25, quantile_50, quantile_75,
        quantile_95 FROM fact_predictions WHERE prediction_month = :month AND model_id = :model_id
      UNION ALL
      SELECT b.multiindex_id, b.prediction_month, t.model_id, 'backtest', b.quantile_05, b.quantile_25, b.quantile_50,
        b.quantile_75, b.quantile_95 FROM backtest_predictions b JOIN training_results t USING (result_id)
        WHERE b.result_id = :backtest_id]],
    "CREATE TABLE past(multiindex_id INTEGER PRIMARY KEY, actual REAL, naive REAL, mean_3 REAL, seasonal REAL)",
    [[INSERT INTO past
      SELECT s.multiindex_id, total(s.value) FILTER (WHERE s.data_date >= :month),
        total(s.value) FILTER (WHERE s.data_date >= :last AND s.data_date < :month),
        total(s.value) FILTER (WHERE s.data_date >= :since_3 AND s.data_date < :month) / 3,
        total(s.value) FILTER (WHERE s.data_date < :year_ago_after)
      FROM said p JOIN fact_sales s ON s.multiindex_id = p.multiindex_id
        AND s.data_date >= :year_ago AND s.data_date < :after
      GROUP BY s.multiindex_id]],
    [[CREATE TABLE judged AS
      SELECT p.*, ]] .. EXPECTED .. [[ AS expected, coalesce(a.actual, 0) AS actual, coalesce(a.naive, 0) AS naive,
        coalesce(a.mean_3, 0) AS mean_3, iif(:has_year, coalesce(a.seasonal, 0), NULL) AS seasonal_naive,
        coalesce(a.actual, 0) - p.quantile_50 AS error,
        (SELECT x.value FROM fact_prices x WHERE x.multiindex_id = p.multiindex_id AND x.data_date <= :month
         ORDER BY x.data_date DESC LIMIT 1) AS price
      FROM said p LEFT JOIN past a USING (multiindex_id)]],
  },
  query = [[
    SELECT j.multiindex_id, i.barcode, i.artist, i.album, i.style, i.price_category, i.release_type, i.release_decade,
      j.model_id, j.prediction_month, j.method, j.quantile_05, j.quantile_25, j.quantile_50, j.quantile_75,
      j.quantile_95, j.expected, j.actual, j.error, abs(j.error) AS abs_error, abs(j.error) * j.price AS missed_value,
      j.actual BETWEEN round(j.quantile_25) AND round(j.quantile_75) AS inside_50,
      j.actual BETWEEN round(j.quantile_05) AND round(j.quantile_95) AS inside_90,
      j.naive, j.mean_3, j.seasonal_naive, j.price
    FROM judged j JOIN dim_multiindex_mapping i USING (multiindex_id)]],
  order = "abs_error DESC, multiindex_id",

  columns = {
    { name = "multiindex_id", title = "multiindex_id" }, { name = "barcode", title = "barcode", width = 16 },
    { name = "artist", title = "artist", width = 24 }, { name = "album", title = "album", width = 30 },
    { name = "style", title = "style", width = 16 }, { name = "price_category", title = "price_category", width = 18 },
    { name = "release_type", title = "release_type" }, { name = "release_decade", title = "release_decade" },
    { name = "model_id", title = "model_id", width = 12 },
    { name = "prediction_month", title = "month", style = "date" }, { name = "method", title = "method" },
    { name = "quantile_05", title = "q05" }, { name = "quantile_25", title = "q25" },
    { name = "quantile_50", title = "q50" }, { name = "quantile_75", title = "q75" },
    { name = "quantile_95", title = "q95" }, { name = "expected", title = "forecast_expected" },
    { name = "actual", title = "actual" }, { name = "error", title = "error" },
    { name = "abs_error", title = "abs_error" }, { name = "missed_value", title = "missed_value", style = "money" },
    { name = "inside_50", title = "inside_50" }, { name = "inside_90", title = "inside_90" },
    { name = "naive", title = "naive" }, { name = "mean_3", title = "mean_3" },
    { name = "seasonal_naive", title = "seasonal_naive" }, { name = "price", title = "price", style = "money" },
  },

  page = function(cx)
    local d, t, chart = cx.db, cx.t, cx.chart
    local totals = d:row([[SELECT count(*) AS n, total(actual) AS actual, total(expected) AS expected,
      avg(inside_50) AS inside_50, avg(inside_90) AS inside_90, total(missed_value) AS missed,
      total(abs_error) / nullif(total(actual), 0) AS wape,
      total(abs(actual - naive)) / nullif(total(actual), 0) AS naive,
      total(abs(actual - mean_3)) / nullif(total(actual), 0) AS mean_3,
      iif(count(seasonal_naive), total(abs(actual - seasonal_naive)) / nullif(total(actual), 0), NULL) AS seasonal,
      (total(expected) - total(actual)) / nullif(total(actual), 0) AS bias,
      quantile(quantile_95, 0.998) AS scale FROM result]])
    local out = { totals = totals, scale = math.max(totals.scale or 1, 1), backtest = backtest_of(cx) or false,
      is_backtest = type(cx.args.backtest_id) == "string",
      by_method = false, by_month = false, spread = false, coverage = false,
      styles = d:query("SELECT style AS name FROM result GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 200") }
    if totals.wape then
      local methods = { { name = t.the_model, v = totals.wape * 100 }, { name = t.mean_3, v = totals.mean_3 * 100 },
        { name = t.naive, v = totals.naive * 100 } }
      if totals.seasonal then methods[#methods + 1] = { name = t.seasonal_naive, v = totals.seasonal * 100 } end
      out.by_method = parts.bars(chart, methods, { title = t.error_by_method, decimals = 1, unit = "\u{A0}%",
        highlight = 1, bar = 26 })
    end
    if totals.n > 0 then
      out.coverage = chart.bars({ labels = { t.coverage_50, t.coverage_90 }, title = t.coverage, width = 640, bar = 30,
        values = { totals.inside_50 * 100, totals.inside_90 * 100 }, marks = { 50, 90 }, decimals = 0,
        unit = "\u{A0}%" })
      local labels, values, at = {}, {}, {}
      for _, r in ipairs(d:query([[SELECT CAST(max(-6, min(6, round(error))) AS INTEGER) AS e, count(*) AS n FROM result
        GROUP BY 1]])) do at[r.e] = r.n end
      for e = -6, 6 do
        labels[e + 7] = e == -6 and "≤ −6" or e == 6 and "≥ 6" or (e < 0 and "−" or "") .. math.abs(e)
        values[e + 7] = at[e] or 0
      end
      out.spread = chart.columns({ labels = labels, values = values, title = t.errors_spread, width = 640, height = 190,
        highlight = 7, decimals = 0 })
    end
    local months = d:query([[
      WITH first AS (SELECT r.prediction_month AS month, r.model_id, min(r.rowid) FROM prediction_results r
        JOIN data_months m ON m.data_date = r.prediction_month AND m.is_complete = 1
        WHERE r.prediction_month <= :month GROUP BY 1 ORDER BY 1 DESC LIMIT 24)
      SELECT f.month, sum(]] .. EXPECTED .. [[) AS expected, sum(quantile_25) AS low, sum(quantile_75) AS high,
        total((SELECT total(s.value) FROM fact_sales s WHERE s.multiindex_id = p.multiindex_id
          AND s.data_date >= f.month AND s.data_date < date(f.month, '+1 month'))) AS actual
      FROM first f JOIN fact_predictions p ON p.prediction_month = f.month AND p.model_id = f.model_id
      WHERE p.multiindex_id IN (SELECT multiindex_id FROM result)
      GROUP BY 1 ORDER BY 1]], { month = cx.month })
    if #months > 1 then
      local labels, actual, expected, low, high = {}, {}, {}, {}, {}
      for i, m in ipairs(months) do
        labels[i], actual[i], expected[i], low[i], high[i] = m.month:sub(1, 7), m.actual, m.expected, m.low, m.high
      end
      out.by_month = chart.line({ labels = labels, width = 1300, height = 220, title = t.by_month, decimals = 0,
        series = { { name = t.actual, values = actual }, { name = t.forecast, values = expected } },
        inner = { low = low, high = high } })
    end
    return out
  end,
}
