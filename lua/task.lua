-- task.lua - sleeping, and doing several things at once. Children never outlive their parent: when a
-- run ends, well or not, the tasks it started are cancelled.

local core = require("core.task")
local task = {}

local unpack, pack = table.unpack, table.pack

local function check_seconds(name, seconds)
  if type(seconds) ~= "number" or not (seconds >= 0 and seconds <= 86400 * 366) then
    error(name .. " is " .. tostring(seconds) .. ", expected 0 or more seconds", 3)
  end
end

--- Waits.
--- @param seconds number 0 to 86400
--- @return nil
--- Raises: cancelled
--- Source: ours
function task.sleep(seconds)
  return core.sleep(seconds)
end

--- Starts fn(...) beside the caller. It begins when the caller next waits.
--- @param fn function
--- @param ... any  its arguments
--- @return task  a handle for task.wait, task.cancel, task.done
--- Raises: nomem, limit
function task.start(fn, ...)
  return core.spawn(fn, 0, ...)
end

--- Waits for one task and returns what its function returned; its error is raised here.
--- @param t task started by this run; can be waited for once
--- @return any ...
--- Raises: what the task raised; cancelled when it was cancelled
function task.wait(t)
  core.wait_any({ t })
  local out = pack(core.take(t))
  if not out[1] then error(out[2], 0) end
  return unpack(out, 2, out.n)
end

--- True when the task has ended, well or not.
--- @param t task
--- @return boolean
function task.done(t)
  return core.done(t)
end

--- Ends a task; its variables marked <close> are closed before this returns.
--- @param t task
--- @return boolean  false when it had ended before
function task.cancel(t)
  return core.cancel(t)
end

--- Runs all functions at once and waits for all. The first error cancels the others and is raised.
--- @param fns table array of functions
--- @param opt table? { parallel = how many at once, default all }
--- @return table  array of the first result of each, in the order of fns
--- Raises: what the first failing function raised
function task.all(fns, opt)
  local n = #fns
  local limit = opt and opt.parallel or n
  if math.type(limit) ~= "integer" or (limit < 1 and n > 0) then
    error("parallel is " .. tostring(limit) .. ", expected a whole number of 1 or more", 2)
  end
  local results, running, numbers, started = {}, {}, {}, 0
  while started < n or #running > 0 do
    while started < n and #running < limit do
      started = started + 1
      running[#running + 1] = core.spawn(fns[started], 0)
      numbers[#running] = started
    end
    local i = core.wait_any(running)
    local ok, value = core.take(running[i])
    if not ok then
      table.remove(running, i)
      for _, t in ipairs(running) do core.cancel(t, "another task failed") end
      error(value, 0)
    end
    results[numbers[i]] = value
    running[i], numbers[i] = running[#running], numbers[#running]
    running[#running], numbers[#numbers] = nil, nil
  end
  return results
end

--- Runs all functions at once; the first to end decides, the others are cancelled.
--- @param fns table array of at least one function
--- @return any ...  what the first function to end returned
--- Raises: what that one raised
function task.race(fns)
  local running = {}
  for i, fn in ipairs(fns) do running[i] = core.spawn(fn, 0) end
  local first = core.wait_any(running)
  for i, t in ipairs(running) do
    if i ~= first then core.cancel(t, "another task was first") end
  end
  return task.wait(running[first])
end

--- Calls fn(...) with a time limit on the wall clock.
--- @param seconds number
--- @param fn function
--- @param ... any  its arguments
--- @return any ...  what fn returned
--- Raises: timeout; what fn raised
function task.timeout(seconds, fn, ...)
  check_seconds("seconds", seconds)
  return task.wait(core.spawn(fn, math.max(1, math.ceil(seconds * 1000)), ...))
end

return task
