-- job_queue.lua - the queue: putting jobs in, claiming, ending, putting back. All SQL that moves a job
-- from one state to another is here; each move is one transaction with its history and its event.
--
-- Whoever works on a job holds its lease: lease_owner is new with each claim, and every write of a
-- running job asks for it, so a worker that was given up by the others can do no harm.

local crypto = require("crypto")
local db = require("db")
local json = require("core.json")
local time = require("time")

local queue = {}

local NULL = db.null
local DEATHS_MAX = 3
local STAMP = { digits = 3 }
local HISTORY = "INSERT INTO job_status_history(job_id, status, progress, status_message, updated_at) "
  .. "VALUES (?, ?, ?, ?, ?)"
local EVENT = "INSERT INTO job_events(job_id, type, at, message, data) VALUES (?, 'state', ?, ?, ?)"

--- A moment as the database has it.
--- @param moment number?  now
--- @return string
--- Source: ours
function queue.stamp(moment)
  return time.format(moment or time.now(), STAMP)
end
local stamp = queue.stamp

-- false when the row that had to change is not as expected any more
local function try_write(list)
  local d = db.main()
  local ok, err = pcall(d.write, d, list)
  if not ok and not (type(err) == "table" and err.code == "notfound") then error(err, 0) end
  return ok
end

