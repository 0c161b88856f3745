-- Data: uploading what was sold and what is there, and looking at what is stored.
local db = require("db")
local fail = require("fail")
local job = require("job")
local json = require("json")
local upload = require("upload")

local FILE = "file" -- what it is, its content tells
local PRODUCT = {
  multiindex_id = "integer", barcode = "text", artist = "text", album = "text", cover_type = "text",
  price_category = "text", release_type = "text", recording_decade = "text", release_decade = "text", style = "text",
  recording_year = "integer",
}

-- The name a file was sent under, for people: no folders, nothing that is not text.
local function plain_name(sent, default)
  local name = (sent or ""):match("[^/\\]*$"):gsub("%c", "")
  if name == "" or not utf8.len(name) then return default end
  while #name > 255 do name = name:sub(1, (utf8.offset(name, -1)) - 1) end
  return name
end

-- A text to look for, as a pattern of LIKE.
local function like(text)
  return "%" .. text:gsub("[%%_\\]", "\\%0") .. "%"
end

return {
  schemas = { product = PRODUCT },

  ["POST /api/v1/jobs/data-upload"] = {
    summary = "Upload stock and sales",
    description = "Workbooks (.xlsx) or csv. A month that is stored already is replaced; overwrite=true begins anew. "
      .. "dry_run=true tells what would change and stores nothing. The same files once more change nothing.",
    role = "operator", tags = { "data", "jobs" },
    headers = { idempotency_key = "text? 1..200" },
    multipart = {
      stock_file = FILE, sales_files = { "array", of = FILE, min = 1, max = 199 },
      overwrite = "boolean = false -- all stored facts go first",
      stock_date = "date? -- the day at whose start the stock was counted; default: after the last sale",
      sheet = "text? 1..200 -- the one to read in workbooks with several",
      fill_missing_days = "boolean = true -- guess the sales of the days missing from the last month",
      dry_run = "boolean = false",
    },
    response = { [200] = "submitted", [202] = "submitted", [409] = "error", [422] = "error" },
    run = function(req)
      local p, files = req.parts, json.array({})
      local function add(part, kind, default)
        files[#files + 1] = { kind = kind, name = plain_name(part.filename, default), sha256 = part.sha256,
                              stored = part.path:match("[^/]*$") }
      end
      add(p.stock_file, "stock", "stock")
      for i, part in ipairs(p.sales_files) do add(part, "sales", "sales " .. i) end
      local fields = { overwrite = p.overwrite, stock_date = p.stock_date, sheet = p.sheet,
                       fill_missing_days = p.fill_missing_days, dry_run = p.dry_run }
      local params = { files = files }
      for k, v in pairs(fields) do params[k] = v end
      -- the files are stored under new names each time: what they hold makes it the same request
      local id, is_new = job.submit("data_upload", params, { by = req.key.id,
        idempotency_key = req.headers.idempotency_key,
        request = upload.hash(files, fields) .. tostring(p.dry_run) })
      if is_new then
        req:keep(p.stock_file)
        for _, part in ipairs(p.sales_files) do req:keep(part) end
      end
      return { job_id = id, status = is_new and "pending" or job.get(id, { brief = true }).status },
        is_new and 202 or 200, { Location = "/api/v1/jobs/" .. id }
    end,
  },

  ["GET /api/v1/data/months"] = {
    summary = "What is stored, month by month", role = "viewer", tags = { "data" },
    response = { [200] = {
      months = { "array", of = {
        month = "date", rows = "integer -- of the sales files, those that were used", units = "number",
        imputed = "number", revenue = "number", products = "integer", complete = "boolean",
        stock_warnings = "integer -- days of products on which the stock, counted back, was below nothing",
        pulled_back_units = "integer -- sold before the day they are said to have come: that day became their sale's",
        run_id = "integer", updated_at = "datetime" } },
      missing_months = { "array", of = "date" },
    } },
    run = function()
      local d = db.main()
      local months = json.array(d:query([[
        SELECT data_date AS month, n_products AS products, n_rows AS rows, units, imputed, revenue, is_complete,
               stock_warnings, pulled_back_units, run_id, updated_at
        FROM data_months ORDER BY data_date]]))
      for _, m in ipairs(months) do
        m.complete, m.is_complete = m.is_complete == 1, nil
      end
      local missing = json.array({})
      for i, r in ipairs(d:query([[
        WITH RECURSIVE m(month, last) AS (
          SELECT min(data_date), max(data_date) FROM data_months HAVING count(*) > 0
          UNION ALL SELECT date(month, '+1 month'), last FROM m WHERE month < last)
        SELECT month FROM m WHERE month NOT IN (SELECT data_date FROM data_months) ORDER BY 1 LIMIT 1000]])) do
        missing[i] = r.month
      end
      return { months = months, missing_months = missing }
    end,
  },

  ["GET /api/v1/data/products"] = {
    summary = "Products, by what they are called", role = "viewer", tags = { "data" },
    query = {
      artist = "text? 1..200 -- a part of the name", album = "text? 1..200 -- a part of the name",
      barcode = "text? 1..100 -- the whole barcode, leading zeros or not", limit = "integer 1..1000 = 100",
      cursor = "integer? 0.. -- next_cursor of the page before",
    },
    response = { [200] = { products = { "array", of = "product" }, next_cursor = "integer?" } },
    run = function(req)
      local q, where, args = req.query, { "multiindex_id > :after" }, { after = req.query.cursor or 0 }
      for _, name in ipairs({ "artist", "album" }) do
        if q[name] then
          where[#where + 1] = ("text_fold(%s) LIKE text_fold(:%s) ESCAPE '\\'"):format(name, name)
          args[name] = like(q[name])
        end
      end
      if q.barcode then
        where[#where + 1] = "barcode = coalesce(nullif(ltrim(text_squeeze(:barcode), '0'), ''), 'None')"
        args.barcode = q.barcode
      end
      local rows = json.array(db.main():query("SELECT * FROM dim_multiindex_mapping WHERE " ..
        table.concat(where, " AND ") .. " ORDER BY multiindex_id LIMIT " .. q.limit + 1, args))
      local more = #rows > q.limit
      if more then rows[#rows] = nil end
      return { products = rows, next_cursor = more and rows[#rows].multiindex_id or nil }
    end,
  },

  ["GET /api/v1/data/products/{multiindex_id}"] = {
    summary = "One product and its history, month by month", role = "viewer", tags = { "data" },
    path = { multiindex_id = "integer 1.." },
    response = { [200] = { product = "product", history = { "array", of = {
      month = "date", sales = "number", imputed = "number", movement = "number", stock = "number?", price = "number?",
      availability = "number", confidence = "number", masked_mean_sales_items = "number",
      masked_mean_sales_rub = "number", lost_sales = "number" } } }, [404] = "error" },
    run = function(req)
      local d, id = db.main(), { req.path.multiindex_id }
      local product = d:row("SELECT * FROM dim_multiindex_mapping WHERE multiindex_id = ?", id)
        or fail.raise("not_found", "no product " .. id[1])
      return { product = product, history = json.array(d:query([[
        SELECT f.data_date AS month, f.imputed AS imputed, availability, confidence, masked_mean_sales_items,
               masked_mean_sales_rub, lost_sales,
               (SELECT total(value) FROM fact_sales s WHERE s.multiindex_id = f.multiindex_id
                  AND s.data_date >= f.data_date AND s.data_date < date(f.data_date, '+1 month')) AS sales,
               (SELECT total(value) FROM fact_stock_changes c WHERE c.multiindex_id = f.multiindex_id
                  AND c.data_date >= f.data_date AND c.data_date < date(f.data_date, '+1 month')) AS movement,
               s.value AS stock, p.value AS price
        FROM report_features f LEFT JOIN fact_stock s USING (multiindex_id, data_date)
        LEFT JOIN fact_prices p USING (multiindex_id, data_date)
        WHERE f.multiindex_id = ? ORDER BY f.data_date]], id)) }
    end,
  },
}
