-- upload_clean.lua - the files of an upload into the table `item`: clean rows of what is on hand and
-- what was sold. What could not be used is in `reject`, each row with its reason.
--
-- All tables are in the scratch database of the upload: file, raw, item, reject.

local sheet = require("sheet")

local clean = {}

local READ_SHARE = 0.5 -- of the whole upload's progress

local function names_of(catalogue)
  local names = {}
  for i, c in ipairs(catalogue.columns) do names[i] = c.name end
  return names
end

-- "a, b, c" of a list, each through fn.
local function join(list, fn, separator)
  local out = {}
  for i, v in ipairs(list) do out[i] = fn and fn(v) or v end
  return table.concat(out, separator or ", ")
end

local function quoted(name) return '"' .. name .. '"' end

-- The words of sheet.load about a file are our error codes.
local function load(opt)
  local ok, result = pcall(sheet.load, opt)
  if ok then return result end
  if type(result) == "table" and result.details and result.details.reason then
    local details = result.details
    error({ code = details.reason, message = result.message, status = 422,
            details = { file = details.file, sheets = details.sheets, columns = details.columns,
                        column = details.column } }, 0)
  end
  error(result, 0)
end

--- Streams the files into `raw`, stock first.
--- Waits.
--- @param d db  scratch
--- @param catalogue table
--- @param files table  array of { kind = "stock" | "sales", path, name }
--- @param opt table { sheet, progress, temp_dir }
--- @return table  array of { file, kind, read }
--- Raises: unsupported_format, corrupt_file, file_too_large, several_sheets, missing_columns,
---   duplicate_columns, empty_file
function clean.read(d, catalogue, files, opt)
  d:script([[
    CREATE TABLE file(file INTEGER PRIMARY KEY, kind TEXT, name TEXT, epoch INTEGER, read INTEGER);
    CREATE TABLE raw(id INTEGER PRIMARY KEY, file, row, ]] .. join(names_of(catalogue), quoted) .. ");")
  local out = {}
  for i, f in ipairs(files) do
    local columns = {}
    for _, c in ipairs(catalogue.columns) do
      if c[f.kind] then
        columns[#columns + 1] = { name = c.name, headers = c.headers, required = c[f.kind] == "required" }
      end
    end
    local r = load{
      db = d, file = f.path, name = f.name, table = "raw", columns = columns, file_column = "file", file_id = i,
      sheet = opt.sheet, temp_dir = opt.temp_dir,
      progress = function(rows, share)
        if opt.progress then
          opt.progress((i - 1 + share) / #files * READ_SHARE, f.name .. ": " .. rows .. " rows read")
        end
      end,
    }
    d:exec("INSERT INTO file VALUES (?, ?, ?, ?, ?)", { i, f.kind, f.name, r.is_1904 and 1904 or 1900, r.rows })
    out[i] = { file = f.name, kind = f.kind, read = r.rows }
  end
  return out
end

-- Moves the rows for which one of the conditions holds from `item` to `reject`.
local function reject(d, conditions)
  local which, value = {}, {}
  for i, c in ipairs(conditions) do
    which[i] = ("WHEN %s THEN %d"):format(c.when, i)
    value[i] = ("WHEN %d THEN '%s'"):format(i, c.column)
  end
  local reason, original = {}, {}
  for i, c in ipairs(conditions) do
    reason[i] = ("WHEN %d THEN '%s'"):format(i, c.reason)
    original[i] = ("WHEN %d THEN text_of(raw.%s)"):format(i, quoted(c.column))
  end
  d:script(([[
    INSERT INTO reject
      SELECT id, file, row, CASE n %s END, CASE n %s END, CASE n %s END
      FROM (SELECT item.id AS id, CASE %s END AS n FROM item JOIN raw USING (id)) JOIN raw USING (id)
      WHERE n IS NOT NULL;
    DELETE FROM item WHERE id IN (SELECT id FROM reject);
  ]]):format(table.concat(value, " "), table.concat(reason, " "), table.concat(original, " "),
             table.concat(which, " ")))
end

--- Cleans what was read by the rules of the catalogue.
--- Waits.
--- @param d db  scratch
--- @param catalogue table
--- @param opt table { current_year, stored_style = function() that fills the table stored_style from what
---   earlier uploads stored, progress }
--- @return table { rejected = n, gap = years }
function clean.clean(d, catalogue, opt)
  local progress = opt.progress or function() end
  progress(READ_SHARE, "rows are cleaned")
  d:script([[
    CREATE TABLE setting AS SELECT ]] .. math.tointeger(opt.current_year) .. [[ AS current_year;
    CREATE TABLE reject(id INTEGER PRIMARY KEY, file, row, "column", reason, value);
    CREATE TABLE stored_style(artist, album, style, PRIMARY KEY (artist, album)) WITHOUT ROWID;
    CREATE TABLE item(id INTEGER PRIMARY KEY, kind, ]] .. join(names_of(catalogue), quoted) .. ", " ..
      join(catalogue.derived, quoted) .. [[);
    INSERT INTO item(id, kind, ]] .. join(names_of(catalogue), quoted) .. [[)
      SELECT raw.id, book.kind, ]] .. join(catalogue.columns, function(c) return c.read end) .. [[
      FROM raw JOIN file AS book USING (file);]])
  reject(d, catalogue.rejects)
  opt.stored_style()
  for i, rule in ipairs(catalogue.rules) do
    progress(READ_SHARE + 0.15 * i / #catalogue.rules, "rule: " .. rule.name)
    d:script(rule.sql)
  end
  reject(d, catalogue.late_rejects)
  return { rejected = d:value("SELECT count(*) FROM reject"), gap = d:value("SELECT years FROM gap") }
end

--- What the files had, and why rows were rejected.
--- Waits.
--- @param d db  scratch
--- @return table { files = array of { file, kind, read, accepted, rejected }, rejected_by_reason, read,
---   accepted, rejected }
function clean.counts(d)
  local out = { rejected_by_reason = {}, read = 0, accepted = 0, rejected = 0 }
  out.files = d:query([[
    SELECT name AS file, kind, read, read - n AS accepted, n AS rejected
    FROM (SELECT f.*, (SELECT count(*) FROM reject r WHERE r.file = f.file) AS n FROM file f ORDER BY f.file)]])
  for _, f in ipairs(out.files) do
    out.read, out.accepted, out.rejected = out.read + f.read, out.accepted + f.accepted, out.rejected + f.rejected
  end
  for _, r in ipairs(d:query([[SELECT "column" || ' ' || reason AS reason, count(*) AS n FROM reject GROUP BY 1]])) do
    out.rejected_by_reason[r.reason] = r.n
  end
  return out
end

--- Refuses an upload that has a file of which more than half was rejected.
--- @param counts table  of clean.counts
--- Raises: too_many_rejected
function clean.check_half(counts)
  for _, f in ipairs(counts.files) do
    if f.rejected * 2 > f.read then
      error({ code = "too_many_rejected", status = 422,
              message = ("%s: %d of %d rows cannot be used"):format(f.file, f.rejected, f.read),
              details = { file = f.file, read = f.read, rejected = f.rejected } }, 0)
    end
  end
end

--- Writes the rejected rows for people: where, which column, what was there, why, and the whole row.
--- Waits.
--- @param d db  scratch
--- @param catalogue table
--- @param path string  .csv or .xlsx
--- @return integer  rows
function clean.write_rejects(d, catalogue, path)
  return sheet.write{
    db = d, file = path, mark = true, sheet = "rejected",
    sql = [[SELECT file.name AS file, reject.row AS row, "column", reject.value AS value, reason, ]] ..
      join(names_of(catalogue), function(name)
        return ("text_of(raw.%s) AS %s"):format(quoted(name), quoted("original " .. name))
      end) ..
      [[ FROM reject JOIN file USING (file) JOIN raw USING (id) ORDER BY reject.file, reject.row]],
  }
end

return clean
