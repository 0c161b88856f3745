-- dataset_features.lua - what models see of a product in a month. Edit it: the next training uses it, and a
-- model remembers the list it was trained with.
--
-- Every feature is a name and an SQL expression over these tables:
--   cell    units, availability (0 to 1), confidence (0 to 1), price (NULL when unknown), age in months
--           (1 in the month of the first stock or sale, NULL before), of a product and month
--   item    the attributes of the product: cover_type, style, price_category, recording_year, …
--   month   year, number (1 to 12), step (1, 2, …)
--   release_type, cover_type, style, price_category: mean and variance, exponentially weighted, of the
--           units of all products with that attribute and recording decade that could be sold
-- The window `own` is the product from its first month up to this one. Nothing here may look at a later
-- month than its own (lead, FOLLOWING): tests/lua/dataset_test.lua changes a month and looks at those before.

local TAU = 6.283185307179586

return {
  -- products of one value of these and of one recording decade are a group
  groups = { "release_type", "cover_type", "style", "price_category" },

  -- known up to the month itself
  past = {
    { name = "release_type_mean", sql = "ln(1 + coalesce(release_type.mean, 0))" },
    { name = "release_type_var", sql = "ln(1 + coalesce(release_type.variance, 0))" },
    { name = "cover_type_mean", sql = "ln(1 + coalesce(cover_type.mean, 0))" },
    { name = "cover_type_var", sql = "ln(1 + coalesce(cover_type.variance, 0))" },
    { name = "style_mean", sql = "ln(1 + coalesce(style.mean, 0))" },
    { name = "style_var", sql = "ln(1 + coalesce(style.variance, 0))" },
    { name = "price_category_mean", sql = "ln(1 + coalesce(price_category.mean, 0))" },
    { name = "price_category_var", sql = "ln(1 + coalesce(price_category.variance, 0))" },
    { name = "own_mean", sql = "ln(1 + ewm_mean(cell.units, {span}) OVER own)" },
    { name = "availability", sql = "cell.availability" },
    { name = "confidence", sql = "cell.confidence" },
  },

  -- known of any month. seasonal: means nothing before a second year of it was seen, and is 0 till then
  future = {
    { name = "recording_year", sql = "month.year = item.recording_year" },
    { name = "month_sin", sql = "sin(month.number * " .. TAU .. " / 12)", seasonal = true },
    { name = "month_cos", sql = "cos(month.number * " .. TAU .. " / 12)", seasonal = true },
    { name = "year", sql = "(month.year - {first_year}) / 10.0", seasonal = true },
  },

  -- attributes that become one column of 0 and 1 for each of their parts ("Rock/Pop" has two), if at least
  -- so many products have it
  static = { "cover_type", "release_type", "price_category", "style", "recording_year", "release_decade" },
  static_products_min = 5,
  static_parts_max = 48, -- of one attribute: the most frequent ones

  -- what trees see of a product to say what it sells in the month after
  trees = {
    { name = "lag_1", sql = "ln(1 + cell.units)" },
    { name = "lag_2", sql = "ln(1 + lag(cell.units, 1) OVER own)" },
    { name = "lag_3", sql = "ln(1 + lag(cell.units, 2) OVER own)" },
    { name = "lag_4", sql = "ln(1 + lag(cell.units, 3) OVER own)" },
    { name = "lag_12", sql = "ln(1 + lag(cell.units, 11) OVER own)" },
    { name = "mean_3", sql = "ln(1 + avg(cell.units) OVER (own ROWS 2 PRECEDING))" },
    { name = "mean_6", sql = "ln(1 + avg(cell.units) OVER (own ROWS 5 PRECEDING))" },
    { name = "mean_12", sql = "ln(1 + avg(cell.units) OVER (own ROWS 11 PRECEDING))" },
    { name = "max_6", sql = "ln(1 + max(cell.units) OVER (own ROWS 5 PRECEDING))" },
    { name = "min_3", sql = "ln(1 + min(cell.units) OVER (own ROWS 2 PRECEDING))" },
    { name = "sold_months_6", sql = "avg(cell.units > 0) OVER (own ROWS 5 PRECEDING)" },
    { name = "own_mean", sql = "ln(1 + ewm_mean(cell.units, {span}) OVER own)" },
    { name = "availability", sql = "cell.availability" },
    { name = "confidence", sql = "cell.confidence" },
    { name = "age", sql = "min(cell.age, 24)" },
    { name = "price", sql = "ln(1 + cell.price)" },
    { name = "next_month", sql = "month.number % 12 + 1" },
    { name = "release_type_mean", sql = "ln(1 + release_type.mean)" },
    { name = "cover_type_mean", sql = "ln(1 + cover_type.mean)" },
    { name = "style_mean", sql = "ln(1 + style.mean)" },
    { name = "price_category_mean", sql = "ln(1 + price_category.mean)" },
  },

  -- what is known of a product nobody has seen sell yet
  cold = { "price", "next_month", "availability", "confidence", "release_type_mean", "cover_type_mean", "style_mean",
           "price_category_mean" },
}
