-- chart.lua - charts for reports: inline SVG that prints well and needs nothing from outside. What it
-- makes goes into a template as it is: {{ chart.line{…} }}.
--
-- No styles are inside (the content policy of pages forbids them): shapes carry classes that
-- workflows/reports/report.css colours. Series are told apart by shape and brightness too, for those who
-- do not see all colours and for black and white printers.

local core = require("core.chart")
local text = require("core.text")
local chart = {}

local floor, ceil, max, min, huge = math.floor, math.ceil, math.max, math.min, math.huge
local format, concat = string.format, table.concat
local LABEL_PX = 6.6 -- width of one character of an axis label
local POINTS_MAX = 5000

local function fail(message)
  error({ code = "invalid", message = message }, 0)
end

-- Shortest text of a coordinate.
local function px(v)
  return (format("%.1f", v):gsub("%.0$", ""))
end

local function escape(v)
  return text.html(tostring(v))
end

-- A number for an axis or a mark: with the separators of the chart's language.
local function shown(opt, v)
  local decimals = opt.decimals
  if not decimals then
    local a = math.abs(v)
    decimals = (a >= 100 or v == floor(v)) and 0 or a >= 1 and 1 or 2
  end
  return text.number(v, decimals, opt.group or "\u{A0}", opt.point or ".") .. (opt.unit or "")
end

--- Round numbers for an axis, from at most `low` to at least `high`.
--- @param low number
--- @param high number
--- @param n integer?  about so many steps, 5
--- @return table  array of numbers: 1, 2, 2.5 or 5 times a power of ten apart
--- Source: ours
function chart.ticks(low, high, n)
  if not (low > -huge and high < huge and low <= high) then fail("a chart from " .. tostring(low) .. " to "
    .. tostring(high)) end
  if high == low then high = low + 1 end
  local raw = (high - low) / (n or 5)
  local power = 10.0 ^ floor(math.log(raw, 10))
  local step = 10 * power
  for _, m in ipairs({ 1, 2, 2.5, 5 }) do
    if m * power >= raw * 0.999999 then
      step = m * power
      break
    end
  end
  local ticks, first = {}, floor(low / step + 1e-9)
  for i = 0, 50 do
    ticks[i + 1] = text.round((first + i) * step, 10)
    if ticks[i + 1] >= high - step * 1e-9 then break end
  end
  return ticks
end

local function numbers(name, list, n)
  if type(list) ~= "table" then fail(name .. " is a " .. type(list) .. ", expected an array of numbers") end
  n = n or #list
  if n > POINTS_MAX then fail(name .. " has " .. n .. " points, at most " .. POINTS_MAX .. " can be drawn") end
  for i = 1, n do
    local v = list[i]
    if v == false then v = nil end
    if v ~= nil and (type(v) ~= "number" or v ~= v or v == huge or v == -huge) then
      fail(format("%s[%d] is %s, expected a finite number", name, i, tostring(v)))
    end
  end
  return list
end

local function bounds(lists, low, high)
  for _, list in ipairs(lists) do
    for i = 1, list.n do
      local v = list.of[i]
      if v then low, high = min(low, v), max(high, v) end
    end
  end
  return low, high
end

local function head(opt, class, width, height)
  local s = format('<svg class="chart %s" viewBox="0 0 %d %d" role="img"', class, width, height)
  return { s .. (opt.title and ' aria-label="' .. escape(opt.title) .. '">' or ">") }
end

