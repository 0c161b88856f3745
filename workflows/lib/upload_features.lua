-- upload_features.lua - from clean rows to what is known of each product, day by day and month by month.
--
-- Tables made in the scratch database, in this order:
--   product   what was seen, with its attributes        unit     rows with their product
--   event     arrivals and sales of a product on a day  level    the stock around every event
--   monthly   the features: a row for every product and month

local features = {}

--- Attributes that make two things one product.
features.KEY = { "barcode", "artist", "album", "cover_type", "price_category", "release_type", "recording_decade",
                 "release_decade", "style", "recording_year" }
local KEY = table.concat(features.KEY, ", ")

--- The stock at every moment, backwards from the snapshot: product, unit, event, level.
--- Waits.
--- @param d db  scratch, with item, calendar and month
--- @return integer  products
function features.history(d)
  d:script([[
    CREATE TABLE product(product INTEGER PRIMARY KEY, multiindex_id INTEGER, ]] .. KEY .. [[,
      UNIQUE (]] .. KEY .. [[));
    INSERT INTO product(]] .. KEY .. ") SELECT DISTINCT " .. KEY .. " FROM item ORDER BY " .. KEY .. [[;

    CREATE TABLE unit AS
      SELECT product, kind, count AS n, price, min(created_date, coalesce(sold_date, created_date)) AS created_date,
             sold_date, kind = 'sales' AND created_date > sold_date AS is_warning
      FROM item JOIN product USING (]] .. KEY .. [[);

    -- a day without an event is like the one before it; the first of every month is one always
    CREATE TABLE event(product, day, arrived, sold, PRIMARY KEY (product, day)) WITHOUT ROWID;
    INSERT INTO event
      SELECT product, day, sum(arrived), sum(sold) FROM (
        SELECT product, unixepoch(sold_date) / 86400 AS day, 0 AS arrived, n AS sold FROM unit WHERE kind = 'sales'
        UNION ALL
        SELECT product, unixepoch(created_date) / 86400, n, 0 FROM unit, calendar
          WHERE created_date >= first_month AND created_date < snapshot
        UNION ALL
        SELECT product, first_day, 0, 0 FROM product, month
        UNION ALL
        SELECT product, unixepoch(end_month) / 86400, 0, 0 FROM product, calendar WHERE end_month < snapshot)
      GROUP BY product, day;

    -- on hand at the snapshot, and what that makes at the start of the first month
    CREATE TABLE on_hand(product INTEGER PRIMARY KEY, at_end, at_begin);
    INSERT INTO on_hand
      SELECT product, coalesce(s.n, 0), coalesce(s.n, 0) + e.n
      FROM (SELECT product, sum(sold - arrived) AS n FROM event GROUP BY product) e
      LEFT JOIN (SELECT product, sum(n) AS n FROM unit WHERE kind = 'stock' GROUP BY product) s USING (product);

    -- opening: at the start of the day. by_day: what could be sold that day; after: on the `rest` days
    -- until the next event
    CREATE TABLE level AS
      SELECT product, day, arrived, sold, opening, max(0, opening + arrived) AS by_day,
             max(0, opening + arrived - sold) AS after, next_day - day - 1 AS rest
      FROM (SELECT e.product AS product, day, arrived, sold,
                   at_begin + sum(arrived - sold) OVER w - (arrived - sold) AS opening,
                   lead(day, 1, (SELECT unixepoch(snapshot) / 86400 FROM calendar)) OVER w AS next_day
            FROM event e JOIN on_hand USING (product)
            WINDOW w AS (PARTITION BY e.product ORDER BY day));
  ]])
  return d:value("SELECT count(*) FROM product")
end

--- The features of each product and month: `monthly`.
--- Waits.
--- @param d db  scratch, with the tables of features.history
--- @param fill boolean  guess what the days still to come of the last month will sell
function features.monthly(d, fill)
  d:script([[
    CREATE TABLE counted AS
      SELECT product, month, sum(sold) AS sold, sum(arrived - sold) AS movement,
             sum((by_day >= 1) + rest * (after >= 1)) AS available_days,
             sum(min(by_day, 5) + rest * min(after, 5)) AS confident,
             sum(iif(by_day >= 1, sold, 0)) AS sold_when_available
      FROM level JOIN day USING (day)
      GROUP BY product, month;

    CREATE TABLE price_of_month(product, month, price, PRIMARY KEY (product, month)) WITHOUT ROWID;
    INSERT INTO price_of_month
      SELECT product, substr(sold_date, 1, 7) || '-01', total(price * n) / sum(n)
      FROM unit WHERE kind = 'sales' GROUP BY 1, 2;
    -- of the stock, else of all that was sold, else of stock rows without a unit
    CREATE TABLE price_of_product(product INTEGER PRIMARY KEY, price);
    INSERT INTO price_of_product
      SELECT product, coalesce(
        total(price * n) FILTER (WHERE kind = 'stock') / nullif(sum(n) FILTER (WHERE kind = 'stock'), 0),
        total(price * n) FILTER (WHERE kind = 'sales') / nullif(sum(n) FILTER (WHERE kind = 'sales'), 0),
        avg(price))
      FROM unit GROUP BY product;

    CREATE TABLE monthly(product, month, sold, movement, availability, confidence, items, rub, lost, price, imputed,
      PRIMARY KEY (month, product)) WITHOUT ROWID;
    INSERT INTO monthly
      SELECT product, month, sold, movement, available_days * 1.0 / days, confident / 5.0 / days, items,
             items * price, (days - available_days) * (items * price), price,
             iif(]] .. (fill and "missing > 0" or "0") .. [[,
                 coalesce(round_even(sold_when_available * missing, available_days), 0), 0)
      FROM (SELECT c.*, coalesce(sold_when_available * 1.0 / nullif(available_days, 0), 0.0) AS items,
                   coalesce(m.price, p.price) AS price
            FROM (SELECT * FROM counted JOIN month USING (month)) c
            JOIN price_of_product p USING (product) LEFT JOIN price_of_month m USING (product, month));

    -- what will be stored
    CREATE TABLE month_total AS
      SELECT month, units, imputed, products, revenue, warnings
      FROM (SELECT month, sum(sold) AS units, sum(imputed) AS imputed, count(*) AS products
            FROM monthly GROUP BY month)
      JOIN (SELECT substr(sold_date, 1, 7) || '-01' AS month, total(price * n) AS revenue,
                   total(n) FILTER (WHERE is_warning) AS warnings
            FROM unit WHERE kind = 'sales' GROUP BY 1) USING (month);
  ]])
end

return features
