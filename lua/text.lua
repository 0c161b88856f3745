-- text.lua - text and numbers for people. Pages are made with lua/template.lua, which has all this as
-- filters.

local core = require("core.text")
local text = {}

--- @param s string
--- @return string  with & < > " ' escaped, for HTML text and quoted attributes
function text.html(s)
  return core.html(s)
end

--- One part of an address, percent-encoded.
--- @param s string
--- @return string
--- Source: RFC 3986 section 2
function text.url(s)
  return core.url(s)
end

--- A number with a fixed count of decimals: 1 234,50. Rounded half away from zero, from its shortest
--- decimal form: 2.675 with two decimals is 2.68.
--- @param v number finite
--- @param decimals integer? 0 (default) to 15
--- @param group string? between thousands, default none
--- @param point string? before the decimals, default "."
--- @return string
function text.number(v, decimals, group, point)
  return core.number(v, decimals, group, point)
end

--- The same rounding, as a number.
--- @param v number
--- @param decimals integer? 0 (default) to 30
--- @return number
function text.round(v, decimals)
  return core.round(v, decimals)
end

--- Rounding as answers of the API have it: to the third decimal; below 0.001 to the first digit.
--- @param v number
--- @return number
--- Source: ours
function text.tidy(v)
  return core.tidy(v)
end

--- Whether bytes are valid UTF-8.
--- @param s string
--- @return boolean
--- Source: RFC 3629
function text.is_utf8(s)
  return core.is_utf8(s)
end

return text
