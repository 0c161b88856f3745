-- generate_rows.lua - the workbooks of generate_sales.lua: one row per sold unit, one per lot in stock, and
-- in a few of them what people do to tables: dates typed by hand, prices with blanks and commas, barcodes
-- that lost or won zeros, cells left empty, rows twice, returns. Some of it is read all the same, some rows
-- must be rejected.

local fs = require("fs")
local sheet = require("sheet")

local generate_rows = {}

-- What becomes of a row, and of how many.
local DIRT = {
  { "price text", 0.010 }, { "cover", 0.008 }, { "style", 0.008 }, { "date text", 0.006 }, { "blanks", 0.004 },
  { "barcode blanks", 0.004 }, { "barcode zeros", 0.004 }, { "release", 0.003 }, { "return", 0.002 }, { "late", 0.002 },
  { "slashes", 0.002 }, { "serial", 0.001 }, { "seconds", 0.001 }, { "no artist", 0.0008 }, { "year word", 0.0008 },
  { "twice", 0.0008 }, { "price word", 0.0006 }, { "no price", 0.0006 }, { "no date", 0.0005 }, { "barcode", 0.0005 },
  { "price zero", 0.0003 }, { "no such day", 0.0003 },
}

local function dirt_of(key)
  local parts, sum = {}, 0
  for _, d in ipairs(DIRT) do
    sum = sum + d[2]
    parts[#parts + 1] = ("WHEN u < %.17g THEN '%s'"):format(sum, d[1])
  end
  return ("(SELECT CASE %s END FROM (SELECT chance(seed, 'dirt', %s) AS u))"):format(table.concat(parts, " "), key)
end

-- A day as a cell: a date, or as somebody typed it.
local function day_cell(day, clock)
  return (([[CASE dirt WHEN 'date text' THEN strftime('%d.%m.%Y %H:%M', MOMENT, 'unixepoch')
    WHEN 'slashes' THEN ltrim(strftime('%d', MOMENT, 'unixepoch'), '0') || '/' || strftime('%m/%Y', MOMENT, 'unixepoch')
    WHEN 'serial' THEN CAST(DAY + 25569 AS TEXT) WHEN 'seconds' THEN CAST(MOMENT AS TEXT)
    WHEN 'no date' THEN NULL WHEN 'no such day' THEN strftime('31.02.%Y', MOMENT, 'unixepoch')
    ELSE strftime('%Y-%m-%d %H:%M:%S', MOMENT, 'unixepoch') END]]):gsub("%f[%w]%u+%f[%W]",
      { MOMENT = ("(%s * 86400 + %s)"):format(day, clock), DAY = day }))
end

-- The columns that sales and stock share; `price` is a number there.
local SHARED = [[
    CASE dirt WHEN 'barcode' THEN NULL WHEN 'barcode zeros' THEN '00' || barcode
      WHEN 'barcode blanks' THEN substr(barcode, 1, 1) || ' ' || substr(barcode, 2, 6) || ' ' || substr(barcode, 8)
      ELSE barcode END AS "Штрихкод",
    CASE dirt WHEN 'no artist' THEN NULL WHEN 'blanks' THEN ' ' || replace(artist, ' ', '  ')
      ELSE artist END AS "Исполнитель",
    album AS "Альбом",
    iif(dirt IS 'cover', NULL, cover_type) AS "Конверт",
    CASE dirt WHEN 'price text' THEN iif(price >= 1000, CAST(price AS INTEGER) / 1000 || char(160), '')
        || printf(iif(price >= 1000, '%03d', '%d'), CAST(price AS INTEGER) % 1000) || ',00'
      WHEN 'price word' THEN 'по запросу' WHEN 'no price' THEN NULL WHEN 'price zero' THEN 0
      ELSE price END AS "Цена, руб.",
    release_type AS "Тип",
    iif(dirt IS 'year word', 'неизв.', recording_year) AS "Год записи",
    CASE dirt WHEN 'release' THEN iif(release_type = 'Оригинал', NULL, substr(release_year, 1, 3) || '?')
      ELSE release_year END AS "Год выпуска",
    iif(dirt IS 'style', NULL, style) AS "Стиль",
]]

local PRICE = [[CAST(t.price * iif(%s >= coalesce(reprice_day, 1e9), 1.12, 1)
  * iif(chance(seed, 'less', %s) < 0.03, 0.95, 1) / 10 AS INTEGER) * 10]]

-- Some rows stand there twice. Materialized: what a row is like is found out once.
local TWICE = " FROM r JOIN (SELECT 1 AS k UNION ALL SELECT 2) ON k = 1 OR dirt IS 'twice'"

local SALES = [[
  WITH r AS MATERIALIZED (
    SELECT day, ]] .. PRICE:format("day", "unit") .. [[ AS price, dirt, t.barcode, t.artist, t.album, t.cover_type,
      t.release_type, t.recording_year, t.release_year, t.style,
      36000 + CAST(chance(seed, 'clock', unit) * 39600 AS INTEGER) AS clock,
      iif(dirt IS 'late', u.day + 1 + CAST(chance(seed, 'late', unit) * 9 AS INTEGER),
        (SELECT s.day FROM stack s WHERE s.title = u.title AND s.below < u.seq ORDER BY s.below DESC LIMIT 1)
      ) AS created
    FROM setting CROSS JOIN (SELECT unit.*, ]] .. dirt_of("unit") .. [[ AS dirt FROM setting, unit
        WHERE day >= unixepoch(:first) / 86400 AND day < unixepoch(:first, '+1 month') / 86400
        ORDER BY unit LIMIT -1) u CROSS JOIN title t USING (title))
  SELECT row_number() OVER () AS "№",]] .. SHARED ..
    day_cell("created", "0") .. [[ AS "Дата создания",]] ..
    day_cell("day", "clock") .. [[ AS "Дата заказа",
    iif(dirt IS 'return', -1, 1) AS "Количество"]] .. TWICE

local STOCK = [[
  WITH r AS MATERIALIZED (
    SELECT seed, title, s.day AS created, t.barcode, t.artist, t.album, t.cover_type, t.release_type,
      t.recording_year, t.release_year, t.style, ]] .. PRICE:format("first_day + days", "'stock', s.title, s.below") ..
      [[ AS price, ]] .. dirt_of("'stock', s.title, s.below") .. [[ AS dirt,
      s.below + s.n - max(s.below, coalesce(sold, 0)) AS n
    FROM setting, stack s JOIN title t USING (title)
    LEFT JOIN (SELECT title, max(seq) AS sold FROM unit GROUP BY title) USING (title)
    WHERE s.below + s.n > coalesce(sold, 0) AND s.day < first_day + days
    ORDER BY t.artist, t.album, title, s.below)
  SELECT ]] .. SHARED ..
    day_cell("created", "0") .. [[ AS "Дата добавления",
    CASE dirt WHEN 'return' THEN -1 WHEN 'late' THEN NULL ELSE n END AS "Экземпляры",
    char(65 + CAST(chance(seed, 'shelf', title) * 12 AS INTEGER))
      || (1 + CAST(chance(seed, 'row', title) * 9 AS INTEGER)) AS "Полка"]] .. TWICE

local function columns(dates)
  local out = {}
  for _, c in ipairs({ { "Штрихкод", 16 }, { "Исполнитель", 28 }, { "Альбом", 32 }, { "Конверт", 9 },
                       { "Цена, руб.", 11 }, { "Тип", 13 }, { "Год записи", 11 }, { "Год выпуска", 12 },
                       { "Стиль", 22 } }) do
    out[#out + 1] = { title = c[1], width = c[2] }
  end
  for _, title in ipairs(dates) do out[#out + 1] = { title = title, style = "time", width = 19 } end
  return out
end

--- Writes the workbooks. Equal scratch databases make equal files.
--- Waits.
--- @param d db  scratch, with the tables of generate_sales
--- @param folder string
--- @param months table  array of first days
--- @param progress function(text)
--- @return table { files, sales_rows, stock_rows }
--- Raises: io, full
function generate_rows.write(d, folder, months, progress)
  local out = { files = #months + 1, sales_rows = 0 }
  local created = d:value("SELECT (first_day + days) * 86400 FROM setting")
  d:exec("CREATE INDEX unit_day ON unit(day)")
  local function write(name, opt)
    progress(name)
    opt.db, opt.file, opt.created = d, folder .. "/" .. name .. ".new", created
    opt.format = "xlsx"
    local n = sheet.write(opt)
    fs.rename(opt.file, folder .. "/" .. name)
    return n
  end
  for _, month in ipairs(months) do
    local list = columns({ "Дата создания", "Дата заказа" })
    table.insert(list, 1, { title = "№" })
    list[#list + 1] = { title = "Количество" }
    out.sales_rows = out.sales_rows + write("sales/" .. month:sub(1, 7) .. ".xlsx",
      { sql = SALES, args = { first = month }, columns = list, sheet = "Продажи" })
  end
  local list = columns({ "Дата добавления" })
  list[#list + 1] = { title = "Экземпляры" }
  list[#list + 1] = { title = "Полка" }
  out.stock_rows = write("stock.xlsx", { sql = STOCK, columns = list, sheet = "Остатки" })
  return out
end

return generate_rows
