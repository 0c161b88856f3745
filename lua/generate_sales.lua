-- generate_sales.lua - the made-up books of a record shop: a workbook of its sales for every month and one
-- of the stock at the end, as the default catalogue reads them. One seed gives one shop.
--
-- The shop is simulated week by week by SQL in a scratch database: deliveries, demand, what could be sold
-- of it, orders. Demand of a title is a Poisson number around
--   base (a power law of rank) × season of its style × trend of its style × newness × noise of the month
-- and what is not in stock is not sold. Units are sold in the order they came. So sales can be learned, up
-- to that noise, and stock-outs leave their traces. generate_rows.lua makes workbook rows of it, dirt
-- included.

local db = require("db")
local fs = require("fs")
local rows = require("generate_rows")
local time = require("time")
local words = require("generate_words")

local generate_sales = {}

local LOST_SHARE = 1.3 -- demand is that much of what will be sold


-- Words, styles, months and days, as tables.
local function fill_words(d)
  d:script([[
    CREATE TABLE word(kind TEXT, n INTEGER, text TEXT, PRIMARY KEY (kind, n)) WITHOUT ROWID;
    CREATE TABLE style(is_ru INTEGER, low, high, name TEXT, amplitude, growth, from_year, to_year);
    CREATE TABLE busy(month INTEGER PRIMARY KEY, factor);
    CREATE TABLE weekday(low REAL PRIMARY KEY, day INTEGER) WITHOUT ROWID;]])
  local list = {}
  local function add(sql, ...) list[#list + 1] = { sql, { ... } } end
  for kind, texts in pairs(words.LISTS) do
    for i, text in ipairs(texts) do add("INSERT INTO word VALUES (?, ?, ?)", kind, i - 1, text) end
  end
  for is_ru, styles in ipairs({ words.STYLES, words.RU_STYLES }) do
    local total, low = 0, 0
    for _, s in ipairs(styles) do total = total + s[2] end
    for _, s in ipairs(styles) do
      add("INSERT INTO style VALUES (?, ?, ?, ?, ?, ?, ?, ?)", is_ru - 1, low / total, (low + s[2]) / total, s[1],
        s[3], s[4], s[5], s[6])
      low = low + s[2]
    end
  end
  for i, factor in ipairs(words.SEASON) do add("INSERT INTO busy VALUES (?, ?)", i, factor) end
  local low = 0
  for i, share in ipairs(words.WEEK) do
    add("INSERT INTO weekday VALUES (?, ?)", low, i - 1)
    low = low + share
  end
  d:write(list)
end

-- `word(kind, which)` in the SQL below: one word of a list, by a whole number that counts its way through.
local function expand(sql)
  return (sql:gsub("word(%b())", function(args)
    local kind, which = args:match("^%(([%w_]+), (.*)%)$")
    return ("(SELECT text FROM word WHERE kind = '%s' AND n = (%s) %% %d)"):format(kind, which, #words.LISTS[kind])
  end))
end

-- Artists and their titles. Numbers that step through all pairs of words keep names apart.
local TITLES = [[
  CREATE TABLE artist(artist INTEGER PRIMARY KEY, is_ru INTEGER, name TEXT, style TEXT);
  INSERT INTO artist
    WITH RECURSIVE a(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM a WHERE n * 4 < (SELECT titles FROM setting))
    SELECT n, is_ru,
      CASE WHEN is_ru THEN word(ru_adjective, k) || ' ' || word(ru_noun, k / 22)
           WHEN form < 0.35 THEN 'The ' || word(adjective, k) || ' ' || word(noun, k / 51) || 's'
           WHEN form < 0.65 THEN word(adjective, k) || ' ' || word(noun, k / 51)
           ELSE word(first, k) || ' ' || word(last, k / 31) END,
      (SELECT name FROM style s WHERE s.is_ru = a.is_ru AND a.u >= low AND a.u < high)
    FROM (SELECT n, chance(seed, 'ru', n) < 0.22 AS is_ru, chance(seed, 'form', n) AS form,
                 chance(seed, 'style', n) AS u, n * 401 + CAST(chance(seed, 'names') * 5000 AS INTEGER) AS k
          FROM a, setting) a;

  -- a fifth are another edition of the album before
  CREATE TABLE album AS
    WITH RECURSIVE t(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM t WHERE n + 1 < (SELECT titles FROM setting))
    SELECT n AS title, max(iif(n = 0 OR chance(seed, 'edition', n) > 0.2, n, NULL)) OVER (ORDER BY n) AS album
    FROM t, setting;

  CREATE TABLE title(title INTEGER PRIMARY KEY, artist TEXT, album TEXT, style TEXT, barcode TEXT, is_used INTEGER,
    cover_type TEXT, release_type TEXT, recording_year INTEGER, release_year INTEGER, price REAL, reprice_day INTEGER,
    base REAL, launch INTEGER, until INTEGER);
  INSERT INTO title(title, artist, album, style, barcode, is_used, cover_type, release_type, recording_year,
      release_year, price, reprice_day, base, launch, until)
    SELECT title, name,
      CASE WHEN is_ru THEN word(ru_adjective, album * 7) || ' ' || lower(word(ru_noun, album * 7 / 22))
           WHEN form < 0.5 THEN word(adjective, album * 7) || ' ' || word(noun, album * 7 / 51)
           WHEN form < 0.8 THEN word(noun, album * 7) || ' of the ' || word(noun, album * 7 / 53 + 29)
           WHEN form < 0.9 THEN 'Live at the ' || word(noun, album * 7)
           ELSE word(adjective, album * 7) END,
      style, iif(is_used AND chance(seed, 'code', title) < 0.3, NULL, code || ((10 - (]] .. (function()
        local parts = {}
        for i = 1, 12 do parts[i] = ("substr(code, %d, 1) * %d"):format(i, i % 2 == 0 and 3 or 1) end
        return table.concat(parts, " + ")
      end)() .. [[) % 10) % 10)),
      is_used,
      iif(NOT is_used, 'SS', CASE CAST(chance(seed, 'cover', title) * 4 AS INTEGER)
        WHEN 0 THEN 'NM' WHEN 1 THEN 'EX' WHEN 2 THEN 'VG+' ELSE 'VG' END),
      iif(is_original, 'Оригинал', 'Переиздание'), recorded,
      iif(is_original, recorded,
        max(recorded, last_year - CAST(pow(chance(seed, 'reissue', title), 2) * 14 AS INTEGER))),
      90 + 100 * CAST(exp(iif(is_used, 6.9, 8.0) + iif(is_used, 0.55, 0.35) * z) / 100 AS INTEGER),
      iif(chance(seed, 'reprice', title) < 0.2,
        first_day + CAST(chance(seed, 'reprice day', title) * days AS INTEGER), NULL),
      weight / sum(weight) OVER () * rows_a_month / 30.4375 * 7 * ]] .. LOST_SHARE .. [[,
      iif(chance(seed, 'new', title) < 0.15, CAST(chance(seed, 'launch', title) * days / 7 AS INTEGER), 0),
      iif(chance(seed, 'gone', title) < 0.12, CAST(chance(seed, 'until', title) * days / 7 AS INTEGER), 1000000)
    FROM (
      SELECT t.title, t.album, a.name, a.is_ru, a.style, s.*, chance(seed, 'album', t.album) AS form,
        printf('%012d', 460000000000 + CAST(chance(seed, 'barcode', t.title) * 39999999999 AS INTEGER)) AS code,
        chance(seed, 'used', t.title) < 0.3 AS is_used, chance(seed, 'original', t.title) < 0.35 AS is_original,
        y.from_year + CAST(chance(seed, 'year', t.album) * (min(y.to_year, s.last_year) - y.from_year + 1) AS INTEGER)
          AS recorded,
        sqrt(-2 * ln(chance(seed, 'price', t.title))) * cos(2 * pi() * chance(seed, 'price 2', t.title)) AS z,
        pow(row_number() OVER (ORDER BY chance(seed, 'rank', t.title)), -0.6)
          * iif(chance(seed, 'used', t.title) < 0.3, 0.5, 1) AS weight
      FROM setting s, album t
      JOIN artist a ON a.artist =
        CAST(pow(chance(seed, 'artist', t.album), 1.4) * (SELECT count(*) FROM artist) AS INTEGER)
      JOIN style y ON y.name = a.style);
  -- the shop orders up to a level when the stock is as low as order_at
  CREATE TABLE shelf(title INTEGER PRIMARY KEY, launch INTEGER, until INTEGER, up_to INTEGER, order_at INTEGER,
    stock INTEGER, ordered INTEGER, due INTEGER);
  INSERT INTO shelf
    SELECT title, launch, until, max(1, CAST(base * (4 + 4 * chance(seed, 'cover weeks', title)) + 0.5 AS INTEGER)),
           iif(is_used, 0, CAST(base * 2.5 AS INTEGER)), 0, 0, -1 FROM title, setting;

  -- what there was before: three lots in the two years before, the newest the largest
  CREATE TABLE lot(title INTEGER, day INTEGER, n INTEGER);
  INSERT INTO lot
    SELECT title, first_day - 10 - CAST(pow(chance(seed, 'lot', title, k), 2) * 700 AS INTEGER),
           CASE k WHEN 0 THEN n - n / 3 - n / 6 WHEN 1 THEN n / 3 ELSE n / 6 END
    FROM setting, (SELECT title, k, CAST(up_to * (0.4 + chance(seed, 'opening', title)) + 0.5 AS INTEGER) AS n
                   FROM setting, shelf, (SELECT 0 AS k UNION ALL SELECT 1 UNION ALL SELECT 2) WHERE launch = 0);
  DELETE FROM lot WHERE n = 0;
  UPDATE shelf SET stock = n FROM (SELECT title, sum(n) AS n FROM lot GROUP BY title) l WHERE l.title = shelf.title;
  UPDATE shelf SET ordered = max(1, up_to * 2), due = launch WHERE launch > 0;
]]

-- The weeks. Putting one into `week` lets it happen: deliveries on its first day, sales, orders.
local WEEKS = [[
  CREATE TABLE factor(week INTEGER, style TEXT, factor REAL, PRIMARY KEY (style, week)) WITHOUT ROWID;
  INSERT INTO factor
    WITH RECURSIVE w(week) AS (SELECT 0 UNION ALL SELECT week + 1 FROM w, setting WHERE (week + 1) * 7 < days)
    SELECT week, name, pow(b.factor, amplitude) * pow(1 + growth, (week * 7 - days / 2) / 365.25)
    FROM setting, w JOIN busy b ON b.month =
        CAST(strftime('%m', (first_day + min(week * 7 + 3, days - 1)) * 86400, 'unixepoch') AS INTEGER), style;

  -- noise of the month: lognormal, of mean 1
  CREATE TABLE demand(week INTEGER, title INTEGER, n INTEGER, PRIMARY KEY (week, title)) WITHOUT ROWID;
  INSERT INTO demand
    SELECT week, title, n FROM (
      SELECT week, title, poisson(base * factor * iif(launch > 0, 1 + 4 * exp((launch - week) / 5.0), 1)
          * exp(0.25 * sqrt(-2 * ln(chance(seed, 'noise', title, week * 7 / 30)))
                * cos(2 * pi() * chance(seed, 'noise 2', title, week * 7 / 30)) - 0.03125),
        chance(seed, 'demand', title, week)) AS n
      FROM setting, title CROSS JOIN factor USING (style) WHERE week >= launch)
    WHERE n > 0;

  CREATE TABLE sale(title INTEGER, week INTEGER, n INTEGER, demand INTEGER);
  CREATE TABLE week(week INTEGER PRIMARY KEY, day INTEGER);
  CREATE TRIGGER week_passes AFTER INSERT ON week BEGIN
    INSERT INTO lot SELECT title, NEW.day, ordered FROM shelf WHERE due = NEW.week;
    UPDATE shelf SET stock = stock + ordered, ordered = 0, due = -1 WHERE due = NEW.week;
    INSERT INTO sale SELECT title, NEW.week, min(stock, n), n FROM demand JOIN shelf USING (title)
      WHERE week = NEW.week AND stock > 0;
    UPDATE shelf SET stock = max(0, stock - (SELECT n FROM demand d WHERE (d.week, d.title) = (NEW.week, shelf.title)))
      WHERE stock > 0 AND EXISTS (SELECT 1 FROM demand d WHERE (d.week, d.title) = (NEW.week, shelf.title));
    -- one order in ten waits: the supplier has none
    UPDATE shelf SET ordered = up_to - stock, due = NEW.week + 1 + (SELECT CAST(iif(
          chance(seed, 'late', title, NEW.week) < 0.1, 4 + 8 * chance(seed, 'wait', title, NEW.week),
          2.5 * chance(seed, 'wait', title, NEW.week)) AS INTEGER) FROM setting)
      WHERE stock <= order_at AND ordered = 0 AND NEW.week >= launch AND NEW.week < until;
  END;
  INSERT INTO week
    WITH RECURSIVE w(week) AS (SELECT 0 UNION ALL SELECT week + 1 FROM w, setting WHERE (week + 1) * 7 < days)
    SELECT week, first_day + week * 7 FROM w, setting;
]]

-- One row per sold unit: its day, and the day it came to the shop, first in, first out.
local UNITS = [[
  CREATE TABLE number(i INTEGER PRIMARY KEY);
  INSERT INTO number WITH RECURSIVE n(i) AS (
    SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < (SELECT coalesce(max(demand), 1) FROM sale)) SELECT i FROM n;
  CREATE TABLE stack(title INTEGER, below INTEGER, day INTEGER, n INTEGER, PRIMARY KEY (title, below)) WITHOUT ROWID;
  INSERT INTO stack
    SELECT title, sum(n) OVER (PARTITION BY title ORDER BY day, rowid) - n, day, n FROM lot;
  CREATE TABLE unit(unit INTEGER PRIMARY KEY, title INTEGER, day INTEGER, seq INTEGER);
  INSERT INTO unit(title, day, seq)
    SELECT title, day, row_number() OVER (PARTITION BY title ORDER BY day) FROM (
      SELECT title, n, day, row_number() OVER (PARTITION BY title, week ORDER BY day) AS k FROM (
        SELECT title, week, n, first_day + week * 7 + (7 + (SELECT day FROM weekday w
                 WHERE w.low <= chance(seed, 'day', title, week, i) ORDER BY low DESC LIMIT 1)
                 - (first_day + 3) % 7) % 7 AS day -- 1970 began on a Thursday
        FROM setting, sale JOIN number ON i <= demand))
    WHERE k <= n AND day < (SELECT first_day + days FROM setting) ORDER BY day, title;
  -- the last day has a sale, so that the last month is complete
  UPDATE unit SET day = (SELECT first_day + days - 1 FROM setting) WHERE unit = (SELECT max(unit) FROM unit);
]]

local function months_of(opt)
  local start = opt.start and opt.start .. "-01" or time.add_months(time.month_start(time.date()), -opt.months)
  local list, month = {}, start
  for i = 1, opt.months do
    list[i] = month
    month = time.add_months(month, 1)
  end
  return list, month
end

-- Makes the folders; months of another run would be taken for months of this shop.
local function prepare(folder, months)
  fs.mkdir(folder .. "/sales")
  local own = {}
  for _, month in ipairs(months) do own[month:sub(1, 7) .. ".xlsx"] = true end
  for _, entry in ipairs(fs.list(folder .. "/sales")) do
    if not own[entry.name] then
      error({ code = "exists", message = folder .. "/sales/" .. entry.name ..
              " is in the way: choose an empty folder" }, 0)
    end
  end
end

--- Writes FOLDER/stock.xlsx and FOLDER/sales/YYYY-MM.xlsx. The last month is complete, the stock is of the
--- start of the day after it.
--- Waits.
--- @param folder string
--- @param opt table? { titles = 2000, months = 18, seed = 1, start = "YYYY-MM" (default: so that the last
---   month is the one before this), rows = units sold in an average month, about (default: 2 * titles),
---   progress = function(text) }
--- @return table { files, sales_rows, stock_rows, first_month, last_month }
--- Raises: invalid, exists, io, full, auth
function generate_sales.write(folder, opt)
  opt = opt or {}
  local progress = opt.progress or function() end
  local o = { titles = opt.titles or 2000, months = opt.months or 18, seed = opt.seed or 1, start = opt.start }
  o.rows = opt.rows or math.type(o.titles) == "integer" and 2 * o.titles
  for _, range in ipairs({ { 20, 200000, "titles" }, { 1, 240, "months" }, { 40, 1000000, "rows" },
                           { 0, 1 << 53, "seed" } }) do
    local name = range[3]
    if math.type(o[name]) ~= "integer" or o[name] < range[1] or o[name] > range[2] then
      error({ code = "invalid", message = ("%s is %s, expected a whole number from %d to %d"):format(name,
        tostring(o[name]), range[1], range[2]) }, 0)
    end
  end
  if o.start and not time.is_date(o.start .. "-01") then
    error({ code = "invalid", message = "start is " .. o.start .. ", expected a month, YYYY-MM" }, 0)
  end
  local months, after = months_of(o)
  prepare(folder, months)
  local scratch = fs.temp(folder, "scratch")
  local ok, result = pcall(function()
    local d <close> = db.open(scratch, { sync = "off", cache_kib = 65536, readers = 1 })
    local days = time.days_between(months[1], after)
    d:exec([[CREATE TABLE setting AS SELECT ? AS seed, ? AS titles, ? AS rows_a_month,
      unixepoch(?) / 86400 AS first_day, ? AS days, ? AS last_year]],
      { o.seed, o.titles, o.rows, months[1], days, math.tointeger(tonumber(months[#months]:sub(1, 4))) })
    progress("titles")
    fill_words(d)
    d:script(expand(TITLES))
    progress("weeks")
    d:script(WEEKS)
    progress("units")
    d:script(UNITS)
    return rows.write(d, folder, months, progress)
  end)
  for _, side in ipairs({ "", "-wal", "-shm", "-journal" }) do pcall(fs.remove, scratch .. side) end
  if not ok then error(result, 0) end
  result.first_month, result.last_month = months[1], months[#months]
  return result
end

return generate_sales
