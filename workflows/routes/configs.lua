-- Parameters of models: the active ones, the best ones, all of them.
local db = require("db")
local fail = require("fail")
local model_config = require("model_config")
local model_store = require("model_store")
local view = require("model_view")

local BASE = "/api/v1/models-configs/configs"
local ID = { config_id = "text 1..64" }

local function row_of(id)
  return db.main():row("SELECT * FROM configs WHERE config_id = ?", { id })
end

local function page_of(query)
  return { columns = "c.*", from = "configs c", key = "c.rowid", limit = query.limit, cursor = query.cursor,
           show = view.config }
end

local function activate(id)
  if not model_store.activate_config(db.main(), id) then
    fail.raise("config_not_found", "there are no parameters " .. id)
  end
end

-- Stored, and active if that was asked for.
local function create(config, is_active)
  return db.main():transaction(function(tx)
    local id = model_config.store(tx, config, "manual_upload")
    if is_active then model_store.activate_config(tx, id) end
    return id
  end)
end

local REFERENCES = [[SELECT iif(is_active, 'it is active', NULL) AS active,
  (SELECT count(*) FROM training_results t WHERE t.config_id = c.config_id) AS training,
  (SELECT count(*) FROM tuning_results t WHERE t.config_id = c.config_id) AS tuning,
  (SELECT count(*) FROM jobs j WHERE j.config_id = c.config_id) AS jobs,
  EXISTS (SELECT 1 FROM jobs j JOIN job_steps s ON s.job_id = j.job_id WHERE j.queue IS NOT NULL
    AND j.job_type IN ('training', 'tuning') AND json_valid(s.result)
    AND json_extract(s.result, '$.config_id') = c.config_id) AS is_used
  FROM configs c WHERE config_id = ?]]

local function remove(id)
  return db.main():transaction(function(tx)
    local r = tx:row(REFERENCES, { id })
    if not r then return "there are no such parameters" end
    if r.active then return r.active end
    for _, what in ipairs({ "training", "tuning" }) do
      if r[what] > 0 then return ("%d %s results belong to it"):format(r[what], what) end
    end
    if r.is_used == 1 then return "a job that has not ended uses them" end
    if r.jobs > 0 then return r.jobs .. " jobs belong to it" end
    tx:exec("DELETE FROM configs WHERE config_id = ?", { id })
  end)
end

