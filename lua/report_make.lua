-- report_make.lua - from a question to pages and files: the rows of a report, filtered, in a scratch database
-- of their own; out of that the page (HTML), csv, xlsx and json. What a report is: report_def.lua; where
-- results are kept: report.lua.
--
-- Rows are made once, by SQL; every format is another reading of the same table `result`. Only the rows
-- that a page shows become Lua values.

local crypto = require("crypto")
local db = require("db")
local def = require("report_def")
local fail = require("fail")
local fs = require("fs")
local json = require("core.json")
local settings = require("settings")
local sheet = require("sheet")
local template = require("template")
local time = require("time")
local words = require("words")

local report_make = {}

local NULL = db.null
local FILTERS_MAX, VALUES_MAX = 50, 1000
local JSON_BATCH = 500

-- ---- which month, whose predictions ----

local function month_list(rows)
  local months = json.array({})
  for i, r in ipairs(rows) do months[i] = r.month end
  return months
end

-- SQL with the arguments it names, no others.
local function args_for(sql, all)
  local args = {}
  for name in sql:gmatch("[:@$]([%a_][%w_]*)") do args[name] = all[name] == nil and NULL or all[name] end
  return args
end

local function query(d, sql, all)
  return d:query(sql, args_for(sql, all))
end

local function check_month(value)
  local function refuse(reason)
    fail.raise("validation_error", "prediction_month: " .. reason,
      { parameter = "prediction_month", value = value, reason = reason })
  end
  if type(value) ~= "string" then refuse("a month as its first day expected, like 2026-03-01") end
  if value:find("^%d%d%d%d%-%d%d$") then value = value .. "-01" end
  if not time.is_date(value) then refuse("a month as its first day expected, like 2026-03-01") end
  if value:sub(9) ~= "01" then refuse("the day must be 1: a month is its first day") end
  return value
end

