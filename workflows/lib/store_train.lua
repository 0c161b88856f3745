-- store_train.lua - from a file of sales to trees: reading, how well the last days are forecast by who has
-- not seen them, training on all. Everything is left in the scratch database, for store_model.write.
--
-- With the features "history" the trees learn sales relative to the expected ones, with "calendar" the
-- sales themselves, as the model of the service we replace does.

local features = require("store_features")
local metrics = require("metrics")
local sheet = require("sheet")
local store_model = require("store_model")
local trees = require("trees")

local store_train = {}

local BINS = 5 -- of forecasts by size, each with its own interval

--- How each set of features is trained unless told otherwise; those of "calendar" are the original's.
store_train.TRAINING = {
  calendar = { objective = "regression_l1", num_iterations = 1000, num_leaves = 64, max_depth = 5, learning_rate = 0.1,
    feature_fraction = 0.9, bagging_fraction = 0.8, bagging_freq = 5, lambda_l1 = 0.1, lambda_l2 = 0.1,
    min_sum_hessian_in_leaf = 1.0, min_gain_to_split = 0.01, min_data_in_leaf = 20 },
  history = { objective = "regression", num_iterations = 120, num_leaves = 31, learning_rate = 0.05,
    feature_fraction = 0.8, min_data_in_leaf = 200 },
}

local function fail(code, message, details)
  error({ code = code, message = message, details = details }, 0)
end

-- wrong: the first field that cannot be used
local READ = [[
  DROP TABLE IF EXISTS cleaned; DROP TABLE IF EXISTS sales;
  CREATE TABLE cleaned AS SELECT *, CASE
      WHEN day IS NULL THEN 'date'
      WHEN (store = CAST(store AS INTEGER) AND store BETWEEN 1 AND 2147483647) IS NOT TRUE THEN 'store'
      WHEN (item = CAST(item AS INTEGER) AND item BETWEEN 1 AND 2147483647) IS NOT TRUE THEN 'item'
      WHEN (sales >= 0 AND sales < 1e9) IS NOT TRUE THEN 'sales' END AS wrong
    FROM (SELECT row, unixepoch(date_of(date)) / 86400 AS day, number_of(store) AS store, number_of(item) AS item,
      number_of(sales) AS sales FROM raw);
  CREATE TABLE sales(store INTEGER, item INTEGER, day INTEGER, sales REAL, PRIMARY KEY (store, item, day))
    WITHOUT ROWID;
  INSERT OR REPLACE INTO sales SELECT CAST(store AS INTEGER), CAST(item AS INTEGER), day, sales FROM cleaned
    WHERE wrong IS NULL ORDER BY row;
  DROP TABLE raw; ]]

--- Reads a table file with the columns date, store, item and sales into the table `sales`. Of two rows for
--- one store, item and day the later one counts.
--- Waits; cancellable.
--- @param d db  scratch
--- @param file string  path
--- @param progress function?  (share)
--- @return table { read, accepted, rejected, replaced, stores, items, series, first_date, last_date, first_rejected =
---   { row, field } or nil }
--- Raises: invalid (nothing usable, more than half rejected); as sheet.load
function store_train.read(d, file, progress)
  d:script("DROP TABLE IF EXISTS raw")
  local columns = {}
  for i, name in ipairs({ "date", "store", "item", "sales" }) do columns[i] = { name = name, required = true } end
  local loaded = sheet.load({ db = d, file = file, table = "raw", columns = columns,
    progress = progress and function(_, share) progress(share) end })
  d:script(READ)
  local out = d:row([[SELECT count(*) AS accepted, count(DISTINCT store) AS stores, count(DISTINCT item) AS items,
    count(DISTINCT store * 2147483648 + item) AS series, date(min(day) * 86400, 'unixepoch') AS first_date,
    date(max(day) * 86400, 'unixepoch') AS last_date FROM sales]])
  out.first_rejected = d:row("SELECT row, wrong AS field FROM cleaned WHERE wrong IS NOT NULL ORDER BY row LIMIT 1")
  out.read, out.rejected = loaded.rows, d:value("SELECT count(*) FROM cleaned WHERE wrong IS NOT NULL")
  out.replaced = out.read - out.rejected - out.accepted
  d:script("DROP TABLE cleaned")
  if out.accepted == 0 or out.rejected * 2 > out.read then
    local first = out.first_rejected
    fail("invalid", ("%d of %d rows cannot be used%s"):format(out.rejected, out.read,
      first and (", the first is row " .. first.row .. " for its " .. first.field) or ""), out)
  end
  features.calendar(d)
  return out
end

local function fit(x, set, params)
  local rows, expected, sales = store_model.parts(x, set)
  local opt = { feature_names = features.names(set) }
  for k, v in pairs(store_train.TRAINING[set]) do opt[k] = v end
  for k, v in pairs(params or {}) do opt[k] = v end
  if set == "calendar" then return (trees.train(rows, sales, opt)) end
  opt.weight = expected
  return (trees.train(rows, sales / expected, opt))
