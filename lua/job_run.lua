-- job_run.lua - what a job's function sees: `job`, with its steps.
--
--   job.id, job.type, job.params, job.attempt, job.generation, job.created_by
--   job:step(name, fn, ...)        fn(...) once, its result remembered
--   job:transact(name, fn, ...)    fn(db, ...) once, in one transaction with the memory of it
--   job:progress(fraction, text)   job:log(text, level)
--   job:file, job:scratch (job_files.lua); job:map, spawn, wait, sleep, wait_for (job_wait.lua)
--
-- Behind a key of our own is the context: the row with the lease, what is not written yet.

local db = require("db")
local json = require("core.json")
local job_log = require("job_log")
local notify = require("notify")
local queue = require("job_queue")

local job_run = {}

local CX = {}
local NAME_MAX = 200

local methods = {}
job_run.methods = methods
local META = { __index = methods, __name = "job", __metatable = false }

--- Makes the job of one run.
--- @param row table  of queue.claim
--- @param def table  record of job_def
--- @param params table
--- @return job
--- @return table  its context
--- Source: ours
function job_run.new(row, def, params)
  local cx = { row = row, def = def, pending = {}, open = {}, used = {}, counts = {}, position = 0,
               n_lines = 0, n_bytes = 0 }
  local job = setmetatable({
    id = row.job_id, type = row.job_type, params = params, attempt = row.attempt, max_attempts = row.max_attempts,
    generation = row.generation, created_by = row.created_by, created_at = row.created_at, [CX] = cx,
  }, META)
  return job, cx
end

--- The context of a job.
--- @param job job
--- @return table
--- Source: ours
function job_run.context(job)
  local cx = type(job) == "table" and rawget(job, CX)
  if not cx then error("call it as job:name(…), on the job itself", 3) end
  return cx
end
local context = job_run.context

--- Checks a name of a step and that it is new in this run.
--- @param cx table
--- @param name string
--- Raises: invalid
--- Source: ours
function job_run.use_name(cx, name)
  if type(name) ~= "string" or #name == 0 or #name > NAME_MAX or not utf8.len(name) then
    error("the name of a step is " .. tostring(name) .. ", expected a text of 1 to " .. NAME_MAX .. " bytes", 4)
  end
  if cx.used[name] then
    error({ code = "invalid", message = 'the step "' .. name .. '" ran twice in one job: its name must be its own' }, 0)
  end
  cx.used[name] = true
end

--- A name made of what it is and how often there was one: the same in each run of the same function.
--- @param cx table
--- @param what string
--- @return string
--- Source: ours
function job_run.next_name(cx, what)
  local n = (cx.counts[what] or 0) + 1
  cx.counts[what] = n
  return what .. " #" .. n
end

--- The remembered steps of a job: name -> { status, result (JSON) }.
--- Waits.
--- @param cx table
--- @return table
--- Source: ours
function job_run.memory(cx)
  if not cx.memory then
    local memory = {}
    for _, s in ipairs(db.main():query("SELECT name, status, result, position, started_at FROM job_steps "
        .. "WHERE job_id = ? AND item = -1", { cx.row.job_id })) do
      memory[s.name] = s
    end
    cx.memory = memory
  end
  return cx.memory
end

--- JSON of a result; an error that names where it comes from when it is none.
--- @param value any
--- @param what string
--- @return string
--- Raises: invalid
--- Source: ours
function job_run.encode(value, what)
  if value == nil then return "null" end
  local text, message, code = json.encode(value)
  if not text then error({ code = code or "invalid", message = what .. " returned what is not JSON: " .. message },
    0) end
  return text
end

--- The value of remembered JSON.
--- @param text string?
--- @return any
--- Source: ours
function job_run.decode(text)
  local value = text and json.decode(text)
  if value == json.null then return nil end
  return value
end

