-- report.lua - reports: made and kept, looked at, tried out. One that is kept is a folder reports/ID/ of the
-- data folder with its files and a row of report_results. How one is made: report_make.lua; what
-- workflows/reports/NAME/ may say: report_def.lua.

local core_task = require("core.task")
local crypto = require("crypto")
local db = require("db")
local def = require("report_def")
local fail = require("fail")
local fs = require("fs")
local generation = require("generation")
local job_run = require("job_run")
local json = require("core.json")
local make = require("report_make")
local settings = require("settings")
local task = require("task")
local time = require("time")

local report = {}

local FORMATS = { html = "text/html; charset=utf-8", csv = "text/csv; charset=utf-8", json = "application/json",
  xlsx = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" }
local ALL = { "html", "csv", "xlsx", "json" }
local CSV_MAX = 16 * 1024 * 1024
local CREATE_SECONDS = 1800
local PREVIEW_ROWS, PREVIEW_SECONDS, PREVIEW_BYTES = 1000, 5, 8 * 1024 * 1024
local AROUND = 3 -- lines before and behind a wrong one
local NULL = db.null

--- The months a report can be asked for: see report_make.lua.
report.months = make.months

-- A report that is wrong itself: the reader hears where, as its author would.
local function plain_error(err)
  if type(err) == "table" and (err.code == "invalid" or err.code == "parse" or err.code == "nan"
      or err.code == "limit" or err.code == "nomem" or err.code == "killed" or err.code == "timeout") then
    error(fail.new("internal_server_error", err.message, { reason = err.code }), 0)
  end
  error(err, 0)
end

local function prefix(name, id)
  return "/api/v1/reports/" .. name .. "/results/" .. id
end

-- Makes a report in a run of its own: whatever its template does, the caller goes on, cleans up and can say
-- why. true and the report, or false and the error.
local function apart(g, name, opt, seconds, burst)
  opt.scratch = make.scratch_path()
  local ok, made, out = pcall(task.timeout, seconds, function()
    core_task.limits(math.ceil(burst * 1000), math.ceil(seconds * 1000))
    return pcall(make.report, g, name, opt)
  end)
  make.remove_scratch(opt.scratch)
  if not ok then return false, made end -- stopped from outside
  return made, out
end

local function links_of(row)
  local links = { self = prefix(row.report_type, row.result_id) }
  for format, file in pairs(row.files) do links[format] = links.self .. "/" .. file end
  return links
end

local function shown(row)
  local more = json.decode(row.parameters)
  row.files = json.decode(row.files)
  return { result_id = row.result_id, report_type = row.report_type, job_id = row.job_id,
    prediction_month = row.prediction_month and row.prediction_month:sub(1, 7), model_id = row.model_id,
    parameters = more.parameters, filters_applied = more.filters, records_count = row.records_count,
    duration = row.duration, generated_at = row.created_at, created_by = row.created_by,
    shared_until = row.share_until, links = links_of(row) }
end

local function check_formats(list)
  local seen, out = {}, {}
  for _, format in ipairs(list or ALL) do
    if not FORMATS[format] then
      fail.raise("validation_error", "formats: found " .. tostring(format) .. ", expected html, csv, xlsx or json")
    end
    if not seen[format] then out[#out + 1] = format end
    seen[format] = true
  end
  return out
end

--- Makes a report and keeps it.
--- Waits.
--- @param opt table { name, month, model_id, filters, parameters, formats = { "html", "csv", "xlsx", "json" }, by,
---   job_id, share_seconds = life of a link that needs no key, generation = the current one, burst = seconds of
---   computing between two waits }
--- @return table  as report.get, with `share` (path of that link) and `csv_data` (nil above 16 MiB, or without csv)
--- Raises: not_found, validation_error, no_predictions_found, model_not_found; internal_server_error (the report
---   itself is wrong: file, line, why); io, full, busy, cancelled
--- Source: plastinka.md 1.6.6
function report.create(opt)
  local from, id = time.monotonic(), crypto.uuid(7)
  local folder = "reports/" .. id
  local formats = check_formats(opt.formats)
  fs.mkdir(folder)
  local ok, out = apart(opt.generation or generation.current(), opt.name, { month = opt.month, model_id = opt.model_id,
    filters = opt.filters, parameters = opt.parameters, formats = formats,
    folder = settings.data_root_dir .. "/" .. folder }, CREATE_SECONDS, opt.burst or settings.route_burst_seconds)
  if not ok then
    pcall(fs.remove, folder, { deep = true })
    plain_error(out)
  end
  local token = opt.share_seconds and crypto.token(24)
  local now = time.now()
  local row = { result_id = id, report_type = opt.name, job_id = opt.job_id, prediction_month = out.prediction_month,
    model_id = out.model_id, parameters = json.encode({ parameters = out.parameters, filters = out.filters_applied }),
    files = json.encode(out.files), records_count = out.records_count, duration = time.monotonic() - from,
    created_at = time.format(now, { digits = 3 }), created_by = opt.by,
    share_until = token and time.format(now + opt.share_seconds, { digits = 3 }) }
  db.main():exec([[INSERT INTO report_results(result_id, job_id, report_type, prediction_month, model_id, parameters,
      output_path, files, policy, records_count, duration, created_by, share_hash, share_until, created_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)]], { id, opt.job_id or NULL, opt.name, out.prediction_month,
    out.model_id or NULL, row.parameters, folder, row.files, out.policy, out.records_count, row.duration,
    opt.by or NULL, token and crypto.sha256(token) or NULL, row.share_until or NULL, row.created_at })
  local result = shown(row)
  if token then result.share = "/reports/shared/" .. token end
  if out.files.csv then
    local path = folder .. "/" .. out.files.csv
    if fs.stat(path).bytes <= CSV_MAX then result.csv_data = fs.read(path, { max = CSV_MAX }) end
  end
  return result
end

--- The same in a job, with the workflows the job is pinned to.
--- Waits.
--- @param job job
--- @param opt table  as report.create
--- @return table
--- Raises: as report.create
--- Source: ours
function report.create_for(job, opt)
  opt.generation, opt.job_id, opt.by = job_run.context(job).generation, job.id, job.created_by
  opt.burst = settings.job_burst_seconds
  return report.create(opt)
end

-- ---- what is kept ----

local COLUMNS = "result_id, report_type, job_id, prediction_month, model_id, parameters, files, records_count, "
  .. "duration, created_at, created_by, share_until"

--- Reports that are kept, newest first.
--- Waits.
--- @param opt table? { name, month, limit = 100, cursor }
--- @return table { results = array as report.get, next_cursor }
--- Source: ours
function report.list(opt)
  opt = opt or {}
  local limit, where, args = opt.limit or 100, { "1" }, {}
  local function add(sql, value)
    where[#where + 1] = sql
    args[#args + 1] = value
  end
  if opt.name then add("report_type = ?", opt.name) end
  if opt.month then add("prediction_month = ?", opt.month) end
  if opt.cursor then add("result_id < ?", opt.cursor) end -- ids begin with the time
  args[#args + 1] = limit + 1
  local rows = db.main():query("SELECT " .. COLUMNS .. " FROM report_results WHERE " .. table.concat(where, " AND ")
    .. " ORDER BY result_id DESC LIMIT ?", args)
  local list = json.array({})
  for i = 1, math.min(#rows, limit) do list[i] = shown(rows[i]) end
  return { results = list, next_cursor = #rows > limit and list[limit].result_id or nil }
end

--- One report that is kept.
--- Waits.
--- @param name string
--- @param id string
--- @return table { result_id, report_type, prediction_month, parameters, filters_applied, records_count, links, … }
--- Raises: not_found
--- Source: ours
function report.get(name, id)
  local row = db.main():row("SELECT " .. COLUMNS .. " FROM report_results WHERE result_id = ? AND report_type = ?",
    { id, name }) or fail.raise("not_found", "no report " .. name .. " " .. id)
  return shown(row)
end

local function file_of(row, file)
  for format, name in pairs(json.decode(row.files)) do
    if name == file or format == file then
      return { format = format, name = name, path = row.output_path .. "/" .. name, type = FORMATS[format],
        policy = row.policy }
    end
  end
  fail.raise("not_found", "the report has no file " .. file)
end

--- A file of a report.
--- Waits.
--- @param name string
--- @param id string
--- @param file string  its name or its format
--- @return table { format, name, path (in the data folder), type, policy }
--- Raises: not_found
--- Source: ours
function report.file(name, id, file)
  local row = db.main():row("SELECT output_path, files, policy FROM report_results WHERE result_id = ? "
    .. "AND report_type = ?", { id, name }) or fail.raise("not_found", "no report " .. name .. " " .. id)
  return file_of(row, file)
end

--- The page behind a link that needs no key.
--- Waits.
--- @param token string
--- @return table  as report.file
--- Raises: not_found (never shared, or no longer)
--- Source: ours
function report.shared(token)
  local row = db.main():row("SELECT output_path, files, policy FROM report_results WHERE share_hash = ? "
    .. "AND share_until > ?", { crypto.sha256(token), time.format(nil, { digits = 3 }) })
  if not row then fail.raise("not_found", "there is no such report, or its link has ended") end
  return file_of(row, "html")
end

--- Deletes a report and its files.
--- Waits.
--- @param name string
--- @param id string
--- Raises: not_found
--- Source: ours
function report.remove(name, id)
  report.get(name, id)
  db.main():exec("DELETE FROM report_results WHERE result_id = ?", { id })
  pcall(fs.remove, "reports/" .. id, { deep = true })
end

--- Deletes reports that are too old, and folders nobody knows.
--- Waits.
--- @param days integer?  of the settings
--- @return integer  reports
--- Source: ours
function report.clean(days)
  local before = time.now() - (days or settings.retention_report_days) * 86400
  local d = db.main()
  local n = d:exec("DELETE FROM report_results WHERE created_at < ?", { time.format(before, { digits = 3 }) }).changes
  local ok, entries = pcall(fs.list, "reports")
  for _, f in ipairs(ok and entries or {}) do
    if f.mtime < time.now() - 3600 and not d:value("SELECT 1 FROM report_results WHERE result_id = ?", { f.name }) then
      pcall(fs.remove, "reports/" .. f.name, { deep = true })
    end
  end
  return n
end

-- ---- looking at what there is ----

--- The reports of the workflows, with the months each can be asked for.
--- Waits.
--- @param name string?  only this one
--- @return table  array of { name, title, summary, parameters, columns, months }, or the one
--- Raises: not_found; internal_server_error (the report itself is wrong)
--- Source: ours
function report.kinds(name)
  local g = generation.current()
  local function describe(rec)
    local _, t = def.templates(rec, g)
    local about = def.describe(rec, t)
    local ok, months = pcall(make.months, g, rec.name)
    if not ok then plain_error(months) end
    about.months = months
    return about
  end
  if name then return describe(def.get(g, name)) end
  local names, list = {}, json.array({})
  for k in pairs(g.reports) do names[#names + 1] = k end
  table.sort(names)
  for i, k in ipairs(names) do list[i] = describe(g.reports[k]) end
  return list
end

-- ---- preview ----

-- The lines around one of a text.
local function excerpt(text, line)
  local list, n = json.array({}), 0
  for one in (text .. "\n"):gmatch("(.-)\n") do
    n = n + 1
    if n > line + AROUND then break end
    if n >= line - AROUND then list[#list + 1] = { line = n, text = one:sub(1, 500), here = n == line or nil } end
  end
  return list
end

-- What is wrong with a template, with the place: an error for the client.
local function explain(err, files, over)
  local message = type(err) == "table" and rawget(err, "message") or tostring(err)
  local path, line, why = message:match("workflows/(reports/[^%s:]+):(%d+): (.*)$")
  if not path then path, why = message:match("workflows/(reports/[^%s:]+): (.*)$") end
  local code = type(err) == "table" and rawget(err, "code")
  local details = { reason = code or "invalid", file = path and "workflows/" .. path,
    line = math.tointeger(tonumber(line)) }
  local more = type(err) == "table" and rawget(err, "details")
  if type(more) == "table" then details.row = more.row end
  local text = path and (over[path] or files[path])
  if text and line then details.excerpt = excerpt(text, tonumber(line)) end
  return fail.new("validation_error", why and (path .. (line and ":" .. line or "") .. ": " .. why) or message, details)
end

local ITS_OWN = { invalid = true, parse = true, limit = true, nan = true, killed = true, nomem = true, timeout = true,
  notfound = true }

--- The page of a report with templates that are not saved, against what is stored. In a run of its own, with
--- limits: 1,000 rows, 5 seconds, 8 MiB; whatever the template does ends nothing else.
--- Waits.
--- @param name string
--- @param opt table { templates = { file = text } ("page.html", or a shared one), month, model_id, filters,
---   parameters }
--- @return table { page, policy, records_count, … }
--- Raises: validation_error (details: file, line, reason, excerpt = array of { line, text, here }); not_found,
---   no_predictions_found
--- Source: ours
function report.preview(name, opt)
  local g = generation.current()
  def.get(g, name)
  local over = {}
  for file, text in pairs(opt.templates or {}) do
    if not file:find("^[%w_%-]+%.html$") then
      fail.raise("validation_error", "templates: " .. file .. " is no name of a template, like page.html")
    end
    local own = "reports/" .. name .. "/" .. file
    over[g.files["reports/" .. file] and not g.files[own] and "reports/" .. file or own] = text
  end
  local ok, out = apart(g, name, { is_preview = true, over = over, month = opt.month, model_id = opt.model_id,
    filters = opt.filters, parameters = opt.parameters, rows_max = PREVIEW_ROWS }, PREVIEW_SECONDS,
    settings.route_burst_seconds)
  if not ok then
    if type(out) == "table" and not ITS_OWN[rawget(out, "code")] then error(out, 0) end
    error(explain(out, g.files, over), 0)
  end
  if #out.page > PREVIEW_BYTES then
    fail.raise("validation_error", "the page has " .. #out.page .. " bytes; a preview may have " .. PREVIEW_BYTES,
      { reason = "limit" })
  end
  return out
end

return report