return {
  schemas = {
    model_params = {
      config_id = "text -- MD5 of the parameters", config = { "object", doc = "every parameter, defaults filled in" },
      is_active = "boolean", created_at = "datetime?", source = "text?",
      metric_value = "number? -- of the ranking, where one was asked for",
    },
    done = { success = "boolean", message = "text" },
    deleted = { successful = "integer", failed = "integer", errors = { "array", of = "text -- id: why it stays" } },
  },

  ["GET " .. BASE .. "/active"] = {
    summary = "The parameters that trainings take", role = "viewer", tags = { "parameters" },
    response = { [200] = "model_params", [404] = "error" },
    run = function()
      local row = db.main():row("SELECT * FROM configs WHERE is_active = 1")
        or fail.raise("no_active_config", "no parameters are active")
      return view.config(row)
    end,
  },

  ["GET " .. BASE .. "/best"] = {
    summary = "The parameters with the best metric of any training or tuning",
    description = "By the metric alone: being active is no merit.",
    role = "viewer", tags = { "parameters" }, query = view.RANKING,
    response = { [200] = "model_params", [404] = "error", [422] = "error" },
    run = function(req)
      local r = model_store.ranking(req.query.metric_name, req.query.higher_is_better)
      local row = model_store.best_config(db.main(), r)
        or fail.raise("no_configs_found", "no parameters have the metric " .. r.metric)
      return view.config(row)
    end,
  },

  ["GET " .. BASE] = {
    summary = "All parameters, newest first",
    description = "The header X-Total-Count has the number of all, Link the next page.",
    role = "viewer", tags = { "parameters" }, query = view.page_query(),
    response = { [200] = { "array", of = "model_params" } },
    run = function(req) return view.list(BASE, page_of(req.query)) end,
  },

  ["POST " .. BASE .. "/{config_id}/set-active"] = {
    summary = "Make parameters the active ones", role = "operator", tags = { "parameters" }, path = ID,
    response = { [200] = "done", [404] = "error" },
    run = function(req)
      activate(req.path.config_id)
      return { success = true, message = "the parameters " .. req.path.config_id .. " are active" }
    end,
  },

  ["POST " .. BASE .. "/upload"] = {
    summary = "Store parameters", description = "What is not given has its default. The same once more is the same id.",
    role = "operator", tags = { "parameters" },
    body = { json_payload = { "object", doc = "as GET " .. BASE .. "/active shows them" },
             is_active = "boolean = false" },
    response = { [200] = "model_params", [400] = "error", [422] = "error" },
    run = function(req)
      local ok, id = pcall(create, req.body.json_payload, req.body.is_active)
      if not ok and type(id) == "table" and id.code == "validation_error" then
        fail.raise("config_upload_failed", id.message, id.details)
      elseif not ok then
        error(id, 0)
      end
      return view.config(row_of(id))
    end,
  },

  ["POST " .. BASE .. "/delete"] = {
    summary = "Delete parameters",
    description = "Those that are active, or that results or jobs belong to, stay; `errors` says why.",
    role = "admin", tags = { "parameters" }, body = { ids = { "array", of = "text 1..64", max = 1000 } },
    response = { [200] = "deleted", [400] = "error" },
    run = function(req) return view.delete(req.body.ids, remove) end,
  },

  ["GET /api/v1/model-params"] = {
    summary = "All parameters, newest first", role = "viewer", tags = { "parameters" }, query = {
      limit = "integer 1..1000 = 100", cursor = "integer? 1.. -- next_cursor of the page before",
    },
    response = { [200] = { params = { "array", of = "model_params" }, total = "integer -- of all",
                           next_cursor = "integer?" } },
    run = function(req)
      local rows, total, next_cursor = view.page(page_of(req.query))
      return { params = rows, total = total, next_cursor = next_cursor }
    end,
  },

  ["GET /api/v1/model-params/defaults"] = {
    summary = "The parameters this program ships with", role = "viewer", tags = { "parameters" },
    response = { [200] = { config_id = "text", config = "object" } },
    run = function()
      local config = model_config.default()
      return { config_id = model_config.id(config), config = config }
    end,
  },

  ["GET /api/v1/model-params/{config_id}"] = {
    summary = "One set of parameters", role = "viewer", tags = { "parameters" }, path = ID,
    response = { [200] = "model_params", [404] = "error" },
    run = function(req)
      local row = row_of(req.path.config_id)
        or fail.raise("config_not_found", "there are no parameters " .. req.path.config_id)
      return view.config(row)
    end,
  },

  ["POST /api/v1/model-params"] = {
    summary = "Store parameters", description = "201, or 200 when they were stored before.",
    role = "operator", tags = { "parameters" },
    body = { config = { "object", doc = "what is not given has its default; unknown names are an error" },
             is_active = "boolean = false" },
    response = { [200] = "model_params", [201] = "model_params", [422] = "error" },
    run = function(req)
      local known = row_of(model_config.id(model_config.check(req.body.config)))
      local id = create(req.body.config, req.body.is_active)
      return view.config(row_of(id)), known and 200 or 201, { Location = "/api/v1/model-params/" .. id }
    end,
  },

  ["PUT /api/v1/model-params/{config_id}/activate"] = {
    summary = "Make parameters the active ones", role = "operator", tags = { "parameters" }, path = ID,
    response = { [200] = "model_params", [404] = "error" },
    run = function(req)
      activate(req.path.config_id)
      return view.config(row_of(req.path.config_id))
    end,
  },
}
