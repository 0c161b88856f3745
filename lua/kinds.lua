-- kinds.lua - the kinds of workflow files there are, by folder (or by name, for the single files), and
-- who checks each. Every process that builds generations requires this first.

local generation = require("generation")
local kinds = {}

generation.kind("catalogue", require("catalogue").kind)
generation.kind("routes", require("route").kind)
generation.kind("jobs", require("job_def").kind)
generation.kind("reports", require("report_def").kind)
generation.kind("words", require("words").kind)

return kinds
