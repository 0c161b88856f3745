-- template_filter.lua - what may stand behind | in a template: {{ price | money }}. nil passes through
-- every filter but default and shows as nothing.

local text = require("core.text")
local json = require("json")
local time = require("time")
local filter = {}

local NBSP = "\u{A0}"

local function moment_of(v)
  if type(v) == "number" then return v end
  return time.parse(v)
end

--- The filters of one engine.
--- @param opt table { group, point, currency, date, filters } as template.engine
--- @return table name to function(value, …)
function filter.new(opt)
  local group, point, currency = opt.group or NBSP, opt.point or ",", opt.currency or "₽"
  local date_form = opt.date or "%d.%m.%Y"
  local F = {}

  --- As it is, not escaped.
  function F.raw(v)
    if v == nil then return nil end
    return text.raw(tostring(v))
  end

  --- Another value where there is none.
  function F.default(v, other)
    if v == nil or v == json.null or v == "" then return other end
    return v
  end

  --- 1 234,50: rounded half up, thousands apart.
  function F.number(v, decimals)
    return v and text.number(v, decimals or 0, group, point)
  end

  --- 1 234 ₽
  function F.money(v, decimals)
    return v and text.number(v, decimals or 0, group, point) .. NBSP .. currency
  end

  --- 0.256 as 26 %
  function F.percent(v, decimals)
    return v and text.number(v * 100, decimals or 0, group, point) .. NBSP .. "%"
  end

  --- With at most so many decimals, none that are 0.
  function F.round(v, decimals)
    return v and text.round(v, decimals or 0)
  end

  --- As the API shows numbers: three decimals, or the first that is not 0.
  function F.tidy(v)
    return v and text.tidy(v)
  end

  --- A date or moment; %d %m %Y %y %H %M %S stand for its parts.
  function F.date(v, form, zone)
    if v == nil then return nil end
    local p = time.parts(moment_of(v), zone)
    local parts = { d = p.day, m = p.month, y = p.year % 100, H = p.hour, M = p.minute, S = p.second }
    return ((form or date_form):gsub("%%(%a)", function(c)
      if c == "Y" then return string.format("%04d", p.year) end
      return parts[c] and string.format("%02d", parts[c]) or "%" .. c
    end))
  end

  --- A value for a script on the page: inside <script>, not inside an attribute.
  function F.json(v)
    return text.raw(json.encode(v, { html = true, sorted = true }))
  end

  --- One part of an address.
  function F.url(v)
    return v ~= nil and text.url(tostring(v)) or nil
  end

  --- The items of a list with a text between them.
  function F.join(v, between)
    if v == nil then return nil end
    local items = {}
    for i, item in ipairs(v) do items[i] = tostring(item) end
    return table.concat(items, between or ", ")
  end

  --- Items of a list, or characters of a text.
  function F.length(v)
    if type(v) == "string" then return utf8.len(v) or #v end
    return v and #v
  end

  --- At most so many characters, with … when something was cut.
  function F.cut(v, n)
    local at = v and utf8.len(v) and utf8.len(v) > n and utf8.offset(v, n + 1)
    return at and v:sub(1, at - 1) .. "…" or v
  end

  for name, fn in pairs(opt.filters or {}) do F[name] = fn end
  return F
end

return filter
