-- upload_case.lua - runs uploads through the pipeline of workflows/lib, without a server: for
-- tests/server/golden_upload_pipeline.py.
--
--   plastinka lua tests/support/upload_case.lua FOLDER
--
-- FOLDER/steps.json is an array of { files, fields, current_year }. Facts go to FOLDER/main.db, results to
-- FOLDER/results.json, rejected rows of step i to FOLDER/rejects_i.csv.
local db, fs, json = require("db"), require("fs"), require("json")
local generation = require("generation")
require("kinds")

local folder = arg[1]
local files = generation.read()
files["routes/upload_case.lua"] = "return { upload = require('upload') }"
for path in pairs(files) do
  if path:find("^routes/") and path ~= "routes/upload_case.lua" or path:find("^jobs/") then files[path] = nil end
end
generation.kind("routes", {
  check = function(_, value) return value end,
  build = function(parts) return parts[1].value end,
})
local g = generation.build(files)
local upload = g.routes.upload

local main <close> = db.open(folder .. "/main.db")
main:migrate()
local results = json.array({})
for i, step in ipairs(json.decode(fs.read(folder .. "/steps.json"))) do
  local d <close> = upload.scratch(folder .. "/scratch_" .. i .. ".db")
  local fields = upload.fields(step.fields)
  local shares = 0
  local ok, out = pcall(upload.run, d, main, {
    catalogue = g.catalogue, files = step.files, fields = fields, hash = upload.hash(step.files, fields),
    current_year = step.current_year,
    progress = function(share, text)
      if share < shares or share > 1 or type(text) ~= "string" then error("progress went from " .. shares .. " to " .. share) end
      shares = share
    end,
    on_rejects = function() upload.write_rejects(d, g.catalogue, folder .. "/rejects_" .. i .. ".csv") end,
  })
  if ok then
    results[i] = { ok = true, result = out }
  elseif type(out) == "table" then
    results[i] = { ok = false, code = out.code, message = out.message, details = out.details }
  else
    error(out, 0)
  end
end
fs.write(folder .. "/results.json", json.encode(results))
