-- store_item_train.lua - a file of daily sales (date, store, item, sales) becomes the model behind POST
-- /predict. `plastinka run store_item_train --param file=train.csv`. What is done is in
-- workflows/lib/store_train.lua and store_model.lua; the features are in store_features.lua.

local db = require("db")
local fs = require("fs")
local json = require("json")
local model_store = require("model_store")
local settings = require("settings")
local store_model = require("store_model")
local store_serve = require("store_serve")
local store_train = require("store_train")
local trees = require("trees")

local function has_sales(d)
  return d:value("SELECT 1 FROM sqlite_schema WHERE name = 'sales'") ~= nil
end

-- The model, its numbers and that it is the active one, in one transaction.
local function publish(job, d, done)
  local p, e = job.params, done.evaluation
  fs.mkdir("models")
  local file = store_model.write(d, settings.data_root_dir .. "/models/" .. job.id .. ".db", {
    features = p.features, horizon = p.horizon, trained_until = done.trained.last_date, level = p.level,
    trained_from = done.read.first_date, intervals = e.intervals, validation = e, data = done.read,
    trees = done.trained.trees, importance = done.trained.importance, imported = p.model ~= nil,
  })
  e.intervals = nil
  local tx = db.main()
  tx:transaction(function()
    tx:exec("INSERT OR REPLACE INTO models(model_id, job_id, model_kind, model_path, metadata, sha256) "
      .. "VALUES (?, ?, ?, ?, ?, ?)", { job.id, job.id, store_model.KIND, "models/" .. job.id .. ".db",
      json.encode({ features = p.features, imported = p.model ~= nil, trained_until = done.trained.last_date,
      validation = e }), file.sha256 })
    tx:exec("INSERT OR REPLACE INTO training_results(result_id, job_id, model_id, metrics) VALUES (?, ?, ?, ?)",
      { job.id, job.id, job.id, json.encode({ store_item_smape = e.smape, store_item_mape = e.mape,
      store_item_mae = e.mae }) })
    if p.activate then model_store.activate_model(tx, job.id) end
  end)
  store_serve.tell()
  return { model_id = job.id, is_active = p.activate, bytes = file.bytes }
end

return {
  summary = "Train the store-item forecaster on a file of sales, and take it into use",
  description = "Columns date, store, item, sales. The last `holdout` days are forecast by a model that has not "
    .. "seen them, then it is trained on all. With `model`, a LightGBM file on the nine calendar features is taken "
    .. "into use instead.",
  role = "admin", -- it reads files by their path
  attempts = 3, deadline = "4h", concurrency = 1, refractory = 0,
  params = {
    file = "text 1..1000 -- path of a csv or xlsx file", features = "history|calendar = history",
    holdout = "integer 7..366 = 92 -- days", horizon = "integer 1..366 = 92 -- days that are forecast ahead",
    level = "number 0.5..0.99 = 0.9 -- of the prediction intervals", activate = "boolean = true",
    model = "text? 1..1000 -- path of a LightGBM model file", params = "object? -- of the trees, as LightGBM has them",
  },
  run = function(job)
    local p, d, done = job.params, job:scratch(), {}
    local function read()
      return store_train.read(d, p.file, function(share) job:progress(0.2 * share, "reading " .. p.file) end)
    end
    local imported
    if p.model then
      imported = trees.load(p.model)
      p.features = "calendar"
      if imported:info().n_features ~= 9 then
        error({ code = "invalid", message = ("the model %s has %d features, expected the nine of the calendar")
          :format(p.model, imported:info().n_features) }, 0)
      end
    end
    local opt = { features = p.features, params = p.params, horizon = p.horizon, holdout = p.holdout, level = p.level,
                  model = imported }
    done.read = job:step("read", read)
    if done.read.rejected > 0 then
      job:log(("%d of %d rows are rejected, the first is row %d for its %s"):format(done.read.rejected, done.read.read,
        done.read.first_rejected.row, done.read.first_rejected.field), "warn")
    end
    local published = db.main():row("SELECT model_id FROM models WHERE model_id = ?", { job.id })
    if not published and not has_sales(d) then read() end -- the scratch file was lost with its machine
    done.evaluation = job:step("evaluate", function()
      job:progress(0.25, "training without the last " .. p.holdout .. " days")
      return store_train.evaluate(d, opt)
    end)
    local e = done.evaluation
    job:log(("sMAPE %.2f %%, MAPE %.2f %% on %s to %s; expected sales alone %.2f %%"):format(e.smape * 100,
      e.mape * 100, e.from, e.to, e.others.expected.smape * 100))
    done.trained = job:step("train", function()
      job:progress(0.6, "training on all days")
      return store_train.train(d, opt)
    end)
    local out = job:step("publish", function()
      job:progress(0.95, "publishing")
      if not has_sales(d) then -- cut short behind the last word of the file: all of it again
        read()
        store_train.train(d, opt)
      end
      return publish(job, d, done)
    end)
    out.validation, out.rows, out.trees, out.trained_until = done.evaluation, done.read.accepted, done.trained.trees,
      done.trained.last_date
    return out
  end,
}
