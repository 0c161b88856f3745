-- schema.lua - declarations compiled once into checks. The notation is in schema_parse.lua, checks
-- of single values are in schema_leaf.lua, JSON Schema is in schema_json.lua.
--
-- A check has no memory of its own and makes nothing while all is well. It changes the table it is
-- given: texts become numbers, defaults are filled in, null becomes absent.

local parse = require("schema_parse")
local leaf = require("schema_leaf")
local json = require("core.json")

local schema = {}

--- See schema_parse.lua: the nearest of some names.
schema.nearest = parse.nearest

local null = json.null
local tell, show, make = leaf.tell, leaf.show, leaf.make
local insert = table.insert

local compile

local function put(errs, from, key)
  for i = from + 1, math.min(errs.n, 50) do insert(errs[i].loc, 1, key) end
end

local function copy(v)
  if type(v) ~= "table" then return v end
  local t = {}
  for k, x in pairs(v) do t[k] = copy(x) end
  return json.is_array(v) and json.array(t) or t
end

local function is_object(v)
  return type(v) == "table" and getmetatable(v) ~= false and #v == 0
end

-- One array: names, checks, what is when absent. 0: error, 1: leave it, 2: default
local function members(node, cx)
  local names, checks, absent, defaults, known = {}, {}, {}, {}, {}
  for i, f in ipairs(node.fields) do
    names[i], known[f.name] = f.name, true
    checks[i] = compile(f.node, cx)
    defaults[i] = f.node.default == nil and false or f.node.default
    absent[i] = f.node.default ~= nil and 2 or f.node.optional and 1 or 0
  end
  return names, checks, absent, defaults, known
end

-- drop: parameters that nobody declared are passed by
local function unknown(v, known, errs, extra)
  for key in next, v do
    if extra == "drop" then
      if not known[key] then v[key] = nil end
    elseif not known[key] then
      local before = errs.n
      local near = parse.nearest(key, known)
      tell(errs, "unknown_field", "there is no such member" ..
           (near and '; did you mean "' .. near .. '"?' or ""))
      put(errs, before, key)
    end
  end
end

local function object(node, cx)
  if not node.fields then return make.object(node) end
  local names, checks, absent, defaults, known = members(node, cx)
  local n, extra = #names, node.extra
  return function(v, errs)
    if not is_object(v) then
      return tell(errs, "type", "found " .. show(v) .. ", expected an object")
    end
    local found = 0
    for i = 1, n do
      local name = names[i]
      local x = v[name]
      if x == nil or x == null then
        local a = absent[i]
        if a == 0 then
          local before = errs.n
          tell(errs, "missing", x == nil and "is missing" or "found null, expected a value")
          put(errs, before, name)
        elseif a == 2 then
          v[name] = copy(defaults[i])
          found = found + 1
        else
          v[name] = nil
        end
      else
        local before = errs.n
        local y = checks[i](x, errs)
        if errs.n ~= before then put(errs, before, name) else v[name] = y end
        found = found + 1
      end
    end
    if extra ~= true then
      local all = 0
      for _ in next, v do all = all + 1 end
      if all ~= found then unknown(v, known, errs, extra) end
    end
    return v
  end
end