local function add(p, ...)
  p[#p + 1] = format(...)
end

local function done(p)
  p[#p + 1] = "</svg>"
  return text.raw(concat(p))
end

local function label(p, x, y, class, s)
  add(p, '<text x="%s" y="%s" class="%s">%s</text>', px(x), px(y), class, escape(s))
end

-- The frame: horizontal lines with their numbers. Returns y(v), left, right, top, bottom.
local function frame(p, opt, width, height, low, high, room)
  local ticks = chart.ticks(low, high, opt.n_ticks or 4)
  local widest = 0
  for _, v in ipairs(ticks) do widest = max(widest, utf8.len(shown(opt, v)) or 0) end
  local left, right, top, bottom = widest * LABEL_PX + 10, width - 8, 10 + (room or 0), height - 22
  local from, to = ticks[1], ticks[#ticks]
  local function y(v) return bottom - (v - from) / (to - from) * (bottom - top) end
  for _, v in ipairs(ticks) do
    add(p, '<line class="%s" x1="%s" x2="%s" y1="%s" y2="%s"/>', v == 0 and "axis" or "grid", px(left), px(right),
      px(y(v)), px(y(v)))
    label(p, left - 6, y(v) + 4, "tick end", shown(opt, v))
  end
  return y, left, right, top, bottom
end

-- Labels under the x axis: as many as fit side by side, the last always.
local function x_labels(p, labels, n, x, y, room, edge)
  local widest = 1
  for i = 1, n do widest = max(widest, utf8.len(tostring(labels[i] or "")) or 1) end
  local every = max(1, ceil(n * (widest + 1.5) * LABEL_PX / max(room, 1)))
  for i = n, 1, -every do
    local half = (utf8.len(tostring(labels[i] or "")) or 0) * LABEL_PX / 2
    if labels[i] and labels[i] ~= "" then label(p, min(x(i), edge - half), y, "tick middle", labels[i]) end
  end
end

-- Runs of points that are there: { from, to }.
local function runs(of, n)
  local list, from = {}, nil
  for i = 1, n + 1 do
    local there = i <= n and of[i]
    if there and not from then from = i end
    if not there and from then list[#list + 1], from = { from, i - 1 }, nil end
  end
  return list
end

local function path(of, from, to, x, y)
  local parts = {}
  for i = from, to do parts[#parts + 1] = px(x(i)) .. " " .. px(y(of[i])) end
  return parts
end

local function legend(p, names, left)
  local x = left
  for i, name in ipairs(names) do
    add(p, '<line class="line s%d" x1="%s" x2="%s" y1="9" y2="9"/>', i, px(x), px(x + 18))
    label(p, x + 23, 13, "legend", name)
    x = x + 36 + (utf8.len(name) or #name) * LABEL_PX
  end
end

--- Lines over the same labels, with a band around them: what was and what is forecast.
--- @param opt table { labels = { text, … }, series = { { name =, values = { number or false, … } }, … },
---   band = { low = {…}, high = {…} }?, inner = a narrower band?, width = 640, height = 220, title, group,
---   point, unit, decimals }
--- @return any  for a template
--- Raises: invalid
--- Source: ours
function chart.line(opt)
  local width, height = opt.width or 640, opt.height or 220
  local labels, n, lists = opt.labels or {}, #(opt.labels or {}), {}
  local names = {}
  for i, s in ipairs(opt.series or {}) do
    lists[i] = { of = numbers("series[" .. i .. "]", s.values, n), n = n }
    names[i] = s.name
  end
  for _, k in ipairs({ "band", "inner" }) do
    for _, side in ipairs({ "low", "high" }) do
      if opt[k] then lists[#lists + 1] = { of = numbers(k .. "." .. side, opt[k][side], n), n = n } end
    end
  end
  local p = head(opt, "chart-line", width, height)
  local low, high = bounds(lists, 0, 0)
  local y, left, right, _, bottom = frame(p, opt, width, height, low, high, #names > 1 and 12 or 0)
  local function x(i) return n > 1 and left + 6 + (i - 1) * (right - left - 12) / (n - 1) or (left + right) / 2 end
  for _, k in ipairs({ "band", "inner" }) do
    for _, run in ipairs(opt[k] and runs(opt[k].high, n) or {}) do
      local up, down = path(opt[k].high, run[1], run[2], x, y), path(opt[k].low, run[1], run[2], x, y)
      if run[1] == run[2] then -- one point: a bar
        add(p, '<rect class="%s" x="%s" y="%s" width="10" height="%s"/>', k, px(x(run[1]) - 5),
          px(y(opt[k].high[run[1]])), px(max(1, y(opt[k].low[run[1]]) - y(opt[k].high[run[1]]))))
      else
        for i = 1, #down // 2 do down[i], down[#down + 1 - i] = down[#down + 1 - i], down[i] end
        add(p, '<path class="%s" d="M%sL%sZ"/>', k, concat(up, "L"), concat(down, "L"))
      end
    end
  end
  for i, s in ipairs(opt.series or {}) do
    for _, run in ipairs(runs(s.values, n)) do
      if run[2] > run[1] then
        add(p, '<path class="line s%d" d="M%s"/>', i, concat(path(s.values, run[1], run[2], x, y), "L"))
      end
      if run[2] == run[1] or n <= 40 then
        for at = run[1], run[2] do
          add(p, '<circle class="dot s%d" cx="%s" cy="%s" r="2.6"><title>%s: %s</title></circle>', i, px(x(at)),
            px(y(s.values[at])), escape(labels[at]), escape(shown(opt, s.values[at])))
        end
      end
    end
  end
  if #names > 1 then legend(p, names, left) end
  x_labels(p, labels, n, x, bottom + 16, right - left, width - 2)
  return done(p)
end

--- Bars side by side, each with its label on the left and its number behind it: comparisons.
--- @param opt table { labels, values, marks = { number, … }? (a line across each bar, to compare with),
---   width = 640, bar = 20 (height of one), title, group, point, unit, decimals, highlight = index? }
--- @return any  for a template
--- Raises: invalid
--- Source: ours
function chart.bars(opt)
  local labels, n = opt.labels or {}, #(opt.labels or {})
  local values = numbers("values", opt.values or {}, n)
  local marks = opt.marks and numbers("marks", opt.marks, n)
  local bar, width = opt.bar or 20, opt.width or 640
  local widest, number = 1, 1
  local _, high = bounds({ { of = values, n = n }, { of = marks or {}, n = n } }, 0, 0)
  for i = 1, n do
    widest = max(widest, utf8.len(tostring(labels[i])) or 1)
    number = max(number, utf8.len(shown(opt, values[i] or 0)) or 1)
  end
  local left = min(widest * LABEL_PX + 10, width * 0.4)
  local room = width - left - number * LABEL_PX - 12
  local fits = floor((left - 10) / LABEL_PX + 0.5)
  local p = head(opt, "chart-bars", width, n * bar + 4)
  for i = 1, n do
    local v, y = values[i] or 0, (i - 1) * bar + 3
    local w = high > 0 and max(0, v) / high * room or 0
    local name = tostring(labels[i])
    if (utf8.len(name) or 0) > fits then name = name:sub(1, utf8.offset(name, fits) - 1) .. "…" end
    label(p, left - 6, y + bar / 2 + 2, "tick end", name)
    add(p, '<rect class="bar%s" x="%s" y="%s" width="%s" height="%s"><title>%s: %s</title></rect>',
      opt.highlight == i and " strong" or "", px(left), px(y), px(max(w, 0.5)), px(bar - 6), escape(labels[i]),
      escape(shown(opt, v)))
    if marks and marks[i] then
      local x = left + (high > 0 and marks[i] / high * room or 0)
      add(p, '<line class="mark" x1="%s" x2="%s" y1="%s" y2="%s"/>', px(x), px(x), px(y - 2), px(y + bar - 4))
    end
    label(p, left + max(w, marks and marks[i] and high > 0 and marks[i] / high * room or 0) + 5, y + bar / 2 + 2,
      "value", shown(opt, v))
  end
  return done(p)
end

--- Columns over an axis: how many of what size.
--- @param opt table { labels, values, width = 640, height = 200, title, group, point, unit, decimals,
---   highlight = index? }
--- @return any  for a template
--- Raises: invalid
--- Source: ours
function chart.columns(opt)
  local width, height = opt.width or 640, opt.height or 200
  local labels, n = opt.labels or {}, #(opt.labels or {})
  local values = numbers("values", opt.values or {}, n)
  local p = head(opt, "chart-columns", width, height)
  local low, high = bounds({ { of = values, n = n } }, 0, 0)
  local y, left, right, _, bottom = frame(p, opt, width, height, low, high)
  local step = (right - left) / max(n, 1)
  local function x(i) return left + (i - 0.5) * step end
  for i = 1, n do
    local v = values[i] or 0
    add(p, '<rect class="bar%s" x="%s" y="%s" width="%s" height="%s"><title>%s: %s</title></rect>',
      opt.highlight == i and " strong" or "", px(x(i) - step * 0.4), px(y(max(v, 0))), px(step * 0.8),
      px(max(0.5, math.abs(y(0) - y(v)))), escape(labels[i]), escape(shown(opt, v)))
  end
  x_labels(p, labels, n, x, bottom + 16, right - left, width - 2)
  return done(p)
end

--- How often values fall between the bounds: a histogram of an array of numbers.
--- @param opt table { values, bins = 20, and what chart.columns takes }
--- @return any  for a template
--- Raises: invalid
--- Source: ours
function chart.histogram(opt)
  local values = opt.values or {}
  local low, high = bounds({ { of = numbers("values", values), n = #values } }, huge, -huge)
  if #values == 0 then low, high = 0, 1 end
  local ticks = chart.ticks(low, high, opt.bins or 20)
  local from, step = ticks[1], ticks[2] - ticks[1]
  local counts, labels = {}, {}
  for i = 1, #ticks - 1 do counts[i], labels[i] = 0, shown(opt, ticks[i]) end
  for _, v in ipairs(values) do
    local i = min(#counts, max(1, floor((v - from) / step + 1e-9) + 1))
    counts[i] = counts[i] + 1
  end
  local o = {}
  for k, v in pairs(opt) do o[k] = v end
  o.values, o.labels, o.decimals, o.unit = counts, labels, 0, nil
  return chart.columns(o)
end

--- A line without axes, for a row of a table.
--- @param series string|table  numbers with blanks between, as month_series(…) in SQL gives, or an array
--- @param width integer?  104
--- @param height integer?  22
--- @return any  for a template; nothing when there is no series
--- Raises: parse, limit, nan
--- Source: ours
function chart.spark(series, width, height)
  if series == nil or series == "" then return nil end
  return text.raw(core.spark(series, width or 104, height or 22))
end

--- Five rising quantiles as bars on a square root scale, for a row of a table.
--- @param q05 number
--- @param q25 number
--- @param q50 number
--- @param q75 number
--- @param q95 number
--- @param high number  end of the scale, above 0
--- @param width integer?  110
--- @param height integer?  14
--- @return any  for a template
--- Raises: nan
--- Source: ours
function chart.interval(q05, q25, q50, q75, q95, high, width, height)
  return text.raw(core.interval(q05, q25, q50, q75, q95, high, width or 110, height or 14))
end

return chart
