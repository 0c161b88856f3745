-- store_model.lua - a model of sales by store, item and day: writing its file, and answering from it. How it
-- comes about is in store_train.lua.
--
-- A model file is a SQLite database, data only, that needs nothing else: the tables of store_features, the
-- days ahead already forecast (table `forecast`), and in `info` the trees (LightGBM's text) and what is
-- known of the model. Its SHA-256 stands in the table models.

local crypto = require("crypto")
local db = require("db")
local features = require("store_features")
local fs = require("fs")
local json = require("json")
local model_store = require("model_store")
local time = require("time")
local trees = require("trees")

local store_model = {}

--- models.model_kind of these models.
store_model.KIND = "store_item"

local FORMAT = "plastinka store_item 1"
local HISTORY_DAYS = 1200 -- of the past that a model file keeps: forecasts of days before know less
local TREE_BYTES = 67108864
local CHUNK = 100000      -- forecasts written at once

local function fail(code, message)
  error({ code = code, message = message }, 0)
end

--- The date of a day, which is counted from 1970.
--- @param day integer
--- @return string
function store_model.date_of(day)
  return time.date(day * 86400)
end

--- The day of a date.
--- @param date string  "2026-01-31"
--- @return integer
--- Raises: parse
function store_model.day_of(date)
  return time.parse(date) // 86400
end

--- The columns of a matrix of store_features.
--- @param x tensor
--- @param set string
--- @return tensor  (rows, features)
--- @return tensor  (rows) expected sales
--- @return tensor  (rows) sales
function store_model.parts(x, set)
  local n = #features.names(set)
  return x:slice(2, 1, n), x:pick(2, n + 1), x:pick(2, n + 5)
end

--- Forecasts for a matrix of store_features.
--- Waits when there are many.
--- @param model trees
--- @param x tensor
--- @param set string
--- @return tensor  (rows)
function store_model.predict(model, x, set)
  local rows, expected = store_model.parts(x, set)
  local p = model:predict(rows)
  if set == "history" then p = p * expected end
  return p:maximum(0)
end

local function interval_of(list, value)
  local n = #list
  for i = 1, n do
    local b = list[i]
    if i == n or value <= b.up_to then
      local root = math.sqrt(math.max(value, 1))
      return math.max(0, value + b.low * root), math.max(0, value + b.high * root)
    end
  end
end

local SIDES = { "", "-wal", "-shm" }
local function remove(path)
  for _, side in ipairs(SIDES) do pcall(fs.remove, path .. side) end
end

-- Every series on every day of the horizon, so that answers are look-ups.
local function forecast_ahead(d, model, meta)
  local set, first = meta.features, store_model.day_of(meta.trained_until) + 1
  d:script([[DROP TABLE IF EXISTS ahead; DROP TABLE IF EXISTS forecast;
    CREATE TABLE ahead(day INTEGER PRIMARY KEY);
    CREATE TABLE forecast(series INTEGER, day INTEGER, value REAL, PRIMARY KEY (series, day)) WITHOUT ROWID;
    INSERT INTO ahead WITH RECURSIVE e(day) AS (VALUES (]] .. first .. [[) UNION ALL SELECT day + 1 FROM e
      WHERE day < ]] .. first + meta.horizon - 1 .. ") SELECT day FROM e")
  local p = store_model.predict(model, features.ahead(d, set), set)
  for from = 0, #p - 1, CHUNK do
    -- the n-th value, from 0, is of series n / horizon + 1: both are in the order of store and item
    d:exec("INSERT INTO forecast SELECT (key + ?4) / ?2 + 1, ?3 + (key + ?4) % ?2, value FROM json_each(?1)",
      { json.encode(json.array(p:slice(1, from + 1, math.min(from + CHUNK, #p)):table())), meta.horizon, first, from })
  end
  d:script("DROP TABLE ahead")
end

--- Makes the model file of what store_train.train has left in the scratch database, which keeps nothing else.
--- Waits; cancellable.
--- @param d db  scratch, opened with attach
--- @param path string  of the file, replaced if it is there
--- @param meta table { features, horizon, trained_until, intervals, level, … }
--- @return table { sha256, bytes }
function store_model.write(d, path, meta)
  meta.format, meta.names = FORMAT, json.array(features.names(meta.features))
  local model <close> = trees.parse(d:value("SELECT value FROM info WHERE name = 'trees'"))
  forecast_ahead(d, model, meta)
  d:exec("INSERT OR REPLACE INTO info VALUES ('metadata', ?)", { json.encode(meta, { sorted = true }) })
  d:script([[DROP TABLE IF EXISTS sales; DROP TABLE IF EXISTS days; DROP TABLE IF EXISTS every_day;
    DELETE FROM history WHERE day < (SELECT last_day FROM model) - ]] .. HISTORY_DAYS)
  remove(path)
  d:exec("VACUUM INTO ?", { path })
  do
    local copy <close> = db.open(path, { create = false }) -- from now on in the mode in which it will be read
    copy:value("SELECT count(*) FROM model")
  end
  local sha256, bytes = crypto.sha256_file(path)
  return { sha256 = sha256, bytes = bytes }
end

--- A model, ready to answer.
--- Waits.
--- @param row table  of models
--- @param path string?  of its file, if that is not where models are
--- @return table { id, db, trees, metadata, first_day, last_day, horizon }
--- Raises: corrupt (another SHA-256, no model), notfound, io
function store_model.open(row, path)
  path = path or model_store.path(row)
  if row.sha256 and crypto.sha256_file(path) ~= row.sha256 then
    fail("corrupt", "the file of the model " .. row.model_id .. " is not the one that was published")
  end
  -- not readonly: who only reads cannot put right what a process that was killed has left beside the file
  local d = db.open(path, { create = false, readers = 1, value_max = TREE_BYTES })
  local metadata = d:value("SELECT value FROM info WHERE name = 'metadata'")
  metadata = metadata and json.decode(metadata) or {}
  if metadata.format ~= FORMAT then
    fail("corrupt", ("the model %s has the format %s, expected %s"):format(row.model_id, tostring(metadata.format),
      FORMAT))
  end
  local k = d:row("SELECT first_day, last_day, horizon FROM model WHERE id = 1")
  return { id = row.model_id, db = d, metadata = metadata, created_at = row.created_at,
           trees = trees.parse(d:value("SELECT value FROM info WHERE name = 'trees'")),
           first_day = k.first_day, last_day = k.last_day, horizon = k.horizon }
end

-- What makes a forecast less sure than its interval says, as texts; nil when nothing does.
local function notes_of(m, day, is_known, is_store, is_item)
  local notes = {}
  if not is_store then notes[#notes + 1] = "the store is not in the training data: a usual store was assumed" end
  if not is_item then notes[#notes + 1] = "the item is not in the training data: a usual item was assumed" end
  if is_store and is_item and not is_known then
    notes[#notes + 1] = "the training data have no sales of this item in this store"
  end
  if day > m.last_day + m.horizon then
    notes[#notes + 1] = ("the date is %d days after the training data, which forecast %d"):format(day - m.last_day,
      m.horizon)
  elseif day < m.first_day then
    notes[#notes + 1] = ("the date is %d days before the training data"):format(m.first_day - day)
  end
  return notes[1] and json.array(notes) or nil
end

local function made(m, day, value, is_known, is_store, is_item)
  local low, high = interval_of(m.metadata.intervals, value)
  return { value = value, low = low, high = high, notes = notes_of(m, day, is_known, is_store, is_item) }
end

local AHEAD = [[SELECT f.value FROM series s JOIN forecast f ON f.series = s.series AND f.day = ?3
  WHERE s.store = ?1 AND s.item = ?2]]

--- One forecast.
--- Waits unless the day is one of those that were forecast with the model.
--- @param m table  of store_model.open
--- @param store integer
--- @param item integer
--- @param day integer
--- @param date string  the same day
--- @return table { value, low, high, notes = array of texts or nil: it is extrapolated }
function store_model.one(m, store, item, day, date)
  if day > m.last_day and day <= m.last_day + m.horizon then
    local value = m.db:value(AHEAD, { store, item, day })
    if value then return made(m, day, value, true, true, true) end
  end
  return store_model.list(m, { { store, item, day, date } })[1]
end

--- Many forecasts.
--- Waits.
--- @param m table  of store_model.open
--- @param rows table  array of { store, item, day, date }
--- @return table  array of what store_model.one returns
function store_model.list(m, rows)
  local set = m.metadata.features
  local x = features.list(m.db, set, rows)
  local n, values = #m.metadata.names, store_model.predict(m.trees, x, set):table()
  local known, stores, items = x:pick(2, n + 2):table(), x:pick(2, n + 3):table(), x:pick(2, n + 4):table()
  local out = {}
  for i = 1, #rows do
    out[i] = made(m, rows[i][3], values[i], known[i] == 1, stores[i] == 1, items[i] == 1)
  end
  return out
end

return store_model
