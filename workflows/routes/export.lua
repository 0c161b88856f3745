-- Facts as files: csv and xlsx for people, parquet for programs.
local crypto = require("crypto")
local db = require("db")
local fail = require("fail")
local fs = require("fs")
local reply = require("reply")
local settings = require("settings")
local sheet = require("sheet")

local PRODUCT = {}
for i, name in ipairs({ "barcode", "artist", "album", "cover_type", "price_category", "release_type",
                        "recording_decade", "release_decade", "style", "recording_year" }) do
  PRODUCT[i] = { name, name == "recording_year" and "integer" or "plain" }
end

-- Name of the export -> where it comes from and what there is beside the product; date: is it of a day or
-- of a month.
local TABLES = {
  sales = { from = "fact_sales", columns = { { "value", "number", "units" } } },
  stock_changes = { from = "fact_stock_changes", columns = { { "value", "number", "units" } } },
  stock = { from = "fact_stock", columns = { { "value", "number", "units" } } },
  prices = { from = "fact_prices", columns = { { "value", "number", "price" } } },
  features = { from = "report_features", columns = {
    { "availability", "number" }, { "confidence", "number" }, { "masked_mean_sales_items", "number" },
    { "masked_mean_sales_rub", "number" }, { "lost_sales", "number" }, { "imputed", "number" } } },
}

local TYPES = {
  csv = "text/csv; charset=utf-8", parquet = "application/vnd.apache.parquet",
  xlsx = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
local XLSX_ROWS_MAX = 1048575

-- The query of an export and its columns, in one order.
local function query_of(t)
  local names, columns = { "f.data_date", "f.multiindex_id" }, { { title = "date", style = "date" },
                                                                { title = "multiindex_id", style = "integer" } }
  for _, c in ipairs(PRODUCT) do
    names[#names + 1] = "p." .. c[1]
    columns[#columns + 1] = { title = c[1], style = c[2] }
  end
  for _, c in ipairs(t.columns) do
    names[#names + 1] = "f." .. c[1]
    columns[#columns + 1] = { title = c[3] or c[1], style = c[2] }
  end
  return "SELECT " .. table.concat(names, ", ") .. " FROM " .. t.from .. [[ f
    CROSS JOIN dim_multiindex_mapping p USING (multiindex_id)
    WHERE f.data_date >= :first AND f.data_date < :after ORDER BY f.data_date, f.multiindex_id]], columns
end

return {
  ["GET /api/v1/data/export/{table}"] = {
    summary = "Facts as a file", role = "viewer", tags = { "data" }, deadline = "10m",
    description = "One row per product and day (sales, stock_changes) or month (stock, prices, features; stock also on "
      .. "the day it was counted), by date and product, with the product's attributes. In csv a text that a table "
      .. "program would calculate gets an apostrophe in front. A workbook can have 1,048,575 rows.",
    path = { table = "sales|stock|stock_changes|prices|features" },
    query = {
      from = "date? -- the first month, any day of it; default: the first that is stored",
      to = "date? -- the last month, any day of it; default: the last that is stored",
      format = "csv|xlsx|parquet = csv", separator = "comma|semicolon|tab = comma -- of csv",
    },
    response = { [200] = { content_type = "application/octet-stream" }, [400] = "error", [422] = "error" },
    run = function(req)
      local q, name = req.query, req.path.table
      -- a connection of its own: a large export would keep the readers of all others
      local d <close> = db.open(db.main():path(), { readonly = true, readers = 1 })
      if q.from and q.to and q.from:sub(1, 7) > q.to:sub(1, 7) then
        fail.raise("invalid_date_range", "from is after to", { from = q.from, to = q.to })
      end
      local sql, columns = query_of(TABLES[name])
      local args = { first = q.from and q.from:sub(1, 7) .. "-01" or "0000",
                     after = q.to and d:value("SELECT date(?, 'start of month', '+1 month')", { q.to }) or "9999" }
      if q.format == "xlsx" then
        local n = d:value("SELECT count(*) FROM (SELECT 1 FROM " .. TABLES[name].from ..
          " WHERE data_date >= :first AND data_date < :after LIMIT " .. XLSX_ROWS_MAX + 1 .. ")", args)
        if n > XLSX_ROWS_MAX then
          fail.raise("validation_error", "more rows than a workbook can have: ask for fewer months, csv or parquet")
        end
      end
      local path = settings.data_root_dir .. "/scratch/export-" .. crypto.uuid() .. "." .. q.format
      fs.mkdir(settings.data_root_dir .. "/scratch")
      sheet.write{ db = d, file = path, sql = sql, args = args, columns = columns, format = q.format, mark = true,
                   separator = ({ comma = ",", semicolon = ";", tab = "\t" })[q.separator], sheet = name }
      return reply.file(path, { content_type = TYPES[q.format], download = name .. "." .. q.format, once = true })
    end,
  },
}
