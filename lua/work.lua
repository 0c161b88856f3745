-- work.lua - the main of a job process: claims jobs, runs each as a run of its own, keeps their
-- leases, takes over from workers that died, until it is told to stop.
--
-- One loop claims; it wakes when somebody says "jobs", when a place is free, and after
-- job_poll_seconds by itself. What one job does, by its end or not, is in work_one.lua.

local clock = require("clock")
local control = require("core.control")
local core = require("core.task")
local crypto = require("crypto")
local db = require("db")
local generation = require("generation")
local job = require("job")
local job_files = require("job_files")
local job_log = require("job_log")
local json = require("core.json")
require("job_wait")
require("kinds")
local log = require("log")
local notify = require("notify")
local process = require("process")
local queue = require("job_queue")
local schedule = require("schedule")
local settings = require("settings")
local task = require("task")
local time = require("time")
local webhook = require("webhook")
local work_one = require("work_one")

local work = {}

local STOP_SECONDS = 5  -- jobs in flight may end by themselves for so long
local CLAIM_MAX = 128    -- jobs in one commit, and light ones at once
local PUMP_SECONDS = 0.02
local BUILT_MAX = 8     -- generations kept built, for pinned jobs

local running = {}      -- job_id -> context of work_one
local n_running, n_light = 0, 0 -- jobs that take a place, and those that take none
local n_claims = 0
local wake = notify.signal("jobs")
local worker = { id = crypto.uuid(), stopping = false }
local built, built_order = {}, {}

