-- Results of trainings and tunings.
local db = require("db")
local fail = require("fail")
local model_store = require("model_store")
local view = require("model_view")

local function page(req, what, columns, ranked)
  local o = { columns = columns, from = what .. "_results t", key = "t.rowid", limit = req.query.limit,
              cursor = req.query.cursor, show = view.result }
  local name = ranked and req.query.metric_name
  if name then
    local metric = model_store.metric_sql("t.metrics")
    o.args, o.where = { metric = name }, metric .. " IS NOT NULL"
    o.order = metric .. (req.query.higher_is_better and " DESC" or " ASC") .. ", t.rowid DESC"
    o.cursor = nil
  end
  return view.list("/api/v1/results/" .. what, o)
end

local function one(what, columns, id)
  local row = db.main():row(("SELECT %s FROM %s_results t WHERE result_id = ?"):format(columns, what), { id })
    or fail.raise("not_found", ("there is no %s result %s"):format(what, id))
  return view.result(row)
end

local TRAINING = "t.result_id, t.job_id, t.model_id, t.config_id, t.metrics, t.duration, t.created_at"
local TUNING = "t.result_id, t.job_id, t.config_id, t.metrics, t.duration, t.created_at"
local ID = { result_id = "text 1..64" }

local TUNING_QUERY = view.page_query()
for name, decl in pairs(view.RANKING) do TUNING_QUERY[name] = decl end
TUNING_QUERY.metric_name = { view.RANKING.metric_name[1], doc = "only those that have it, best first; else newest" }

return {
  schemas = {
    training_result = { result_id = "text", job_id = "text?", model_id = "text?", config_id = "text?",
                        metrics = "object", duration = "number? -- seconds", created_at = "datetime" },
    tuning_result = { result_id = "text", job_id = "text?", config_id = "text", metrics = "object",
                      duration = "number? -- seconds", created_at = "datetime" },
  },

  ["GET /api/v1/results/training"] = {
    summary = "Results of trainings, newest first",
    description = "The header X-Total-Count has the number of all, Link the next page.",
    role = "viewer", tags = { "results" }, query = view.page_query(),
    response = { [200] = { "array", of = "training_result" } },
    run = function(req) return page(req, "training", TRAINING) end,
  },

  ["GET /api/v1/results/training/{result_id}"] = {
    summary = "One result of a training", role = "viewer", tags = { "results" }, path = ID,
    response = { [200] = "training_result", [404] = "error" },
    run = function(req) return one("training", TRAINING, req.path.result_id) end,
  },

  ["GET /api/v1/results/tuning"] = {
    summary = "Results of tunings, by a metric or newest first",
    description = "The header X-Total-Count has the number of all, Link the next page (of the newest first).",
    role = "viewer", tags = { "results" }, query = TUNING_QUERY,
    response = { [200] = { "array", of = "tuning_result" }, [422] = "error" },
    run = function(req) return page(req, "tuning", TUNING, true) end,
  },

  ["GET /api/v1/results/tuning/{result_id}"] = {
    summary = "One result of a tuning", role = "viewer", tags = { "results" }, path = ID,
    response = { [200] = "tuning_result", [404] = "error" },
    run = function(req) return one("tuning", TUNING, req.path.result_id) end,
  },
}
