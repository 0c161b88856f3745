-- Copies the database while it works, checks the copy, deletes copies that are too old.
local maintain = require("maintain")
local settings = require("settings")

return {
  summary = "Back the database up",
  every = settings.backup_schedule, enabled = settings.backup_enabled,
  role = "admin", concurrency = 1, refractory = 0, deadline = "4h",
  run = function(job)
    return job:step("copy", maintain.backup_by_date)
  end,
}
