-- Jobs: starting, watching, cancelling, trying again.
local fail = require("fail")
local job = require("job")
local json = require("json")
local notify = require("notify")
local reply = require("reply")
local settings = require("settings")
local task = require("task")

local STATUS = "pending|running|completed|failed|cancelled"
local ID = { job_id = "text 1..64" }
local RANK = { viewer = 1, operator = 2, admin = 3 }
local LOOK_SECONDS = 2 -- a stream looks by itself, should a word get lost

-- Members that clients expect to be there, though they are null.
local function shown(j)
  if j.error == nil then j.error = json.null end
  if j.result == nil then j.result = json.null end
  return j
end

-- The events of one job from an event on, until it has ended and everything is told.
local function stream(id, after)
  return reply.events(function(out)
    local signal = notify.signal("job " .. id)
    while true do
      local seen = notify.count(signal)
      local rows = job.events(id, after)
      for _, e in ipairs(rows) do
        after = e.event_id
        local data = e.data and json.decode(e.data) or {}
        data.at, data.message, data.level, data.step = e.at, e.message, e.level, e.step or data.step
        out:send({ id = tostring(e.event_id), event = e.type, data = data })
      end
      if #rows < 500 then
        if job.get(id, { brief = true }).finished_at and #job.events(id, after) == 0 then
          out:send({ event = "end", data = { job_id = id } })
          return
        end
        if #rows == 0 then notify.wait(signal, seen, LOOK_SECONDS) else task.sleep(0) end
      end
    end
  end)
end

