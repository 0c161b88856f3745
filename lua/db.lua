-- db.lua - SQLite for scripts. Whatever may take long waits on a thread; a look-up by key is answered
-- at once. Failures are raised as error objects with `code` and `message`.
--
--   local db = require("db")
--   local d <close> = db.open("/data/shop.db")
--   for row in d:rows("SELECT * FROM fact_sales WHERE value > ?", { 3 }) do … end
--   d:transaction(function() d:exec("UPDATE …"); d:exec("INSERT …") end)
--
-- Arguments are an array for ? or a table for :name. NULL is db.null as an argument and an absent key
-- in a row. true and false become 1 and 0. Bytes that are no UTF-8 text go as db.blob(bytes).

local core = require("core.db")

local db = {}
local D = {}
D.__index = D
D.__name = "db"
D.__metatable = false

local ROWS_PER_BATCH = 500
local PAGES_PER_SLICE = 256

local function fail(message, code)
  error({ code = code, message = message }, 0)
end

local function wrap(box)
  return setmetatable({ box = box }, D)
end

D.__close = function(self)
  if not core.is_main(self.box) then core.close(self.box) end
end

--- NULL, as an argument; the same value as json.null.
db.null = core.null

--- Bytes for a BLOB column: they need not be text.
--- @param bytes string
--- @return blob
db.blob = core.blob

--- Opens a database file.
--- Waits.
--- @param path string  a file, or ":memory:" (gone when closed, and everything runs on its one thread)
--- @param opt table? { readonly = false, create = true (mode 0600), sync = "full" ("normal": a power
---   cut may take the last commits, "off": for files that die with their job), busy_ms = 5000 (waiting
---   for another process), timeout_ms = 0 (of one statement, 0 = none), tx_idle_ms = 30000 (a
---   transaction that asks nothing for so long is rolled back), cache_kib = 8192, readers = 2,
---   cursors = 16, value_max = 67108864, rows_max = 67108864 (bytes), bytes_max = 0 (of the file, 0: what the
---   disk holds), attach = false }
--- @return db
--- Raises: notfound, corrupt, busy, io, full, nomem, invalid
function db.open(path, opt)
  local box, message, code = core.open(path, opt)
  if not box then fail(message, code) end
  return wrap(box)
end

--- The main database of this process: jobs, facts, models, keys. Is not closed by scripts.
--- @return db
--- Raises: notfound (a process without one)
function db.main()
  local box, message, code = core.main()
  if not box then fail(message, code) end
  return wrap(box) -- a table of the caller's own, which it cannot break for others
end

--- Counters and times of all databases of this process, for /metrics.
--- @return table { inline, read, write = { count, errors, busy, seconds, buckets = {n, …} }, bounds =
---   {seconds, …} (of the buckets, the last one is without), cuts (statements too long for the loop),
---   commits, grouped (requests that shared them), aborts }
function db.stats()
  return core.stats()
end

--- Runs a statement and returns its rows.
--- Waits unless it is a look-up by key; cancellable.
--- @param sql string  one statement
--- @param args table?  array for ?, names for :name
--- @return table  array of { column = value }; of two columns with one name the last one counts
--- Raises: invalid, exists (a constraint), busy, limit, nan, timeout, cancelled, full, io, corrupt, auth
function D:query(sql, args)
  local rows, message, code = core.query(self.box, sql, args)
  if not rows then fail(message, code) end
  return rows
end

--- The first row, or nil.
--- Waits unless it is a look-up by key; cancellable.
--- @param sql string
--- @param args table?
--- @return table?
--- Raises: as query
function D:row(sql, args)
  local row, message, code = core.row(self.box, sql, args)
  if row == nil then fail(message, code) end
  return row or nil
end

--- The first column of the first row; nil when it is NULL or there is no row.
--- Waits unless it is a look-up by key; cancellable.
--- @param sql string
--- @param args table?
--- @return any
--- Raises: as query
function D:value(sql, args)
  local ok, value, code = core.value(self.box, sql, args)
  if not ok then fail(value, code) end
  return value
end

--- Runs a statement for what it does. Statements of different scripts that wait together share one
--- commit; each succeeds or fails by itself.
--- Waits; cancellable.
--- @param sql string
--- @param args table?
--- @return table { changes = rows, last_id = of an inserted row, or nil }
--- Raises: as query
function D:exec(sql, args)
  local changes, last_id, code = core.exec(self.box, sql, args)
  if not changes then fail(last_id, code) end
  return { changes = changes, last_id = last_id }
end

--- Runs several statements, all or nothing, in one go: cheaper than a transaction, because nobody waits
--- for the script in between, and its commit is shared with others.
--- Waits; cancellable.
--- @param list table  array of { sql, args, expect = n }: with expect, another number of changed rows
---   undoes everything and is notfound
--- @return table  array of { changes, last_id, rows (of a RETURNING) }
--- Raises: as query; notfound
function D:write(list)
  local results, message, code = core.write(self.box, list)
  if not results then fail(message, code) end
  return results
