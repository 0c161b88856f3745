-- json.lua - JSON text to values and back, exactly (RFC 8259). What goes where: bind/bind_json.h.

local core = require("core.json")
local check = require("raise").check
local json = {}

--- Stands for null inside tables; compare with ==.
json.null = core.null

--- Reads JSON. Objects and arrays become tables, null json.null, whole numbers integers.
--- @param text string
--- @param opt table? { depth = nesting that is taken, default 64 }
--- @return any
--- Raises: parse (line, column), nan (a number beyond the doubles), limit (depth)
function json.decode(text, opt)
  return (check(core.decode(text, opt and opt.depth)))
end

--- Writes JSON on one line.
--- @param value any  tables with keys 1 … n are arrays, with text keys objects; {} is an object
--- @param opt table? { sorted = keys in order, html = safe inside <script>, tidy = floats rounded to
---   the third decimal or, when smaller, to their first digit }
--- @return string
--- Raises: invalid (names the path of the value), nan, limit
function json.encode(value, opt)
  if opt == nil then return (check(core.encode(value))) end
  return (check(core.encode(value, opt.sorted, opt.html, opt.tidy)))
end

--- Marks a table as an array, so that it is [] when empty.
--- @param t table? default a new one
--- @return table  t
function json.array(t)
  return core.array(t)
end

--- Whether a table is marked as an array: by json.array, or because it was read as one.
--- @param value any
--- @return boolean
function json.is_array(value)
  return core.is_array(value)
end

return json