-- The month asked for, or the newest there is.
local function choose_month(d, rec, asked, model_id)
  local month = asked ~= nil and check_month(asked) or nil
  local months = month_list(query(d, rec.months, { model_id = model_id }))
  if #months == 0 then
    fail.raise("no_predictions_found", "there is nothing to report yet", { report_type = rec.name, months = months })
  end
  if not month then return months[1] end
  for _, m in ipairs(months) do
    if m == month then return m end
  end
  fail.raise("no_predictions_found", "nothing to report for " .. month:sub(1, 7) .. "; there is for "
    .. table.concat(months, ", ", 1, math.min(#months, 12)), { prediction_month = month, months = months })
end

-- The model asked for; else the first that spoke of the month (how good was what we ordered by?), or the
-- active one if it has the month, else the newest that has.
local function choose_model(d, month, asked, is_first)
  if asked then return asked end
  if is_first then
    return d:value([[SELECT model_id FROM prediction_results WHERE prediction_month = ?
      ORDER BY created_at, rowid LIMIT 1]], { month })
  end
  return d:value([[SELECT r.model_id FROM prediction_results r JOIN models m USING (model_id)
    WHERE r.prediction_month = ? ORDER BY m.is_active DESC, r.created_at DESC, r.rowid DESC LIMIT 1]], { month })
end

local function check_model(d, model_id)
  if model_id and not d:value("SELECT 1 FROM models WHERE model_id = ?", { model_id }) then
    fail.raise("model_not_found", "no model " .. model_id)
  end
end

-- ---- filters ----

local function refuse_filter(rec, name, reason)
  local columns = json.array({})
  for i, c in ipairs(rec.columns) do columns[i] = c.name end
  fail.raise("validation_error", "filters." .. tostring(name) .. ": " .. reason,
    { parameter = "filters." .. tostring(name), reason = reason, columns = columns })
end

local function is_plain(v)
  return type(v) == "string" or type(v) == "number"
end

-- One condition; its values go into args.
local function condition(rec, name, v, args, n)
  local function bind(value)
    n = n + 1
    args["filter_" .. n] = value
    return ":filter_" .. n
  end
  local column = '"' .. name .. '"'
  if v == NULL then return column .. " IS NULL", n end
  if is_plain(v) then return column .. " = " .. bind(v), n end
  if type(v) ~= "table" then
    refuse_filter(rec, name, "a value, a list of values, {min, max} or {contains} expected")
  end
  if v[1] ~= nil or json.is_array(v) then
    if #v > VALUES_MAX then refuse_filter(rec, name, "more than " .. VALUES_MAX .. " values") end
    local list = {}
    for i, one in ipairs(v) do
      if not is_plain(one) then refuse_filter(rec, name, "a list of texts or numbers expected") end
      list[i] = bind(one)
    end
    return #list == 0 and "0" or column .. " IN (" .. table.concat(list, ", ") .. ")", n
  end
  local parts = {}
  for k, one in pairs(v) do
    if k == "min" and is_plain(one) then parts[#parts + 1] = column .. " >= " .. bind(one)
    elseif k == "max" and is_plain(one) then parts[#parts + 1] = column .. " <= " .. bind(one)
    elseif k == "contains" and type(one) == "string" then
      parts[#parts + 1] = "instr(text_fold(" .. column .. "), text_fold(" .. bind(one) .. ")) > 0"
    else refuse_filter(rec, name, "unknown condition " .. tostring(k) .. "; min, max or contains expected") end
  end
  if #parts == 0 then refuse_filter(rec, name, "an empty condition") end
  return table.concat(parts, " AND "), n
end

local function where_of(rec, filters, args)
  local parts, n, names = {}, 0, {}
  for name in pairs(filters or {}) do names[#names + 1] = name end
  if #names > FILTERS_MAX then refuse_filter(rec, "", "more than " .. FILTERS_MAX .. " columns") end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  for _, name in ipairs(names) do
    if not rec.known[name] then refuse_filter(rec, name, "there is no such column") end
    parts[#parts + 1], n = condition(rec, name, filters[name], args, n)
  end
  return #parts > 0 and " WHERE " .. table.concat(parts, " AND ") or ""
end

-- ---- rows ----

local function blame(rec, what, err)
  if type(err) == "table" and (err.code == "invalid" or err.code == "parse") then
    error({ code = "invalid", message = rec.path .. ": " .. what .. ": " .. err.message }, 0)
  end
  error(err, 0)
end

local function run_sql(rec, d, what, sql, args)
  local ok, err = pcall(d.exec, d, sql, args_for(sql, args))
  if not ok then blame(rec, what, err) end
end

local function check_result(rec, d)
  local have, names = {}, {}
  for i, c in ipairs(d:query("PRAGMA table_info(result)")) do have[c.name], names[i] = true, c.name end
  for _, c in ipairs(rec.columns) do
    if not have[c.name] then
      error({ code = "invalid", message = rec.path .. ": the column " .. c.name .. " is not in the query's result, "
        .. "which has " .. table.concat(names, ", ") }, 0)
    end
  end
end

local function columns_sql(rec)
  local names = {}
  for i, c in ipairs(rec.columns) do names[i] = '"' .. c.name .. '"' end
  return table.concat(names, ", ")
end

-- Opens the scratch database with the table `result` in it. cx.db is to be closed.
local function fill(cx, rec, opt)
  local d = cx.db
  check_model(d, opt.model_id)
  cx.month = choose_month(d, rec, opt.month, opt.model_id)
  cx.model_id = rec.uses_model and choose_model(d, cx.month, opt.model_id, rec.first_model) or opt.model_id
  local args = setmetatable({ month = cx.month, model_id = cx.model_id }, { __index = function(_, name)
    local word = name:match("^word_(.*)")
    return word and cx.t[word] or nil
  end })
  for k, v in pairs(cx.params) do args[k] = v end
  for k, v in pairs(rec.args and rec.args(cx) or {}) do args[k] = v end
  cx.args = args
  for i, sql in ipairs(rec.steps) do run_sql(rec, d, "steps[" .. i .. "]", sql, args) end
  local where = where_of(rec, opt.filters, args)
  run_sql(rec, d, "query", "CREATE TABLE result AS SELECT * FROM (" .. rec.query .. "\n)" .. where
    .. (rec.order and " ORDER BY " .. rec.order or ""), args)
  check_result(rec, d)
  cx.n_rows = d:value("SELECT count(*) FROM result")
end

--- Rows of the result as tables; asking one for a column that is not there is an error.
local function page_rows(rec, d, n)
  local names, known = {}, {}
  for i, c in ipairs(d:query("PRAGMA table_info(result)")) do names[i], known[c.name] = c.name, true end
  local meta = { __index = function(_, name)
    if known[name] then return nil end -- NULL
    error("there is no column '" .. tostring(name) .. "' in a row of " .. rec.path .. "; it has "
      .. table.concat(names, ", "), 2)
  end }
  local rows, i = {}, 0
  for row in d:rows("SELECT * FROM result ORDER BY " .. (rec.page_order or "rowid") .. " LIMIT ?", { n }) do
    i = i + 1
    rows[i] = setmetatable(row, meta)
  end
  return rows
end

-- ---- the page ----

local function values_of(cx, rec, opt, t)
  local shown = math.min(cx.n_rows, opt.rows_max or rec.page_rows)
  local columns = {}
  for i, c in ipairs(rec.columns) do
    columns[i] = { name = c.name, title = c.title and t[c.title] or c.name, style = c.style, hidden = c.hidden }
  end
  local values = { report = rec.name, title = t[rec.title], month = cx.month, month_name = words.month(t, cx.month),
    params = cx.params, columns = columns, rows = page_rows(rec, cx.db, shown), n_rows = cx.n_rows,
    n_more = cx.n_rows - shown, model_id = cx.model_id or false, filters = opt.filters or false,
    generated_at = cx.generated_at, language = settings.language, style = template.raw(rec.assets.style),
    script = template.raw(rec.assets.script), policy = rec.assets.policy }
  for k, v in pairs(rec.page and rec.page(cx) or {}) do values[k] = v end
  return values
end

local function render(cx, rec, opt, engine, t)
  return engine:render("page.html", values_of(cx, rec, opt, t))
end

-- ---- files ----

-- At most 31 characters, none that workbooks refuse.
local function tab_name(title)
  local at = utf8.offset(title, 32)
  return (title:sub(1, at and at - 1 or -1):gsub("[%[%]:*?/\\]", " "))
end

local function write_table(cx, rec, path, format, t)
  local columns = {}
  for i, c in ipairs(rec.columns) do
    local title = c.title and t[c.title] or c.name
    columns[i] = { title = format == "csv" and (c.csv or c.name) or title, style = c.style, width = c.width }
  end
  return sheet.write({ db = cx.db, file = path, format = format, columns = columns, sheet = tab_name(t[rec.title]),
    sql = "SELECT " .. columns_sql(rec) .. " FROM result ORDER BY rowid" })
end

local function write_json(cx, rec, path, head)
  local text = json.encode(head, true)
  fs.write(path, text:sub(1, -2) .. ',"rows":[')
  local batch, n, sql = {}, 0, "SELECT " .. columns_sql(rec) .. " FROM result ORDER BY rowid"
  local function flush()
    if #batch == 0 then return end
    local part = json.encode(json.array(batch), false, false, true)
    fs.append(path, (n > #batch and "," or "") .. part:sub(2, -2))
    batch = {}
  end
  for row in cx.db:rows(sql, nil, JSON_BATCH) do
    for _, c in ipairs(rec.columns) do
      if row[c.name] == nil then row[c.name] = json.null end
    end
    batch[#batch + 1], n = row, n + 1
    if #batch == JSON_BATCH then flush() end
  end
  flush()
  fs.append(path, "]}\n")
end

--- Where the scratch database of one report may be.
--- @return string
--- Source: ours
function report_make.scratch_path()
  return settings.data_root_dir .. "/scratch/report-" .. crypto.token(9) .. ".db"
end

--- Removes a scratch database, if it is there.
--- Waits.
--- @param path string
--- Source: ours
function report_make.remove_scratch(path)
  for _, side in ipairs({ "", "-wal", "-shm", "-journal" }) do pcall(fs.remove, path .. side) end
end

-- Calls fn with a scratch database that sees the shop's tables, in one transaction: one connection, and
-- all is of one moment.
local function with_scratch(path, fn)
  local function run()
    local d <close> = db.open(path, { attach = true, sync = "off", readers = 1, tx_idle_ms = 600000 })
    d:exec("ATTACH ? AS shop", { db.main():path() })
    d:exec("PRAGMA shop.cache_size = -16384")
    return d:transaction(fn, "deferred")
  end
  local out = table.pack(pcall(run))
  report_make.remove_scratch(path)
  if not out[1] then error(out[2], 0) end
  return table.unpack(out, 2, out.n)
end

-- The page as text, or the files.
local function write(cx, rec, opt, engine)
  local out = { report_type = rec.name, prediction_month = cx.month, records_count = cx.n_rows, model_id = cx.model_id,
    parameters = cx.params, filters_applied = opt.filters, generated_at = cx.generated_at, policy = rec.assets.policy }
  if opt.is_preview then
    out.page = render(cx, rec, opt, engine, cx.t)
    return out
  end
  out.files = {}
  local base = rec.name .. "_" .. cx.month:sub(1, 7)
  for _, format in ipairs(opt.formats) do
    local file = base .. "." .. format
    local path = opt.folder .. "/" .. file
    if format == "html" then fs.write(path, render(cx, rec, opt, engine, cx.t))
    elseif format == "json" then
      local columns = def.describe(rec, cx.t).columns
      write_json(cx, rec, path, { report_type = rec.name, prediction_month = cx.month, model_id = cx.model_id,
        parameters = cx.params, generated_at = cx.generated_at, columns = columns, records_count = cx.n_rows })
    else write_table(cx, rec, path, format, cx.t) end
    out.files[format] = file
  end
  return out
end

--- Makes a report: its page as text, or files of it.
--- Waits.
--- @param g table  the generation whose report it is
--- @param name string
--- @param opt table { month = "2026-03-01" (the newest), model_id, filters, parameters, formats = array of html,
---   csv, xlsx, json, folder = where files go, scratch = path, rows_max = of the page, over = templates that are
---   not saved, is_preview = true: only the page, as text }
--- @return table { report_type, prediction_month, records_count, model_id, parameters, filters_applied,
---   generated_at, policy (of the page), page (text) or files = { format = name in the folder } }
--- Raises: not_found, validation_error, no_predictions_found, model_not_found; invalid (the report itself is
---   wrong: file, line, why), limit, io, full, busy, cancelled
--- Source: plastinka.md 7
function report_make.report(g, name, opt)
  local rec = def.get(g, name)
  local engine, t, chart = def.templates(rec, g)
  if opt.over then engine = def.engine(rec, g.files, t, opt.over) end
  local cx = { params = def.params(rec, opt.parameters), t = t, chart = chart,
               generated_at = time.format(nil, { digits = 0 }) }
  return with_scratch(opt.scratch or report_make.scratch_path(), function(d)
    cx.db = d
    fill(cx, rec, opt)
    return write(cx, rec, opt, engine)
  end)
end

--- The months a report can be asked for, newest first.
--- Waits.
--- @param g table
--- @param name string
--- @return table  array of first days
--- Raises: not_found; invalid (its SQL)
--- Source: ours
function report_make.months(g, name)
  local rec = def.get(g, name)
  local ok, rows = pcall(query, db.main(), rec.months, {})
  if not ok then blame(rec, "months", rows) end
  return month_list(rows)
end

return report_make
