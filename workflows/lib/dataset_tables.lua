-- dataset_tables.lua - the stored facts as a table of products × months without holes, and the features of
-- every cell, in a scratch database.
--
-- Tables made, in this order:
--   month    step 1, 2, … and its date, year, number     item     products 1, 2, … and their attributes
--   cell     units, availability, …: a row for each product and month
--   group_…  exponentially weighted mean and variance of a group, month by month
--   feature  the features of dataset_features.lua for each cell: columns p1, p2, … (past), x1, … (trees)

local crypto = require("crypto")
local json = require("json")
local publish = require("upload_publish")

local tables = {}

local ATTRIBUTES = "barcode, artist, album, cover_type, price_category, release_type, recording_decade, "
  .. "release_decade, style, recording_year"

local function fill(sql, values)
  return (sql:gsub("{(%w+_?%w*)}", function(name)
    return values[name] and tostring(values[name]) or error({ code = "invalid",
      message = "a feature names {" .. name .. "}, which is not there: span and first_year are" }, 0)
  end))
end

--- The months there are facts of, up to `to`, and whether they are whole.
--- Waits.
--- @param main db
--- @param from string?  month
--- @param to string?  month
--- @return table  { first, last } months; nil when there are none
--- Source: ours
function tables.span(main, from, to)
  local row = main:row([[SELECT min(data_date) AS first, max(data_date) FILTER (WHERE is_complete = 1) AS last
    FROM data_months WHERE data_date >= ? AND data_date <= ?]], { from or "0000", to or "9999" })
  if not row or row.last == nil or row.first > row.last then return nil end
  return row
end

local function facts(d, main, range)
  for _, name in ipairs({ "cell", "sold", "item", "month" }) do d:exec("DROP TABLE IF EXISTS " .. name) end
  d:exec([[CREATE TABLE month(step INTEGER PRIMARY KEY, data_date TEXT UNIQUE, year INTEGER, number INTEGER)]])
  d:exec([[INSERT INTO month
    WITH RECURSIVE m(data_date) AS (SELECT ? UNION ALL
      SELECT date(data_date, '+1 month') FROM m WHERE data_date < ?)
    SELECT row_number() OVER (ORDER BY data_date), data_date, CAST(substr(data_date, 1, 4) AS INTEGER),
           CAST(substr(data_date, 6, 2) AS INTEGER) FROM m]], { range.first, range.last })
  publish.with_shop(d, main, function()
    d:exec([[CREATE TABLE sold(multiindex_id INTEGER, data_date TEXT, value REAL,
      PRIMARY KEY (multiindex_id, data_date)) WITHOUT ROWID]])
    d:exec([[INSERT INTO sold SELECT multiindex_id, data_date, max(0, sum(value)) FROM (
        SELECT multiindex_id, substr(data_date, 1, 7) || '-01' AS data_date, value FROM shop.fact_sales
        WHERE data_date >= ? AND data_date < date(?, '+1 month'))
      GROUP BY multiindex_id, data_date]], { range.first, range.last })
    d:exec("CREATE TABLE item(product INTEGER PRIMARY KEY, multiindex_id INTEGER UNIQUE, first_step INTEGER, "
      .. ATTRIBUTES:gsub(",", " TEXT,"):gsub("recording_year", "recording_year INTEGER") .. ")")
    -- first_step: when it was first sold or to be had
    d:exec("INSERT INTO item SELECT row_number() OVER (ORDER BY multiindex_id), multiindex_id, step, "
      .. ATTRIBUTES .. [[
      FROM (SELECT multiindex_id, min(data_date) FILTER (WHERE is_there) AS first FROM (
              SELECT multiindex_id, data_date, value > 0 AS is_there FROM sold
              UNION ALL SELECT multiindex_id, data_date, availability > 0 FROM shop.report_features
                WHERE data_date >= ? AND data_date <= ?)
            GROUP BY multiindex_id)
      JOIN shop.dim_multiindex_mapping USING (multiindex_id) LEFT JOIN month ON month.data_date = first]],
      { range.first, range.last })
    d:exec([[CREATE TABLE cell(product INTEGER, step INTEGER, units REAL, availability REAL, confidence REAL,
      price REAL, age INTEGER, PRIMARY KEY (product, step)) WITHOUT ROWID]])
    -- the price of a month without a sale is the last one known
    d:exec([[INSERT INTO cell
      SELECT product, step, coalesce(s.value, 0), coalesce(f.availability, 0), coalesce(f.confidence, 0),
             (SELECT p.value FROM shop.fact_prices p WHERE p.multiindex_id = item.multiindex_id
                AND p.data_date <= month.data_date AND p.data_date >= ? ORDER BY p.data_date DESC LIMIT 1),
             iif(step >= first_step, step - first_step + 1, NULL)
      FROM item CROSS JOIN month
      LEFT JOIN sold s ON s.multiindex_id = item.multiindex_id AND s.data_date = month.data_date
      LEFT JOIN shop.report_features f ON f.data_date = month.data_date AND f.multiindex_id = item.multiindex_id
      ORDER BY product, step]], { range.first })
  end, "deferred")
