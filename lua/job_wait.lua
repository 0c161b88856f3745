-- job_wait.lua - what a job waits for without holding a place: time, signals, other jobs; and doing
-- many things at once.
--
-- A waiting job is put back into the queue, asleep, and its run ends; when it is woken its function
-- runs again from the start and finds its steps remembered. So wait between steps, not inside one.

local db = require("db")
local job_def = require("job_def")
local job_log = require("job_log")
local job_run = require("job_run")
local json = require("core.json")
local queue = require("job_queue")
local task = require("task")
local time = require("time")

local job_wait = {}

local methods = job_run.methods
local context = job_run.context
local HERE_SECONDS = 1 -- shorter sleeps keep their place

local function check_outside(cx, what)
  if next(cx.open) or cx.in_map then
    error({ code = "invalid", message = "job:" .. what
      .. " inside of a step or a map: the job could not go on from there" }, 0)
  end
end

local function seconds_of(v, what)
  local s = job_def.seconds(v)
  if not s then error(what .. " is " .. tostring(v) .. ', expected seconds or text like "30s", "24h"', 3) end
  return s
end

-- The remembered moment of a wait, which begins now when it is the first time.
local function moment_of(cx, name, seconds)
  local old = job_run.memory(cx)[name]
  local known = old and job_run.decode(old.result)
  if known and old.status ~= "failed" then return known, old.status == "completed" end
  local position = cx.position
  local until_ = seconds and time.now() + seconds or false
  cx.memory[name] = { status = "running", result = json.encode(until_) }
  return until_, false, { name = name, position = position, started = queue.stamp(), status = "running",
                          result = json.encode(until_) }
end

-- Writes down, once, that a wait is over, and how.
local function end_wait(cx, name, s)
  local old = job_run.memory(cx)[name]
  if old and old.status ~= "running" then return end
  cx.memory[name] = { status = s.status, result = s.result }
  s.name, s.position = name, old and old.position or cx.position - 1
  s.started = old and old.started_at or queue.stamp()
  job_log.push(cx, job_log.step(cx, s))
end

