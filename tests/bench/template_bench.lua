-- A table of 1,000 rows and 8 columns, escaped, against Jinja2 (tests/bench/template_bench.py makes
-- the same page). Prints rows a second.
local template = require("template")
local time = require("time")

local engine = template.engine({
  load = function()
    return [[
<table>
{% for r in rows %}
<tr><td>{{ r.barcode }}</td><td>{{ r.artist }}</td><td>{{ r.album }}</td><td>{{ r.price }}</td>
<td>{{ r.sold }}</td><td>{{ r.stock }}</td><td>{{ r.mean }}</td><td>{{ r.style }}</td></tr>
{% end %}
</table>
]]
  end,
})

local rows = {}
for i = 1, 1000 do
  rows[i] = { barcode = "46" .. (10000000000 + i), artist = "Artist & Sons " .. i % 50, album = "Album <" .. i .. ">",
    price = 690 + i % 100, sold = i % 7, stock = i % 11, mean = i * 0.37, style = "Rock" }
end

local page = engine:render("page", { rows = rows })
local best = math.huge
for _ = 1, 5 do
  local from = time.monotonic()
  for _ = 1, 50 do engine:render("page", { rows = rows }) end
  best = math.min(best, (time.monotonic() - from) / 50)
end
print(string.format("template: %d bytes, %.2f ms a page, %.0f rows/s", #page, best * 1000, 1000 / best))
