-- answer.lua - puts answers on the wire: values, replies (lua/reply.lua), errors.
--
-- Errors are { "error": { code, message, request_id, details, … } }, or application/problem+json for
-- clients that ask for it (RFC 9457). Every answer carries the security headers.

local config = require("web_config")
local core = require("core.server")
local fail = require("fail")
local json = require("core.json")
local log = require("log")
local MARK = require("reply").MARK

local answer = {}

local find, lower, format = string.find, string.lower, string.format

local STATIC = { -- for everything that is no page: nothing in it may be run or framed
  ["x-content-type-options"] = "nosniff",
  ["referrer-policy"] = "no-referrer",
  ["content-security-policy"] = "default-src 'none'; frame-ancestors 'none'",
}
local PAGE_POLICY = "default-src 'self'; img-src 'self' data:; style-src 'self'; script-src 'self'; "
  .. "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
local PRIVATE = { ["cache-control"] = "no-store" } -- answers that need a key
for k, v in pairs(STATIC) do PRIVATE[k] = v end
local EXPOSED = "X-Request-Id, Retry-After, RateLimit, RateLimit-Policy, ETag, Location, Content-Disposition, "
  .. "Link, X-Total-Count"

-- The same, ready for the wire: nothing to check or copy name by name.
local ready = {}

--- Takes over what the settings say; called once they are known.
--- Source: ours
function answer.configure()
  local hsts = config.tls and "max-age=31536000" or nil
  STATIC["strict-transport-security"], PRIVATE["strict-transport-security"] = hsts, hsts
  ready[STATIC], ready[PRIVATE] = core.headers(STATIC), core.headers(PRIVATE)
end

--- The constant headers in the form r:reply_json and its like take at once.
--- @param base table  answer.PRIVATE or answer.STATIC
--- @return core.headers
--- Source: ours
function answer.ready(base)
  return ready[base]
end

-- The headers of one answer: the constant ones as they are when nothing is to be added.
local function head(r, base, extra, more)
  local origin
  if config.cors then
    origin = r:header("origin")
    if origin and not (config.cors["*"] or config.cors[origin]) then origin = nil end
  end
  if not extra and not more and not origin then return ready[base] end
  local h = {}
  for k, v in pairs(base) do h[k] = v end
  if origin then
    h["access-control-allow-origin"], h.vary = origin, "Origin"
    h["access-control-expose-headers"] = EXPOSED
    if not config.cors["*"] then h["access-control-allow-credentials"] = "true" end
  end
  for k, v in pairs(more or {}) do h[lower(k)] = v end
  for k, v in pairs(extra or {}) do h[lower(k)] = v end
  return h
end

-- What cannot be sent is an error of the script, unless an answer is under way already.
local function must(r, ok, message, code)
  if ok then return end
  if r:on_wire() == "none" then error({ code = code or "invalid", message = message }, 0) end
  log.warn("answer not sent", { message = message, code = code, request_id = r:id() })
end

local PHRASE = {
  [400] = "Bad Request", [401] = "Unauthorized", [403] = "Forbidden", [404] = "Not Found",
  [405] = "Method Not Allowed", [406] = "Not Acceptable", [408] = "Request Timeout", [409] = "Conflict",
  [410] = "Gone", [412] = "Precondition Failed", [413] = "Content Too Large",
  [415] = "Unsupported Media Type", [422] = "Unprocessable Content", [429] = "Too Many Requests",
  [500] = "Internal Server Error", [501] = "Not Implemented", [502] = "Bad Gateway",
  [503] = "Service Unavailable", [507] = "Insufficient Storage",
}

-- Errors of the framework itself, which never had that other form.
local OURS = { validation_error = true, invalid_body = true, body_too_large = true, request_timeout = true,
               unsupported_media_type = true, authentication_error = true, forbidden = true, rate_limited = true }

-- Clients of old read error.details.original_detail; new ones error.code and error.details.
local function with_original(code, message, details, after)
  local d = {}
  for k, v in pairs(details or {}) do d[k] = v end
  if not OURS[code] and d.original_detail == nil then
    d.original_detail = { code = code, message = message, details = details,
                          retry_after_seconds = details and details.retry_after_seconds or after }
  end
  return d
end

local function describe(err)
  if type(err) == "table" then
    local m = rawget(err, "message")
    return type(m) == "string" and m or "an error object without a message", rawget(err, "code")
  end
  return type(err) == "string" and err or "an error of type " .. type(err), nil
end