end

--- Runs a text of many statements without arguments, all or nothing.
--- Waits; cancellable.
--- @param sql string
--- Raises: as query
function D:script(sql)
  local ok, message, code = core.script(self.box, sql)
  if not ok then fail(message, code) end
end

--- The rows one by one, fetched in batches, so any number of them needs little memory. All are of the
--- moment of the first. Only for statements that read.
--- Waits; cancellable.
---   for row in d:rows("SELECT …") do … end
--- @param sql string
--- @param args table?
--- @param batch integer?  rows fetched at once, 500
--- @return function, nil, nil, closeable  for a generic for, which closes it, also on break or error
--- Raises: as query; busy when too many are open
function D:rows(sql, args, batch)
  local cursor, message, code = core.cursor(self.box, sql, args)
  if not cursor then fail(message, code) end
  local rows, i, n = nil, 0, -1 -- n = 0: the end was seen
  batch = batch or ROWS_PER_BATCH
  local function next_row()
    i = i + 1
    if i > n then
      if n == 0 then return nil end
      rows, message, code = core.next(cursor, batch)
      if not rows then fail(message, code) end
      i, n = 1, #rows
      if n == 0 then return nil end
    end
    return rows[i]
  end
  return next_row, nil, nil, cursor
end

--- The result of a query as one tensor of f32, row by row; no value becomes a Lua value. NULL is not a
--- number (NaN).
--- Waits; cancellable.
--- @param sql string  a statement whose columns are numbers
--- @param args table?
--- @return tensor, table  (rows, columns), and the names of the columns
--- Raises: as query; invalid when a cell is text, with row and column; nan when one is beyond f32;
---   nomem, limit (of all tensors)
function D:matrix(sql, args)
  require("core.tensor") -- makes the class
  local matrix, names, code = core.matrix(self.box, sql, args)
  if not matrix then fail(names, code) end
  return matrix, names
end

--- Calls fn(self) in a transaction: committed when it returns, rolled back when it raises or when the
--- request or job is cancelled or killed. Everything this script asks of the database meanwhile is part
--- of it; tasks it starts are not, and must not wait for it. Other writers wait for their turn, so keep
--- it short. Inside of another transaction it is a part that can fail alone.
--- Waits; cancellable.
--- @param fn function
--- @param mode string?  "immediate" (default) or "deferred" (no write lock before the first write)
--- @return any ...  what fn returned
--- Raises: what fn raised; busy, full, io
function D:transaction(fn, mode)
  if mode ~= nil and mode ~= "immediate" and mode ~= "deferred" then
    error("mode is " .. tostring(mode) .. ', expected "immediate" or "deferred"', 2)
  end
  local tx <close>, message, code = core.begin(self.box, mode == "deferred")
  if not tx then fail(message, code) end
  local out = table.pack(pcall(fn, self))
  if not out[1] then
    core.rollback(tx)
    error(out[2], 0)
  end
  local ok
  ok, message, code = core.commit(tx)
  if not ok then fail(message, code) end
  return table.unpack(out, 2, out.n)
end

--- Copies the database, in use, to a file. The copy is of the moment it began, and has its name only
--- when it is whole and on the disk; one that fails leaves nothing.
--- Waits; cancellable.
--- @param path string  replaced if it is there
--- @param opt table? { progress = function(done, total) in pages, pages = 256 at a time }
--- Raises: io, notfound (the folder), full, busy, unsupported (of ":memory:")
function D:backup(path, opt)
  opt = opt or {}
  local b <close>, message, code = core.backup(self.box, path)
  if not b then fail(message, code) end
  repeat
    local done, total, complete = core.step(b, opt.pages or PAGES_PER_SLICE)
    if not done then fail(total, complete) end
    if opt.progress then opt.progress(done, total) end
  until complete
end

--- Brings the database to the schema of this program.
--- Waits.
--- @return integer, integer  the number of the schema before and after
--- Raises: unsupported (a newer one), corrupt (an edited step), busy, full, io, invalid
function D:migrate()
  local from, to, code = core.migrate(self.box)
  if not from then fail(to, code) end
  return from, to
end

--- Stops what this database is doing now, for whomever; they get the error cancelled.
function D:interrupt()
  core.interrupt(self.box)
end

--- The path it was opened with.
--- @return string
function D:path()
  return core.path(self.box)
end

--- Closes; also by <close>. What is in flight is cancelled, an open transaction is rolled back.
function D:close()
  if core.is_main(self.box) then error("the main database is not for scripts to close", 2) end
  core.close(self.box)
end

return db
