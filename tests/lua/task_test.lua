-- Waiting, children, limits of one run: core/script/run.c and limit.c through lua/task.lua.
local task = require("task")
local load = require("core.load")
local n = 0
local function check(cond, what)
  n = n + 1
  if not cond then error("failed: " .. what, 2) end
end

-- sleeping tasks run side by side
local order = {}
local r = task.all({
  function() task.sleep(0.03); order[#order + 1] = "slow"; return 1 end,
  function() task.sleep(0.01); order[#order + 1] = "fast"; return 2 end,
})
check(r[1] == 1 and r[2] == 2 and order[1] == "fast" and order[2] == "slow", "all")

-- the first error cancels the others and closes their variables
local closed = false
local ok, err = pcall(task.all, {
  function()
    local guard <close> = setmetatable({}, { __close = function() closed = true end })
    task.sleep(10)
    return guard
  end,
  function() task.sleep(0.005); error({ code = "notfound", message = "nothing there" }) end,
})
check(not ok and err.code == "notfound" and err.message == "nothing there", "error of a child")
check(closed, "a cancelled task closes its variables")

-- at most `parallel` at once
local now, most = 0, 0
local fns = {}
for i = 1, 20 do
  fns[i] = function()
    now = now + 1
    most = math.max(most, now)
    task.sleep(0.001)
    now = now - 1
    return i
  end
end
r = task.all(fns, { parallel = 3 })
check(#r == 20 and r[20] == 20 and most == 3, "parallel = 3, saw " .. most)
check(#task.all({}) == 0, "all of nothing")

-- timeout
ok, err = pcall(task.timeout, 0.01, function() task.sleep(5) end)
check(not ok and err.code == "timeout", "timeout")
local a, b, c = task.timeout(1, function(x, y) return x, nil, y end, 1, 2)
check(a == 1 and b == nil and c == 2, "timeout passes arguments and results")

-- race
check(task.race({ function() task.sleep(5) end, function() return "first" end }) == "first", "race")

-- cancel, done
local t = task.start(function() task.sleep(5) end)
check(not task.done(t) and task.cancel(t) and task.done(t) and not task.cancel(t), "cancel")
ok, err = pcall(task.wait, t)
check(not ok and err.code == "cancelled", "wait for a cancelled task")
ok, err = pcall(task.wait, t)
check(not ok and tostring(err):find("taken already"), "a task is waited for once")

-- cancelled before its turn came: it never begins; the ones beside it do
local began = {}
local before = task.start(function() began.before = true end)
local gone = task.start(function() began.gone = true end)
local after = task.start(function() began.after = true end)
check(task.cancel(gone), "a task that has not begun is cancelled")
task.wait(before)
task.wait(after)
check(began.before and began.after and not began.gone, "it never began")

-- a deadline inside of a wait reaches the task it waits for, and all variables are closed
local shut = {}
ok, err = pcall(task.timeout, 0.02, function()
  local _ <close> = setmetatable({}, { __close = function() shut[#shut + 1] = "outer" end })
  task.wait(task.start(function()
    local _ <close> = setmetatable({}, { __close = function() shut[#shut + 1] = "inner" end })
    task.sleep(5)
  end))
end)
check(not ok and err.code == "timeout", "the deadline passed in a wait")
check(#shut == 2, "both were closed: " .. table.concat(shut, " "))

-- a grandchild ends with its parent
local leaf_closed = false
t = task.start(function()
  task.start(function()
    local guard <close> = setmetatable({}, { __close = function() leaf_closed = true end })
    task.sleep(100)
    return guard
  end)
  task.sleep(100)
end)
task.sleep(0.01)
task.cancel(t)
check(leaf_closed, "grandchild closed")

-- waiting where it is not possible is a clear error, and nothing is lost
ok, err = coroutine.resume(coroutine.create(function() task.sleep(1) end))
check(not ok and err:find("not in a coroutine"), "sleep in a coroutine: " .. tostring(err))
ok, err = pcall(table.sort, { 3, 2, 1 }, function(x, y) task.sleep(0); return x < y end)
check(not ok and err:find("waiting is not possible"), "sleep in sort: " .. tostring(err))
ok, err = pcall(coroutine.yield, 1)
check(not ok and err:find("outside of a coroutine"), "yield in a run")

-- generators work
local sum = 0
for i in coroutine.wrap(function() for i = 1, 10 do coroutine.yield(i) end end) do sum = sum + i end
check(sum == 55, "generator")

-- a call with a budget: endless loops of every kind end, and we go on
local function killed(text)
  local fn = assert(load.chunk("bad.lua", text, load.env()))
  local res, message, code = load.call(50, fn)
  if res == nil and code == "killed" then return true end
  error(text .. ": " .. tostring(message))
end
check(killed("while true do end"), "endless loop")
check(killed("while true do pcall(function() while true do end end) end"), "endless pcall loop")
check(killed("local co = coroutine.wrap(function() while true do end end) while true do pcall(co) end"), "coroutine")
check(killed("while true do coroutine.wrap(function() local x = 1 end)() end"), "loop of coroutines")
check(killed("local function f() return pcall(f) end while true do f() end"), "recursion through pcall")
check(killed("while true do xpcall(error, function() while true do end end) end"), "loop in a handler")
check(killed("local t = setmetatable({}, { __close = function() while true do end end }) do local x <close> = t end"),
  "loop in __close")
check(killed("local g <close> = setmetatable({}, { __close = function() while true do end end }) while true do end"),
  "loop, then loop in __close")
check(killed("table.sort({1,2,3,4}, function() while true do end end)"), "loop in sort")
check(killed("string.gsub(('a'):rep(100), 'a', function() while true do end end)"), "loop in gsub")
check(killed("local t = setmetatable({}, { __index = function(t, k) while true do end end }) return t.x"), "__index")

local function refused(text, pattern)
  local fn, message = load.chunk("bad.lua", text, load.env())
  if fn then
    local res, why = load.call(20000, fn)
    if res ~= nil then return false end
    message = why
  end
  return tostring(message):find(pattern) ~= nil or error(text .. ": " .. tostring(message))
end
check(refused("x = 1", "'x' would be a new global"), "global")
check(refused("return undefined_name", "unknown name 'undefined_name'"), "unknown name")
check(refused("string.format = nil", "read%-only"), "string is locked")
check(refused("return getmetatable('').__index.x", "index a boolean"), "string metatable is locked")
check(refused("return os", "unknown name 'os'"), "os")
check(refused("return io", "unknown name 'io'"), "io")
check(refused("return debug", "unknown name 'debug'"), "debug")
check(refused("return load", "unknown name 'load'"), "load")
check(refused("return rawset", "unknown name 'rawset'"), "rawset")
check(refused("return require", "unknown name 'require'"), "require")
check(refused("return string.dump(print)", "nil value %(field 'dump'%)"), "dump")
check(refused("setmetatable({}, { __gc = function() end })", "__gc"), "gc")
check(refused("\27Lua", "binary chunk"), "bytecode")
check(refused("return )", "bad.lua:1:"), "syntax error names the line")
check(refused("error({ code = 'limit', message = 'too much' })", "too much"), "error table")
check(refused("error(nil)", "nil"), "nil as error")
check(refused("error(function() end)", "function"), "function as error")
check(refused("local t = {} while true do t[#t + 1] = ('x'):rep(1000000) .. #t end", "not enough memory"), "bomb")
check(refused("local s = 'x' while true do s = s .. s end", "not enough memory"), "string bomb")
check(refused("local function f() return 1 + f() end f()", "stack overflow"), "recursion")
local bad = assert(load.chunk("e.lua", "error({ code = 'exists', message = 'm', details = 7 })", load.env()))
check(select(4, load.call(500, bad)).details == 7, "error object comes back whole")

-- tasks that compute too long are killed, the others go on
ok, err = pcall(task.all, {
  function() while true do pcall(function() while true do end end) end end,
  function() task.sleep(0.01) end,
})
check(not ok and err.code == "killed", "killed task: " .. tostring(err and err.code))

print(n .. " checks")

-- runs that wake each other again and again leave the loop time for everything else
do
  local notify, fs, time = require("notify"), require("fs"), require("time")
  local ping, pong, rounds = notify.signal("ping"), notify.signal("pong"), 0
  local function play(mine, other)
    while true do
      local seen = notify.count(mine)
      notify.fire(other)
      notify.wait(mine, seen, 60)
      rounds = rounds + 1
    end
  end
  local function busy(seconds)
    while true do
      local till = time.monotonic() + 0.003
      while time.monotonic() < till do end
      task.sleep(seconds)
    end
  end
  for name, players in pairs({
    yield = { function() while true do task.sleep(0) end end, function() while true do task.sleep(0) end end },
    compute = { function() busy(0.001) end, function() busy(0.001) end, function() busy(0) end },
    signals = { function() play(ping, pong) end, function() play(pong, ping) end },
  }) do
    local in_time = task.timeout(20, function()
      local tasks = {}
      for i, fn in ipairs(players) do tasks[i] = task.start(fn) end
      for _ = 1, 3 do
        task.sleep(0.001)
        fs.list("/tmp") -- by another thread: its end comes through the loop
      end
      for _, one in ipairs(tasks) do task.cancel(one) end
      return true
    end)
    assert(in_time, name .. ": the loop was kept")
  end
  assert(rounds > 2, "they played")
end
