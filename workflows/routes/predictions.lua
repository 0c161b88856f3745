-- What was forecast, and what came of it.
local db = require("db")
local fail = require("fail")
local history = require("prediction_history")
local json = require("json")
local reply = require("reply")
local view = require("model_view")

local QUANTILES = { q05 = "number", q25 = "number", q50 = "number", q75 = "number", q95 = "number" }

return {
  schemas = {
    history_item = {
      multiindex_id = "integer", metadata = "object -- the product, as it is called",
      predictions = { "array", of = {
        prediction_month = "date", model_id = "text", method = "text -- model, cold_start, or the name of a baseline",
        quantiles = QUANTILES, actual = "number? -- units sold, once the month is complete",
        error = "number? -- q50 less actual", is_covered = "boolean? -- actual lies from q05 to q95" } },
      accuracy = { n = "integer -- forecasts with an actual", mean_absolute_error = "number?", bias = "number?",
                   wape = "number? -- sum of absolute errors by sum of actuals", coverage_90 = "number?" },
      ["actuals?"] = { "array", of = { month = "date", sales_count = "number", complete = "boolean" } },
      ["features?"] = { "array", of = { month = "date", availability = "number", confidence = "number",
        masked_mean_sales_items = "number", masked_mean_sales_rub = "number", lost_sales_rub = "number" } },
    },
    prediction_result = {
      result_id = "text", job_id = "text?", model_id = "text", prediction_month = "date",
      summary_metrics = "object", created_at = "datetime",
    },
  },

  ["GET /api/v1/predictions/history"] = {
    summary = "Forecasts beside what was sold, product by product",
    description = "Products that have at least one forecast in the months asked for, by their number. All models "
      .. "are side by side, unless model_id is given.",
    role = "viewer", tags = { "predictions" },
    query = {
      multiindex_id = "integer? 1.. -- one product", prediction_month_from = "month?", prediction_month_to = "month?",
      model_id = "text? 1..100", include_actuals = "boolean = true", include_features = "boolean = true",
      limit = "integer 1..10000 = 1000 -- products", cursor = "integer? 1.. -- next_cursor of the page before",
    },
    response = { [200] = {
      items = { "array", of = "history_item" },
      metadata = { total_items = "integer -- products in all", next_cursor = "integer?",
                   date_range = { min = "date", max = "date" } },
    }, [404] = "error", [422] = "error" },
    run = function(req)
      local q = req.query
      if q.prediction_month_from and q.prediction_month_to and q.prediction_month_from > q.prediction_month_to then
        fail.raise("validation_error", "prediction_month_from is after prediction_month_to", {
          parameter = "prediction_month_from", value = q.prediction_month_from,
          reason = "expected at most " .. q.prediction_month_to })
      end
      return reply.stream(history.page(q), { content_type = "application/json" })
    end,
  },

  ["GET /api/v1/predictions/months"] = {
    summary = "Months that have forecasts, newest first", role = "viewer", tags = { "predictions" },
    response = { [200] = { months = { "array", of = { month = "date", model_id = "text", n = "integer -- products",
      result_id = "text" } } } },
    run = function() return { months = history.months() } end,
  },

  ["GET /api/v1/predictions/results"] = {
    summary = "Forecasting runs, newest first",
    description = "The header X-Total-Count has the number of all, Link the next page.",
    role = "viewer", tags = { "predictions" }, query = view.page_query(),
    response = { [200] = { "array", of = "prediction_result" } },
    run = function(req)
      return view.list("/api/v1/predictions/results", {
        columns = "t.result_id, t.job_id, t.model_id, t.prediction_month, t.summary_metrics, t.created_at",
        from = "prediction_results t", key = "t.rowid", limit = req.query.limit, cursor = req.query.cursor,
        show = function(row)
          row.summary_metrics = row.summary_metrics and json.decode(row.summary_metrics) or {}
          row.job_id = row.job_id or json.null
          return row
        end,
      })
    end,
  },

  ["GET /api/v1/predictions/results/{result_id}"] = {
    summary = "One forecasting run", role = "viewer", tags = { "predictions" }, path = { result_id = "text 1..64" },
    response = { [200] = "prediction_result", [404] = "error" },
    run = function(req)
      local row = db.main():row([[SELECT result_id, job_id, model_id, prediction_month, summary_metrics, created_at
        FROM prediction_results WHERE result_id = ?]], { req.path.result_id })
        or fail.raise("not_found", "there is no forecasting run " .. req.path.result_id)
      row.summary_metrics = row.summary_metrics and json.decode(row.summary_metrics) or {}
      row.job_id = row.job_id or json.null
      return row
    end,
  },
}
