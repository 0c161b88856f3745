-- reply.lua - answers that are more than a value. A handler returns one of these; lua/answer.lua
-- sends it.

local fail = require("fail")

local reply = {}

--- What marks a reply, for lua/answer.lua: t[reply.MARK] is its kind.
reply.MARK = {}
local MARK = reply.MARK

local function make(kind, t)
  t[MARK] = kind
  return t
end

local function check_status(status, default)
  if status == nil then return default end
  if math.type(status) ~= "integer" or status < 200 or status > 599 then
    error("status is " .. tostring(status) .. ", expected a whole number from 200 to 599", 3)
  end
  return status
end

local function check_text(name, v)
  if type(v) ~= "string" then error(name .. " is a " .. type(v) .. ", expected text", 3) end
  return v
end

local function check_fn(v)
  if type(v) ~= "function" then error("expected a function, found a " .. type(v), 3) end
  return v
end

--- A value as JSON.
--- @param value any
--- @param status integer?  200
--- @param headers table?  { name = value }
--- @return reply
--- Source: ours
function reply.json(value, status, headers)
  return make("json", { value = value, status = check_status(status, 200), headers = headers })
end

--- Plain text.
--- @param text string
--- @param status integer?  200
--- @param headers table?
--- @return reply
--- Source: ours
function reply.text(text, status, headers)
  return make("body", { body = check_text("text", text), status = check_status(status, 200),
                        headers = headers, type = "text/plain; charset=utf-8" })
end

--- An HTML page. Scripts and styles in the page itself are refused by its content policy, unless
--- opt.policy says otherwise.
--- @param html string
--- @param opt table? { status = 200, headers, policy = content security policy }
--- @return reply
--- Source: W3C Content Security Policy Level 3
function reply.html(html, opt)
  opt = opt or {}
  return make("html", { body = check_text("html", html), status = check_status(opt.status, 200),
                        headers = opt.headers, policy = opt.policy })
end

--- A file, with ETag, ranges and conditional requests. It must be below the data folder.
--- @param path string
--- @param opt table? { content_type, download = name the client saves it under, cache = Cache-Control,
---   immutable = false, once = false (the file was made for this answer and is removed when it is open) }
--- @return reply
--- Raises: not_found (a path that leads upwards)
--- Source: RFC 9110, 13 and 14
function reply.file(path, opt)
  opt = opt or {}
  check_text("path", path)
  if path:find("/../", 1, true) or path:sub(1, 3) == "../" or path:sub(-3) == "/.." then
    fail.raise("not_found", "there is no such file") -- part of it may come from a client
  end
  return make("file", { path = path, opt = opt })
end

--- Bytes that are made here, with ETag and conditional requests.
--- @param bytes string
--- @param opt table { content_type, etag = text without quotes, cache, download, status = 200, headers }
--- @return reply
--- Source: RFC 9110, 13
function reply.bytes(bytes, opt)
  opt = opt or {}
  return make("bytes", { body = check_text("bytes", bytes), status = check_status(opt.status, 200),
                         type = opt.content_type or "application/octet-stream", etag = opt.etag,
                         cache = opt.cache, download = opt.download, headers = opt.headers })
end

--- Bytes as they come: fn(write) calls write(text) as often as it likes; it waits when the client is
--- slow. Cut short (no clean end) when fn raises.
--- @param fn function
--- @param opt table? { content_type = "application/octet-stream", status = 200, headers }
--- @return reply
--- Source: RFC 9112, 7.1
function reply.stream(fn, opt)
  opt = opt or {}
  return make("stream", { fn = check_fn(fn), status = check_status(opt.status, 200),
                          type = opt.content_type or "application/octet-stream",
                          headers = opt.headers })
end

--- Server-sent events: fn(stream) calls stream:send{ event=, id=, data=, retry= } (data: text, or any
--- value as JSON). Comments keep the connection alive meanwhile. Ends when fn returns or the client
--- goes. Without a deadline, unless the route has one.
--- @param fn function
--- @param opt table? { keep_alive = 15 (seconds), headers }
--- @return reply
--- Source: WHATWG HTML, 9.2
function reply.events(fn, opt)
  opt = opt or {}
  return make("events", { fn = check_fn(fn), keep_alive = opt.keep_alive or 15, headers = opt.headers })
end

--- Sends the client elsewhere.
--- @param url string  path of this server or absolute
--- @param status integer?  303; or 301, 302, 307, 308
--- @return reply
--- Source: RFC 9110, 15.4
function reply.redirect(url, status)
  return make("empty", { status = check_status(status, 303), headers = { location = check_text("url", url) } })
end

--- No content.
--- @param status integer?  204
--- @param headers table?
--- @return reply
--- Source: RFC 9110, 15.3.5
function reply.empty(status, headers)
  return make("empty", { status = check_status(status, 204), headers = headers })
end

return reply
