-- Store-item forecasts of the last quarter of 2017 by models that have seen only what was before: ours with
-- both sets of features, the multiplicative model, seasonal naive. The argument is the folder of the data. About two
-- minutes of processor time. Run by store_item_bench.py.
local db, fs = require("db"), require("fs")
local generation = require("generation")
local time = require("time")
require("kinds")

local files = generation.read()
for path in pairs(files) do
  if path:find("^routes/") or path:find("^jobs/") or path:find("^reports/") then files[path] = nil end
end
files["routes/x.lua"] = "return { features = require('store_features'), train = require('store_train') }"
generation.kind("routes", {
  check = function(_, value) return value end,
  build = function(parts) return parts[1].value end,
})
local train = generation.build(files).routes.train

local path = fs.temp("/tmp", "store_bench_")
local d = db.open(path .. ".db", { sync = "off", cache_kib = 200000 })
local at = time.monotonic()
local function lap(what)
  print(("%-44s %6.1f s"):format(what, time.monotonic() - at))
  at = time.monotonic()
end
local read = train.read(d, arg[1] .. "/store-item/train.csv")
lap(("read: %d rows, %d series"):format(read.accepted, read.series))

local shown = {}
local function show(name, s)
  if shown[name] then return end
  shown[name] = true
  print(("%-44s sMAPE %6.3f %%   MAPE %6.3f %%   MAE %6.3f   bias %6.3f"):format(name, s.smape * 100, s.mape * 100, s.mae,
    s.bias))
end
local best
for _, set in ipairs({ "history", "calendar" }) do
  local e = train.evaluate(d, { features = set, horizon = 92, holdout = 92, level = 0.9 })
  lap("trained on the " .. set .. " features")
  show("seasonal naive, a year of weeks", e.others.seasonal_naive)
  show("store-item x weekday x month x year", e.others.expected)
  show(set == "history" and "trees, lags and means known ahead (ours)" or "trees, the nine calendar features", e)
  print(("   its 90 %% intervals hold %.1f %% of %d days from %s to %s"):format(e.coverage * 100, e.rows, e.from, e.to))
  best = best or e
end
print(("@figure\tstore-item sMAPE of 2017-10…12 (asked: 12.9)\t%.6g\t12.9\t1\tlower"):format(best.smape * 100))
print(("@figure\tstore-item coverage of 90 %% intervals: distance\t%.6g\t0.03\t1\tlower"):format(
  math.abs(best.coverage - 0.9)))
d:close()
for _, side in ipairs({ "", ".db", ".db-wal", ".db-shm" }) do pcall(fs.remove, path .. side) end
