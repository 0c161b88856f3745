-- upload_publish.lua - from the scratch database of an upload into the main one, in one transaction.
--
-- The main database is attached to the scratch one under the name `shop`, so that rows go over by SQL.

local crypto = require("crypto")
local db = require("db")
local json = require("json")
local calendar = require("upload_calendar")
local features = require("upload_features")

local publish = {}

local KEY = table.concat(features.KEY, ", ")

-- "(a, b) = (p.a, p.b)": the same product.
local function same(left, right)
  local l, r = {}, {}
  for i, name in ipairs(features.KEY) do l[i], r[i] = left .. "." .. name, right .. "." .. name end
  return "(" .. table.concat(l, ", ") .. ") = (" .. table.concat(r, ", ") .. ")"
end

--- Calls fn with the main database attached as `shop`, in one transaction over both.
--- Waits.
--- @param d db  scratch, opened with attach
--- @param main db
--- @param fn function
--- @param mode string?  as of db:transaction
--- @return any  what fn returned
function publish.with_shop(d, main, fn, mode)
  pcall(d.exec, d, "DETACH shop") -- of an attempt that was killed
  d:exec("ATTACH ? AS shop", { main:path() })
  d:exec("PRAGMA shop.cache_size = -65536") -- KiB: the indexes of a year of facts
  local out = table.pack(pcall(d.transaction, d, fn, mode))
  pcall(d.exec, d, "DETACH shop")
  if not out[1] then error(out[2], 0) end
  return table.unpack(out, 2, out.n)
end

--- The styles that albums of this upload have in the store: for upload_clean.
--- Waits.
--- @param d db
--- @param main db
function publish.stored_style(d, main)
  publish.with_shop(d, main, function()
    d:exec([[INSERT INTO stored_style
      SELECT artist, album, (SELECT s.style FROM shop.dim_multiindex_mapping s
                             WHERE (s.artist, s.album) = (i.artist, i.album) ORDER BY s.multiindex_id LIMIT 1) AS style
      FROM (SELECT DISTINCT artist, album FROM item) i WHERE style IS NOT NULL]])
  end, "deferred")
end