--- Answers with an error. Never says more about a fault of ours than that it is one.
--- @param r core.request
--- @param err any  what was raised
--- @param more table?  further headers
--- @param is_route boolean?  raised by a route's own code
--- @return any  nothing of use: the answer is on its way
--- Source: RFC 9457; plastinka.md 1.4
function answer.fail(r, err, more, is_route)
  local code, status, message, details, foreseen, after = fail.explain(err)
  if type(err) == "table" and rawget(err, "code") == "cancelled" and r:cancelled() then error(err, 0) end
  if not foreseen then
    local text, inner = describe(err)
    log.error("request failed", { request_id = r:id(), code = inner or code, message = text })
  end
  if r:on_wire() ~= "none" then error(err, 0) end -- half an answer: the connection must be cut
  local own = type(err) == "table" and rawget(err, "headers")
  if own then
    more = more or {}
    for k, v in pairs(own) do more[k] = v end
  end
  if after then
    more = more or {}
    more["retry-after"] = format("%d", math.max(0, math.ceil(after)))
  end
  local exception
  if config.development and not foreseen then
    local text, inner = describe(err)
    exception = { type = inner or type(err), message = text }
  end
  details = is_route and foreseen and with_original(code, message, details, after) or details or {}
  local accept = r:header("accept")
  if accept and find(accept, "application/problem+json", 1, true) then
    local h = head(r, PRIVATE, { ["content-type"] = "application/problem+json" }, more)
    return must(r, r:reply_json(status, h, {
      type = "about:blank", title = PHRASE[status] or "Error", status = status, detail = message,
      code = code, request_id = r:id(), details = details, exception = exception }))
  end
  return must(r, r:reply_json(status, head(r, PRIVATE, nil, more), { error = {
    code = code, message = message, request_id = r:id(), details = details, exception = exception,
    retry_info = status == 503 and { retry_after = after or json.null, max_retries = 3 } or nil } }))
end

local function merge(a, b)
  if not a then return b end
  if not b then return a end
  local t = {}
  for k, v in pairs(a) do t[k] = v end
  for k, v in pairs(b) do t[k] = v end
  return t
end

local send = {}

function send.json(r, p, base, more)
  must(r, r:reply_json(p.status, head(r, base, p.headers, more), p.value == nil and json.null or p.value))
end

function send.body(r, p, base, more)
  must(r, r:reply(p.status, head(r, base, merge(p.headers, { ["content-type"] = p.type }), more), p.body))
end

function send.html(r, p, base, more)
  local h = merge(p.headers, { ["content-type"] = "text/html; charset=utf-8",
                               ["content-security-policy"] = p.policy or PAGE_POLICY })
  must(r, r:reply(p.status, head(r, base, h, more), p.body))
end

function send.empty(r, p, base, more)
  must(r, r:reply(p.status, head(r, base, p.headers, more)))
end

local function quoted(name)
  return (name:gsub('[%c"\\/]', "_"))
end

function send.bytes(r, p, base, more)
  local h = merge(p.headers, { ["content-type"] = p.type, ["cache-control"] = p.cache,
    ["content-disposition"] = p.download and 'attachment; filename="' .. quoted(p.download) .. '"' })
  h = head(r, base, h, more)
  if p.etag then
    must(r, r:reply_bytes(p.status, h, p.body, '"' .. quoted(p.etag) .. '"'))
  else
    must(r, r:reply(p.status, h, p.body))
  end
end

function send.file(r, p)
  local root = config.data_dir
  if root and p.path:sub(1, #root + 1) ~= root .. "/" then
    error({ code = "invalid", message = "a file outside of the data folder: " .. p.path }, 0)
  end
  local ok, message, code = r:reply_file(p.path, p.opt)
  if p.opt.once then pcall(require("fs").remove, p.path) end
  if not ok and code == "notfound" then error(fail.not_found("there is no such file"), 0) end
  must(r, ok, message, code)
end

function send.stream(r, p, base, more)
  must(r, r:start(p.status, head(r, base, merge(p.headers, { ["content-type"] = p.type }), more)))
  p.fn(function(text)
    local ok, message, code = r:write(text)
    if not ok then error({ code = code, message = message }, 0) end
  end)
  must(r, r:finish())
end

function send.events(r, p, base, more)
  return require("events").run(r, p, head(r, base, merge(p.headers, {
    ["content-type"] = "text/event-stream", ["cache-control"] = "no-store", ["x-accel-buffering"] = "no",
  }), more))
end

--- The constant headers of answers: those that need a key, and others.
answer.PRIVATE, answer.STATIC = PRIVATE, STATIC

--- Answers with what a handler returned.
--- @param r core.request
--- @param value any  reply, or a value that becomes JSON; nil: 204
--- @param status integer?  200
--- @param headers table?
--- @param base table  answer.PRIVATE or answer.STATIC
--- @param more table?  further headers, of the framework
--- Raises: invalid, nan, limit (a value that is no JSON)
--- Source: ours
function answer.value(r, value, status, headers, base, more)
  if type(value) == "table" then
    local kind = value[MARK]
    if kind then return send[kind](r, value, base, more) end
  end
  if value == nil and not status then
    return must(r, r:reply(204, head(r, base, headers, more)))
  end
  local h = head(r, base, headers, more)
  if value == nil then return must(r, r:reply(status, h)) end
  local ok, message, code = r:reply_json(status or 200, h, value)
  if not ok then return must(r, ok, message, code) end
end

return answer
