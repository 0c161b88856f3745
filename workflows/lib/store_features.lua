-- store_features.lua - what a forecast of one store, item and day is computed from. The one routine for
-- training, evaluation and serving: the same SQL over the same tables, which travel in the model file.
--
-- sales(store, item, day, sales) becomes, with store_features.fit:
--   model     one row: first and last day, means and deviations that standardise the ids, the horizon
--   series    what an item sells in a store on a usual day, at the level of the last year
--   store, item, weekday, month, year   factors of the product that is the expected number of sales
--   history   running sums of sales and of expected sales, so that a mean over any days is two look-ups
-- A day is counted from 1970-01-01. Nothing after `last_day` is in these tables, so a forecast is a
-- function of the model file alone, and so is every feature of it.
--
-- "calendar" are the nine columns of the service we replace: date and ids only. "history" are factors,
-- and sales of the past relative to what was expected of them: means that end `horizon` days before the
-- day, or at the last day that is known, and the same weekday of a year ago.

local json = require("json")

local store_features = {}

local ITERATIONS = 12     -- of the factors; they move by less than 1e-6 then
local TREND_YEARS = 3     -- from which the growth of later years is read, and for how many it goes on
local CELLS_MAX = 100000000

local CALENDAR = {
  { "store", "(w.store - k.store_mean) / k.store_sd" },
  { "item", "(w.item - k.item_mean) / k.item_sd" },
  { "year", "CAST(substr(w.date, 1, 4) AS INTEGER)" },
  { "month", "CAST(substr(w.date, 6, 2) AS INTEGER)" },
  { "day", "CAST(substr(w.date, 9, 2) AS INTEGER)" },
  { "dayofweek", "((w.day + 3) % 7 + 7) % 7" },
  { "is_weekend", "((w.day + 3) % 7 + 7) % 7 >= 5" },
  { "is_month_start", "substr(w.date, 9, 2) = '01'" },
  { "is_month_end", "substr(date(w.date, '+1 day'), 9, 2) = '01'" },
}
local HISTORY = {
  { "store", CALENDAR[1][2] }, { "item", CALENDAR[2][2] }, { "month", CALENDAR[4][2] },
  { "day", CALENDAR[5][2] }, { "dayofweek", CALENDAR[6][2] },
  { "yearday", "CAST(strftime('%j', w.date) AS INTEGER)" },
  { "usual", "coalesce(s.base, i.base * t.factor, i.base, t.factor * k.base, k.base)" },
  { "weekday_factor", "d.factor" }, { "month_factor", "m.factor" },
  { "recent_28", "(h.cum - h28.cum) / (h.expected - h28.expected)" },
  { "recent_91", "(h.cum - h91.cum) / (h.expected - h91.expected)" },
  { "recent_364", "(h.cum - h364.cum) / (h.expected - h364.expected)" },
  { "year_ago", "(y.cum - y1.cum) / (y.expected - y1.expected)" },
  { "year_ago_15", "(z.cum - z15.cum) / (z.expected - z15.expected)" },
}
local EXPECTED = HISTORY[7][2] .. " * coalesce(d.factor, 1) * coalesce(m.factor, 1) * coalesce(n.factor, 1)"

-- days a year ago is away: whole years of weeks, until everything asked of them is known
local SHIFT = "364 * max(1, (w.day + 7 - k.last_day + 363) / 364)"
local END = "min(w.day - k.horizon, k.last_day)"
local FACTORS = [[ LEFT JOIN series s ON s.store = w.store AND s.item = w.item
  LEFT JOIN store t ON t.store = w.store LEFT JOIN item i ON i.item = w.item
  LEFT JOIN weekday d ON d.weekday = ((w.day + 3) % 7 + 7) % 7
  LEFT JOIN month m ON m.month = CAST(substr(w.date, 6, 2) AS INTEGER)
  LEFT JOIN year n ON n.year = max(k.first_year, min(k.last_year, CAST(substr(w.date, 1, 4) AS INTEGER)))]]