local function array(node, cx)
  local check, low, high = compile(node.of, cx), node.min or 0, node.max
  local is_text = cx.is_text
  return function(v, errs)
    if is_text and (type(v) ~= "table" or v.path) then v = { v } end
    if type(v) ~= "table" or (getmetatable(v) ~= false and #v == 0) then
      return tell(errs, "type", "found " .. show(v) .. ", expected an array")
    end
    local n = #v
    if n < low or n > high then
      return tell(errs, "length", "found " .. n .. " elements, expected " .. low .. " to " .. high)
    end
    for i = 1, n do
      local before = errs.n
      local x = v[i]
      if x == null then tell(errs, "type", "found null, expected a value") end
      local y = x ~= null and check(x, errs)
      if errs.n ~= before then put(errs, before, i - 1) else v[i] = y end
      if errs.n > 20 then return end
    end
    return v
  end
end

local function map(node, cx)
  local check, high = compile(node.of, cx), node.max
  return function(v, errs)
    if not is_object(v) then
      return tell(errs, "type", "found " .. show(v) .. ", expected an object")
    end
    local n = 0
    for key, x in next, v do
      n = n + 1
      if n > high then
        return tell(errs, "length", "found more than " .. high .. " members")
      end
      local before = errs.n
      local y = check(x, errs)
      if errs.n ~= before then put(errs, before, key) else v[key] = y end
    end
    return v
  end
end

-- Each choice is tried on a copy, for checks change what they are given.
local function any_of(node, cx)
  local checks = {}
  for i, choice in ipairs(node.choices) do checks[i] = compile(choice, cx) end
  return function(v, errs)
    local best
    for i = 1, #checks do
      local mine = { n = 0 }
      local y = checks[i](copy(v), mine)
      if mine.n == 0 then return y end
      if not best or mine.n < best.n then best = mine end
    end
    for i = 1, math.min(best.n, 50) do
      errs.n = errs.n + 1
      errs[errs.n] = best[i]
    end
  end
end

local function optional(check)
  return function(v, errs)
    if v == null then return nil end
    return check(v, errs)
  end
end

-- A named schema may contain itself, so its check is looked up when it runs.
local function reference(node, cx)
  local name = node.name
  local named = cx.names[name]
  if not named then
    local all = {}
    for k in pairs(parse.kinds) do all[k] = true end
    for k in pairs(cx.names) do all[k] = true end
    local near = parse.nearest(name, all)
    error({ code = "invalid", message = (cx.where or "schema") .. ': there is no type or schema "' ..
            name .. '"' .. (near and '; did you mean "' .. near .. '"?' or "") }, 0)
  end
  local key = cx.is_text and "text" or "json"
  local slot = cx.done[key]
  if slot[name] == nil then
    slot[name] = false
    slot[name] = compile(named, cx)
  end
  if slot[name] then return slot[name] end
  return function(v, errs) return slot[name](v, errs) end
end

local COMPOUND = { object = object, array = array, map = map, any_of = any_of, ref = reference }

function compile(node, cx)
  local how = COMPOUND[node.kind]
  local check = how and how(node, cx) or make[node.kind](node, cx.is_text)
  if node.optional then check = optional(check) end
  if node.default ~= nil then
    if node.kind == "array" and type(node.default) == "table" then json.array(node.default) end
    local errs = { n = 0 }
    check(copy(node.default), errs)
    if errs.n > 0 then
      error({ code = "invalid", message = (cx.where or "schema") .. ": default " ..
              show(node.default) .. ": " .. errs[1].msg }, 0)
    end
  end
  return check
end

--- Reads a declaration without resolving names.
--- @param decl string|table  see schema_parse.lua
--- @param where string?  its name in errors
--- @return table  a node, for schema.compile and schema_json
--- Raises: invalid
--- Source: ours
function schema.parse(decl, where)
  return parse.declaration(decl, where or "schema")
end

--- Compiles a node into check(value, errs): returns the value to use; what is wrong is added to
--- errs = { n = count, { loc = { … }, msg =, type = }, … }.
--- @param node table  of schema.parse
--- @param opt table?  { names = { name = node }, where = "…", text = values are texts, done = cache }
--- @return function
--- Raises: invalid (unknown name, default that is none)
--- Source: ours
function schema.compile(node, opt)
  opt = opt or {}
  return compile(node, { names = opt.names or {}, where = opt.where, is_text = opt.text or false,
                         done = opt.done or { text = {}, json = {} } })
end

--- A check of a value that raises when it fails. For scripts and jobs.
--- @param decl string|table
--- @return function  check(value) --> value; raises validation_error with details.errors
--- Raises: invalid
--- Source: ours
function schema.checker(decl)
  local check = schema.compile(schema.parse(decl))
  return function(v)
    local errs = { n = 0 }
    v = check(v, errs)
    if errs.n > 0 then
      errs.n = nil
      local first = errs[1]
      error({ code = "validation_error", status = 422,
              message = table.concat(first.loc, ".") .. (first.loc[1] and ": " or "") .. first.msg,
              details = { errors = errs } }, 0)
    end
    return v
  end
end

--- True when nothing needs to be given: all members may be absent.
--- @param node table
--- @param names table?  named schemas
--- @return boolean
--- Source: ours
function schema.may_be_empty(node, names)
  if node.optional then return true end
  if node.kind == "ref" and names and names[node.name] then
    return schema.may_be_empty(names[node.name], names)
  end
  if node.kind ~= "object" then return false end
  for _, f in ipairs(node.fields or {}) do
    if not f.node.optional and f.node.default == nil then return false end
  end
  return true
end

return schema
