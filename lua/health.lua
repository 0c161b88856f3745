-- health.lua - how this server is: components, each with a check that is cheap and cached.
--
-- Overall: unhealthy when a component is, else degraded when one is, else healthy.

local db = require("db")
local fail = require("fail")
local generation = require("generation")
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

health.add("database", function()
  local there, missing = {}, {}
  for _, row in ipairs(db.main():query("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')")) do
    there[row.name] = true
  end
  for _, name in ipairs(TABLES) do
    if not there[name] then missing[#missing + 1] = name end
  end
  if missing[1] then return "degraded", { missing_tables = missing } end
  local gaps = {}
  for i, row in ipairs(db.main():query(GAPS)) do gaps[i] = row.month end
  if gaps[1] then return "unhealthy", { missing_months_sales = gaps } end
  return "healthy"
end)

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
