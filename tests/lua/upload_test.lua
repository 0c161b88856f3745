-- The pipeline of uploads beyond the golden cases: dry run, warnings, months before others, an edited
-- catalogue, publishing once. tests/server/golden_upload_pipeline.py has the golden ones.
local db, fs, json = require("db"), require("fs"), require("json")
local generation = require("generation")
require("kinds")

local n = 0
local function same(found, expected, what)
  n = n + 1
  if found ~= expected then
    error(what .. ": found " .. tostring(found) .. ", expected " .. tostring(expected), 2)
  end
end

local folder = fs.temp("/tmp", "upload_test_") .. ".d"
fs.remove(folder:sub(1, -3))
fs.mkdir(folder)

local function build(catalogue)
  local files = generation.read()
  for path in pairs(files) do
    if path:find("^routes/") or path:find("^jobs/") then files[path] = nil end
  end
  files["catalogue.lua"] = catalogue or files["catalogue.lua"]
  files["routes/x.lua"] = "return { upload = require('upload'), catalogue = require('catalogue') }"
  return generation.build(files), files["catalogue.lua"]
end
generation.kind("routes", {
  check = function(_, value) return value end,
  build = function(parts) return parts[1].value end,
})
local g, catalogue_text = build()

local HEAD = "Штрихкод;Исполнитель;Альбом;Конверт;Цена, руб.;Тип;Год записи;Год выпуска;Стиль;Дата создания;"
local function item(artist, price, created, last)
  return ("1;%s;Альбом;SS;%s;Оригинал;1980;1980;Rock;%s;%s"):format(artist, price, created, last)
end
local n_files = 0
local function file(kind, rows, head)
  n_files = n_files + 1
  local path = ("%s/%d.csv"):format(folder, n_files)
  head = (head or HEAD) .. (kind == "stock" and "Экземпляры" or "Дата заказа")
  fs.write(path, head .. "\n" .. table.concat(rows, "\n") .. "\n")
  return { kind = kind, path = path, name = kind .. ".csv" }
end

local main <close> = db.open(folder .. "/main.db")
main:migrate()
local n_runs = 0
local function upload(files, fields, opt, gen)
  opt, gen = opt or {}, gen or g
  n_runs = n_runs + 1
  local u = gen.routes.upload
  local d <close> = u.scratch(("%s/s%d.db"):format(folder, n_runs))
  fields = u.fields(fields)
  return u.run(d, main, { catalogue = gen.routes.catalogue, files = files, fields = fields, job_id = opt.job_id,
                          hash = u.hash(files, fields), current_year = 2026 }, opt.step and function(name, fn)
    return opt.step(d, name, fn)
  end)
end
local function count(name) return main:value("SELECT count(*) FROM " .. name) end

-- a dry run tells all and stores nothing; what has to be pulled back to its sale is counted
local stock = file("stock", { item("A", 1000, "2025-02-01", 5) })
local february = { stock, file("sales", { item("A", 1000, "2025-02-20", "2025-02-10"),
                                          item("B", 500, "2025-01-01", "2025-02-28") }) }
