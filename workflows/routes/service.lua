-- What the server says about itself: greeting, health, numbers, documentation.
local docs = require("docs")
local generation = require("generation")
local health = require("health")
local openapi = require("openapi")
local process = require("process")
local prometheus = require("prometheus")
local reply = require("reply")
local retry = require("retry")

local COMPONENT = { status = "healthy|degraded|unhealthy", ["details?"] = "object" }

return {
  schemas = {
    health = {
      status = "healthy|degraded|unhealthy", version = "text", timestamp = "datetime",
      uptime_seconds = "integer 0..", generation = "text -- hash of the workflows that are served",
      components = { "map", of = COMPONENT },
    },
  },

  ["GET /"] = {
    summary = "Service info", tags = { "service" }, role = false,
    response = { [200] = { message = "text", docs = "text", version = "text" } },
    run = function()
      return { message = "Plastinka Sales Predictor API", docs = "/docs", version = process.version }
    end,
  },

  ["GET /health"] = {
    summary = "How the server and its components are",
    description = "Details of the components are only shown to holders of a key. 503 when a component is unhealthy.",
    tags = { "health" }, role = false,
    response = { [200] = "health", [503] = "error" },
    run = function(req)
      local body, status = health.report(req.key ~= nil)
      if status ~= 200 then
        body.error = { code = "unhealthy", message = "a component is unhealthy", request_id = req.id, details = {} }
      end
      return body, status, { ["Cache-Control"] = "no-store" }
    end,
  },

  ["GET /health/live"] = {
    summary = "The process runs", description = "For a supervisor: restart it when this fails.",
    tags = { "health" }, role = false, response = { [200] = { status = "text" } },
    run = function() return { status = "alive" } end,
  },

  ["GET /health/ready"] = {
    summary = "Requests can be served", description = "For a balancer: send no requests while this fails.",
    tags = { "health" }, role = false, response = { [200] = { status = "text" }, [503] = "error" },
    run = function()
      health.ready()
      return { status = "ready" }
    end,
  },

  ["GET /health/system"] = {
    summary = "Numbers of host and process", tags = { "health" }, role = "viewer",
    response = { [200] = {
      cpu_percent = "number", memory_percent = "number", disk_usage_percent = "number", process_memory_mb = "number",
      open_files = "integer", active_threads = "integer", timestamp = "datetime", pid = "integer",
      uptime_seconds = "integer", lua_memory_mb = "number", lua_memory_cap_mb = "number", load_average = "number",
      cpus = "integer", loop_lag_ms = "number",
    } },
    run = health.system,
  },

  ["GET /health/retry-stats"] = {
    summary = "What was tried again, with what success", tags = { "health" }, role = "viewer",
    response = { [200] = {
      total_retries = "integer", successful_retries = "integer", exhausted_retries = "integer",
      successful_after_retry = "integer", high_failure_operations = "text[]", operation_stats = "object",
      exception_stats = "object", timestamp = "datetime",
    } },
    run = function() return retry.stats() end,
  },

  ["POST /health/retry-stats/reset"] = {
    summary = "Begin the retry statistics anew", tags = { "health" }, role = "operator",
    response = { [200] = { status = "text", message = "text" } },
    run = function()
      retry.reset()
      return { status = "ok", message = "retry statistics begin anew" }
    end,
  },

  ["GET /metrics"] = {
    summary = "Numbers for Prometheus", tags = { "health" }, role = "viewer",
    response = { [200] = { content_type = "text/plain", doc = "Text exposition format 0.0.4" } },
    run = function()
      return reply.bytes(prometheus.text(), { content_type = "text/plain; version=0.0.4; charset=utf-8" })
    end,
  },

  ["GET /openapi.json"] = {
    summary = "This description", tags = { "service" }, role = "viewer",
    response = { [200] = { content_type = "application/json", doc = "OpenAPI 3.1 document" } },
    run = function()
      local text, etag = openapi.text(generation.current())
      return reply.bytes(text, { content_type = "application/json", etag = etag, cache = "no-cache" })
    end,
  },

  ["GET /docs"] = {
    summary = "Documentation to read and try", tags = { "service" }, role = false,
    response = { [200] = { content_type = "text/html" } },
    run = function() return docs.file("index.html") end,
  },

  ["GET /docs/{name}"] = {
    hidden = true, role = false, path = { name = "text 1..40" },
    run = function(req) return docs.file(req.path.name) end,
  },
}
