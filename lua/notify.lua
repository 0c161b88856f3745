-- notify.lua - words between runs and processes: "there may be work", "this job has changed".
--
-- A topic is a text: "jobs" (work may be waiting), "e ID ID …" or "e *" (jobs that changed),
-- "cancel ID". What is said may get lost (a process without a supervisor is alone), so whoever waits
-- looks again after a while by itself: words make things quick, the database makes them sure.

local control = require("core.control")
local core = require("core.signal")
local log = require("log")

local notify = {}

local BATCH_MAX = 100 -- ids in one line; more are "e *"
local KEEP_AGAIN = 5  -- seconds after a failure

local signals = setmetatable({}, { __mode = "v" }) -- topic -> signal, while somebody holds it
local handlers = {}                                -- first word -> function(rest)
local changed, n_changed = {}, 0
local outbox = core.new()

--- The signal of a topic, for notify.count and notify.wait. Keep it while you need it.
--- @param topic string
--- @return signal
--- Source: ours
function notify.signal(topic)
  local s = signals[topic]
  if not s then
    s = core.new()
    signals[topic] = s
  end
  return s
end

--- How often a signal was fired: take it before you look at what may change.
--- @param s signal
--- @return integer
--- Source: ours
notify.count = core.count

--- Waits until a signal was fired more often than `seen`.
--- Waits.
--- @param s signal
--- @param seen integer  of notify.count
--- @param seconds number  how long at most
--- @return boolean  false when the time was over
--- Source: ours
notify.wait = core.wait

--- Fires a signal of this process.
--- @param s signal
--- Source: ours
notify.fire = core.fire

local function fire_topic(topic)
  local s = signals[topic]
  if s then core.fire(s) end
end

local function fire_jobs(rest)
  if rest == "*" then
    for topic, s in pairs(signals) do
      if topic:sub(1, 4) == "job " then core.fire(s) end
    end
    return
  end
  for id in rest:gmatch("%S+") do fire_topic("job " .. id) end
end

--- Takes in a word of another process, or of this one.
--- @param topic string
--- Source: ours
function notify.heard(topic)
  local word, rest = topic:match("^(%S+) ?(.*)$")
  if word == "e" then
    fire_jobs(rest)
  elseif handlers[word] then
    handlers[word](rest)
  else
    fire_topic(topic)
  end
end

--- Calls fn(rest) for topics that begin with a word.
--- @param word string
--- @param fn function
--- Source: ours
function notify.on(word, fn)
  handlers[word] = fn
end

--- Says a word to this process and all others under its supervisor.
--- @param topic string  one line
--- Source: ours
function notify.send(topic)
  notify.heard(topic)
  control.send("notify " .. topic)
end

--- Calls look() for ever: when the signal of the topic is fired, and after as many seconds as look returned. A
--- failure is a line in the log and five seconds. For a task of the main run.
--- Waits.
--- @param topic string
--- @param trouble string  what the log says of a failure
--- @param look function  -> seconds until it is to be called again
--- Source: ours
function notify.keep(topic, trouble, look)
  local signal = notify.signal(topic)
  while true do
    local seen = core.count(signal)
    local ok, pause = pcall(look)
    if not ok then
      log.warn(trouble, { why = type(pause) == "table" and pause.message or tostring(pause) })
      pause = KEEP_AGAIN
    end
    core.wait(signal, seen, pause)
  end
end

--- Says soon that a job has changed; many are said together. In a process without notify.pump it is
--- said at once.
--- @param id string
--- Source: ours
function notify.job(id)
  if not notify.has_pump then return notify.send("e " .. id) end
  if changed[id] then return end
  changed[id], n_changed = true, n_changed + 1
  if n_changed == 1 then core.fire(outbox) end
end

--- Sends what notify.job has gathered, for ever. A task of the main run.
--- Waits.
--- @param pause number  seconds between two lines
--- Source: ours
function notify.pump(pause)
  notify.has_pump = true
  local task = require("task")
  local seen = core.count(outbox)
  while true do
    core.wait(outbox, seen, 3600)
    task.sleep(pause)
    seen = core.count(outbox)
    if n_changed > 0 then
      local line = "e *"
      if n_changed <= BATCH_MAX then
        local ids = {}
        for id in pairs(changed) do ids[#ids + 1] = id end
        line = "e " .. table.concat(ids, " ")
      end
      changed, n_changed = {}, 0
      notify.send(line)
    end
  end
end

return notify
