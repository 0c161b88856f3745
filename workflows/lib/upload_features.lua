-- upload_features.lua - from clean rows to what is known of each product, day by day and month by month.
--
-- Tables made in the scratch database, in this order:
--   product   what was seen, with its attributes        unit     rows with their product
--   event     arrivals and sales of a product on a day  level    the stock from every event on
--   counted   what happened, by product and month       monthly  the features: a row for every product and month

local features = {}

--- Attributes that make two things one product.
features.KEY = { "barcode", "artist", "album", "cover_type", "price_category", "release_type", "recording_decade",
                 "release_decade", "style", "recording_year" }
local KEY = table.concat(features.KEY, ", ")

--- The stock at every moment, backwards from the snapshot: product, unit, event, level.
--- Waits.
--- @param d db  scratch, with item, calendar, month and day
--- @return integer  products
function features.history(d)
  d:script([[
    CREATE TABLE product(product INTEGER PRIMARY KEY, multiindex_id INTEGER, ]] .. KEY .. [[,
      UNIQUE (]] .. KEY .. [[));
    -- in the order of their keys, as those stored are numbered: facts then go in nearly in order
    INSERT INTO product(]] .. KEY .. ") SELECT DISTINCT " .. KEY .. " FROM item ORDER BY " .. KEY .. [[;

    -- cell: the month of a product as one number
    CREATE TABLE unit AS
      SELECT product, kind, count AS n, price, unixepoch(min(created_date, coalesce(sold_date, created_date))) / 86400
               AS created_day, day.day AS sold_day, product * (SELECT count(*) FROM month) + day.number AS cell,
             kind = 'sales' AND created_date > sold_date AS is_pulled_back
      FROM item JOIN product USING (]] .. KEY .. [[) LEFT JOIN day ON day.day = unixepoch(sold_date) / 86400;

    -- the days on which something happened
    CREATE TABLE event(product INTEGER, day INTEGER, arrived, sold, PRIMARY KEY (product, day)) WITHOUT ROWID;
    INSERT INTO event
      SELECT product, day, sum(arrived), sum(sold) FROM (
        SELECT product, sold_day AS day, 0 AS arrived, n AS sold FROM unit WHERE kind = 'sales'
        UNION ALL
        SELECT product, created_day, n, 0 FROM unit, calendar
          WHERE created_day >= unixepoch(first_month) / 86400 AND created_day < unixepoch(snapshot) / 86400)
      GROUP BY product, day;

    -- on hand at the snapshot, and what that makes at the start of the first month
    CREATE TABLE on_hand(product INTEGER PRIMARY KEY, at_end, at_begin);
    INSERT INTO on_hand
      SELECT product, coalesce(s.n, 0), coalesce(s.n, 0) + coalesce(e.n, 0)
      FROM product
      LEFT JOIN (SELECT product, sum(sold - arrived) AS n FROM event GROUP BY product) e USING (product)
      LEFT JOIN (SELECT product, sum(n) AS n FROM unit WHERE kind = 'stock' GROUP BY product) s USING (product);

    -- by_day: what could be sold that day; after: on the `rest` days until the next event or the end of
    -- the month
    CREATE TABLE level AS
      SELECT product * (SELECT count(*) FROM month) + day.number AS cell, day, arrived, sold, by_day,
             by_day - sold AS after, min(next_day, day.end_day) - day - 1 AS rest
      FROM (SELECT e.product AS product, day, arrived, sold,
                   at_begin + sum(arrived - sold) OVER w + sold AS by_day, lead(day, 1, 1 << 40) OVER w AS next_day
            FROM event e JOIN on_hand USING (product)
            WINDOW w AS (PARTITION BY e.product ORDER BY day)) JOIN day USING (day);
  ]])
  return d:value("SELECT count(*) FROM product")
end

--- The features of each product and month: `monthly`.
--- Waits.
--- @param d db  scratch, with the tables of features.history
--- @param fill boolean  guess what the days still to come of the last month will sell
function features.monthly(d, fill)
  d:script([[
    -- from the first event of the month on
    CREATE TABLE counted(cell INTEGER PRIMARY KEY, sold, movement, first_event, available_days, confident,
      sold_when_available, below);
    INSERT INTO counted
      SELECT cell, sum(sold), sum(arrived - sold), min(day),
             sum((by_day >= 1) + rest * (after >= 1)),
             sum(max(0, min(by_day, 5)) + rest * max(0, min(after, 5))),
             sum(iif(by_day >= 1, sold, 0)), sum((by_day < 0) + rest * (after < 0))
      FROM level GROUP BY cell;

    CREATE TABLE price_of_month(cell INTEGER PRIMARY KEY, price);
    INSERT INTO price_of_month
      SELECT cell, total(price * n) / sum(n) FROM unit WHERE kind = 'sales' GROUP BY cell;
    -- of the stock, else of all that was sold, else of stock rows without a unit
    CREATE TABLE price_of_product(product INTEGER PRIMARY KEY, price);
    INSERT INTO price_of_product
      SELECT product, coalesce(
        total(price * n) FILTER (WHERE kind = 'stock') / nullif(sum(n) FILTER (WHERE kind = 'stock'), 0),
        total(price * n) FILTER (WHERE kind = 'sales') / nullif(sum(n) FILTER (WHERE kind = 'sales'), 0),
        avg(price))
      FROM unit GROUP BY product;

    -- at the start of the month; until its first event nothing changes
    CREATE TABLE opening(cell INTEGER PRIMARY KEY, product INTEGER, number INTEGER, n);
    INSERT INTO opening
      SELECT cell, product, number, at_begin + sum(movement) OVER (PARTITION BY product ORDER BY number) - movement
      FROM (SELECT product, number, at_begin, product * (SELECT count(*) FROM month) + number AS cell,
                   coalesce(movement, 0) AS movement
            FROM on_hand CROSS JOIN month LEFT JOIN counted ON
              counted.cell = product * (SELECT count(*) FROM month) + number);

    CREATE TABLE monthly(cell INTEGER PRIMARY KEY, product INTEGER, month TEXT, opening, sold, movement, availability,
      confidence, items, rub, lost, price, imputed, below);
    INSERT INTO monthly -- nothing happened
      SELECT o.cell, product, month, n, 0, 0, n >= 1, max(0, min(n, 5)) / 5.0, 0, 0, 0, price, 0, (n < 0) * days
      FROM opening o JOIN month USING (number) JOIN price_of_product USING (product)
      WHERE NOT EXISTS (SELECT 1 FROM counted c WHERE c.cell = o.cell);
    INSERT INTO monthly
      SELECT cell, product, month, n, sold, movement, available_days * 1.0 / days, confident / 5.0 / days, items,
             items * price, (days - available_days) * (items * price), price,
             iif(]] .. (fill and "missing > 0" or "0") .. [[,
                 coalesce(round_even(sold_when_available * missing, available_days), 0), 0), below
      FROM (SELECT *, coalesce(sold_when_available * 1.0 / nullif(available_days, 0), 0.0) AS items
            FROM (SELECT c.cell AS cell, product, month, n, sold, movement, days, missing, sold_when_available,
                         available_days + (first_event - first_day) * (n >= 1) AS available_days,
                         confident + (first_event - first_day) * max(0, min(n, 5)) AS confident,
                         below + (first_event - first_day) * (n < 0) AS below, coalesce(m.price, p.price) AS price
                  FROM counted c JOIN opening USING (cell) JOIN month USING (number)
                  JOIN price_of_product p USING (product) LEFT JOIN price_of_month m USING (cell)));

    -- what will be stored
    CREATE TABLE month_total AS
      SELECT month, units, imputed, products, revenue, pulled_back, below, n_rows
      FROM (SELECT month, sum(sold) AS units, sum(imputed) AS imputed, count(*) AS products, sum(below) AS below
            FROM monthly GROUP BY month)
      JOIN (SELECT month, total(price * n) AS revenue, count(*) AS n_rows,
                   total(n) FILTER (WHERE is_pulled_back) AS pulled_back
            FROM unit JOIN day ON day = sold_day WHERE kind = 'sales' GROUP BY month) USING (month);
  ]])
end

return features