local function look_up(name, day)
  return (" LEFT JOIN history %s ON %s.series = s.series AND %s.day = %s"):format(name, name, name, day)
end
local LOOK_UPS = look_up("h", END) .. look_up("h28", END .. " - 28") .. look_up("h91", END .. " - 91")
  .. look_up("h364", END .. " - 364") .. look_up("y", "w.day - " .. SHIFT) .. look_up("y1", "w.day - 1 - " .. SHIFT)
  .. look_up("z", "w.day + 7 - " .. SHIFT) .. look_up("z15", "w.day - 8 - " .. SHIFT)

-- Where the rows come from that features are wanted of: store, item, day, date, sales, and an order n.
local WANTED = {
  list = "(SELECT value ->> 0 AS store, value ->> 1 AS item, value ->> 2 AS day, value ->> 3 AS date, "
    .. "NULL AS sales, key AS n FROM json_each(?1))",
  -- the days to come of every series
  ahead = "(SELECT s.store, s.item, e.day, date(e.day * 86400, 'unixepoch') AS date, NULL AS sales, 0 AS n "
    .. "FROM series s CROSS JOIN ahead e)",
  sales = "(SELECT a.store, a.item, a.day, c.date, a.sales, 0 AS n FROM sales a JOIN days c USING (day) "
    .. "WHERE a.day BETWEEN ?1 AND ?2)",
}

local function columns_of(set)
  return set == "calendar" and CALENDAR or set == "history" and HISTORY
    or error({ code = "invalid", message = "features are calendar or history, found " .. tostring(set) }, 0)
end

-- Behind the features: expected, whether the series, the store and the item are known, and the sales.
local function statement(set, wanted, ending)
  local list = {}
  for i, c in ipairs(columns_of(set)) do list[i] = c[2] .. " AS " .. c[1] end
  return "SELECT " .. table.concat(list, ", ") .. ", " .. EXPECTED .. " AS expected, s.series IS NOT NULL AS is_known, "
    .. "t.store IS NOT NULL AS is_store_known, i.item IS NOT NULL AS is_item_known, w.sales AS sales FROM "
    .. WANTED[wanted] .. " w CROSS JOIN model k ON k.id = 1" .. FACTORS .. (set == "history" and LOOK_UPS or "")
    .. ending
end

--- The names of the features of a set, in their order.
--- @param set string  "calendar" | "history"
--- @return table
--- Raises: invalid
function store_features.names(set)
  local names = {}
  for i, c in ipairs(columns_of(set)) do names[i] = c[1] end
  return names
end

--- The features of many rows.
--- Waits.
--- @param d db  with the tables of store_features.fit
--- @param set string
--- @param rows table  array of { store, item, day, date }
--- @return tensor  (rows, features + 5): features, expected, is_known, is_store_known, is_item_known, sales (NaN)
function store_features.list(d, set, rows)
  return (d:matrix(statement(set, "list", " ORDER BY w.n"), { json.encode(json.array(rows)) }))
end

--- The features of every series on the days of the table `ahead`.
--- Waits.
--- @param d db  with ahead(day) and the tables of store_features.fit
--- @param set string
--- @return tensor  as of store_features.list; by store, item and day
function store_features.ahead(d, set)
  return (d:matrix(statement(set, "ahead", " ORDER BY w.store, w.item, w.day")))
end

--- The features of the sales of some days, with the sales.
--- Waits.
--- @param d db  with sales, days and the tables of store_features.fit
--- @param set string
--- @param from integer  day
--- @param to integer  day
--- @return tensor  as of store_features.list
function store_features.sales(d, set, from, to)
  return (d:matrix(statement(set, "sales", " WHERE coalesce(s.base, 1) > 0"), { from, to }))
end

local FACTOR = { weekday = "month * year", month = "weekday * year", year = "weekday * month" }

