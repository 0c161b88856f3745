-- job_view.lua - what people see of jobs: one, many, steps, log, files, history, events.

local db = require("db")
local fail = require("fail")
local json = require("core.json")
local queue = require("job_queue")

local view = {}

local STATUSES = { "pending", "running", "completed", "failed", "cancelled" }
local COLUMNS = [[job_seq, job_id, job_type, status, created_at, updated_at, started_at, finished_at, created_by,
  generation, progress, progress_text, error_code, error_message, attempt, max_attempts, is_dead, priority, queue,
  run_at, waiting_for, parent_job_id, retry_of, schedule_name, is_cancel_asked, n_deaths]]
local LOG_TAIL = 50

local function decode(text)
  local value = text and json.decode(text)
  if value == json.null then return nil end
  return value
end

-- A row as the API shows it.
local function show(row)
  return {
    job_id = row.job_id, job_type = row.job_type, status = row.status, created_at = row.created_at,
    updated_at = row.updated_at, started_at = row.started_at, finished_at = row.finished_at,
    progress = row.progress, progress_text = row.progress_text, error = row.error_message, error_code = row.error_code,
    attempt = row.attempt, max_attempts = row.max_attempts, dead = row.is_dead == 1, priority = row.priority,
    generation = row.generation, created_by = row.created_by, run_at = row.run_at, waiting_for = row.waiting_for,
    parent_job_id = row.parent_job_id, schedule = row.schedule_name, cancelling = row.is_cancel_asked == 1 and
      row.queue ~= nil or nil, deaths = row.n_deaths,
  }
end

--- Whether there is such a job.
--- @param id string
--- @return boolean
--- Source: ours
function view.exists(id)
  return db.main():value("SELECT 1 FROM jobs WHERE job_id = ?", { id }) ~= nil
end

local function must(id)
  if not view.exists(id) then fail.raise("job_not_found", "no job " .. tostring(id)) end
end

