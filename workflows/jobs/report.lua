-- report.lua - a report made by a worker: POST /api/v1/jobs/reports with Prefer: respond-async.
local report = require("report")

-- Columns of the forecast's csv that come from what was sold.
local ENRICHED = { "availability", "confidence", "Средние продажи (шт)", "Средние продажи (руб)",
  "Потерянные продажи (руб)" }

return {
  summary = "Make a report and keep it",
  hidden = true, -- has a route of its own
  role = "viewer", attempts = 2, deadline = "30m", refractory = false,
  params = {
    report_type = "text 1..100", prediction_month = "text? 1..20", model_id = "text? 1..100", filters = "any?",
    parameters = "any?", formats = "text[]?", share_seconds = "number? 60..",
  },
  run = function(job)
    local p = job.params
    job:progress(0.1, "rows, page, files")
    local made = job:step("report", function()
      local out = report.create_for(job, { name = p.report_type, month = p.prediction_month, model_id = p.model_id,
        filters = p.filters, parameters = p.parameters, formats = p.formats, share_seconds = p.share_seconds })
      if out.csv_data and #out.csv_data > 1000000 then out.csv_data = nil end -- it is among the files
      return out
    end)
    made.has_enriched_metrics = p.report_type == "prediction_report"
    made.enriched_columns = made.has_enriched_metrics and ENRICHED or nil
    made.output_path = "reports/" .. made.result_id
    return made
  end,
}
