-- What is in stock at the end of a month: what does not sell, what is missing, what matters (ABC by revenue,
-- XYZ by how steady the demand is).
local time = require("time")

return {
  title = "inventory_report",
  summary = "Stock at the end of a month: dead stock, lost sales, ABC/XYZ classes, months of cover",
  params = {
    dead_months = "integer 1..36 = 6 -- without a sale for so long, stock is dead",
    much_months = "number 1..60 = 12 -- stock for more months than this is too much",
  },
  months = "SELECT data_date AS month FROM data_months ORDER BY 1 DESC",
  args = function(cx)
    local d, month = cx.db, cx.month
    local after = time.add_months(month, 1)
    local year_ago = time.add_months(after, -12)
    return {
      after = after, year_ago = year_ago, dead_since = time.add_months(after, -cx.params.dead_months),
      stock_date = d:value("SELECT max(data_date) FROM fact_stock WHERE data_date <= ?", { after }),
      n = math.max(1, d:value("SELECT count(*) FROM data_months WHERE data_date >= ? AND data_date < ?",
        { year_ago, after })),
    }
  end,
  steps = {
    [[CREATE TABLE monthly AS
      SELECT multiindex_id, substr(data_date, 1, 7) || '-01' AS month, sum(value) AS units FROM fact_sales
      WHERE data_date >= :year_ago AND data_date < :after GROUP BY 1, 2]],
    [[CREATE TABLE sold(multiindex_id INTEGER PRIMARY KEY, units REAL, squares REAL, revenue REAL, series TEXT)]],
    [[INSERT INTO sold
      SELECT m.multiindex_id, sum(m.units), sum(m.units * m.units), total(m.units * x.value),
             month_series(m.month, m.units, :year_ago, 12)
      FROM monthly m LEFT JOIN fact_prices x ON x.multiindex_id = m.multiindex_id AND x.data_date = m.month
      GROUP BY m.multiindex_id]],
    "CREATE TABLE lost(multiindex_id INTEGER PRIMARY KEY, lost REAL, seen TEXT, availability REAL)",
    [[INSERT INTO lost
      SELECT multiindex_id, total(lost_sales), min(data_date), first_by(availability, -julianday(data_date))
      FROM report_features WHERE data_date >= :year_ago AND data_date < :after GROUP BY multiindex_id]],
    [[CREATE TABLE held AS
      SELECT i.multiindex_id, coalesce(k.value, 0) AS stock, coalesce(s.units, 0) AS sold_12,
        coalesce(s.revenue, 0) AS revenue_12, s.squares, s.series, coalesce(l.lost, 0) AS lost_12, l.availability,
        (SELECT min(g.data_date) FROM report_features g WHERE g.multiindex_id = i.multiindex_id) AS seen,
        (SELECT max(f.data_date) FROM fact_sales f WHERE f.multiindex_id = i.multiindex_id AND f.data_date < :after)
          AS last_sale,
        (SELECT x.value FROM fact_prices x WHERE x.multiindex_id = i.multiindex_id AND x.data_date < :after
         ORDER BY x.data_date DESC LIMIT 1) AS price
      FROM dim_multiindex_mapping i LEFT JOIN sold s USING (multiindex_id) LEFT JOIN lost l USING (multiindex_id)
      LEFT JOIN fact_stock k ON k.multiindex_id = i.multiindex_id AND k.data_date = :stock_date
      WHERE k.value > 0 OR s.units > 0 OR l.lost > 0]],
    [[CREATE TABLE ranked AS
      SELECT *, sum(revenue_12) OVER (ORDER BY revenue_12 DESC, multiindex_id) - revenue_12 AS before,
        sum(revenue_12) OVER () AS everything, sold_12 / :n AS mean_sales,
        sqrt(max(0, squares / :n - (sold_12 / :n) * (sold_12 / :n))) / nullif(sold_12 / :n, 0) AS variation
      FROM held]],
  },
  query = [[
    SELECT r.multiindex_id, i.barcode, i.artist, i.album, i.style, i.price_category, i.release_type, i.release_decade,
      r.stock, r.price, r.stock * coalesce(r.price, 0) AS stock_value, r.sold_12, r.revenue_12, r.mean_sales,
      r.last_sale, CAST(julianday(:after) - julianday(r.last_sale) AS INTEGER) AS days_idle,
      r.stock / nullif(r.mean_sales, 0) AS cover_months, r.lost_12, r.availability,
      CASE WHEN r.revenue_12 <= 0 THEN 'C' WHEN r.before < 0.8 * r.everything THEN 'A'
        WHEN r.before < 0.95 * r.everything THEN 'B' ELSE 'C' END AS abc,
      CASE WHEN r.variation < 0.5 THEN 'X' WHEN r.variation < 1 THEN 'Y' ELSE 'Z' END AS xyz,
      round(r.variation, 3) AS variation,
      CASE WHEN r.stock > 0 AND coalesce(r.last_sale, r.seen, :dead_since) < :dead_since THEN 'dead'
        WHEN r.stock <= 0 AND r.sold_12 > 0 THEN 'out' WHEN r.stock <= 0 THEN 'gone'
        WHEN r.stock < r.mean_sales THEN 'low' WHEN r.stock > r.mean_sales * :much_months AND r.stock > 1 THEN 'much'
        ELSE 'ok' END AS state, r.series
    FROM ranked r JOIN dim_multiindex_mapping i USING (multiindex_id)]],
  order = "stock_value DESC, multiindex_id",

  columns = {
    { name = "multiindex_id", title = "multiindex_id" }, { name = "barcode", title = "barcode", width = 16 },
    { name = "artist", title = "artist", width = 24 }, { name = "album", title = "album", width = 30 },
    { name = "style", title = "style", width = 16 }, { name = "price_category", title = "price_category", width = 18 },
    { name = "release_type", title = "release_type" }, { name = "release_decade", title = "release_decade" },
    { name = "stock", title = "stock" }, { name = "price", title = "price", style = "money" },
    { name = "stock_value", title = "stock_value", style = "money" }, { name = "sold_12", title = "sold_12" },
    { name = "revenue_12", title = "revenue_12", style = "money" }, { name = "mean_sales", title = "mean_sales_long" },
    { name = "last_sale", title = "last_sale", style = "date" }, { name = "days_idle", title = "days_idle" },
    { name = "cover_months", title = "cover_months" }, { name = "lost_12", title = "lost_12", style = "money" },
    { name = "availability", title = "availability_long", style = "percent" }, { name = "abc", title = "abc" },
    { name = "xyz", title = "xyz" }, { name = "variation", title = "variation" }, { name = "state", title = "state" },
  },

  page = function(cx)
    local d, t, chart = cx.db, cx.t, cx.chart
    local totals = d:row([[SELECT count(*) AS n, total(stock) AS stock, total(stock_value) AS value,
      total(stock_value) FILTER (WHERE state = 'dead') AS dead, total(state = 'dead') AS n_dead,
      total(state = 'out') AS n_out, total(lost_12) AS lost, total(revenue_12) AS revenue FROM result]])
    local cells = {}
    for _, r in ipairs(d:query([[SELECT abc || xyz AS class, count(*) AS n, total(revenue_12) AS revenue FROM result
      GROUP BY 1]])) do
      r.share = totals.revenue > 0 and r.revenue / totals.revenue or 0
      r.heat = r.share >= 0.3 and 3 or r.share >= 0.1 and 2 or r.share >= 0.02 and 1 or 0
      cells[r.class] = r
    end
    local matrix = {}
    for i, a in ipairs({ "A", "B", "C" }) do
      matrix[i] = { name = a }
      for k, x in ipairs({ "X", "Y", "Z" }) do matrix[i][k] = cells[a .. x] or { n = 0, share = 0, heat = 0 } end
    end
    local ages, labels, values = { "age_0", "age_1", "age_3", "age_6", "age_12", "age_never" }, {}, {}
    local found = {}
    for _, r in ipairs(d:query([[SELECT CASE WHEN days_idle IS NULL THEN 'age_never' WHEN days_idle < 31 THEN 'age_0'
      WHEN days_idle < 92 THEN 'age_1' WHEN days_idle < 183 THEN 'age_3' WHEN days_idle < 366 THEN 'age_6'
      ELSE 'age_12' END AS age, total(stock_value) AS value FROM result GROUP BY 1]])) do found[r.age] = r.value end
    for i, age in ipairs(ages) do labels[i], values[i] = t[age], found[age] or 0 end
    local months, lost = {}, {}
    for i, r in ipairs(d:query([[SELECT data_date AS month, total(lost_sales) AS lost FROM report_features
      WHERE data_date >= :year_ago AND data_date < :after AND multiindex_id IN (SELECT multiindex_id FROM result)
      GROUP BY 1 ORDER BY 1]], { year_ago = cx.args.year_ago, after = cx.args.after })) do
      months[i], lost[i] = r.month:sub(1, 7), r.lost
    end
    local states = d:query("SELECT state AS key, count(*) AS n FROM result GROUP BY 1 ORDER BY 2 DESC")
    local state_names = {}
    for i, s in ipairs(states) do
      states[i].name = t["state_" .. s.key]
      state_names[s.key] = s.name
    end
    return {
      totals = totals, matrix = matrix, states = states, state_names = state_names,
      styles = d:query("SELECT style AS name FROM result GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 200"),
      classes = d:query("SELECT abc || xyz AS name FROM result GROUP BY 1 ORDER BY 1"),
      by_age = chart.bars({ labels = labels, values = values, title = t.stock_by_age, width = 640, bar = 24,
        decimals = 0 }),
      by_month = chart.columns({ labels = months, values = lost, title = t.lost_by_month, width = 640, height = 190,
        decimals = 0 }),
    }
  end,
}
