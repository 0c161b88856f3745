-- Models: the active one, the best one, all of them; taking in and deleting.
local db = require("db")
local fail = require("fail")
local fs = require("fs")
local json = require("json")
local model_store = require("model_store")
local model_upload = require("model_upload")
local reply = require("reply")
local time = require("time")
local view = require("model_view")

local BASE = "/api/v1/models-configs/models"
local ID = { model_id = "text 1..100" }
local KIND = "text 1..40 = sales -- the service it answers for"

local function must(id)
  return db.main():row("SELECT * FROM models WHERE model_id = ?", { id })
    or fail.raise("model_not_found", "there is no model " .. id)
end

local USES = [[SELECT model_id, model_path, is_active,
  (SELECT count(DISTINCT prediction_month) FROM fact_predictions p WHERE p.model_id = m.model_id) AS months
  FROM models m WHERE model_id = ?]]

-- The row goes first: a file without a row does no harm, a row without a file would.
local function remove(id, with_predictions)
  local path
  local why = db.main():transaction(function(tx)
    local m = tx:row(USES, { id })
    if not m then return "there is no such model" end
    if m.is_active == 1 then return "it is active" end
    if m.months > 0 and not with_predictions then
      return ("it has predictions for %d months; with_predictions deletes them too"):format(m.months)
    end
    tx:exec("DELETE FROM fact_predictions WHERE model_id = ?", { id })
    tx:exec("DELETE FROM prediction_results WHERE model_id = ?", { id })
    tx:exec("DELETE FROM training_results WHERE model_id = ?", { id })
    tx:exec("DELETE FROM models WHERE model_id = ?", { id })
    path = select(2, pcall(model_store.path, m))
  end)
  if type(path) == "string" then pcall(fs.remove, path) end
  return why
end

-- Metrics as they came in a form: JSON, an object.
local function metrics_of(text)
  if not text then return nil end
  local ok, value = pcall(json.decode, text)
  if not ok or type(value) ~= "table" or json.is_array(value) then
    fail.raise("validation_error", "training_metrics is no JSON object", { errors = json.array({
      { loc = json.array({ "body", "training_metrics" }), msg = "expected a JSON object", type = "format" } }) })
  end
  return value
end

local function moment_of(text)
  local ok, at = pcall(time.parse, text or "")
  return ok and at and time.format(at, { digits = 3 }) or nil
end

return {
  schemas = {
    model = {
      model_id = "text", model_path = "text -- in models/ of the data folder", is_active = "boolean",
      metadata = "object?",
      created_at = "datetime?", job_id = "text?", model_kind = "text", sha256 = "text?",
      metric_value = "number? -- of the ranking, where one was asked for",
    },
  },

  ["GET " .. BASE .. "/active"] = {
    summary = "The model that forecasts", role = "viewer", tags = { "models" }, query = { model_kind = KIND },
    response = { [200] = "model", [404] = "error" },
    run = function(req)
      local row = model_store.active(db.main(), req.query.model_kind)
        or fail.raise("no_active_model", "no model is active")
      return view.model(row)
    end,
  },

  ["GET " .. BASE .. "/best"] = {
    summary = "The model with the best metric of its training", role = "viewer", tags = { "models" },
    query = view.RANKING, response = { [200] = "model", [404] = "error", [422] = "error" },
    run = function(req)
      local r = model_store.ranking(req.query.metric_name, req.query.higher_is_better)
      local row = model_store.best_model(db.main(), r)
        or fail.raise("no_models_found", "no model has the metric " .. r.metric)
      return view.model(row)
    end,
  },

  ["GET " .. BASE .. "/recent"] = {
    summary = "The newest models", role = "viewer", tags = { "models" },
    query = { limit = "integer 1..100 = 5" }, response = { [200] = { "array", of = "model" } },
    run = function(req)
      return view.list(BASE, { columns = "m.*", from = "models m", key = "m.rowid", limit = req.query.limit,
                               show = view.model })
    end,
  },

  ["GET " .. BASE] = {
    summary = "All models, newest first",
    description = "The header X-Total-Count has the number of all, Link the next page.",
    role = "viewer", tags = { "models" }, query = view.page_query(),
    response = { [200] = { "array", of = "model" } },
    run = function(req)
      return view.list(BASE, { columns = "m.*", from = "models m", key = "m.rowid", limit = req.query.limit,
                               cursor = req.query.cursor, show = view.model })
    end,
  },

  ["GET " .. BASE .. "/{model_id}"] = {
    summary = "One model", role = "viewer", tags = { "models" }, path = ID,
    response = { [200] = "model", [404] = "error" },
    run = function(req) return view.model(must(req.path.model_id)) end,
  },

  ["GET " .. BASE .. "/{model_id}/file"] = {
    summary = "The file of a model", role = "operator", tags = { "models" }, path = ID,
    response = { [200] = { content_type = "application/octet-stream" }, [404] = "error" },
    run = function(req)
      local row = must(req.path.model_id)
      local path = model_store.path(row)
      return reply.file(path, { content_type = "application/octet-stream", download = path:match("[^/]*$") })
    end,
  },

  ["POST " .. BASE .. "/{model_id}/set-active"] = {
    summary = "Make a model the one that forecasts", role = "operator", tags = { "models" }, path = ID,
    response = { [200] = "done", [404] = "error" },
    run = function(req)
      if not model_store.activate_model(db.main(), req.path.model_id) then must(req.path.model_id) end
      return { success = true, message = "the model " .. req.path.model_id .. " is active" }
    end,
  },

  ["POST " .. BASE .. "/delete"] = {
    summary = "Delete models with their files and training results",
    description = "The active model stays, and so does one with predictions unless with_predictions; `errors` says "
      .. "why.",
    role = "admin", tags = { "models" },
    body = { ids = { "array", of = "text 1..100", max = 1000 },
             with_predictions = "boolean = false -- delete what they have forecast, too" },
    response = { [200] = "deleted", [400] = "error" },
    run = function(req)
      return view.delete(req.body.ids, function(id) return remove(id, req.body.with_predictions) end)
    end,
  },

  ["POST " .. BASE .. "/upload"] = {
    summary = "Upload a model file",
    description = "One of ours, or LightGBM's text. It is loaded before it is kept: a file that is no model, or one "
      .. "of another catalogue, is refused.",
    role = "operator", tags = { "models" }, body_max = model_upload.BYTES_MAX + 65536, deadline = "120s",
    multipart = {
      model_file = { "file", max_bytes = model_upload.BYTES_MAX }, model_id = "text 1..100", model_kind = KIND,
      job_id = "text? 1..64 -- the job that made it", is_active = "boolean = false",
      created_at = "text? 1..40 -- a moment; default: now", description = "text? 0..2000", version = "text? 0..100",
      tags = "text? 0..1000 -- with commas between", training_metrics = "text? 0..65536 -- a JSON object",
      source_job_id = "text? 1..100",
    },
    response = { [200] = "model", [400] = "error", [409] = "error", [413] = "error", [422] = "error" },
    run = function(req)
      local p, f = req.parts, req.parts.model_file
      model_upload.keep({
        path = f.path, filename = (f.filename or ""):match("[^/\\]*$"):gsub("%c", ""):sub(1, 200), bytes = f.bytes,
        sha256 = f.sha256, model_id = p.model_id, model_kind = p.model_kind, is_active = p.is_active,
        job_id = p.job_id, created_at = moment_of(p.created_at), description = p.description, version = p.version,
        tags = p.tags, training_metrics = metrics_of(p.training_metrics), source_job_id = p.source_job_id,
        by = req.key.id,
      })
      return view.model(must(p.model_id))
    end,
  },
}
