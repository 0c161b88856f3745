-- request.lua - what a handler sees of a request: `req`.
--
--   req.path, req.query, req.headers, req.parts   tables of what the route declares, checked
--   req.body          the body, checked (routes that declare one)
--   req.key           { id, name, role } or nil; on a public route the key is looked at when asked for
--   req.method, req.id, req.remote, req.trace, req.target
--   req:header(name)  any header as sent
--   req:read()        next piece of a body nobody declared, nil at its end
--   req:text(max)     such a body as one string
--   req:save(path, max) --> bytes, sha256         such a body into a new file
--   req:keep(part)    keeps an uploaded file beyond the request: its path
--
-- Fields that cost something are made when first asked for. The request of the C side is behind a
-- key of our own, so scripts do not come by it.

local fail = require("fail")
local config = require("web_config")

local request = {}

local RAW = {}
request.RAW = RAW
--- Whose key a request carries: function(r) -> key or nil; set by lua/auth.lua.
request.identify = nil

local methods = {}

local function must(value, message, code)
  if value ~= nil then return value end
  if message == nil then return nil end
  if code == "limit" and not message:find("nested", 1, true) then fail.raise("body_too_large", message) end
  if code == "timeout" then fail.raise("request_timeout", message) end
  if code == "cancelled" or code == "io" or code == "nomem" or code == "full" then
    error({ code = code, message = message }, 0)
  end
  fail.raise("invalid_body", message)
end
--- Passes a value on; nil, message, code of reading a body becomes the error the client sees.
request.must = must

--- A header as the client sent it; several of one name are joined by ", ".
--- @param name string  in any case
--- @return string?
--- Source: RFC 9110, 5.3
function methods:header(name) return self[RAW]:header(name) end

--- The next piece of the body, nil at its end. For routes that declare no body.
--- Waits.
--- @return string?
--- Raises: body_too_large, request_timeout, invalid_body
--- Source: ours
function methods:read()
  local max = self.body_max or config.body_bytes
  local piece = must(self[RAW]:read())
  if piece then
    local n = (rawget(self, "n_read") or 0) + #piece
    rawset(self, "n_read", n)
    if n > max then fail.raise("body_too_large", "the request body is larger than " .. max .. " bytes") end
  end
  return piece
end

--- The whole body as it came.
--- Waits.
--- @param max integer?  bytes
--- @return string
--- Raises: body_too_large, request_timeout, invalid_body
--- Source: ours
function methods:text(max)
  return must(self[RAW]:body(max or self.body_max or config.body_bytes))
end

--- Writes the body to a new file.
--- Waits.
--- @param path string
--- @param max integer?  bytes
--- @return integer  bytes
--- @return string   SHA-256, hex
--- Raises: body_too_large, request_timeout, io, full
--- Source: ours
function methods:save(path, max)
  local bytes, hash, code = self[RAW]:save(path, max or self.body_max or config.upload_file_bytes)
  if not bytes then must(nil, hash, code) end
  return bytes, hash
end

--- Keeps an uploaded file, which would be deleted with the end of the request.
--- @param part table  of req.parts
--- @return string  its path
--- Source: ours
function methods:keep(part)
  self[RAW]:keep(part.path)
  return part.path
end

-- The right-most address that is no proxy of ours.
local function remote(r)
  local ip = r:remote()
  if config.trusted and config.trusted[ip] then
    local list = r:header("x-forwarded-for")
    if list and #list <= 1000 then
      local found = ip
      for one in list:gmatch("[^,]+") do
        one = one:match("^ *([%x.:]+) *$")
        if one and not config.trusted[one] then found = one end
      end
      return found
    end
  end
  return ip
end
--- The address of the client, also behind proxies that are trusted: function(r) -> text.
request.remote = remote

local LAZY = {
  id = function(r) return r:id() end,
  method = function(r) return r:method() end,
  target = function(r) return r:target() end,
  remote = remote,
  trace = function(r) return r:traceparent() end,
  key = function(r) return request.identify and request.identify(r) end,
}

local NONE = setmetatable({}, { __newindex = function() error("these parameters are read-only", 2) end })
local EMPTY = { path = true, query = true, headers = true, parts = true }

request.META = {
  __name = "request",
  __metatable = false,
  __index = function(self, name)
    local m = methods[name]
    if m then return m end
    local make = LAZY[name]
    if make then
      local v = make(rawget(self, RAW))
      rawset(self, name, v == nil and false or v)
      return v or nil
    end
    if EMPTY[name] then return NONE end
    return nil
  end,
}

return request
