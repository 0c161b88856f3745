-- The face of the database: lua/db.lua over core.db.
-- luacheck: ignore 512 (loops that break at once: an iterator must be closed then)
local db = require("db")
local task = require("task")
local json = require("core.json")

local n = 0
local function check(cond, what)
  n = n + 1
  if not cond then error("failed: " .. what, 2) end
end

local function fails(code, fn, ...)
  local ok, err = pcall(fn, ...)
  n = n + 1
  if ok or type(err) ~= "table" or err.code ~= code then
    local found = ok and "none" or tostring(err)
    if type(err) == "table" then found = tostring(err.code) .. ": " .. tostring(err.message) end
    error("expected the error " .. code .. ", got " .. found, 2)
  end
  return err
end

local function misuse(pattern, fn, ...)
  local ok, err = pcall(fn, ...)
  n = n + 1
  if ok or type(err) ~= "string" or not err:find(pattern, 1, true) then
    error("expected the misuse \"" .. pattern .. "\", got " ..
      (type(err) == "table" and tostring(err.message) or tostring(err)), 2)
  end
end

local folder = arg[1] or "build"
local path = string.format("%s/db_test_%s.db", folder, require("crypto").uuid())
local d = db.open(path, { sync = "off" })
check(d:path() == path, "path")

-- values
d:script([[
  CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, x REAL, b BLOB) STRICT;
  CREATE TABLE u(name TEXT PRIMARY KEY, v INTEGER NOT NULL) STRICT, WITHOUT ROWID;
]])
local r = d:exec("INSERT INTO t(name, x, b) VALUES(?, ?, ?)", { "Ёж", 0.5, db.blob("\0\255") })
check(r.changes == 1 and r.last_id == 1, "exec")
local row = d:row("SELECT * FROM t WHERE id = ?", { 1 })
check(row.id == 1 and row.name == "Ёж" and row.x == 0.5 and row.b == "\0\255", "row")
check(math.type(row.id) == "integer" and math.type(row.x) == "float", "types")
check(d:value("SELECT ?", { math.mininteger }) == math.mininteger, "whole numbers are exact")
check(d:value("SELECT ? + ?", { true, false }) == 1, "true and false")
check(d:value("SELECT ?", { db.null }) == nil and db.null == json.null, "null")
check(d:row("SELECT ? AS a, 2 AS b", { db.null }).a == nil, "an absent key")
check(d:row("SELECT * FROM t WHERE id = 9") == nil, "no row")
check(d:value("SELECT id FROM t WHERE id = 9") == nil, "no value")
check(d:value("SELECT :a * 10 + :b", { a = 1, b = 2 }) == 12, "names")
check(#d:query("SELECT * FROM t") == 1, "query")
check(json.encode(d:query("SELECT * FROM t WHERE id = 9")) == "[]", "no rows are an empty array")
local many = {}
for i = 1, 190 do many[i] = i end
check(d:value("SELECT ?" .. (" + ?"):rep(189), many) == 190 * 191 / 2, "190 arguments")

-- misuse and errors
misuse("argument 1 is nil", d.value, d, "SELECT ? + ?", { nil, 1 })
misuse("json.encode", d.value, d, "SELECT ?", { {} })
misuse("not both", d.value, d, "SELECT ?", { 1, a = 2 })
misuse("not a number", d.value, d, "SELECT ?", 1)
fails("nan", d.value, d, "SELECT ?", { 0 / 0 })
fails("nan", d.value, d, "SELECT ?", { math.huge })
fails("invalid", d.value, d, "SELECT ?", { "\255" })
fails("invalid", d.value, d, "SELECT ?", {})
fails("invalid", d.value, d, "SELECT ?", { 1, 2 })
fails("invalid", d.value, d, "SELECT :a", { b = 1 })
check(fails("invalid", d.query, d, "SELEC 1").message:find("SELEC", 1, true), "the message shows the SQL")
fails("exists", d.exec, d, "INSERT INTO t(id) VALUES(1)")
fails("auth", d.exec, d, "ATTACH 'x' AS x")
fails("auth", d.exec, d, "BEGIN")
fails("limit", d.value, d, "SELECT zeroblob(1000000000)")
fails("limit", d.query, d, [[WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
  SELECT zeroblob(1000000) FROM n]])
fails("notfound", db.open, "/nowhere/at/all.db", { readonly = true })
misuse("sync is full", db.open, path, { sync = "maybe" })
misuse("busy_ms", db.open, path, { busy_ms = -1 })

-- write: all or nothing
local results = d:write({
  { "INSERT INTO u VALUES(?, ?)", { "a", 1 } },
  { "UPDATE u SET v = v + :n WHERE name = 'a'", { n = 5 }, expect = 1 },
  { "DELETE FROM u WHERE v > ? RETURNING name, v", { 3 } },
})
check(results[2].changes == 1 and results[3].rows[1].v == 6, "write")
fails("notfound", d.write, d, {
  { "INSERT INTO u VALUES('b', 1)" },
  { "UPDATE u SET v = 2 WHERE name = 'nobody'", nil, expect = 1 },
})
check(d:value("SELECT count(*) FROM u") == 0, "write undone")
misuse("statement 2", d.write, d, { { "SELECT 1" }, "SELECT 2" })
misuse("statement 1", d.write, d, { { "SELECT 1", 5 } })
fails("nan", d.write, d, { { "INSERT INTO u VALUES('b', ?)", { 0 / 0 } } })

-- many scripts at once
local fns = {}
for i = 1, 100 do
  fns[i] = function()
    d:exec("INSERT INTO u VALUES(?, ?)", { "k" .. i, i })
    return d:value("SELECT v FROM u WHERE name = ?", { "k" .. i })
  end
end
local values = task.all(fns)
for i = 1, 100 do check(values[i] == i, "own write is seen") end
check(d:value("SELECT sum(v) FROM u") == 5050, "all are there")

-- rows: bounded memory, own snapshot, closed early
d:exec([[INSERT INTO t(name) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
  SELECT 'row ' || i FROM n]])
local count = 0
for x in d:rows("SELECT id, name FROM t ORDER BY id") do
  count = count + 1
  if count == 1 then d:exec("DELETE FROM t WHERE id > 10000") end
  check(x.id == count, "order")
end
check(count == 20001, "all rows of the moment")
check(d:value("SELECT count(*) FROM t") == 10000, "deleted meanwhile")
for _ in d:rows("SELECT * FROM t", nil, 10) do break end
for _ in d:rows("SELECT * FROM t WHERE id < 0") do error("no row expected") end
for i = 1, 40 do -- each is closed by its break
  for _ in d:rows("SELECT * FROM t WHERE id > ?", { i }) do break end
end
fails("invalid", function() for _ in d:rows("SELECT * FROM nowhere") do break end end)
fails("invalid", function() for _ in d:rows("DELETE FROM t") do break end end)

-- a matrix
local matrix, names = d:matrix("SELECT id, x, id * 0.5 AS half FROM t WHERE id <= ? ORDER BY id", { 100 })
check(table.concat(matrix:shape(), "x") == "100x3" and table.concat(names, " ") == "id x half", "shape")
check(matrix:get(7, 1) == 7 and matrix:get(7, 3) == 3.5, "cells")
check(matrix:get(1, 2) == 0.5 and matrix:get(2, 2) ~= matrix:get(2, 2), "NULL is not a number")
check(#d:matrix("SELECT id FROM t WHERE id < 0") == 0, "no rows")
check(fails("invalid", d.matrix, d, "SELECT name FROM t WHERE id = 1").message:find("row 1: name \"Ёж\""), "text")
d:transaction(function()
  d:exec("INSERT INTO t(id, x) VALUES(-5, 2.5)")
  check(d:matrix("SELECT x FROM t WHERE id = -5"):get(1, 1) == 2.5, "inside a transaction")
  d:exec("DELETE FROM t WHERE id = -5")
end)

-- transactions
local out = table.pack(d:transaction(function(same)
  check(same == d, "the database is the argument")
  d:exec("UPDATE u SET v = 0")
  check(d:value("SELECT sum(v) FROM u") == 0, "seen inside")
  fails("exists", d.exec, d, "INSERT INTO u VALUES('k1', 1)")
  local ok, err = pcall(d.transaction, d, function()
    d:exec("DELETE FROM u")
    error({ code = "invalid", message = "no" })
  end)
  check(not ok and err.code == "invalid", "inner error")
  check(d:value("SELECT count(*) FROM u") == 100, "inner part undone")
  d:transaction(function() d:exec("INSERT INTO u VALUES('inner', 7)") end)
  local seen = 0
  for _ in d:rows("SELECT * FROM u") do seen = seen + 1 end
  check(seen == 101, "rows inside")
  return 1, nil, 3
end))
check(out.n == 3 and out[1] == 1 and out[3] == 3, "results")
check(d:value("SELECT sum(v) FROM u") == 7, "committed")
fails("invalid", d.transaction, d, function()
  d:exec("DELETE FROM u")
  error({ code = "invalid", message = "no" }, 0)
end)
check(d:value("SELECT count(*) FROM u") == 101, "rolled back")
misuse("mode", d.transaction, d, function() end, "quick")
d:transaction(function() check(d:value("SELECT 1") == 1, "deferred") end, "deferred")

-- they take turns
d:exec("UPDATE u SET v = 0 WHERE name = 'inner'")
fns = {}
for i = 1, 20 do
  fns[i] = function()
    for _ = 1, 5 do
      d:transaction(function()
        local v = d:value("SELECT v FROM u WHERE name = 'inner'")
        task.sleep(0)
        d:exec("UPDATE u SET v = ? WHERE name = 'inner'", { v + 1 })
      end)
    end
  end
end
task.all(fns)
check(d:value("SELECT v FROM u WHERE name = 'inner'") == 100, "no lost update")

-- cancelled in the middle: rolled back, the next writer goes on at once
local t = task.start(function()
  d:transaction(function()
    d:exec("DELETE FROM u")
    task.sleep(60)
  end)
end)
task.sleep(0.05)
check(d:value("SELECT count(*) FROM u") == 101, "not seen outside")
task.cancel(t)
d:exec("UPDATE u SET v = 5 WHERE name = 'inner'")
check(d:value("SELECT count(*) FROM u") == 101, "rolled back by the cancel")

-- killed in the middle, by its time budget: the same
t = task.start(function()
  d:transaction(function()
    d:exec("DELETE FROM u")
    while true do pcall(function() while true do end end) end
  end)
end)
fails("killed", task.wait, t)
d:exec("UPDATE u SET v = 5 WHERE name = 'inner'")
check(d:value("SELECT count(*) FROM u") == 101, "rolled back by the kill")

-- cancelled in a long statement, in an iterator, while waiting for its turn
local endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
for _, fn in ipairs({
  function() d:value(endless) end,
  function() d:exec("UPDATE u SET v = (" .. endless .. ")") end,
  function() d:transaction(function() d:value(endless) end) end,
  function() for _ in d:rows(endless) do error("none expected") end end,
  function() d:transaction(function() d:transaction(function() task.sleep(60) end) end) end,
}) do
  fails("timeout", task.timeout, 0.05, fn)
end
d:transaction(function()
  fails("timeout", task.timeout, 0.05, function() d:exec("DELETE FROM u") end) -- the child waits for us
end)
check(d:value("SELECT v FROM u WHERE name = 'inner'") == 5, "nothing changed")
local slow <close> = db.open(path, { timeout_ms = 50 })
fails("timeout", slow.value, slow, endless)
t = task.start(function() d:value(endless) end)
task.sleep(0.05)
d:interrupt()
fails("cancelled", task.wait, t)

-- backup
local copy = path .. ".copy"
local last, total_pages = 0, 0
d:backup(copy, { pages = 5, progress = function(done, total)
  check(done >= last, "progress")
  last, total_pages = done, total
  if done < 20 then d:exec("INSERT INTO t(name) VALUES('later')") end
end })
check(last == total_pages and last > 5, "all pages")
do
  local c <close> = db.open(copy, { readonly = true })
  check(c:value("SELECT count(*) FROM t") == 10000, "the copy is of its beginning")
  check(c:value("PRAGMA integrity_check") == "ok", "the copy is whole")
  fails("auth", c.exec, c, "DELETE FROM t")
end
fails("notfound", d.backup, d, folder .. "/no/such/folder.db")

-- migrations
do
  local m <close> = db.open(":memory:")
  local from, to = m:migrate()
  check(from == 0 and to >= 1, "migrated")
  from = m:migrate()
  check(from == to, "once")
  m:exec("INSERT INTO settings(name, value) VALUES('a', '1')")
end

-- closing
local c = db.open(path)
c:close()
c:close()
misuse("closed", c.query, c, "SELECT 1")
c = db.open(path)
for i, what in ipairs({
  function() c:value(endless) end,
  function() c:transaction(function() task.sleep(9) end) end,
}) do
  local x = task.start(what)
  task.sleep(0.03)
  c:close()
  if i == 1 then fails("cancelled", task.wait, x) else task.cancel(x) end
  c = db.open(path)
end
c:close()
local stats = db.stats()
check(stats.write.count > 100 and stats.inline.count > 10, "stats of requests")
check(#stats.bounds == 13, "bounds of the histogram")

-- writes that wait together share one commit: all of them are asked while a transaction holds the lane
do
  local queued, writers = 0, {}
  d:script("CREATE TABLE IF NOT EXISTS shared(x)")
  local holder = task.start(function()
    d:transaction(function()
      while queued < 20 do task.sleep(0.005) end
      task.sleep(0.05)
    end)
  end)
  task.sleep(0.02)
  for i = 1, 20 do
    writers[i] = function()
      queued = queued + 1
      d:exec("INSERT INTO shared VALUES(?)", { i })
    end
  end
  local before = db.stats()
  task.all(writers)
  task.wait(holder)
  stats = db.stats()
  check(d:value("SELECT count(*) FROM shared") == 20, "all are there")
  check(stats.commits > before.commits and stats.grouped >= before.grouped + 10,
    "shared commits: " .. stats.commits - before.commits .. ", " .. stats.grouped - before.grouped .. " requests")
end
fails("notfound", db.main)

-- what stays on the disk is small
d:script("DROP TABLE t; DROP TABLE u")
d:exec("VACUUM")
d:backup(copy)

-- left open on purpose: a transaction, an iterator and d itself end with the script
task.start(function() d:transaction(function() task.sleep(60) end) end)
task.sleep(0.02)
local forgotten = d:rows("SELECT * FROM sqlite_schema")
forgotten()
print(n .. " checks passed")
