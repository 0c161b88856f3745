-- route_input.lua - takes from a request what its route declares, checked: path, query, headers,
-- body, multipart. Prepared once for each route.

local config = require("web_config")
local core = require("core.server")
local fail = require("fail")
local json = require("core.json")
local request = require("request")
local schema = require("schema")

local route_input = {}

local RAW, must = request.RAW, request.must
local lower, find, gsub, sub = string.lower, string.find, string.gsub, string.sub
local null = json.null

local errs = { n = 0 } -- of whoever checks now; never kept across a wait

local function refuse(where, from)
  for i = from + 1, math.min(errs.n, 50) do table.insert(errs[i].loc, 1, where) end
end

local function raise()
  local found, n = json.array({}), errs.n
  for i = 1, math.min(n, 50) do
    errs[i].loc = json.array(errs[i].loc)
    found[i] = errs[i]
  end
  errs = { n = 0 }
  local first = found[1]
  local message = table.concat(first.loc, ".") .. ": " .. first.msg
  if n > 1 then message = message .. " (and " .. (n - 1) .. " more)" end
  fail.raise("validation_error", message, { errors = found })
end

-- name as declared -> name on the wire
local function header_name(name) return (gsub(lower(name), "_", "-")) end

local function take_headers(node)
  local names, wire = {}, {}
  for i, f in ipairs(node.fields) do names[i], wire[i] = f.name, header_name(f.name) end
  return function(r)
    local t = {}
    for i = 1, #names do t[names[i]] = r:header(wire[i]) end
    return t
  end
end

local function media_type(r)
  local ct = r:header("content-type")
  if not ct then return nil end
  local at = find(ct, ";", 1, true)
  return lower(gsub(at and sub(ct, 1, at - 1) or ct, "%s", ""))
end

local function has_no_body(r)
  return r:body_bytes() == nil and r:header("transfer-encoding") == nil or r:body_bytes() == 0
end

local function make_body(node, cx, max)
  local may_be_empty = schema.may_be_empty(node, cx.names)
  local check = schema.compile(node, { names = cx.names, done = cx.done, where = cx.where .. ": body" })
  local check_form = schema.compile(node, { names = cx.names, done = cx.done, text = true,
                                            where = cx.where .. ": body" })
  return function(req, r)
    local value, use = nil, check
    local ct = r:header("content-type") -- compared whole first: nearly always just this
    if ct ~= "application/json" then
      ct = media_type(r)
      if has_no_body(r) then
        if not may_be_empty then fail.raise("invalid_body", "the request has no body, expected JSON") end
        if node.optional then return end
        value = {}
      elseif ct == "application/x-www-form-urlencoded" then
        value, use = must(core.form(must(r:body(max)))), check_form
      elseif ct and ct ~= "application/json" and not find(ct, "+json", -5, true) then
        fail.raise("unsupported_media_type", "the body is " .. ct .. ", expected application/json")
      end
    elseif may_be_empty and has_no_body(r) then
      if node.optional then return end
      value = {}
    end
    if value == nil then
      value = must(r:json(max))
    end
    if value == null and may_be_empty then
      if node.optional then return end
      value = {}
    end
    errs.n = 0
    value = check and use(value, errs)
    if errs.n > 0 then
      refuse("body", 0)
      raise()
    end
    req.body = value
  end
end

-- parts as a table by name: text of a field, table of a file, array of either when repeated
local function gather(parts)
  local t = {}
  for i = 1, #parts do
    local p = parts[i]
    local value = p.value
    if p.path then value = p; p.filename = p.filename or "" end
    local old = t[p.name]
    if old == nil then t[p.name] = value
    elseif type(old) == "table" and not old.path then old[#old + 1] = value
    else t[p.name] = { old, value } end
  end
  return t
end

local function make_multipart(node, cx, max)
  local check = schema.compile(node, { names = cx.names, done = cx.done, text = true,
                                       where = cx.where .. ": multipart" })
  return function(req, r)
    local ct = media_type(r)
    if ct ~= "multipart/form-data" then
      fail.raise("unsupported_media_type", "the body is " .. (ct or "of no type") ..
                 ", expected multipart/form-data")
    end
    local parts = must(r:multipart({ dir = config.upload_dir, total_max = max or config.upload_total_bytes,
                                     part_max = config.upload_file_bytes, parts_max = 200 }))
    local value = gather(parts)
    errs.n = 0
    value = check(value, errs)
    if errs.n > 0 then
      refuse("body", 0)
      raise()
    end
    req.parts = value
  end
end

--- Prepares the inputs of a route.
--- @param rec table  a record of route.check
--- @param cx table   { names = named schemas, done = cache of compiled ones, where = label }
--- @return function?  (req, params) for path, query and headers; nil: nothing is declared
--- @return function?  (req, r) for the body
--- Raises: invalid
--- Source: ours
function route_input.make(rec, cx)
  local function compile(node, part)
    return node and schema.compile(node, { names = cx.names, done = cx.done, text = true,
                                           where = cx.where .. ": " .. part })
  end
  local path, query = compile(rec.path, "path"), compile(rec.query, "query")
  local headers, take = compile(rec.headers, "headers"), rec.headers and take_headers(rec.headers)
  local front
  if path or query or headers then
    front = function(req, params)
      local r = req[RAW]
      errs.n = 0
      if path then
        req.path = path(params or {}, errs)
        if errs.n > 0 then refuse("path", 0) end
      end
      local before = errs.n
      if query then
        req.query = query(must(r:query()), errs)
        if errs.n > before then refuse("query", before) end
        before = errs.n
      end
      if headers then
        req.headers = headers(take(r), errs)
        if errs.n > before then refuse("header", before) end
      end
      if errs.n > 0 then raise() end
    end
  end
  local body
  if rec.body then body = make_body(rec.body, cx, rec.body_max or config.body_bytes) end
  if rec.multipart then body = make_multipart(rec.multipart, cx, rec.body_max) end
  return front, body
end

return route_input
