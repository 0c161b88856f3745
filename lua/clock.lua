-- clock.lua - the clock on the wall is put back: what was to happen in a minute shall not wait an hour more.
--
-- Moments in the database are of the wall clock. The steady clock of the machine tells when the wall
-- clock was set: their difference is one row of `clocks`. Whoever sees it smaller moves, in the same
-- transaction, all that waits for a length of time. What waits for a time of day (schedules less often
-- than the step) is right as it is. A clock put forward needs nothing: what is due then is due.

local db = require("db")
local log = require("log")
local notify = require("notify")
local process = require("process")
local queue = require("job_queue")
local schedule_text = require("schedule_text")
local time = require("time")

local clock = {}

local STEP_MS = 2000 -- smaller ones are not worth it
local machine, last = process.machine_id(), nil

-- The columns that hold the end of a length of time, and where they still matter.
local WAITING = {
  { "jobs", "run_at", "queue = 'asleep' AND run_at IS NOT NULL" },
  { "jobs", "deadline_at", "finished_at IS NULL AND deadline_at IS NOT NULL" },
  { "jobs", "lease_until", "queue = 'running'" },
  { "job_submission_locks", "lock_until", "lock_until IS NOT NULL" },
  { "webhook_deliveries", "next_at", "status = 'pending'" },
}

-- What sleepers remember of the moment they wait for: the result of a step that runs.
local REMEMBERED = "UPDATE job_steps SET result = json(json_extract(result, '$') - ?) WHERE status = 'running' "
  .. "AND item = -1 AND json_type(result) IN ('integer', 'real') "
  .. "AND job_id IN (SELECT job_id FROM jobs WHERE queue = 'asleep')"

-- Schedules that fire more often than the step is long begin anew; instants that are to come again may fire again.
local function add_schedules(list, back, now)
  for _, row in ipairs(db.main():query("SELECT name, spec, time_zone, next_at FROM schedules "
      .. "WHERE is_paused = 0 AND next_at IS NOT NULL")) do
    local spec = schedule_text.parse(row.spec)
    local first = spec and schedule_text.next(spec, now, row.time_zone)
    local second = first and schedule_text.next(spec, first, row.time_zone)
    if second and second - first <= back and queue.stamp(first) < row.next_at then
      list[#list + 1] = { "DELETE FROM schedule_firings WHERE name = ? AND instant > ?",
                          { row.name, queue.stamp(now) } }
      list[#list + 1] = { "UPDATE schedules SET next_at = ? WHERE name = ? AND next_at = ?",
                          { queue.stamp(first), row.name, row.next_at } }
    end
  end
end

local function move(list, back)
  local by = ("-%.3f seconds"):format(back)
  for _, w in ipairs(WAITING) do
    list[#list + 1] = { ("UPDATE %s SET %s = strftime('%%Y-%%m-%%dT%%H:%%M:%%fZ', %s, ?) WHERE %s")
      :format(w[1], w[2], w[2], w[3]), { by } }
  end
  list[#list + 1] = { REMEMBERED, { back } }
  add_schedules(list, back, time.now())
end

--- Looks whether the clock was set, and repairs what hangs on it. Costs nothing when it was not.
--- Waits.
--- Raises: busy, full, io
--- Source: ours
function clock.look()
  local ahead = math.floor((time.now() - time.monotonic()) * 1000)
  if last and math.abs(ahead - last) < STEP_MS then return end
  local d = db.main()
  local known = d:value("SELECT ahead_ms FROM clocks WHERE machine = ?", { machine })
  local back = known and known - ahead or 0
  if not known then
    d:exec("INSERT OR IGNORE INTO clocks(machine, ahead_ms) VALUES (?, ?)", { machine, ahead })
  elseif math.abs(back) >= STEP_MS then
    local list = { { "UPDATE clocks SET ahead_ms = ? WHERE machine = ? AND ahead_ms = ?", { ahead, machine, known },
      expect = 1 } }
    if back > 0 then move(list, back / 1000) end
    local ok, err = pcall(d.write, d, list)
    if not ok and not (type(err) == "table" and err.code == "notfound") then error(err, 0) end
    if ok then log.warn("the clock was set", { seconds = -back / 1000 }) end
    for _, topic in ipairs({ "jobs", "schedules", "webhooks" }) do notify.fire(notify.signal(topic)) end
  end
  last = ahead
end

return clock
