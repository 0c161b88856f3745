-- job_log.lua - what people watch of a running job: progress, log, beginnings of steps. It is gathered
-- in the context of the job and written with its next step, or ten times a second by one task.

local core = require("core.task")
local db = require("db")
local json = require("core.json")
local notify = require("notify")
local queue = require("job_queue")
local task = require("task")

local job_log = {}

local FLUSH_SECONDS = 0.1
local LINE_MAX, LINES_MAX, BYTES_MAX, PENDING_MAX = 8192, 20000, 8 << 20, 500
local NULL = db.null
local LEVELS = { debug = true, info = true, warn = true, error = true }

local dirty, wake = {}, notify.signal("job log") -- contexts with something to write

local STEP = [[INSERT INTO job_steps(job_id, name, item, position, status, attempt, started_at, finished_at, result,
  error_code, error_message) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT DO UPDATE SET status = excluded.status, attempt = excluded.attempt, started_at = excluded.started_at,
  finished_at = excluded.finished_at, result = excluded.result, error_code = excluded.error_code,
  error_message = excluded.error_message WHERE job_steps.status <> 'completed']]
local EVENT = "INSERT INTO job_events(job_id, type, at, level, step, message, data) VALUES (?, ?, ?, ?, ?, ?, ?)"

--- Ends the run of a job from inside, for a reason that is no error of the script. Does not return.
--- @param cx table  context of the job
--- @param outcome string  "suspended" | "lost"
--- Source: ours
function job_log.leave(cx, outcome)
  cx.outcome = cx.outcome or outcome
  core.cancel(cx.task, outcome)
  while true do core.sleep(3600) end
end

--- Everything not written yet, as statements; forgets it.
--- @param cx table
--- @return table
--- Source: ours
function job_log.take(cx)
  local list, id = cx.pending, cx.row.job_id
  cx.pending = {}
  for _, s in pairs(cx.open) do
    if s.is_new then
      s.is_new = nil
      list[#list + 1] = { STEP, { id, s.name, -1, s.position, "running", cx.row.attempt, s.started, NULL, NULL, NULL,
        NULL } }
    end
  end
  if cx.progress then
    list[#list + 1] = { "UPDATE jobs SET progress = ?, progress_text = coalesce(?, progress_text) WHERE job_id = ?",
                        { cx.progress, cx.progress_text or NULL, id } }
    list[#list + 1] = { EVENT, { id, "progress", queue.stamp(), NULL, NULL, cx.progress_text or NULL,
                                 json.encode({ progress = cx.progress }) } }
    cx.progress = nil
  end
  return list
end

