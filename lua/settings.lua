-- settings.lua - the settings of this server, to read: settings.http_port. What there is, with its
-- meaning, is printed by `plastinka check --settings`. A name that does not exist is an error.

local core = require("core.settings")
local raise = require("raise")

local function get(_, name)
  local value = core.get(name)
  if value == nil then
    raise.error("notfound", "there is no setting '" .. tostring(name) .. "' that scripts may read")
  end
  return value
end

local settings = {}

--- Every setting with its value (secrets masked) and where it came from.
--- @return table array of { name, type, value, origin, unit, doc, env }
function settings.list()
  return core.list()
end

return setmetatable(settings, {
  __index = get,
  __newindex = function(_, name)
    error("settings." .. tostring(name) .. " cannot be set by a script", 2)
  end,
  __metatable = false,
})
