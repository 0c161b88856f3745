-- route_check.lua - reads the table that a file of workflows/routes returns. Every mistake is told
-- with the file, the route and the key it is in.

local schema = require("schema")

local route_check = {}

local METHODS = { GET = true, POST = true, PUT = true, PATCH = true, DELETE = true }
local ROLES = { viewer = true, operator = true, admin = true }
local KEYS = {
  summary = "string", description = "string", tags = "table", role = "any", path = "table",
  query = "table", headers = "table", body = "any", multipart = "table", body_max = "number",
  response = "table", deadline = "any", rate = "any", run = "function", hidden = "boolean",
  deprecated = "boolean",
}

local function bad(where, message)
  error({ code = "invalid", message = where .. ": " .. message }, 0)
end

local function show(v)
  return type(v) == "string" and '"' .. v .. '"' or tostring(v)
end

local UNITS = { s = 1, m = 60, h = 3600, d = 86400 }

local function seconds(where, v)
  if type(v) == "string" then
    local n, unit = v:match("^(%d+%.?%d*)(%a+)$")
    if n and UNITS[unit] then return tonumber(n) * UNITS[unit] end
    if n and unit == "ms" then return tonumber(n) / 1000 end
  elseif type(v) == "number" and v >= 0 and v < 1e9 then
    return v
  end
  bad(where, "deadline is " .. show(v) .. ', expected seconds or text like "30s", "5m"')
end

local function bytes(where, v)
  if math.tointeger(v) == nil or v < 0 then
    bad(where, "body_max is " .. tostring(v) .. ", expected a number of bytes")
  end
  return math.tointeger(v)
end

local function rate(where, v)
  if type(v) == "string" then
    local n, unit = v:match("^(%d+)/(%a)$")
    if n and UNITS[unit] and tonumber(n) > 0 then
      return { rate = tonumber(n) / UNITS[unit], burst = tonumber(n) }
    end
  elseif type(v) == "table" and type(v.per_second) == "number" and v.per_second > 0 then
    local burst = v.burst or math.max(1, v.per_second)
    if type(burst) == "number" and burst >= 1 then return { rate = v.per_second, burst = burst } end
  end
  bad(where, 'rate is not understood; expected text like "10/m" or { per_second = 5, burst = 20 }')
end

-- Names in the pattern; { name = true }
local function params_of(where, pattern)
  local names = {}
  for segment in pattern:gmatch("[^/]+") do
    local name = segment:match("^{([%a_][%w_]*)%.?%.?%.?}$")
    if name then
      if names[name] then bad(where, "the path has two parameters called " .. name) end
      names[name] = true
    elseif segment:find("[{}]") then
      bad(where, "the segment " .. show(segment) .. " is not understood; expected {name}")
    end
  end
  return names
end

local function parse(where, part, decl)
  return schema.parse(decl, where .. ": " .. part)
end

local function parameters(where, part, decl)
  if decl[1] ~= nil then bad(where, part .. " is an array, expected { name = \"type\", … }") end
  local node = parse(where, part, decl)
  node.extra = "drop"
  return node
end

local function path_of(where, pattern, decl)
  local names = params_of(where, pattern)
  if not next(names) then
    if decl and next(decl) then bad(where, "path is declared, but the path has no {name} in it") end
    return nil
  end
  local full = {}
  for name in pairs(names) do full[name] = "text 1..500" end
  for name, d in pairs(decl or {}) do
    if not names[name] then
      local near = schema.nearest(name, names)
      bad(where, "path." .. tostring(name) .. " is not in the pattern" ..
          (near and "; did you mean " .. near .. "?" or ""))
    end
    full[name] = d
  end
  return parameters(where, "path", full)
end

local function responses(where, decl)
  local out = {}
  for status, d in pairs(decl) do
    if math.type(status) ~= "integer" or status < 200 or status > 599 then
      bad(where, "response[" .. show(status) .. "]: expected a status from 200 to 599")
    end
    if d == false then
      out[status] = { none = true }
    elseif type(d) == "table" and type(d.content_type) == "string" then
      out[status] = { content_type = d.content_type, doc = d.doc }
    else
      out[status] = { node = parse(where, "response[" .. status .. "]", d) }
    end
  end
  return out