-- Factors of weekday, month and year whose product, times a level per series, gives the sales of each
-- weekday, month and year: iterated until they agree.
local function fit_factors(d, last_day)
  d:script([[
    DROP TABLE IF EXISTS total; DROP TABLE IF EXISTS weekday; DROP TABLE IF EXISTS month; DROP TABLE IF EXISTS year;
    CREATE TABLE total AS SELECT day, sum(sales) * 1.0 / count(*) AS sales, ((day + 3) % 7 + 7) % 7 AS weekday,
      CAST(substr(date, 6, 2) AS INTEGER) AS month, CAST(substr(date, 1, 4) AS INTEGER) AS year
      FROM sales JOIN days USING (day) WHERE day <= ]] .. last_day .. [[ GROUP BY day;
    CREATE TABLE weekday(weekday INTEGER PRIMARY KEY, factor REAL);
    CREATE TABLE month(month INTEGER PRIMARY KEY, factor REAL);
    CREATE TABLE year(year INTEGER PRIMARY KEY, factor REAL);
    INSERT INTO weekday SELECT DISTINCT weekday, 1 FROM total;
    INSERT INTO month SELECT DISTINCT month, 1 FROM total;
    INSERT INTO year SELECT DISTINCT year, 1 FROM total;]])
  for _ = 1, ITERATIONS do
    for _, name in ipairs({ "weekday", "month", "year" }) do
      local others = FACTOR[name]:gsub("%a+", "(SELECT f.factor FROM %0 f WHERE f.%0 = total.%0)")
      d:script(([[UPDATE NAME SET factor = coalesce((SELECT sum(sales) / nullif(sum(OTHERS), 0) FROM total
        WHERE total.NAME = NAME.NAME), 1)]]):gsub("NAME", name):gsub("OTHERS", (others:gsub("%%", "%%%%"))))
      if name ~= "year" then
        d:script(("UPDATE NAME SET factor = factor / (SELECT coalesce(nullif(avg(factor), 0), 1) FROM NAME)")
          :gsub("NAME", name))
      end
    end
  end
  -- the last year is 1; growth goes on for some years as it did over the last ones, then stays
  d:script([[
    UPDATE year SET factor = factor / coalesce(nullif((SELECT factor FROM year ORDER BY year DESC LIMIT 1), 0), 1);
    INSERT INTO year
      WITH RECURSIVE ahead(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM ahead WHERE n < ]] .. TREND_YEARS .. [[),
      trend(last, slope) AS (SELECT max(year), coalesce(regr_slope(factor, year), 0) FROM
        (SELECT year, factor FROM year JOIN (SELECT year, count(*) AS n_days FROM total GROUP BY year) USING (year)
          WHERE n_days >= 90 ORDER BY year DESC LIMIT ]] .. TREND_YEARS .. [[))
      SELECT (SELECT max(year) FROM year) + n, max(0.2, 1 + n * slope) FROM ahead, trend;]])
end