local r = upload(february, { dry_run = true })
same(r.is_published, false, "dry")
same(r.pulled_back_units, 1, "pulled back")
same(r.stock_warnings, 0, "warnings")
same(r.products_new, 2, "new products")
same(#r.changes.months, 1, "months that would change")
same(r.changes.months[1].is_replaced, false, "a new month")
same(r.changes.months[1].after.revenue, 1500, "revenue after")
same(count("data_months") + count("dim_multiindex_mapping") + count("processing_runs"), 0, "nothing stored")

-- one job publishes once, whatever dies after
main:exec("INSERT INTO jobs(job_id, job_type, concurrency_key) VALUES ('j1', 'data_upload', 'data_upload')")
r = upload(february, nil, { job_id = "j1" })
same(r.is_published, true, "published")
local again = upload(february, nil, { job_id = "j1" })
same(again.run_id, r.run_id, "the answer is remembered")
same(count("processing_runs"), 1, "one run")
same(main:value("SELECT pulled_back_units || ' ' || stock_warnings || ' ' || n_rows FROM data_months"), "1 0 2",
  "they are stored")
same(upload(february).duplicate_of, "j1", "the same files once more")
same(upload(february, { dry_run = true }).changes.months[1].is_replaced, true, "a dry run of the same")

-- steps that are remembered without their scratch file are done again
local march = { file("stock", { item("A", 1000, "2025-02-01", 3) }),
                file("sales", { item("A", 1000, "2025-02-01", "2025-03-31") }) }
local memory = {}
local ok = pcall(upload, march, nil, { step = function(_, name, fn)
  if name == "features" then error("power cut", 0) end
  memory[name] = json.decode(json.encode(fn()))
  return memory[name]
end })
same(ok, false, "cut")
same(count("data_months"), 1, "nothing of it is stored")
r = upload(march, nil, { step = function(_, name, fn) return memory[name] or fn() end })
same(r.months[1], "2025-03-01", "March")
same(r.products_known, 1, "known")
same(count("data_months"), 2, "two months")

-- an older month again leaves the newer one and its first day as they are
local facts = "SELECT group_concat(x) FROM (SELECT multiindex_id || ' ' || data_date || ' ' || value AS x "
  .. "FROM fact_stock WHERE data_date >= '2025-03-01' ORDER BY 1)"
local before = main:value(facts)
upload({ file("stock", { item("A", 1000, "2025-02-01", 50) }),
         file("sales", { item("A", 1000, "2025-01-20", "2025-02-28") }) })
same(main:value(facts), before, "March is untouched")
same(main:value("SELECT sum(value) FROM fact_stock_changes WHERE data_date < '2025-03-01'"), 49, "February is new")
same(count("fact_sales"), 2, "one sale a month")

-- two months, of which the second is not over
ok = pcall(upload, { stock, file("sales", { item("A", 1, "2025-01-01", "2025-05-05") }) })
same(ok, false, "April is missing")

-- a shop calls the price otherwise and folds the case of names: both in the catalogue
local other = catalogue_text:gsub('"Цена, руб."', '"Цена, руб.", "Price"')
other = other:gsub("rules = {", [[rules = {
    { name = "case", sql = "UPDATE item SET artist = upper(artist)" },]], 1)
local edited = build(other)
same(edited.id ~= g.id, true, "another generation")
local head = HEAD:gsub("Цена, руб.", "Price")
r = upload({ file("stock", { item("q", 1000, "2025-02-01", 5) }, head),
             file("sales", { item("Q", 7, "2025-02-01", "2025-04-30") }, head) }, nil, nil, edited)
same(r.products, 2, "two prices")
same(main:value("SELECT count(*) FROM dim_multiindex_mapping WHERE artist = 'Q'"), 2, "one artist")

-- a shop that lets what it owes stand in the stock: days on which there was less than nothing are warnings
local owing = build((catalogue_text:gsub('{ column = "count", reason = "negative".-},\n', "", 1)))
main:script("DELETE FROM data_months; DELETE FROM processing_runs")
r = upload({ file("stock", { item("A", 1000, "2025-01-01", -2), item("B", 500, "2025-01-01", 9) }),
             file("sales", { item("A", 1000, "2025-01-01", "2025-04-20"),
                             item("B", 500, "2025-01-01", "2025-04-30") }) },
  nil, nil, owing)
same(r.stock_warnings, 30, "-1 on 20 days, -2 on 10")
same(main:value("SELECT stock_warnings FROM data_months"), 30, "stored")
same(main:value("SELECT min(availability) || ' ' || min(confidence) FROM report_features"), "0.0 0.0",
  "levels end at 0")

-- counts nobody can have are no facts; sums of what is left cannot run over
main:script("DELETE FROM data_months; DELETE FROM processing_runs; DELETE FROM fact_sales; DELETE FROM fact_stock")
r = upload({ file("stock", { item("A", 1000, "2025-01-01", "9223372036854775807"), item("B", 500, "2025-01-01", 9),
                             item("C", 500, "2025-01-01", "99999999999999999999999999999"),
                             item("D", 500, "2025-01-01", "-9223372036854775808"),
                             item("E", "9000000000000000000", "2025-01-01", "1000000000"),
                             item("E", "9000000000000000000", "2025-01-01", "1000000000"),
                             item("F", 500, "2025-01-01", 9), item("G", 500, "2025-01-01", 9) }),
             file("sales", { item("B", 500, "2025-01-01", "2025-04-30"),
                             item("E", "9000000000000000000", "2025-01-01", "2025-04-30") }) })
same(r.rejected_by_reason["count too_large"], 2, "two are too large")
same(r.rejected_by_reason["count negative"], 1, "one is negative")
same(main:value("SELECT max(value) FROM fact_stock"), 2000000001.0, "a thousand million twice, and what was sold")
same(main:value("SELECT max(value) FROM fact_prices"), 9e18, "its price")

-- a broken profile is refused with its place
for text, why in pairs({
  ["return { columns = {} }"] = "derived is missing",
  ["return { colums = {} }"] = "unknown key colums",
  [catalogue_text:gsub('stock = "required"', 'stock = "yes"', 1)] = "columns[1].stock is yes",
  [catalogue_text:gsub('headers = { "Альбом" }', 'headers = { "Исполнитель" }', 1)] = "also of artist",
  [catalogue_text:gsub('column = "count"', 'column = "cuont"', 1)] = "no column cuont",
}) do
  local good, err = pcall(build, text)
  same(good, false, why)
  same(type(err) == "table" and err.message:find("workflows/catalogue.lua", 1, true) == 1
    and err.message:find(why, 1, true) ~= nil, true,
    why .. ": " .. tostring(type(err) == "table" and err.message or err))
end
main:close()
for _ = 1, 100 do -- files of databases vanish a little after they are closed
  if pcall(fs.remove, folder, { deep = true }) then break end
  require("task").sleep(0.05)
end
print(n .. " checks")
