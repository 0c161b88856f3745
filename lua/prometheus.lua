-- prometheus.lua - the numbers of this process as Prometheus text (exposition format 0.0.4).
--
-- Each web process counts for itself and a scrape meets one of them, so every series has the label
-- `process`, its number under the supervisor.

local control = require("core.control")
local db = require("db")
local generation = require("generation")
local process = require("process")

local prometheus = {}

local format, concat = string.format, table.concat

local function escape(v)
  return (tostring(v):gsub("\\", "\\\\"):gsub('"', '\\"'):gsub("\n", "\\n"))
end

local function number(v)
  if v == math.huge then return "+Inf" end
  return math.type(v) == "integer" and format("%d", v) or format("%.9g", v)
end

-- One metric: lines are added with add(labels, value)
local function metric(out, name, kind, help, fill)
  out[#out + 1] = "# HELP " .. name .. " " .. help
  out[#out + 1] = "# TYPE " .. name .. " " .. kind
  fill(function(labels, value, suffix)
    if value == nil then return end
    local all = labels and out.process .. "," .. labels or out.process
    out[#out + 1] = name .. (suffix or "") .. "{" .. all .. "} " .. number(value)
  end)
end

local function single(out, name, kind, help, value)
  metric(out, name, kind, help, function(add) add(nil, value) end)
end

local function label(name, v) return name .. '="' .. escape(v) .. '"' end

local function sorted(t)
  local names = {}
  for name in pairs(t) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function http(out, s)
  local routes = sorted(s.routes)
  metric(out, "plastinka_http_requests_total", "counter", "Answers by route and class of status.", function(add)
    for _, name in ipairs(routes) do
      for _, class in ipairs(sorted(s.routes[name].classes)) do
        local n = s.routes[name].classes[class]
        if n > 0 then add(label("route", name) .. "," .. label("class", class), n) end
      end
    end
  end)
  metric(out, "plastinka_http_request_duration_seconds", "histogram",
    "From the head of a request to the end of its answer.",
    function(add)
      for _, name in ipairs(routes) do
        local r, l = s.routes[name], label("route", name)
        for i, bound in ipairs(s.bounds_ms) do
          add(l .. "," .. label("le", number(bound / 1000)), r.buckets[i], "_bucket")
        end
        add(l .. ',le="+Inf"', r.count, "_bucket")
        add(l, r.sum_ms / 1000, "_sum")
        add(l, r.count, "_count")
      end
    end)
  single(out, "plastinka_http_connections", "gauge", "Open connections.", s.connections)
  single(out, "plastinka_http_requests_in_flight", "gauge", "Requests not yet answered.", s.in_flight)
  single(out, "plastinka_http_connections_accepted_total", "counter", "Connections taken.", s.accepted)
  single(out, "plastinka_http_connections_refused_total", "counter", "Connections over the limit.", s.refused)
  single(out, "plastinka_http_malformed_total", "counter", "Heads that were no sound request.", s.malformed)
  single(out, "plastinka_http_received_bytes_total", "counter", "Bytes of request bodies.", s.bytes_in)
  single(out, "plastinka_http_sent_bytes_total", "counter", "Bytes of answers.", s.bytes_out)
end

local function database(out, s)
  local kinds = { "inline", "read", "write" }
  metric(out, "plastinka_db_request_duration_seconds", "histogram",
    "Database requests: on the loop, on readers, on the writer.",
    function(add)
      for _, kind in ipairs(kinds) do
        local k, l, sum = s[kind], label("kind", kind), 0
        for i, n in ipairs(k.buckets) do
          sum = sum + n
          local bound = s.bounds[i]
          add(l .. "," .. label("le", bound and number(bound) or "+Inf"), sum, "_bucket")
        end
        if #k.buckets <= #s.bounds then add(l .. ',le="+Inf"', k.count, "_bucket") end
        add(l, k.seconds, "_sum")
        add(l, k.count, "_count")
      end
    end)
  for _, what in ipairs({ "errors", "busy" }) do
    metric(out, "plastinka_db_" .. what .. "_total", "counter", "Database requests that ended so.", function(add)
      for _, kind in ipairs(kinds) do add(label("kind", kind), s[kind][what]) end
    end)
  end
  single(out, "plastinka_db_commits_total", "counter", "Transactions written to the disk.", s.commits)
  single(out, "plastinka_db_grouped_total", "counter", "Write requests that shared a commit with others.", s.grouped)
end

--- Everything that is counted, as text.
--- @return string
--- Source: Prometheus text exposition format 0.0.4
function prometheus.text()
  local out = { process = label("process", control.index()) }
  local u, lag, server = process.usage(), process.lag(), process.server_stats()
  metric(out, "plastinka_build_info", "gauge", "Version and workflows that are served.", function(add)
    add(label("version", process.version) .. "," .. label("generation", generation.status().id or ""), 1)
  end)
  if server then http(out, server) end
  database(out, db.stats())
  single(out, "plastinka_lua_memory_bytes", "gauge", "Heap of the Lua VM.", u.lua_bytes)
  single(out, "plastinka_lua_memory_peak_bytes", "gauge", "Most it ever was.", u.lua_peak_bytes)
  single(out, "plastinka_lua_allocated_bytes_total", "counter", "Bytes scripts ever asked for.", u.lua_allocated_bytes)
  single(out, "plastinka_lua_memory_cap_bytes", "gauge", "Most it may be.", u.lua_cap_bytes)
  single(out, "plastinka_runs", "gauge", "Requests, jobs and tasks alive.", u.runs)
  if lag then
    metric(out, "plastinka_loop_lag_seconds", "gauge", "How late the loop was in a quarter of a minute.", function(add)
      add('stat="mean"', lag.mean)
      add('stat="max"', lag.max)
    end)
  end
  single(out, "process_cpu_seconds_total", "counter", "Processor time of this process.", u.cpu_seconds)
  single(out, "process_resident_memory_bytes", "gauge", "Resident memory of this process.", u.rss_bytes)
  single(out, "process_open_fds", "gauge", "Open files of this process.", u.open_files)
  single(out, "process_max_fds", "gauge", "Most open files it may have.", u.open_files_max)
  single(out, "process_uptime_seconds", "gauge", "Time since it started.", process.uptime())
  out[#out + 1] = ""
  return concat(out, "\n")
end

return prometheus
