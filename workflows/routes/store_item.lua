-- The store-item forecasting service. Paths, fields and texts of errors are those of the service it
-- replaces, whose clients send no key; so the four routes of old are open to everybody who reaches the
-- port. To close them, put a role in the place of `false`.

local fail = require("fail")
local job = require("job")
local log = require("log")
local store_actuals = require("store_actuals")
local store_jobs = require("store_jobs")
local store_request = require("store_request")
local store_serve = require("store_serve")
local task = require("task")
local time = require("time")

local TAGS = { "store-item" }
local WAIT_MAX = 30
local NO_MODEL = "No model is loaded"

-- An answer of the shape these clients know; other errors go the way of all others.
local function guarded(run)
  return function(req)
    local ok, value, status, headers = pcall(run, req)
    if ok then return value, status, headers end
    local code, body = store_request.answer(value)
    if not code then error(value, 0) end
    return body, code
  end
end

-- Seconds of "Prefer: wait=5"; nil when there is none. Source: RFC 7240, 4.3
local function wait_of(req)
  local prefer = req:header("prefer")
  local n = prefer and #prefer < 200 and (", " .. prefer:lower()):match("[,;]%s*wait%s*=%s*(%d+)")
  return n and math.min(tonumber(n), WAIT_MAX)
end

local function submit(body)
  local params = body.items ~= nil and { items = body.items }
    or { date = body.date, store = body.store, item = body.item }
  return store_jobs.pending((job.submit("store_item_predict", params)))
end

local STAMP = { digits = 3 }
local WAITED = {}
for i = 0, WAIT_MAX do WAITED[i] = { ["Preference-Applied"] = "wait=" .. i } end

-- Store, item and day, or a list of them.
local function forecast(req, body)
  local items, is_one = store_request.items(body)
  local wait = wait_of(req)
  if not wait then return submit(body) end
  local m = store_serve.model()
  if not m then return { error = NO_MODEL }, 503 end
  local from = time.format(nil, STAMP)
  if is_one then
    return { status = "completed", submitted_at = from, completed_at = from, result = store_serve.one(m, items[1]) },
      200, WAITED[wait]
  end
  local ok, result = pcall(task.timeout, math.max(wait, 0.001), store_serve.many, m, items)
  if not ok then
    if type(result) == "table" and result.code == "timeout" then return submit(body) end
    error(result, 0)
  end
  return { status = "completed", submitted_at = from, completed_at = time.format(nil, STAMP),
           result = { predictions = result } }, 200, WAITED[wait]
end

