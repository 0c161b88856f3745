-- route.lua - from declarations to answers. route_check.lua reads the files, route_input.lua takes
-- the inputs, answer.lua sends; here each route becomes one chain of what must happen, prepared when
-- the generation is built, so that a request is a handful of table reads.
--
-- The order of a chain: address limit, key and role, key limit, path + query + headers, body, run.

local answer = require("answer")
local auth = require("auth")
local config = require("web_config")
local core = require("core.server")
local core_task = require("core.task")
local fail = require("fail")
local generation = require("generation")
local limit = require("limit")
local request = require("request")
local route_check = require("route_check")
local route_input = require("route_input")
local schema = require("schema")

local route = {}

local RAW, META = request.RAW, request.META
local setmetatable, pcall = setmetatable, pcall
local RANK = { viewer = 1, operator = 2, admin = 3 }

--- Checks what a file of workflows/routes returned.
--- @param path string
--- @param value table
--- @return table  array of route records, and `schemas`
--- Raises: invalid, naming file, route and key
--- Source: ours
route.check = route_check.file

-- Schemas that every route may name.
local BUILT_IN = {
  error = { error = { code = "text", message = "text", request_id = "text", details = "object",
                      ["retry_info?"] = "object", ["exception?"] = "object" } },
}

local by_address, by_key

-- what, name -> headers that tell of the limit; raises rate_limited
local function take(l, what, name)
  local ok, left, wait = limit.take(l, name)
  local policy, state = limit.headers(l, what, left, wait)
  local headers = { ["ratelimit-policy"] = policy, ["ratelimit"] = state }
  if ok then return headers end
  local err = fail.rate_limited("too many requests for this " .. what, { limit = what })
  err.headers, err.retry_after = headers, wait
  error(err, 0)
end

local function demand(key, rank, role, r)
  if not key then error(auth.refusal(), 0) end
  r:note("key", key.id)
  if RANK[key.role] < rank then
    fail.raise("forbidden", "this needs the role " .. role .. "; the key has the role " .. key.role)
  end
end

-- Everything between the match and the handler; nil when there is nothing.
local function make_steps(rec, cx)
  local front, body = route_input.make(rec, cx)
  local rank = rec.role and RANK[rec.role]
  local own = rec.rate and limit.new(rec.rate.rate, rec.rate.burst)
  local deadline_ms = rec.deadline and math.ceil(rec.deadline * 1000)
  local run, body_max = rec.run, rec.body_max
  local identify = auth.identify
  if not (front or body or rank or own or deadline_ms or body_max or by_address or by_key) then return run end
  return function(req, params)
    local r = req[RAW]
    local more
    if deadline_ms then core_task.limits(config.burst_ms, deadline_ms) end
    if by_address then more = take(by_address, "address", request.remote(r)) end
    if rank then
      local key = identify(r)
      demand(key, rank, rec.role, r)
      req.key = key
      if by_key then more = take(by_key, "key", key.id) end
    end
    if own then
      local key = rank and req.key
      more = take(own, key and "key" or "address", key and key.id or request.remote(r))
    end
    if more then req[META] = more end
    if body_max then req.body_max = body_max end
    if front then front(req, params) end
    if body then body(req, r) end
    return run(req)
  end
end

local MARK = require("reply").MARK

-- One protected call for everything; what it costs beyond the handler is a few table reads.
local function make_chain(rec, cx)
  local steps, label = make_steps(rec, cx), rec.name
  local base = rec.role ~= false and answer.PRIVATE or answer.STATIC
  local headers_of_it = answer.ready(base)
  local has_deadline = rec.deadline ~= nil
  local has_more = rec.rate ~= nil or by_address ~= nil or by_key ~= nil
  local fail_with, value_of, is_plain = answer.fail, answer.value, not config.cors
  local function whole(r, req, params)
    local value, status, headers = steps(req, params)
    local more = has_more and rawget(req, META) or nil
    if type(value) == "table" then
      local kind = value[MARK]
      if kind then
        if has_deadline then value.has_deadline = true end
      elseif is_plain and not headers and not more then -- the usual answer, by the shortest way
        local ok, message, code = r:reply_json(status or 200, headers_of_it, value)
        if ok then return end
        error({ code = code, message = message }, 0)
      end
    end
    return value_of(r, value, status, headers, base, more)
  end
  return function(r, params)
    r:label(label)
    local req = setmetatable({ [RAW] = r }, META)
    local ok, err = pcall(whole, r, req, params)
    if not ok then return fail_with(r, err, has_more and rawget(req, META) or nil, true) end
  end
