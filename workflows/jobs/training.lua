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
local tensor = require("tensor")
local time = require("time")

-- The part of the whole that a stage is, for the bar people watch.
local function bar(job, from, to)
  return function(share, text) job:progress(from + (to - from) * share, text) end
end

local function metrics_of(learnt, trained, seconds)
  local out = { training_duration_seconds = seconds, train_loss = trained.train_loss, val_loss = trained.val_loss,
                epochs = trained.epochs,
                backtest = { models = learnt.models, months = learnt.months, by_month = learnt.by_month,
                             weights = learnt.weights, duel = learnt.duel } }
  for name, value in pairs(learnt.val or {}) do out[name] = value end
  return out
end

-- A training that has failed for good leaves no files.
local function or_clean(paths, fn)
  local out = table.pack(pcall(fn))
  if out[1] then return table.unpack(out, 2, out.n) end
  for _, path in ipairs(paths) do pcall(fs.remove, path) end
  error(out[2], 0)
end

local function publish(tx, job, t)
  local chosen, panel = t.chosen, t.panel
  local seconds = tonumber(("%.3f"):format(time.now() - chosen.started))
  local metrics = metrics_of(t.learnt, t.trained, seconds)
  local months = { from = panel.first, to = panel.last }
  local result_id = forecast_publish.model(tx, {
    model_id = chosen.model_id, job_id = job.id, config_id = chosen.config_id, file = t.file, sha256 = t.trained.sha256,
    duration = seconds, metrics = metrics,
    metadata = { horizon = 1, lookback = t.trained.lags, quantiles = forecast.LEVELS, months = months,
      features = { past = #panel.features.past, future = #panel.features.future, static = #panel.vocabulary },
      n_products = panel.n, config_id = chosen.config_id, weights = t.learnt.weights },
  })
  if t.learnt.held then forecast_publish.held(tx, result_id, t.learnt.held) end
  local predictions = forecast_publish.predictions(tx, job.id, chosen.model_id, t.forecasts)
  local activated = model_store.after_result(tx, { model_id = chosen.model_id, config_id = chosen.config_id,
    duel = t.learnt.duel })
  return { model_id = chosen.model_id, config_id = chosen.config_id, result_id = result_id, months = months,
    prediction_month = t.forecasts[1].month, is_active = activated.model,
    active_model_id = activated.model and chosen.model_id or activated.previous_model_id,
    metrics = metrics, predictions = predictions, products = panel.n }
end

return {
  summary = "Train on everything up to the last complete month and forecast the next one",
  hidden = true, -- has a route of its own, which looks at the dates first
  role = "operator", attempts = 3, deadline = "4h", concurrency = 1,
  params = { dataset_start_date = "date?", dataset_end_date = "date?" },
  run = function(job)
    local main, scratch, p, root = db.main(), job:scratch(), job.params, settings.data_root_dir
    job:progress(0.01, "preparing the dataset")
    local chosen = job:step("choose parameters", function()
      local c = model_store.effective_config(main)
      return { config_id = c.config_id, config = c.config, model_id = crypto.uuid(7), started = time.now() }
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
      fs.mkdir(root .. "/predictions")
      dataset.keep(scratch, root .. "/predictions/panel.db")
      return { products = panel.n, months = panel.steps, first = panel.first, last = panel.last }
    end)
    local learnt = job:step("backtest", function()
      local active = model_store.active(main, "sales")
      local learnt = compute.backtest({ panel = panel, config = chosen.config,
        rival = active and forecast_publish.promised(panel, main, active), progress = bar(job, 0.05, 0.5) })
      if learnt.held then
        learnt.held = forecast_publish.rows(panel, { month = learnt.held.month,
          quantiles = tensor.from(learnt.held.quantiles), cold = tensor.new({ panel.n }) })
      end
      return learnt
    end)
    local file = chosen.model_id .. ".model"
    local path, checkpoint = root .. "/models/" .. file, root .. "/scratch/" .. job.id .. ".checkpoint"
    local function train()
      fs.mkdir(root .. "/models")
      return compute.fit({ panel = panel, config = chosen.config, learnt = learnt, path = path,
        checkpoint = checkpoint, progress = bar(job, 0.5, 0.92) })
    end
    return or_clean({ path, checkpoint }, function()
      local trained = job:step("train", train)
      if not fs.exists(path) then trained = train() end -- an attempt before this one failed behind it
      job:progress(0.93, "forecasting")
      local model, forecasts = forecast.load(path), {}
      for i, m in ipairs(forecast.predict(panel, model, 1)) do forecasts[i] = forecast_publish.rows(panel, m) end
      forecast.close(model)
      job:progress(0.97, "publishing")
      local result = job:transact("publish", publish, job, { chosen = chosen, panel = panel, learnt = learnt,
        trained = trained, file = file, forecasts = forecasts })
      if not result.is_active and result.active_model_id then -- it stays, so its word on the month is wanted too
        job:spawn("prediction", { model_id = result.active_model_id, prediction_month = result.prediction_month })
      end
      return result
    end)
  end,
}
