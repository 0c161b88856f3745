-- process.lua - what this process and its machine use; counters of its server.

local core = require("core.process")
local raise = require("raise")

local process = {}

local server

--- Version of this program, "1.2.3".
process.version = core.version

--- The server whose counters process.server_stats shows. For lua/web.lua.
--- @param s core.server
--- Source: ours
function process.set_server(s)
  server = s
  core.watch_lag()
end

--- A clock that costs next to nothing: it stands still while a script runs.
--- @return number seconds
--- Source: libuv uv_now
process.monotonic = core.monotonic

--- Number of this process.
--- @return integer
--- Source: getpid(2)
process.pid = core.pid

--- A text that is the same for all processes whose numbers this one can see.
--- @return string
--- Source: proc(5), namespaces(7)
process.machine_id = core.machine_id

--- Whether a process of this machine still runs.
--- @param pid integer
--- @return boolean
--- Source: kill(2), proc(5)
process.is_alive = core.is_alive

--- Whether standard output is a terminal.
--- @return boolean
--- Source: isatty(3)
process.is_terminal = core.is_terminal

--- Writes to standard output, at once, without a line end.
--- @param text string
--- Source: ours
process.put = core.put

--- Time since this process started.
--- @return number seconds
--- Source: proc(5), /proc/self/stat
process.uptime = core.uptime

--- What this process uses.
--- @return table { rss_bytes, cpu_seconds, threads, open_files, open_files_max, lua_bytes,
---   lua_peak_bytes, lua_cap_bytes, lua_allocated_bytes (ever), runs (requests, jobs and tasks alive) }
--- Source: proc(5), getrusage(2)
process.usage = core.usage

--- What its machine has and does.
--- @return table { memory_bytes, memory_free_bytes, cpus, load (of one minute), cpu_seconds,
---   cpu_idle_seconds (both of all cores, since it started) }
--- Source: proc(5)
process.machine = core.machine

--- How late timers of the loop were in the last quarter of a minute.
--- @return table? { last, mean, max } seconds; nil when nobody measures
--- Source: ours
process.lag = core.lag

--- Space of the file system a path is on.
--- @param path string
--- @return integer  bytes in all
--- @return integer  bytes free
--- Raises: notfound, io, auth
--- Source: statvfs(3)
function process.disk(path)
  return raise.check(core.disk(path))
end

--- Counters of the server of this process.
--- @return table? { accepted, refused, connections, in_flight, requests, malformed, bytes_in, bytes_out,
---   classes = { ["2xx"] = n, … }, bounds_ms, routes = { [label] = { count, sum_ms, classes, buckets } } };
---   nil: it serves nothing
--- Source: ours
function process.server_stats()
  return server and server:stats()
end

return process
