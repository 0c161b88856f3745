-- Generations: what loads, what is refused and how it says so, what one file may see of another.
local g = require("generation")
local n = 0
local function check(cond, what)
  n = n + 1
  if not cond then error("failed: " .. what, 2) end
end

g.kind("routes", {
  check = function(_, value) return value end,
  build = function(parts) return parts end,
})

local a = g.build({
  ["routes/a.lua"] = "local h = require('helper') return { y = h.y }",
  ["routes/b.lua"] = "return { z = 2 }",
  ["lib/helper.lua"] = "return { y = 1 }",
  ["reports/x/page.html"] = "<p>not a script</p>",
})
check(#a.routes == 2 and a.routes[1].value.y == 1 and a.routes[2].value.z == 2, "two routes")
check(#a.id == 32, "named by a hash")
check(g.build(a.files).id == a.id, "same files, same name")
local changed = {}
for k, v in pairs(a.files) do changed[k] = v end
changed["lib/helper.lua"] = "return { y = 3 }"
local b = g.build(changed)
check(b.id ~= a.id and b.routes[1].value.y == 3 and a.routes[1].value.y == 1, "generations share nothing")
check(g.current() == nil, "building changes nothing")
g.swap(a)
check(g.current() == a and g.status().id == a.id, "swapped")

local function refused(files, pattern)
  local ok, err = pcall(g.build, files)
  check(not ok and type(err) == "table" and err.message:find(pattern),
    pattern .. " expected, found " .. tostring(not ok and (err.message or err)))
  check(g.current() == a, "the old one stays")
end
local function route(text) return { ["routes/a.lua"] = text } end
refused(route("return {\n x = = }"), "^workflows/routes/a.lua:2: unexpected symbol")
refused(route("while true do end"), "^workflows/routes/a.lua: computed for more than 500 ms")
refused(route("error('why')"), "^workflows/routes/a.lua:1: why")
refused(route("return 1"), "^workflows/routes/a.lua: returned number, expected one table")
refused(route("local x = 1"), "^workflows/routes/a.lua: returned nil")
refused(route("x = 1"), "a.lua:1: 'x' would be a new global")
refused(route("local t = require('auth') return {}"), "module 'auth' not found")
refused(route("local t = require('core.db') return {}"), "module 'core.db' not found")
refused(route("local t = require('nothing') return {}"), "neither workflows/lib/nothing.lua")
refused(route("require('task').sleep(1) return {}"), "waiting is not possible")
refused(route("local s = ('x'):rep(1e9) return {}"), "a.lua: not enough memory")
refused(route("\27Lua"), "binary chunk")
refused({ ["lib/a.lua"] = "return require('b')", ["lib/b.lua"] = "return require('a')" }, "requires itself")
refused({ ["lib/a.lua"] = "return 7" }, "workflows/lib/a.lua: returned a number")
refused({ ["lib/unused.lua"] = "syntax error here" }, "^workflows/lib/unused.lua:1:")
refused({ ["nothing/a.lua"] = "return {}" }, "there is no kind of workflow called 'nothing'")

-- what a file does to a table of a module is not seen by others
local c = g.build({
  ["routes/a.lua"] = "return { ok = pcall(function() string.x = 1 end), rep = string.rep('x', 3) }",
})
check(c.routes[1].value.ok == false and c.routes[1].value.rep == "xxx", "libraries are read-only")
print(n .. " checks")
