-- report_parts.lua - what several reports have in common.

local text = require("text")

local parts = {}

--- A price category in words: "(689.999, 2490.0]" is "690 – 2 490 ₽".
--- @param t table  words
--- @param category string
--- @return string
function parts.price_label(t, category)
  local low, high = category:match("^%((%S+), (%S+)%]$")
  local function shown(v) return text.number(math.ceil(v), 0, t.group, t.point) end
  low, high = tonumber(low), tonumber(high)
  if not low then return category end -- "inf" is no number
  if not high then return "> " .. shown(low) .. "\u{A0}" .. t.currency end
  return shown(low) .. " – " .. shown(high) .. "\u{A0}" .. t.currency
end

--- Bars of the rows of a query: { name (or label), v }.
--- @param chart table
--- @param rows table
--- @param opt table  of chart.bars
--- @return any  for a template
function parts.bars(chart, rows, opt)
  local labels, values = {}, {}
  for i, r in ipairs(rows) do labels[i], values[i] = r.label or r.name, r.v end
  opt.labels, opt.values = labels, values
  opt.width, opt.bar, opt.decimals = opt.width or 640, opt.bar or 20, opt.decimals or 0
  return chart.bars(opt)
end

return parts
