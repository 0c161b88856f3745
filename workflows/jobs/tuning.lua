-- tuning.lua - looks for better parameters: many trainings, each with others, judged by the last months, which
-- none of them has seen. POST /api/v1/jobs/tuning starts it. What a trial does: workflows/lib/tuning.lua; what may
-- change: workflows/lib/tuning_space.lua.

local crypto = require("crypto")
local dataset = require("dataset")
local db = require("db")
local fs = require("fs")
local json = require("json")
local model_config = require("model_config")
local model_store = require("model_store")
local process = require("process")
local settings = require("settings")
local tuning = require("tuning")

local PREPARED, SEARCHED = 0.05, 0.97 -- of the bar people watch

-- Ended trials, best first; of equal configurations the best only.
local function ranked(found, base, higher)
  local sign = higher and -1 or 1
  local list, is_there, out = {}, {}, {}
  for _, t in ipairs(found.trials) do
    if t.status == "completed" then list[#list + 1] = t end
  end
  table.sort(list, function(a, b)
    if a.value ~= b.value then return sign * a.value < sign * b.value end
    return a.number < b.number
  end)
  for _, t in ipairs(list) do
    local config = tuning.config(base, t)
    local id = model_config.id(config)
    if not is_there[id] then out[#out + 1] = { id = id, trial = t, config = config } end
    is_there[id] = true
  end
  return out
end

local function counts(found)
  local out = { completed = 0, pruned = 0, failed = 0, stopped = 0 }
  for _, t in ipairs(found.trials) do out[t.status] = out[t.status] + 1 end
  return out
end

-- Nothing to offer: why.
local function refuse(found)
  local why = found.ended_by == "budget" and " in the time given" or ""
  for _, t in ipairs(found.trials) do
    if t.error then why = why .. "; the first one that failed: " .. t.error.message break end
  end
  error({ code = "no_result", message = ("none of %d trials came to its end%s"):format(#found.trials, why),
    details = { trials = counts(found), seconds = found.seconds } }, 0)
end

local function progress_of(trials, budget_s, job)
  return function(record, found)
    local share = math.max(#found.trials / trials, found.seconds / budget_s)
    local best = found.best and ("; best so far %.5g (trial %d)"):format(found.best.value, found.best.number) or ""
    job:progress(PREPARED + (SEARCHED - PREPARED) * math.min(1, share),
      ("trial %d %s%s"):format(record.number, record.status, best))
    if record.status == "failed" then job:log(("trial %d: %s"):format(record.number, record.error.message), "warn") end
  end
end

-- Stores the best configurations with what they reached. The best becomes active when that is asked for, or when
-- the settings say so, and it was better here than the one in use: both were judged by the same months.
local function publish(tx, job, found, start, work)
  local higher = work.higher_is_better
  local best, first, list = ranked(found, start[1], higher), nil, json.array({})
  for _, b in ipairs(best) do
    if b.trial.number == 1 then first = b end
  end
  for i = 1, math.min(#best, settings.tuning_best_configs) do
    local t, result_id = best[i].trial, crypto.uuid(7)
    local id, metrics = model_config.store(tx, best[i].config, "tuning"), t.info
    metrics.training_duration_seconds = tonumber(("%.3f"):format(t.seconds))
    tx:exec("INSERT INTO tuning_results(result_id, job_id, config_id, metrics, duration) VALUES (?, ?, ?, ?, ?)",
      { result_id, job.id, id, json.encode(metrics), t.seconds })
    list[i] = { result_id = result_id, config_id = id, trial = t.number, value = t.value, metrics = metrics }
  end
  local won, before = best[1].trial, first and first.trial.value
  local is_better = best[1] ~= first
    and (before == nil or (higher and won.value > before) or (not higher and won.value < before))
  local wanted = job.params.activate
  if wanted == nil then wanted = settings.model_auto_select_configs end
  local is_active = wanted and is_better and model_store.activate_config(tx, list[1].config_id) or false
  return { metric = work.metric, best = { config_id = list[1].config_id, value = won.value,
      config = best[1].config, is_active = is_active },
    before = { config_id = model_config.id(start[1]), value = before }, results = list, trials = counts(found),
    seconds = tonumber(("%.3f"):format(found.seconds)), ended_by = found.ended_by, mode = job.params.mode }
end

return {
  summary = "Look for better parameters and offer the best",
  hidden = true, -- has a route of its own, which looks at the dates first
  role = "operator", attempts = 5, deadline = "24h", concurrency = 1,
  params = { dataset_start_date = "date?", dataset_end_date = "date?", mode = "lite|full = lite",
             time_budget_s = "integer? 1..72000", activate = "boolean?", trials = "integer? 1..100000",
             seed = "integer 0..2147483647 = 42", parallel = "integer? 1..64" },
  run = function(job)
    local main, p = db.main(), job.params
    local budget_s = p.time_budget_s or tuning.BUDGET_S[p.mode]
    local trials = p.trials or tuning.trials(p.mode)
    job:progress(0.01, "preparing the dataset")
    local start = job:step("choose parameters", tuning.start, main)
    local range = job:step("months", function()
      local range = dataset.range(main, p.dataset_start_date, p.dataset_end_date)
      dataset.check_gaps(main, range)
      return range
    end)
    local work = tuning.prepare(job:scratch(), main, range, start[1],
      function(share) job:progress(0.01 + (PREPARED - 0.01) * share) end)
    job:step("prepare dataset", function()
      return { products = work.products, months = work.steps, learnt = work.at, first = range.first, last = range.last }
    end)
    local found = tuning.search(work, start, {
      mode = p.mode, trials = trials, budget_s = budget_s, seed = p.seed,
      parallel = p.parallel or math.min(settings.tuning_concurrent, settings.compute_threads > 0
        and settings.compute_threads or process.machine().cpus or 1, 64),
      keep = function(name, fn) return job:step(name, fn) end, on_trial = progress_of(trials, budget_s, job),
    })
    if not found.best then refuse(found) end
    if work.metric ~= settings.model_metric then
      job:log(settings.model_metric .. " cannot be told of the last months; ranked by " .. work.metric, "warn")
    end
    fs.write(job:file("trials.json"), json.encode(found.trials))
    job:progress(SEARCHED, "storing the best")
    return job:transact("publish", publish, job, found, start, work)
  end,
}
