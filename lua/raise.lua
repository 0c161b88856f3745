-- raise.lua - the one place where an answer `nil, message, code` of a C module becomes a raised error
-- object. For faces: `return check(core.read(path))`.

local raise = {}

local shown = { __tostring = function(e) return e.code .. ": " .. e.message end }

--- Makes an error object and raises it.
--- @param code string one of the codes of base/err.h: notfound, parse, timeout …
--- @param message string names the thing, what was found, what was expected
--- @param details table? for the program that reads it
--- Raises: always
function raise.error(code, message, details)
  error(setmetatable({ code = code, message = message, details = details }, shown), 0)
end

--- Passes everything on, unless the first value is nil: then raises what the C module said.
--- @param value any
--- @param message string?
--- @param code string?
--- @param ... any  what else there is
--- @return any ... all arguments
--- Raises: `code`
function raise.check(value, message, code, ...)
  if value == nil and message ~= nil then raise.error(code or "invalid", message) end
  return value, message, code, ...
end

return raise
