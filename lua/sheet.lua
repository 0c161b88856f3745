-- sheet.lua - table files: workbooks and csv that people upload, and those made for them.
--
-- A file is read by its content, whatever its name, and streams into a table of a database; cleaning
-- is SQL's work (text_clean, number_of, date_of and the others of db_func.h). Nothing is held whole in
-- memory, no cell becomes a Lua value.
--
--   local sheet = require("sheet")
--   local r = sheet.load{ db = scratch, file = path, table = "raw", file_column = "file", file_id = 1,
--     columns = { { name = "price", headers = { "Цена, руб." }, required = true }, … } }
--   sheet.write{ db = scratch, file = out, sql = "SELECT … FROM rejects" }
--
-- A file that is refused raises an error whose details say why in one word:
--   reason = unsupported_format | corrupt_file | file_too_large | several_sheets (sheets) |
--     missing_columns (columns) | duplicate_columns (column) | empty_file

local core = require("core.sheet")

local sheet = {}

local ROWS_PER_STEP = 20000

local function fail(file, name, message, code, reason, names)
  local details = { file = name or file:match("[^/]*$") }
  if reason and reason ~= "system" and reason ~= "none" then
    details.reason = reason
    if reason == "several_sheets" then details.sheets = names end
    if reason == "missing_columns" then details.columns = names end
    if reason == "duplicate_columns" then details.column = names[1] end
  end
  error({ code = code, message = details.file .. ": " .. message, details = details }, 0)
end

local function check_options(opt, ...)
  if type(opt) ~= "table" then error("a table of options expected", 3) end
  for _, field in ipairs({ ... }) do
    if opt[field] == nil then error(field .. " is missing", 3) end
  end
  if type(opt.file) ~= "string" then error("file is no path", 3) end
  if type(opt.db) ~= "table" or opt.db.box == nil then error("db is no database", 3) end
end

--- Streams a table file into a table, all or nothing (a transaction, or part of the one that is open).
--- Cells arrive as they are: empty is NULL, numbers are INTEGER or REAL, date cells 'YYYY-MM-DD[ hh:mm:ss]',
--- yes and no TRUE and FALSE, everything else text. Rows without anything to see are left out.
--- Waits; cancellable.
--- @param opt table { db, file = path, table = name (made if there is none), schema = "main", columns = array
---   of { name, headers = { what files call it, … } (default: the name), required = false } (default: every
---   column of the file, by its header), row_column = "row" (number of the row in the file), file_column =
---   (none), file_id = 0, sheet = the one to read when several have data, name = of the file in messages,
---   temp_dir = for large workbooks, progress = function(rows, share of the file 0 … 1) }
--- @return table { rows, cells (not empty), header_row, is_1904 (serial numbers count from 1904: give it
---   to date_of) }
--- Raises: unsupported, parse, limit, invalid, notfound, io, nomem, full, busy, cancelled
function sheet.load(opt)
  check_options(opt, "db", "file", "table")
  local loader <close>, message, code = core.loader({
    path = opt.file, table = opt.table, schema = opt.schema, columns = opt.columns,
    row_column = opt.row_column, file_column = opt.file_column, file_id = opt.file_id,
    sheet = opt.sheet, temp_dir = opt.temp_dir,
  })
  if not loader then fail(opt.file, opt.name, message, code) end
  return opt.db:transaction(function(d)
    repeat
      local more, rows, done, reason, names = core.step(d.box, loader, ROWS_PER_STEP)
      if more == nil then fail(opt.file, opt.name, rows, done, reason, names) end
      if opt.progress then opt.progress(rows, done) end
    until not more
    return core.result(loader)
  end)
end

--- What a table file is, without reading more than its beginning.
--- Waits; cancellable.
--- @param file string  path
--- @param opt table? { sheet = the one to look at when several have data, name, temp_dir }
--- @return table { kind = "xlsx" | "csv", sheet = name, sheets = { names of all }, encoding, separator,
---   is_1904, header = { texts of the first row with data, "" where there is none } }
--- Raises: unsupported, parse, limit, invalid, notfound, io, nomem, cancelled
function sheet.info(file, opt)
  opt = opt or {}
  local info, message, code, reason, names = core.info(file, opt.temp_dir, opt.sheet)
  if not info then fail(file, opt.name, message, code, reason, names) end
  return info
end

--- Writes the rows of a query into a file for people, or for programs (parquet). Texts are never formulas:
--- in csv one that looks like it gets an apostrophe in front.
--- Waits; cancellable.
--- @param opt table { db, file = path, sql, args = as of db:query, format = "xlsx" | "csv" | "parquet" (default: by
---   the path), columns = array of { title, style = "plain" | "whole" | "integer" | "number" | "money" |
---   "percent" | "date" | "time" (parquet: it is the type, plain and time are text), width = in characters }
---   (default: the names of the query's columns), sheet = name of the tab, separator = "," (csv),
---   mark = false (csv begins with a byte-order mark, which Excel wants), created = Unix seconds that
---   the workbook gives as its birth (default: now; given, equal rows make equal files), temp_dir }
--- @return integer  rows written, without the header
--- Raises: invalid, shape, parse, limit, io, full, nomem, notfound, busy, cancelled
function sheet.write(opt)
  check_options(opt, "db", "file", "sql")
  local rows, message, code = core.write(opt.db.box, {
    path = opt.file, sql = opt.sql, sheet = opt.sheet, columns = opt.columns, mark = opt.mark,
    separator = opt.separator, temp_dir = opt.temp_dir, created = opt.created,
    format = opt.format or opt.file:lower():match("%.(csv)$") or opt.file:lower():match("%.(parquet)$") or "xlsx",
  }, opt.args)
  if not rows then fail(opt.file, opt.name, message, code) end
  return rows
end

return sheet
