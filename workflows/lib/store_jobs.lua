-- store_jobs.lua - jobs of POST /predict as the clients of the service we replace know them: running is
-- "processing", cancelled is "failed", oldest first.

local db = require("db")
local json = require("json")

local store_jobs = {}

local TYPE = "store_item_predict"
local PAGE_MAX = 1000
local SHOWN = { pending = "pending", running = "processing", completed = "completed", failed = "failed",
                cancelled = "failed" }
local STORED = { pending = { "pending" }, processing = { "running" }, completed = { "completed" },
                 failed = { "failed", "cancelled" } }
local ALL = { "pending", "running", "completed", "failed", "cancelled" }
local COLUMNS = "job_seq, job_id, status, created_at, finished_at, parameters, result, error_message"

local function decode(text)
  local value = text and json.decode(text)
  if value == json.null then return nil end
  return value
end

local function show(row)
  local j = { job_id = row.job_id, status = SHOWN[row.status], submitted_at = row.created_at }
  if row.finished_at then j.completed_at = row.finished_at end
  if row.status == "completed" then
    j.result = decode(row.result)
  elseif SHOWN[row.status] == "failed" then
    j.error = row.error_message or row.status
  end
  return j
end

--- What POST /predict answers with.
--- @param id string
--- @return table { job_id, status = "pending", submitted_at }
function store_jobs.pending(id)
  return { job_id = id, status = "pending",
           submitted_at = db.main():value("SELECT created_at FROM jobs WHERE job_id = ?", { id }) }
end

local GET = "SELECT " .. COLUMNS .. " FROM jobs WHERE job_id = ? AND job_type = '" .. TYPE .. "'"

--- One job.
--- @param id string
--- @return table?  { job_id, status, submitted_at, completed_at, result, error }; nil: no such job
function store_jobs.get(id)
  local row = db.main():row(GET, { id })
  return row and show(row)
end

local function counted()
  local n = { pending = 0, processing = 0, completed = 0, failed = 0 }
  for _, r in ipairs(db.main():query("SELECT status, n FROM job_counts WHERE job_type = ?", { TYPE })) do
    local name = SHOWN[r.status]
    n[name] = n[name] + r.n
  end
  return n, n.pending + n.processing + n.completed + n.failed
end

--- How many jobs there are.
--- @return table { active_jobs = all, as ever; unfinished_jobs, jobs_by_status }
function store_jobs.counts()
  local n, all = counted()
  return { active_jobs = all, unfinished_jobs = n.pending + n.processing, jobs_by_status = n }
end

-- Of each status the oldest, then the oldest of those: an index has them in this order.
local function oldest(statuses, after, limit)
  local parts = {}
  for i, status in ipairs(statuses) do
    parts[i] = "SELECT * FROM (SELECT " .. COLUMNS .. " FROM jobs WHERE job_type = '" .. TYPE .. "' AND status = '"
      .. status .. "' AND job_seq > ?1 ORDER BY job_seq LIMIT ?2)"
  end
  return db.main():query(table.concat(parts, " UNION ALL ") .. " ORDER BY job_seq LIMIT ?2", { after, limit })
end

--- Jobs, oldest first.
--- Waits.
--- @param status string?  as clients know it; an unknown one has no jobs
--- @param limit integer?  0 or nil: as many as one answer has; negative: without so many at the end
--- @param after integer?  next_after of the page before
--- @return table { total_jobs, filtered_jobs = in `jobs`, matching_jobs, jobs, next_after }
function store_jobs.list(status, limit, after)
  local n, all = counted()
  if status == "" then status = nil end
  local matching = status and (n[status] or 0) or not status and all
  if limit and limit < 0 then
    limit = math.max(0, matching + limit)
  else
    limit = limit and limit > 0 and limit or PAGE_MAX
  end
  limit = math.min(limit, PAGE_MAX)
  local statuses = status and STORED[status] or not status and ALL
  local rows = statuses and limit > 0 and oldest(statuses, after or 0, limit) or {}
  local jobs = json.array({})
  for i, row in ipairs(rows) do
    jobs[i] = show(row)
    jobs[i].data = decode(row.parameters)
  end
  return { total_jobs = all, filtered_jobs = #jobs, matching_jobs = matching, jobs = jobs,
           next_after = #rows > 0 and #rows == limit and #rows < matching and rows[#rows].job_seq or nil }
end

return store_jobs
