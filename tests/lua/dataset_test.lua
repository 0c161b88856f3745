-- The panel: nothing it says of a month depends on a later one; what is missing, what is new, weights and
-- lessons; exponential statistics against the worked example.
local db, fs, json, tensor = require("db"), require("fs"), require("json"), require("tensor")
local generation = require("generation")
require("kinds")

local n = 0
local function check(cond, what)
  n = n + 1
  if not cond then error("failed: " .. what, 2) end
end
local function same(found, expected, what)
  check(found == expected, what .. ": found " .. tostring(found) .. ", expected " .. tostring(expected))
end
local function near(found, expected, what)
  check(math.abs(found - expected) < 1e-5, what .. ": found " .. tostring(found) .. ", expected " .. tostring(expected))
end
local function raises(code, fn, ...)
  local ok, e = pcall(fn, ...)
  check(not ok and type(e) == "table" and e.code == code,
    "code " .. code .. ", found " .. tostring(type(e) == "table" and (e.code .. ": " .. e.message) or e))
end

-- the modules of workflows/lib, as workflows see them
local files = generation.read()
for path in pairs(files) do
  if path:find("^routes/") or path:find("^jobs/") or path:find("^reports/") then files[path] = nil end
end
files["routes/x.lua"] = "return { dataset = require('dataset'), features = require('dataset_features') }"
generation.kind("routes", {
  check = function(_, value) return value end,
  build = function(parts) return parts[1].value end,
})
local lib = generation.build(files).routes
local dataset = lib.dataset

local folder = fs.temp("/tmp", "dataset_test_") .. ".d"
fs.remove(folder:sub(1, -3))
fs.mkdir(folder)
local main <close> = db.open(folder .. "/main.db")
main:migrate()
local scratch <close> = db.open(folder .. "/scratch.db", { sync = "off", attach = true })

