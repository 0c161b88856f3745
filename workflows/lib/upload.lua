-- upload.lua - an upload from its files to stored facts, stage by stage. The job data_upload runs the
-- stages as its steps; nothing here knows of jobs.
--
-- A stage works in the scratch database and answers plain data. Its name is in the table `finished`
-- there when it is through, so that who lost the scratch file can tell.

local calendar = require("upload_calendar")
local clean = require("upload_clean")
local crypto = require("crypto")
local db = require("db")
local features = require("upload_features")
local json = require("json")
local publish = require("upload_publish")
local time = require("time")

local upload = {}

--- The stages in their order, in words a buyer understands.
upload.STAGES = { "read files", "clean rows", "check laws", "stock history", "features", "publish" }

--- Opens the scratch database of an upload.
--- @param path string
--- @return db
function upload.scratch(path)
  return db.open(path, { sync = "off", attach = true, readers = 1, tx_idle_ms = 600000, cache_kib = 65536 })
end

--- What stands for the files and fields: equal for equal uploads, whatever the names and the order.
--- Waits.
--- @param files table  array of { kind, path, sha256 (if it is known) }
--- @param fields table
--- @return string
function upload.hash(files, fields)
  local parts = {}
  for i, f in ipairs(files) do parts[i] = f.kind .. " " .. (f.sha256 or crypto.sha256_file(f.path)) end
  table.sort(parts)
  for _, name in ipairs({ "fill_missing_days", "overwrite", "sheet", "stock_date" }) do
    parts[#parts + 1] = name .. " " .. tostring(fields[name])
  end
  return crypto.sha256(table.concat(parts, "\n"))
end

--- Fields as they are when not given.
--- @param fields table?
--- @return table { overwrite, fill_missing_days, dry_run, stock_date, sheet }
function upload.fields(fields)
  fields = fields or {}
  return { overwrite = fields.overwrite == true, fill_missing_days = fields.fill_missing_days ~= false,
           dry_run = fields.dry_run == true, stock_date = fields.stock_date, sheet = fields.sheet }
end

local function progress_of(up)
  return up.progress or function() end
end

-- Throws away what is not of a stage that is through: an attempt that was cut short left it. The stages
-- from `stage` on count as not done.
local function prepare(d, stage)
  d:script([[
    CREATE TABLE IF NOT EXISTS finished(stage TEXT PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS finished_table(name TEXT PRIMARY KEY, stage TEXT);]])
  local is_later = false
  for _, name in ipairs(upload.STAGES) do
    is_later = is_later or name == stage
    if is_later then
      d:exec("DELETE FROM finished WHERE stage = ?", { name })
      d:exec("DELETE FROM finished_table WHERE stage = ?", { name })
    end
  end
  for _, row in ipairs(d:query([[SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'
      AND name NOT LIKE 'finished%' AND name NOT IN (SELECT name FROM finished_table)]])) do
    d:exec('DROP TABLE "' .. row.name .. '"')
  end
end

local function finish(d, stage)
  d:exec([[INSERT INTO finished_table SELECT name, ? FROM sqlite_schema WHERE type = 'table'
    AND name NOT LIKE 'sqlite%' AND name NOT LIKE 'finished%' AND name NOT IN (SELECT name FROM finished_table)]],
    { stage })
  d:exec("INSERT INTO finished VALUES (?)", { stage })
end

--- Whether a stage has left its tables in this scratch database.
--- @param d db
--- @param stage string
--- @return boolean
function upload.is_finished(d, stage)
  return d:value("SELECT 1 FROM sqlite_schema WHERE name = 'finished'") ~= nil
    and d:value("SELECT 1 FROM finished WHERE stage = ?", { stage }) ~= nil
end

local run = {}

run["read files"] = function(d, _, up)
  return clean.read(d, up.catalogue, up.files, { sheet = up.fields.sheet, progress = up.progress,
                                                temp_dir = up.temp_dir })
end

run["clean rows"] = function(d, main, up)
  local result = clean.clean(d, up.catalogue, {
    current_year = up.current_year or time.parts().year, progress = up.progress,
    stored_style = function() publish.stored_style(d, main) end,
  })
  local counts = clean.counts(d)
  if up.on_rejects then up.on_rejects(counts) end -- the rows can be looked at whatever comes of the upload
  clean.check_half(counts)
  return { gap = result.gap, rows = counts }
end

run["check laws"] = function(d, main, up)
  progress_of(up)(0.66, "the three laws")
  local cal = calendar.make(d, up.fields.stock_date)
  calendar.check_local(d)
  calendar.check_global(main, cal, up.fields.overwrite)
  calendar.check_snapshot(d, cal, json.array({}))
  return cal
end

run["stock history"] = function(d, main, up)
  progress_of(up)(0.68, "stock, day by day")
  features.history(d)
  return publish.match_products(d, main)
end

run["features"] = function(d, main, up)
  progress_of(up)(0.78, "features, month by month")
  features.monthly(d, up.fields.fill_missing_days)
  return { totals = d:row([[SELECT
      (SELECT total(n) FROM unit WHERE kind = 'sales') AS sold_units,
      (SELECT total(n) FROM unit WHERE kind = 'stock') AS stock_units,
      (SELECT total(below) FROM month_total) AS stock_warnings,
      (SELECT total(pulled_back) FROM month_total) AS pulled_back_units,
      (SELECT total(imputed) FROM monthly) AS imputed_units,
      (SELECT days FROM month ORDER BY month DESC LIMIT 1) AS last_month_days,
      (SELECT missing = 0 FROM month ORDER BY month DESC LIMIT 1) AS last_month_complete]]),
    changes = publish.changes(d, main, up.fields.overwrite) }
end

-- The answer of the whole upload, from those of the stages.
local function summary(up, done)
  local rows, totals, cal = done["clean rows"].rows, done["features"].totals, done["check laws"]
  local products, months = done["stock history"], json.array({})
  for i, m in ipairs(done["features"].changes.months) do months[i] = m.month end
  return {
    files = rows.files, rows = { read = rows.read, accepted = rows.accepted, rejected = rows.rejected },
    rejected_by_reason = rows.rejected_by_reason, months = months, last_sale_date = cal.last_sale,
    snapshot_date = cal.snapshot, last_month_days = totals.last_month_days,
    last_month_complete = totals.last_month_complete == 1, fill_missing_days = up.fields.fill_missing_days,
    gap = done["clean rows"].gap, products = products.products, products_new = products.products_new,
    products_known = products.products_known, stock_warnings = totals.stock_warnings // 1 | 0,
    pulled_back_units = totals.pulled_back_units // 1 | 0,
    sold_units = totals.sold_units // 1 | 0, imputed_units = totals.imputed_units // 1 | 0,
    stock_units = totals.stock_units // 1 | 0, changes = done["features"].changes,
    is_dry_run = up.fields.dry_run, is_published = not up.fields.dry_run,
  }
end

run["publish"] = function(d, main, up, done)
  local result, names = summary(up, done), {}
  if up.fields.dry_run then return result end
  progress_of(up)(0.85, "publishing")
  for i, f in ipairs(up.files) do names[i] = f.name end
  return publish.publish(d, main, {
    job_id = up.job_id, overwrite = up.fields.overwrite, fill = up.fields.fill_missing_days,
    calendar = done["check laws"], content_hash = up.hash, source_files = table.concat(names, ", "), result = result,
  })
end

--- Runs one stage.
--- Waits; cancellable.
--- @param name string  of upload.STAGES
--- @param d db  scratch, of upload.scratch
--- @param main db
--- @param up table { catalogue, files = array of { kind, path, name } (stock first), fields (of upload.fields),
---   hash (of upload.hash), job_id, current_year, progress = function(share, text), on_rejects = function(counts),
---   temp_dir }
--- @param done table  stage -> what it answered, of those before
--- @return table
function upload.stage(name, d, main, up, done)
  prepare(d, name)
  local out = run[name](d, main, up, done)
  finish(d, name)
  return out
end

--- Runs all stages. In the result stock_warnings counts the days of products on which the stock, counted back from
--- the snapshot, was below nothing: every unit that was sold had come before, so only an edited catalogue can
--- make it other than 0. pulled_back_units counts the sold units that came after their sale, by their date.
--- `step(name, fn)` is called for each and returns what fn returns, now or once before.
--- Waits; cancellable.
--- @param d db
--- @param main db
--- @param up table  as of upload.stage
--- @param step function?  default: calls fn
--- @return table  the result, or { duplicate_of, … } when the last upload was the same
function upload.run(d, main, up, step)
  step = step or function(_, fn) return fn() end
  local published = publish.done(main, up.job_id)
  if published then return published end
  local same = publish.duplicate(main, up.hash)
  if same and not up.fields.dry_run then
    return { duplicate_of = same.job_id or tostring(same.run_id), duplicate_of_run = same.run_id, is_published = false }
  end
  local done = {}
  for _, name in ipairs(upload.STAGES) do
    local is_new = false
    done[name] = step(name, function()
      is_new = true
      return upload.stage(name, d, main, up, done)
    end)
    if not is_new and name ~= "publish" and not upload.is_finished(d, name) then
      done[name] = upload.stage(name, d, main, up, done) -- the scratch file was lost with its machine
    end
  end
  progress_of(up)(1, "done")
  return done["publish"]
end

--- Writes the rejected rows into a file for people.
--- Waits.
--- @param d db  scratch
--- @param catalogue table
--- @param path string  .csv or .xlsx
--- @return integer  rows
function upload.write_rejects(d, catalogue, path)
  return clean.write_rejects(d, catalogue, path)
end

return upload
