-- upload_calendar.lua - which days and months an upload is about, and the three laws it must keep.
--
-- Tables made in the scratch database: calendar (one row), month (number 0 is the first) and day (a row
-- for each).

local db = require("db")

local calendar = {}

local MISSING_MAX = 1000 -- months named in an error

--- Finds the months, the last sale and the day of the snapshot: `calendar` and `month`.
--- Waits.
--- @param d db  scratch, with `item`
--- @param stock_date string?  the day at whose start the stock was counted; default: after the last sale
--- @return table { first_month, last_month, last_sale, snapshot, end_month = first day after the last month }
function calendar.make(d, stock_date)
  d:exec([[
    CREATE TABLE calendar AS
      SELECT date(min(sold_date), 'start of month') AS first_month,
             date(max(sold_date), 'start of month') AS last_month,
             max(sold_date) AS last_sale,
             coalesce(?, date(max(sold_date), '+1 day')) AS snapshot,
             date(max(sold_date), 'start of month', '+1 month') AS end_month
      FROM item WHERE kind = 'sales']], { stock_date or db.null })
  -- days are counted from 1970 where they are calculated with
  d:script([[
    CREATE TABLE month(month TEXT UNIQUE, number INTEGER PRIMARY KEY, first_day INTEGER, days INTEGER, missing INTEGER);
    INSERT INTO month
      WITH RECURSIVE m(month) AS (
        SELECT first_month FROM calendar
        UNION ALL SELECT date(month, '+1 month') FROM m WHERE month < (SELECT last_month FROM calendar))
      SELECT month, row_number() OVER (ORDER BY month) - 1, unixepoch(month) / 86400 AS first_day,
             unixepoch(min(date(month, '+1 month'), snapshot)) / 86400 - unixepoch(month) / 86400 AS days,
             (unixepoch(date(month, '+1 month')) - unixepoch(min(date(month, '+1 month'), snapshot))) / 86400 AS missing
      FROM m, calendar;
    CREATE TABLE day(day INTEGER PRIMARY KEY, date TEXT, month TEXT, number INTEGER, end_day INTEGER);
    INSERT INTO day
      WITH RECURSIVE d(day, last) AS (
        SELECT min(first_day), max(first_day + days) - 1 FROM month
        UNION ALL SELECT day + 1, last FROM d WHERE day < last)
      SELECT day, date(day * 86400, 'unixepoch'), month, number, first_day + days
      FROM d JOIN month ON day >= first_day AND day < first_day + days;]])
  return d:row("SELECT * FROM calendar")
end

local function list(rows)
  local out = {}
  for i, r in ipairs(rows) do out[i] = r.month end
  return out
end

--- The law of local monotonicity: every month of the upload has a sale.
--- @param d db  scratch
--- Raises: law_local_monotonicity
function calendar.check_local(d)
  local missing = list(d:query([[SELECT month FROM month
    WHERE month NOT IN (SELECT DISTINCT date(sold_date, 'start of month') FROM item WHERE kind = 'sales')
    ORDER BY month LIMIT ]] .. MISSING_MAX))
  if #missing > 0 then
    error({ code = "law_local_monotonicity", status = 422, details = { missing_months = missing },
            message = "no sales in " .. table.concat(missing, ", ", 1, math.min(#missing, 5)) ..
              ": send the sales of every month between the first and the last" }, 0)
  end
end

--- The law of global monotonicity: what is stored and what is new are one unbroken run of months.
--- @param main db
--- @param cal table  { first_month, last_month }
--- @param overwrite boolean  nothing stored remains
--- Raises: law_global_monotonicity
function calendar.check_global(main, cal, overwrite)
  if overwrite then return end
  local missing = list(main:query([[
    WITH RECURSIVE
      known(month) AS (SELECT data_date FROM data_months),
      ends(low, high) AS (SELECT min(min(month), :first), max(max(month), :last) FROM known HAVING count(*) > 0),
      m(month) AS (SELECT low FROM ends
                   UNION ALL SELECT date(month, '+1 month') FROM m, ends WHERE month < high)
    SELECT month FROM m WHERE month NOT BETWEEN :first AND :last AND month NOT IN (SELECT month FROM known)
    ORDER BY month LIMIT ]] .. MISSING_MAX, { first = cal.first_month, last = cal.last_month }))
  if #missing > 0 then
    error({ code = "law_global_monotonicity", status = 422, details = { missing_months = missing },
            message = "between what is stored and this upload " ..
              table.concat(missing, ", ", 1, math.min(#missing, 5)) ..
              " would be missing: upload those months first, or everything anew with overwrite" }, 0)
  end
end

--- The law of snapshot coherence: the stock was counted after the last sale and has nothing newer.
--- @param d db  scratch
--- @param cal table  of calendar.make
--- @param empty table  what an empty JSON array is
--- Raises: law_snapshot_coherence
function calendar.check_snapshot(d, cal, empty)
  local rows = d:query([[SELECT file.name AS file, raw.row AS row, item.created_date AS created_date
    FROM item JOIN raw USING (id) JOIN file USING (file)
    WHERE item.kind = 'stock' AND item.created_date >= ? ORDER BY raw.file, raw.row LIMIT 10]], { cal.snapshot })
  if cal.snapshot > cal.last_sale and #rows == 0 then return end
  error({ code = "law_snapshot_coherence", status = 422,
          details = { snapshot_date = cal.snapshot, last_sale_date = cal.last_sale,
                      rows = #rows > 0 and rows or empty },
          message = "the stock is said to be of the start of " .. cal.snapshot ..
            (cal.snapshot > cal.last_sale and ", but has items created on that day or later"
              or ", but there are sales until " .. cal.last_sale) ..
            "; the field stock_date can give the day at whose start the stock was counted" }, 0)
end

return calendar