--- What may be said of an error: code and message.
--- @param err any
--- @return string
--- @return string
--- Source: ours
function job_run.explain(err)
  if type(err) ~= "table" then
    local text = job_log.clean(err)
    return text:find("not enough memory", 1, true) and "nomem" or "script_error", text
  end
  local code, message = rawget(err, "code"), rawget(err, "message")
  code = type(code) == "string" and job_log.clean(code) or "script_error"
  return code, type(message) == "string" and job_log.clean(message) or code
end

--- Begins a step: nil and the remembered value when it is done already.
--- Waits.
--- @param cx table
--- @param name string
--- @return table?
--- @return any
--- Source: ours
function job_run.begin(cx, name)
  job_run.use_name(cx, name)
  local position = cx.position
  cx.position = position + 1
  local old = job_run.memory(cx)[name]
  if old and old.status == "completed" then return nil, job_run.decode(old.result) end
  local s = { name = name, position = position, started = queue.stamp(), is_new = true, status = "completed" }
  cx.open[name] = s
  job_log.mark(cx)
  return s
end

local function fail_step(cx, s, err)
  cx.open[s.name] = nil
  s.status, s.result = "failed", nil
  s.code, s.message = job_run.explain(err)
  job_log.push(cx, job_log.step(cx, s))
  job_log.push(cx, job_log.step_event(cx, s.name, "failed", s.message))
  error(err, 0)
end

--- Calls fn(...) and remembers what it returned, as JSON; in a later run of the same job that is
--- returned at once. What fn does to the world may happen again when the machine dies before the
--- result is written: see job:transact.
--- Waits.
--- @param name string  1 to 200 bytes, its own in this job
--- @param fn function
--- @param ... any  its arguments
--- @return any  the first value fn returned
--- Raises: what fn raised; invalid (a name used twice, a result that is no JSON)
--- Source: ours
function methods:step(name, fn, ...)
  local cx = context(self)
  if type(fn) ~= "function" then error("job:step needs a function, found a " .. type(fn), 2) end
  local s, known = job_run.begin(cx, name)
  if not s then return known end
  local ok, value = pcall(fn, ...)
  if ok then ok, value = pcall(job_run.encode, value, 'the step "' .. name .. '"') end
  if not ok then fail_step(cx, s, value) end
  cx.open[name] = nil
  s.result = value
  job_log.write(cx, { job_log.step(cx, s), job_log.step_event(cx, name, "completed") })
  return job_run.decode(value)
end

--- As job:step, but fn(db, ...) runs in one transaction of the main database with the memory of it: what
--- it writes there is written exactly once. Keep it short: other writers wait.
--- Waits.
--- @param name string
--- @param fn function  (db, ...)
--- @param ... any
--- @return any
--- Raises: as job:step
--- Source: ours
function methods:transact(name, fn, ...)
  local cx = context(self)
  if type(fn) ~= "function" then error("job:transact needs a function, found a " .. type(fn), 2) end
  local s, known = job_run.begin(cx, name)
  if not s then return known end
  local d, args = db.main(), table.pack(...)
  local ok, err = pcall(d.transaction, d, function()
    local guard = queue.guard(cx.row)
    if d:exec(guard[1], guard[2]).changes ~= 1 then job_log.leave(cx, "lost") end
    s.result = job_run.encode(fn(d, table.unpack(args, 1, args.n)), 'the step "' .. name .. '"')
    local done, told = job_log.step(cx, s), job_log.step_event(cx, name, "completed")
    d:exec(done[1], done[2])
    d:exec(told[1], told[2])
  end)
  if not ok then fail_step(cx, s, err) end
  cx.open[name] = nil
  notify.job(cx.row.job_id)
  return job_run.decode(s.result)
end

--- Says how far the job is.
--- @param fraction number  0 to 1
--- @param text string?  what it is doing
--- Source: ours
function methods:progress(fraction, text)
  job_log.progress(context(self), fraction, text)
end

--- Writes a line to the log of the job. Of very many lines only the first are kept.
--- @param text string
--- @param level string?  "info"; debug, warn, error
--- Source: ours
function methods:log(text, level)
  job_log.line(context(self), text, level)
end

return job_run
