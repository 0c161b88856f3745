-- retry.lua - what was tried again, with what success: rows of retry_events, and the statistics of
-- /health/retry-stats over the newest of them.

local db = require("db")
local json = require("core.json")
local notify = require("notify")
local queue = require("job_queue")
local time = require("time")

local retry = {}

local NULL = db.null
local NEWEST = 1000
local MANY, BAD_RATE = 5, 0.5
local RESET = "retry_stats_since"

--- The statement that records one attempt.
--- @param e table { component, operation, attempt, max_attempts, successful, duration_ms, type, message }
--- @return table  for db:write
--- Source: plastinka.md 8.4
function retry.statement(e)
  return { "INSERT INTO retry_events(timestamp, component, operation, attempt, max_attempts, successful, duration_ms, "
    .. "exception_type, exception_message) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    { queue.stamp(), e.component, e.operation, e.attempt, e.max_attempts, e.successful and 1 or 0, e.duration_ms
      or NULL,
      e.type or NULL, e.message or NULL } }
end

local function add_exception(exceptions, e, name)
  if not e.exception_type then return end
  local x = exceptions[e.exception_type] or { count = 0, good = 0, by_operation = {} }
  exceptions[e.exception_type] = x
  x.count, x.good = x.count + 1, x.good + e.successful
  x.by_operation[name] = (x.by_operation[name] or 0) + 1
end

--- The statistics.
--- Waits.
--- @return table
--- Source: plastinka.md 1.6.15, 8.4
function retry.stats()
  local d = db.main()
  local since = d:value("SELECT value FROM settings WHERE name = ?", { RESET }) or ""
  local total = { events = 0, good = 0, exhausted = 0, after = 0 }
  local operations, exceptions = {}, {}
  for _, e in ipairs(d:query("SELECT * FROM retry_events WHERE timestamp > ? ORDER BY id DESC LIMIT " .. NEWEST,
    { since })) do
    local name = e.component .. "." .. e.operation
    local o = operations[name] or { count = 0, good = 0, attempts = 0, ms = 0, timed = 0 }
    operations[name] = o
    total.events = total.events + 1
    total.good = total.good + e.successful
    if e.successful == 0 and e.attempt >= e.max_attempts then total.exhausted = total.exhausted + 1 end
    if e.successful == 1 and e.attempt > 1 then total.after = total.after + 1 end
    o.count, o.good, o.attempts = o.count + 1, o.good + e.successful, o.attempts + e.attempt
    if e.duration_ms then o.ms, o.timed = o.ms + e.duration_ms, o.timed + 1 end
    if e.exception_type and not o.last then o.last, o.last_message = e.exception_type, e.exception_message end
    add_exception(exceptions, e, name)
  end
  local high, by_operation, by_exception = json.array({}), {}, {}
  for name, o in pairs(operations) do
    by_operation[name] = { count = o.count, success_rate = o.good / o.count, avg_attempts = o.attempts / o.count,
      avg_duration_ms = o.timed > 0 and o.ms / o.timed or json.null, last_exception = o.last or json.null,
      last_exception_message = o.last_message or json.null }
    if o.count >= MANY and o.good / o.count < BAD_RATE then high[#high + 1] = name end
  end
  for name, x in pairs(exceptions) do
    by_exception[name] = { count = x.count, success_rate = x.good / x.count, by_operation = x.by_operation }
  end
  table.sort(high)
  return { total_retries = total.events, successful_retries = total.good, exhausted_retries = total.exhausted,
    successful_after_retry = total.after, high_failure_operations = high, operation_stats = by_operation,
    exception_stats = by_exception, timestamp = time.format(time.now(), { digits = 3 }) }
end

--- Begins the statistics anew; the rows stay.
--- Waits.
--- Source: plastinka.md 1.6.15
function retry.reset()
  db.main():exec("INSERT INTO settings(name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value, "
    .. "updated_at = excluded.value", { RESET, queue.stamp() })
  notify.send("retry-stats")
end

return retry