-- The generation a job is pinned to; nil and why when there is none or it does not load.
local function pinned(id)
  local current = generation.current()
  if id == nil or current.id == id then return current end
  if built[id] then return built[id] end
  local files = generation.stored(id)
  if not files then return nil, "the workflows this job began with are not in the database any more" end
  local ok, g = pcall(generation.build, files)
  if not ok then return nil, "the workflows this job began with do not load: " .. (g.message or tostring(g)) end
  built[id] = g
  built_order[#built_order + 1] = id
  if #built_order > BUILT_MAX then built[table.remove(built_order, 1)] = nil end
  return g
end

local function start(row, is_light)
  local one = { row = row }
  running[row.job_id] = one
  if is_light then n_light = n_light + 1 else n_running = n_running + 1 end
  task.start(function()
    local ok, err = pcall(work_one.run, one, pinned)
    if not ok then
      log.error("job left to others", { job = row.job_id, why = type(err) == "table" and err.message or tostring(err) })
    end
    if running[row.job_id] == one then running[row.job_id] = nil end
    if is_light then n_light = n_light - 1 else n_running = n_running - 1 end
    if not is_light or n_light % 16 == 0 then notify.fire(wake) end -- a few light ones end while one commit is written
  end)
end

--- Claims and starts jobs.
--- Waits.
--- @param n integer  at most so many
--- @param id string?  only this job
--- @param keys string?  only of these concurrency keys, a JSON array: light jobs
--- @return integer  how many were started
--- Raises: busy, full, io
--- Source: ours
function work.claim(n, id, keys)
  n_claims = n_claims + 1
  local rows = queue.claim(worker.id .. "/" .. n_claims, n, settings.job_lease_seconds, id, keys)
  for _, row in ipairs(rows) do start(row, keys ~= nil) end
  return #rows
end

local light = {} -- generation, its light jobs, and their names as JSON

local READY = "SELECT count(*) FROM (SELECT 1 FROM jobs WHERE queue = 'ready' AND concurrency_key = ? LIMIT "
  .. CLAIM_MAX .. ")"

-- Claims light jobs that are ready. true when there may be more.
local function claim_light()
  local g, room, n = generation.current(), CLAIM_MAX - n_light, 0
  if light.generation ~= g.id then
    light.generation, light.names = g.id, {}
    for name, def in pairs(g.jobs) do
      if def.light then light.names[#light.names + 1] = name end
    end
    light.keys = json.encode(json.array(light.names))
  end
  for _, name in ipairs(light.names) do n = n + db.main():value(READY, { name }) end
  if n > 0 and room > 0 then work.claim(math.min(n, room), nil, light.keys) end
  return n > room and room > 0
end

local function wake_sleepers()
  local d, now = db.main(), queue.stamp()
  if d:value("SELECT 1 FROM jobs WHERE queue = 'asleep' AND run_at <= ? LIMIT 1", { now }) then
    d:exec("UPDATE jobs SET queue = 'ready', run_at = NULL, waiting_for = NULL "
      .. "WHERE queue = 'asleep' AND run_at <= ?", { now })
  end
end

-- Jobs that sleep or wait in the queue beyond their deadline.
local function end_overdue()
  for _, j in ipairs(queue.overdue()) do
    if queue.end_idle(j.job_id, { status = "failed", code = "timeout",
        message = "its deadline passed at " .. j.deadline_at }) then
      job.cancel_children(j.job_id)
      job_files.remove_scratch(j.job_id)
      log.warn("job over its deadline", { job = j.job_id })
      notify.job(j.job_id)
      notify.fire(notify.signal("webhooks"))
    end
  end
end

-- Seconds until the next sleeper or deadline, at most `most`.
local function until_next(most)
  local next_at = db.main():value("SELECT min(a) FROM (SELECT min(run_at) AS a FROM jobs WHERE queue = 'asleep' "
    .. "UNION ALL SELECT min(deadline_at) FROM jobs WHERE finished_at IS NULL AND deadline_at IS NOT NULL "
    .. "AND queue <> 'running')")
  if not next_at then return most end
  return math.max(0, math.min(most, time.parse(next_at) - time.now() + 0.001))
end

-- The claiming loop.
local function claim_loop()
  local places, poll = settings.job_concurrency, settings.job_poll_seconds
  local seen = notify.count(wake)
  while not worker.stopping do
    local ok, pause = pcall(function()
      end_overdue()
      wake_sleepers()
      local free = places - n_running
      local n = math.min(free, CLAIM_MAX)
      if not queue.has_ready() then return until_next(poll) end
      local more = claim_light()
      if n > 0 and work.claim(n) == n or more then return 0 end
      return until_next(poll)
    end)
    if not ok then
      log.warn("jobs cannot be claimed", { why = type(pause) == "table" and pause.message or tostring(pause) })
      pause = poll
    end
    notify.wait(wake, seen, pause)
    seen = notify.count(wake)
  end
  while true do task.sleep(3600) end -- the jobs are its children and would end with it
end

-- Ends jobs of this process that somebody wants cancelled.
local function look_for_cancelled()
  local ids = {}
  for id in pairs(running) do ids[#ids + 1] = id end
  for _, id in ipairs(ids) do
    if db.main():value("SELECT is_cancel_asked FROM jobs WHERE job_id = ?", { id }) == 1 and running[id] then
      work_one.stop(running[id], "cancelled", "cancelled on request")
    end
  end
end

local function renew()
  local list, ones, until_ = {}, {}, queue.stamp(time.now() + settings.job_lease_seconds)
  for id, one in pairs(running) do
    ones[#ones + 1] = one
    list[#list + 1] = { "UPDATE jobs SET lease_until = ? WHERE job_id = ? AND lease_owner = ? AND queue = 'running'",
                        { until_, id, one.row.lease_owner } }
  end
  list[#list + 1] = { "UPDATE workers SET seen_at = ?, generation = ? WHERE worker_id = ?",
                      { queue.stamp(), generation.current().id, worker.id } }
  local done = db.main():write(list)
  for i, one in ipairs(ones) do
    if done[i].changes == 0 and not one.is_ended then work_one.stop(one, "lost", "the lease was lost") end
  end
end

-- Jobs whose worker is gone: at once when it was on this machine, else when the lease has lapsed.
local function take_over()
  local d, here = db.main(), process.machine_id()
  local workers = {}
  for _, w in ipairs(d:query("SELECT worker_id, host, pid FROM workers")) do
    if w.host == here then workers[w.worker_id] = process.is_alive(w.pid) and "alive" or "dead" end
  end
  local now, taken = queue.stamp(), 0
  for _, j in ipairs(d:query("SELECT job_id, lease_owner, lease_until, n_deaths FROM jobs WHERE queue = 'running' "
      .. "AND lease_until IS NOT NULL")) do
    local state = workers[j.lease_owner:match("^([^/]*)/")]
    if state == "dead" or (state == nil and j.lease_until < now) then
      if queue.take_over(j) then
        taken = taken + 1
        log.warn("job taken over", { job = j.job_id, deaths = j.n_deaths + 1 })
        notify.job(j.job_id)
      end
    end
  end
  for id, state in pairs(workers) do
    if state == "dead" then d:exec("DELETE FROM workers WHERE worker_id = ?", { id }) end
  end
  if taken > 0 then notify.fire(wake) end
end

local function guarded(what, fn)
  local ok, err = pcall(fn)
  if not ok then log.warn(what, { why = type(err) == "table" and err.message or tostring(err) }) end
end

-- Every second what must be quick, every third of a lease what must be sure.
local function watch_loop()
  local due = 0
  while true do
    guarded("clock not looked at", clock.look)
    if next(running) then guarded("cancelled jobs not looked for", look_for_cancelled) end
    if process.monotonic() >= due then
      due = process.monotonic() + settings.job_lease_seconds / 3
      guarded("leases not renewed", renew)
      guarded("dead workers not looked for", take_over)
    end
    task.sleep(1)
  end
end

--- Prepares this process for running jobs: its row, what runs beside the jobs.
--- Waits.
--- @param role string  "work" | "run"
--- Source: ours
function work.open(role)
  db.main():exec("INSERT INTO workers(worker_id, host, pid, role, generation) VALUES (?, ?, ?, ?, ?)",
    { worker.id, process.machine_id(), process.pid(), role, generation.current().id })
  notify.on("cancel", function(id)
    if running[id] then work_one.stop(running[id], "cancelled", "cancelled on request") end
  end)
  notify.has_pump = true
  task.start(notify.pump, PUMP_SECONDS)
  task.start(job_log.keep)
  task.start(watch_loop)
  if role == "work" then
    task.start(schedule.keep)
    task.start(webhook.keep)
  end
end

--- Waits until what runs has ended, puts back what has not in time, and takes its row away.
--- Waits.
--- @param seconds number?
--- Source: ours
function work.close(seconds)
  worker.stopping = true
  local limit = process.monotonic() + (seconds or STOP_SECONDS)
  while n_running + n_light > 0 and process.monotonic() < limit do task.sleep(0.02) end
  for _, one in pairs(running) do work_one.stop(one, "stopped", "the worker stops") end
  limit = process.monotonic() + STOP_SECONDS
  while n_running + n_light > 0 and process.monotonic() < limit do task.sleep(0.02) end
  guarded("worker not signed off", function()
    db.main():exec("DELETE FROM workers WHERE worker_id = ?", { worker.id })
  end)
end

--- Whether a job runs in this process.
--- @param id string
--- @return boolean
--- Source: ours
function work.has(id)
  return running[id] ~= nil
end

--- Follows the control channel until it says stop.
--- Waits.
--- Source: ours
function work.obey()
  while true do
    local line = control.receive()
    if line == "stop" then return end
    local topic = line:match("^notify (.*)$")
    if topic then
      notify.heard(topic)
    else
      task.start(generation.on_control, line)
    end
  end
end

--- Runs jobs until told to stop; called once by `plastinka work`.
--- @param args table  what is left of the command line
--- @return integer  exit code
--- Source: ours
function work.main(args)
  if args[1] == "--help" then
    print("usage: plastinka work [--data DIR] [--workflows DIR] [--job-concurrency N] [--SETTING VALUE ...]\n\n"
      .. "One process that runs jobs. `plastinka serve` starts one by itself. SIGTERM stops it: jobs that do not\n"
      .. "end at once go on in the next one.")
    return 0
  elseif args[1] then
    print("plastinka work: unknown argument " .. args[1] .. " (see --help)")
    return 2
  end
  db.main():migrate()
  generation.swap(generation.first())
  work.open("work")
  if control.supervised() then
    control.send("up " .. generation.current().id)
  else
    print("working")
    generation.watch_alone()
  end
  log.info("work process up", { worker = worker.id, places = settings.job_concurrency,
    generation = generation.current().id })
  local claiming = task.start(claim_loop)
  work.obey()
  worker.stopping = true
  notify.fire(wake)
  work.close()
  core.cancel(claiming)
  log.info("work process stopped", { worker = worker.id })
  return 0
end

return work
