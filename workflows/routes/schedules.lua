-- Schedules, webhooks and cleaning up.
local maintain = require("maintain")
local schedule = require("schedule")
local webhook = require("webhook")

local NAME = { name = "text 1..100" }
local DAYS = "integer? 1..36500"

return {
  schemas = {
    schedule = {
      name = "text", job_type = "text", spec = "text", time_zone = "text", parameters = "object", paused = "boolean",
      next_at = "datetime?", last_at = "datetime?", last_job_id = "text?",
      n_missed = "integer -- firings that fell together into one",
    },
    webhook = { webhook_id = "text", url = "text", job_type = "text?", events = "text[]", active = "boolean",
                created_at = "datetime" },
  },

  ["GET /api/v1/schedules"] = {
    summary = "What starts by itself, and when", role = "viewer", tags = { "schedules" },
    response = { [200] = { schedules = { "array", of = "schedule" } } },
    run = function() return { schedules = schedule.list() } end,
  },

  ["POST /api/v1/schedules/{name}/pause"] = {
    summary = "Stop a schedule from firing", role = "operator", tags = { "schedules" }, path = NAME,
    response = { [200] = "schedule", [404] = "error" },
    run = function(req) return schedule.pause(req.path.name, true) end,
  },

  ["POST /api/v1/schedules/{name}/resume"] = {
    summary = "Let a schedule fire again", description = "What would have fired meanwhile is not made up for.",
    role = "operator", tags = { "schedules" }, path = NAME, response = { [200] = "schedule", [404] = "error" },
    run = function(req) return schedule.pause(req.path.name, false) end,
  },

  ["POST /api/v1/schedules/{name}/run"] = {
    summary = "Start the job of a schedule now", role = "operator", tags = { "schedules" }, path = NAME,
    response = { [202] = { job_id = "text" }, [404] = "error" },
    run = function(req) return { job_id = schedule.run_now(req.path.name, req.key.id) }, 202 end,
  },

  ["GET /api/v1/webhooks"] = {
    summary = "Who is told how jobs end", role = "admin", tags = { "webhooks" },
    response = { [200] = { webhooks = { "array", of = "webhook" } } },
    run = function() return { webhooks = webhook.list() } end,
  },

  ["POST /api/v1/webhooks"] = {
    summary = "Tell a server how jobs end",
    description = "Signed as Standard Webhooks has it. The secret is shown here only.", role = "admin",
      tags = { "webhooks" },
    body = { url = "text 8..2000", ["job_type?"] = "text 1..100", ["events?"] = { "array", of = "text", max = 3 },
             ["secret?"] = "secret 20..200" },
    response = { [201] = { webhook_id = "text", url = "text", job_type = "text?", events = "text[]", secret = "text" },
                 [422] = "error" },
    run = function(req)
      local b = req.body
      return webhook.add({ url = b.url, job_type = b.job_type, events = b.events, secret = b.secret,
        by = req.key.id }), 201
    end,
  },

  ["DELETE /api/v1/webhooks/{webhook_id}"] = {
    summary = "Do not tell it any more", role = "admin", tags = { "webhooks" }, path = { webhook_id = "text 1..64" },
    response = { [204] = false, [404] = "error" },
    run = function(req) webhook.remove(req.path.webhook_id) end,
  },

  ["GET /api/v1/webhooks/{webhook_id}/deliveries"] = {
    summary = "What a server was told, and how it took it", role = "admin", tags = { "webhooks" },
    path = { webhook_id = "text 1..64" }, response = { [200] = { deliveries = "any" } },
    run = function(req) return { deliveries = webhook.deliveries(req.path.webhook_id) } end,
  },

  ["POST /admin/data-retention/cleanup"] = {
    summary = "Delete everything that is old, in the background", role = "admin", tags = { "retention" },
    response = { [200] = { message = "text", status = "text", job_id = "text" } },
    run = function(req)
      local id = maintain.start_cleanup(req.key.id)
      return { message = "Data cleanup started in background", status = "ok", job_id = id }
    end,
  },

  ["POST /api/v1/admin/cleanup"] = {
    summary = "Delete everything that is old, as a job", role = "admin", tags = { "retention" },
    response = { [202] = { job_id = "text", status = "text" } },
    run = function(req) return { job_id = maintain.start_cleanup(req.key.id), status = "pending" }, 202 end,
  },

  ["POST /admin/data-retention/clean-predictions"] = {
    summary = "Delete old predictions", role = "admin", tags = { "retention" }, query = { days_to_keep = DAYS },
    response = { [200] = { status = "text", records_removed = "integer", days_kept = "integer?" } }, deadline = "10m",
    run = function(req)
      local days = req.query.days_to_keep
      return { status = "ok", records_removed = maintain.clean_predictions(days), days_kept = days }
    end,
  },

  ["POST /admin/data-retention/clean-historical"] = {
    summary = "Delete old facts", role = "admin", tags = { "retention" },
    query = { sales_days_to_keep = DAYS, stock_days_to_keep = DAYS }, deadline = "10m",
    response = { [200] = { status = "text", records_removed = "object", sales_days_kept = "integer?",
                           stock_days_kept = "integer?" } },
    run = function(req)
      local q = req.query
      return { status = "ok", records_removed = maintain.clean_historical(q.sales_days_to_keep, q.stock_days_to_keep),
               sales_days_kept = q.sales_days_to_keep, stock_days_kept = q.stock_days_to_keep }
    end,
  },

  ["POST /admin/data-retention/clean-models"] = {
    summary = "Delete old models", role = "admin", tags = { "retention" }, deadline = "10m",
    query = { models_to_keep = "integer? 1..10000", inactive_days_to_keep = DAYS },
    response = { [200] = { status = "text", models_removed = "text[]", models_removed_count = "integer",
                           models_kept = "integer?", inactive_days_kept = "integer?" } },
    run = function(req)
      local q = req.query
      local removed = maintain.clean_models(q.models_to_keep, q.inactive_days_to_keep)
      return { status = "ok", models_removed = removed, models_removed_count = #removed, models_kept = q.models_to_keep,
               inactive_days_kept = q.inactive_days_to_keep }
    end,
  },
}