-- Puts the job back until it is woken. Does not return.
local function suspend(cx, back, statement)
  local list = job_log.take(cx)
  if statement then list[#list + 1] = statement end
  back.keeps_attempt = true
  local ok, err = pcall(queue.put_back, cx.row, back, list)
  if not ok then
    if type(err) == "table" and err.code == "notfound" then job_log.leave(cx, "lost") end
    error(err, 0)
  end
  job_log.leave(cx, "suspended")
end

--- Sleeps; a longer sleep survives everything and holds no place.
--- Waits.
--- @param length number|string  seconds, or "90s", "24h", "7d"
--- Source: ours
function methods:sleep(length)
  local cx = context(self)
  local seconds = seconds_of(length, "the length of a sleep")
  local name = job_run.next_name(cx, "sleep")
  cx.position = cx.position + 1
  if seconds <= HERE_SECONDS then return task.sleep(seconds) end
  check_outside(cx, "sleep")
  local until_, is_over, new = moment_of(cx, name, seconds)
  if is_over then return end
  if until_ > time.now() then
    suspend(cx, { run_at = until_, why = "asleep until " .. queue.stamp(until_) }, new and job_log.step(cx, new))
  end
  end_wait(cx, name, { status = "completed", result = json.encode(until_) })
end

--- Waits for a signal of this name: POST /api/v1/jobs/ID/signals/NAME, or job.signal. It may have come
--- before.
--- Waits.
--- @param name string
--- @param opt table? { timeout = "24h" }
--- @return any  what was sent with it
--- Raises: timeout
--- Source: ours
function methods:wait_for(name, opt)
  local cx = context(self)
  if type(name) ~= "string" or #name == 0
    or #name > 200 then error("the name of a signal is a text of 1 to 200 bytes", 2) end
  check_outside(cx, "wait_for")
  local seconds = opt and opt.timeout and seconds_of(opt.timeout, "the timeout")
  local step = job_run.next_name(cx, "wait for " .. name)
  cx.position = cx.position + 1
  local got = db.main():row("SELECT payload, at FROM job_signals WHERE job_id = ? AND name = ?", { self.id, name })
  if got then
    end_wait(cx, step, { status = "completed", result = got.payload or "null" })
    return job_run.decode(got.payload)
  end
  local until_, _, new = moment_of(cx, step, seconds)
  if until_ and until_ <= time.now() then
    local message = 'the signal "' .. name .. '" did not come in time'
    end_wait(cx, step, { status = "failed", code = "timeout", message = message })
    error({ code = "timeout", message = message }, 0)
  end
  suspend(cx, { waiting_for = name, run_at = until_ or nil, why = "waiting for " .. name,
    is_woken = "SELECT 1 FROM job_signals WHERE job_id = ? AND name = ?", woken_args = { self.id, name } },
    new and job_log.step(cx, new))
end

--- Starts another job, once however often this one runs again.
--- Waits.
--- @param type_name string
--- @param params table?
--- @return string  its id, for job:wait
--- Raises: validation_error, not_found
--- Source: ours
function methods:spawn(type_name, params)
  local cx = context(self)
  local s, known = job_run.begin(cx, job_run.next_name(cx, "spawn " .. tostring(type_name)))
  if not s then return known end
  local id, list = require("job").prepare(type_name, params or {}, {
    parent = self.id, by = self.created_by, generation = cx.generation })
  cx.open[s.name] = nil
  s.result = json.encode(id)
  list[#list + 1] = job_log.step(cx, s)
  job_log.write(cx, list)
  require("notify").send("jobs")
  return id
end

--- Waits for another job and returns its result.
--- Waits.
--- @param id string  of job:spawn
--- @return any
--- Raises: what that job failed with; cancelled
--- Source: ours
function methods:wait(id)
  local cx = context(self)
  check_outside(cx, "wait")
  local child = db.main():row("SELECT status, result, error_code, error_message FROM jobs WHERE job_id = ?", { id })
  if not child then error({ code = "job_not_found", message = "no job " .. tostring(id) }, 0) end
  if child.status == "completed" then return job_run.decode(child.result) end
  if child.status == "failed" then
    error({ code = child.error_code or "failed", message = child.error_message or "the job " .. id .. " failed" }, 0)
  elseif child.status == "cancelled" then
    error({ code = "cancelled", message = "the job " .. id .. " was cancelled" }, 0)
  end
  suspend(cx, { waiting_for = id, why = "waiting for job " .. id,
    is_woken = "SELECT 1 FROM jobs WHERE job_id = ? AND finished_at IS NOT NULL", woken_args = { id } })
end

--- Calls fn(item, index) for each item, several at once; results of finished items are remembered.
--- Waits.
--- @param items table  array
--- @param fn function
--- @param opt table? { parallel = 1, name = of the step }
--- @return table  array of results; a result nil is false
--- Raises: what the first failing call raised; invalid
--- Source: ours
function methods:map(items, fn, opt)
  local cx = context(self)
  opt = opt or {}
  local parallel = opt.parallel or 1
  if math.type(parallel) ~= "integer" or parallel < 1 or parallel > 1000 then
    error("parallel is " .. tostring(parallel) .. ", expected a whole number from 1 to 1000", 2)
  end
  local name = opt.name or job_run.next_name(cx, "map")
  local s, known = job_run.begin(cx, name)
  if not s then return known end
  local done, results, todo, first = {}, json.array({}), {}, nil
  for _, row in ipairs(db.main():query("SELECT item, result FROM job_steps WHERE job_id = ? AND name = ? "
      .. "AND item >= 0 AND status = 'completed'", { self.id, name })) do
    done[row.item] = row.result
  end
  for i = 1, #items do
    if done[i] then
      results[i] = job_run.decode(done[i])
    else
      todo[#todo + 1] = function()
        local one = { name = name, item = i, position = s.position, started = queue.stamp(), status = "completed" }
        local ok, value = pcall(fn, items[i], i)
        if ok then ok, value = pcall(job_run.encode, value, name .. ", item " .. i) end
        if not ok then
          first = first or value
          one.status = "failed"
          one.code, one.message = job_run.explain(value)
          job_log.push(cx, job_log.step(cx, one))
          error(value, 0)
        end
        one.result = value
        job_log.write(cx, { job_log.step(cx, one) })
        results[i] = job_run.decode(value)
      end
    end
  end
  cx.in_map = true
  local ok, err = pcall(task.all, todo, { parallel = math.min(parallel, math.max(#todo, 1)) })
  cx.in_map, cx.open[name] = nil, nil
  if not ok then
    s.status = "failed"
    s.code, s.message = job_run.explain(first or err)
    job_log.push(cx, job_log.step(cx, s))
    error(first or err, 0)
  end
  for i = 1, #items do if results[i] == nil then results[i] = false end end
  s.result = job_run.encode(results, name)
  job_log.write(cx, { job_log.step(cx, s), job_log.step_event(cx, name, "completed") })
  return results
end

return job_wait
