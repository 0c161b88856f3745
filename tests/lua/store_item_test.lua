-- Features of store-item sales against their definitions, nothing of the days to come in them, models and
-- their files. tests/server/test_store_item.py has the service.
local db, fs, json = require("db"), require("fs"), require("json")
local task, time, trees = require("task"), require("time"), require("trees")
local generation = require("generation")
require("kinds")

local n = 0
local function check(cond, what)
  n = n + 1
  if not cond then error("failed: " .. tostring(what), 2) end
end
local function same(found, expected, what)
  n = n + 1
  if found ~= expected then
    error(tostring(what) .. ": found " .. tostring(found) .. ", expected " .. tostring(expected), 2)
  end
end
local function near(found, expected, what)
  n = n + 1
  if found ~= found or math.abs(found - expected) > 1e-5 * math.max(1, math.abs(expected)) then
    error(tostring(what) .. ": found " .. tostring(found) .. ", expected " .. tostring(expected), 2)
  end
end

local function build()
  local files = generation.read()
  for path in pairs(files) do
    if path:find("^routes/") or path:find("^jobs/") or path:find("^reports/") then files[path] = nil end
  end
  files["routes/x.lua"] = "return { features = require('store_features'), train = require('store_train'), "
    .. "model = require('store_model'), request = require('store_request') }"
  return generation.build(files).routes
end
generation.kind("routes", {
  check = function(_, value) return value end,
  build = function(parts) return parts[1].value end,
})
local lib = build()
local features, train, model = lib.features, lib.train, lib.model

local folder = fs.temp("/tmp", "store_test_") .. ".d"
fs.remove(folder:sub(1, -3))
fs.mkdir(folder)

local FIRST, DAYS, LAST = "2019-03-01", 800, 759 -- days of the file, the last one that is fitted
local function date_of(day) return time.add_days(FIRST, day) end
local noise = 1
local function sales(store, item, day) -- a law with a noise that is always the same
  noise = noise * 16807 % 2147483647
  local mean = (8 + 5 * item) * (0.7 + 0.3 * store) * (1 + 0.1 * (day % 7))
  return math.floor(mean * (0.9 + 0.2 * noise / 2147483647) + 0.5)
end