end

-- { name = node } of all files; two files may not say different things under one name.
local function collect_schemas(parts)
  local names, files = {}, {}
  for name, decl in pairs(BUILT_IN) do
    names[name], files[name] = schema.parse(decl, name), "the framework"
  end
  for _, records in ipairs(parts) do
    for name, s in pairs(records.schemas) do
      if names[name] then
        error({ code = "invalid", message = s.file .. ": the schema " .. name .. " is also in " .. files[name] }, 0)
      end
      names[name], files[name] = s.node, s.file
    end
  end
  return names, files
end

local function clash(list, message)
  local seen = {}
  for _, rec in ipairs(list) do
    local key = rec.method .. " " .. rec.pattern:gsub("{[^}.]*}", "{}"):gsub("{[^}]*%.%.%.}", "{...}")
    if seen[key] then
      error({ code = "invalid", message = rec.file .. ": " .. rec.name .. " is also in " .. seen[key].file ..
              (seen[key].name ~= rec.name and " as " .. seen[key].name or "") }, 0)
    end
    seen[key] = rec
  end
  error({ code = "invalid", message = message }, 0)
end

--- Puts the routes of all files together.
--- @param parts table  array of what route.check returned
--- @return table { router, list = array of records, chains, schemas = { name = node } }
--- Raises: invalid (two routes for one path, with both files; a schema nobody declares)
--- Source: ours
function route.build(parts)
  by_address = config.per_address > 0 and (by_address or limit.new(config.per_address, config.burst_address)) or nil
  by_key = config.per_key > 0 and (by_key or limit.new(config.per_key, config.burst_key)) or nil
  answer.configure()
  local list = {}
  for _, records in ipairs(parts) do
    for _, rec in ipairs(records) do list[#list + 1] = rec end
  end
  local names, files = collect_schemas(parts)
  local router, message = core.router(list)
  if not router then clash(list, message) end
  local built = { router = router, list = list, chains = {}, schemas = names }
  local done = { text = {}, json = {} }
  for name, node in pairs(names) do
    schema.compile(node, { names = names, done = done, where = files[name] .. ": schemas." .. name })
  end
  for i, rec in ipairs(list) do
    local cx = { names = names, done = done, where = rec.where }
    built.chains[i] = make_chain(rec, cx)
    for status, response in pairs(rec.response) do
      if response.node then
        local where = rec.where .. ": response[" .. status .. "]"
        schema.compile(response.node, { names = names, done = done, where = where })
      end
    end
  end
  return built
end

--- How lua/generation.lua checks and builds workflows/routes.
--- Source: ours
route.kind = {
  check = route.check,
  build = function(parts)
    local files = {}
    for i, part in ipairs(parts) do files[i] = part.value end
    return route.build(files)
  end,
}
generation.kind("routes", route.kind)

-- OPTIONS: what the path can do; to a browser of an allowed origin, how it may be asked (CORS).
local function options(r, allow)
  local origin, wanted = r:header("origin"), r:header("access-control-request-method")
  local h = { allow = allow }
  if config.cors and origin and wanted and (config.cors["*"] or config.cors[origin]) then
    h["access-control-allow-methods"] = allow
    h["access-control-allow-headers"] = r:header("access-control-request-headers")
      or "Authorization, Content-Type, X-API-Key"
    h["access-control-max-age"] = "600"
  end
  answer.value(r, nil, 204, h, answer.STATIC)
end

--- Answers one request: the body of on_request. Waits as its handler does.
--- @param r core.request
--- @param g table  generation: `routes` is what route.build returned
--- @return any  nothing of use: the answer is on its way
--- Source: ours
function route.dispatch(r, g)
  local built = g.routes
  local index, params, allow = built.router:match(r)
  if index then return built.chains[index](r, params) end
  if params == "method" then
    if r:method() == "OPTIONS" then
      r:label("OPTIONS")
      return options(r, allow)
    end
    r:label("405")
    return answer.fail(r, fail.new("method_not_allowed", r:method() .. " is not for this path; " .. allow .. " are"),
                       { allow = allow })
  end
  r:label("404")
  return answer.fail(r, fail.not_found("there is nothing at this path"))
end

return route
