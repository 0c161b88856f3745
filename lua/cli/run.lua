-- cli/run.lua - plastinka run NAME: one job in the foreground. On a terminal with a progress bar, elsewhere
-- in plain lines. Its children run here too; it can be interrupted and goes on where a worker finds it.

local control = require("core.control")
local db = require("db")
local generation = require("generation")
local job = require("job")
local json = require("core.json")
local notify = require("notify")
local process = require("process")
local task = require("task")
local work = require("work")

local run = {}

local USAGE = [[
usage: plastinka run NAME [--param KEY=VALUE ...] [--data DIR] [--workflows DIR]
       plastinka run --list

Runs one job here and shows how it goes. VALUE is JSON where it can be read as such, else text.
The exit code is 0 when the job completes. Interrupted, the job stays in the queue.]]
local WIDTH = 30
local POLL_SECONDS = 0.2

local function params_of(args)
  local params, i = {}, 2
  while args[i] do
    local pair = args[i] == "--param" and args[i + 1]
    local key, text = (pair or ""):match("^([%w_]+)=(.*)$")
    if not key then error("plastinka run: " .. args[i] .. " is not understood\n\n" .. USAGE, 0) end
    local value = json.decode(text)
    if value == nil then value = text end
    params[key] = value
    i = i + 2
  end
  return params
end

local function show_events(id, after, is_terminal)
  for _, e in ipairs(job.events(id, after)) do
    after = e.event_id
    local line
    if e.type == "log" then line = ("%-5s %s"):format(e.level, e.message)
    elseif e.type == "step" then line = "step  " .. e.step .. ": " .. json.decode(e.data).status
    elseif e.type == "progress" and not is_terminal then
      line = ("%3.0f %% %s"):format(json.decode(e.data).progress, e.message or "")
    elseif e.type == "state" and e.message then line = "state " .. json.decode(e.data).status .. ": " .. e.message
    end
    if line then process.put((is_terminal and "\r\27[K" or "") .. line .. "\n") end
  end
  return after
end

local function show_bar(j)
  local n = math.floor(j.progress / 100 * WIDTH)
  process.put(("\r\27[K[%s%s] %3.0f %% %s"):format(("#"):rep(n), ("."):rep(WIDTH - n), j.progress,
    j.progress_text or j.status))
end

-- Claims the job and those it has spawned, when they are ready.
local function claim_family(id)
  local d = db.main()
  d:exec("UPDATE jobs SET queue = 'ready', run_at = NULL, waiting_for = NULL WHERE queue = 'asleep' AND run_at <= "
    .. "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')")
  for _, row in ipairs(d:query([[WITH RECURSIVE family(id) AS (SELECT ? UNION SELECT j.job_id FROM jobs j
      JOIN family ON j.parent_job_id = family.id) SELECT job_id FROM jobs JOIN family ON job_id = id
      WHERE queue = 'ready' ORDER BY job_seq]], { id })) do
    work.claim(1, row.job_id)
  end
end

local function follow(id)
  local after, is_terminal, signal = 0, process.is_terminal(), notify.signal("job " .. id)
  while true do
    local seen = notify.count(signal)
    claim_family(id)
    after = show_events(id, after, is_terminal)
    local j = job.get(id, { brief = true })
    if j.finished_at then
      show_events(id, after, is_terminal)
      if is_terminal then process.put("\r\27[K") end
      return j
    end
    if is_terminal then show_bar(j) end
    notify.wait(signal, seen, POLL_SECONDS)
  end
end

local function list()
  local names = {}
  for name, def in pairs(generation.current().jobs) do
    if not def.hidden then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    print(("%-24s %s"):format(name, generation.current().jobs[name].summary or ""))
  end
  return 0
end

--- plastinka run.
--- @param args table  the words behind the command
--- @return integer  exit code
--- Source: ours
function run.main(args)
  if args[1] == "--help" or args[1] == nil then
    print(USAGE)
    return args[1] and 0 or 2
  end
  db.main():migrate()
  generation.swap(generation.first())
  if args[1] == "--list" then return list() end
  local params = params_of(args)
  work.open("run")
  local id = job.submit(args[1], params, { refractory = false })
  local following = task.start(follow, id)
  task.start(function()
    while control.receive() ~= "stop" do end
    work.close(0)
    task.cancel(following)
  end)
  local ok, j = pcall(task.wait, following)
  work.close(0)
  if not ok then
    print("interrupted; the job " .. id .. " goes on when a worker finds it")
    return 130
  end
  if j.status == "completed" then
    print("completed " .. id .. (j.result ~= nil and " " .. json.encode(j.result) or ""))
    return 0
  end
  print(j.status .. " " .. id .. ": " .. tostring(j.error_code) .. ": " .. tostring(j.error))
  return 1
end

return run
