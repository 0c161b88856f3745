-- Deletes what is older than the settings retention_* say. One part that fails does not stop the others.
local log = require("log")
local maintain = require("maintain")
local report = require("report")
local settings = require("settings")

return {
  summary = "Delete old predictions, models, facts, jobs and files",
  every = settings.retention_schedule, enabled = settings.retention_enabled,
  role = "admin", concurrency = 1, refractory = 0, deadline = "4h",
  run = function(job)
    local failed = 0
    local function part(name, fn)
      local ok, result = pcall(job.step, job, name, fn)
      if ok then return result end
      failed = failed + 1
      job:log(name .. " failed: " .. (type(result) == "table" and result.message or tostring(result)), "error")
      log.error("retention failed", { part = name })
    end
    local done = {
      predictions = part("predictions", function() return maintain.clean_predictions() end),
      models = part("models", function() return maintain.clean_models() end),
      historical = part("historical", function() return maintain.clean_historical() end),
      jobs = part("jobs", function() return maintain.clean_jobs() end),
      files = part("files", maintain.clean_files),
      reports = part("reports", function() return report.clean() end),
    }
    if failed > 0 then error({ code = "incomplete", message = failed .. " parts failed, see the log" }) end
    return done
  end,
}
