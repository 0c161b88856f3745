-- What the black-box tests of core.server talk to. Arguments: name=value; limits by their names.
local server = require("core.server")
local task = require("core.task")

local limits, opt = {}, {}
for _, a in ipairs(arg) do
  local name, value = a:match("^([%w_]+)=(.*)$")
  if name == "cert" or name == "key" or name == "dir" or name == "host" then
    opt[name] = value
  elseif name == "fd" or name == "port" then
    opt[name] = math.tointeger(tonumber(value))
  elseif name == "reuse_port" then
    opt.reuse_port = true
  else
    limits[name] = math.tointeger(tonumber(value))
  end
end

local TEXT = { ["content-type"] = "text/plain" }
local HTML = { ["content-type"] = "text/html" }
local BIG = ("All happy families are alike. "):rep(1000)
local kept
local s

local function fail(r, message, code)
  local status = ({ limit = 413, parse = 400, timeout = 408, notfound = 404, exists = 409,
                    full = 507, invalid = 400, auth = 403 })[code] or 500
  return r:reply_json(status, nil, { code = code, message = message })
end

local app = {}

app["/hello"] = function(r) return r:reply(200, TEXT, "hello") end
app["/big"] = function(r) return r:reply(200, HTML, BIG) end
app["/big-etag"] = function(r)
  return r:reply(200, { ["content-type"] = "text/html", ETag = '"v1"' }, BIG)
end
app["/no-transform"] = function(r)
  return r:reply(200, { ["content-type"] = "text/html", ["cache-control"] = "no-transform" }, BIG)
end
app["/empty"] = function(r) return r:reply(204) end
app["/bytes"] = function(r) return r:reply_bytes(200, TEXT, "0123456789", '"ten"') end
app["/bytes-big"] = function(r) return r:reply_bytes(200, HTML, BIG, '"big"') end
app["/echo"] = function(r)
  local body, message, code = r:body()
  if not body then return fail(r, message, code) end
  return r:reply(200, TEXT, body)
end
app["/small"] = function(r)
  local body, message, code = r:body(10)
  if not body then return fail(r, message, code) end
  return r:reply(200, TEXT, body)
end
app["/json"] = function(r)
  local value, message, code = r:json()
  if code then return fail(r, message, code) end
  return r:reply_json(200, nil, value)
end
app["/read"] = function(r)
  local n, chunks = 0, 0
  while true do
    local chunk, message, code = r:read()
    if code then return fail(r, message, code) end
    if not chunk then break end
    n, chunks = n + #chunk, chunks + 1
    if r:query().slow then task.sleep(0.01) end
  end
  return r:reply_json(200, nil, { bytes = n, chunks = chunks })
end
app["/save"] = function(r)
  local q = r:query()
  local bytes, hash, code = r:save(q.path, math.tointeger(tonumber(q.max)))
  if not bytes then return fail(r, hash, code) end
  return r:reply_json(200, nil, { bytes = bytes, sha256 = hash })
end
app["/form"] = function(r)
  local parts, message, code = r:multipart{ dir = opt.dir, total_max = 4000000, part_max = 3000000,
                                            value_max = 1000, parts_max = 5 }
  if not parts then return fail(r, message, code) end
  for _, p in ipairs(parts) do
    if p.path and r:query().keep then r:keep(p.path) end
  end
  return r:reply_json(200, nil, parts)
end
app["/file"] = function(r)
  local q = r:query()
  local ok, message, code = r:reply_file(q.path, { content_type = q.type, download = q.download,
                                                   cache = q.cache })
  if not ok then return fail(r, message, code) end
end
app["/stream"] = function(r)
  local q = r:query()
  local n, piece = math.tointeger(tonumber(q.n)), ("x"):rep(math.tointeger(tonumber(q.bytes)))
  assert(r:start(200, TEXT))
  for _ = 1, n do
    local ok, message, code = r:write(piece)
    if not ok then error({ code = code, message = message }) end
  end
  assert(r:finish())