return {
  ["POST /predict"] = {
    summary = "Forecast the sales of an item in a store on a day", role = false, tags = TAGS,
    description = "Body: {\"date\": \"2018-01-31\", \"store\": 1, \"item\": 1}, or {\"items\": [ … ]} with up to 1000 "
      .. "of these. Answers with a job; with the header Prefer: wait=5 with the forecast itself, and no job. "
      .. "`extrapolated` and `notes` tell of stores, items and dates the model knows nothing of.",
    headers = { prefer = "text? 0..200 -- wait=SECONDS" },
    response = { [200] = "any", [400] = { error = "text", field = "text" }, [415] = { error = "text", field = "text" },
      [503] = { error = "text" } },
    run = guarded(function(req)
      -- services are told apart by what is in the body: put another one here, before the last
      return forecast(req, store_request.body(req))
    end),
  },

  ["GET /status"] = {
    summary = "Whether there is a model, and how many jobs there are", role = false, tags = TAGS,
    description = "active_jobs is what it always was, the number of all jobs; unfinished_jobs are those of them that "
      .. "wait or run.",
    response = { [200] = { status = "text", model_loaded = "boolean", active_jobs = "integer",
      unfinished_jobs = "integer", model_version = "text?", model_error = "text?", trained_until = "date?",
      jobs_by_status = { pending = "integer", processing = "integer", completed = "integer", failed = "integer" } } },
    run = function()
      local out = store_jobs.counts()
      local ok, m = pcall(store_serve.model)
      out.status, out.model_loaded = "online", ok and m ~= nil
      if not ok then
        out.model_error = type(m) == "table" and m.message or "the model cannot be opened"
        log.error("store-item model not opened", { why = type(m) == "table" and m.message or tostring(m) })
      elseif m then
        out.model_version, out.trained_until = m.id, m.metadata.trained_until
      end
      return out
    end,
  },

  ["GET /status/{job_id}"] = {
    summary = "One job of POST /predict", role = false, tags = TAGS, path = { job_id = "text 1..500" },
    response = { [200] = "any", [404] = { error = "text", job_id = "text" } },
    run = function(req)
      local one = store_jobs.get(req.path.job_id)
      if not one then return { error = "Job not found", job_id = req.path.job_id }, 404 end
      return one
    end,
  },

  ["GET /jobs"] = {
    summary = "Jobs of POST /predict, oldest first", role = false, tags = TAGS,
    description = "filtered_jobs counts the jobs of this answer, matching_jobs all that have the status. At most 1000 "
      .. "are returned at once; next_after is the `after` of the following ones. A negative limit leaves out so many "
      .. "at the end.",
    query = { status = "text? 0..100 -- pending, processing, completed, failed", limit = "text? 0..20",
      after = "integer? 0.." },
    response = { [200] = { total_jobs = "integer", filtered_jobs = "integer", matching_jobs = "integer",
      jobs = { "array", of = "any" }, next_after = "integer?" } },
    run = function(req)
      local limit = (req.query.limit or ""):match("^%s*([+-]?%d+)%s*$")
      return store_jobs.list(req.query.status, limit and math.tointeger(tonumber(limit)), req.query.after)
    end,
  },

  ["GET /api/v1/store-item/models"] = {
    summary = "Versions of the store-item model, newest first", role = "viewer", tags = TAGS,
    response = { [200] = { models = { "array", of = "any" } } },
    run = function() return { models = store_actuals.models() } end,
  },

  ["POST /api/v1/store-item/models/{model_id}/activate"] = {
    summary = "Take a version into use: also the way back to an older one", role = "operator", tags = TAGS,
    path = { model_id = "text 1..64" },
    response = { [200] = { model_id = "text", is_active = "boolean" }, [404] = "error" },
    run = function(req)
      local id = req.path.model_id
      if not store_actuals.activate(id) then fail.raise("model_not_found", "there is no store-item model " .. id) end
      return { model_id = id, is_active = true }
    end,
  },

  ["POST /api/v1/store-item/actuals"] = {
    summary = "Tell what was sold, to see how good the forecasts were", role = "operator", tags = TAGS,
    body = { items = { "array", min = 1, max = 10000, of = { date = "date", store = "integer 1..2147483647",
      item = "integer 1..2147483647", sales = "number 0..1000000000" } } },
    response = { [200] = { stored = "integer" }, [422] = "error" },
    run = function(req) return { stored = store_actuals.store(req.body.items) } end,
  },

  ["POST /api/v1/store-item/actuals/file"] = {
    summary = "The same as a table file with the columns date, store, item, sales", role = "operator", tags = TAGS,
    multipart = { file = "file" }, response = { [202] = "submitted", [422] = "error" },
    run = function(req)
      local id = job.submit("store_item_actuals", { stored = req.parts.file.path:match("[^/]*$") },
        { by = req.key.id, refractory = false })
      req:keep(req.parts.file)
      return { job_id = id, status = "pending" }, 202, { Location = "/api/v1/jobs/" .. id }
    end,
  },

  ["GET /api/v1/store-item/accuracy"] = {
    summary = "How good the forecasts of a version were, by what was sold since", role = "viewer", tags = TAGS,
    description = "Only days after the training data count. is_drifting: the error is a quarter above that of the "
      .. "validation.",
    query = { model_id = "text? 1..64 -- default: the active one" },
    response = { [200] = "any", [404] = "error" },
    run = function(req)
      local id = req.query.model_id
      local m
      if id then m = store_serve.version(id) else m = store_serve.model() end
      if not m then fail.raise("model_not_found", id and "there is no store-item model " .. id or NO_MODEL) end
      return store_actuals.accuracy(m)
    end,
  },
}
