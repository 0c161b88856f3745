-- trees_row_bench.lua - one row at a time from Lua: 1,000 trees of 31 leaves on 20 features, as a handler of
-- requests asks them. About ten seconds, nearly all of it training.
--
-- The limit is 15 microseconds; from Python one row takes 55 (LightGBM 4.6) and 80 (XGBoost 1.7).
local time, trees = require("time"), require("trees")

local ROWS, FEATURES, ROUNDS, CALLS = 6000, 20, 1000, 20000
local state = 1
local function noise()
  state = (state * 6364136223846793005 + 1442695040888963407)
  return (state >> 11) * 0x1p-53
end

local x, y = {}, {}
for i = 1, ROWS do
  local row = {}
  for k = 1, FEATURES do row[k] = noise() * 10 end
  x[i], y[i] = row, 3 * row[1] + row[2] * row[3] - math.abs(row[4] - 5) * row[5] + noise()
end
local model <close> = trees.train(x, y, { num_iterations = ROUNDS, num_leaves = 31, learning_rate = 0.05 })
local info = model:info()
assert(info.n_trees == ROUNDS)

local function microseconds(opt)
  local best = math.huge
  for _ = 1, 5 do
    local began = time.monotonic()
    for i = 1, CALLS // 5 do model:predict(x[i % ROWS + 1], opt) end
    best = math.min(best, (time.monotonic() - began) / (CALLS // 5) * 1e6)
  end
  return best
end
local one = microseconds()
print(("one row from Lua, %d trees: %.2f us; the same with options: %.2f us"):format(info.n_trees, one,
  microseconds({ raw = true })))
print(("@figure\ttrees one row from Lua, us to 15\t%.4g\t15\t1\tlower"):format(one))
