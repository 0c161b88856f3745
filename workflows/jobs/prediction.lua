-- prediction.lua - forecasts again with a model that is stored: any month, one or several ahead. POST
-- /api/v1/jobs/prediction starts it.

local crypto = require("crypto")
local dataset = require("dataset")
local db = require("db")
local forecast = require("forecast")
local forecast_publish = require("forecast_publish")
local model_store = require("model_store")
local settings = require("settings")

local MONTHS_AHEAD_MAX = 36 -- between what is known and what is asked

local function months_between(d, from, to)
  return d:value([[SELECT (substr(?2, 1, 4) - substr(?1, 1, 4)) * 12 + substr(?2, 6, 2) - substr(?1, 6, 2)]],
    { from, to })
end

local function load(main, id)
  local row = id and main:row("SELECT * FROM models WHERE model_id = ?", { id })
    or not id and model_store.active(main, "sales") or nil
  if not row then
    error({ code = id and "model_not_found" or "no_active_model", message = id and "there is no model " .. id
      or "no model is active; train one, or name one in model_id" }, 0)
  end
  local path = model_store.path(row)
  if row.sha256 and crypto.sha256_file(path) ~= row.sha256 then
    error({ code = "corrupt", message = "the file of model " .. row.model_id .. " is not the one that was stored" }, 0)
  end
  return row, forecast.load(path)
end

return {
  summary = "Forecast with a stored model",
  hidden = true, -- has a route of its own
  role = "operator", attempts = 3, deadline = "1h", refractory = false,
  params = { model_id = "text? 1..64", prediction_month = "date?", horizon = "integer 1..24 = 1" },
  run = function(job)
    local main, p = db.main(), job.params
    local row, model = load(main, p.model_id)
    local note = model.note
    job:progress(0.1, "preparing the dataset")
    local wanted = p.prediction_month
    local to = wanted and main:value("SELECT date(?, 'start of month', '-1 month')", { wanted }) or nil
    local from = note.first_month
    if to and to < from then from = nil end
    local range = dataset.range(main, from, to)
    local root = settings.data_root_dir
    dataset.take(root .. "/predictions/panel.db", root .. "/scratch/" .. job.id .. ".db")
    local panel = dataset.build(job:scratch(), main, { from = range.first, to = range.last, span = note.span,
      features = note.features, vocabulary = note.vocabulary, first_year = note.first_year })
    local before = wanted and months_between(main, range.last, wanted) - 1 or 0
    if before > MONTHS_AHEAD_MAX then
      error({ code = "invalid_date_range", message = ("%s is %d months behind the last complete month %s, at most %d "
        .. "can be forecast"):format(wanted, before + 1, range.last, MONTHS_AHEAD_MAX + 1) }, 0)
    end
    job:progress(0.5, "forecasting")
    local months = {}
    for i, m in ipairs(forecast.predict(panel, model, before + p.horizon)) do
      if i > before then months[#months + 1] = forecast_publish.rows(panel, m) end
    end
    forecast.close(model)
    job:progress(0.9, "publishing")
    return job:transact("publish", function(tx)
      return { model_id = row.model_id, data_until = range.last,
        is_in_sample = note.last_month >= months[1].month or nil,
        predictions = forecast_publish.predictions(tx, job.id, row.model_id, months) }
    end)
  end,
}