end
app["/events"] = function(r)
  assert(r:start(200, { ["content-type"] = "text/event-stream" }))
  for i = 1, 3 do
    r:write("data: " .. i .. "\n\n")
    task.sleep(0.1)
  end
  r:finish()
end
app["/slow"] = function(r)
  task.sleep(tonumber(r:query().s or 0.2))
  return r:reply(200, TEXT, "slow")
end
app["/die"] = function() error("a bug") end
app["/die-late"] = function(r)
  assert(r:start(200, TEXT))
  r:write("half")
  task.sleep(0.05)
  error("a bug")
end
app["/loop"] = function() while true do end end
app["/none"] = function() end
app["/twice"] = function(r)
  r:reply(200, TEXT, "one")
  local ok = pcall(r.reply, r, 200, TEXT, "two")
  local again = r:on_wire()
  kept = { ok = ok, wire = again, request = r }
end
app["/kept"] = function(r)
  local ok, message = pcall(kept.request.method, kept.request)
  return r:reply_json(200, nil, { twice = kept.ok, wire = kept.wire, ok = ok, message = message })
end
app["/bad-header"] = function(r)
  local ok, message = pcall(r.reply, r, 200, { ["x-a"] = "a\r\nSet-Cookie: b" }, "x")
  local ok2 = pcall(r.reply, r, 200, { ["content-length"] = "5" }, "x")
  return r:reply_json(200, { ["x-list"] = { "a", "b" } }, { ok = ok, ok2 = ok2, message = message })
end
app["/info"] = function(r)
  local ip, port = r:remote()
  r:label("GET /info")
  r:note("key", "k\"1")
  return r:reply_json(200, nil, {
    method = r:method(), path = r:path(), target = r:target(), query = r:query(), ip = ip,
    port = port, id = r:id(), trace = r:traceparent() or "none", headers = r:headers(),
    x = r:header("X-One") or "none", body_bytes = r:body_bytes() or -1,
  })
end
app["/a b/ж"] = app["/info"]
app["/cancelled"] = function(r) return r:reply_json(200, nil, { gone = kept and kept.gone or false }) end
app["/wait-gone"] = function(r)
  local guard <close> = setmetatable({}, { __close = function() kept = { gone = true } end })
  task.sleep(20)
end
app["/stats"] = function(r) return r:reply_json(200, nil, s:stats()) end
app["/reload-tls"] = function(r)
  local ok, message, code = s:reload_tls()
  if not ok then return fail(r, message, code) end
  return r:reply(200, TEXT, "ok")
end
app["/drain"] = function(r)
  r:reply(200, TEXT, "draining")
  s:drain(tonumber(r:query().s or 5))
  s:close()
  print("drained")
end

local router = assert(server.router{
  { method = "GET", pattern = "/routed/jobs/{job_id}" },
  { method = "POST", pattern = "/routed/jobs/{job_id}/{verb}" },
  { method = "GET", pattern = "/routed/files/{path...}" },
})

app["/clash"] = function(r)
  local t, message, code = server.router{ { method = "GET", pattern = "/a/{b}" },
                                          { method = "GET", pattern = "/a/{c}" } }
  return r:reply_json(200, nil, { made = t ~= nil, message = message, code = code })
end
app["/listen-again"] = function(r)
  local host, port = s:address()
  local t, message, code = server.listen{ host = host, port = port, on_request = function() end }
  return r:reply_json(200, nil, { made = t ~= nil, message = message, code = code })
end

local on_request = function(r)
  local run = app[r:path()]
  if run then return run(r) end
  local index, params, allow = router:match(r)
  if index then return r:reply_json(200, nil, { index = index, params = params }) end
  if params == "method" then return r:reply(405, { Allow = allow }, "") end
  return r:reply(404, TEXT, "no")
end

s = assert(server.listen{
  host = opt.host, port = opt.port, fd = opt.fd, reuse_port = opt.reuse_port,
  limits = limits, on_request = on_request,
  tls = opt.cert and { cert = opt.cert, key = opt.key } or nil,
})
print("listening", s:address())
