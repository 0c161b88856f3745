-- template_scan.lua - finding the ends of tags, texts and filters in a template. See template_parse.lua.
--
-- Plain finds only: no pattern here can take more than linear time.

local raise = require("raise")
local scan = {}

--- Refuses the template.
--- @param p table  the parse: name
--- @param line integer
--- @param message string
--- Raises: parse
function scan.fail(p, line, message)
  raise.error("parse", p.name .. ":" .. line .. ": " .. message)
end

--- How many lines end in a part of a text.
--- @param s string
--- @param from integer
--- @param to integer
--- @return integer
function scan.count_lines(s, from, to)
  local n, at = 0, from
  while true do
    at = s:find("\n", at, true)
    if at == nil or at > to then return n end
    n, at = n + 1, at + 1
  end
end

-- Position of the quote that ends the text begun at i, or nil.
local function quote_end(s, i)
  local q = s:sub(i, i)
  local at = i + 1
  while true do
    at = s:find("[\\" .. q .. "\n]", at)
    if at == nil or s:sub(at, at) == "\n" then return nil end
    if s:sub(at, at) == q then return at end
    at = at + 2
  end
end

--- Where `closer` stands outside of texts and brackets.
--- @param p table  the parse: source, name, line
--- @param from integer  position after the opening of the tag
--- @param closer string  "%}", "}}" or "}}}"
--- @return integer
--- Raises: parse
function scan.close(p, from, closer)
  local s, at, depth = p.source, from, 0
  while true do
    at = s:find("[\"'{}%%]", at)
    if at == nil then scan.fail(p, p.line, "the tag is not closed by " .. closer) end
    local c = s:sub(at, at)
    if depth == 0 and s:sub(at, at + #closer - 1) == closer then return at end
    if c == "{" then
      depth = depth + 1
    elseif c == "}" then
      depth = depth - 1
      if depth < 0 then scan.fail(p, p.line, "found }, expected " .. closer) end
    elseif c ~= "%" then
      at = quote_end(s, at)
      if at == nil then scan.fail(p, p.line, "a text in the tag is not closed") end
    end
    at = at + 1
  end
end

--- Pieces of an expression between single | outside of texts and brackets.
--- @param p table  the parse: name, line
--- @param expr string
--- @return table  array of string
--- Raises: parse
function scan.filters(p, expr)
  local pieces, from, at, depth = {}, 1, 1, 0
  while true do
    at = expr:find("[\"'(){}%[%]|]", at)
    if at == nil then break end
    local c = expr:sub(at, at)
    if c == "'" or c == '"' then
      at = quote_end(expr, at)
      if at == nil then scan.fail(p, p.line, "a text in the tag is not closed") end
    elseif c == "(" or c == "{" or c == "[" then
      depth = depth + 1
    elseif c == "|" then
      if depth == 0 then
        pieces[#pieces + 1] = expr:sub(from, at - 1)
        from = at + 1
      end
    else
      depth = depth - 1
    end
    at = at + 1
  end
  pieces[#pieces + 1] = expr:sub(from)
  return pieces
end

--- The text without white space at its end; linear time, unlike a pattern.
--- @param s string
--- @return string
function scan.trim_end(s)
  local n = #s
  while n > 0 and s:find("^%s", n) do n = n - 1 end
  return s:sub(1, n)
end

--- Is there nothing but white space?
--- @param s string
--- @return boolean
function scan.is_blank(s)
  return s:find("%S") == nil
end

return scan