return {
  schemas = {
    job = {
      job_id = "text", job_type = "text", status = STATUS, created_at = "datetime", updated_at = "datetime",
      started_at = "datetime?", finished_at = "datetime?", progress = "number 0..100", progress_text = "text?",
      result = "any?", error = "text?", error_code = "text?", error_details = "object?", attempt = "integer",
      max_attempts = "integer", dead = "boolean -- used up its attempts, or parked: wants a person",
        priority = "integer",
      generation = "text? -- hash of the workflows it runs on", created_by = "text?", run_at = "datetime?",
      waiting_for = "text?", parent_job_id = "text?", schedule = "text?", cancelling = "boolean?", deaths = "integer",
    },
    submitted = { job_id = "text", status = "text" },
  },

  ["GET /api/v1/jobs"] = {
    summary = "Jobs, newest first", role = "viewer", tags = { "jobs" },
    query = {
      job_type = "text? 1..100", status = STATUS .. "?", dead = "boolean? -- only those that want a person",
      key = "text? 1..64 -- started with this API key", since = "datetime?", before = "datetime?",
      limit = "integer 1..1000 = 100", cursor = "text? 1..80 -- next_cursor of the page before",
    },
    response = { [200] = { jobs = { "array", of = "job" }, total = "integer -- of all that match",
      next_cursor = "text?" } },
    run = function(req)
      local q = req.query
      if q.dead == false then q.dead = nil end
      local page = job.list(q)
      for _, j in ipairs(page.jobs) do shown(j) end
      return page
    end,
  },

  ["GET /api/v1/jobs/{job_id}"] = {
    summary = "Status, progress, steps, log tail and result of one job", role = "viewer", tags = { "jobs" }, path = ID,
    response = { [200] = "any", [404] = "error" },
    run = function(req) return shown(job.get(req.path.job_id)) end,
  },

  ["POST /api/v1/jobs/{name}"] = {
    summary = "Start a job",
    description = "The body is what the job declares as its params. The same job with the same parameters is refused "
      .. "for a while (429). With an Idempotency-Key the answer to a repeated request is the first job.",
    role = "viewer", tags = { "jobs" }, path = { name = "text 1..100" },
    headers = { idempotency_key = "text? 1..200" },
    body = { "object", fields = {}, extra = true },
    response = { [200] = "submitted", [202] = "submitted", [404] = "error", [409] = "error", [422] = "error",
      [429] = "error" },
    run = function(req)
      local name = req.path.name:gsub("-", "_")
      local def = job.definition(name)
      if def.hidden then fail.raise("not_found", "there is no kind of job called " .. name) end
      if RANK[req.key.role] < RANK[def.role] then
        fail.raise("forbidden", "this job needs the role " .. def.role .. "; the key has the role " .. req.key.role)
      end
      local id, is_new = job.submit(name, req.body or {}, { by = req.key.id,
        idempotency_key = req.headers.idempotency_key })
      return { job_id = id, status = is_new and "pending" or job.get(id, { brief = true }).status },
        is_new and 202 or 200, { Location = "/api/v1/jobs/" .. id }
    end,
  },

  ["POST /api/v1/jobs/{job_id}/cancel"] = {
    summary = "Cancel a job", description = "One that runs ends within a second, and so do those it has spawned.",
    role = "operator", tags = { "jobs" }, path = ID,
    response = { [200] = "submitted", [202] = "submitted", [404] = "error", [409] = "error" },
    run = function(req)
      local status = job.cancel(req.path.job_id)
      return { job_id = req.path.job_id, status = status }, status == "cancelled" and 200 or 202
    end,
  },

  ["POST /api/v1/jobs/{job_id}/retry"] = {
    summary = "Try a failed or cancelled job again",
    description = "Finished steps are not done again, "
      .. "unless fresh is true: then it begins anew on the current workflows.",
    role = "operator", tags = { "jobs" }, path = ID, body = { "object", fields = { ["fresh?"] = "boolean" } },
    response = { [202] = "submitted", [404] = "error", [409] = "error" },
    run = function(req)
      job.retry(req.path.job_id, { fresh = req.body and req.body.fresh })
      return { job_id = req.path.job_id, status = "pending" }, 202
    end,
  },

  ["POST /api/v1/jobs/{job_id}/signals/{name}"] = {
    summary = "Send a job the signal it waits for",
      description = "Callbacks and approvals. The first of a name counts.",
    role = "operator", tags = { "jobs" }, path = { job_id = ID.job_id, name = "text 1..200" },
    body = "any?", response = { [200] = { first = "boolean" }, [404] = "error", [409] = "error" },
    run = function(req)
      return { first = job.signal(req.path.job_id, req.path.name, req.body, req.key.id) }
    end,
  },

  ["GET /api/v1/jobs/{job_id}/events"] = {
    summary = "Events of a job as they happen",
    description = "Server-sent events: state, progress, step, log, and end. "
      .. "With Last-Event-ID it goes on behind that one.",
    role = "viewer", tags = { "jobs" }, path = ID, headers = { last_event_id = "integer? 0.." },
    query = { after = "integer? 0.." },
    response = { [200] = { content_type = "text/event-stream" }, [404] = "error" },
    run = function(req)
      job.get(req.path.job_id, { brief = true })
      return stream(req.path.job_id, req.headers.last_event_id or req.query.after or 0)
    end,
  },

  ["GET /api/v1/jobs/{job_id}/log"] = {
    summary = "Log of a job, oldest first", role = "viewer", tags = { "jobs" }, path = ID,
    query = { after = "integer 0.. = 0", limit = "integer 1..10000 = 1000" },
    response = { [200] = { log = { "array", of = { log_id = "integer", at = "datetime", level = "text", step = "text?",
      message = "text" } } }, [404] = "error" },
    run = function(req) return { log = job.log(req.path.job_id, req.query) } end,
  },

  ["GET /api/v1/jobs/{job_id}/history"] = {
    summary = "Every change of status of a job", role = "viewer", tags = { "jobs" }, path = ID,
    response = { [200] = { history = { "array", of = { status = "text", progress = "number?", message = "text?",
      at = "datetime" } } }, [404] = "error" },
    run = function(req) return { history = job.history(req.path.job_id) } end,
  },

  ["GET /api/v1/jobs/{job_id}/artifacts"] = {
    summary = "Files a job has made", role = "viewer", tags = { "jobs" }, path = ID,
    response = { [200] = { artifacts = { "array", of = { name = "text", content_type = "text?", bytes = "integer",
      sha256 = "text?", created_at = "datetime" } } }, [404] = "error" },
    run = function(req)
      local list = job.artifacts(req.path.job_id)
      for _, a in ipairs(list) do a.path = nil end
      return { artifacts = list }
    end,
  },

  ["GET /api/v1/jobs/{job_id}/artifacts/{name}"] = {
    summary = "One file a job has made", role = "viewer", tags = { "jobs" }, path = { job_id = ID.job_id,
      name = "text 1..200" },
    response = { [200] = { content_type = "application/octet-stream" }, [404] = "error" },
    run = function(req)
      for _, a in ipairs(job.artifacts(req.path.job_id)) do
        if a.name == req.path.name then
          return reply.file(settings.data_root_dir .. "/" .. a.path, { content_type = a.content_type,
            download = a.name })
        end
      end
      fail.raise("not_found", "the job has no file of this name")
    end,
  },
}
