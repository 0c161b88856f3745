-- maintain.lua - what keeps the house in order: backup and restore of the database, its check, and deleting
-- what is old. The jobs of workflows/jobs call these; so do the commands and the routes of administrators.

local db = require("db")
local fs = require("fs")
local job = require("job")
local json = require("core.json")
local log = require("log")
local queue = require("job_queue")
local settings = require("settings")
local time = require("time")

local maintain = {}

local ROWS = 20000 -- deleted in one transaction: others write in between
local BACKUP_NAME = "^plastinka_db_backup_(%d%d%d%d)(%d%d)(%d%d)_%d%d%d%d%d%d%.db$"

local function fail(code, message)
  error({ code = code, message = message }, 0)
end

local function check_copy(path)
  local copy <close> = db.open(path, { readonly = true, create = false })
  local found = copy:query("PRAGMA integrity_check(3)")
  local first = found[1] and select(2, next(found[1]))
  if first ~= "ok" then fail("corrupt", path .. " is damaged: " .. tostring(first)) end
  local broken = copy:query("PRAGMA foreign_key_check")
  if broken[1] then fail("corrupt", path .. " has " .. #broken .. " rows without the row they belong to") end
  local schema = copy:value("PRAGMA user_version")
  if not copy:value("SELECT 1 FROM sqlite_schema WHERE name = 'jobs'") then
    fail("invalid", path .. " is not a database of this program")
  end
  return schema, copy:value("PRAGMA page_count") * copy:value("PRAGMA page_size")
end

--- Copies the database, in use, to a new file, and checks the copy.
--- Waits.
--- @param path string
--- @param progress function?  (done, total) in pages
--- @return table { bytes, schema }
--- Raises: exists, io, full, corrupt
--- Source: ours
function maintain.backup(path, progress)
  local there, copy = pcall(db.open, path, { readonly = true, create = false })
  if there then
    copy:close()
    fail("exists", path .. " exists already")
  elseif copy.code ~= "notfound" then
    fail("exists", path .. ": there is something in the way")
  end
  db.main():backup(path, { progress = progress })
  local schema, bytes = check_copy(path)
  return { bytes = bytes, schema = schema }
end

--- Puts a copy in the place of the database. Nobody may have that open: see core/role/command.c.
--- Waits.
--- @param path string
--- @return table { kept = name the database before has now, or nil }
--- Raises: notfound, corrupt, invalid, io, full
--- Source: ours
function maintain.restore(path)
  check_copy(path)
  local base = "database/" .. settings.database_file
  local full = settings.data_root_dir .. "/" .. base
  local new = base .. ".restoring"
  pcall(fs.remove, new)
  do
    local from <close> = db.open(path, { readonly = true, create = false })
    from:backup(settings.data_root_dir .. "/" .. new)
  end
  check_copy(full .. ".restoring")
  local kept
  if fs.exists(base) then
    kept = base .. ".before-" .. time.format(nil, { digits = 0 }):gsub("[^%d]", "")
    for _, side in ipairs({ "-wal", "-shm" }) do -- they belong to it: without them it may lack its last commits
      if fs.exists(base .. side) then fs.rename(base .. side, kept .. side) end
    end
    fs.rename(base, kept)
  end
  for _, side in ipairs({ "-wal", "-shm" }) do pcall(fs.remove, new .. side) end
  fs.rename(new, base)
  return { kept = kept and settings.data_root_dir .. "/" .. kept }
end

--- A backup under its dated name in backups/database, and the end of those that are too old.
--- Waits.
--- @return table { file, bytes, pruned }
--- Raises: as maintain.backup
--- Source: plastinka.md 2.5
function maintain.backup_by_date()
  fs.mkdir("backups/database")
  local name = "plastinka_db_backup_" .. time.format(nil, { digits = 0 }):gsub("[-:Z]", ""):gsub("T", "_") .. ".db"
  local done = maintain.backup(settings.data_root_dir .. "/backups/database/" .. name)
  local oldest, pruned = time.add_days(time.date(), -settings.retention_backup_days), 0
  for _, f in ipairs(fs.list("backups/database")) do
    local y, m, d = f.name:match(BACKUP_NAME)
    local date = y and y .. "-" .. m .. "-" .. d
    if date and time.is_date(date) and date < oldest then
      fs.remove("backups/database/" .. f.name)
      pruned = pruned + 1
    end
  end
  return { file = "backups/database/" .. name, bytes = done.bytes, pruned = pruned }
end

--- Reads the whole database and tells what is wrong with it.
--- Waits.
--- @return table  array of texts; empty: it is sound
--- Source: ours
function maintain.problems()
  local list, d = json.array({}), db.main()
  for _, row in ipairs(d:query("PRAGMA integrity_check(100)")) do
    local text = select(2, next(row))
    if text ~= "ok" then list[#list + 1] = text end
  end
  for _, row in ipairs(d:query("PRAGMA foreign_key_check")) do
    list[#list + 1] = ("%s: a row without its %s"):format(row.table, row.parent)
    if #list >= 100 then break end
  end
  return list
end

-- Deletes by parts until nothing is left; how many.
local function delete(sql, args)
  local d, total = db.main(), 0
  while true do
    local n = d:exec(sql, args).changes
    if n == 0 then return total end
    total = total + n
  end
end

local function old_rows(table_name, key, column, before)
  return delete(("DELETE FROM %s WHERE (%s) IN (SELECT %s FROM %s WHERE %s < ? LIMIT %d)")
    :format(table_name, key, key, table_name, column, ROWS), { before })
end

local function days_ago(days)
  return time.add_days(time.date(), -days)
end

--- Deletes predictions for months before so many days ago.
--- Waits.
--- @param days integer?  of the settings
--- @return integer
--- Source: plastinka.md 2.4
function maintain.clean_predictions(days)
  local before = days_ago(days or settings.retention_prediction_days)
  return old_rows("fact_predictions", "rowid", "prediction_month", before)
end

--- Deletes facts that are too old.
--- Waits.
--- @param sales_days integer?
--- @param stock_days integer?
--- @return table { sales, stock, stock_movement, prices, total }
--- Source: plastinka.md 2.4
function maintain.clean_historical(sales_days, stock_days)
  local sales = days_ago(sales_days or settings.retention_sales_days)
  local stock = days_ago(stock_days or settings.retention_stock_days)
  local key = "multiindex_id, data_date"
  local n = {
    sales = old_rows("fact_sales", key, "data_date", sales),
    prices = old_rows("fact_prices", key, "data_date", sales),
    stock = old_rows("fact_stock", key, "data_date", stock),
    stock_movement = old_rows("fact_stock_changes", key, "data_date", stock),
  }
  n.total = n.sales + n.prices + n.stock + n.stock_movement
  return n
end

local function remove_model(m)
  db.main():write({
    { "DELETE FROM training_results WHERE model_id = ?", { m.model_id } },
    { "DELETE FROM models WHERE model_id = ? AND is_active = 0", { m.model_id }, expect = 1 },
  })
  local root = settings.data_root_dir .. "/"
  local path = m.model_path:sub(1, #root) == root and m.model_path:sub(#root + 1) or m.model_path
  local name = path:match("^models/([^/]+)$") or path:match("^([^/]+)$") -- nothing outside of models/ goes
  if name and name:sub(1, 1) ~= "." then pcall(fs.remove, "models/" .. name) end
end

-- Not active, without predictions; of each active set of parameters beyond the best, and those too old.
local OLD_MODELS = [[
WITH unused AS (SELECT m.* FROM models m WHERE m.is_active = 0
    AND NOT EXISTS (SELECT 1 FROM fact_predictions p WHERE p.model_id = m.model_id)
    AND NOT EXISTS (SELECT 1 FROM prediction_results p WHERE p.model_id = m.model_id)),
ranked AS (SELECT t.model_id, row_number() OVER (PARTITION BY t.config_id
    ORDER BY json_extract(t.metrics, '$."' || :metric || '"') * :sign IS NULL,
    json_extract(t.metrics, '$."' || :metric || '"') * :sign DESC) AS place
  FROM training_results t JOIN configs c ON c.config_id = t.config_id AND c.is_active = 1
  WHERE t.model_id IS NOT NULL)
SELECT model_id, model_path FROM unused WHERE created_at < :before
  OR model_id IN (SELECT model_id FROM ranked WHERE place > :keep)]]

--- Deletes models that are not needed: row, training results and file.
--- Waits.
--- @param keep integer?  best ones of the active parameters
--- @param inactive_days integer?
--- @return table  array of ids
--- Source: plastinka.md 2.4
function maintain.clean_models(keep, inactive_days)
  local removed = json.array({})
  for _, m in ipairs(db.main():query(OLD_MODELS, {
    metric = settings.model_metric, sign = settings.model_metric_higher_is_better and 1 or -1,
    keep = keep or settings.retention_models,
    before = days_ago(inactive_days or settings.retention_inactive_model_days) })) do
    local ok, err = pcall(remove_model, m)
    if ok then removed[#removed + 1] = m.model_id
    else log.warn("model not deleted", { model = m.model_id, why = type(err) == "table" and err.message
      or tostring(err) }) end
  end
  return removed
end

--- Deletes jobs that ended long ago with all that is theirs, and what is left over of locks, keys and retries.
--- Waits.
--- @param days integer?  of the settings
--- @return integer  jobs
--- Source: ours
function maintain.clean_jobs(days)
  local before, d, n = queue.stamp(time.now() - (days or settings.retention_job_days) * 86400), db.main(), 0
  repeat
    local rows = d:query("SELECT job_id FROM jobs WHERE finished_at IS NOT NULL AND finished_at < ? LIMIT 100",
      { before })
    for _, row in ipairs(rows) do
      pcall(fs.remove, "jobs/" .. row.job_id, { deep = true })
      d:exec("DELETE FROM jobs WHERE job_id = ? AND finished_at IS NOT NULL", { row.job_id })
    end
    n = n + #rows
  until #rows == 0
  local now = queue.stamp()
  d:write({
    { "DELETE FROM job_submission_locks WHERE lock_until < ?", { now } },
    { "DELETE FROM idempotency_keys WHERE expires_at < ?", { now } },
    { "DELETE FROM retry_events WHERE timestamp < ?", { before } },
    { "DELETE FROM generations WHERE created_at < ? AND generation NOT IN (SELECT generation FROM jobs "
      .. "WHERE generation IS NOT NULL) AND generation NOT IN (SELECT generation FROM workers WHERE generation "
      .. "IS NOT NULL)", { queue.stamp(time.now() - 86400) } },
    { "DELETE FROM generation_contents WHERE content_hash NOT IN (SELECT content_hash FROM generation_files)" },
  })
  return n
end

local function old_files(folder, before, keep)
  local ok, entries = pcall(fs.list, folder)
  local n = 0
  for _, f in ipairs(ok and entries or {}) do
    if f.mtime < before and not (keep and keep(f.name)) then
      if pcall(fs.remove, folder .. "/" .. f.name, { deep = true }) then n = n + 1 end
    end
  end
  return n
end

--- Deletes uploads that are too old and scratch databases whose job has ended.
--- Waits.
--- @return table { uploads, scratch }
--- Source: ours
function maintain.clean_files()
  return {
    uploads = old_files("uploads", time.now() - settings.retention_upload_days * 86400),
    scratch = old_files("scratch", time.now() - 86400, function(name)
      return db.main():value("SELECT 1 FROM jobs WHERE job_id = ? AND finished_at IS NULL",
        { name:match("^[^.]*") }) ~= nil
    end),
  }
end

--- Starts the job that deletes everything old.
--- Waits.
--- @param by string?  key id
--- @return string  its id
--- Source: plastinka.md 1.6.16
function maintain.start_cleanup(by)
  return (job.submit("retention", {}, { by = by, refractory = false }))
end

return maintain
