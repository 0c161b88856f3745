-- schema_parse.lua - from the short notation of declarations to a tree of nodes.
--
-- A declaration is
--   "integer 1..1000 = 100 -- how many"   a type, `?` (may be absent or null), [] (array of it), a
--                                         range (value, or length of texts and arrays), a default, a doc
--   "a|b|c"  or  { "a", "b", "c" }        one of these words
--   "job"                                 a named schema
--   { name = …, ["note?"] = … }           an object; a `?` on the name: the member may be absent
--   { "uuid", doc=, example=, default= }  any declaration in [1], with more said about it
--   { "array", of=, min=, max= }          { "map", of=, max= }: any keys, values of one kind
--   { "object", fields=, extra=true }     { "any_of", …, … }    { "file", max_bytes=, types= }
--
-- A node is { kind, optional, min, max, above, below, default, doc, example, of, fields, extra,
-- values, name, choices }. Nothing is resolved here: names may belong to another file.

local parse = {}

local TEXT_MAX, ARRAY_MAX, MAP_MAX, DEPTH_MAX, FIELDS_MAX = 65536, 10000, 1000, 20, 200

local KINDS = {
  text = "text", string = "text", secret = "secret", integer = "integer", int = "integer",
  number = "number", float = "number", boolean = "boolean", bool = "boolean", uuid = "uuid",
  date = "date", month = "month", datetime = "datetime", ["date-time"] = "datetime", any = "any",
  object = "object", file = "file", hash = "hash",
}
parse.kinds = KINDS

local RANGED = { text = true, secret = true, integer = true, number = true, array = true }
local ATTRIBUTES = { doc = true, example = true, default = true, of = true, min = true, max = true,
                     fields = true, extra = true, max_bytes = true, types = true, title = true }

local function bad(where, message)
  error({ code = "invalid", message = where .. ": " .. message }, 0)
end

local function show(v)
  return type(v) == "string" and '"' .. v .. '"' or tostring(v)
end

