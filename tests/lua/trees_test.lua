-- Trees through their face: train, predict, explain, files, calibration, and what is refused.
local trees, calibrate = require("trees"), require("calibrate")
local tensor, task = require("tensor"), require("task")
local n = 0
local function check(cond, what)
  n = n + 1
  if not cond then error("failed: " .. what, 2) end
end
local function fails(code, what, fn, ...)
  local ok, err = pcall(fn, ...)
  check(not ok and type(err) == "table" and err.code == code,
    what .. ": " .. tostring(type(err) == "table" and err.code or err))
end
local function near(a, b, what, limit)
  check(math.abs(a - b) <= (limit or 1e-9), ("%s: %.17g, expected %.17g"):format(what, a, b))
end
local nan = 0 / 0

-- y depends on two numbers and a category; one number is noise, some are missing
local seed = 1
local function noise()
  seed = (seed * 1103515245 + 12345) % 2147483648
  return seed / 2147483648
end
local names = { "size", "age", "kind", "noise" }
local function make(count)
  local x, y = {}, {}
  for i = 1, count do
    local size, age, kind = noise() * 10, noise() * 5, math.floor(noise() * 6)
    x[i] = { size, i % 11 == 0 and nan or age, kind, noise() }
    y[i] = 2 * size - age * age + (kind % 2 == 0 and 5 or 0) + noise() * 0.1
  end
  return x, y
end
local x, y = make(1500)
local vx, vy = make(400)
local opt = { num_iterations = 60, num_leaves = 15, learning_rate = 0.15, feature_names = names,
  categorical_feature = { "kind" }, valid = { vx, vy }, train_metric = true, metric = "l2,l1" }

