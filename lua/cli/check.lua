-- cli/check.lua - the part of `plastinka check` that needs the database and the workflows: prints its
-- rows of the table and returns how many are bad. The first part is core/role/check.c.

local auth = require("auth")
local db = require("db")
local generation = require("generation")
require("kinds")

local check = {}

local bad = 0

local function row(ok, what, text)
  if not ok then bad = bad + 1 end
  print(("%-5s %-14s %s"):format(ok and "ok" or "BAD", what, text))
end

local function try(what, fn)
  local ok, text = pcall(fn)
  row(ok, what, ok and text or type(text) == "table" and text.message or tostring(text))
end

--- The last rows of plastinka check.
--- @return integer  how many are bad
--- Source: ours
function check.main()
  local d
  try("database", function()
    d = db.main()
    local found = d:query("PRAGMA quick_check(5)")
    local first = found[1] and select(2, next(found[1]))
    if first ~= "ok" then error({ message = d:path() .. " is damaged: " .. tostring(first) }, 0) end
    return d:path() .. ", SQLite " .. d:value("SELECT sqlite_version()") .. ", sound"
  end)
  if d then
    try("schema", function()
      local before = d:value("PRAGMA user_version")
      d:migrate()
      local after = d:value("PRAGMA user_version")
      return "version " .. after .. (before ~= after and ", brought up from " .. before or "")
    end)
    try("keys", function()
      local n = 0
      for _, k in ipairs(auth.list()) do if not k.revoked_at then n = n + 1 end end
      if n == 0 then return "none yet: the first start makes an admin key and prints it once" end
      return n .. (n == 1 and " key" or " keys")
    end)
  end
  try("workflows", function()
    local g = generation.build(generation.read())
    local n = 0
    for _ in pairs(g.files) do n = n + 1 end
    return ("%d files from %s, generation %s"):format(n, generation.dir() or "the program", g.id:sub(1, 12))
  end)
  return bad
end

return check
