-- store_actuals.lua - what was sold after a model was trained, and how good its forecasts of it were.
--
-- A forecast is a function of the model file alone, so it may be made after the fact: it is the one that
-- was, or would have been, given. What a version said of a day is kept in store_item_scores, what came in
-- store_item_actuals; sales that are told again replace the earlier ones.

local db = require("db")
local json = require("json")
local model_store = require("model_store")
local store_model = require("store_model")
local store_serve = require("store_serve")

local store_actuals = {}

local ROWS = 5000       -- forecast at once
local DRIFT = 1.25      -- times the error of the validation
local DRIFT_ROWS = 100  -- from which an error says something

local PUT = [[INSERT INTO store_item_actuals(store, item, data_date, sales)
  SELECT value ->> 'store', value ->> 'item', value ->> 'date', value ->> 'sales' FROM json_each(?) WHERE true
  ON CONFLICT DO UPDATE SET sales = excluded.sales, updated_at = excluded.updated_at]]

--- Stores what was sold.
--- Waits.
--- @param items table  array of { date, store, item, sales }, checked
--- @return integer  how many
function store_actuals.store(items)
  return db.main():exec(PUT, { json.encode(json.array(items)) }).changes
end

--- Stores the table `sales` of a scratch database.
--- Waits.
--- @param d db  of store_train.read, opened with attach
--- @return integer  rows
function store_actuals.take(d)
  d:exec("ATTACH ? AS shop", { db.main():path() })
  local n = d:exec([[INSERT INTO shop.store_item_actuals(store, item, data_date, sales)
    SELECT store, item, date(day * 86400, 'unixepoch'), sales FROM sales WHERE true
    ON CONFLICT DO UPDATE SET sales = excluded.sales, updated_at = excluded.updated_at]]).changes
  d:exec("DETACH shop")
  return n
end

local MISSING = [[SELECT a.store, a.item, unixepoch(a.data_date) / 86400 AS day, a.data_date AS date
  FROM store_item_actuals a WHERE a.data_date > ?2 AND NOT EXISTS (SELECT 1 FROM store_item_scores s
    WHERE s.model_id = ?1 AND s.store = a.store AND s.item = a.item AND s.data_date = a.data_date) LIMIT ]] .. ROWS
local SCORE = [[INSERT OR IGNORE INTO store_item_scores(model_id, store, item, data_date, predicted, low, high)
  SELECT ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM json_each(?2)]]

-- Forecasts that are not there yet.
local function complete(d, m)
  repeat
    local rows, list = d:query(MISSING, { m.id, m.metadata.trained_until }), json.array({})
    for i, r in ipairs(rows) do list[i] = { r.store, r.item, r.day, r.date } end
    if #rows > 0 then
      local said = json.array({})
      for i, f in ipairs(store_model.list(m, list)) do
        said[i] = { rows[i].store, rows[i].item, rows[i].date, f.value, f.low, f.high }
      end
      d:exec(SCORE, { m.id, json.encode(said) })
    end
  until #rows < ROWS
end

local SUMS = [[SELECT substr(data_date, 1, 7) || '-01' AS month, count(*) AS n, sum(a.sales) AS sales,
    sum(predicted) AS predicted, sum(abs(predicted - a.sales)) AS off,
    sum(abs(predicted - a.sales) / max(1, a.sales)) AS mape,
    sum(coalesce(2 * abs(predicted - a.sales) / nullif(predicted + a.sales, 0), 0)) AS smape,
    sum(a.sales BETWEEN low AND high) AS inside
  FROM store_item_scores JOIN store_item_actuals a USING (store, item, data_date) WHERE model_id = ?
  GROUP BY 1 ORDER BY 1]]

local function shown(r)
  return { rows = r.n, smape = r.smape / r.n, mape = r.mape / r.n, mae = r.off / r.n,
           bias = (r.predicted - r.sales) / r.n, coverage = r.inside / r.n, sales = r.sales, predicted = r.predicted }
end

--- How good the forecasts of a version were.
--- Waits.
--- @param m table  of store_model.open
--- @return table { model_id, trained_until, rows, smape, mape, mae, bias, coverage, …, validation, is_drifting,
---   months }
function store_actuals.accuracy(m)
  local d = db.main()
  complete(d, m)
  local months, all = json.array({}), { n = 0, sales = 0, predicted = 0, off = 0, mape = 0, smape = 0, inside = 0 }
  for i, r in ipairs(d:query(SUMS, { m.id })) do
    for k in pairs(all) do all[k] = all[k] + r[k] end
    months[i] = shown(r)
    months[i].month = r.month
  end
  local out = all.n > 0 and shown(all) or { rows = 0 }
  out.model_id, out.trained_until = m.id, m.metadata.trained_until
  out.months, out.validation = months, m.metadata.validation
  out.is_drifting = all.n >= DRIFT_ROWS and out.smape > DRIFT * m.metadata.validation.smape
  return out
end

--- All versions, newest first.
--- Waits.
--- @return table  array of { model_id, created_at, is_active, features, imported (its
---   validation may be of days it was trained on), trained_until, validation }
function store_actuals.models()
  local list = json.array({})
  for i, row in ipairs(db.main():query("SELECT model_id, created_at, is_active, metadata FROM models "
      .. "WHERE model_kind = ? ORDER BY created_at DESC, rowid DESC LIMIT 1000", { store_model.KIND })) do
    local one = json.decode(row.metadata)
    one.model_id, one.created_at, one.is_active = row.model_id, row.created_at, row.is_active == 1
    list[i] = one
  end
  return list
end

--- Takes a version into use.
--- Waits.
--- @param id string
--- @return boolean  false: there is none
function store_actuals.activate(id)
  local d = db.main()
  if not d:value("SELECT 1 FROM models WHERE model_id = ? AND model_kind = ?", { id, store_model.KIND }) then
    return false
  end
  local done = model_store.activate_model(d, id)
  store_serve.tell()
  return done
end

return store_actuals
