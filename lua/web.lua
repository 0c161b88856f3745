-- web.lua - the main of a web process: database, first generation, listening, then whatever the
-- supervisor or a signal says, until the last request is answered.

local auth = require("auth")
local control = require("core.control")
local db = require("db")
local generation = require("generation")
require("kinds")
local log = require("log")
local notify = require("notify")
local process = require("process")
local route = require("route")
local server = require("core.server")
local settings = require("settings")
local task = require("task")

local web = {}

local function ms(seconds)
  return seconds * 1000 // 1 | 0
end

local function limits()
  return {
    header_bytes = settings.http_header_bytes,
    header_count = settings.http_header_count,
    target_bytes = settings.http_target_bytes,
    body_bytes = settings.http_body_bytes,
    connections = settings.http_connections,
    header_timeout_ms = ms(settings.http_header_timeout),
    body_idle_ms = ms(settings.http_body_timeout),
    body_min_rate = settings.http_body_rate,
    keepalive_ms = ms(settings.http_keepalive_timeout),
    write_idle_ms = ms(settings.http_write_timeout),
    requests_per_connection = settings.http_requests_per_connection,
    burst_ms = ms(settings.route_burst_seconds),
    deadline_ms = ms(settings.route_deadline_seconds),
  }
end

local function has_tls()
  return settings.http_tls_cert ~= "" or settings.http_tls_key ~= ""
end

local function listen(dispatch)
  local opt = {
    host = settings.http_host,
    port = settings.http_port,
    fd = control.listen_fd(),
    limits = limits(),
    on_request = dispatch,
  }
  if has_tls() then
    opt.tls = { cert = settings.http_tls_cert, key = settings.http_tls_key }
  end
  local srv, message, code = server.listen(opt)
  if not srv then error({ code = code, message = message }, 0) end
  return srv
end

-- Follows the control channel until it says stop.
local function obey()
  while true do
    local line = control.receive()
    if line == "stop" then return end
    local topic = line:match("^notify (.*)$")
    if topic then notify.heard(topic) else task.start(generation.on_control, line) end
  end
end

--- Serves until told to stop; called once by `plastinka web`.
--- @param args table  what is left of the command line
--- @return integer  exit code
--- Source: ours
function web.main(args)
  if args[1] == "--help" then
    print("usage: plastinka web [--port N] [--host ADDRESS] [--data DIR] [--workflows DIR] [--SETTING VALUE ...]\n\n"
      .. "One web process without a supervisor. SIGTERM stops it, SIGHUP loads the workflows again.")
    return 0
  elseif args[1] then
    print("plastinka web: unknown argument " .. args[1] .. " (see --help)")
    return 2
  end
  db.main():migrate()
  auth.first_start()
  local dispatch = route.dispatch
  generation.swap(generation.first())
  local current = generation.current
  local srv = listen(function(r) return dispatch(r, current()) end)
  process.set_server(srv)
  task.start(auth.keep)
  if has_tls() then
    generation.also_reload(function()
      local ok, message = srv:reload_tls()
      if not ok then log.error("certificate not reloaded", { why = message }) end
    end)
  end
  local host, port = srv:address()
  if control.supervised() then
    control.send("up " .. current().id)
  else
    print(("listening %s:%d"):format(host, port))
    generation.watch_alone()
  end
  log.info("web process up", { host = host, port = port, generation = current().id })
  obey()
  srv:drain(settings.http_drain_seconds)
  srv:close()
  log.info("web process stopped", {})
  return 0
end

return web
