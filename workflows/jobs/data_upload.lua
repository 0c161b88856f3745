-- data_upload.lua - the monthly upload: workbooks of stock and sales become facts. POST
-- /api/v1/jobs/data-upload starts it. What each step does is in workflows/lib/upload.lua; columns and
-- cleaning rules are in workflows/catalogue.lua.

local catalogue = require("catalogue")
local db = require("db")
local fs = require("fs")
local settings = require("settings")
local upload = require("upload")

local XLSX_ROWS_MAX = 1000000

return {
  summary = "Read, clean and store a month's stock and sales",
  hidden = true, -- needs files: it has a route of its own
  role = "operator", attempts = 3, deadline = "2h", concurrency = 1, refractory = false,
  params = {
    files = { "array", min = 2, max = 200, of = {
      kind = "stock|sales", name = "text 1..255 -- as it was sent",
      stored = "text 1..255 -- its name in uploads/ of the data folder", sha256 = "text 64..64" } },
    overwrite = "boolean = false", fill_missing_days = "boolean = true", dry_run = "boolean = false",
    stock_date = "date?", sheet = "text? 1..200",
  },
  run = function(job)
    local files, folder = {}, settings.data_root_dir .. "/uploads/"
    for i, f in ipairs(job.params.files) do
      if f.stored:find("/", 1, true) or f.stored:sub(1, 1) == "." then
        error({ code = "invalid", message = "no file of uploads/: " .. f.stored }, 0)
      end
      files[i] = { kind = f.kind, name = f.name, path = folder .. f.stored, sha256 = f.sha256 }
    end
    local fields, d = upload.fields(job.params), job:scratch()
    local result = upload.run(d, db.main(), {
      catalogue = catalogue, files = files, fields = fields, hash = upload.hash(files, fields), job_id = job.id,
      progress = function(share, text) job:progress(share, text) end,
      on_rejects = function(counts)
        upload.write_rejects(d, catalogue, job:file("rejected.csv"))
        if counts.rejected <= XLSX_ROWS_MAX then upload.write_rejects(d, catalogue, job:file("rejected.xlsx")) end
        if counts.rejected > 0 then
          job:log(counts.rejected .. " of " .. counts.read .. " rows are rejected", "warn")
        end
      end,
    }, function(name, fn) return job:step(name, fn) end)
    for _, f in ipairs(files) do pcall(fs.remove, f.path) end
    return result
  end,
}