end

-- What a whole group sold on average, of those that could be sold.
local function groups(d, features, span)
  for _, name in ipairs(features.groups) do
    d:script(([[
      DROP TABLE IF EXISTS group_NAME;
      CREATE TABLE group_NAME(value TEXT, decade TEXT, step INTEGER, mean REAL, variance REAL,
        PRIMARY KEY (value, decade, step)) WITHOUT ROWID; -- with types, else the join is a scan
      INSERT INTO group_NAME
        SELECT value, decade, step, ewm_mean(units, SPAN) OVER w, ewm_var(units, SPAN) OVER w
        FROM (SELECT CAST(NAME AS TEXT) AS value, recording_decade AS decade, step,
                     avg(units) FILTER (WHERE availability > 0) AS units
              FROM cell JOIN item USING (product) GROUP BY 1, 2, 3)
        WINDOW w AS (PARTITION BY value, decade ORDER BY step);]]):gsub("NAME", name):gsub("SPAN", tostring(span)))
  end
end

local function joins(features)
  local out = {}
  for _, name in ipairs(features.groups) do
    out[#out + 1] = ("LEFT JOIN group_%s %s ON %s.step = cell.step AND %s.value = CAST(item.%s AS TEXT) AND "
      .. "%s.decade = item.recording_decade"):format(name, name, name, name, name, name)
  end
  return table.concat(out, "\n")
end