--- The nearest of some names, when it is near enough to be what was meant.
--- @param name string
--- @param names table  set: name = anything
--- @return string?
--- Source: Levenshtein 1966
function parse.nearest(name, names)
  if type(name) ~= "string" or #name > 40 then return nil end
  local best, best_d = nil, math.max(1, #name // 3) + 1
  for other in pairs(names) do
    if type(other) == "string" and math.abs(#other - #name) < best_d then
      local row = {}
      for j = 0, #other do row[j] = j end
      for i = 1, #name do
        local diagonal = row[0]
        row[0] = i
        for j = 1, #other do
          local d = math.min(row[j] + 1, row[j - 1] + 1,
                             diagonal + (name:byte(i) == other:byte(j) and 0 or 1))
          diagonal, row[j] = row[j], d
        end
      end
      if row[#other] < best_d or (row[#other] == best_d and best and other < best) then
        best, best_d = other, row[#other]
      end
    end
  end
  return best
end

local function number(text, where)
  local n = text ~= "" and text:match("^[-+%d.eE]+$") and tonumber(text)
  if not n then bad(where, show(text) .. " is not a number") end
  return n
end

local function set_range(node, token, where)
  local low, high = token:match("^([^.]*%.?[^.]*)%.%.(.*)$")
  if low then
    if low ~= "" then node.min = number(low, where) end
    if high ~= "" then node.max = number(high, where) end
  elseif token:sub(1, 1) == ">" then
    node.above = number(token:sub(2), where)
  elseif token:sub(1, 1) == "<" then
    node.below = number(token:sub(2), where)
  else
    bad(where, show(token) .. " is not understood; expected a range like 1..100")
  end
end

local function check_range(node, where)
  if not (node.min or node.max or node.above or node.below) then return end
  if not RANGED[node.kind] then bad(where, "a " .. node.kind .. " has no range") end
  if node.min and node.max and node.min > node.max then
    bad(where, "the range " .. node.min .. ".." .. node.max .. " is empty")
  end
  if node.kind ~= "number" then
    for _, k in ipairs({ "min", "max" }) do
      if node[k] and math.tointeger(node[k]) == nil then bad(where, k .. " is not a whole number") end
      node[k] = node[k] and math.tointeger(node[k])
    end
    if node.kind ~= "integer" and (node.min or 0) < 0 then bad(where, "a length below 0") end
  end
end

local function words(text)
  local values = {}
  for word in (text .. "|"):gmatch("([^|]*)|") do values[#values + 1] = word end
  return values
end

local function default_of(node, text, where)
  local kind = node.kind
  if kind == "integer" then
    local n = math.tointeger(number(text, where))
    if not n then bad(where, "the default " .. text .. " is not a whole number") end
    return n
  elseif kind == "number" then
    return number(text, where)
  elseif kind == "boolean" then
    if text ~= "true" and text ~= "false" then bad(where, "a default of true or false expected") end
    return text == "true"
  elseif kind == "array" or kind == "object" or kind == "map" or kind == "ref" or kind == "any"
    or kind == "file" then
    bad(where, "a " .. kind .. " has no default in short notation; use { …, default = … }")
  end
  return text
end

-- No length is without an end. capped: nobody asked for that one, so documents need not show it.
local function cap(node)
  local max = node.kind == "array" and ARRAY_MAX or (node.kind == "text" or node.kind == "secret") and TEXT_MAX
  if max and not node.max then node.max, node.capped = max, true end
  return node
end

local function from_text(text, where)
  local node = {}
  local at = text:find(" -- ", 1, true)
  if at then node.doc, text = text:sub(at + 4), text:sub(1, at - 1) end
  local default
  at = text:find("=", 1, true)
  if at then
    default = text:sub(at + 1):match("^%s*(.*)$"):gsub("%s+$", "")
    text = text:sub(1, at - 1)
  end
  local word, rest = text:match("^%s*(%S+)%s*(.-)%s*$")
  if not word then bad(where, "an empty declaration") end
  if word:sub(-1) == "?" then node.optional, word = true, word:sub(1, -2) end
  if rest:sub(-1) == "?" then node.optional, rest = true, rest:sub(1, -2) end -- "text 1..20?"
  local inner
  if word:sub(-2) == "[]" then
    inner, word = {}, word:sub(1, -3)
    if word:sub(-1) == "?" then bad(where, "elements of an array cannot be optional") end
  end
  local element = inner or node
  if word:find("|", 1, true) then
    element.kind, element.values = "enum", words(word)
  elseif KINDS[word] then
    element.kind = KINDS[word]
  elseif word:match("^[%a_][%w_]*$") then
    element.kind, element.name = "ref", word
  else
    bad(where, show(word) .. " is no type")
  end
  if inner then node.kind, node.of = "array", cap(inner) end
  for token in rest:gmatch("%S+") do set_range(node, token, where) end
  check_range(node, where)
  if default then node.default = default_of(node, default, where) end
  return node
end

local function is_words(t)
  if #t < 2 then return false end
  for k, v in pairs(t) do
    if math.type(k) ~= "integer" or type(v) ~= "string" then return false end
  end
  return true
end

local node_of

local function fields_of(t, where, depth)
  local fields, names = {}, {}
  for key in pairs(t) do
    if type(key) ~= "string" then bad(where, "a member name is a " .. type(key)) end
    names[#names + 1] = key
  end
  if #names > FIELDS_MAX then bad(where, "more than " .. FIELDS_MAX .. " members") end
  table.sort(names)
  for _, key in ipairs(names) do
    local name = key:match("^([^?]+)%??$")
    if not name then bad(where, show(key) .. " is no name of a member") end
    local node = node_of(t[key], where .. "." .. name, depth + 1)
    if key:sub(-1) == "?" then node.optional = true end
    fields[#fields + 1] = { name = name, node = node }
  end
  return fields
end

local function element_of(t, where, depth)
  if t.of == nil then bad(where, "`of` is missing: what are its elements?") end
  return node_of(t.of, where .. "[]", depth + 1)
end

local function from_table(t, where, depth)
  if t[1] ~= "any_of" and is_words(t) then
    local values = {}
    for i, v in ipairs(t) do values[i] = v end
    return { kind = "enum", values = values }
  end
  local head = t[1]
  if head == nil then
    return { kind = "object", fields = fields_of(t, where, depth) }
  end
  for key in pairs(t) do
    if type(key) == "string" and not ATTRIBUTES[key] then
      local near = parse.nearest(key, ATTRIBUTES)
      bad(where, "unknown attribute " .. show(key) .. (near and "; did you mean " .. near .. "?" or ""))
    end
  end
  local node
  if head == "array" then
    node = { kind = "array", of = element_of(t, where, depth) }
  elseif head == "map" then
    node = { kind = "map", of = element_of(t, where, depth) }
  elseif head == "any_of" then
    node = { kind = "any_of", choices = {} }
    for i = 2, #t do node.choices[i - 1] = node_of(t[i], where .. "|" .. i - 1, depth + 1) end
    if #node.choices < 2 then bad(where, "any_of needs two declarations or more") end
  elseif head == "object" and t.fields ~= nil then
    if type(t.fields) ~= "table" then bad(where, "fields is not a table") end
    node = { kind = "object", fields = fields_of(t.fields, where, depth) }
  else
    node = node_of(head, where, depth + 1)
  end
  if node.kind ~= "any_of" and #t > 1 then bad(where, "more than one declaration in one place") end
  for _, key in ipairs({ "doc", "example", "default", "extra", "max_bytes", "types", "title" }) do
    if t[key] ~= nil then node[key] = t[key] end
  end
  for _, key in ipairs({ "min", "max" }) do
    if t[key] ~= nil then
      if type(t[key]) ~= "number" then bad(where, key .. " is not a number") end
      node[key] = t[key]
    end
  end
  if t.max then node.capped = nil end
  if node.kind == "map" then
    if not node.max then node.max, node.capped = MAP_MAX, true end
  else
    check_range(node, where)
  end
  return node
end

function node_of(decl, where, depth)
  if depth > DEPTH_MAX then bad(where, "nested more than " .. DEPTH_MAX .. " levels deep") end
  local node
  if type(decl) == "string" then
    node = from_text(decl, where)
  elseif type(decl) == "table" then
    node = from_table(decl, where, depth)
  else
    bad(where, "a " .. type(decl) .. " where a declaration like \"uuid\" or { … } was expected")
  end
  return cap(node)
end

--- Reads a declaration.
--- @param decl string|table
--- @param where string  its name in errors: "GET /x: query.limit"
--- @return table  the node
--- Raises: invalid
--- Source: ours
function parse.declaration(decl, where)
  return node_of(decl, where, 1)
end

return parse
