-- What will be sold next month, title by title, with its uncertainty, and what to order: as many as make
-- demand met with the probability `service_level`, less what is in stock.
local parts = require("report_parts")
local time = require("time")

local MONTHS = 18 -- of history

-- The quantile at :service_level, linear between the five that are stored.
local TARGET = [[
  CASE WHEN :service_level <= 0.05 THEN quantile_05
    WHEN :service_level <= 0.25 THEN quantile_05 + (quantile_25 - quantile_05) * (:service_level - 0.05) / 0.2
    WHEN :service_level <= 0.5 THEN quantile_25 + (quantile_50 - quantile_25) * (:service_level - 0.25) / 0.25
    WHEN :service_level <= 0.75 THEN quantile_50 + (quantile_75 - quantile_50) * (:service_level - 0.5) / 0.25
    ELSE quantile_75 + (quantile_95 - quantile_75) * (:service_level - 0.75) / 0.2 END]]

-- What the quantiles say of the mean: the area under them, by trapezoids.
local EXPECTED = "0.15 * quantile_05 + 0.225 * quantile_25 + 0.25 * quantile_50 + 0.225 * quantile_75 + "
  .. "0.15 * quantile_95"

return {
  title = "forecast_report",
  summary = "Forecast of a month with five quantiles, last known availability, mean and lost sales, and the "
    .. "quantity to order with its reason",
  uses_model = true,
  params = {
    service_level = "number 0.05..0.95 = 0.75 -- the probability with which demand is to be met",
  },
  months = [[SELECT prediction_month AS month FROM prediction_results
    WHERE :model_id IS NULL OR model_id = :model_id GROUP BY 1 ORDER BY 1 DESC]],
  args = function(cx)
    local d, month = cx.db, cx.month
    return {
      first = time.add_months(month, -MONTHS), year_ago = time.add_months(month, -12), n = MONTHS,
      stock_date = d:value("SELECT max(data_date) FROM fact_stock WHERE data_date <= ?", { month }),
      n_year = math.max(1, d:value("SELECT count(*) FROM data_months WHERE data_date >= ? AND data_date < ?",
        { time.add_months(month, -12), month })),
    }
  end,
  steps = {
    "CREATE TABLE history(multiindex_id INTEGER PRIMARY KEY, series TEXT, units_year REAL)",
    [[INSERT INTO history
      SELECT s.multiindex_id, month_series(s.data_date, s.value, :first, :n),
             total(s.value) FILTER (WHERE s.data_date >= :year_ago)
      FROM fact_predictions p JOIN fact_sales s ON s.multiindex_id = p.multiindex_id
        AND s.data_date >= :first AND s.data_date < :month
      WHERE p.prediction_month = :month AND p.model_id = :model_id GROUP BY s.multiindex_id]],
    [[CREATE TABLE demand AS
      SELECT p.*, ]] .. EXPECTED .. [[ AS expected, ]] .. TARGET .. [[ AS target,
        iif(:stock_date IS NULL, NULL, coalesce(k.value, 0)) AS stock,
        (SELECT x.value FROM fact_prices x WHERE x.multiindex_id = p.multiindex_id AND x.data_date <= :month
         ORDER BY x.data_date DESC LIMIT 1) AS price,
        (SELECT max(g.data_date) FROM report_features g WHERE g.multiindex_id = p.multiindex_id
           AND g.data_date <= :month) AS features_month
      FROM fact_predictions p
      LEFT JOIN fact_stock k ON k.multiindex_id = p.multiindex_id AND k.data_date = :stock_date
      WHERE p.prediction_month = :month AND p.model_id = :model_id]],
  },
  query = [[
    SELECT d.result_id, d.multiindex_id, i.barcode, i.artist, i.album, i.cover_type, i.price_category, i.release_type,
      i.recording_decade, i.release_decade, i.style, i.recording_year, d.model_id, d.prediction_month,
      d.quantile_05, d.quantile_25, d.quantile_50, d.quantile_75, d.quantile_95,
      f.availability, f.confidence, f.masked_mean_sales_items, f.masked_mean_sales_rub, f.lost_sales,
      d.features_month, d.method, d.expected, d.target, h.series, coalesce(h.units_year, 0) / :n_year AS mean_sales,
      d.stock, d.price, max(0, CAST(round(d.target - coalesce(d.stock, 0)) AS INTEGER)) AS order_quantity,
      max(0, CAST(round(d.target - coalesce(d.stock, 0)) AS INTEGER)) * d.price AS order_value,
      CASE WHEN d.target < 0.5 THEN :word_reason_low
        WHEN d.stock IS NULL THEN format(:word_reason_no_stock, round(d.target))
        WHEN round(d.target - d.stock) >= 1
          THEN format(:word_reason_order, round(:service_level * 100), round(d.target), d.stock)
        ELSE format(:word_reason_covered, d.stock, round(d.target)) END
      || iif(f.availability < 0.5 AND d.method = 'model', format(:word_note_scarce, round(f.availability * 100)), '')
      || iif(d.method = 'cold_start', :word_note_cold, '') AS reason
    FROM demand d JOIN dim_multiindex_mapping i USING (multiindex_id)
    LEFT JOIN history h USING (multiindex_id)
    LEFT JOIN report_features f ON f.multiindex_id = d.multiindex_id AND f.data_date = d.features_month]],
  order = "artist, album, multiindex_id",
  page_order = "order_quantity > 0 DESC, order_value DESC, expected DESC, multiindex_id",

  columns = { -- the first 24 as csv readers of old expect them
    { name = "result_id", title = "result_id", width = 12 }, { name = "multiindex_id", title = "multiindex_id" },
    { name = "barcode", title = "barcode", width = 16 }, { name = "artist", title = "artist", width = 24 },
    { name = "album", title = "album", width = 30 }, { name = "cover_type", title = "cover_type" },
    { name = "price_category", title = "price_category", width = 18 },
    { name = "release_type", title = "release_type" },
    { name = "recording_decade", title = "recording_decade" }, { name = "release_decade", title = "release_decade" },
    { name = "style", title = "style", width = 16 }, { name = "recording_year", title = "recording_year" },
    { name = "model_id", title = "model_id", width = 12 },
    { name = "prediction_month", title = "month", style = "date" },
    { name = "quantile_05", title = "q05" }, { name = "quantile_25", title = "q25" },
    { name = "quantile_50", title = "q50" }, { name = "quantile_75", title = "q75" },
    { name = "quantile_95", title = "q95" },
    { name = "availability", title = "availability_long", style = "percent" },
    { name = "confidence", title = "confidence" },
    { name = "masked_mean_sales_items", title = "mean_sales_day", csv = "Средние продажи (шт)" },
    { name = "masked_mean_sales_rub", title = "mean_sales_day_rub", csv = "Средние продажи (руб)", style = "money" },
    { name = "lost_sales", title = "lost_sales", csv = "Потерянные продажи (руб)", style = "money" },
    { name = "features_month", title = "features_month", style = "date" }, { name = "method", title = "method" },
    { name = "expected", title = "forecast_expected" }, { name = "mean_sales", title = "mean_sales_long" },
    { name = "stock", title = "stock" }, { name = "price", title = "price", style = "money" },
    { name = "target", title = "target_units" }, { name = "order_quantity", title = "order_quantity", style = "whole" },
    { name = "order_value", title = "order_value", style = "money" }, { name = "reason", title = "reason", width = 60 },
  },

  page = function(cx)
    local d, t, chart = cx.db, cx.t, cx.chart
    local totals = d:row([[SELECT count(*) AS n, total(expected) AS expected, total(quantile_25) AS low,
      total(quantile_75) AS high, total(order_quantity) AS order_units, total(order_value) AS order_value,
      total(lost_sales) AS lost, total(order_quantity > 0) AS to_order, total(method = 'cold_start') AS cold,
      max(quantile_95) AS max_q95, quantile(quantile_95, 0.998) AS scale FROM result]])
    local labels, sold, forecast, low, high = {}, {}, {}, {}, {}
    local past = d:query([[SELECT substr(s.data_date, 1, 7) AS month, sum(s.value) AS units
      FROM result r JOIN fact_sales s ON s.multiindex_id = r.multiindex_id
      WHERE s.data_date >= :first AND s.data_date < :month GROUP BY 1 ORDER BY 1]],
      { first = cx.args.first, month = cx.month })
    for i, p in ipairs(past) do
      labels[i], sold[i], forecast[i], low[i], high[i] = p.month, p.units, false, false, false
    end
    local n = #past
    if n > 0 then forecast[n], low[n], high[n] = sold[n], sold[n], sold[n] end
    labels[n + 1], sold[n + 1] = cx.month:sub(1, 7), false
    forecast[n + 1], low[n + 1], high[n + 1] = totals.expected, totals.low, totals.high
    local styles = d:query([[SELECT style AS name, sum(order_quantity) AS v FROM result GROUP BY 1
      ORDER BY 2 DESC, 1 LIMIT 10]])
    local prices = d:query([[SELECT price_category AS name, sum(expected) AS v FROM result GROUP BY 1
      ORDER BY CAST(ltrim(price_category, '(') AS REAL)]])
    for _, p in ipairs(prices) do p.label = parts.price_label(t, p.name) end
    return {
      totals = totals, scale = math.max(totals.scale or 1, 1),
      styles = d:query("SELECT style AS name, count(*) AS n FROM result GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 200"),
      prices = prices,
      trend = chart.line({ labels = labels, width = 1300, height = 240, title = t.sales_and_forecast, decimals = 0,
        series = { { name = t.actual_sales, values = sold }, { name = t.forecast, values = forecast } },
        inner = { low = low, high = high } }),
      by_style = parts.bars(chart, styles, { title = t.by_style }),
      by_price = parts.bars(chart, prices, { title = t.by_price }),
    }
  end,
}
