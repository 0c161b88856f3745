-- store_serve.lua - the store-item model in use, in this process, and what it answers.
--
-- Which model is active is asked of the database when somebody says that it has changed, and every tenth of a
-- second, should the word get lost; its file is opened once. A forecast is a function of the model file, so
-- what was answered may be answered again.

local db = require("db")
local json = require("json")
local notify = require("notify")
local process = require("process")
local store_model = require("store_model")

local store_serve = {}

local CACHE_MAX = 100000
local LOOK_SECONDS = 0.1
local CHANGED = "store_item"
local monotonic = process.monotonic
local ACTIVE = "SELECT model_id, model_path, sha256, created_at FROM models WHERE model_kind = 'store_item' "
  .. "AND is_active = 1"

local current                  -- model
local cache, n_cached = {}, 0  -- of the current model: store and item -> day -> forecast
local changed = notify.signal(CHANGED)
local looked_at, looked_count = -math.huge, -1
local loading, opened = {}, notify.signal("store_item opened")

local function load(row)
  while loading[row.model_id] do -- by another request
    notify.wait(opened, notify.count(opened), 1)
    if current and current.id == row.model_id then return current end
  end
  loading[row.model_id] = true
  local _ <close> = setmetatable({}, { __close = function() -- also when the client has gone meanwhile
    loading[row.model_id] = nil
    notify.fire(opened)
  end })
  local m = store_model.open(row)
  current, cache, n_cached = m, {}, 0
  return m
end

--- The active model.
--- Waits when it is not open yet.
--- @return table?  of store_model.open; nil when there is none
--- Raises: corrupt, notfound, io
function store_serve.model()
  local now, count = monotonic(), notify.count(changed)
  if current and count == looked_count and now - looked_at < LOOK_SECONDS then return current end
  looked_at, looked_count = now, count
  local row = db.main():row(ACTIVE)
  if not row then
    current = nil
    return nil
  end
  if current and current.id == row.model_id then return current end
  return load(row)
end

--- Says to all processes that another model is active.
function store_serve.tell()
  notify.send(CHANGED)
end

--- A model that may not be the active one.
--- Waits.
--- @param id string
--- @return table?  of store_model.open; nil when there is none
--- Raises: corrupt, notfound, io
function store_serve.version(id)
  if current and current.id == id then return current end
  local row = db.main():row("SELECT * FROM models WHERE model_id = ? AND model_kind = ?", { id, store_model.KIND })
  return row and store_model.open(row)
end

-- A forecast as clients see it.
local function shown(m, item, f)
  return {
    predicted_sales = f.value, date = item.sent, store = item[1], item = item[2],
    interval = { low = f.low, high = f.high, level = m.metadata.level }, model_version = m.id,
    extrapolated = f.notes ~= nil, notes = f.notes,
  }
end

local function keep(m, item, f)
  if m ~= current then return f end
  if n_cached >= CACHE_MAX then cache, n_cached = {}, 0 end
  local key = item[1] << 31 | item[2]
  local days = cache[key]
  if not days then
    days = {}
    cache[key] = days
  end
  if not days[item[3]] then n_cached = n_cached + 1 end
  days[item[3]] = f
  return f
end

local function known(item)
  local days = cache[item[1] << 31 | item[2]]
  return days and days[item[3]]
end

--- What a model answers for one item.
--- Waits unless the answer is at hand.
--- @param m table  of store_serve.model
--- @param item table  of store_request
--- @return table { predicted_sales, date, store, item, interval, model_version, extrapolated, notes }
function store_serve.one(m, item)
  local f = m == current and known(item) or keep(m, item, store_model.one(m, item[1], item[2], item[3], item[4]))
  return shown(m, item, f)
end

--- What a model answers for many items, in their order.
--- Waits.
--- @param m table  of store_serve.model
--- @param items table  of store_request
--- @return table  array as of store_serve.one
function store_serve.many(m, items)
  if #items == 1 then return json.array({ store_serve.one(m, items[1]) }) end
  local rows, out = {}, json.array({})
  for i, item in ipairs(items) do rows[i] = { item[1], item[2], item[3], item[4] } end
  for i, f in ipairs(store_model.list(m, rows)) do out[i] = shown(m, items[i], f) end
  return out
end

return store_serve
