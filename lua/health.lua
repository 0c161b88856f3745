-- health.lua - how this server is: components, each with a check that is cheap and cached.
--
-- Overall: unhealthy when a component is, else degraded when one is, else healthy.

local db = require("db")
local fail = require("fail")
local generation = require("generation")
local health_model = require("health_model")
local log = require("log")
local process = require("process")
local settings = require("settings")
local task = require("task")
local time = require("time")

local health = {}

local FRESH = 2         -- seconds a result is used
local CHECK_SECONDS = 2 -- a check that takes longer has failed
local MIB = 1 << 20

local checks, order = {}, {}
local cached, cached_at = nil, -math.huge
local cached_failed -- of generation.status(): a refused reload shows at once

--- Adds a component.
--- @param name string
--- @param fn function  () --> "healthy" | "degraded" | "unhealthy", details table?; raising is unhealthy
--- Source: ours
function health.add(name, fn)
  if not checks[name] then
    order[#order + 1] = name
    table.sort(order)
  end
  checks[name], cached = fn, nil
end

health.add("api", function() return "healthy" end)

local TABLES = {
  "jobs", "models", "configs", "training_results", "prediction_results", "dim_multiindex_mapping", "fact_sales",
  "fact_stock_movement", "fact_predictions", "processing_runs", "data_upload_results", "report_results", "api_keys",
}

-- Months without data between those that have some: forecasts would be wrong.
local GAPS = [[WITH RECURSIVE m(month, last) AS (
    SELECT min(data_date), max(data_date) FROM data_months HAVING count(*) > 0
    UNION ALL SELECT date(month, '+1 month'), last FROM m WHERE month < last)
  SELECT substr(month, 1, 7) AS month FROM m WHERE month NOT IN (SELECT data_date FROM data_months)
  ORDER BY 1 LIMIT 100]]

-- Months in which something was sold, yet no stock moved: facts are lost.
local STILL = [[SELECT substr(data_date, 1, 7) AS month FROM data_months m WHERE units > 0
  AND data_date >= (SELECT substr(min(data_date), 1, 8) || '01' FROM fact_stock_changes)
  AND NOT EXISTS (SELECT 1 FROM fact_stock_changes c WHERE c.data_date >= m.data_date
    AND c.data_date < date(m.data_date, '+1 month'))
  ORDER BY 1 LIMIT 100]]

local function months_of(sql)
  local list = {}
  for i, row in ipairs(db.main():query(sql)) do list[i] = row.month end
  return list[1] and list or nil
end

health.add("database", function()
  local there, missing = {}, {}
  for _, row in ipairs(db.main():query("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')")) do
    there[row.name] = true
  end
  for _, name in ipairs(TABLES) do
    if not there[name] then missing[#missing + 1] = name end
  end
  if missing[1] then return "degraded", { missing_tables = missing } end
  local gaps, still = months_of(GAPS), months_of(STILL)
  if gaps or still then
    return "unhealthy", { missing_months_sales = gaps, missing_months_stock_movement = still }
  end
  return "healthy"
end)

-- What is needed together: { setting that asks for the others, … }
local NEEDED = { { "datasphere_project_id", "datasphere_folder_id", "datasphere_oauth_token" } }

health.add("config", function()
  local missing, by_name = {}, {}
  for _, s in ipairs(settings.list()) do by_name[s.name] = s end
  local function is_empty(name) return by_name[name].value == "" or by_name[name].value == nil end
  for _, group in ipairs(NEEDED) do
    for i = 2, is_empty(group[1]) and 0 or #group do
      local s = by_name[group[i]]
      if is_empty(s.name) then missing[#missing + 1] = ("%s (%s)"):format(s.env or s.name, s.doc) end
    end
  end
  if is_empty("auth_admin_key_hash") and not db.main():value("SELECT 1 FROM api_keys WHERE role = 'admin' "
    .. "AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))") then
    missing[#missing + 1] = "an API key of the role admin (plastinka keys create)"
  end
  if missing[1] then return "degraded", { missing_variables = missing, message = "settings are missing" } end
  return "healthy"
end)

health.add("active_model_metric", health_model.status)

health.add("workflows", function()
  local s = generation.status()
  local details = { generation = s.id, loaded_at = s.loaded_at and time.format(s.loaded_at) }
  if not s.failed then return "healthy", details end
  details.failed = { generation = s.failed.id, message = s.failed.message, at = time.format(s.failed.at) }
  return "degraded", details
end)

health.add("disk", function()
  local total, free = process.disk(settings.data_root_dir)
  local details = { free_bytes = free, total_bytes = total }
  if free < 64 * MIB then return "unhealthy", details end
  if free < 1024 * MIB and free < total // 20 then return "degraded", details end
  return "healthy", details
end)

health.add("loop", function()
  local lag = process.lag()
  if not lag then return "healthy" end
  return lag.mean > 0.25 and "degraded" or "healthy", { lag_mean_seconds = lag.mean, lag_max_seconds = lag.max }
end)

local function one(name)
  local ok, status, details = pcall(function()
    local got
    local word = task.timeout(CHECK_SECONDS, function()
      local s, d = checks[name]()
      got = d
      return s
    end)
    return word, got
  end)
  if ok then return { status = status, details = details } end
  if type(status) == "table" and status.code == "cancelled" then error(status, 0) end
  local why = type(status) == "table" and status.message or tostring(status)
  log.warn("health check failed", { component = name, message = why })
  return { status = "unhealthy", details = { error = why } }
end

local RANK = { healthy = 0, degraded = 1, unhealthy = 2 }

--- Asks all components; results are kept for two seconds.
--- Waits.
--- @return table { status, components = { name = { status, details } } }
--- Source: ours
function health.check()
  local now = process.monotonic()
  local failed = generation.status().failed
  if cached and now - cached_at < FRESH and failed == cached_failed then return cached end
  local out = { status = "healthy", components = {} }
  for _, name in ipairs(order) do
    local c = one(name)
    out.components[name] = c
    if RANK[c.status] > RANK[out.status] then out.status = c.status end
  end
  cached, cached_at, cached_failed = out, now, failed
  return out
end

local function uptime()
  return math.tointeger(process.uptime() // 1)
end

--- The body of GET /health.
--- Waits.
--- @param with_details boolean  only for those who hold a key
--- @return table
--- @return integer  status: 200, or 503 when unhealthy
--- Source: plastinka.md 1.6.13
function health.report(with_details)
  local h = health.check()
  local components = {}
  for name, c in pairs(h.components) do
    components[name] = { status = c.status, details = with_details and (c.details or {}) or nil }
  end
  local body = { status = h.status, version = process.version, timestamp = time.format(), uptime_seconds = uptime(),
                 generation = generation.status().id, components = components }
  return body, h.status == "unhealthy" and 503 or 200
end

--- Raises unless requests can be served: for /health/ready.
--- Waits.
--- Raises: service_unavailable
--- Source: ours
function health.ready()
  local c = one("database")
  if c.status == "unhealthy" then fail.raise("service_unavailable", "the database does not answer") end
  if not generation.current() then fail.raise("service_unavailable", "no workflows are loaded") end
end

local sampled_at, sample = -math.huge, nil

-- Share of all cores that worked since the last time somebody asked, if that was within a minute.
local function cpu_percent()
  local now = process.monotonic()
  if now - sampled_at > 60 then
    sample = process.machine()
    task.sleep(0.1)
    now = process.monotonic()
  end
  local m = process.machine()
  local all, idle = m.cpu_seconds - sample.cpu_seconds, m.cpu_idle_seconds - sample.cpu_idle_seconds
  sample, sampled_at = m, now
  return all > 0 and math.max(0, math.min(100, 100 * (1 - idle / all))) or 0.0
end

local function tenth(x) return math.floor(x * 10 + 0.5) / 10 end

--- The body of GET /health/system.
--- Waits (a tenth of a second for the first sample).
--- @return table
--- Source: plastinka.md 1.6.14
function health.system()
  local cpu = cpu_percent()
  local m, u = process.machine(), process.usage()
  local total, free = process.disk(settings.data_root_dir)
  local lag = process.lag()
  return {
    cpu_percent = tenth(cpu), memory_percent = tenth(100 * (1 - m.memory_free_bytes / m.memory_bytes)),
    disk_usage_percent = tenth(100 * (1 - free / total)), process_memory_mb = tenth(u.rss_bytes / MIB),
    open_files = u.open_files, active_threads = u.threads, timestamp = time.format(), pid = process.pid(),
    uptime_seconds = uptime(), lua_memory_mb = tenth(u.lua_bytes / MIB),
    lua_memory_cap_mb = tenth(u.lua_cap_bytes / MIB),
    load_average = m.load, cpus = m.cpus, loop_lag_ms = lag and tenth(lag.mean * 1000) or 0.0,
  }
end

return health
