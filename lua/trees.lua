-- trees.lua - gradient-boosted trees: train, predict, explain; LightGBM's model files in and out.
--
-- Parameters have LightGBM's names and meanings (num_leaves, learning_rate, objective, …) and its
-- aliases. What follows a classifier, probabilities and a threshold, is calibrate.lua.

local core = require("core.trees")
local raise = require("raise")
local trees = {}

local model = {}
model.__index = model
model.__name = "trees"

-- options of train that are not parameters of the model
local extra = { weight = true, valid = true, feature_names = true, train_metric = true }

local function number_of(name, names)
  if math.type(name) == "integer" then return name - 1 end
  for i, known in ipairs(names or {}) do
    if known == name then return i - 1 end
  end
  raise.error("notfound", ("there is no feature %q"):format(tostring(name)))
end

local function text_of(name, value, names)
  if type(value) == "boolean" then return value and "1" or "0" end
  if type(value) == "number" then
    return math.type(value) == "integer" and tostring(value) or ("%.17g"):format(value)
  end
  if type(value) ~= "table" then return tostring(value) end
  local list = {}
  for i, v in ipairs(value) do
    list[i] = tostring(name == "categorical_feature" and number_of(v, names) or v)
  end
  return table.concat(list, ",")
end

--- Trains.
--- Waits (compute pool); cancellable within a tree; same model for any number of threads.
--- @param x tensor|table  (N, F); NaN is a missing value
--- @param y tensor|table  (N); 0 and 1 for binary, classes from 0 for multiclass
--- @param opt table? LightGBM's parameters { objective = "regression", num_iterations = 100,
---   num_leaves = 31, learning_rate = 0.1, max_bin = 255, early_stopping_round = 0, seed = 0, …;
---   categorical_feature = list of names or column numbers from 1, monotone_constraints = list of
---   -1, 0, 1, class_weight = list }, and
---   weight = (N), valid = { x, y, weight? }, feature_names = list, train_metric = false
--- @return model
--- @return table  { best_iteration, train = { metric = list per iteration }, valid = the same }
--- Raises: shape, nan, invalid, notfound, unsupported, limit, nomem, cancelled
--- Source: Ke et al. 2017, "LightGBM"; core/model/gbt_train.h
function trees.train(x, y, opt)
  opt = opt or {}
  local params = {}
  for name, value in pairs(opt) do
    if not extra[name] then params[name] = text_of(name, value, opt.feature_names) end
  end
  local valid = opt.valid or {}
  local box, report, code = raise.check(core.train(x, y, params, {
    weight = opt.weight, names = opt.feature_names, train_metric = opt.train_metric or false,
    valid_x = valid.x or valid[1], valid_y = valid.y or valid[2], valid_weight = valid.weight,
  }))
  raise.check(box, report, code)
  return setmetatable({ box = box }, model), report
end

--- Reads a model file of LightGBM (v2 to v4) or ours.
--- Waits (compute pool).
--- @param path string
--- @return model
--- Raises: notfound, io, parse, unsupported, limit, nomem, cancelled
--- Source: core/model/gbt_text.h
function trees.load(path)
  return setmetatable({ box = raise.check(core.load(path)) }, model)
end

--- The same from the text of such a file.
--- @param text string
--- @return model
--- Raises: parse, unsupported, limit, nomem
--- Source: core/model/gbt_text.h
function trees.parse(text)
  return setmetatable({ box = raise.check(core.parse(text)) }, model)
end

--- Predicts.
--- Waits (compute pool) when there is much to do; same result for any number of threads.
--- @param x tensor|table  (N, F), or a list of F numbers: one row, answered at once
--- @param opt table? { raw = false (scores before the objective's scale), contrib = false (what each
---   feature added: SHAP values, the expected value last), leaf = false (leaf numbers from 0),
---   n_trees = all (only the first so many iterations) }
--- @return tensor|table|number  (N), (N, classes); contrib (N, F + 1), (N, classes, F + 1); leaf
---   (N, trees); one row: a number, or a list per class
--- Raises: shape, unsupported, nomem, cancelled
--- Source: SHAP: Lundberg, Erion, Lee 2018, arXiv:1802.03888, algorithm 2
function model:predict(x, opt)
  if opt == nil then return (raise.check(self.box:predict(x))) end
  local kind = opt.contrib and "contrib" or opt.leaf and "leaf" or opt.raw and "raw" or "value"
  return (raise.check(self.box:predict(x, kind, opt.n_trees)))
end

--- Writes a model file that LightGBM reads, whole or not at all.
--- Waits (compute pool).
--- @param path string
--- @param opt table? { n_trees = all }
--- Raises: io, full, limit, nomem, cancelled
function model:save(path, opt)
  raise.check(self.box:save(path, opt and opt.n_trees))
end

--- The text of that file.
--- @param opt table? { n_trees = all }
--- @return string
--- Raises: limit, nomem
function model:text(opt)
  return (raise.check(self.box:text(opt and opt.n_trees)))
end

--- How much each feature is used.
--- @param kind string? "split": how many nodes (default); "gain": the sum of their gains
--- @return table  by feature name
function model:importance(kind)
  local values, out = self.box:importance(kind or "split"), {}
  for i, name in ipairs(self.box:info().feature_names) do out[name] = values[i] end
  return out
end

--- What is known of the model.
--- @return table  { n_features, n_trees, n_iterations, n_classes, objective, feature_names, parameters }
function model:info()
  return self.box:info()
end

--- Lets go of the trees. The model cannot be used afterwards.
function model:close()
  self.box:close()
end

model.__close = model.close

return trees