--- The steps of a job, in the order they first ran.
--- Waits.
--- @param id string
--- @return table  array of { name, status, attempt, started_at, finished_at, seconds, result, error, items }
--- Raises: job_not_found
--- Source: ours
function view.steps(id)
  must(id)
  local steps, by_name = json.array({}), {}
  for _, s in ipairs(db.main():query([[SELECT name, status, attempt, started_at, finished_at, result, error_code,
      error_message, round((julianday(finished_at) - julianday(started_at)) * 86400, 3) AS seconds
      FROM job_steps WHERE job_id = ? AND item = -1 ORDER BY position, started_at]], { id })) do
    local one = { name = s.name, status = s.status, attempt = s.attempt, started_at = s.started_at,
      finished_at = s.finished_at, seconds = s.seconds, result = decode(s.result), error = s.error_message,
      error_code = s.error_code }
    steps[#steps + 1], by_name[s.name] = one, one
  end
  for _, s in ipairs(db.main():query("SELECT name, count(*) AS n, sum(status = 'completed') AS done FROM job_steps "
      .. "WHERE job_id = ? AND item >= 0 GROUP BY name", { id })) do
    if by_name[s.name] then by_name[s.name].items = { completed = s.done, seen = s.n } end
  end
  return steps
end

--- The log of a job.
--- Waits.
--- @param id string
--- @param opt table? { after = log_id, limit = 1000, tail = n: the last n }
--- @return table  array of { log_id, at, level, step, message }, oldest first
--- Raises: job_not_found
--- Source: ours
function view.log(id, opt)
  must(id)
  opt = opt or {}
  local d = db.main()
  if not opt.tail then
    return json.array(d:query("SELECT event_id AS log_id, at, level, step, message FROM job_events WHERE job_id = ? "
      .. "AND type = 'log' AND event_id > ? ORDER BY event_id LIMIT ?", { id, opt.after or 0, opt.limit or 1000 }))
  end
  local rows = d:query("SELECT event_id AS log_id, at, level, step, message FROM job_events WHERE job_id = ? "
    .. "AND type = 'log' ORDER BY event_id DESC LIMIT ?", { id, opt.tail })
  local list, n = json.array({}), #rows
  for i = 1, n do list[i] = rows[n + 1 - i] end
  return list
end

--- Every change of status of a job.
--- Waits.
--- @param id string
--- @return table  array of { status, progress, message, at }
--- Raises: job_not_found
--- Source: plastinka.md 2.1, job_status_history
function view.history(id)
  must(id)
  return json.array(db.main():query("SELECT status, progress, status_message AS message, updated_at AS at "
    .. "FROM job_status_history WHERE job_id = ? ORDER BY id", { id }))
end

--- Files a job has made.
--- Waits.
--- @param id string
--- @return table  array of { name, content_type, bytes, sha256, created_at, path }
--- Raises: job_not_found
--- Source: ours
function view.artifacts(id)
  must(id)
  return json.array(db.main():query("SELECT name, content_type, n_bytes AS bytes, sha256, created_at, path "
    .. "FROM job_artifacts WHERE job_id = ? ORDER BY name", { id }))
end

--- What happened to a job after an event.
--- Waits.
--- @param id string
--- @param after integer  event_id
--- @return table  array of { event_id, type, at, level, step, message, data (JSON) }, at most 500
--- Source: ours
function view.events(id, after)
  return db.main():query("SELECT event_id, type, at, level, step, message, data FROM job_events WHERE job_id = ? "
    .. "AND event_id > ? ORDER BY event_id LIMIT 500", { id, after })
end

--- One job with all that belongs to it.
--- Waits.
--- @param id string
--- @param opt table? { brief = true: only what is in its row }
--- @return table
--- Raises: job_not_found
--- Source: plastinka.md 1.6.7
function view.get(id, opt)
  local row = db.main():row("SELECT " .. COLUMNS .. ", result, parameters, error_details FROM jobs WHERE job_id = ?",
    { id })
  if not row then fail.raise("job_not_found", "no job " .. tostring(id)) end
  local j = show(row)
  j.result, j.parameters, j.error_details = decode(row.result), decode(row.parameters), decode(row.error_details)
  if opt and opt.brief then return j end
  j.steps, j.history, j.log = view.steps(id), view.history(id), view.log(id, { tail = LOG_TAIL })
  j.artifacts = view.artifacts(id)
  for _, a in ipairs(j.artifacts) do a.path = nil end
  return j
end

-- SQL of one page and its arguments; the index each uses is tested in tests/unit/test_db_schema.c
local function page(o, cursor, limit)
  local where, args = {}, {}
  local function add(sql, v) where[#where + 1], args[#args + 1] = sql, v end
  local function select_from(order)
    return "SELECT " .. COLUMNS .. " FROM jobs WHERE " .. table.concat(where, " AND ") .. " ORDER BY " .. order
      .. " LIMIT " .. limit
  end
  local plain = o.job_type and not o.status and not o.dead and not o.key and not o.since and not o.before
  if plain then -- of each status the newest: an index has them in order, of all statuses none has
    local parts = {}
    for i, status in ipairs(STATUSES) do
      parts[i] = "SELECT * FROM (SELECT " .. COLUMNS .. " FROM jobs WHERE job_type = ?1 AND status = '" .. status
        .. "' AND job_seq < ?2 ORDER BY job_seq DESC LIMIT " .. limit .. ")"
    end
    return table.concat(parts, " UNION ALL ") .. " ORDER BY job_seq DESC LIMIT " .. limit, { o.job_type, cursor.seq }
  end
  if o.job_type then add("job_type = ?", o.job_type) end
  if o.status then add("status = ?", o.status) end
  if o.key then add("created_by = ?", o.key) end
  if o.dead then where[#where + 1] = "is_dead = 1" end
  if o.since then add("created_at >= ?", o.since) end
  if o.before then add("created_at < ?", o.before) end
  if o.since or o.before then
    if cursor.at then add("(created_at, job_seq) < (?, " .. cursor.seq .. ")", cursor.at) end
    return select_from("created_at DESC, job_seq DESC"), args
  end
  add("job_seq < ?", cursor.seq)
  return select_from("job_seq DESC"), args
end

local function total_of(o)
  local d = db.main()
  if not (o.dead or o.key or o.since or o.before) then
    return d:value("SELECT coalesce(sum(n), 0) FROM job_counts WHERE (?1 IS NULL OR job_type = ?1) "
      .. "AND (?2 IS NULL OR status = ?2)", { o.job_type or db.null, o.status or db.null })
  end
  return d:value([[SELECT count(*) FROM jobs WHERE (?1 IS NULL OR job_type = ?1) AND (?2 IS NULL OR status = ?2)
    AND (?3 IS NULL OR created_by = ?3) AND (?4 IS NULL OR created_at >= ?4) AND (?5 IS NULL OR created_at < ?5)]]
    .. (o.dead and " AND is_dead = 1" or ""), { o.job_type or db.null, o.status or db.null, o.key or db.null,
    o.since or db.null, o.before or db.null })
end

--- Jobs, newest first.
--- Waits.
--- @param o table? { job_type, status, dead = true, key = key id, since, before = moments as text, limit = 100,
---   cursor = of the page before }
--- @return table  { jobs, total (of all that match), next_cursor? }
--- Raises: bad_request (a cursor that is none)
--- Source: plastinka.md 1.6.8
function view.list(o)
  o = o or {}
  local limit = o.limit or 100
  local cursor = { seq = math.maxinteger }
  if o.cursor then
    local seq, at = o.cursor:match("^(%d+)~?([%d%-:TZ.]*)$")
    cursor.seq, cursor.at = math.tointeger(tonumber(seq)), at ~= "" and at or nil
    if not cursor.seq then fail.raise("bad_request", "the cursor is none of this list") end
  end
  local times = { since = o.since and queue.stamp(require("time").parse(o.since)),
                  before = o.before and queue.stamp(require("time").parse(o.before)) }
  for k, v in pairs(o) do times[k] = times[k] or v end
  local sql, args = page(times, cursor, limit)
  local rows = db.main():query(sql, args)
  local jobs = json.array({})
  for i, row in ipairs(rows) do jobs[i] = show(row) end
  local last = rows[limit]
  return { jobs = jobs, total = total_of(times),
           next_cursor = last and last.job_seq .. ((o.since or o.before) and "~" .. last.created_at or "") or nil }
end

return view
