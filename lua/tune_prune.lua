-- tune_prune.lua - which trials are not worth going on with, by what they reported so far.
--
-- asha: at rungs of steps (first, first * factor, first * factor^2 …) a trial goes on only when it is
-- among the best 1 / factor of all that came to that rung. median: it goes on while its best figure is
-- no worse than the median of the others at that step.

local prune = {}

local MEDIAN_STARTUP = 5

-- The figure of a trial at a step: the first it reported at or after it. All figures: less is better.
local function at_step(reports, step)
  for _, r in ipairs(reports or {}) do
    if r[1] >= step then return r[2] end
  end
  return nil
end

local function best_until(reports, step)
  local best
  for _, r in ipairs(reports or {}) do
    if r[1] <= step and (best == nil or r[2] < best) then best = r[2] end
  end
  return best
end

local function is_last_asha(trial, others, opt)
  local reports = trial.reports
  local step = reports[#reports][1]
  local before = #reports > 1 and reports[#reports - 1][1] or -math.huge
  local rung = opt.first
  while rung * opt.factor <= step do rung = rung * opt.factor end
  if step < rung or before >= rung then return false end -- below the first rung, or this one is passed
  local mine, n, n_better = reports[#reports][2], 1, 0
  for _, t in ipairs(others) do
    local v = at_step(t.reports, rung)
    if v then
      n = n + 1
      if v < mine then n_better = n_better + 1 end
    end
  end
  return n_better >= math.max(1, n // opt.factor)
end

local function is_last_median(trial, others, opt)
  local reports = trial.reports
  local step = reports[#reports][1]
  if step < opt.first then return false end
  local list = {}
  for _, t in ipairs(others) do
    local last = t.reports and t.reports[#t.reports]
    if last and last[1] >= step then list[#list + 1] = best_until(t.reports, step) end
  end
  if #list < (opt.startup or MEDIAN_STARTUP) then return false end
  table.sort(list)
  local middle = #list // 2
  local median = #list % 2 == 1 and list[middle + 1] or 0.5 * (list[middle] + list[middle + 1])
  return best_until(reports, step) > median
end

--- Whether a trial ends here. Its newest report is the last of trial.reports: { step, figure }.
--- @param trial table
--- @param others table  list of all other trials, those that run among them
--- @param opt table  { kind = "asha" | "median", first = step of the first rung, factor, last, startup }
--- @return boolean
--- Source: Li et al. 2020, "A system for massively parallel hyperparameter tuning", algorithm 2; Golovin et
---   al. 2017, "Google Vizier", 3.2.2
function prune.is_last(trial, others, opt)
  if opt.last and trial.reports[#trial.reports][1] >= opt.last then return false end
  return (opt.kind == "asha" and is_last_asha or is_last_median)(trial, others, opt)
end

return prune
