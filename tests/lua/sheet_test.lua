-- The face of table files: lua/sheet.lua over core.sheet.
local db = require("db")
local sheet = require("sheet")
local task = require("task")

local n = 0
local function check(cond, what)
  n = n + 1
  if not cond then error("failed: " .. what, 2) end
end

local function fails(code, reason, fn, ...)
  local ok, err = pcall(fn, ...)
  n = n + 1
  if ok or type(err) ~= "table" or err.code ~= code or (err.details and err.details.reason) ~= reason then
    error("expected the error " .. code .. " " .. tostring(reason) .. ", got " ..
      (ok and "none" or type(err) == "table" and tostring(err.code) .. " " ..
        tostring(err.details and err.details.reason) .. ": " .. tostring(err.message) or tostring(err)), 2)
  end
  return err
end

local function misuse(pattern, fn, ...)
  local ok, err = pcall(fn, ...)
  n = n + 1
  if ok or type(err) ~= "string" or not err:find(pattern, 1, true) then
    error("expected the misuse \"" .. pattern .. "\", got " ..
      (type(err) == "table" and tostring(err.message) or tostring(err)), 2)
  end
end

local folder = arg[1] or "build"
local id = require("crypto").uuid()
local function path(name) return string.format("%s/sheet_test_%s_%s", folder, id, name) end
local d <close> = db.open(path("x.db"), { sync = "off" })

-- a workbook of a query, and back
d:script([[CREATE TABLE source(name TEXT, day TEXT, price REAL, n INTEGER);
  INSERT INTO source VALUES ('=cmd()', '2025-03-05', 2490.5, 3), (' Кино ', NULL, -1, NULL)]])
local rows = sheet.write{ db = d, file = path("a.xlsx"), sql = "SELECT * FROM source WHERE n IS NULL OR n > ?",
  args = { 0 }, columns = { { title = "Альбом" }, { title = "Дата", style = "date" },
    { title = "Цена, руб.", style = "money", width = 12 }, { title = "Штук", style = "whole" } } }
check(rows == 2, "rows written")
local info = sheet.info(path("a.xlsx"))
check(info.kind == "xlsx" and info.sheet == "Sheet1" and #info.sheets == 1 and not info.is_1904, "info")
check(table.concat(info.header, "|") == "Альбом|Дата|Цена, руб.|Штук", "header")
local columns = { { name = "album", headers = { "альбом" }, required = true },
  { name = "price", headers = { "Price", "Цена, руб." } }, { name = "other" } }
local seen = 0
local r = sheet.load{ db = d, file = path("a.xlsx"), table = "raw", columns = columns, file_column = "file",
  file_id = 7,
  progress = function(count, share) seen = count; check(share >= 0 and share <= 1, "share") end }
check(r.rows == 2 and r.cells == 4 and r.header_row == 1 and r.is_1904 == false and seen == 2, "loaded")
local one = d:row("SELECT * FROM raw WHERE row = 2")
check(one.file == 7 and one.album == "=cmd()" and one.price == 2490.5 and one.other == nil, "first row")
check(d:value("SELECT text_clean(album) FROM raw WHERE row = 3") == "Кино", "SQL functions are there")
check(d:value("SELECT mode(price) FROM raw") == -1, "and aggregates")

-- csv, all columns
rows = sheet.write{ db = d, file = path("a.csv"), sql = "SELECT name, n FROM source", mark = true, separator = ";" }
check(rows == 2, "csv")
info = sheet.info(path("a.csv"))
check(info.kind == "csv" and info.encoding == "utf-8" and info.separator == ";" and info.header[2] == "n", "csv info")
check(sheet.load{ db = d, file = path("a.csv"), table = "all_columns" }.rows == 2, "csv loaded")
check(d:value("SELECT name FROM all_columns WHERE row = 2") == "'=cmd()", "a formula is made harmless")

-- refusals leave nothing
local before = d:value("SELECT count(*) FROM raw")
local err = fails("invalid", "missing_columns", sheet.load, { db = d, file = path("a.csv"), table = "raw",
  name = "продажи.csv",
  columns = { { name = "x", required = true }, { name = "name" }, { name = "y", required = true } } })
check(err.details.file == "продажи.csv" and #err.details.columns == 2 and err.details.columns[2] == "y", "details")
err = fails("invalid", "duplicate_columns", sheet.load, { db = d, file = path("a.csv"), table = "raw",
  columns = { { name = "both", headers = { "name", "n" } } } })
check(err.details.column == "both", "the column")
check(d:value("SELECT count(*) FROM raw") == before, "nothing stored")
fails("unsupported", "unsupported_format", sheet.info, path("x.db"))
fails("notfound", nil, sheet.info, path("none"))
fails("notfound", nil, sheet.load, { db = d, file = path("none"), table = "t" })
fails("notfound", nil, sheet.write, { db = d, file = path("none/a.csv"), sql = "SELECT 1" })
fails("invalid", nil, sheet.write, { db = d, file = path("b.csv"), sql = "DELETE FROM raw" })
fails("shape", nil, sheet.write, { db = d, file = path("b.csv"), sql = "SELECT 1, 2",
  columns = { { title = "a" } } })
misuse("file is missing", sheet.load, { db = d, table = "t" })
misuse("db is no database", sheet.load, { db = {}, file = "x", table = "t" })
misuse("style", sheet.write, { db = d, file = path("b.csv"), sql = "SELECT 1",
  columns = { { title = "a", style = "x" } } })

-- inside of a transaction: part of it
pcall(d.transaction, d, function()
  d:exec("INSERT INTO raw(row) VALUES (99)")
  check(sheet.load{ db = d, file = path("a.csv"), table = "inside" }.rows == 2, "loaded inside")
  check(sheet.write{ db = d, file = path("in.csv"), sql = "SELECT * FROM inside" } == 2, "its rows are seen")
  error("back")
end)
check(d:value("SELECT count(*) FROM sqlite_master WHERE name = 'inside'") == 0, "rolled back")

-- many rows in steps, others served meanwhile; a cancelled load leaves nothing
d:exec([[CREATE TABLE many AS WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 50000)
  SELECT i, 'text ' || i AS t FROM c]])
check(sheet.write{ db = d, file = path("many.csv"), sql = "SELECT * FROM many" } == 50000, "many")
local steps = 0
r = sheet.load{ db = d, file = path("many.csv"), table = "back", progress = function() steps = steps + 1 end }
check(r.rows == 50000, "back")
check(steps == 3, "steps")
check(d:value("SELECT count(*) FROM many JOIN back USING (t) WHERE many.i = number_of(back.i)") == 50000, "the same")
local t = task.start(function()
  sheet.load{ db = d, file = path("many.csv"), table = "gone", progress = function() task.sleep(0.05) end }
end)
task.sleep(0.02)
task.cancel(t)
task.sleep(0.1)
check(d:value("SELECT count(*) FROM sqlite_master WHERE name = 'gone'") == 0, "cancelled")
check(d:exec("INSERT INTO raw(row) VALUES (100)").changes == 1, "the writer is free again")
print(n .. " checks")