--- Finds the products that are known already.
--- Waits.
--- @param d db
--- @param main db
--- @return table { products, products_new, products_known }
function publish.match_products(d, main)
  publish.with_shop(d, main, function()
    d:exec([[UPDATE product SET multiindex_id =
      (SELECT s.multiindex_id FROM shop.dim_multiindex_mapping s WHERE ]] .. same("s", "product") .. ")")
  end, "deferred")
  local n = d:row("SELECT count(*) AS products, count(multiindex_id) AS products_known FROM product")
  n.products_new = n.products - n.products_known
  return n
end

--- What publishing changes, month by month: before and after.
--- Waits.
--- @param d db
--- @param main db
--- @param overwrite boolean
--- @return table { months = array of { month, is_replaced, before, after }, months_removed }
function publish.changes(d, main, overwrite)
  local before, out, new = {}, { months = json.array({}), months_removed = json.array({}) }, {}
  for _, m in ipairs(main:query([[SELECT data_date AS month, units, imputed, revenue, n_products AS products
      FROM data_months ORDER BY data_date]])) do before[#before + 1] = m; before[m.month] = m end
  for _, m in ipairs(d:query("SELECT month, units, imputed, revenue, products FROM month_total ORDER BY month")) do
    local old = before[m.month]
    new[m.month] = true
    out.months[#out.months + 1] = { month = m.month, is_replaced = old ~= nil, after = m, before = old }
  end
  for _, m in ipairs(before) do
    if overwrite and not new[m.month] then out.months_removed[#out.months_removed + 1] = m.month end
  end
  return out
end

-- The facts of the months of this upload, and a snapshot that is newer than all that is stored, go.
local CLEAR = [[
  DELETE FROM shop.fact_sales WHERE data_date >= :first AND data_date < :after;
  DELETE FROM shop.fact_stock_changes WHERE data_date >= :first AND data_date < :after;
  DELETE FROM shop.fact_prices WHERE data_date >= :first AND data_date < :after;
  DELETE FROM shop.report_features WHERE data_date >= :first AND data_date < :after;
  DELETE FROM shop.data_months WHERE data_date >= :first AND data_date < :after;
  DELETE FROM shop.fact_stock WHERE data_date >= :first
    AND (data_date < :after OR NOT EXISTS (SELECT 1 FROM shop.data_months WHERE data_date >= :after));
]]

local FILL = [[
  INSERT INTO shop.dim_multiindex_mapping(]] .. KEY .. [[)
    SELECT ]] .. KEY .. [[ FROM product p
    WHERE NOT EXISTS (SELECT 1 FROM shop.dim_multiindex_mapping s WHERE ]] .. same("s", "p") .. [[) ORDER BY product;
  UPDATE product SET multiindex_id = (SELECT s.multiindex_id FROM shop.dim_multiindex_mapping s WHERE ]] ..
    same("s", "product") .. [[);

  INSERT INTO shop.fact_sales(multiindex_id, data_date, value)
    SELECT multiindex_id, date, sold
    FROM event JOIN day USING (day) JOIN product USING (product) WHERE sold > 0;
  INSERT INTO shop.fact_stock_changes(multiindex_id, data_date, value)
    SELECT multiindex_id, date, arrived - sold
    FROM event JOIN day USING (day) JOIN product USING (product) WHERE arrived <> sold;
  INSERT INTO shop.fact_stock(multiindex_id, data_date, value)
    SELECT multiindex_id, month, opening FROM monthly JOIN product USING (product);
  INSERT INTO shop.fact_stock(multiindex_id, data_date, value)
    SELECT multiindex_id, :snapshot, at_end FROM on_hand JOIN product USING (product)
    WHERE NOT EXISTS (SELECT 1 FROM shop.data_months
                      WHERE data_date >= :after AND data_date = date(:snapshot, 'start of month'));
  INSERT INTO shop.fact_prices(multiindex_id, data_date, value)
    SELECT multiindex_id, month, price FROM monthly JOIN product USING (product);
  INSERT INTO shop.report_features(data_date, multiindex_id, availability, confidence, masked_mean_sales_items,
      masked_mean_sales_rub, lost_sales, imputed, created_at)
    SELECT month, multiindex_id, availability, confidence, items, rub, lost, imputed, :at
    FROM monthly JOIN product USING (product);
  INSERT INTO shop.data_months(data_date, run_id, is_complete, n_products, units, imputed, revenue, stock_warnings,
      pulled_back_units, n_rows)
    SELECT month, :run, missing = 0 OR :fill, products, units, t.imputed, revenue, below, pulled_back, n_rows
    FROM month_total t JOIN month USING (month);
]]

-- Runs the statements of a text one by one; each gets those of the arguments that it names.
local function run_all(d, text, args)
  for sql in text:gmatch("([^;]+);") do
    if sql:find("%S") then
      local own = {}
      for name in sql:gmatch(":(%l+)") do own[name] = args[name] end
      d:exec(sql, next(own) and own or nil)
    end
  end
end

--- The job's upload, when it was published already.
--- Waits.
--- @param main db
--- @param job_id string?
--- @return table?  the result
function publish.done(main, job_id)
  local text = job_id and main:value("SELECT summary FROM data_upload_results WHERE job_id = ?", { job_id })
  return text and json.decode(text) or nil
end

--- Publishes: all or nothing. A second call for one job changes nothing.
--- Waits.
--- @param d db  scratch
--- @param main db
--- @param up table { job_id, overwrite, fill, calendar, content_hash, source_files, result }
--- @return table  up.result with run_id and result_id
--- Raises: law_global_monotonicity (another upload came between), busy, full, io
function publish.publish(d, main, up)
  local cal, result = up.calendar, up.result
  local before = publish.done(main, up.job_id)
  if before then return before end
  publish.with_shop(d, main, function()
    if up.overwrite then
      for _, name in ipairs({ "fact_sales", "fact_stock_changes", "fact_stock", "fact_prices", "report_features",
                              "data_months" }) do
        d:exec("DELETE FROM shop." .. name)
      end
    end
    local stored = { query = function(_, sql, args)
      return d:query((sql:gsub("data_months", "shop.data_months")), args)
    end }
    calendar.check_global(stored, cal, up.overwrite)
    local run = d:exec([[INSERT INTO shop.processing_runs(job_id, end_time, status, source_files, content_hash,
        snapshot_date, is_overwrite)
      VALUES (:job, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), 'completed', :files, :hash, :snapshot, :overwrite)]],
      { job = up.job_id or db.null, files = up.source_files, hash = up.content_hash, snapshot = cal.snapshot,
        overwrite = up.overwrite and 1 or 0 }).last_id
    local args = { first = cal.first_month, after = cal.end_month, snapshot = cal.snapshot, run = run,
                   fill = up.fill and 1 or 0, at = d:value("SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now')") }
    run_all(d, CLEAR, args)
    run_all(d, FILL, args)
    result.run_id = run
    if up.job_id then
      result.result_id = crypto.uuid(7)
      d:exec([[INSERT INTO shop.data_upload_results(result_id, job_id, records_processed, features_generated,
          processing_run_id, rows_read, rows_accepted, rows_rejected, summary)
        VALUES (:result, :job, (SELECT count(*) FROM monthly), '["sales","movement","report_features"]', :run, :read,
                :accepted, :rejected, :summary)]],
        { result = result.result_id, job = up.job_id, run = run, read = result.rows.read,
          accepted = result.rows.accepted, rejected = result.rows.rejected, summary = json.encode(result) })
    end
  end)
  return result
end

--- The id of the last completed upload if it was of these files and fields.
--- Waits.
--- @param main db
--- @param hash string  of upload.hash
--- @return table?  { run_id, job_id }
function publish.duplicate(main, hash)
  local last = main:row([[SELECT run_id, job_id, content_hash FROM processing_runs WHERE status = 'completed'
    ORDER BY run_id DESC LIMIT 1]])
  return last and last.content_hash == hash and { run_id = last.run_id, job_id = last.job_id } or nil
end

return publish
