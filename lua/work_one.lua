-- work_one.lua - one job from its claim to its end: runs its function as a run of its own, so that
-- nothing it does ends more than itself, and writes down how it ended.

local core = require("core.task")
local job_files = require("job_files")
local job_log = require("job_log")
local job_run = require("job_run")
local json = require("core.json")
local log = require("log")
local notify = require("notify")
local queue = require("job_queue")
local retry = require("retry")
local settings = require("settings")
local task = require("task")
local time = require("time")

local one = {}

-- Errors that are worth another attempt without saying so. Others say retryable = true.
local RETRYABLE = { busy = true, remote = true, full = true, retryable_error = true }
local BACKOFF_MAX = 3600
local FINISH_TRIES_MAX = 60 -- of writing down an end while the database is busy or the disk full

local function burst_ms()
  return math.tointeger(settings.job_burst_seconds * 1000 // 1)
end

--- Ends a running job from outside.
--- @param self table  what was given to one.run
--- @param outcome string  "cancelled" | "lost" | "stopped"
--- @param why string
--- Source: ours
function one.stop(self, outcome, why)
  local cx = self.cx
  self.outcome = self.outcome or outcome
  if cx and cx.task and not cx.outcome then
    cx.outcome = outcome
    core.cancel(cx.task, why)
  end
end

-- Seconds this run may take: what the job has left of its deadline, or the limit of any run.
local function run_seconds(row, def)
  return row.deadline_at and time.parse(row.deadline_at) - time.now() or def.run_deadline
end

-- Runs the function. What came of it: "completed" with a value, "failed" with an error, or cx.outcome.
local function execute(self, job, cx)
  local def = cx.def
  local t = core.spawn(function()
    core.limits(burst_ms(), math.max(1, math.ceil(run_seconds(self.row, def) * 1000)))
    local ok, value = pcall(def.run, job)
    if ok then return true, job_run.encode(value, "the job") end
    return false, value
  end, 0)
  cx.task = t
  if self.outcome then one.stop(self, self.outcome, self.outcome) end
  core.wait_any({ t })
  local ok, good, value = core.take(t)
  cx.is_ended = true
  while cx.is_flushing do task.sleep(0.002) end
  job_files.close(cx)
  if cx.outcome then return cx.outcome end
  if not ok then return "failed", good end
  return good and "completed" or "failed", value
end

-- Seconds until the next attempt.
local function backoff(def, attempt, err)
  local after = type(err) == "table" and rawget(err, "retry_after")
  local base = math.min(BACKOFF_MAX, def.backoff * 2.0 ^ (attempt - 1)) * (0.75 + math.random() * 0.5)
  return type(after) == "number" and after > base and math.min(after, BACKOFF_MAX) or base
end

local function is_retryable(err, code)
  local own
  if type(err) == "table" then own = rawget(err, "retryable") end
  if own ~= nil then return own == true end
  return RETRYABLE[code] == true
end

local function details_of(err)
  local details = type(err) == "table" and rawget(err, "details")
  return type(details) == "table" and json.encode(details) or nil
end

local function trace_of(err)
  local trace = type(err) == "table" and rawget(err, "trace")
  return type(trace) == "string" and trace ~= "" and trace or nil
end

local function fail(row, cx, err)
  local code, message = job_run.explain(err)
  local id, list = row.job_id, job_log.take(cx)
  if trace_of(err) then log.debug("job failed", { job = id, trace = trace_of(err) }) end
  local again = is_retryable(err, code)
  if again then
    list[#list + 1] = retry.statement({ component = "job", operation = row.job_type, attempt = row.attempt,
      max_attempts = row.max_attempts, successful = false, type = code, message = message })
  end
  if again and row.attempt < row.max_attempts then
    local pause = backoff(cx.def, row.attempt, err)
    queue.put_back(row, { run_at = time.now() + pause, code = code, message = message,
      why = ("attempt %d of %d failed, next in %.1f s: %s"):format(row.attempt, row.max_attempts, pause, message) },
        list)
    return "pending"
  end
  for _, s in ipairs(job_files.artifacts(id)) do list[#list + 1] = s end
  queue.finish(row, { status = "failed", code = code, message = message, details = details_of(err), is_dead = again },
    list)
  return "failed"
end

local function settle(row, cx, outcome, value)
  local id = row.job_id
  if outcome == "suspended" or outcome == "lost" then return outcome end
  if outcome == "stopped" then
    queue.put_back(row, { keeps_attempt = true, why = "its worker stopped" }, job_log.take(cx))
    return "pending"
  elseif outcome == "cancelled" then
    require("job").cancel_children(id)
    queue.finish(row, { status = "cancelled", code = "cancelled", message = "cancelled on request" }, job_log.take(cx))
    return "cancelled"
  elseif outcome == "failed" then
    return fail(row, cx, value)
  end
  local list = job_log.take(cx)
  if row.attempt > 1 then
    list[#list + 1] = retry.statement({ component = "job", operation = row.job_type, attempt = row.attempt,
      max_attempts = row.max_attempts, successful = true })
  end
  if cx.has_folder then
    for _, s in ipairs(job_files.artifacts(id)) do list[#list + 1] = s end
  end
  queue.finish(row, { status = "completed", result = value ~= "null" and value or nil, result_id = cx.result_id }, list)
  return "completed"
end

-- A full disk or a database busy for a minute must not lose what a job has done.
local function settle_surely(row, cx, outcome, value)
  for try = 1, FINISH_TRIES_MAX do
    local ok, state = pcall(settle, row, cx, outcome, value)
    if ok then return state end
    local code = type(state) == "table" and state.code
    if code == "notfound" then return "lost" end
    if (code ~= "busy" and code ~= "full" and code ~= "io") or try == FINISH_TRIES_MAX then error(state, 0) end
    log.warn("the end of a job cannot be written, trying again", { job = row.job_id, why = state.message })
    task.sleep(math.min(5, 0.1 * 2 ^ try))
  end
end

--- Runs a claimed job to whatever end.
--- Waits.
--- @param self table { row = of queue.claim }; others may call one.stop with it meanwhile
--- @param pinned function  id of a generation -> generation, or nil and why
--- Raises: what keeps the end from being written; the job is then another worker's
--- Source: ours
function one.run(self, pinned)
  local row = self.row
  local g, why = pinned(row.generation)
  local def = g and g.jobs and g.jobs[row.job_type]
  local job, cx = job_run.new(row, def or { backoff = 2, run_deadline = 1 }, job_run.decode(row.parameters) or {})
  self.cx, cx.generation = cx, g
  local outcome, value
  if row.is_cancel_asked == 1 then
    outcome = "cancelled"
  elseif not def then
    outcome, value = "failed", { code = "unknown_job", message = why or "there is no kind of job called "
      .. row.job_type }
  else
    outcome, value = execute(self, job, cx)
  end
  if outcome == "lost" then
    log.warn("job lost to another worker", { job = row.job_id })
    return
  end
  cx.is_ended = true
  local state = settle_surely(row, cx, outcome, value)
  self.is_ended = true
  notify.job(row.job_id)
  if state == "completed" or state == "failed" or state == "cancelled" then
    if cx.has_scratch or row.attempt > 1 or row.n_deaths > 0 then job_files.remove_scratch(row.job_id) end
    notify.fire(notify.signal("webhooks"))
    if state == "failed" then
      log.warn("job failed", { job = row.job_id, type = row.job_type, attempt = row.attempt,
        why = type(value) == "table" and value.message or tostring(value) })
    end
  end
end

return one
