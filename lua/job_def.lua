-- job_def.lua - reads what a file of workflows/jobs returns: the declaration of one kind of job.
--
--   return {
--     summary = "…", params = { month = "date?" },
--     attempts = 3, backoff = "2s", deadline = "4h", concurrency = 1, priority = 0,
--     (deadline: of the whole job, from the moment it may begin; none declared: job_deadline_seconds for each run)
--     every = "day 03:00" (or cron text), key = function(params) … end (finer concurrency),
--     light = true (short and undemanding: takes no place, many run at once),
--     refractory = 300 | false, role = "operator", run = function(job) … end,
--   }

local json = require("core.json")
local schedule_text = require("schedule_text")
local schema = require("schema")
local settings = require("settings")

local job_def = {}

local KEYS = {
  summary = "string", description = "string", params = "table", attempts = "number", backoff = "any", deadline = "any",
  concurrency = "number", priority = "number", every = "string", every_params = "table", enabled = "any",
  key = "function", refractory = "any", role = "string", run = "function", hidden = "boolean", light = "boolean",
}
local UNITS = { ms = 0.001, s = 1, m = 60, h = 3600, d = 86400 }

local function bad(path, message)
  error({ code = "invalid", message = path .. ": " .. message }, 0)
end

--- Seconds of a text like "90s", "24h", "1.5h", "7d", or of a number.
--- @param v any
--- @return number?  nil when it is not understood
--- Source: ours
function job_def.seconds(v)
  if type(v) == "number" then return v >= 0 and v < 1e10 and v or nil end
  if type(v) ~= "string" then return nil end
  local n, unit = v:match("^(%d+%.?%d*) ?(%a+)$")
  return n and UNITS[unit] and tonumber(n) * UNITS[unit] or nil
end

local function whole(path, d, name, low, high, default)
  local v = d[name]
  if v == nil then return default end
  local n = math.tointeger(v)
  if not n or n < low or n > high then
    bad(path, ("%s is %s, expected a whole number from %d to %d"):format(name, tostring(v), low, high))
  end
  return n
end

local function seconds(path, d, name, default)
  if d[name] == nil then return default end
  return job_def.seconds(d[name])
    or bad(path, name .. " is " .. tostring(d[name]) .. ', expected seconds or text like "30s", "4h"')
end

local function refractory(path, d, name)
  if d.refractory == false then return 0 end
  local own = seconds(path, d, "refractory")
  if own then return own end
  local map = json.decode(settings.job_refractory_map)
  local mapped = type(map) == "table" and map[name]
  return type(mapped) == "number" and mapped or settings.job_refractory_seconds
end

--- Checks a file.
--- @param path string  "workflows/jobs/training.lua"
--- @param d table
--- @return table  the record the engine works with
--- Raises: invalid, naming file and key
--- Source: ours
function job_def.check(path, d)
  local name = path:match("^workflows/jobs/([%l][%l%d_]*)%.lua$")
  if not name then bad(path, "a job is a file jobs/NAME.lua; NAME of small letters, digits and _") end
  for k, v in pairs(d) do
    local want = KEYS[k]
    if not want then
      local near = schema.nearest(k, KEYS)
      bad(path, "unknown key " .. tostring(k) .. (near and "; did you mean " .. near .. "?" or ""))
    end
    if want ~= "any" and type(v) ~= want then bad(path, k .. " is a " .. type(v) .. ", expected a " .. want) end
  end
  if not d.run then bad(path, "run is missing: the function that does the work") end
  if d.role ~= nil and d.role ~= "operator" and d.role ~= "admin" and d.role ~= "viewer" then
    bad(path, "role is " .. d.role .. ", expected viewer, operator or admin")
  end
  local node = schema.parse(d.params or {}, path .. ": params")
  local rec = {
    name = name, path = path, run = d.run, summary = d.summary, description = d.description, node = node,
    role = d.role or "operator", hidden = d.hidden, light = d.light,
    attempts = whole(path, d, "attempts", 1, 100, settings.job_attempts),
    backoff = seconds(path, d, "backoff", 2),
    deadline = seconds(path, d, "deadline"), run_deadline = settings.job_deadline_seconds,
    concurrency = whole(path, d, "concurrency", 1, 100000, nil),
    priority = whole(path, d, "priority", -1000000, 1000000, 0),
    refractory = refractory(path, d, name), key = d.key, every_params = d.every_params or {},
    is_empty_ok = schema.may_be_empty(node),
  }
  if d.every ~= nil and d.enabled ~= false then
    local spec, why = schedule_text.parse(d.every)
    if not spec then bad(path, "every is " .. d.every .. ": " .. why) end
    rec.every = d.every
  end
  return rec
end

-- The parameters of a job may name the schemas that routes declare.
local function compile(rec, names)
  local check = schema.compile(rec.node, { names = names, where = rec.path .. ": params" })
  rec.check = function(params)
    local errs = { n = 0 }
    local out = check(params, errs)
    if errs.n == 0 then return out end
    local found = json.array({})
    for i = 1, math.min(errs.n, 50) do
      table.insert(errs[i].loc, 1, "body")
      errs[i].loc = json.array(errs[i].loc)
      found[i] = errs[i]
    end
    error({ code = "validation_error", status = 422, details = { errors = found },
            message = table.concat(found[1].loc, ".") .. ": " .. found[1].msg }, 0)
  end
end

--- How lua/generation.lua checks and builds workflows/jobs: name -> record.
--- Source: ours
job_def.kind = {
  check = job_def.check,
  build = function(parts)
    local jobs = {}
    for _, part in ipairs(parts) do
      compile(part.value, {})
      jobs[part.value.name] = part.value
    end
    return jobs
  end,
}

return job_def
