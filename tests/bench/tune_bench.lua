-- tune_bench.lua - how much nearer to the least value the TPE comes than luck, on functions whose least value is
-- known: 50 trials, the mean of 30 seeds. The peer is the same search at random. About ten seconds.
local time, tune = require("time"), require("tune")

local SEEDS, TRIALS = 30, 50

local function branin(p)
  local x, y = p.x, p.y
  return (y - 5.1 / (4 * math.pi ^ 2) * x * x + 5 / math.pi * x - 6) ^ 2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x)
    + 10
end

local A = { { 10, 3, 17, 3.5, 1.7, 8 }, { 0.05, 10, 17, 0.1, 8, 14 }, { 3, 3.5, 1.7, 10, 17, 8 },
            { 17, 8, 0.05, 10, 0.1, 14 } }
local P = { { 1312, 1696, 5569, 124, 8283, 5886 }, { 2329, 4135, 8307, 3736, 1004, 9991 },
            { 2348, 1451, 3522, 2883, 3047, 6650 }, { 4047, 8828, 8732, 5743, 1091, 381 } }
local C = { 1, 1.2, 3, 3.2 }
local function hartmann(p)
  local sum = 0
  for i = 1, 4 do
    local d = 0
    for j = 1, 6 do d = d + A[i][j] * (p["x" .. j] - P[i][j] * 1e-4) ^ 2 end
    sum = sum - C[i] * math.exp(-d)
  end
  return sum
end
local hartmann_space = {}
for j = 1, 6 do hartmann_space["x" .. j] = tune.uniform(0, 1) end

local function mixed(p)
  local v = (math.log(p.lr, 10) + 3) ^ 2 + 0.05 * math.abs(p.layers - 3) + (p.width == 64 and 0 or 0.3) + 0.5 * p.dropout
  return p.optimizer == "sgd" and v + 0.2 + (p.momentum - 0.9) ^ 2 or v
end
local mixed_space = { lr = tune.log_uniform(1e-6, 1e-1), dropout = tune.uniform(0, 0.8), layers = tune.int(1, 8),
  width = tune.choice({ 16, 32, 64, 128, 256 }), optimizer = tune.choice({ "adam", "sgd" }),
  momentum = tune.when(tune.uniform(0, 1), "optimizer", "sgd") }

for _, f in ipairs({ { "Branin", branin, { x = tune.uniform(-5, 10), y = tune.uniform(0, 15) }, 0.397887 },
                     { "Hartmann 6", hartmann, hartmann_space, -3.32237 },
                     { "mixed and conditional", mixed, mixed_space, 0 } }) do
  local above, began = { tpe = 0, random = 0 }, time.monotonic()
  for sampler in pairs(above) do
    for seed = 1, SEEDS do
      local found = tune.run({ space = f[3], objective = f[2], trials = TRIALS, sampler = sampler, seed = seed })
      above[sampler] = above[sampler] + (found.best.value - f[4]) / SEEDS
    end
  end
  print(("%s: %.4f above the least with TPE, %.4f at random; %.1f s"):format(f[1], above.tpe, above.random,
    time.monotonic() - began))
  print(("@figure\ttune %s, above the least, to random's\t%.4g\t%.4g\t0.7\tlower"):format(f[1], above.tpe, above.random))
end
