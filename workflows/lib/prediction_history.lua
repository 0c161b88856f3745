-- prediction_history.lua - what was forecast, what came of it, product by product. SQLite makes the
-- JSON of a product: there may be many thousands, and none of their numbers concerns Lua.
--
-- An actual is what was sold in a month that is stored; a forecast is judged by months that are
-- complete. A month in which a known product was not sold counts as 0.

local db = require("db")
local fail = require("fail")
local json = require("json")

local prediction_history = {}

local ROWS_AT_ONCE = 50

-- What is asked for, as conditions on fact_predictions p; only those that are, so that indexes serve them.
local function filter_of(q, with_product)
  local list = { "p.prediction_month >= :month_from AND p.prediction_month <= :month_to" }
  if q.model_id then list[#list + 1] = "p.model_id = :model_id" end
  if with_product and q.multiindex_id then list[#list + 1] = "p.multiindex_id = :multiindex_id" end
  return table.concat(list, " AND ")
end

-- Months of one product that have an actual: it was sold, had its monthly row, or was forecast.
local MONTHS = [[SELECT m.data_date AS month, m.is_complete,
    (SELECT total(s.value) FROM fact_sales s WHERE s.multiindex_id = d.multiindex_id
       AND s.data_date >= m.data_date AND s.data_date < date(m.data_date, '+1 month')) AS units
  FROM data_months m WHERE m.data_date >= :month_from AND m.data_date <= :month_to
  AND (EXISTS (SELECT 1 FROM report_features f WHERE f.multiindex_id = d.multiindex_id AND f.data_date = m.data_date)
    OR EXISTS (SELECT 1 FROM fact_sales s WHERE s.multiindex_id = d.multiindex_id AND s.data_date >= m.data_date
      AND s.data_date < date(m.data_date, '+1 month'))
    OR EXISTS (SELECT 1 FROM fact_predictions p WHERE p.multiindex_id = d.multiindex_id
      AND p.prediction_month = m.data_date))
  ORDER BY m.data_date]]

local ACTUAL = [[(SELECT total(s.value) FROM fact_sales s WHERE s.multiindex_id = p.multiindex_id
  AND s.data_date >= p.prediction_month AND s.data_date < date(p.prediction_month, '+1 month'))]]

-- Forecasts of one product, each beside its actual where the month is complete.
local FORECASTS = [[SELECT p.*, iif(EXISTS (SELECT 1 FROM data_months m WHERE m.data_date = p.prediction_month
      AND m.is_complete = 1), ]] .. ACTUAL .. [[, NULL) AS actual
  FROM fact_predictions p WHERE p.multiindex_id = d.multiindex_id AND FILTER
  ORDER BY p.prediction_month, p.model_id]]

-- Two objects become one: without the last brace of the first and the first of the second.
local ITEM = [[rtrim(json_object('multiindex_id', d.multiindex_id,
    'metadata', json_object('barcode', d.barcode, 'artist', d.artist, 'album', d.album, 'cover_type', d.cover_type,
      'price_category', d.price_category, 'release_type', d.release_type, 'recording_decade', d.recording_decade,
      'release_decade', d.release_decade, 'style', d.style, 'recording_year', d.recording_year)), '}') || '},'
  || (SELECT substr(json_object(
      'predictions', json_group_array(json_object('prediction_month', prediction_month, 'model_id', model_id,
        'method', method, 'quantiles', json_object('q05', quantile_05, 'q25', quantile_25, 'q50', quantile_50,
          'q75', quantile_75, 'q95', quantile_95),
        'actual', actual, 'error', quantile_50 - actual,
        'is_covered', json(CASE actual BETWEEN quantile_05 AND quantile_95 WHEN 1 THEN 'true' WHEN 0 THEN 'false'
          ELSE 'null' END))),
      'accuracy', json_object('n', count(actual), 'mean_absolute_error', avg(abs(quantile_50 - actual)),
        'bias', avg(quantile_50 - actual),
        'wape', iif(sum(actual) > 0, total(abs(quantile_50 - actual)) / sum(actual), NULL),
        'coverage_90', avg(actual BETWEEN quantile_05 AND quantile_95))MORE), 2)
    FROM (]] .. FORECASTS .. "))"

local ACTUALS = [[,
  'actuals', (SELECT json_group_array(json_object('month', month, 'sales_count', units,
      'complete', json(iif(is_complete, 'true', 'false')))) FROM (]] .. MONTHS .. "))"

local FEATURES = [[,
  'features', (SELECT json_group_array(json_object('month', data_date, 'availability', availability,
      'confidence', confidence, 'masked_mean_sales_items', masked_mean_sales_items,
      'masked_mean_sales_rub', masked_mean_sales_rub, 'lost_sales_rub', lost_sales))
    FROM (SELECT * FROM report_features f WHERE f.multiindex_id = d.multiindex_id AND f.data_date >= :month_from
      AND f.data_date <= :month_to ORDER BY f.data_date))]]

local DATES = [[SELECT min(low) AS low, max(high) AS high FROM (
  SELECT min(p.prediction_month) AS low, max(p.prediction_month) AS high FROM fact_predictions p
    WHERE FILTER
  UNION ALL SELECT min(data_date), max(data_date) FROM data_months
    WHERE :other AND data_date >= :month_from AND data_date <= :month_to)]]

local function no_predictions(q)
  fail.raise("no_predictions_found", "there are no predictions of this kind", {
    multiindex_id = q.multiindex_id or json.null, prediction_month_from = q.prediction_month_from or json.null,
    prediction_month_to = q.prediction_month_to or json.null, model_id = q.model_id,
    months = prediction_history.months() })
end

--- One page of the history.
--- Waits.
--- @param q table { multiindex_id, prediction_month_from, prediction_month_to, model_id, include_actuals,
---   include_features, limit, cursor = product behind which the page begins }
--- @return function  (write): writes the JSON { items, metadata = { total_items, date_range, next_cursor } } in
---   pieces
--- Raises: no_predictions_found
--- Source: plastinka.md 1.6.12
function prediction_history.page(q)
  local d, filter = db.main(), filter_of(q, true)
  local args = { multiindex_id = q.multiindex_id, model_id = q.model_id,
                 month_from = q.prediction_month_from or "0001-01-01",
                 month_to = q.prediction_month_to or "9999-12-01" }
  local total = d:value("SELECT count(DISTINCT p.multiindex_id) FROM fact_predictions p WHERE " .. filter, args)
  if total == 0 then no_predictions(q) end
  args.other = q.include_actuals or q.include_features
  local range = d:row((DATES:gsub("FILTER", filter)), args)
  args.other, args.cursor = nil, q.cursor or 0
  local more = (q.include_actuals and ACTUALS or "") .. (q.include_features and FEATURES or "")
  local item = ITEM:gsub("FILTER", filter_of(q)):gsub("MORE", function() return more end)
  local sql = "SELECT d.multiindex_id AS id, " .. item .. [[ AS item
    FROM dim_multiindex_mapping d WHERE d.multiindex_id IN (SELECT DISTINCT p.multiindex_id FROM fact_predictions p
      WHERE ]] .. filter .. [[ AND p.multiindex_id > :cursor ORDER BY 1 LIMIT ]] .. q.limit + 1 .. [[)
    ORDER BY d.multiindex_id]]
  return function(write)
    write('{"items":[')
    local n, last, next_cursor = 0, nil, nil
    for row in d:rows(sql, args, ROWS_AT_ONCE) do
      if n == q.limit then
        next_cursor = last
        break
      end
      write((n > 0 and "," or "") .. row.item)
      n, last = n + 1, row.id
    end
    write('],"metadata":' .. json.encode({ total_items = total, next_cursor = next_cursor,
                                           date_range = { min = range.low, max = range.high } }) .. "}")
  end
end

--- Months that have predictions, newest first.
--- Waits.
--- @return table  array of { month, model_id, n, result_id }
function prediction_history.months()
  return json.array(db.main():query([[SELECT prediction_month AS month, model_id, count(*) AS n,
      max(result_id) AS result_id FROM fact_predictions
    GROUP BY prediction_month, model_id ORDER BY prediction_month DESC, max(prediction_id) DESC LIMIT 100]]))
end

return prediction_history
