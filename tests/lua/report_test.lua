-- What a generation with reports in it is refused for, and says.
local g = require("generation")
require("kinds")
local words = require("words")
local n = 0

local function check(cond, what)
  n = n + 1
  if not cond then error("failed: " .. tostring(what), 2) end
end

local FORMS = 'group = " ", point = ",", currency = "R", date = "%d.%m.%Y", '
  .. 'months = { "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12" }'
local WORDS = "return { ru = { " .. FORMS .. ', sales = "Продажи" }, en = { ' .. FORMS .. ', sales = "Sales" } }'
local function declaration(more)
  return 'return { title = "sales", months = "SELECT 1 AS month", query = "SELECT 1 AS a", '
    .. 'columns = { { name = "a" } }' .. (more or "") .. " }"
end
local function files(change)
  local f = { ["words.lua"] = WORDS, ["reports/sales/report.lua"] = declaration(),
    ["reports/sales/page.html"] = "{% extends 'layout.html' %}{% block body %}{% include 'row.html' %}{% end %}",
    ["reports/layout.html"] = "<p>{% block body %}{% end %}", ["reports/sales/row.html"] = "{{ 1 }}",
    ["reports/report.css"] = "p { color: red }", ["reports/report.js"] = "1;" }
  for k, v in pairs(change or {}) do f[k] = v or nil end
  return f
end

local function refused(change, part)
  local ok, err = pcall(g.build, files(change))
  n = n + 1
  if ok or type(err) ~= "table" or not err.message:find(part, 1, true) then
    local found = ok and "no error" or type(err) == "table" and err.message or tostring(err)
    error("expected " .. part .. ", found " .. found, 2)
  end
end

local made = g.build(files())
check(made.reports.sales.known.a and made.words.en.sales == "Sales", "built")
check(made.reports.sales.assets.policy:find("script-src 'sha256-", 1, true), "a policy that lets its own script run")
check(g.build(files({ ["reports/sales/row.html"] = "{{ 2 }}" })).id ~= made.id, "templates are part of the generation")

local PAGE = "reports/sales/page.html"
refused({ [PAGE] = "a\n{{ 1 + }}" }, "workflows/reports/sales/page.html:2:")
refused({ [PAGE] = "a\n{% if x %}" }, "workflows/reports/sales/page.html:2: if is not closed")
refused({ [PAGE] = "\n\n{% include 'nothing.html' %}" }, "workflows/reports/sales/page.html:3: include: neither")
refused({ [PAGE] = "{% extends 'nothing.html' %}" }, "page.html: extends nothing.html")
refused({ [PAGE] = false }, "page.html: is missing")
refused({ ["reports/layout.html"] = "{{ x | nofilter }}" }, "workflows/reports/layout.html:1: there is no filter")
refused({ ["reports/sales/report.lua"] = false }, "is in a folder without report.lua")
refused({ ["reports/report.js"] = "x = '</script>'" }, "report.js: has a closing tag in it")
local function declared(more, part) refused({ ["reports/sales/report.lua"] = declaration(more) }, part) end
declared(", tittle = 1", "unknown key tittle; did you mean title?")
declared(", page_rows = 'many'", "page_rows is a string, expected a number")
declared(", steps = { 1 }", "steps[1] is a number")
declared(", params = { x = 'nmber' }", "params")
declared(", columns = { { name = 'a', style = 'fat' } }", "columns[1].style is fat")
declared(", columns = { { name = 'a' }, { name = 'a' } }", "the column a is there twice")
declared(", columns = { { name = 'a b' } }", "expected the name of a column")
declared(", columns = {}", "columns is empty")
refused({ ["reports/sales/report.lua"] = "return { title = 'x' }" }, "months is missing")
refused({ ["reports/Sales/report.lua"] = declaration() }, "NAME of small letters")

-- words
refused({ ["words.lua"] = "return { ru = { " .. FORMS .. ", a = 'x' }, en = { " .. FORMS .. " } }" },
  "en.a is missing; ru has it")
refused({ ["words.lua"] = "return { ru = { a = 'x' } }" }, " is missing")
refused({ ["words.lua"] = "return { ru = { " .. FORMS .. ", a = 1 } }" }, "ru.a is a number")
local list = words.of(made.words, "en")
check(list.sales == "Sales" and words.month(list, "2026-03-01") == "3 2026", "words")
local ok, err = pcall(function() return list.nothing end)
check(not ok and err.message:find("no word 'nothing'"), "a word that is not there")
ok, err = pcall(words.of, made.words, "de")
check(not ok and err.message:find("expected one of en, ru"), "a language that is not there")
print(n .. " checks")
