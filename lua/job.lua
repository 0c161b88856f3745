-- job.lua - long work that survives everything: submitting, looking at, cancelling, trying again.
-- What a job may do is in job_run.lua; who runs it is work.lua; the SQL of moving is job_queue.lua.

local crypto = require("crypto")
local db = require("db")
local fail = require("fail")
local generation = require("generation")
local job_view = require("job_view")
local json = require("core.json")
local notify = require("notify")
local queue = require("job_queue")
local time = require("time")

local job = {}

local NULL = db.null
local IDEMPOTENT_SECONDS = 86400

--- See job_view.lua.
job.get, job.list, job.log, job.artifacts, job.steps = job_view.get, job_view.list, job_view.log, job_view.artifacts,
  job_view.steps
--- See job_view.lua.
job.history, job.exists, job.events = job_view.history, job_view.exists, job_view.events

local function definition(name, g)
  local defs = g and g.jobs
  local def = defs and defs[name]
  if not def then fail.raise("not_found", "there is no kind of job called " .. tostring(name)) end
  return def
end

--- The declaration of a kind of job in the current workflows.
--- @param name string
--- @return table
--- Raises: not_found
--- Source: ours
function job.definition(name)
  return definition(name, generation.current())
end

-- Checked parameters, and the row to insert.
local function row_of(name, params, opt)
  local g = opt.generation or generation.current()
  local def = definition(name, g)
  params = def.check(params)
  local key = def.key and def.key(params)
  if key ~= nil and (type(key) ~= "string" or #key > 200) then
    fail.raise("internal_error", "the key function of the job " .. name .. " returned no text")
  end
  return {
    id = crypto.uuid(7), type = name, generation = g.id, parameters = json.encode(params), hash = queue.hash(params),
    by = opt.by, priority = opt.priority or def.priority, run_at = opt.delay and time.now() + opt.delay or nil,
    deadline_at = def.deadline and time.now() + (opt.delay or 0) + def.deadline or nil,
    attempts = def.attempts, concurrency_key = key and name .. "/" .. key or name, concurrency_max = def.concurrency,
    parent = opt.parent, schedule = opt.schedule, retry_of = opt.retry_of,
  }, def
end

--- The statements that submit a job, for those who write more in the same transaction.
--- @param name string
--- @param params table
--- @param opt table { parent, by, generation, schedule, priority, delay }
--- @return string  its id
--- @return table   for db:write
--- Raises: not_found, validation_error
--- Source: ours
function job.prepare(name, params, opt)
  local row = row_of(name, params, opt)
  return row.id, queue.insert(row)
end

local LOCK = [[INSERT INTO job_submission_locks(job_type, param_hash, lock_until, job_id) VALUES (?, ?, ?, ?)
  ON CONFLICT DO UPDATE SET lock_until = excluded.lock_until, job_id = excluded.job_id WHERE lock_until <= ?]]

local function refuse_twin(row, hash)
  local lock = db.main():row("SELECT lock_until, job_id FROM job_submission_locks "
    .. "WHERE job_type = ? AND param_hash = ?",
    { row.type, hash })
  local left = lock and math.max(1, math.ceil(time.parse(lock.lock_until) - time.now())) or 1
  local err = fail.new("job_refractory_active", "the same job was submitted a short while ago",
    { retry_after_seconds = left, job_id = lock and lock.job_id })
  error(err, 0)
end

-- The job that an Idempotency-Key has started already.
local function known_key(owner, key, hash)
  local old = db.main():row("SELECT request_hash, job_id FROM idempotency_keys WHERE owner = ? AND idempotency_key = ? "
    .. "AND expires_at > ?", { owner, key, queue.stamp() })
  if not old then return nil end
  if old.request_hash ~= hash then
    fail.raise("idempotency_conflict", "this Idempotency-Key was used for another request")
  end
  return old.job_id
end

local function add_key(list, owner, key, hash, id)
  local now = time.now()
  list[#list + 1] = { "DELETE FROM idempotency_keys WHERE owner = ? AND idempotency_key = ? AND expires_at <= ?",
                      { owner, key, queue.stamp(now) } }
  list[#list + 1] = { "INSERT INTO idempotency_keys(owner, idempotency_key, request_hash, job_id, expires_at) "
    .. "VALUES (?, ?, ?, ?, ?)", { owner, key, hash, id, queue.stamp(now + IDEMPOTENT_SECONDS) } }
end

--- Submits a job.
--- Waits.
--- @param name string  of workflows/jobs/NAME.lua
--- @param params table?
--- @param opt table? { by = key id, idempotency_key, request = text that is the same for the same request
---   (default: the parameters), priority, delay = seconds, refractory = false: even if the
---   same was submitted just now, same_by = table: the parameters that make two the same, default all }
--- @return string  its id
--- @return boolean  false when the idempotency key belongs to an earlier one, whose id this is
--- Raises: not_found, validation_error, job_refractory_active, idempotency_conflict; busy, full, io
--- Source: plastinka.md 1.7
function job.submit(name, params, opt)
  opt = opt or {}
  local row, def = row_of(name, params or {}, opt)
  local list, owner, key = {}, opt.by or "", opt.idempotency_key
  local request = key and crypto.sha256(name .. " " .. (opt.request or row.hash))
  local same_hash = opt.same_by and queue.hash(opt.same_by) or row.hash
  if key then
    local old = known_key(owner, key, request)
    if old then return old, false end
    add_key(list, owner, key, request, row.id)
  end
  if opt.refractory ~= false and def.refractory > 0 then
    local now = time.now()
    list[#list + 1] = { LOCK, { name, same_hash, queue.stamp(now + def.refractory), row.id, queue.stamp(now) },
      expect = 1 }
  end
  local d = db.main()
  local ok, err = pcall(d.write, d, queue.insert(row, list))
  if not ok then
    if type(err) == "table" and err.code == "exists" and key then -- another request with this key was quicker
      local old = known_key(owner, key, request)
      if old then return old, false end
    end
    if type(err) == "table" and err.code == "notfound" then refuse_twin(row, same_hash) end
    error(err, 0)
  end
  notify.send("jobs")
  return row.id, true
end

local function state_of(id)
  return db.main():row("SELECT job_type, status, queue FROM jobs WHERE job_id = ?", { id })
    or fail.raise("job_not_found", "no job " .. tostring(id))
end

--- Cancels a job and the jobs it has spawned. One that runs ends within a second, its computation too.
--- Waits.
--- @param id string
--- @return string  its status now: "cancelled", or "running" until its worker has heard
--- Raises: job_not_found; conflict (it has ended another way)
--- Source: ours
function job.cancel(id)
  for _ = 1, 20 do
    local s = state_of(id)
    if s.status == "cancelled" then return s.status end
    if not s.queue then fail.raise("conflict", "the job has " .. s.status .. " already", { status = s.status }) end
    if s.queue ~= "running" then
      if queue.end_idle(id, { status = "cancelled", code = "cancelled", message = "cancelled before it ran" }) then
        job.cancel_children(id)
        notify.send("e " .. id)
        return "cancelled"
      end
    elseif db.main():exec("UPDATE jobs SET is_cancel_asked = 1 WHERE job_id = ? AND queue = 'running'",
      { id }).changes == 1 then
      job.cancel_children(id)
      notify.send("cancel " .. id)
      return "running"
    end
  end
  fail.raise("busy", "the job changes too quickly, try again")
end

--- Cancels the jobs a job has spawned, as far as they have not ended.
--- Waits.
--- @param id string
--- Source: ours
function job.cancel_children(id)
  for _, child in ipairs(db.main():query("SELECT job_id FROM jobs WHERE parent_job_id = ? AND finished_at IS NULL",
    { id })) do
    pcall(job.cancel, child.job_id)
  end
end

-- The deadline of a job that is tried again: what its kind declares now, from now.
local function deadline_again(kind)
  local def = generation.current().jobs[kind]
  return def and def.deadline and queue.stamp(time.now() + def.deadline) or NULL
end

--- Puts a job that failed or was cancelled back into the queue, with its whole deadline before it. Finished
--- steps stay remembered and it stays on its workflows, unless opt.fresh: then it begins anew, on the current ones.
--- Waits.
--- @param id string
--- @param opt table? { fresh = boolean }
--- Raises: job_not_found; conflict (it has not ended, or ended well)
--- Source: ours
function job.retry(id, opt)
  local s = state_of(id)
  if s.status ~= "failed" and s.status ~= "cancelled" then
    fail.raise("conflict", "the job is " .. s.status .. "; only one that failed or was cancelled can be tried again",
      { status = s.status })
  end
  local fresh, now = opt and opt.fresh, queue.stamp()
  local list = { { [[UPDATE jobs SET status = 'pending', queue = 'ready', attempt = 0, n_deaths = 0, is_dead = 0,
    is_cancel_asked = 0, finished_at = NULL, error_code = NULL, error_message = NULL, error_details = NULL, result =
      NULL,
    progress = 0, updated_at = ?, generation = coalesce(?, generation), deadline_at = ?
    WHERE job_id = ? AND queue IS NULL AND status IN ('failed', 'cancelled')]],
    { now, fresh and generation.current().id or NULL, deadline_again(s.job_type), id }, expect = 1 } }
  if fresh then
    list[2] = { "DELETE FROM job_steps WHERE job_id = ?", { id } }
    list[3] = { "DELETE FROM job_signals WHERE job_id = ?", { id } }
  end
  list[#list + 1] = { "INSERT INTO job_status_history(job_id, status, progress, status_message, updated_at) "
    .. "VALUES (?, 'pending', 0, 'tried again', ?)", { id, now } }
  list[#list + 1] = { "INSERT INTO job_events(job_id, type, at, message, data) "
    .. "VALUES (?, 'state', ?, 'tried again', ?)",
    { id, now, '{"status":"pending"}' } }
  local d = db.main()
  local ok, err = pcall(d.write, d, list)
  if not ok then
    if type(err) == "table" and err.code == "notfound" then fail.raise("conflict", "the job runs again already") end
    error(err, 0)
  end
  notify.send("jobs")
  notify.send("e " .. id)
end

--- Sends a signal to a job: job:wait_for of that name returns. The first of a name counts.
--- Waits.
--- @param id string
--- @param name string
--- @param payload any?
--- @param by string?  key id
--- @return boolean  false when it had been sent before
--- Raises: job_not_found; conflict (it has ended)
--- Source: ours
function job.signal(id, name, payload, by)
  if not state_of(id).queue then fail.raise("conflict", "the job has ended") end
  local now = queue.stamp()
  local done = db.main():write({
    { "INSERT OR IGNORE INTO job_signals(job_id, name, payload, at, sent_by) VALUES (?, ?, ?, ?, ?)",
      { id, name, payload ~= nil and json.encode(payload) or NULL, now, by or NULL } },
    { "UPDATE jobs SET queue = 'ready', waiting_for = NULL, run_at = NULL, updated_at = ? "
      .. "WHERE job_id = ? AND waiting_for = ? AND queue = 'asleep'", { now, id, name } },
  })
  notify.send("jobs")
  return done[1].changes == 1
end

return job