end

-- What is where mask is 1, NaN elsewhere.
local function only(t, mask)
  return t + mask:log() * 0
end

-- Conformal intervals: how far off forecasts were, in units of their root, by the size of the forecast.
local function intervals(sales, p, level)
  local off, low = (sales - p) / p:maximum(1):sqrt(), -1
  local out = {}
  for i = 1, BINS do
    local up = i < BINS and p:quantile(i / BINS):get() or math.huge
    local mine = only(off, p:le(up) * (1 - p:le(low)))
    if p:le(up):sum() > p:le(low):sum() then
      out[#out + 1] = { up_to = i < BINS and up or nil, low = mine:quantile((1 - level) / 2):get(),
                        high = mine:quantile((1 + level) / 2):get() }
    end
    low = up
  end
  out[#out].up_to = nil
  return out
end

-- Share of the sales inside of intervals that other rows have given: every other row.
local function coverage(sales, p, level)
  local n = #sales // 2
  if n < 100 then return nil end
  local s, q = sales:slice(1, 1, 2 * n):reshape({ n, 2 }), p:slice(1, 1, 2 * n):reshape({ n, 2 })
  local list, low, inside = intervals(s:pick(2, 1):copy(), q:pick(2, 1):copy(), level), -1, 0
  local came, said = s:pick(2, 2):copy(), q:pick(2, 2):copy()
  local off = (came - said) / said:maximum(1):sqrt()
  for _, b in ipairs(list) do
    local up = b.up_to or math.huge
    inside = inside + (said:le(up) * (1 - said:le(low)) * off:le(b.high) * (1 - off:lt(b.low))):sum()
    low = up
  end
  return inside / n
end

local function scores(sales, p)
  local m = metrics.point(sales, p)
  return { smape = m.smape, mape = m.mape_one, mae = m.mae, rmse = m.rmse, bias = m.bias }
end

local NAIVE = [[SELECT a.sales, b.sales FROM sales a JOIN sales b ON b.store = a.store AND b.item = a.item
  AND b.day = a.day - 364 * ((a.day - ?1 + 363) / 364) WHERE a.day > ?1]]

--- Trains without the last days and tells how well they are forecast. The tables of store_features are those
--- of the days before, afterwards.
--- Waits; cancellable.
--- @param d db  scratch with `sales`
--- @param opt table { features, params, horizon, holdout = days, level = of the intervals, model = trees that are
---   there already }
--- @return table { from, to, rows, smape, mape, mae, rmse, bias, coverage, level, intervals, others = { expected,
---   seasonal_naive } } scores are fractions
--- Raises: invalid (too few days)
function store_train.evaluate(d, opt)
  local span = d:row("SELECT min(day) AS first, max(day) AS last FROM sales")
  local cut = span.last - opt.holdout
  if cut - span.first + 1 < 2 * opt.holdout then
    fail("invalid", ("the sales are of %d days, expected at least %d: three times the %d that are held out")
      :format(span.last - span.first + 1, 3 * opt.holdout, opt.holdout))
  end
  features.fit(d, cut, opt.horizon)
  local model = opt.model or fit(features.sales(d, opt.features, span.first, cut), opt.features, opt.params)
  local x = features.sales(d, opt.features, cut + 1, span.last)
  local _, expected, sales = store_model.parts(x, opt.features)
  local p = store_model.predict(model, x, opt.features)
  local out = scores(sales, p)
  out.from, out.to = store_model.date_of(cut + 1), store_model.date_of(span.last)
  out.rows, out.level = #sales, opt.level
  out.coverage, out.intervals = coverage(sales, p, opt.level), intervals(sales, p, opt.level)
  out.others = { expected = scores(sales, expected) }
  local naive = d:matrix(NAIVE, { cut })
  if #naive > 0 then out.others.seasonal_naive = scores(naive:pick(2, 1), naive:pick(2, 2)) end
  return out
end

--- Trains on all days; the trees are left in the table `info`.
--- Waits; cancellable.
--- @param d db  scratch with `sales`
--- @param opt table  as store_train.evaluate
--- @return table { trees, rows, last_date, importance }
function store_train.train(d, opt)
  local span = d:row("SELECT min(day) AS first, max(day) AS last FROM sales")
  features.fit(d, span.last, opt.horizon)
  local model, rows = opt.model, 0
  if not model then
    local x = features.sales(d, opt.features, span.first, span.last)
    model, rows = fit(x, opt.features, opt.params), #x
  end
  d:script("CREATE TABLE IF NOT EXISTS info(name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID")
  d:exec("INSERT OR REPLACE INTO info VALUES ('trees', ?)", { model:text() })
  return { trees = model:info().n_trees, rows = rows, last_date = store_model.date_of(span.last),
           importance = model:importance() }
end

return store_train
