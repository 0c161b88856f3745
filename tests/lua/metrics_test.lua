-- Scores through the face: core/bind/bind_metrics.c and lua/metrics.lua.
local metrics, tensor = require("metrics"), require("tensor")
local n = 0
local function check(cond, what)
  n = n + 1
  if not cond then error("failed: " .. what, 2) end
end
local function near(found, expected, what)
  check(found and math.abs(found - expected) <= 1e-9 * math.max(1, math.abs(expected)),
    ("%s is %s, expected %s"):format(what, tostring(found), tostring(expected)))
end
local function fails(code, what, fn, ...)
  local ok, err = pcall(fn, ...)
  check(not ok and type(err) == "table" and err.code == code,
    what .. ": " .. tostring(type(err) == "table" and err.code or err))
end
local nan = 0 / 0

-- points
local p = metrics.point({ 2, 4, nan, 0 }, { 3, 4, 1, 1 }, { train = { 1, 2, 4 }, season = 1 })
check(p.n == 3, "an unknown actual is left out")
near(p.mae, 2 / 3, "mae")
near(p.bias, 2 / 3, "bias")
near(p.wape, 2 / 6, "wape")
near(p.mase, (2 / 3) / 1.5, "mase")
near(p.rmsse, math.sqrt((2 / 3) / 2.5), "rmsse")
near(p.mape_nonzero, 0.25, "mape over what was sold")
check(metrics.mase({ 1 }, { 2 }) == nil, "no training series, no mase")
near(metrics.mape({ 2, 0 }, { 3, 9 }), 0.5, "mape")
near(metrics.mae({ 1, 3 }, { 2, 5 }, { weight = { 3, 1 } }), 1.25, "weighted mae")
near(metrics.smape({ 0 }, { 0 }), 0, "smape of nothing")
near(metrics.rmse({ 0, 0 }, { 3, 4 }), math.sqrt(12.5), "rmse")
fails("shape", "lengths differ", metrics.point, { 1, 2 }, { 1 })
fails("nan", "infinite", metrics.point, { 1 }, { 1 / 0 })
check(not pcall(metrics.point, { 1, "x" }, { 1, 2 }), "text is no number")
check(not pcall(metrics.point, { { 1 }, { 1, 2 } }, { 1, 2, 3 }), "ragged lists are refused")

check(math.abs(metrics.mae(tensor.from({ 1, 2 }), { 2, 2 }) - 0.5) < 1e-12, "a tensor and a table")
local view = tensor.from({ { 1, 9 }, { 2, 9 }, { 4, 9 } }):swap():pick(1, 1)
near(metrics.mae(view, { 1, 2, 3 }), 1 / 3, "a view with gaps")

-- quantiles and samples
local levels = { 0.1, 0.5, 0.9 }
local q = metrics.quantile({ 1, 2 }, { { 0, 1, 2 }, { 0, 1, 1.5 } }, levels)
near(q.pinball, ((0.1 + 0 + 0.1) + (0.2 + 0.5 + 0.45)) / 6, "pinball")
near(q.coverage, 0.5, "coverage")
check(q.crossings == 0 and #q.pinball_per_quantile == 3, "per level")
near(metrics.pinball({ 1 }, { { 1, 1, 1 } }, levels), 0, "pinball of the truth")
fails("invalid", "levels descend", metrics.quantile, { 1 }, { { 1, 2 } }, { 0.9, 0.1 })
local crps, fair = metrics.crps({ 3 }, { { 1, 2 } })
near(crps, 1.25, "crps")
near(fair, 1, "fair crps")
check(select(2, metrics.crps({ 3 }, { { 1 } })) == nil, "one sample has no fair crps")

-- intervals: the numbers of the reference's own example
local samples = { { 0, .1, .2, .3, .4 }, { .2, .3, .4, .5, .6 }, { .1, .1, .2, .2, .3 } }
local actual = { 1e-6, 0.45, 0.9 }
check(math.abs(metrics.miws(samples, actual) - 4.486937) < 1e-5, "MIWS")
near(metrics.mic(samples, actual), 0, "MIC")
check(math.abs(metrics.miws_mic_ratio(samples, actual) - 129163.98) < 0.1, "ratio")
check(math.abs(metrics.miws_mic_ratio(samples, actual, { single = true }) - 129163.98) < 0.01,
  "ratio as float32 has it")
local t = tensor.from
check(math.abs(metrics.miws(t(samples), t(actual)) - 4.486937) < 1e-5, "MIWS of tensors")
check(metrics.miws({ { 1, 2 } }, { 1 }) == math.huge, "no zero row: infinite")
fails("invalid", "an empty group with a threshold", metrics.miws, { { 1, 2 } }, { 1 },
  { zero_threshold = 0.5, direction = "min", base = 2 })
local state = metrics.interval({ kind = "mic" })
check(state:add({ { -1, 1 } }, { 1e-6 }) and state:add({ { 0, 1 } }, { 0.5 }), "two batches")
check(math.abs(state:value() - 1) < 1e-9 and state:groups().zero_count == 1, "state over batches")
local none, message, code = state:add({ { 0, 1 } }, { 1, 2 })
check(none == nil and code == "shape" and message:find("rows"), "a batch that does not fit")

-- yes or no
local label, score = { 1, 0, 1, 0 }, { 0.9, 0.4, 0.35, 0.1 }
near(metrics.auc(label, score), 0.75, "auc")
near(metrics.average_precision(label, score), (1 + 2 / 3) / 2, "average precision")
near(metrics.f1(label, score), 2 / 3, "f1 at 0.5")
near(metrics.brier({ 1, 0 }, { 0.8, 0.4 }), 0.1, "brier")
near(metrics.logloss({ 1 }, { 0.5 }), math.log(2), "logloss")
check(metrics.auc({ 1, 1 }, { 0.1, 0.2 }) == nil, "one class has no auc")
local at = metrics.class_at(label, score, 0.4)
check(at.tp == 1 and at.fp == 1 and at.fn == 1 and at.tn == 1, "counts at a threshold")
local bins, ece = metrics.calibration(label, score, 2)
check(#bins == 2 and bins[2].weight == 1 and ece > 0, "calibration")
fails("invalid", "labels are 0 and 1", metrics.auc, { 2 }, { 0.5 })

-- demand
check(metrics.demand({ 0, 0, 3, 0, 0, 3 }).class == "intermittent", "demand class")
check(metrics.demand({ 0, 0 }).class == nil, "no demand, no class")

print(n .. " checks")