local model <close>, report = trees.train(x, y, opt)
check(#report.valid.l2 == 60 and #report.train.l1 == 60 and report.best_iteration == 60, "report")
check(report.valid.l2[60] < 0.2 * report.valid.l2[1], "it learns")
local info = model:info()
check(info.n_features == 4 and info.n_trees == 60 and info.n_classes == 1, "info")
check(info.objective == "regression" and info.feature_names[3] == "kind", "info: names")
check(info.parameters:find("[num_leaves: 15]", 1, true), "info: parameters")

-- many rows, one row, a tensor, the first trees only: the same numbers
local all = model:predict(vx)
check(#all == 400, "one value per row")
local sum = 0
for i = 1, 400 do
  sum = sum + (all[i] - vy[i]) ^ 2
  if i % 40 == 0 then check(model:predict(vx[i]) == all[i], "one row is as among others") end
end
near(sum / 400, report.valid.l2[60], "the report's own figure", 1e-9)
check(model:predict(vx[1], { raw = true }) == all[1], "regression has no scale")
check(model:predict(vx[1], { n_trees = 5 }) == model:predict({ vx[1] }, { n_trees = 5 })[1], "n_trees")
check(model:predict(vx[1], { n_trees = 5 }) ~= all[1], "fewer trees")
local t <close> = tensor.from(vx)
local out <close> = model:predict(t)
near(out:get(7), all[7], "a tensor of f32", 0.5)

-- contributions add up; leaves are whole numbers
local phi = model:predict(vx, { contrib = true })
check(#phi == 400 and #phi[1] == 5, "contrib: shape")
for i = 1, 400, 37 do
  local total = 0
  for k = 1, 5 do total = total + phi[i][k] end
  near(total, all[i], "contrib adds up", 1e-9)
end
local leaf = model:predict(vx[3], { leaf = true })
check(#leaf == 1 and #leaf[1] == 60 and leaf[1][1] == math.floor(leaf[1][1]), "leaf")
local split, gain = model:importance(), model:importance("gain")
check(split.size > 0 and gain.size > gain.noise, "importance")

-- files: what is written reads back to the same bits, and trains to the same text
local text = model:text()
check(text:sub(1, 5) == "tree\n" and text:find("end of parameters"), "text")
local again <close> = trees.parse(text)
check(again:text() == text and again:predict(vx[9]) == all[9], "the text reads back")
local twin <close> = trees.train(x, y, opt)
check(twin:text() == text, "the same model each time")
local path = "/tmp/trees_test." .. math.random(1 << 40) .. ".txt"
model:save(path)
local file <close> = trees.load(path)
check(file:predict(vx[5]) == all[5], "load")
require("fs").remove(path)
fails("notfound", "no such file", trees.load, "no/such/model.txt")
fails("parse", "not a model", trees.parse, "forest\n")
fails("parse", "cut off", trees.parse, text:sub(1, #text // 2))

-- classes, early stopping, weights
local labels, yes = {}, {}
for i = 1, #y do
  labels[i] = y[i] > 12 and 2 or y[i] > 2 and 1 or 0
  yes[i] = y[i] > 6 and 1 or 0
end
local multi <close> = trees.train(x, labels,
  { objective = "multiclass", num_class = 3, num_iterations = 20, num_leaves = 7 })
local p = multi:predict(x[1])
check(#p == 3, "a list per class")
near(p[1] + p[2] + p[3], 1, "shares add up", 1e-12)
check(#multi:predict(x)[2] == 3, "(rows, classes)")
local stopped <close>, course = trees.train(x, yes, { objective = "binary", num_iterations = 500,
  learning_rate = 0.5, early_stopping_round = 5, valid = { vx, vy and (function()
    local v = {}
    for i = 1, #vy do v[i] = vy[i] > 6 and 1 or 0 end
    return v
  end)() } })
check(course.best_iteration < 500 and stopped:info().n_trees == course.best_iteration, "early stop")
local light <close> = trees.train(x, yes, { objective = "binary", num_iterations = 5,
  class_weight = { 1, 3 } })
local plain <close> = trees.train(x, yes, { objective = "binary", num_iterations = 5 })
check(light:predict(x[1]) > plain:predict(x[1]), "class weights pull")

-- a rising constraint is kept
local rising <close> = trees.train(x, y, { num_iterations = 30, monotone_constraints = { 1, 0, 0, 0 } })
local before = -math.huge
for s = 0, 10, 0.25 do
  local v = rising:predict({ s, 2, 1, 0.5 })
  check(v >= before, "monotone")
  before = v
end

-- misuse and a bad world
fails("shape", "features do not fit", model.predict, model, { 1, 2, 3 })
fails("shape", "too many features", model.predict, model, { { 1, 2, 3, 4, 5 } })
fails("shape", "validation of another width", trees.train, x, y, { valid = { { { 1, 2 } }, { 1 } } })
fails("shape", "labels do not fit", trees.train, x, { 1, 2 })
fails("nan", "NaN label", trees.train, { { 1 }, { 2 } }, { 1, nan })
fails("nan", "infinite feature", trees.train, { { 1 }, { math.huge } }, { 1, 2 })
fails("invalid", "label of binary", trees.train, { { 1 }, { 2 } }, { 0, 2 }, { objective = "binary" })
fails("notfound", "unknown parameter", trees.train, x, y, { leaves = 3 })
fails("notfound", "unknown category column", trees.train, x, y, { categorical_feature = { "shop" } })
fails("invalid", "out of range", trees.train, x, y, { num_leaves = 1 })
fails("unsupported", "unknown objective", trees.train, x, y, { objective = "hope" })

-- little to learn from: constants, one class, fewer rows than a leaf needs
local flat <close> = trees.train({ { 1, 1 }, { 1, 1 } }, { 3, 5 })
check(flat:predict({ 1, 1 }) == 4 and flat:info().n_trees == 1, "constant features: the mean")
local one <close> = trees.train(x, (function()
  local v = {}
  for i = 1, #x do v[i] = 1 end
  return v
end)(), { objective = "binary" })
check(one:predict(x[1]) > 0.999, "one class")
local few <close> = trees.train({ { 1 }, { 2 }, { 3 } }, { 1, 2, 3 })
check(few:predict({ 2 }) == 2, "fewer rows than min_data_in_leaf")

-- ten thousand categories, and such as were never seen: these go where a missing one goes
local cats, by_cat = {}, {}
for i = 1, 12000 do
  local c = i % 10000
  cats[i] = { c, i % 7 == 0 and nan or 1, nan }
  by_cat[i] = c % 3
end
local wide <close> = trees.train(cats, by_cat, { num_iterations = 5, categorical_feature = { 1 }, min_data_in_leaf = 1,
  min_data_per_group = 1, cat_smooth = 1, max_cat_threshold = 5000 })
check(wide:info().n_features == 3, "10,000 categories, a constant and a column of nothing")
local missing = wide:predict({ nan, 1, nan })
for _, c in ipairs({ 10001, 2000000000, -1, -1e300, 1e300, math.huge, -math.huge }) do
  local v = wide:predict({ c, 1, nan })
  check(v == missing, ("category %g: %g, a missing one %g"):format(c, v, missing))
end
check(wide:predict({ { 10001, 1, nan }, { 4, 1, 5 } })[1] == missing, "the same among others")

-- training can be cancelled
local slow = task.start(function()
  return trees.train(x, y, { num_iterations = 100000, num_leaves = 255, min_data_in_leaf = 1 })
end)
task.sleep(0.05)
task.cancel(slow)
check(task.done(slow), "cancelled")

-- calibration and threshold
local score, truth = {}, {}
for i = 1, 3000 do
  score[i] = noise() * 6 - 3
  truth[i] = noise() < 1 / (1 + math.exp(1 - 2 * score[i])) and 1 or 0
end
for _, method in ipairs({ "platt", "isotonic" }) do
  local c = calibrate.fit(score, truth, { method = method })
  near(calibrate.apply(c, 0.5), 0.5, method, 0.1)
  check(calibrate.apply(c, 3) > 0.95 and calibrate.apply(c, -3) < 0.05, method .. ": ends")
end
local best = calibrate.threshold(score, truth)
check(best.value > 0.8 and best.precision > 0.7 and best.recall > 0.7, "threshold")
local careful = calibrate.threshold(score, truth, { rule = "cost", false_cost = 10 })
check(careful.threshold > best.threshold and careful.precision > best.precision, "cost")
fails("invalid", "one class only", calibrate.fit, { 1, 2 }, { 1, 1 })

model:close()
check(not pcall(model.predict, model, vx[1]), "closed")
print(n .. " checks")