local function calculate(d, features, values)
  local columns = {}
  for i, f in ipairs(features.past) do columns[#columns + 1] = fill(f.sql, values) .. " AS p" .. i end
  for i, f in ipairs(features.trees) do columns[#columns + 1] = fill(f.sql, values) .. " AS x" .. i end
  d:exec("DROP TABLE IF EXISTS feature")
  d:exec("CREATE TABLE feature AS SELECT cell.product AS product, cell.step AS step, " .. table.concat(columns, ", ")
    .. " FROM cell JOIN item USING (product) JOIN month USING (step) " .. joins(features)
    .. " WINDOW own AS (PARTITION BY cell.product ORDER BY cell.step) ORDER BY cell.product, cell.step")
  d:exec("CREATE UNIQUE INDEX feature_product ON feature(product, step)")
  d:exec("CREATE UNIQUE INDEX feature_step ON feature(step, product)")
end

-- What the tables depend on: equal when nothing has to be made again.
local function fingerprint(main, range, features, span, first_year)
  local facts_now = main:query([[SELECT
      (SELECT max(run_id) FROM processing_runs) AS run,
      (SELECT count(*) || ' ' || total(recording_year) FROM dim_multiindex_mapping) AS items,
      (SELECT count(*) || ' ' || total(value) FROM fact_sales WHERE data_date >= ?1) AS sales,
      (SELECT count(*) || ' ' || total(availability) || ' ' || total(confidence) FROM report_features
        WHERE data_date BETWEEN ?1 AND ?2) AS features,
      (SELECT count(*) || ' ' || total(value) FROM fact_prices WHERE data_date BETWEEN ?1 AND ?2) AS prices]],
    { range.first, range.last })
  return crypto.sha256(json.encode({ facts_now, range, features, span, first_year, ATTRIBUTES },
    { sorted = true }))
end

--- Makes all tables from the stored facts, unless they are there already.
--- Waits.
--- @param d db  scratch, opened with attach
--- @param main db
--- @param range table  { first, last } months, of tables.span
--- @param features table  of dataset_features
--- @param span integer  of the exponential weights, in months
--- @param first_year integer?  years are counted from there; default: that of the first month
--- @return table  { n_products, n_steps, first_year }
--- Source: ours
function tables.make(d, main, range, features, span, first_year)
  first_year = first_year or math.tointeger(tonumber(range.first:sub(1, 4)))
  local key = fingerprint(main, range, features, span, first_year)
  local is_there = d:value("SELECT 1 FROM sqlite_schema WHERE name = 'panel_key'")
    and d:value("SELECT 1 FROM panel_key WHERE key = ?", { key })
  if not is_there then
    d:script("DROP TABLE IF EXISTS panel_key; CREATE TABLE panel_key(key TEXT)")
    facts(d, main, range)
  end
  local size = d:row("SELECT (SELECT count(*) FROM item) AS n_products, count(*) AS n_steps FROM month")
  size.first_year = first_year
  if not is_there then
    tables.features(d, features, span, size.first_year)
    d:exec("INSERT INTO panel_key VALUES (?)", { key })
  end
  return size
end

--- Calculates the features anew, after cells were added or changed.
--- Waits.
--- @param d db  scratch
--- @param features table
--- @param span integer
--- @param first_year integer
--- Source: ours
function tables.features(d, features, span, first_year)
  groups(d, features, span)
  calculate(d, features, { span = span, first_year = first_year })
end

--- What is known of every product in the months `from` to `to`, whenever they may be: a row for each product and
--- step.
--- Waits.
--- @param d db
--- @param features table
--- @param from integer  step
--- @param to integer
--- @param first_year integer
--- @return tensor  (products * steps, features)
--- Source: ours
function tables.future(d, features, from, to, first_year)
  local columns = {}
  for i, f in ipairs(features.future) do
    columns[i] = fill(f.sql, { first_year = first_year, span = 0 })
  end
  return (d:matrix([[WITH RECURSIVE m(step, data_date) AS (SELECT step, data_date FROM main.month WHERE step = 1
        UNION ALL SELECT step + 1, date(data_date, '+1 month') FROM m WHERE step < ?),
      month AS (SELECT step, CAST(substr(data_date, 1, 4) AS INTEGER) AS year,
                       CAST(substr(data_date, 6, 2) AS INTEGER) AS number FROM m)
    SELECT ]] .. table.concat(columns, ", ") .. [[ FROM item CROSS JOIN month WHERE step >= ?
    ORDER BY product, step]], { to, from }))
end

--- The parts of the static attributes that get a column: learnt here, or as a model remembers them.
--- Waits.
--- @param d db
--- @param features table
--- @return table  array of { attribute, part }
--- Source: ours
function tables.vocabulary(d, features)
  local out = {}
  for _, name in ipairs(features.static) do
    local rows = d:query(([[SELECT trim(j.value) AS part, count(DISTINCT product) AS n
      FROM item, json_each('[' || replace(json_quote(CAST(%s AS TEXT)), '/', '","') || ']') j
      WHERE trim(j.value) <> '' GROUP BY 1 HAVING n >= ? ORDER BY n DESC, part LIMIT ?]]):format(name),
      { features.static_products_min, features.static_parts_max })
    table.sort(rows, function(a, b) return a.part < b.part end)
    for _, r in ipairs(rows) do out[#out + 1] = { attribute = name, part = r.part } end
  end
  return out
end

--- The static attributes as columns of 0 and 1.
--- Waits.
--- @param d db
--- @param vocabulary table  of tables.vocabulary
--- @param n_products integer
--- @return tensor?  (products, parts); nil when there is no part
--- Source: ours
function tables.static(d, vocabulary, n_products)
  if #vocabulary == 0 then return nil end
  local names = {}
  d:exec("DROP TABLE IF EXISTS part")
  d:exec("CREATE TABLE part(number INTEGER PRIMARY KEY, attribute TEXT, part TEXT)")
  local list = {}
  for i, v in ipairs(vocabulary) do
    if not names[v.attribute] then
      names[#names + 1] = ("WHEN '%s' THEN CAST(item.%s AS TEXT)"):format(v.attribute, v.attribute)
    end
    names[v.attribute] = true
    list[i] = { "INSERT INTO part VALUES (?, ?, ?)", { i, v.attribute, v.part } }
  end
  d:write(list)
  -- " / " and "/" part alike
  local x = d:matrix("WITH text AS MATERIALIZED (SELECT product, attribute, '/' || replace(replace(CASE attribute "
    .. table.concat(names, " ") .. [[ END, ' /', '/'), '/ ', '/') || '/' AS parts
      FROM item CROSS JOIN (SELECT DISTINCT attribute FROM part))
    SELECT instr(parts, '/' || part || '/') > 0
    FROM item CROSS JOIN part JOIN text USING (product, attribute) ORDER BY product, number]])
  return x:reshape({ n_products, #vocabulary })
end

--- Adds a month behind the last one, with what is expected of it, so that the month after can be told.
--- Waits.
--- @param d db
--- @param units tensor  (products)
--- Source: ours
function tables.extend(d, units)
  d:exec("DELETE FROM panel_key")
  local list, values = {}, units:table()
  list[1] = { [[INSERT INTO month SELECT step + 1, date(data_date, '+1 month'),
      CAST(substr(date(data_date, '+1 month'), 1, 4) AS INTEGER),
      CAST(substr(date(data_date, '+1 month'), 6, 2) AS INTEGER) FROM month ORDER BY step DESC LIMIT 1]] }
  list[2] = { [[INSERT INTO cell SELECT product, step + 1, j.value, availability, confidence, price, age + 1
      FROM cell JOIN json_each(?) j ON j.key = cell.product - 1
      WHERE step = (SELECT max(step) FROM cell)]], { json.encode(values) } }
  d:write(list)
end

return tables
