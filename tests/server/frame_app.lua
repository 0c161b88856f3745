-- What the black-box tests of the framework talk to: routes of every kind over a database in memory.
-- Arguments: fields of web_config as name=value.
local config = require("web_config")
for _, a in ipairs(arg) do
  local name, value = a:match("^([%w_]+)=(.*)$")
  if name == "cors" then config.cors = { [value] = true }
  elseif name == "trusted" then config.trusted = { [value] = true }
  elseif value == "true" then config[name] = true
  else config[name] = tonumber(value) or value end
end

local db = require("db")
local main = db.open(":memory:")
function db.main() return main end
main:migrate()

local auth = require("auth")
local fail = require("fail")
local json = require("core.json")
local process = require("process")
local reply = require("reply")
local route = require("route")
local server = require("core.server")
local task = require("task")

local keys = {}
for _, role in ipairs({ "viewer", "operator", "admin" }) do keys[role] = auth.create({ name = role, role = role }) end

local function echo(req)
  return { path = req.path, query = req.query, headers = req.headers, body = req.body, id = req.id,
           method = req.method, remote = req.remote, trace = req.trace, key = req.key and req.key.role }
end
local HELLO = { message = "hello" }
local closed = 0

local routes = {
  schemas = { item = { id = "integer 1..", name = "text 1..20", ["price?"] = "number 0.." } },
  ["GET /hello"] = { role = false, run = function() return HELLO end },
  ["GET /objects"] = { role = false, run = function()
    local list = {}
    for i = 1, 15 do list[i] = { id = i, name = "item " .. i, ok = true } end
    return list
  end },
  ["POST /event"] = { role = false, body = { type = "view|cart|purchase", item = "integer 1..", session = "text 1..64",
      at = "datetime", ["price?"] = "number 0.." }, run = function() return nil, 202 end },
  ["GET /keyed"] = { role = "viewer", run = function() return HELLO end },
  ["GET /echo/{id}/{rest...}"] = { role = false, path = { id = "integer" }, run = echo,
    query = { limit = "integer 1..1000 = 100", ["tag?"] = "text[]", flag = "boolean?", ["when?"] = "month" },
    headers = { ["idempotency_key"] = "text 1..20?" } },
  ["POST /items"] = { role = "operator", body = "item", body_max = 2000, run = echo, response = { [200] = "item" } },
  ["POST /maybe"] = { role = false, body = { ["a?"] = "integer", b = "text = x" }, run = echo },
  ["DELETE /items/{id}"] = { role = "admin", run = function() end },
  ["GET /role/{name}"] = { role = false, run = function(req) return { key = req.key and req.key.role or json.null } end },
  ["GET /boom"] = { role = false, run = function() local t; return t.secret_name end },
  ["GET /boom/table"] = { role = false, run = function() error({ code = "exists", message = "UNIQUE secret_table" }) end },
  ["GET /boom/odd"] = { role = false, run = function() error(setmetatable({}, { __index = function() error("x") end })) end },
  ["GET /boom/nan"] = { role = false, run = function() return { x = { y = 0 / 0 } } end },
  ["GET /boom/loop"] = { role = false, run = function() while true do pcall(function() while true do end end) end end },
  ["GET /missing"] = { role = false, run = function() error({ code = "job_not_found", message = "no such job", details = { id = 7 } }) end },
  ["GET /refractory"] = { role = false, run = function()
    error({ code = "job_refractory_active", message = "wait", details = { retry_after_seconds = 17 } }) end },
  ["GET /busy"] = { role = false, run = function() error({ code = "busy", message = "database is locked" }) end },
  ["GET /slow"] = { role = false, deadline = 0.2, run = function() task.sleep(5) end },
  ["GET /status"] = { role = false, run = function() return { made = true }, 201, { Location = "/made/1" } end },
  ["GET /text"] = { role = false, run = function() return reply.text("plain") end },
  ["GET /html"] = { role = false, run = function() return reply.html("<p>page</p>") end },
  ["GET /bytes"] = { role = false, run = function() return reply.bytes("0123456789", { etag = "ten", content_type = "text/plain", download = 'a"b.txt' }) end },
  ["GET /redirect"] = { role = false, run = function() return reply.redirect("/hello") end },
  ["GET /empty"] = { role = false, run = function() return reply.empty() end },
  ["GET /file/{name}"] = { role = false, run = function(req) return reply.file(config.data_dir .. "/" .. req.path.name) end },
  ["GET /outside"] = { role = false, run = function() return reply.file("/etc/hostname") end },
  ["GET /stream"] = { role = false, run = function()
    return reply.stream(function(write) for i = 1, 5 do write("piece " .. i .. "\n"); task.sleep(0.005) end end, { content_type = "text/plain" })
  end },
  ["GET /stream/broken"] = { role = false, run = function()
    return reply.stream(function(write) write("half"); error("no more") end)
  end },
  ["GET /events"] = { role = false, deadline = "1h", run = function()
    return reply.events(function(stream)
      stream:send({ event = "job", id = 1, data = { n = 1 } })
      stream:send({ data = "two\nlines", retry = 500 })
      task.sleep(0.25)
      stream:send({ id = 3, data = "end" })
    end, { keep_alive = 0.1 })
  end },
  ["GET /events/forever"] = { role = false, run = function()
    return reply.events(function(stream)
      local guard <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
      stream:send({ data = "first" })
      task.sleep(1000)
      return guard
    end)
  end },
  ["GET /closed"] = { role = false, run = function() return { closed = closed } end },
  ["POST /upload"] = { role = false, body_max = 4 << 20, multipart = { stock = { "file", types = { "csv", "xlsx" }, max_bytes = 1 << 20 },
      sales = { "array", of = { "file", types = { "csv" } }, min = 1, max = 3 }, cutoff = "date", overwrite = "boolean = false" },
    run = function(req)
      local p = req.parts
      local sales = {}
      for i, f in ipairs(p.sales) do sales[i] = { name = f.filename, bytes = f.bytes, sha256 = f.sha256 } end
      return { stock = p.stock.bytes, sales = sales, cutoff = p.cutoff, overwrite = p.overwrite, path = p.stock.path }
    end },
  ["POST /raw"] = { role = false, body_max = 1000, run = function(req)
    local n = 0
    for piece in function() return req:read() end do n = n + #piece end
    return { bytes = n }
  end },
  ["GET /limited"] = { role = false, rate = "3/m", run = function() return HELLO end },
  ["GET /req"] = { role = false, run = function(req)
    local seen = {}
    for _, name in ipairs({ "raw", "r", "socket", "unknown" }) do if req[name] ~= nil then seen[#seen + 1] = name end end
    local ok = pcall(function() req.query.x = 1 end)
    return { seen = json.array(seen), query_writable = ok, body = req.body == nil, meta = getmetatable(req) }
  end },
}

local generation = { routes = route.build({ route.check("workflows/routes/frame_app.lua", routes) }) }
local dispatch = route.dispatch
local s = assert(server.listen({ on_request = function(r) return dispatch(r, generation) end,
                                 limits = { burst_ms = 100, deadline_ms = 5000 } }))
process.set_server(s)
print("listening", s:address())
for role, k in pairs(keys) do print(role, k.key, k.key_id) end
