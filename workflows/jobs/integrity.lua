-- Reads the whole database once a week. A damaged one makes the job fail, which /api/v1/jobs and webhooks tell.
local maintain = require("maintain")

return {
  summary = "Check that the database is sound",
  every = "sunday 05:00", role = "admin", concurrency = 1, refractory = 0, deadline = "4h",
  run = function()
    local problems = maintain.problems()
    if #problems > 0 then
      error({ code = "corrupt", message = "the database is damaged: " .. problems[1],
        details = { problems = problems } })
    end
    return { problems = problems }
  end,
}
