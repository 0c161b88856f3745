-- learn_trees.lua - gradient-boosted trees on a panel: how much more or less than its last three months a
-- product will sell (its median), and what one nobody knows yet will.

local trees = require("trees")

local learn_trees = {}

local LESSONS_MIN = 120
local COLD_LESSONS_MIN = 60
local YOUNG = 3 -- months in which a product is new

--- Parameters of the trees. Lists, so that ops may try others.
learn_trees.PARAMETERS = { objective = "regression_l1", num_iterations = 100, learning_rate = 0.05, num_leaves = 10,
  min_data_in_leaf = 20, feature_fraction = 0.7, bagging_fraction = 0.8, bagging_freq = 1, lambda_l2 = 1, seed = 1 }

local function with(names)
  local opt = { feature_names = names }
  for k, v in pairs(learn_trees.PARAMETERS) do opt[k] = v end
  return opt
end

local function place(names, name)
  for i, v in ipairs(names) do
    if v == name then return i end
  end
  error({ code = "invalid", message = "the trees need the feature " .. name .. " of dataset_features.lua" }, 0)
end

--- Whether so many months are enough.
--- @param at integer
--- @return boolean
--- Source: ours
function learn_trees.can(at)
  return at >= 3
end

-- ln(1 + mean of the last three months), the level from which the trees start
local function level(x, names)
  return x:pick(2, place(names, "mean_3")):copy()
end

--- Fits trees to the first `at` months.
--- Waits; cancellable.
--- @param panel panel
--- @param at integer
--- @return table?  { model, names }; nil when there are too few lessons
--- Raises: as trees.train
--- Source: ours
function learn_trees.fit(panel, at)
  local names = panel:tree_names()
  local x, y = panel:lessons(math.max(1, at - 36), at - 1, names)
  if #x < LESSONS_MIN then return nil end
  local change = y:reshape({ #y }):log1p() - level(x, names)
  return { model = trees.train(x, change, with(names)), names = names }
end

--- What trees expect of the month after `at`.
--- Waits; cancellable.
--- @param panel panel
--- @param at integer
--- @param fitted table
--- @return tensor  (N) units
--- Source: ours
function learn_trees.predict(panel, at, fitted)
  local x = panel:view(at, fitted.names)
  return (fitted.model:predict(x) + level(x, fitted.names)):expm1():relu()
end

--- Fits trees to what products sold in their first months, of what is known without their own sales.
--- Waits; cancellable.
--- @param panel panel
--- @param at integer
--- @return table?  as learn_trees.fit
--- Source: ours
function learn_trees.fit_cold(panel, at)
  if at < 2 then return nil end
  local names = panel.features.cold
  local x, y = panel:lessons(1, at - 1, names, { min = 1, max = YOUNG })
  -- the first month of the data is not the first month of a product
  if #x < COLD_LESSONS_MIN then return nil end
  return { model = trees.train(x, y:reshape({ #y }):log1p(), with(names)), names = names }
end

--- What those expect of the month after `at`.
--- Waits; cancellable.
--- @param panel panel
--- @param at integer
--- @param fitted table
--- @return tensor  (N) units
--- Source: ours
function learn_trees.predict_cold(panel, at, fitted)
  return fitted.model:predict(panel:view(at, fitted.names)):expm1():relu()
end

return learn_trees
