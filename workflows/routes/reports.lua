-- Reports: what there is, making one, what was made, trying a template that is not saved.
local fail = require("fail")
local fs = require("fs")
local job = require("job")
local json = require("json")
local reply = require("reply")
local report = require("report")
local settings = require("settings")

local NAME = { name = "text 1..100" }
local RESULT = { name = "text 1..100", result_id = "text 1..64" }
local WANTED = {
  prediction_month = "text? 1..20 -- first day of the month, like 2026-03-01; default: the newest there is",
  model_id = "text? 1..100 -- default: the active model",
  filters = "any? -- column: value, [values], {min, max} or {contains}",
  parameters = "any? -- those the report declares, see GET /api/v1/reports",
}

local function table_or_nil(name, v)
  if v == nil or v == json.null then return nil end
  if type(v) ~= "table" or json.is_array(v) and #v > 0 then
    fail.raise("validation_error", name .. ": an object expected", { parameter = name })
  end
  return v
end

local function wanted(body, more)
  local w = { prediction_month = body.prediction_month, model_id = body.model_id,
    filters = table_or_nil("filters", body.filters), parameters = table_or_nil("parameters", body.parameters) }
  for k, v in pairs(more) do w[k] = v end
  return w
end

-- Serves a file of a report: a page with the policy that lets its own script run, the others as downloads.
local function serve(f)
  if f.format == "html" then return reply.html(fs.read(f.path), { policy = f.policy }) end
  return reply.file(settings.data_root_dir .. "/" .. f.path, { content_type = f.type, download = f.name,
    cache = "private, max-age=31536000, immutable" })
end

return {
  schemas = {
    report_result = {
      result_id = "text", report_type = "text", job_id = "text?", prediction_month = "text?", model_id = "text?",
      parameters = "object?", filters_applied = "object?", records_count = "integer", duration = "number",
      generated_at = "datetime", created_by = "text?", shared_until = "datetime?",
      links = { "map", of = "text" },
    },
  },

  ["POST /api/v1/jobs/reports"] = {
    summary = "Make a report",
    description = "Answers with the report as csv and with links to it as page, csv, xlsx and json. With `Prefer: "
      .. "respond-async` a worker makes it: 202 and a job, whose result is the same.",
    role = "viewer", tags = { "reports", "jobs" }, deadline = 120,
    headers = { prefer = "text? 0..200" },
    body = {
      ["report_type?"] = "text = prediction_report", ["prediction_month?"] = WANTED.prediction_month,
      ["model_id?"] = WANTED.model_id, ["filters?"] = WANTED.filters, ["parameters?"] = WANTED.parameters,
      ["formats?"] = { "array", of = "html|csv|xlsx|json", min = 1, max = 4, doc = "default: all four" },
      ["share_seconds?"] = "number? 60..31622400 -- also make a link to the page that needs no key, for so long",
    },
    response = { [200] = "any", [202] = "submitted", [400] = "error", [404] = "error", [422] = "error" },
    run = function(req)
      local body = req.body
      local name = body.report_type or "prediction_report"
      local w = wanted(body, { formats = body.formats, share_seconds = body.share_seconds })
      if (req.headers.prefer or ""):lower():find("respond%-async") then
        w.report_type = name
        report.kinds(name) -- not found is said at once
        local id = job.submit("report", w, { by = req.key.id })
        return { job_id = id, status = "pending" }, 202, { Location = "/api/v1/jobs/" .. id,
          ["Preference-Applied"] = "respond-async" }
      end
      w.name, w.month, w.by = name, w.prediction_month, req.key.id
      local out = report.create(w)
      if out.filters_applied == nil then out.filters_applied = json.null end
      if out.csv_data == nil then out.csv_data = json.null end
      return out
    end,
  },

  ["GET /api/v1/reports"] = {
    summary = "Kinds of reports, and those that were made, newest first", role = "viewer", tags = { "reports" },
    query = { limit = "integer 1..1000 = 100", cursor = "text? 1..64 -- next_cursor of the page before" },
    response = { [200] = { reports = { "array", of = "any" }, results = { "array", of = "report_result" },
      next_cursor = "text?" } },
    run = function(req)
      local page = report.list(req.query)
      page.reports = report.kinds()
      return page
    end,
  },

  ["GET /api/v1/reports/{name}"] = {
    summary = "One kind of report: parameters, columns, months; and those that were made", role = "viewer",
    tags = { "reports" }, path = NAME,
    query = { month = "month?", limit = "integer 1..1000 = 100", cursor = "text? 1..64" },
    response = { [200] = "any", [404] = "error" },
    run = function(req)
      local about = report.kinds(req.path.name)
      local page = report.list({ name = req.path.name, month = req.query.month, limit = req.query.limit,
        cursor = req.query.cursor })
      about.results, about.next_cursor = page.results, page.next_cursor
      return about
    end,
  },

  ["GET /api/v1/reports/{name}/results/{result_id}"] = {
    summary = "One report that was made", role = "viewer", tags = { "reports" }, path = RESULT,
    response = { [200] = "report_result", [404] = "error" },
    run = function(req) return report.get(req.path.name, req.path.result_id) end,
  },

  ["DELETE /api/v1/reports/{name}/results/{result_id}"] = {
    summary = "Delete a report that was made", role = "operator", tags = { "reports" }, path = RESULT,
    response = { [204] = false, [404] = "error" },
    run = function(req)
      report.remove(req.path.name, req.path.result_id)
      return nil, 204
    end,
  },

  ["GET /api/v1/reports/{name}/results/{result_id}/{file}"] = {
    summary = "A file of a report", description = "By its name, or just html, csv, xlsx or json.",
    role = "viewer", tags = { "reports" },
    path = { name = "text 1..100", result_id = "text 1..64", file = "text 1..200" },
    response = { [200] = { content_type = "text/html" }, [404] = "error" },
    run = function(req) return serve(report.file(req.path.name, req.path.result_id, req.path.file)) end,
  },

  ["GET /reports/shared/{token}"] = {
    summary = "The page of a report, by a link that was made with share_seconds", role = false, tags = { "reports" },
    path = { token = "text 20..100" }, rate = "5/s",
    response = { [200] = { content_type = "text/html" }, [404] = "error" },
    run = function(req) return serve(report.shared(req.path.token)) end,
  },

  ["POST /api/v1/reports/{name}/preview"] = {
    summary = "The page of a report with a template that is not saved",
    description = "Against what is stored, with limits: 1,000 rows, 5 seconds, 8 MiB. Answers with the page, or with "
      .. "validation_error: details have file, line, reason and the lines around it.",
    role = "operator", tags = { "reports" }, path = NAME, deadline = 30,
    body = {
      ["template?"] = "text 0..1000000 -- of page.html; default: the one that is saved",
      ["templates?"] = { "map", of = "text 0..1000000", max = 20, doc = "other files: name and text" },
      ["prediction_month?"] = WANTED.prediction_month, ["model_id?"] = WANTED.model_id,
      ["filters?"] = WANTED.filters, ["parameters?"] = WANTED.parameters,
    },
    response = { [200] = { content_type = "text/html" }, [404] = "error", [422] = "error" },
    run = function(req)
      local body, templates = req.body, {}
      for file, text in pairs(body.templates or {}) do templates[file] = text end
      if body.template then templates["page.html"] = body.template end
      local w = wanted(body, { templates = templates })
      w.month = w.prediction_month
      local out = report.preview(req.path.name, w)
      return reply.html(out.page, { policy = out.policy,
        headers = { ["x-records-count"] = tostring(out.records_count) } })
    end,
  },
}
