-- log.lua - one event, one line of JSON. Say what happened in a constant text and put what varies
-- into fields: log.info("upload finished", { file = name, rows = n }). No secrets, please.

local core = require("core.log")
local log = {}

--- @param event string constant text
--- @param fields table? names (letters, digits, _ and .) to text, numbers, booleans, tables; at most 32
function log.debug(event, fields)
  core.event("debug", event, fields)
end

--- @param event string constant text
--- @param fields table? as log.debug
function log.info(event, fields)
  core.event("info", event, fields)
end

--- @param event string constant text
--- @param fields table? as log.debug
function log.warn(event, fields)
  core.event("warn", event, fields)
end

--- @param event string constant text
--- @param fields table? as log.debug
function log.error(event, fields)
  core.event("error", event, fields)
end

--- Whether lines of a level are written at all.
--- @param level string "debug" | "info" | "warn" | "error"
--- @return boolean
function log.on(level)
  return core.on(level)
end

return log
