-- cli/jobs.lua - plastinka jobs: the jobs of this data folder, whether a server runs or not.

local db = require("db")
local generation = require("generation")
local job = require("job")
local json = require("core.json")
require("kinds")

local jobs = {}

local USAGE = [[
usage: plastinka jobs [list] [--type NAME] [--status STATUS] [--dead] [--limit N]
       plastinka jobs show ID
       plastinka jobs log ID
       plastinka jobs submit NAME [--param KEY=VALUE ...]
       plastinka jobs cancel ID
       plastinka jobs retry ID [--fresh]
       plastinka jobs signal ID NAME [VALUE]

STATUS is pending, running, completed, failed or cancelled; --dead lists jobs that used up their attempts.
retry keeps finished steps; --fresh begins anew on the current workflows.]]

local FLAGS = { ["--type"] = "job_type", ["--status"] = "status", ["--limit"] = "limit" }

local function list(args)
  local o, i = { limit = 30 }, 1
  while args[i] do
    if args[i] == "--dead" then
      o.dead = true
    elseif FLAGS[args[i]] and args[i + 1] then
      o[FLAGS[args[i]]] = args[i + 1]
      i = i + 1
    else
      error(USAGE, 0)
    end
    i = i + 1
  end
  o.limit = math.tointeger(tonumber(o.limit)) or error("plastinka jobs: --limit needs a number", 0)
  local page = job.list(o)
  print(("%-36s  %-18s  %-10s  %-20s  %4s  %s"):format("ID", "TYPE", "STATUS", "CREATED", "%", "ERROR"))
  for _, j in ipairs(page.jobs) do
    print(("%-36s  %-18s  %-10s  %-20s  %4.0f  %s"):format(j.job_id, j.job_type, j.dead and "dead" or j.status,
      j.created_at:sub(1, 19), j.progress, (j.error or ""):sub(1, 60)))
  end
  print(#page.jobs .. " of " .. page.total)
  return 0
end

local function show(id)
  local j = job.get(id)
  for _, key in ipairs({ "job_id", "job_type", "status", "created_at", "started_at", "finished_at", "progress",
                         "progress_text", "attempt", "max_attempts", "deaths", "generation", "error_code", "error" }) do
    if j[key] ~= nil then print(("%-14s %s"):format(key, tostring(j[key]))) end
  end
  print("parameters     " .. json.encode(j.parameters or {}))
  if j.result ~= nil then print("result         " .. json.encode(j.result)) end
  for _, s in ipairs(j.steps) do
    print(("step           %-30s %-10s %s"):format(s.name, s.status, s.seconds and s.seconds .. " s" or s.error or ""))
  end
  for _, a in ipairs(j.artifacts) do print(("artifact       %s (%d bytes)"):format(a.name, a.bytes)) end
  for _, l in ipairs(j.log) do print(("%s %-5s %s"):format(l.at, l.level, l.message)) end
  return 0
end

local function log(id)
  local after = 0
  repeat
    local rows = job.log(id, { after = after })
    for _, l in ipairs(rows) do
      print(("%s %-5s %s"):format(l.at, l.level, l.message))
      after = l.log_id
    end
  until #rows == 0
  return 0
end

local function value_of(text)
  local value = json.decode(text)
  if value == nil then return text end
  return value
end

local function submit(args)
  local params = {}
  for i = 3, #args, 2 do
    local key, text = (args[i] == "--param" and args[i + 1] or ""):match("^([%w_]+)=(.*)$")
    if not key then error(USAGE, 0) end
    params[key] = value_of(text)
  end
  generation.swap(generation.first())
  print((job.submit(args[2], params)))
  return 0
end

--- plastinka jobs.
--- @param args table  the words behind the command
--- @return integer  exit code
--- Source: ours
function jobs.main(args)
  local verb = args[1] or "list"
  if verb == "--help" then
    print(USAGE)
    return 0
  end
  db.main():migrate()
  if verb:sub(1, 2) == "--" then return list(args) end
  if verb == "list" then
    table.remove(args, 1)
    return list(args)
  end
  local id = args[2]
  if not id then error(USAGE, 0) end
  if verb == "show" then return show(id) end
  if verb == "log" then return log(id) end
  if verb == "submit" then return submit(args) end
  if verb == "cancel" then
    print(job.cancel(id) == "cancelled" and "cancelled" or "its worker was told")
  elseif verb == "retry" then
    local fresh = args[3] == "--fresh"
    if fresh then generation.swap(generation.first()) end
    job.retry(id, { fresh = fresh })
    print("in the queue again")
  elseif verb == "signal" and args[3] then
    print(job.signal(id, args[3], args[4] and value_of(args[4])) and "sent" or "was sent before")
  else
    error(USAGE, 0)
  end
  return 0
end

return jobs