end

local function check_keys(where, d)
  for key, v in pairs(d) do
    local want = KEYS[key]
    if not want then
      local near = schema.nearest(key, KEYS)
      bad(where, "unknown key " .. show(key) .. (near and "; did you mean " .. near .. "?" or ""))
    end
    if want ~= "any" and type(v) ~= want then
      bad(where, key .. " is a " .. type(v) .. ", expected a " .. want)
    end
  end
  if d.run == nil then bad(where, "run is missing: the function that answers") end
  if d.role == nil then
    bad(where, "role is missing: say who may call it (viewer, operator, admin), or false for everybody")
  end
  if d.role ~= false and not ROLES[d.role] then
    bad(where, "role is " .. show(d.role) .. ", expected viewer, operator, admin or false")
  end
  if d.body ~= nil and d.multipart ~= nil then bad(where, "a route has a body or multipart, not both") end
  for i, tag in pairs(d.tags or {}) do
    if math.type(i) ~= "integer" or type(tag) ~= "string" then bad(where, "tags is not an array of texts") end
  end
end

local function one(file, name, d)
  local where = file .. ": " .. name
  local method, pattern = name:match("^(%u+) (/%S*)$")
  if not method or not METHODS[method] then
    bad(file, show(name) .. ' is no route; expected "GET /path/{name}" with GET, POST, PUT, PATCH or DELETE')
  end
  if type(d) ~= "table" then bad(where, "a " .. type(d) .. ", expected a table") end
  check_keys(where, d)
  local rec = {
    file = file, name = name, method = method, pattern = pattern, where = where, run = d.run,
    role = d.role, summary = d.summary, description = d.description, tags = d.tags, hidden = d.hidden,
    deprecated = d.deprecated, path = path_of(where, pattern, d.path),
    query = d.query and parameters(where, "query", d.query),
    headers = d.headers and parameters(where, "headers", d.headers),
    response = responses(where, d.response or {}),
    deadline = d.deadline ~= nil and seconds(where, d.deadline) or nil,
    rate = d.rate ~= nil and rate(where, d.rate) or nil,
    body_max = d.body_max and bytes(where, d.body_max),
  }
  if d.body ~= nil or d.multipart ~= nil then
    if method == "GET" then bad(where, "a GET has no body") end
    if d.body ~= nil then rec.body = parse(where, "body", d.body) end
    if d.multipart ~= nil then rec.multipart = parse(where, "multipart", d.multipart) end
  end
  return rec
end

--- Checks what a file returned.
--- @param path string   "workflows/routes/jobs.lua"
--- @param value table   { ["GET /x"] = { … }, schemas = { name = declaration } }
--- @return table  array of records, sorted by name, with `schemas` = { name = { node, file } }
--- Raises: invalid
--- Source: ours
function route_check.file(path, value)
  if type(value) ~= "table" then bad(path, "returned a " .. type(value) .. ", expected a table of routes") end
  local names, records = {}, { schemas = {} }
  for name in pairs(value) do
    if type(name) ~= "string" then bad(path, "a route is called " .. tostring(name) .. ', expected "GET /path"') end
    if name ~= "schemas" then names[#names + 1] = name end
  end
  table.sort(names)
  for i, name in ipairs(names) do records[i] = one(path, name, value[name]) end
  if value.schemas ~= nil then
    if type(value.schemas) ~= "table" then bad(path, "schemas is not a table") end
    for name, decl in pairs(value.schemas) do
      if type(name) ~= "string" or not name:match("^[%a_][%w_]*$") then
        bad(path, "schemas: " .. show(name) .. " is no name")
      end
      records.schemas[name] = { node = schema.parse(decl, path .. ": schemas." .. name), file = path }
    end
  end
  return records
end

return route_check
