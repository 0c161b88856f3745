-- Token buckets: refill, bounded memory, headers, cost.
local limit = require("limit")
local task = require("task")
local n = 0
local function check(cond, what)
  n = n + 1
  if not cond then error("failed: " .. what, 2) end
end

local l = limit.new(50, 3)
for i = 1, 3 do
  local ok, left = limit.take(l, "a")
  check(ok and left // 1 == 3 - i, "burst " .. i)
end
local ok, _, wait = limit.take(l, "a")
check(not ok and wait > 0 and wait <= 0.02, "empty, and says for how long: " .. wait)
check(limit.take(l, "b"), "another name has its own bucket")
task.sleep(0.03)
check(limit.take(l, "a"), "refilled")
check(not limit.take(l, "a", 3), "not enough for more")

local policy, state = limit.headers(l, "key", 2.5, 0.4)
check(policy == '"key";q=3;w=1' and state == '"key";r=2;t=1', policy .. " " .. state)

-- any number of names in bounded memory; who comes often is remembered
local m = limit.new(0.001, 2, 100)
for i = 1, 10000 do
  limit.take(m, "name" .. i)
  if i % 50 == 0 then limit.take(m, "often") end
end
local count = 0
for _ in pairs(m.tokens) do count = count + 1 end
for _ in pairs(m.old_tokens) do count = count + 1 end
check(count <= 202, "buckets kept: " .. count)
check(not limit.take(m, "often"), "who comes often is still limited")

-- no garbage
local k = limit.new(1e9, 1e9)
limit.take(k, "x")
collectgarbage()
collectgarbage("stop")
local before = collectgarbage("count")
for _ = 1, 1000 do limit.take(k, "x") end
check((collectgarbage("count") - before) * 1024 / 1000 < 1, "garbage")
collectgarbage("restart")
print("limit: " .. n .. " checks")
