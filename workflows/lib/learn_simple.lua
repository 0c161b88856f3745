-- learn_simple.lua - forecasts without learning, as members of the blend and as what it has to beat. Edit the
-- list: a method is what baseline.new takes.

local baseline = require("baseline")

local learn_simple = {}

--- name -> { conf of baseline.new, can = months needed }
learn_simple.METHODS = {
  naive = { method = "naive" },
  mean_2 = { method = "moving_average", window = 2 },
  mean_3 = { method = "moving_average", window = 3 },
  mean_6 = { method = "moving_average", window = 6 },
  median = { method = "median" },
  ses = { method = "ses_grid" },
  theta = { method = "theta" },
  seasonal_naive = { method = "seasonal_naive", season = 12 },
}

--- Those that are only judged, never blended.
learn_simple.ONLY_JUDGED = { median = true }

--- What a method expects of the month after `at`.
--- Waits; cancellable.
--- @param panel panel
--- @param at integer
--- @param name string
--- @return tensor  (N) units
--- Source: ours
function learn_simple.predict(panel, at, name)
  local conf = { horizon = 1, floor = 0 }
  for k, v in pairs(learn_simple.METHODS[name]) do conf[k] = v end
  local model <close> = baseline.new(conf)
  local y = panel.seen:slice(2, 1, at):copy()
  model:fit(y)
  return model:predict(y).mean:reshape({ panel.n }):fill_nan(0):relu()
end

--- Names of all methods, in order.
--- @return table
--- Source: ours
function learn_simple.names()
  local out = {}
  for name in pairs(learn_simple.METHODS) do out[#out + 1] = name end
  table.sort(out)
  return out
end

return learn_simple