local function add_state(list, id, status, progress, message, now, data)
  list[#list + 1] = { HISTORY, { id, status, progress or NULL, message or NULL, now } }
  list[#list + 1] = { EVENT, { id, now, message or NULL, data } }
end

local INSERT = [[INSERT INTO jobs(job_id, job_type, created_at, updated_at, created_by, generation, parameters,
  param_hash, queue, priority, run_at, max_attempts, concurrency_key, concurrency_max, parent_job_id, retry_of,
  schedule_name, deadline_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)]]

--- The statements that put a job in.
--- @param j table { id, type, generation, parameters (JSON), hash, by, priority, run_at, deadline_at, attempts,
---   concurrency_key, concurrency_max, parent, retry_of, schedule }
--- @param list table?  statements so far
--- @return table  for db:write
--- Source: ours
function queue.insert(j, list)
  list = list or {}
  local now = stamp()
  list[#list + 1] = { INSERT, {
    j.id, j.type, now, now, j.by or NULL, j.generation or NULL, j.parameters, j.hash or NULL,
    j.run_at and "asleep" or "ready", j.priority or 0, j.run_at and stamp(j.run_at) or NULL, j.attempts or 1,
    j.concurrency_key or j.type, j.concurrency_max or NULL, j.parent or NULL, j.retry_of or NULL, j.schedule or NULL,
    j.deadline_at and stamp(j.deadline_at) or NULL } }
  add_state(list, j.id, "pending", 0, nil, now, '{"status":"pending"}')
  return list
end

-- Of each key that has room its best job, then the best of those. One statement claims one, so that
-- the limits hold for what was claimed just before.
local CLAIM = [[
WITH RECURSIVE keys(k) AS (
  SELECT min(concurrency_key) FROM jobs WHERE queue = 'ready'
  UNION ALL SELECT (SELECT min(concurrency_key) FROM jobs WHERE queue = 'ready' AND concurrency_key > k)
    FROM keys WHERE k IS NOT NULL),
counted(k, n) AS MATERIALIZED (SELECT k, (SELECT count(*) FROM jobs r WHERE r.queue = 'running'
    AND r.concurrency_key = k) FROM keys WHERE k IS NOT NULL),
best(job_seq) AS (SELECT (SELECT q.job_seq FROM jobs q WHERE q.queue = 'ready'
    AND q.concurrency_key = k ORDER BY q.priority DESC, q.job_seq LIMIT 1) FROM counted c
  WHERE (?5 IS NULL OR k IN (SELECT value FROM json_each(?5)))
    AND NOT EXISTS (SELECT 1 FROM jobs m WHERE m.job_seq = (SELECT q.job_seq FROM jobs q
    WHERE q.queue = 'ready' AND q.concurrency_key = k ORDER BY q.priority DESC, q.job_seq
    LIMIT 1) AND m.concurrency_max <= c.n))
UPDATE jobs SET status = 'running', queue = 'running', attempt = attempt + 1, lease_owner = ?1, lease_until = ?2,
  updated_at = ?3, started_at = coalesce(started_at, ?4), run_at = NULL
WHERE job_seq = (SELECT b.job_seq FROM best b JOIN jobs j ON j.job_seq = b.job_seq
  ORDER BY j.priority DESC, j.job_seq LIMIT 1)
RETURNING job_id, job_type, generation, parameters, attempt, max_attempts, progress, lease_owner, created_by,
  is_cancel_asked, n_deaths, created_at, deadline_at]]
local CLAIM_ONE = [[
UPDATE jobs SET status = 'running', queue = 'running', attempt = attempt + 1, lease_owner = ?, lease_until = ?,
  updated_at = ?, started_at = coalesce(started_at, ?), run_at = NULL
WHERE job_id = ? AND queue = 'ready'
RETURNING job_id, job_type, generation, parameters, attempt, max_attempts, progress, lease_owner, created_by,
  is_cancel_asked, n_deaths, created_at, deadline_at]]
local LEASED = "FROM jobs WHERE queue = 'running' AND lease_until = ? AND lease_owner = ?"

--- Claims up to n jobs, or one certain job.
--- Waits.
--- @param owner string  new for each claim
--- @param n integer
--- @param lease number  seconds
--- @param id string?  only this job
--- @param keys string?  only of these concurrency keys, a JSON array
--- @return table  array of rows
--- Raises: busy, full, io
--- Source: ours
function queue.claim(owner, n, lease, id, keys)
  local now, until_ = stamp(), stamp(time.now() + lease)
  local list = {}
  for i = 1, n do
    list[i] = { id and CLAIM_ONE or CLAIM, { owner, until_, now, now, id or keys or NULL } }
  end
  list[n + 1] = { "INSERT INTO job_status_history(job_id, status, progress, updated_at) "
    .. "SELECT job_id, 'running', progress, updated_at " .. LEASED, { until_, owner } }
  list[n + 2] = { "INSERT INTO job_events(job_id, type, at, data) SELECT job_id, 'state', updated_at, "
    .. "json_object('status', 'running', 'attempt', attempt) " .. LEASED, { until_, owner } }
  local rows = {}
  for i, r in ipairs(db.main():write(list)) do
    if i > n then break end
    rows[i] = r.rows and r.rows[1]
    if not rows[i] then break end
  end
  return rows
end

--- Whether somebody waits to be run: a look, no claim.
--- @return boolean
--- Source: ours
function queue.has_ready()
  return db.main():value("SELECT min(concurrency_key) FROM jobs WHERE queue = 'ready'") ~= nil -- the first of an index
end

--- The statement that fails with notfound when the lease is lost. To be put first.
--- @param row table  of queue.claim
--- @return table
--- Source: ours
function queue.guard(row)
  return { "UPDATE jobs SET updated_at = ? WHERE job_id = ? AND lease_owner = ? AND queue = 'running'",
           { stamp(), row.job_id, row.lease_owner }, expect = 1 }
end

local END = [[UPDATE jobs SET status = ?, queue = NULL, updated_at = ?, finished_at = ?, result = ?, error_code = ?,
  error_message = ?, error_details = ?, progress = iif(? = 'completed', 100, progress), is_dead = ?, lease_owner = NULL,
  lease_until = NULL, waiting_for = NULL, run_at = NULL, result_id = coalesce(?, result_id)
  WHERE job_id = ? AND lease_owner = ? AND queue = 'running']]

--- Wakes who waits for a job, queues its webhooks, frees its submission lock unless it went well.
local function add_after(list, id, status, now)
  list[#list + 1] = { "UPDATE jobs SET queue = 'ready', waiting_for = NULL, run_at = NULL, updated_at = ? "
    .. "WHERE waiting_for = ? AND queue = 'asleep'", { now, id } }
  list[#list + 1] = { [[INSERT INTO webhook_deliveries(delivery_id, webhook_id, job_id, event, payload, next_at)
    SELECT 'msg_' || lower(hex(randomblob(16))), w.webhook_id, j.job_id, 'job.' || j.status, json_object(
      'type', 'job.' || j.status, 'timestamp', j.finished_at, 'data', json_object('job_id', j.job_id, 'job_type',
      j.job_type, 'status', j.status, 'created_at', j.created_at, 'finished_at', j.finished_at, 'result',
      json(j.result), 'error', iif(j.error_code IS NULL, NULL, json_object('code', j.error_code, 'message',
      j.error_message)))), ?
    FROM jobs j JOIN webhooks w ON (w.job_type IS NULL OR w.job_type = j.job_type) AND w.is_active = 1
      AND EXISTS (SELECT 1 FROM json_each(w.events) WHERE value = j.status) WHERE j.job_id = ?]], { now, id } }
  if status ~= "completed" then
    list[#list + 1] = { [[DELETE FROM job_submission_locks WHERE job_id = ? AND job_type = (SELECT job_type FROM jobs
      WHERE job_id = ?) AND param_hash = (SELECT param_hash FROM jobs WHERE job_id = ?)]], { id, id, id } }
  end
end

--- Ends a running job.
--- Waits.
--- @param row table  of queue.claim
--- @param e table { status = "completed" | "failed" | "cancelled", result = JSON?, result_id, code, message,
---   details = JSON?, is_dead }
--- @param list table?  statements that go with it, after the guard
--- Raises: notfound when the lease was lost
--- Source: ours
function queue.finish(row, e, list)
  local id, now = row.job_id, stamp()
  local all = { { END, { e.status, now, now, e.result or NULL, e.code or NULL, e.message or NULL, e.details or NULL,
    e.status, e.is_dead and 1 or 0, e.result_id or NULL, id, row.lease_owner }, expect = 1 } }
  for i = 1, list and #list or 0 do all[#all + 1] = list[i] end
  add_state(all, id, e.status, nil, e.message, now, json.encode({ status = e.status, code = e.code }))
  add_after(all, id, e.status, now)
  db.main():write(all)
end

