-- Renders the page of template_bench.py, plain or formatted, and prints rows a second of processor time
-- and the size of the page in bytes.
local template = require("template")
local process = require("process")

local PLAIN = [[
<table>
{% for r in rows %}
<tr><td>{{ r.barcode }}</td><td>{{ r.artist }}</td><td>{{ r.album }}</td><td>{{ r.price }}</td>
<td>{{ r.sold }}</td><td>{{ r.stock }}</td><td>{{ r.mean }}</td><td>{{ r.style }}</td></tr>
{% end %}
</table>
]]
local FORMATTED = PLAIN:gsub("r%.price", "r.price | number"):gsub("r%.mean", "r.mean | number(2)")

local source = arg[1] == "formatted" and FORMATTED or PLAIN
local engine = template.engine({ load = function() return source end })
local rows = {}
for i = 1, 1000 do
  rows[i] = { barcode = "46" .. (10000000000 + i), artist = "Artist & Sons " .. i % 50, album = "Album <" .. i .. ">",
    price = 690 + i % 100 * 37, sold = i % 7, stock = i % 11, mean = i * 0.37, style = "Rock" }
end
local page = engine:render("page", { rows = rows })
local best = math.huge
for _ = 1, 3 do
  local from = process.usage().cpu_seconds
  for _ = 1, 100 do engine:render("page", { rows = rows }) end
  best = math.min(best, process.usage().cpu_seconds - from)
end
print(("%.0f %d"):format(1000 * 100 / best, #page))
