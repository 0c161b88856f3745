-- Tuning: what is asked is looked at before a job is made of it.
local dataset_dates = require("dataset_dates")
local job = require("job")
local settings = require("settings")
local tuning = require("tuning")

local STARTED = { job_id = "text", status = "text", mode = "text", trials = "integer", time_budget_s = "integer" }

return {
  ["POST /api/v1/jobs/tuning"] = {
    summary = "Look for better parameters",
    description = "Trains many times with other parameters, each judged by the last months, which it has not seen, and "
      .. "stores the best. lite leaves the network as it is, full changes it too. The result names the best and what "
      .. "the parameters in use reached; with activate they take over when they are better (default: as the setting "
      .. "model_auto_select_configs says).",
    role = "operator", tags = { "models", "jobs" },
    headers = { idempotency_key = "text? 1..200" },
    body = {
      dataset_start_date = "date?", dataset_end_date = "date?",
      mode = "lite|full? -- default: the setting tuning_mode",
      time_budget_s = "integer? 1..72000 -- seconds for all trials; default 3600 for lite, 7200 for full",
      activate = "boolean? -- use the best when it is better than the parameters in use",
      trials = "integer? 1..100000 -- at most; default: the settings tuning_samples_lite, tuning_samples_full",
      seed = "integer 0..2147483647 = 42", parallel = "integer? 1..64 -- trials at once",
    },
    response = { [200] = STARTED, [202] = STARTED, [409] = "error", [422] = "error", [429] = "error" },
    run = function(req)
      local b = req.body or {}
      dataset_dates.check(b.dataset_start_date, b.dataset_end_date)
      local mode = b.mode or settings.tuning_mode
      local params = { dataset_start_date = b.dataset_start_date, dataset_end_date = b.dataset_end_date, mode = mode,
        activate = b.activate, trials = b.trials, seed = b.seed, parallel = b.parallel }
      local same_by = {} -- with more time it is the same search
      for name, v in pairs(params) do same_by[name] = v end
      params.time_budget_s = b.time_budget_s
      local id, is_new = job.submit("tuning", params, { by = req.key.id, same_by = same_by,
        idempotency_key = req.headers.idempotency_key })
      return { job_id = id, status = is_new and "pending" or job.get(id, { brief = true }).status, mode = mode,
        trials = b.trials or tuning.trials(mode), time_budget_s = b.time_budget_s or tuning.BUDGET_S[mode] },
        is_new and 202 or 200, { Location = "/api/v1/jobs/" .. id }
    end,
  },
}