-- true, or false when the lease is lost
local function write(cx, list)
  local all = { queue.guard(cx.row) }
  for _, s in ipairs(job_log.take(cx)) do all[#all + 1] = s end
  for _, s in ipairs(list or {}) do all[#all + 1] = s end
  local d = db.main()
  local ok, err = pcall(d.write, d, all)
  if ok then
    notify.job(cx.row.job_id)
    return true
  end
  if type(err) == "table" and err.code == "notfound" then return false end
  error(err, 0)
end

--- Writes statements of a running job behind its guard, with what is gathered. For the job's own run.
--- Waits.
--- @param cx table
--- @param list table?
--- Raises: busy, full, io
--- Source: ours
function job_log.write(cx, list)
  if not write(cx, list) then job_log.leave(cx, "lost") end
end

--- Something is gathered: it will be written soon.
--- @param cx table
--- Source: ours
function job_log.mark(cx)
  if dirty[cx] then return end
  dirty[cx] = true
  notify.fire(wake)
end

--- Writes what the jobs of this process gather, for ever. A task of the main run.
--- Waits.
--- Source: ours
function job_log.keep()
  local seen = notify.count(wake)
  while true do
    if not next(dirty) then notify.wait(wake, seen, 3600) end
    seen = notify.count(wake)
    task.sleep(FLUSH_SECONDS)
    local now = dirty
    dirty = {}
    for cx in pairs(now) do
      if not cx.is_ended then
        cx.is_flushing = true
        local ok, held = pcall(write, cx)
        cx.is_flushing = false
        if ok and not held then
          cx.outcome = cx.outcome or "lost"
          core.cancel(cx.task, "lost")
        end
      end
    end
  end
end

--- Adds a statement to what is gathered; waits for the disk when there is much of it.
--- @param cx table
--- @param statement table
--- Source: ours
function job_log.push(cx, statement)
  cx.pending[#cx.pending + 1] = statement
  if #cx.pending >= PENDING_MAX then job_log.write(cx) else job_log.mark(cx) end
end

--- The statement that remembers a step.
--- @param cx table
--- @param s table { name, item, position, started, status, result, code, message }
--- @return table
--- Source: ours
function job_log.step(cx, s)
  return { STEP, { cx.row.job_id, s.name, s.item or -1, s.position, s.status, cx.row.attempt, s.started,
                   queue.stamp(), s.result or NULL, s.code or NULL, s.message or NULL } }
end

--- The statement that tells watchers of a step.
--- @param cx table
--- @param name string
--- @param status string
--- @param message string?
--- @return table
--- Source: ours
function job_log.step_event(cx, name, status, message)
  return { EVENT, { cx.row.job_id, "step", queue.stamp(), NULL, name, message or NULL,
                    json.encode({ step = name, status = status }) } }
end

-- Text for a column: bounded, and UTF-8 whatever it was.
local function clean(text)
  text = tostring(text)
  if #text > LINE_MAX then
    local cut = utf8.offset(text, 0, LINE_MAX + 1)
    text = text:sub(1, cut - 1)
  end
  return utf8.len(text) and text or (text:gsub("[\128-\255]", "?"))
end
--- Text for a column, bounded, and UTF-8 whatever it was: function(any) -> text.
job_log.clean = clean

--- job:progress(fraction, text).
--- @param cx table
--- @param fraction number  0 to 1
--- @param text string?
--- Source: ours
function job_log.progress(cx, fraction, text)
  if type(fraction) ~= "number" or not (fraction >= 0 and fraction <= 1) then
    error("progress is " .. tostring(fraction) .. ", expected a number from 0 to 1", 3)
  end
  cx.progress = fraction * 100.0
  if text ~= nil then cx.progress_text = clean(text) end
  job_log.mark(cx)
end

-- What earlier runs of the job have logged counts too: a job may wake a thousand times.
local function count_earlier(cx)
  cx.has_counted = true
  local ok, row = pcall(function()
    return db.main():row("SELECT count(*) AS n, coalesce(sum(length(message)), 0) AS bytes FROM job_events "
      .. "WHERE job_id = ? AND type = 'log'", { cx.row.job_id })
  end)
  if ok and row then cx.n_lines, cx.n_bytes = cx.n_lines + row.n, cx.n_bytes + row.bytes end
  if cx.n_lines > LINES_MAX or cx.n_bytes > BYTES_MAX then cx.is_log_full = true end -- and it says so already
end

--- job:log(text, level).
--- @param cx table
--- @param text string
--- @param level string?
--- Source: ours
function job_log.line(cx, text, level)
  level = level or "info"
  if not LEVELS[level] then error("level is " .. tostring(level) .. ", expected debug, info, warn or error", 3) end
  if not cx.has_counted then count_earlier(cx) end
  if cx.is_log_full then return end
  text = clean(text)
  cx.n_lines, cx.n_bytes = cx.n_lines + 1, cx.n_bytes + #text
  if cx.n_lines > LINES_MAX or cx.n_bytes > BYTES_MAX then
    cx.is_log_full = true
    level, text = "warn", "the log is full: what follows is not kept"
  end
  local open
  for name in pairs(cx.open) do open = name end
  job_log.push(cx, { EVENT, { cx.row.job_id, "log", queue.stamp(), level, open or NULL, text, NULL } })
end

return job_log