local BACK = [[UPDATE jobs SET status = 'pending', queue = iif(?, 'asleep', 'ready'), run_at = ?, waiting_for = ?,
  attempt = attempt - ?, updated_at = ?, lease_owner = NULL, lease_until = NULL,
  error_code = coalesce(?, error_code), error_message = coalesce(?, error_message)
  WHERE job_id = ? AND lease_owner = ? AND queue = 'running']]

--- Puts a running job back, at once or asleep.
--- Waits.
--- @param row table  of queue.claim
--- @param b table { run_at = moment?, waiting_for?, keeps_attempt = boolean (this attempt is no attempt less),
---   code, message (of an attempt that failed), why = text of the history, is_woken = SQL that tells that what it
---   waits for is there, woken_args }
--- @param list table?  statements that go with it
--- Raises: notfound when the lease was lost
--- Source: ours
function queue.put_back(row, b, list)
  local id, now = row.job_id, stamp()
  local asleep = (b.run_at or b.waiting_for) and 1 or 0
  local all = { { BACK, { asleep, b.run_at and stamp(b.run_at) or NULL, b.waiting_for or NULL,
    b.keeps_attempt and 1 or 0, now, b.code or NULL, b.message or NULL, id, row.lease_owner }, expect = 1 } }
  for i = 1, list and #list or 0 do all[#all + 1] = list[i] end
  if b.is_woken then
    local args = { id }
    for i, v in ipairs(b.woken_args) do args[i + 1] = v end
    all[#all + 1] = { "UPDATE jobs SET queue = 'ready', waiting_for = NULL, run_at = NULL "
      .. "WHERE job_id = ? AND queue = 'asleep' AND EXISTS (" .. b.is_woken .. ")", args }
  end
  add_state(all, id, "pending", nil, b.why, now, '{"status":"pending"}')
  db.main():write(all)
end

--- Ends a job that nobody works on: pending, or running without a worker.
--- Waits.
--- @param id string
--- @param e table  as queue.finish
--- @param owner string?  the lease it must still have
--- @return boolean  false when it is no longer so
--- Source: ours
function queue.end_idle(id, e, owner)
  local now = stamp()
  local list = { { [[UPDATE jobs SET status = ?, queue = NULL, updated_at = ?, finished_at = ?, error_code = ?,
    error_message = ?, is_dead = ?, n_deaths = n_deaths + ?, lease_owner = NULL, lease_until = NULL, waiting_for = NULL,
    run_at = NULL WHERE job_id = ? AND queue IS NOT NULL AND ]] .. (owner and "lease_owner = ?"
      or "queue <> 'running'"),
    { e.status, now, now, e.code or NULL, e.message or NULL, e.is_dead and 1 or 0, owner and 1 or 0, id, owner },
      expect = 1 } }
  add_state(list, id, e.status, nil, e.message, now, json.encode({ status = e.status, code = e.code }))
  add_after(list, id, e.status, now)
  return try_write(list)
end

--- The jobs that nobody works on and whose deadline has passed, at most a hundred.
--- @return table  array of { job_id, deadline_at }
--- Source: ours
function queue.overdue()
  return db.main():query("SELECT job_id, deadline_at FROM jobs WHERE finished_at IS NULL AND deadline_at IS NOT NULL "
    .. "AND deadline_at <= ? AND queue <> 'running' LIMIT 100", { stamp() })
end

--- Takes a job from a worker that is gone: back into the queue, or parked after the third death.
--- Waits.
--- @param job table { job_id, lease_owner, n_deaths }
--- @return boolean  false when somebody else was quicker
--- Source: ours
function queue.take_over(job)
  if job.n_deaths + 1 >= DEATHS_MAX then
    return queue.end_idle(job.job_id, { status = "failed", code = "parked", is_dead = true,
      message = ("%d workers died on this job; it is parked until somebody looks at it"):format(job.n_deaths + 1) },
      job.lease_owner)
  end
  local now = stamp()
  local list = { { [[UPDATE jobs SET status = 'pending', queue = 'ready', attempt = max(attempt - 1, 0),
    n_deaths = n_deaths + 1, updated_at = ?, lease_owner = NULL, lease_until = NULL
    WHERE job_id = ? AND lease_owner = ? AND queue = 'running']], { now, job.job_id, job.lease_owner }, expect = 1 } }
  add_state(list, job.job_id, "pending", nil, "its worker died", now, '{"status":"pending","why":"its worker died"}')
  return try_write(list)
end

--- A hash of parameters that is the same for the same parameters, whatever their order.
--- @param value any
--- @return string
--- Source: plastinka.md 1.7
function queue.hash(value)
  local function text(v)
    if type(v) ~= "table" then return json.encode(v) end
    local parts = {}
    if json.is_array(v) or #v > 0 then
      for i, x in ipairs(v) do parts[i] = text(x) end
      return "[" .. table.concat(parts, ",") .. "]"
    end
    for k, x in pairs(v) do parts[#parts + 1] = json.encode(tostring(k)) .. ":" .. text(x) end
    table.sort(parts)
    return "{" .. table.concat(parts, ",") .. "}"
  end
  return crypto.sha256(text(value))
end

return queue
