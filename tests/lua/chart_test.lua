-- Charts: well-formed, to scale, escaped; and what cannot be drawn says why.
local chart = require("chart")
local n = 0

local function check(cond, what)
  n = n + 1
  if not cond then error("failed: " .. what, 2) end
end

local function same(found, expected)
  n = n + 1
  if found ~= expected then error(("found %s, expected %s"):format(tostring(found), tostring(expected)), 2) end
end

-- Every tag is closed in its order, every attribute quoted, no style anywhere, no < in texts.
local function well_formed(svg)
  local s, open = tostring(svg), {}
  local rest = s:gsub("<(/?)(%a+)([^<>]*)>", function(close, name, attributes)
    if close == "/" then
      same(name, table.remove(open))
    elseif attributes:sub(-1) ~= "/" then
      open[#open + 1] = name
    end
    local left = attributes:gsub('%s[%a%d%-:]+="[^"<]*"', ""):gsub("[%s/]", "")
    same(left, "")
    check(not attributes:find("style=", 1, true), "no styles")
    for number in attributes:gmatch('%s[xyrhwd12cvit]+="([^"]*)"') do
      check(not number:find("nan") and not number:find("inf") and not number:find("e"), "a plain number: " .. number)
    end
    return ""
  end)
  same(#open, 0)
  check(not rest:find("[<>]"), "all tags were read: " .. rest:sub(1, 80))
  return s
end

local function fails(fn, opt, part)
  local ok, e = pcall(fn, opt)
  n = n + 1
  local message = type(e) == "table" and e.message or tostring(e)
  if ok or not message:find(part, 1, true) then error("found " .. message .. ", expected " .. part, 2) end
end

-- ticks
local function ticks(low, high, steps) return table.concat(chart.ticks(low, high, steps), " ") end
same(ticks(0, 10), "0.0 2.0 4.0 6.0 8.0 10.0")
same(ticks(0, 7, 4), "0.0 2.0 4.0 6.0 8.0")
same(ticks(-3, 3, 4), "-4.0 -2.0 0.0 2.0 4.0")
same(ticks(0, 0), "0.0 0.2 0.4 0.6 0.8 1.0")
same(ticks(0.01, 0.013, 3), "0.01 0.011 0.012 0.013")
check(#chart.ticks(0, 1e12) <= 12 and #chart.ticks(0, 1e-9) <= 12, "never many")
fails(function() chart.ticks(0, 1 / 0) end, nil, "a chart from")

-- lines
local line = well_formed(chart.line({ labels = { "2025-01", "a<b>&\"", "c" }, title = "t<&\"",
  series = { { name = "sold<", values = { 1, 5, false } }, { name = "to come", values = { false, 5, 4 } } },
  band = { low = { false, 5, 1 }, high = { false, 5, 8 } } }))
check(line:find("a&lt;b&gt;&amp;", 1, true) and line:find("t&lt;&amp;&#34;", 1, true), "escaped")
check(line:find('class="band"', 1, true), "the band")
same(select(2, line:gsub('class="line s%d" d=', "")), 2)
same(select(2, line:gsub("<circle", "")), 4)
check(well_formed(chart.line({ labels = { "one" }, series = { { values = { 3 } } },
  inner = { low = { 1 }, high = { 5 } } })):find('class="inner"'), "a band at one point is a bar")
well_formed(chart.line({ labels = {}, series = { { values = {} } } }))
well_formed(chart.line({ labels = { "a", "b", "c" }, series = { { values = { -5, false, 5 } } }, group = ",",
  point = ".",
  unit = "%", decimals = 1 }))
local many, values = {}, {}
for i = 1, 120 do many[i], values[i] = ("month %03d"):format(i), i end
line = well_formed(chart.line({ labels = many, series = { { values = values } } }))
check(select(2, line:gsub("month", "")) < 20, "labels do not overlap")
check(line:find("month 120", 1, true), "the last label is there")
fails(chart.line, { labels = { "a" }, series = { { values = { 0 / 0 } } } }, "series[1][1] is")
fails(chart.line, { labels = { "a" }, series = { { values = { 1 / 0 } } } }, "expected a finite number")
fails(chart.line, { labels = { "a" }, series = { { values = { "1" } } } }, "expected a finite number")
fails(chart.line, { labels = { "a" }, series = { {} } }, "expected an array of numbers")

-- bars and columns: lengths are to scale
local bars = well_formed(chart.bars({ labels = { "Rock & Roll", "Jazz" }, values = { 100, 50 }, marks = { 80, 80 },
  highlight = 2 }))
local wide, half = bars:match('class="bar" x="[%d.]+" y="[%d.]+" width="([%d.]+)"'),
  bars:match('class="bar strong" x="[%d.]+" y="[%d.]+" width="([%d.]+)"')
check(math.abs(wide / 2 - half) < 0.2, "half as long")
same(select(2, bars:gsub('class="mark"', "")), 2)
well_formed(chart.bars({ labels = { "a" }, values = { 0 } }))
well_formed(chart.bars({ labels = {}, values = {} }))
check(well_formed(chart.bars({ labels = { ("ы"):rep(200) }, values = { 1 } })):find("…"), "long labels are cut")
local columns = well_formed(chart.columns({ labels = { "a", "b", "c" }, values = { 10, 5, -5 } }))
local heights = {}
for h in columns:gmatch('<rect class="bar"[^>]* height="([%d.]+)"') do heights[#heights + 1] = tonumber(h) end
check(#heights == 3 and math.abs(heights[1] - 2 * heights[2]) < 0.2 and math.abs(heights[2] - heights[3]) < 0.2,
  "heights to scale")
local spread = well_formed(chart.histogram({ values = { 1, 1.5, 2, 2, 9 }, bins = 4 }))
check(spread:find(": 4</title>", 1, true) or spread:find(": 2</title>", 1, true), "counted")
well_formed(chart.histogram({ values = {} }))

-- rows of tables
same(chart.spark(nil), nil)
same(chart.spark(""), nil)
check(well_formed(chart.spark("1 2 3")):find('class="spark"'), "a spark")
same(tostring(chart.spark({ 1, 2, 3 }, 60, 20)), tostring(chart.spark("1 2 3", 60, 20)))
fails(chart.spark, "1 x", "no part of a number")
fails(chart.spark, { "x" }, "an array of numbers")
well_formed(chart.interval(0, 1, 2, 3, 4, 5))
fails(function() chart.interval(0, 1, 2, 3, 4, 0) end, nil, "not above 0")
fails(function() chart.interval(0, 0 / 0, 2, 3, 4, 5) end, nil, "not finite")
print(n .. " checks")
