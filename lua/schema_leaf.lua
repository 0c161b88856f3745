-- schema_leaf.lua - checks of single values: numbers, texts, dates, words.
--
-- make[kind](node, is_text) returns check(value, errs), which returns the value to use or tells
-- errs. With is_text the values come from a path, a query, a header or a form, where all is text.
-- Checks make no table and no closure while they run. Patterns here have no open repeats: they see
-- text from outside.

local leaf = {}

local byte, find, lower, match, sub = string.byte, string.find, string.lower, string.match, string.sub
local tointeger, mathtype, huge = math.tointeger, math.type, math.huge
local utf8len = utf8.len

--- A short picture of a value for a message.
--- @param v any
--- @return string
--- Source: ours
function leaf.show(v)
  local t = type(v)
  if t == "string" then
    if not utf8len(v) then return "text that is not UTF-8" end
    if #v > 40 then v = sub(v, 1, utf8.offset(v, 0, 38) - 1) .. "…" end
    return '"' .. v .. '"'
  elseif t == "table" then
    return (getmetatable(v) == false or #v > 0) and "an array" or "an object"
  elseif t == "userdata" then
    return "null"
  end
  return tostring(v)
end
local show = leaf.show

--- Adds an error: found a value where something else was expected.
--- @param errs table  { n = count }
--- @param kind string  word for programs: type, range, length, format, enum, missing, unknown_field
--- @param message string  found and expected
--- Source: ours
function leaf.tell(errs, kind, message)
  local n = errs.n + 1
  errs.n = n
  if n <= 50 then errs[n] = { loc = {}, msg = message, type = kind } end
end
local tell = leaf.tell

local function expected(node, what)
  local low, high = node.min, node.max
  if low and high then return what .. " from " .. low .. " to " .. high end
  if low then return what .. " of " .. low .. " or more" end
  if high then return what .. " up to " .. high end
  if node.above then return what .. " above " .. node.above end
  if node.below then return what .. " below " .. node.below end
  return what
end

-- digits as JSON has them: no plus, no hexadecimal, no blanks
local function integer_of(v)
  if #v == 0 or #v > 17 or find(v, "[^%d%-]") or find(v, "-", 2, true) then return nil end
  return tointeger(tonumber(v))
end

local function number_of(v)
  if #v == 0 or #v > 40 or find(v, "[^%d%.eE+-]") or not find(v, "^-?%d") then return nil end
  return tonumber(v)
end

local make = {}
leaf.make = make

function make.integer(node, is_text)
  local low, high = node.min or math.mininteger, node.max or math.maxinteger
  local above, below = node.above, node.below
  local what = expected(node, "a whole number")
  return function(v, errs)
    local n = v
    if mathtype(v) ~= "integer" then
      if is_text and type(v) == "string" then n = integer_of(v)
      elseif mathtype(v) == "float" then n = tointeger(v)
      else n = nil end
      if not n then return tell(errs, "type", "found " .. show(v) .. ", expected " .. what) end
    end
    if n < low or n > high or (above and n <= above) or (below and n >= below) then
      return tell(errs, "range", "found " .. show(v) .. ", expected " .. what)
    end
    return n
  end
end

function make.number(node, is_text)
  local low, high = node.min or -huge, node.max or huge
  local above, below = node.above, node.below
  local what = expected(node, "a number")
  return function(v, errs)
    local n = v
    if is_text and type(v) == "string" then n = number_of(v) end
    if not mathtype(n) then
      return tell(errs, "type", "found " .. show(v) .. ", expected " .. what)
    end
    if n ~= n or n == huge or n == -huge or n < low or n > high or (above and n <= above)
      or (below and n >= below) then
      return tell(errs, "range", "found " .. show(v) .. ", expected " .. what)
    end
    return n
  end
end

local WORDS = { ["true"] = true, ["1"] = true, yes = true, on = true,
                ["false"] = false, ["0"] = false, no = false, off = false }

function make.boolean(_, is_text)
  return function(v, errs)
    if type(v) == "boolean" then return v end
    if is_text and type(v) == "string" and #v <= 5 then
      local b = WORDS[lower(v)]
      if b ~= nil then return b end
    end
    return tell(errs, "type", "found " .. show(v) .. ", expected true or false")
  end
end

function make.text(node, is_text)
  local low, high = node.min or 0, node.max
  local what = expected(node, "text of characters"):gsub("text of characters", "text with a length")
  local secret = node.kind == "secret"
  if not node.min and high == 65536 then what = "text of at most 65536 characters" end
  return function(v, errs)
    if type(v) ~= "string" then
      return tell(errs, "type", "found " .. (secret and "a " .. type(v) or show(v)) .. ", expected text")
    end
    if is_text and not utf8len(v) then
      return tell(errs, "format", "found text that is not UTF-8")
    end
    if find(v, "\0", 1, true) then return tell(errs, "format", "found a NUL character in a text") end
    local n = #v
    if n > high or n < low * 4 then
      n = utf8len(v) or n
      if n < low or n > high then
        return tell(errs, "length", "found " .. n .. " characters, expected " .. what)
      end
    end
    return v
  end
end
make.secret = make.text

function make.enum(node)
  local set, list = {}, {}
  for i, v in ipairs(node.values) do
    set[v] = v
    list[i] = '"' .. v .. '"'
  end
  local what = #list > 1 and table.concat(list, ", ", 1, #list - 1) .. " or " .. list[#list] or list[1]
  return function(v, errs)
    if type(v) == "string" and set[v] then return v end
    return tell(errs, "enum", "found " .. show(v) .. ", expected " .. what)
  end
end

local HEX4 = "%x%x%x%x"
local UUID = "^" .. HEX4 .. HEX4 .. "%-" .. HEX4 .. "%-" .. HEX4 .. "%-" .. HEX4 .. "%-" .. HEX4
             .. HEX4 .. HEX4 .. "$"

function make.uuid()
  return function(v, errs)
    if type(v) == "string" and #v == 36 and find(v, UUID) then
      return find(v, "[A-F]") and lower(v) or v
    end
    return tell(errs, "format", "found " .. show(v) ..
                ", expected a UUID like 3f2b1c9e-0d4a-4c57-9f5e-2b8f6f1d7a10")
  end
end

function make.hash() -- ids of configs: MD5 as 32 hex digits
  return function(v, errs)
    if type(v) == "string" and #v == 32 and not find(v, "[^%x]") then return lower(v) end
    return tell(errs, "format", "found " .. show(v) .. ", expected 32 hex digits")
  end
end

local DAYS = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

local function is_date(v)
  local y, m, d = match(v, "^(%d%d%d%d)%-(%d%d)%-(%d%d)")
  if not y then return false end
  y, m, d = tointeger(tonumber(y)), tointeger(tonumber(m)), tointeger(tonumber(d))
  local last = DAYS[m]
  if m == 2 and y % 4 == 0 and (y % 100 ~= 0 or y % 400 == 0) then last = 29 end
  return last ~= nil and d >= 1 and d <= last and y >= 1
end

function make.date()
  return function(v, errs)
    if type(v) == "string" and #v == 10 and is_date(v) then return v end
    return tell(errs, "format", "found " .. show(v) .. ", expected a date like 2025-03-31")
  end
end

function make.month()
  return function(v, errs)
    if type(v) == "string" and #v == 10 and is_date(v) and sub(v, 9) == "01" then return v end
    return tell(errs, "format", "found " .. show(v) ..
                ", expected a month as its first day, like 2025-03-01")
  end
end

-- RFC 3339: date, T, time, optional fraction of up to 9 digits, Z or offset
local function is_datetime(v)
  if #v < 20 or #v > 35 or not is_date(v) then return false end
  local h, m, s = match(v, "^[Tt](%d%d):(%d%d):(%d%d)", 11)
  if not h or h > "23" or m > "59" or s > "60" then return false end
  local at = 20
  if byte(v, at) == 46 then
    local first = at + 1
    at = first
    while at <= #v and byte(v, at) >= 48 and byte(v, at) <= 57 do at = at + 1 end
    if at == first or at - first > 9 then return false end
  end
  local zone = sub(v, at)
  if zone == "Z" or zone == "z" then return true end
  local zh, zm = match(zone, "^[+-](%d%d):(%d%d)$")
  return zh ~= nil and zh <= "23" and zm <= "59"
end

function make.datetime()
  return function(v, errs)
    if type(v) == "string" and is_datetime(v) then return v end
    return tell(errs, "format", "found " .. show(v) .. ", expected a time like 2025-03-31T12:00:00Z")
  end
end

function make.any() return function(v) return v end end

function make.object()
  return function(v, errs)
    if type(v) == "table" and getmetatable(v) ~= false and #v == 0 then return v end
    return tell(errs, "type", "found " .. show(v) .. ", expected an object")
  end
end

function make.file(node)
  local types
  if node.types then
    types = {}
    for _, ext in ipairs(node.types) do types["." .. lower(ext)] = true end
  end
  local names = node.types and table.concat(node.types, ", ")
  return function(v, errs)
    if type(v) ~= "table" or not v.path then
      return tell(errs, "type", "expected a file")
    end
    if types then
      local ext = #v.filename <= 1024 and match(v.filename, "%.[%w]+$") -- one repeat, at the end
      if not ext or not types[lower(ext)] then
        return tell(errs, "format", "found the file " .. show(v.filename) .. ", expected one of: " .. names)
      end
    end
    if node.max_bytes and v.bytes > node.max_bytes then
      return tell(errs, "length", "found " .. v.bytes .. " bytes, expected at most " .. node.max_bytes)
    end
    return v
  end
end

return leaf