-- What a series sells at the level of the last year, and what can be said of series nobody has seen.
local function fit_levels(d, last_day, horizon)
  d:script([[
    DROP TABLE IF EXISTS usual; DROP TABLE IF EXISTS series; DROP TABLE IF EXISTS store; DROP TABLE IF EXISTS item;
    DROP TABLE IF EXISTS model;
    CREATE TABLE usual(day INTEGER PRIMARY KEY, factor REAL);
    INSERT INTO usual SELECT day, d.factor * m.factor * n.factor FROM total
      JOIN weekday d USING (weekday) JOIN month m USING (month) JOIN year n USING (year);
    CREATE TABLE series(store INTEGER, item INTEGER, series INTEGER, base REAL, PRIMARY KEY (store, item))
      WITHOUT ROWID;
    INSERT INTO series SELECT store, item, row_number() OVER (ORDER BY store, item),
      coalesce(sum(sales) / nullif(sum(factor), 0), 0)
      FROM sales JOIN usual USING (day) GROUP BY store, item;
    CREATE TABLE item(item INTEGER PRIMARY KEY, base REAL);
    INSERT INTO item SELECT item, avg(base) FROM series GROUP BY item;
    CREATE TABLE store(store INTEGER PRIMARY KEY, factor REAL);
    INSERT INTO store SELECT store, coalesce(sum(s.base) / nullif(sum(i.base), 0), 1)
      FROM series s JOIN item i USING (item) GROUP BY store;
    CREATE TABLE model(id INTEGER PRIMARY KEY, first_day INTEGER, last_day INTEGER, horizon INTEGER, base REAL,
      store_mean REAL, store_sd REAL, item_mean REAL, item_sd REAL, first_year INTEGER, last_year INTEGER);
    INSERT INTO model SELECT 1, min(day), ]] .. last_day .. ", " .. horizon .. [[, (SELECT avg(base) FROM series),
      avg(store), coalesce(nullif(sqrt(max(0, avg(store * store) - avg(store) * avg(store))), 0), 1),
      avg(item), coalesce(nullif(sqrt(max(0, avg(item * item) - avg(item) * avg(item))), 0), 1),
      (SELECT min(year) FROM year), (SELECT max(year) FROM year) FROM sales WHERE day <= ]] .. last_day)
end

local function fit_history(d, last_day)
  local cells = d:value("SELECT (SELECT count(*) FROM series) * (SELECT last_day - first_day + 1 FROM model)")
  if cells > CELLS_MAX then
    error({ code = "limit", message = ("%d series over so many days are %d cells, expected at most %d")
      :format(d:value("SELECT count(*) FROM series"), cells, CELLS_MAX) }, 0)
  end
  -- a day without a row adds nothing to either sum
  d:script([[
    DROP TABLE IF EXISTS history;
    CREATE TABLE history(series INTEGER, day INTEGER, cum REAL, expected REAL, PRIMARY KEY (series, day))
      WITHOUT ROWID;
    INSERT INTO history
      SELECT s.series, e.day, sum(coalesce(a.sales, 0.0)) OVER w,
        sum(iif(a.sales IS NULL, 0.0, s.base * u.factor)) OVER w
      FROM series s JOIN every_day e ON e.day <= ]] .. last_day .. [[ LEFT JOIN usual u ON u.day = e.day
      LEFT JOIN sales a ON a.store = s.store AND a.item = s.item AND a.day = e.day
      WINDOW w AS (PARTITION BY s.series ORDER BY e.day);
    DROP TABLE usual; DROP TABLE total;]])
end

--- Makes the calendar of the sales: the tables days and every_day. Once, before store_features.fit.
--- Waits.
--- @param d db  with sales
function store_features.calendar(d)
  d:script([[
    DROP TABLE IF EXISTS days; DROP TABLE IF EXISTS every_day;
    CREATE TABLE days(day INTEGER PRIMARY KEY, date TEXT);
    INSERT INTO days SELECT DISTINCT day, date(day * 86400, 'unixepoch') FROM sales;
    CREATE TABLE every_day(day INTEGER PRIMARY KEY);
    INSERT INTO every_day WITH RECURSIVE e(day, last) AS (SELECT min(day), max(day) FROM days HAVING count(*) > 0
      UNION ALL SELECT day + 1, last FROM e WHERE day < last) SELECT day FROM e;]])
end

--- Learns the tables from the sales up to a day, in place of those that are there.
--- Waits.
--- @param d db  with sales, days and every_day
--- @param last_day integer
--- @param horizon integer  days ahead for which everything of the history set is known
--- Raises: limit (too many series and days)
function store_features.fit(d, last_day, horizon)
  fit_factors(d, last_day)
  fit_levels(d, last_day, horizon)
  fit_history(d, last_day)
end

return store_features
