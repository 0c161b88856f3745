-- cli/keys.lua - plastinka keys: API keys of this data folder. A key is shown once, when it is made.

local auth = require("auth")
local db = require("db")
local keys = {}

local USAGE = [[
usage: plastinka keys list [--data DIR]
       plastinka keys create NAME ROLE [--expires DAYS] [--data DIR]
       plastinka keys revoke ID [--data DIR]

ROLE is viewer (reads), operator (also starts jobs and changes data) or admin (also keys, reload,
deletion). A revoked key stops working within a second, in all running processes.]]

local function flag(args, name)
  for i = 1, #args do
    if args[i] == name then
      local value = args[i + 1]
      table.remove(args, i)
      table.remove(args, i)
      return value or error("plastinka keys: " .. name .. " needs a value", 0)
    end
  end
end

local function list()
  local rows = auth.list()
  print(("%-36s  %-8s  %-20s  %-20s  %-20s  %s"):format("ID", "ROLE", "CREATED", "LAST USED", "STATE", "NAME"))
  for _, k in ipairs(rows) do
    local state = k.revoked_at and "revoked" or k.expires_at and "until " .. k.expires_at:sub(1, 10) or "valid"
    print(("%-36s  %-8s  %-20s  %-20s  %-20s  %s"):format(k.key_id, k.role, k.created_at:sub(1, 19),
      k.last_used_at and k.last_used_at:sub(1, 19) or "never", state, k.name))
  end
  return 0
end

local function misused()
  print(USAGE)
  return 2
end

--- plastinka keys.
--- @param args table  the words behind the command
--- @return integer  exit code
--- Raises: key_not_found, validation_error, busy, full, io
--- Source: ours
function keys.main(args)
  local verb = args[1]
  if verb == nil then return misused() end
  if verb == "--help" then
    print(USAGE)
    return 0
  end
  db.main():migrate()
  if verb == "list" and not args[2] then return list() end
  if verb == "create" then
    local days = flag(args, "--expires")
    if days and not (tonumber(days) and tonumber(days) > 0) then
      error("plastinka keys: --expires is " .. days .. ", expected a number of days", 0)
    end
    if #args ~= 3 then return misused() end
    local made = auth.create({ name = args[2], role = args[3], expires_days = tonumber(days) })
    print("id   " .. made.key_id .. "\nrole " .. made.role .. "\nkey  " .. made.key .. "\n\nIt is not shown again.")
    return 0
  elseif verb == "revoke" and args[2] and not args[3] then
    auth.revoke(args[2])
    print("revoked " .. args[2])
    return 0
  end
  return misused()
end

return keys