local sold = {} -- [store][item][day]
local function csv(path, days)
  noise = 1
  local lines = { "date;store;item;sales" }
  for store = 2, 3 do
    sold[store] = sold[store] or {}
    for item = 1, 3 do
      sold[store][item] = {}
      for day = 0, days - 1 do
        local s = sales(store, item, day)
        if not (store == 3 and item == 2 and day == 700) then -- one day without a row
          sold[store][item][day] = s
          lines[#lines + 1] = ("%s;%d;%d;%d"):format(date_of(day), store, item, s)
        end
      end
    end
  end
  fs.write(path, table.concat(lines, "\n") .. "\n")
  return path
end

local d = db.open(folder .. "/s.db", { sync = "off", attach = true })
local read = train.read(d, csv(folder .. "/a.csv", DAYS))
same(read.accepted, 6 * DAYS - 1, "rows"); same(read.series, 6, "series"); same(read.rejected, 0, "rejected")
same(read.first_date, FIRST, "first"); same(read.last_date, date_of(DAYS - 1), "last")

local base = model.day_of(FIRST)
features.fit(d, base + LAST, 60)

local function values(set, store, item, day)
  local x, out = features.list(d, set, { { store, item, base + day, date_of(day) } }):table()[1], {}
  for i, name in ipairs(features.names(set)) do out[name] = x[i] end
  local k = #features.names(set)
  out.expected, out.is_known, out.is_store, out.is_item = x[k + 1], x[k + 2], x[k + 3], x[k + 4]
  return out
end

-- the nine, as they are written down
same(table.concat(features.names("calendar"), " "),
  "store item year month day dayofweek is_weekend is_month_start is_month_end", "names")
local n2, n3 = 3 * (LAST + 1), 3 * (LAST + 1) - 1 -- rows of the two stores
local mean = (2 * n2 + 3 * n3) / (n2 + n3)
local sd = math.sqrt((4 * n2 + 9 * n3) / (n2 + n3) - mean ^ 2)
local item_mean = (n2 * 2 + (n3 + 1) * 2 - 2) / (n2 + n3)
for _, day in ipairs({ 0, 1, 30, 305, 306, 365, 366, 400, 759, 777, 1400 }) do
  local v, p = values("calendar", 3, 2, day), time.parts(time.parse(date_of(day)))
  near(v.store, (3 - mean) / sd, "store"); check(math.abs(v.item - (2 - item_mean) / 0.8165) < 1e-3, "item")
  same(v.year, p.year + 0.0, "year"); same(v.month, p.month + 0.0, "month"); same(v.day, p.day + 0.0, "day")
  same(v.dayofweek, p.weekday - 1.0, "dayofweek"); same(v.is_weekend, p.weekday >= 6 and 1.0 or 0.0, "weekend")
  same(v.is_month_start, p.day == 1 and 1.0 or 0.0, "start")
  same(v.is_month_end, date_of(day) == time.month_end(date_of(day)) and 1.0 or 0.0, "end")
end

-- expected sales, day by day, as the factors say
local function factor(name, key)
  return d:value(("SELECT factor FROM %s WHERE %s = ?"):format(name, name), { key })
end
local function usual(store, item)
  return d:value("SELECT base FROM series WHERE store = ? AND item = ?", { store, item })
end
local function expected(store, item, day)
  local p = time.parts(time.parse(date_of(day)))
  return usual(store, item) * factor("weekday", p.weekday - 1) * factor("month", p.month) * factor("year", p.year)
end
local function ratio(store, item, from, to) -- sums over days with a row
  local a, b = 0, 0
  for day = from, to do
    local s = sold[store][item][day]
    if s and day <= LAST then a, b = a + s, b + expected(store, item, day) end
  end
  return a / b
end
for _, c in ipairs({ { 2, 1, 759 }, { 3, 2, 759 }, { 3, 2, 765 }, { 2, 3, 819 }, { 3, 3, 900 }, { 3, 2, 1500 } }) do
  local store, item, day = table.unpack(c)
  local v, last = values("history", store, item, day), math.min(day - 60, LAST)
  near(v.usual, usual(store, item), "usual")
  near(v.recent_28, ratio(store, item, last - 27, last), "recent 28")
  near(v.recent_91, ratio(store, item, last - 90, last), "recent 91")
  near(v.recent_364, ratio(store, item, last - 363, last), "recent 364")
  local past = day
  repeat past = past - 364 until past + 7 <= LAST
  near(v.year_ago, ratio(store, item, past, past), "a year ago")
  near(v.year_ago_15, ratio(store, item, past - 7, past + 7), "fifteen days a year ago")
  if day <= LAST + 60 then near(v.expected, expected(store, item, day), "expected") end
end
check(values("history", 2, 1, 50).recent_91 ~= values("history", 2, 1, 50).recent_91, "not known: not a number")

-- stores and items nobody has seen
local v = values("history", 9, 1, 765)
same(v.is_store, 0.0, "unknown"); same(v.is_item, 1.0, "known")
near(v.usual, (usual(2, 1) + usual(3, 1)) / 2, "a usual store")
v = values("history", 3, 99, 765)
same(v.is_item, 0.0, "unknown item")
check(v.usual > usual(3, 1) and v.usual < usual(3, 3), "a usual item of this store")
check(values("history", 99, 99, 765).usual > 0, "nothing is known")

-- what comes later changes nothing of a model of earlier days
local before = features.sales(d, "history", base, base + LAST):table()
d:exec("UPDATE sales SET sales = sales * 100 WHERE day > ?", { base + LAST })
features.fit(d, base + LAST, 60)
local after = features.sales(d, "history", base, base + LAST):table()
same(#after, #before, "rows"); same(json.encode(after[3000]), json.encode(before[3000]), "no look ahead")
train.read(d, csv(folder .. "/a.csv", DAYS))

-- evaluation, training, the file
for _, set in ipairs({ "history", "calendar" }) do
  local opt = { features = set, horizon = 60, holdout = 60, level = 0.8, params = { num_iterations = 60 } }
  local e = train.evaluate(d, opt)
  check(e.smape < 0.12 and e.rows == 360 and e.from == date_of(740) and e.to == date_of(799), json.encode(e))
  check(e.coverage > 0.6 and e.coverage < 0.95, e.coverage)
  local t = train.train(d, opt)
  same(t.last_date, date_of(799), "last day"); same(t.trees, 60, "trees")
  local scratch <close> = db.open(folder .. "/" .. set .. ".db", { sync = "off", attach = true })
  scratch:exec("ATTACH ? AS from_", { folder .. "/s.db" })
  for _, row in ipairs(scratch:query("SELECT name, sql FROM from_.sqlite_schema WHERE type = 'table'")) do
    scratch:script(row.sql .. "; INSERT INTO " .. row.name .. " SELECT * FROM from_." .. row.name)
  end
  scratch:exec("DETACH from_")
  local path = folder .. "/model-" .. set .. ".db"
  local file = model.write(scratch, path, { features = set, horizon = 60, trained_until = t.last_date,
    intervals = e.intervals, level = 0.8, validation = e })
  local row = { model_id = "m", model_path = "models/m.db", sha256 = file.sha256 }
  local m = model.open(row, path)
  -- days ahead are look-ups of what the trees say
  for day = 800, 861 do
    local one = model.one(m, 3, 2, base + day, date_of(day))
    local listed = model.list(m, { { 3, 2, base + day, date_of(day) }, { 2, 1, base, FIRST } })[1]
    same(json.encode(one, { sorted = true }), json.encode(listed, { sorted = true }), "day " .. day)
    same(one.notes ~= nil, day > 859, "extrapolated"); check(one.low <= one.value and one.value <= one.high, "interval")
  end
  -- a file that is not what was published, or none of ours
  local function refused(change, code, where)
    local bad = { model_id = "m", model_path = row.model_path, sha256 = row.sha256 }
    for k, x in pairs(change) do bad[k] = x end
    local ok, err = pcall(model.open, bad, where)
    check(not ok and err.code == code, code .. ": " .. tostring(ok) .. " " .. tostring(err and err.message))
  end
  refused({ sha256 = ("0"):rep(64) }, "corrupt", path); refused({}, "notfound", folder .. "/none.db")
  refused({ model_path = "../etc/passwd" }, "invalid")
  m.db:close()
  do
    local copy <close> = db.open(path, { create = false })
    copy:exec("UPDATE info SET value = '{}' WHERE name = 'metadata'")
  end
  local ok, err = pcall(model.open, { model_id = "m", model_path = row.model_path }, path)
  check(not ok and err.code == "corrupt" and err.message:find("format", 1, true), "another format")
end

-- one tree is one tree: what the file says is what trees.parse reads
check(trees.parse(d:value("SELECT value FROM info WHERE name = 'trees'")):info().n_trees == 60, "trees")
d:close()
for _ = 1, 100 do -- a database that was just closed takes its own files away, too
  if pcall(fs.remove, folder, { deep = true }) then break end
  task.sleep(0.02)
end
check(not fs.exists(folder), "nothing is left")
print(n .. " checks")
