-- http.lua - requests to other servers. Connections are kept and used again; redirects are not
-- followed and certificates are checked unless the script says otherwise.

local core = require("core.http")
local json = require("json")
local task = require("task")
local raise = require("raise")
local http = {}

local Reply = {}
Reply.__index = Reply

--- The body read as JSON.
--- @return any
--- Raises: remote (a body that is no JSON), naming the address
--- Source: ours
function Reply:json()
  local ok, value = pcall(json.decode, self.body)
  if not ok then
    raise.error("remote", self.url .. " answered " .. self.status .. " with a body that is no JSON: "
      .. tostring(value.message or value))
  end
  return value
end

local function prepared(opt)
  local o = {}
  for k, v in pairs(opt) do o[k] = v end
  if o.json ~= nil then
    if o.body ~= nil or o.file ~= nil then error("json, body and file: one of them expected", 3) end
    local headers, has_type = {}, false
    for name, value in pairs(o.headers or {}) do
      headers[name] = value
      has_type = has_type or name:lower() == "content-type"
    end
    if not has_type then headers["Content-Type"] = "application/json" end
    o.headers, o.body, o.json = headers, json.encode(o.json), nil
    o.method = o.method or "POST"
  end
  return o
end

--- Sends a request and returns the answer, whatever its status.
--- Waits; cancellable.
--- @param opt table  { url,
---   method = "GET" (POST with json), headers = { name = text | array of texts },
---   body = text | json = any value | file = path,
---   to_file = path of a new file, kept only when the status is 2xx and everything came,
---   timeout = 60 s, connect_timeout = 10 s, max_bytes = 32 MiB (to_file: 1 TiB),
---   redirects = 0, http2 = "offer" | "never" | "always", proxy = url, ca = PEM file,
---   verify = true, ok = false (true: a status that is not 2xx raises),
---   tries = 1, base = 2 s, max_delay = 30 s (back-off base * 2^(n-1), times 0.75 … 1.25; only what
---   may be repeated is: RFC 9110 9.2.2, and 408, 429, 500, 502, 503, 504, or no answer;
---   Retry-After is honoured) }
--- @return table  { status, headers (lower-case names), body, bytes, seconds, url, redirects, tries,
---   json = method }
--- Raises: remote, timeout, limit, invalid, notfound, exists, full, auth, cancelled
function http.request(opt)
  local o = prepared(opt)
  local tries = o.tries or 1
  o.base_ms, o.max_ms = math.ceil((o.base or 2) * 1000), math.ceil((o.max_delay or 30) * 1000)
  local n = 0
  while true do
    n = n + 1
    o.attempt = n
    local reply, message, code, delay_ms = core.fetch(o)
    if delay_ms == nil or n >= tries then
      if reply == nil then raise.error(code, message, { tries = n }) end
      if o.ok and (reply.status < 200 or reply.status > 299) then
        raise.error("remote", string.format("%s answered %d: %s", reply.url, reply.status,
          reply.body:sub(1, 200)), { status = reply.status, body = reply.body:sub(1, 4096), tries = n })
      end
      reply.tries = n
      return setmetatable(reply, Reply)
    end
    task.sleep(delay_ms / 1000)
  end
end

local function with(url, opt, more)
  local o = {}
  for k, v in pairs(opt or {}) do o[k] = v end
  for k, v in pairs(more) do o[k] = v end
  o.url = url
  return http.request(o)
end

--- http.request with method GET.
--- Waits; cancellable.
--- @param url string
--- @param opt table? as http.request
--- @return table  as http.request
--- Raises: as http.request
function http.get(url, opt)
  return with(url, opt, { method = "GET" })
end

--- http.request with method POST; a table as body is sent as JSON.
--- Waits; cancellable.
--- @param url string
--- @param body string|table
--- @param opt table? as http.request
--- @return table  as http.request
--- Raises: as http.request
function http.post(url, body, opt)
  return with(url, opt, type(body) == "table" and { method = "POST", json = body }
    or { method = "POST", body = body })
end

return http
