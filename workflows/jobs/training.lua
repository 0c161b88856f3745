-- training.lua - learns from everything up to the last complete month and forecasts the next one. POST
-- /api/v1/jobs/training starts it. What is learnt and how: workflows/lib/forecast.lua.

local compute = require("compute")
local crypto = require("crypto")
local dataset = require("dataset")
local db = require("db")
local forecast = require("forecast")
local forecast_publish = require("forecast_publish")
local fs = require("fs")
local model_store = require("model_store")
local settings = require("settings")
local time = require("time")

-- The part of the whole that a stage is, for the bar people watch.
local function bar(job, from, to)
  return function(share, text) job:progress(from + (to - from) * share, text) end
end

local function metrics_of(learnt, trained, seconds)
  local out = { training_duration_seconds = seconds, train_loss = trained.train_loss, val_loss = trained.val_loss,
                epochs = trained.epochs,
                backtest = { models = learnt.models, months = learnt.months, by_month = learnt.by_month,
                             weights = learnt.weights } }
  for name, value in pairs(learnt.val or {}) do out[name] = value end
  return out
end

return {
  summary = "Train on everything up to the last complete month and forecast the next one",
  hidden = true, -- has a route of its own, which looks at the dates first
  role = "operator", attempts = 3, deadline = "4h", concurrency = 1,
  params = { dataset_start_date = "date?", dataset_end_date = "date?" },
  run = function(job)
    local main, scratch, p = db.main(), job:scratch(), job.params
    local started = time.now()
    job:progress(0.01, "preparing the dataset")
    local chosen = job:step("choose parameters", function()
      local c = model_store.effective_config(main)
      return { config_id = c.config_id, config = c.config, model_id = crypto.uuid(7) }
    end)
    local range = job:step("months", function()
      local range = dataset.range(main, p.dataset_start_date, p.dataset_end_date)
      dataset.check_gaps(main, range)
      return range
    end)
    local panel = dataset.build(scratch, main, { from = range.first, to = range.last,
                                                 span = chosen.config.train_ds_config.span })
    job:step("prepare dataset", function()
      forecast.check(panel)
      fs.mkdir(settings.data_root_dir .. "/predictions")
      dataset.keep(scratch, settings.data_root_dir .. "/predictions/panel.db")
      return { products = panel.n, months = panel.steps, first = panel.first, last = panel.last }
    end)
    local learnt = job:step("backtest", function()
      return compute.backtest({ panel = panel, config = chosen.config, progress = bar(job, 0.05, 0.5) })
    end)
    local file = chosen.model_id .. ".model"
    local path = settings.data_root_dir .. "/models/" .. file
    local function train()
      fs.mkdir(settings.data_root_dir .. "/models")
      return compute.fit({ panel = panel, config = chosen.config, learnt = learnt, path = path,
        checkpoint = settings.data_root_dir .. "/scratch/" .. job.id .. ".checkpoint", progress = bar(job, 0.5, 0.92) })
    end
    local trained = job:step("train", train)
    job:progress(0.93, "forecasting")
    local model = forecast.load(path)
    local months = {}
    for i, m in ipairs(forecast.predict(panel, model, 1)) do months[i] = forecast_publish.rows(panel, m) end
    forecast.close(model)
    job:progress(0.97, "publishing")
    return job:transact("publish", function(tx)
      local seconds = tonumber(("%.3f"):format(time.now() - started))
      local metrics = metrics_of(learnt, trained, seconds)
      local result_id = forecast_publish.model(tx, {
        model_id = chosen.model_id, job_id = job.id, config_id = chosen.config_id, file = file, sha256 = trained.sha256,
        duration = seconds, metrics = metrics,
        metadata = { horizon = 1, lookback = trained.lags, quantiles = forecast.LEVELS, features = {
            past = #panel.features.past, future = #panel.features.future, static = #panel.vocabulary },
          months = { from = panel.first, to = panel.last }, n_products = panel.n, config_id = chosen.config_id,
          weights = learnt.weights },
      })
      local predictions = forecast_publish.predictions(tx, job.id, chosen.model_id, months)
      local activated = model_store.after_result(tx, { model_id = chosen.model_id, config_id = chosen.config_id })
      return { model_id = chosen.model_id, config_id = chosen.config_id, result_id = result_id,
        prediction_month = months[1].month, is_active = activated.model, metrics = metrics, predictions = predictions,
        products = panel.n, months = { from = panel.first, to = panel.last } }
    end)
  end,
}
