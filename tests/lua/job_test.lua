-- Parts of the job engine without a server: plans, lengths of time, hashes, signatures, words between runs.
local crypto = require("crypto")
local job_def = require("job_def")
local json = require("core.json")
local notify = require("notify")
local queue = require("job_queue")
local schedule_text = require("schedule_text")
local signal = require("core.signal")
local task = require("task")
local time = require("time")
local webhook = require("webhook")

local n = 0
local function check(cond, what)
  n = n + 1
  if not cond then error("failed: " .. what, 2) end
end

local function same(found, expected, what)
  check(found == expected, ("%s: found %s, expected %s"):format(what, tostring(found), tostring(expected)))
end

-- the next moment of a plan
local function after(text, from, zone)
  local moment = schedule_text.next(assert(schedule_text.parse(text)), time.parse(from), zone)
  return moment and time.format(moment)
end
same(after("day 03:00", "2026-01-31T02:59:59Z"), "2026-01-31T03:00:00Z", "the same day")
same(after("day 03:00", "2026-01-31T03:00:00Z"), "2026-02-01T03:00:00Z", "behind it, never the same instant")
same(after("day 03:00", "2026-01-31T00:30:00Z", "Europe/Moscow"), "2026-02-01T00:00:00Z", "local time")
same(after("monday 04:30", "2026-11-20T12:00:00Z"), "2026-11-23T04:30:00Z", "weekday")
same(after("sunday 05:00", "2026-11-20T12:00:00Z"), "2026-11-22T05:00:00Z", "sunday")
same(after("month 31 01:00", "2026-11-20T12:00:00Z"), "2026-12-31T01:00:00Z", "a month without a 31st")
same(after("hour :15", "2026-11-20T12:15:00Z"), "2026-11-20T13:15:00Z", "hour")
same(after("every 10m", "2026-11-20T12:01:00Z"), "2026-11-20T12:10:00Z", "every")
same(after("0 3 * * 0", "2026-11-20T12:00:00Z"), "2026-11-22T03:00:00Z", "cron, sunday is 0")
same(after("0 3 * * 7", "2026-11-20T12:00:00Z"), "2026-11-22T03:00:00Z", "and 7")
same(after("*/20 8-9 * jan,feb mon-fri", "2026-11-20T12:00:00Z"), "2027-01-01T08:00:00Z", "names, ranges, steps")
same(after("0 0 13 * fri", "2026-11-20T12:00:00Z"), "2026-11-27T00:00:00Z", "day or weekday, as cron has it")
same(after("0 0 29 2 *", "2026-11-20T12:00:00Z"), "2028-02-29T00:00:00Z", "leap day")
same(after("0 0 30 2 *", "2026-11-20T12:00:00Z"), nil, "never")
-- the clock put forward and back: once each
same(after("day 02:30", "2026-03-28T12:00:00Z", "Europe/Berlin"), "2026-03-29T01:30:00Z", "02:30 is never shown")
same(after("day 02:30", "2026-10-24T12:00:00Z", "Europe/Berlin"), "2026-10-25T00:30:00Z", "shown twice: the first")
same(after("day 02:30", "2026-10-25T00:30:00Z", "Europe/Berlin"), "2026-10-26T01:30:00Z", "not the second")
for _, wrong in ipairs({ "", "day", "day 24:00", "day 3", "someday 03:00", "every 0s", "every 2d", "60 * * * *",
                         "* * *",
                         "5-3 * * * *", "*/0 * * * *", "a * * * *", "1,,2 * * * *", "hour :60",
                         "month 32 01:00",
                         ("* "):rep(200) }) do
  local spec, why = schedule_text.parse(wrong)
  check(spec == nil and type(why) == "string", "refused: " .. wrong)
end

-- lengths of time
same(job_def.seconds("90s"), 90, "seconds")
same(job_def.seconds("1.5h"), 5400, "hours")
same(job_def.seconds("7d"), 604800, "days")
same(job_def.seconds("250ms"), 0.25, "milliseconds")
same(job_def.seconds(3), 3, "a number")
for _, wrong in ipairs({ "soon", "3", "3 weeks", -1, true }) do same(job_def.seconds(wrong), nil, tostring(wrong)) end

-- declarations are checked with file and key
local function refused(pattern, path, d)
  local ok, err = pcall(job_def.check, path, d)
  check(not ok and err.message:find(pattern), pattern .. ", found " .. tostring(not ok and err.message))
end
local function run() end
refused("^workflows/jobs/a.lua: run is missing", "workflows/jobs/a.lua", {})
refused("unknown key sumary; did you mean summary", "workflows/jobs/a.lua",
  { run = run, sumary = "x" })
refused("attempts is 0, expected", "workflows/jobs/a.lua", { run = run, attempts = 0 })
refused("every is sometimes", "workflows/jobs/a.lua", { run = run, every = "sometimes" })
refused("deadline is never", "workflows/jobs/a.lua", { run = run, deadline = "never" })
refused("a job is a file jobs/NAME.lua", "workflows/jobs/a/b.lua", { run = run })
local def = job_def.check("workflows/jobs/good.lua",
  { run = run, deadline = "2m", concurrency = 1, refractory = false })
check(def.name == "good" and def.deadline == 120 and def.concurrency == 1 and def.refractory == 0, "a good one")

-- one hash for the same parameters
same(queue.hash({ a = 1, b = { 2, 3 } }), queue.hash({ b = { 2, 3 }, a = 1 }), "whatever the order")
check(queue.hash({ a = 1 }) ~= queue.hash({ a = 2 }), "another value")
check(queue.hash({ a = "1" }) ~= queue.hash({ a = 1 }), "another type")
check(queue.hash({ a = json.array({}) }) ~= queue.hash({ a = {} }), "array and object")

-- the signature, against one computed by hand
local key = crypto.base64(("k"):rep(32))
same(webhook.sign("whsec_" .. key, "msg_1", 1700000000, '{"a":1}'),
  "v1," .. crypto.base64(crypto.hmac("sha256", ("k"):rep(32), 'msg_1.1700000000.{"a":1}')), "signed content")

-- signals: nothing is missed between looking and waiting
local s = signal.new()
same(signal.wait(s, signal.count(s), 0.01), false, "the time is over")
local seen = signal.count(s)
signal.fire(s)
same(signal.wait(s, seen, 10), true, "fired before it waited")
local woken = 0
local waiters = {}
for i = 1, 5 do
  waiters[i] = task.start(function()
    if signal.wait(s, signal.count(s), 10) then woken = woken + 1 end
  end)
end
task.sleep(0.01)
task.cancel(waiters[5])
signal.fire(s)
for i = 1, 4 do task.wait(waiters[i]) end
same(woken, 4, "all who wait, but the cancelled one")
check(not pcall(signal.wait, s, 0, -1) and not pcall(signal.wait, {}, 0, 1), "misuse")
local heard
notify.on("hello", function(rest) heard = rest end)
notify.heard("hello you there")
same(heard, "you there", "a handler")
local mine = notify.signal("job 7")
seen = notify.count(mine)
notify.heard("e 6 8")
same(notify.count(mine), seen, "not meant")
notify.heard("e 6 7")
notify.heard("e *")
same(notify.count(mine), seen + 2, "meant, and everybody")
print(n .. " checks")
