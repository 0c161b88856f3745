-- schedule.lua - jobs that start by themselves: `every` of workflows/jobs/NAME.lua. Rows of `schedules` follow
-- the current workflows; each worker looks, and whoever writes the firing of an instant starts its job, in
-- the same transaction, so an instant fires once whatever crashes. Missed instants fall together into one.

local db = require("db")
local fail = require("fail")
local generation = require("generation")
local job = require("job")
local json = require("core.json")
local log = require("log")
local notify = require("notify")
local queue = require("job_queue")
local schedule_text = require("schedule_text")
local settings = require("settings")
local time = require("time")

local schedule = {}

local LOOK_SECONDS = 30
local MISSED_MAX = 10000
local NULL = db.null

local synced -- id of the generation whose schedules are in the database

local function next_of(spec, after, zone)
  local moment = schedule_text.next(assert(schedule_text.parse(spec)), after, zone)
  return moment and queue.stamp(moment) or NULL
end

-- Makes the rows those of the current workflows.
local function sync()
  local g = generation.current()
  if synced == g.id then return end
  local d, zone, list, names, rows = db.main(), settings.time_zone, {}, {}, {}
  for _, row in ipairs(d:query("SELECT name, spec, time_zone, parameters FROM schedules")) do rows[row.name] = row end
  for name, def in pairs(g.jobs) do
    if def.every then
      names[name] = true
      local old, params = rows[name], json.encode(def.every_params)
      if not old then
        list[#list + 1] = { "INSERT OR IGNORE INTO schedules(name, job_type, spec, time_zone, parameters, next_at) "
          .. "VALUES (?, ?, ?, ?, ?, ?)", { name, name, def.every, zone, params, next_of(def.every, time.now(),
            zone) } }
      elseif old.spec ~= def.every or old.time_zone ~= zone or old.parameters ~= params then
        list[#list + 1] = { "UPDATE schedules SET spec = ?, time_zone = ?, parameters = ?, next_at = ?, updated_at = ? "
          .. "WHERE name = ?", { def.every, zone, params, next_of(def.every, time.now(), zone), queue.stamp(), name } }
      end
    end
  end
  for name in pairs(rows) do
    if not names[name] then list[#list + 1] = { "DELETE FROM schedules WHERE name = ?", { name } } end
  end
  if list[1] then d:write(list) end
  synced = g.id
end

-- Starts the job of a schedule that is due; false when another process was quicker.
local function fire(row, now)
  local spec, zone = assert(schedule_text.parse(row.spec)), row.time_zone
  local instant, missed = time.parse(row.next_at), 0
  local following = schedule_text.next(spec, instant, zone)
  while following and following <= now and missed < MISSED_MAX do
    instant, missed = following, missed + 1
    following = schedule_text.next(spec, instant, zone)
  end
  if following and following <= now then following = schedule_text.next(spec, now, zone) end
  local at = queue.stamp(instant)
  local id, list = job.prepare(row.job_type, json.decode(row.parameters), { schedule = row.name })
  table.insert(list, 1, { "UPDATE schedules SET next_at = ?, last_at = ?, last_job_id = ?, n_missed = n_missed + ?, "
    .. "updated_at = ? WHERE name = ? AND next_at = ? AND is_paused = 0",
    { following and queue.stamp(following) or NULL, at, id, missed, queue.stamp(), row.name, row.next_at },
      expect = 1 })
  table.insert(list, 2, { "INSERT INTO schedule_firings(name, instant, job_id, n_missed) VALUES (?, ?, ?, ?)",
    { row.name, at, id, missed } })
  local d = db.main()
  local ok, err = pcall(d.write, d, list)
  if ok then
    if missed > 0 then log.warn("firings of a schedule were missed", { schedule = row.name, missed = missed,
      instant = at }) end
    log.info("schedule fired", { schedule = row.name, instant = at, job = id })
    notify.send("jobs")
    return true
  end
  if type(err) == "table" and (err.code == "notfound" or err.code == "exists") then return false end
  error(err, 0)
end

local function look()
  sync()
  local d, now = db.main(), time.now()
  for _, row in ipairs(d:query("SELECT name, job_type, spec, time_zone, parameters, next_at FROM schedules "
      .. "WHERE is_paused = 0 AND next_at <= ?", { queue.stamp(now) })) do
    local ok, err = pcall(fire, row, now)
    if not ok then
      log.error("schedule not fired", { schedule = row.name, why = type(err) == "table" and err.message
        or tostring(err) })
    end
  end
  local next_at = d:value("SELECT min(next_at) FROM schedules WHERE is_paused = 0")
  return next_at and math.max(0.01, math.min(LOOK_SECONDS, time.parse(next_at) - time.now() + 0.001)) or LOOK_SECONDS
end

--- Fires schedules, for ever. A task of the main run of a work process.
--- Waits.
--- Source: ours
function schedule.keep()
  notify.keep("schedules", "schedules not looked at", look)
end

local COLUMNS = "name, job_type, spec, time_zone, parameters, is_paused, next_at, last_at, last_job_id, n_missed"

local function show(row)
  row.parameters, row.is_paused, row.paused = json.decode(row.parameters), nil, row.is_paused == 1
  return row
end

local function must(name)
  return db.main():row("SELECT " .. COLUMNS .. " FROM schedules WHERE name = ?", { name })
    or fail.raise("not_found", "there is no schedule called " .. tostring(name))
end

--- All schedules.
--- Waits.
--- @return table  array of { name, job_type, spec, time_zone, parameters, paused, next_at, last_at, last_job_id,
---   n_missed }
--- Source: ours
function schedule.list()
  local list = json.array({})
  for i, row in ipairs(db.main():query("SELECT " .. COLUMNS
    .. " FROM schedules ORDER BY name")) do list[i] = show(row) end
  return list
end

--- Stops a schedule from firing, or lets it fire again from now on.
--- Waits.
--- @param name string
--- @param is_paused boolean
--- @return table  the schedule
--- Raises: not_found
--- Source: ours
function schedule.pause(name, is_paused)
  local row = must(name)
  if is_paused ~= (row.is_paused == 1) then
    db.main():exec("UPDATE schedules SET is_paused = ?, next_at = ?, updated_at = ? WHERE name = ?",
      { is_paused and 1 or 0, next_of(row.spec, time.now(), row.time_zone), queue.stamp(), name })
    notify.send("schedules")
  end
  return show(must(name))
end

--- Starts the job of a schedule now, beside its plan.
--- Waits.
--- @param name string
--- @param by string?  key id
--- @return string  id of the job
--- Raises: not_found
--- Source: ours
function schedule.run_now(name, by)
  local row = must(name)
  return (job.submit(row.job_type, json.decode(row.parameters), { by = by, refractory = false, schedule = name }))
end

return schedule