local function month(t) return ("%04d-%02d-01"):format(2024 + (t - 1) // 12, (t - 1) % 12 + 1) end

-- 30 products in 14 months; number 30 comes in month 13, number 29 is there from 5 on
local N, T = 30, 14
main:exec([[INSERT INTO processing_runs(run_id, status, source_files) VALUES (1, 'completed', 'x')]])
for i = 1, N do
  main:exec([[INSERT INTO dim_multiindex_mapping VALUES (?, ?, 'A', 'B', ?, ?, 'Original', ?, '1990s', ?, ?)]],
    { 100 + i, "b" .. i, i % 2 == 0 and "SS" or "Sealed", i % 3 == 0 and "(0.0, 690.0]" or "(690.0, inf]",
      i % 4 == 0 and "1980s" or "1970s", i % 5 == 0 and "Rock / Pop" or "Jazz", 1970 + i })
end
local function first_of(i) return i == 30 and 13 or i == 29 and 5 or 1 end
for t = 1, T do
  main:exec("INSERT INTO data_months(data_date, run_id, is_complete, n_products, units, revenue) "
    .. "VALUES (?, 1, 1, 30, 1, 1)", { month(t) })
  for i = 1, N do
    if t >= first_of(i) then
      main:exec([[INSERT INTO report_features(data_date, multiindex_id, availability, confidence,
        masked_mean_sales_items, masked_mean_sales_rub, lost_sales) VALUES (?, ?, ?, 0.5, 1, 1, 0)]],
        { month(t), 100 + i, (i + t) % 7 == 0 and 0 or 0.75 })
      local units = (i * 7 + t * t * 3) % 11
      if units > 0 then
        main:exec("INSERT INTO fact_sales VALUES (?, ?, ?)", { 100 + i, month(t):sub(1, 8) .. "05", units })
        main:exec("INSERT INTO fact_prices VALUES (?, ?, ?)", { 100 + i, month(t), 100 * i })
      end
    end
  end
end

local function build(opt) return dataset.build(scratch, main, opt) end
local names = {}
for i, f in ipairs(lib.features.trees) do names[i] = f.name end

-- every number a model could see of the months up to `at`
local function all_of(p, at)
  local conf = { lags = 3, alpha = 2.5 }
  local w, out = p:windows(at, conf), {}
  out[1] = w.target:reshape({ -1 })
  out[2] = w.past:reshape({ -1 })
  out[3] = w.future:reshape({ -1 })
  out[4] = w.weight:reshape({ -1 })
  out[5] = w.keep:reshape({ -1 })
  out[6] = p:view(at, names):reshape({ -1 }):fill_nan(-1)
  local x, y = p:lessons(1, at - 1, names)
  out[7], out[8] = x:reshape({ -1 }):fill_nan(-1), y:reshape({ -1 })
  out[9] = p:ages(at)
  return tensor.concat(out)
end

-- ---- shape and content ----
local p = build()
same(p.n, N, "products")
same(p.steps, T, "months")
same(p.first .. p.last, month(1) .. month(T), "first and last")
same(p:month(T + 1), "2025-03-01", "the month behind")
local past = p:windows(T, { lags = 3 }).past
same(table.concat(past:shape(), " "), "30 14 " .. #lib.features.past, "past covariates")
same(table.concat(p:future(T + 2):shape(), " "), "30 16 4", "future covariates")
same(p.units:get(3, 2), (3 * 7 + 12) % 11 + 0.0, "units of a product and month")
same(p.units:get(30, 12), 0.0, "a product that is not there yet sells nothing")
check(p.seen:get(30, 12) ~= p.seen:get(30, 12), "and nothing is known of it")
same(p.seen:isnan():sum(), 12 + 4 + 1.0, "cells before the first month; number 20 has nothing in month 1")
same(p:ages(13):get(30), 1.0, "age in the first month")
same(p:ages(12):get(30), 0.0, "age before it")
same(past:isnan():sum(), 0.0, "no hole in covariates")

-- "Rock / Pop" is two parts
local parts = {}
for i, v in ipairs(p.vocabulary) do
  if v.attribute == "style" then parts[v.part] = p.static:pick(2, i):sum() end
end
same(json.encode(parts, { sorted = true }), '{"Jazz":24.0,"Pop":6.0,"Rock":6.0}', "parts of styles and who has them")

-- the recording year as a flag of the calendar year; the season by its month
local f = p:future(T + 1)
near(f:get(1, 3, 2), 1, "sine in March")
near(f:get(1, 6, 3), -1, "cosine in June")
same(f:pick(3, 1):sum(), 0.0, "nothing was recorded in 2024")
main:exec("UPDATE dim_multiindex_mapping SET recording_year = 2025 WHERE multiindex_id = 101")
same(build():future(T + 1):pick(3, 1):sum(), 3.0, "recorded in 2025: its three months")
p = build()
same((p:windows(T, { lags = 3, is_training = false, is_seasonal = false }).future):pick(3, 2):abs():sum(), 0.0,
  "season switched off")

-- ---- the groups: mean of what could be sold, weighted exponentially ----
local seen = scratch:query([[SELECT avg(units) FILTER (WHERE availability > 0) AS m FROM cell JOIN item USING (product)
  WHERE style = 'Jazz' AND recording_decade = '1970s' GROUP BY step ORDER BY step]])
local m, a = seen[1].m, 2 / 8
local jazz = scratch:value("SELECT min(product) FROM item WHERE style = 'Jazz' AND recording_decade = '1970s'")
for t = 2, T do m = (1 - a) * m + a * seen[t].m end
near(p:windows(T, { lags = 3 }).past:get(jazz, T, 5), math.log(1 + m), "mean of a style and decade")

-- ---- validity and weights ----
local keep = p:keep(3, 1, T)
same(keep:slice(2, T - 2, T):sum(), 0.0, "a window needs a month behind it")
same(keep:get(30, 10), 0.0, "nothing was sold in it")
same(scratch:value("SELECT availability FROM cell WHERE product = 1 AND step = 6"), 0.0, "not to be had in month 6")
local target = scratch:value("SELECT units FROM cell WHERE product = 1 AND step = 6")
check(target > 0 or keep:get(1, 3) == 0, "what could not be sold is no lesson")

-- ---- no look ahead: whatever happens in month t + 1, nothing of the months before it changes ----
for _, at in ipairs({ 4, 9, 13 }) do
  local before = all_of(build(), at)
  main:transaction(function()
    main:exec("UPDATE fact_sales SET value = value * 17 + 400 WHERE data_date >= ?", { month(at + 1) })
    main:exec("UPDATE report_features SET availability = 1 - availability, confidence = 0.1 WHERE data_date >= ?",
      { month(at + 1) })
    main:exec("UPDATE fact_prices SET value = value * 9 WHERE data_date >= ?", { month(at + 1) })
  end)
  same((all_of(build(), at) - before):abs():max(), 0.0, "month " .. at + 1 .. " changes what was known in " .. at)
  local cut = build({ to = month(at), vocabulary = p.vocabulary })
  check(cut.steps == at, "cut at " .. at)
  if at >= first_of(30) then
    same((all_of(cut, at) - before):abs():max(), 0.0, "what is known in " .. at .. " without the months behind it")
  end
end

-- ---- going on ----
p = build()
local units = tensor.range(N)
p:extend(units)
same(p.steps, T + 1, "a month more")
same(p.units:get(5, T + 1), 4.0, "with what is expected of it")
same(p:month(p.steps), "2025-03-01", "its date")
same(p:ages(T + 1):get(30), 3.0, "everybody is older")

-- ---- what is not there ----
same(dataset.range(main, "2024-03-15", "2031-01-01").last, month(T), "a date in the future is the last whole month")
same(dataset.range(main, "2024-03-15").first, "2024-03-01", "the month of a day")
main:exec("UPDATE data_months SET is_complete = 0 WHERE data_date = ?", { month(T) })
same(dataset.range(main).last, month(T - 1), "a month that is not whole is not learnt from")
raises("no_data", dataset.range, main, "2027-01-01")
raises("no_data", dataset.range, main, nil, "2020-01-01")
raises("invalid", p.view, p, 3, { "no such feature" })

fs.remove(folder, { deep = true })
print("ok " .. n)
