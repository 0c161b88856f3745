-- Blending, intervals and scores: what they choose, what they promise, what they do with nothing.
local json, tensor = require("json"), require("tensor")
local generation = require("generation")
require("kinds")

local n = 0
local function check(cond, what)
  n = n + 1
  if not cond then error("failed: " .. what, 2) end
end
local function near(found, expected, what)
  check(math.abs(found - expected) < 1e-5, what .. ": found " .. tostring(found) .. ", expected " .. tostring(expected))
end

-- the modules of workflows/lib, as workflows see them
local files = generation.read()
for path in pairs(files) do
  if path:find("^routes/") or path:find("^jobs/") or path:find("^reports/") then files[path] = nil end
end
files["routes/x.lua"] = "return { blend = require('blend'), score = require('forecast_score') }"
generation.kind("routes", {
  check = function(_, value) return value end,
  build = function(parts) return parts[1].value end,
})
local lib = generation.build(files).routes
local blend, score = lib.blend, lib.score
local LEVELS = { 0.05, 0.25, 0.5, 0.75, 0.95 }

-- ---- weights ----
local N = 400
local function noise(seed) return tensor.random({ N }, { seed = seed }) end
local months = {}
for i = 1, 5 do
  local y = (tensor.random({ N }, { kind = "uniform", seed = i }) * 20):floor()
  months[i] = { y = y, f = { exact = y, far = y + 30, high = y + 4 + noise(20 + i), low = y - 4 - noise(30 + i) } }
end
local w = blend.choose(months, { "exact", "far", "high" })
near(w.exact, 1, "who is always right gets all the weight")
w = blend.choose(months, { "far", "high", "low" })
check(not w.far and math.abs(w.high - 0.5) < 0.1, "two errors that cancel: " .. json.encode(w))
w = blend.choose({ months[1] }, { "exact", "far", "low" }, { "far", "low" })
near(w.far, 1 / 6, "one month says little: the prior keeps its part")
local sum = 0
for _, v in pairs(w) do sum = sum + v end
near(sum, 1, "weights are shares")
near(blend.mix({ a = tensor.from({ 2, 4 }), b = tensor.from({ 4, 8 }) }, { a = 0.5, b = 0.5 }):get(2), 6, "the mix")
near(blend.equal({ "a", "b" }).a, 0.5, "equal")

-- ---- intervals ----
local function month_of(seed, shift)
  local expected = tensor.random({ N }, { kind = "uniform", seed = seed }) * 50
  local came = ((expected:log1p() + tensor.random({ N }, { seed = seed + 50 }) * 0.4 + (shift or 0)):expm1()):relu()
  return { y = came, q50 = expected, spread = tensor.new({ N }, 1), known = tensor.new({ N }, 1) }
end
local function covered(m, c)
  local q = blend.quantiles(m.q50, m.spread, c)
  return (q:pick(2, 1):copy():le(m.y) * m.y:le(q:pick(2, 5):copy())):mean(), q
end
local past = {}
for i = 1, 6 do past[i] = month_of(100 + i) end
local c = blend.calibrate(past, LEVELS)
local share, q = covered(month_of(200), c)
check(share > 0.86 and share < 0.94, "coverage of a month like those before: " .. share)
for i = 2, 5 do
  check((q:pick(2, i) - q:pick(2, i - 1)):min() >= 0, "quantiles cross at " .. i)
end
check(q:min() >= 0, "nobody sells less than nothing")
near((q:pick(2, 3) - month_of(200).q50):abs():max(), 0, "the middle is the forecast itself")
-- months that differ from one another as a whole need wider intervals than their rows alone
local moved = {}
for i = 1, 6 do moved[i] = month_of(300 + i, i % 2 == 0 and 0.35 or -0.35) end
check(blend.calibrate(moved, LEVELS).widen >= c.widen, "wider where months differ")
local wide = blend.quantiles(tensor.from({ 5, 5 }), tensor.from({ 1, 1 }), c, 2, tensor.from({ 6, 1 }))
near(wide:get(1, 5), 6, "no level passes the ceiling")
near(wide:get(2, 5), 5, "but for the forecast")
local again = json.decode(json.encode(c))
local function of(intervals) return blend.quantiles(past[1].q50, past[1].spread, intervals) end
near((of(again) - of(c)):abs():max(), 0, "as a model file remembers it")
-- where whole pieces are sold, only the middle may be between two
for i, m in ipairs(moved) do moved[i].y = m.y:round() end
local pieces = blend.quantiles(moved[1].q50, moved[1].spread, blend.calibrate(moved, LEVELS))
local ends = tensor.concat({ pieces:pick(2, 1):copy(), pieces:pick(2, 5):copy() })
local near_middle = tensor.concat({ moved[1].q50, moved[1].q50 })
near(((ends - ends:round()):abs() * (ends - near_middle):abs()):max(), 0, "whole numbers, or the middle itself")
near((pieces:pick(2, 3):copy() - moved[1].q50):abs():max(), 0, "which stays as it is")
-- nothing known, one product, nothing sold
for _, m in ipairs(past) do m.known = tensor.new({ N }, 0) end
check(covered(month_of(1), blend.calibrate(past, LEVELS)) >= 0, "nobody is known: no intervals, but an answer")
local zero, unit = tensor.from({ 0 }), tensor.from({ 1 })
local one = { y = zero, q50 = zero, spread = unit, known = unit }
near(blend.quantiles(one.q50, one.spread, blend.calibrate({ one, one, one }, LEVELS)):max(), 0, "nothing sold is 0")

-- ---- the metrics by which models are compared are there, whatever sold ----
local units = tensor.random({ N, 8 }, { kind = "uniform", seed = 4 }) * 9
local function validation(y)
  local m = { at = 8, y = y, q = blend.quantiles(y + 1, tensor.new({ N }, 1), c) }
  return score.validation({ units = units }, m, LEVELS)
end
local some = (tensor.random({ N }, { kind = "uniform", seed = 8 }) * 5):floor()
for name, y in pairs({ some = some, everything = some + 1, nothing = some * 0 }) do
  local v = validation(y)
  for _, metric in ipairs({ "val_MIWS", "val_MIC", "val_MIWS_MIC_Ratio" }) do
    check(type(v[metric]) == "number" and v[metric] < math.huge, metric .. " where " .. name .. " sold")
  end
end

print("ok " .. n)
