-- Training and forecasting: what is asked is looked at before a job is made of it.
local dataset_dates = require("dataset_dates")
local db = require("db")
local fail = require("fail")
local job = require("job")
local json = require("json")

local STARTED = { job_id = "text", status = "text", model_id = "text?", config_id = "text?",
                  using_active_parameters = "boolean?" }
local RESPONSE = { [200] = STARTED, [202] = STARTED, [404] = "error", [409] = "error", [422] = "error",
                   [429] = "error" }

local function refuse(field, value, message)
  fail.raise("validation_error", field .. ": found " .. tostring(value) .. ", expected " .. message, {
    errors = json.array({ { loc = json.array({ "body", field }), msg = message, type = "value" } }) })
end

local function start(req, name, params, extra)
  local id, is_new = job.submit(name, params, { by = req.key.id, idempotency_key = req.headers.idempotency_key })
  local answer = { job_id = id, status = is_new and "pending" or job.get(id, { brief = true }).status }
  for k, v in pairs(extra or {}) do answer[k] = v end
  return answer, is_new and 202 or 200, { Location = "/api/v1/jobs/" .. id }
end

return {
  ["POST /api/v1/jobs/training"] = {
    summary = "Train and forecast the next month",
    description = "Learns from dataset_start_date to dataset_end_date, at most to the end of the last complete month, "
      .. "with the active parameters, else the best, else those the program ships with. The answer is the job; its "
      .. "result names the model, its scores in past months and the forecast.",
    role = "operator", tags = { "models", "jobs" },
    headers = { idempotency_key = "text? 1..200" },
    body = { dataset_start_date = "date?", dataset_end_date = "date?" },
    response = RESPONSE,
    run = function(req)
      local b = req.body or {}
      dataset_dates.check(b.dataset_start_date, b.dataset_end_date)
      local config = db.main():value("SELECT config_id FROM configs WHERE is_active = 1")
      return start(req, "training",
        { dataset_start_date = b.dataset_start_date, dataset_end_date = b.dataset_end_date },
        { model_id = json.null, config_id = config or json.null, using_active_parameters = config ~= nil })
    end,
  },

  ["POST /api/v1/jobs/prediction"] = {
    summary = "Forecast with a stored model",
    description = "Of the active model, or the one named; of the month after the last complete one, or the one named "
      .. "(then nothing is used that was not known before it); of several months with horizon.",
    role = "operator", tags = { "models", "jobs" },
    headers = { idempotency_key = "text? 1..200" },
    body = { model_id = "text? 1..64", prediction_month = "date? -- the first day of a month",
             horizon = "integer 1..24 = 1 -- months" },
    response = RESPONSE,
    run = function(req)
      local b = req.body or {}
      if b.prediction_month and b.prediction_month:sub(9) ~= "01" then
        refuse("prediction_month", b.prediction_month, "the first day of a month")
      end
      local main = db.main()
      if b.model_id and not main:row("SELECT 1 FROM models WHERE model_id = ?", { b.model_id }) then
        fail.raise("model_not_found", "there is no model " .. b.model_id)
      end
      if not b.model_id and not main:row("SELECT 1 FROM models WHERE model_kind = 'sales' AND is_active = 1") then
        fail.raise("no_active_model", "no model is active; train one, or name one in model_id")
      end
      return start(req, "prediction", { model_id = b.model_id, prediction_month = b.prediction_month,
        horizon = b.horizon })
    end,
  },
}
