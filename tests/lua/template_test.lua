-- HTML templates: what they write, and where they say an error is.
local template = require("template")
local json = require("json")

local n = 0
local files = {}
local engine

local function fresh(opt)
  opt = opt or {}
  opt.load = function(name) return files[name] end
  engine = template.engine(opt)
end

local function same(found, expected)
  n = n + 1
  if found ~= expected then error(("found %q\nexpected %q"):format(found, expected), 2) end
end

local function gives(source, values, expected)
  fresh()
  files.page = source
  same(engine:render("page", values), expected)
end

local function fails(source, values, code, part)
  fresh()
  files["page.html"] = source
  local ok, e = pcall(engine.render, engine, "page.html", values)
  n = n + 1
  if ok or type(e) ~= "table" or e.code ~= code or not e.message:find(part, 1, true) then
    error(("%q: found %s %s\nexpected %s %s"):format(source, ok, tostring(e), code, part), 2)
  end
end

-- values
gives("plain { text } % #", {}, "plain { text } % #")
gives("", {}, "")
gives("{{ a }}", { a = "<b> & \"c\" 'd'" }, "&lt;b&gt; &amp; &#34;c&#34; &#39;d&#39;")
gives("{{{ a }}}|{{ a | raw }}", { a = "<b>" }, "<b>|<b>")
gives("{{ 1 }} {{ 2.5 }} {{ 4/2 }} {{ true }} {{ t.x }} {{ null }}", { t = {}, null = json.null }, "1 2.5 2 true  ")
gives("{{ a.b[1] .. '}}' }}{{ ({1, 2})[2] }}{{ #{1,2,3} }}", { a = { b = { "x" } } }, "x}}23")
gives("{{ a\n .. b }}", { a = "1", b = "2" }, "12")
gives("{{a}}{{a}}", { a = 1 }, "11")
gives("пластинка {{ x }}", { x = "ё" }, "пластинка ё")

-- filters
local nb = "\u{A0}"
gives("{{ 1234567.891 | number(2) }}", {}, "1" .. nb .. "234" .. nb .. "567,89")
gives("{{ 1234 | money }} {{ 0.256 | percent }} {{ 0.2555 | percent(1) }}", {},
  "1" .. nb .. "234" .. nb .. "₽ 26" .. nb .. "% 25,6" .. nb .. "%")
gives("{{ '2026-01-31' | date }} {{ '2026-01-31T10:05:00Z' | date('%H:%M', 'Europe/Moscow') }}", {}, "31.01.2026 13:05")
gives("{{ t.x | default('-') }}{{ t.x | number }}{{ t.x | date }}{{ t.x | cut(3) }}", { t = {} }, "-")
gives("{{ 'a b/ё' | url }}", {}, "a%20b%2F%D1%91")
gives("<script>x = {{ d | json }}</script>", { d = { a = "</script>", b = { 1, 2.5 } } },
  '<script>x = {"a":"\\u003c/script\\u003e","b":[1,2.5]}</script>')
gives("{{ {'a', '<', 3} | join }} {{ 'пластинка' | length }} {{ 'пластинка' | cut(3) }} {{ 'аб' | cut(2) }}", {},
  "a, &lt;, 3 9 пла… аб")
gives("{{ 0.49849 | tidy }} {{ 2.675 | round(2) }} {{ a .. 'b' | cut(2) | raw }}", { a = "<" }, "0.498 2.68 <b")

-- loops and conditions
gives("{% for x in l %}{{ x }},{% end %}", { l = { 1, 2, 3 } }, "1,2,3,")
gives("{% for x in l %}{{ x }}{% else %}none{% endfor %}", { l = {} }, "none")
gives("{% for k, v in t %}{{ k }}={{ v }} {% end %}", { t = { b = 2, a = 1, c = 3 } }, "a=1 b=2 c=3 ")
gives("{% for i, v in t %}{{ i }}={{ v }} {% end %}", { t = { "x", "y" } }, "1=x 2=y ")
gives("{% for i = 1, 3 %}{{ i }}{% end %}{% for i = 3, 1, -1 %}{{ i }}{% end %}", {}, "123321")
gives("{% for x in l %}{% if not loop.first %}, {% end %}{{ loop.index }}{{ x }}{% end %}",
  { l = { "a", "b" } }, "1a, 2b")
gives("{% for a in l %}{% for b in a %}{{ b }}{% end %};{% end %}", { l = { { 1, 2 }, { 3 } } }, "12;3;")
gives("{% if a %}A{% elseif b %}B{% else %}C{% end %}", { a = false, b = true }, "B")
gives("{% if a == 1 and (b or 2) > 1 %}yes{% endif %}", { a = 1, b = 3 }, "yes")
gives("{% set x = 5 %}{{ x }}{% for i = 1, 2 %}{% set x = x + i %}{% end %}{{ x }}", {}, "58")
gives("{# {{ nothing }} {% at all %} #}x", {}, "x")
gives("{{ string.rep('ab', 2) }}{{ math.floor(2.5) }}", {}, "abab2")

-- lines and blanks
gives("a\n  {% if true %}\n  b\n  {% end %}\nc\n", {}, "a\n  b\nc\n")
gives("a\n{# note #}\nb", {}, "a\nb")
gives("a {%- if true -%}  b  {%- end -%} c", {}, "abc")
gives("a {% if true %} b {% end %} c", {}, "a  b  c")
gives("{% if true %}\nx\n{% end %}", {}, "x\n")

-- more than one file
files["layout"] = "<h1>{% block title %}No title{% end %}</h1>\n{% block body %}{% end %}{{ foot }}"
files["middle"] = "{% extends 'layout' %}{% block body %}[{% block inner %}m{% end %}]{% end %}"
files["row"] = "<{{ x }}{{ foot }}>"
gives("{% extends 'layout' %}\n{% set foot = 'F' %}{% block title %}T & {% super %}{% end %} lost " ..
  "{% block body %}B{{ v }}{% endblock body %}",
  { v = 1, foot = "" }, "<h1>T & No title</h1>\nB1F")
gives("{% extends 'middle' %}{% block inner %}i{% super %}{% end %}", { foot = "!" }, "<h1>No title</h1>\n[im]!")
gives("{% extends 'middle' %}{% block body %}over {% super %}{% end %}", { foot = "!" }, "<h1>No title</h1>\nover [m]!")
gives("{% for i = 1, 2 %}{% include 'row' with { x = i } %}{% end %}", { foot = "f" }, "<1f><2f>")
gives("{% include name %}", { name = "row", x = 7, foot = "" }, "<7>")
gives("{% for i = 1, 3 %}{% block b %}x{% end %}{% end %}", {}, "xxx")

-- errors: code, file and line
fails("a\n\n{{ 1 + }}", {}, "parse", "page.html:3:")
fails("a\n{% if x %}\nb", {}, "parse", "page.html:2: if is not closed")
fails("a\n{% end %}", {}, "parse", "page.html:2: end of nothing")
fails("\n{{ x", {}, "parse", "page.html:2: the tag is not closed by }}")
fails("{# x", {}, "parse", "page.html:1: the comment is not closed")
fails("{{ 'x }}", {}, "parse", "page.html:1: a text in the tag is not closed")
fails("{{ }}", {}, "parse", "expression expected")
fails("\n\n{% unless x %}", {}, "parse", "page.html:3: found 'unless'")
fails("{{ x | nofilter }}", {}, "parse", "there is no filter 'nofilter'")
fails("{{ x | cut 3 }}", {}, "parse", "arguments in ( )")
fails("{% for x of y %}{% end %}", {}, "parse", "'x in list'")
fails("{% if a %}{% endfor %}", {}, "parse", "but if of line 1 is open")
fails("{% else %}", {}, "parse", "else without")
fails("{% block a %}{% end %}\n{% block a %}{% end %}", {}, "parse", "page.html:2: block a is there already")
fails("{% super %}", {}, "parse", "super outside")
fails("{% set 5 = 3 %}", {}, "parse", "set: 'name = expression'")
fails("x{% if true %}{% extends 'a' %}{% end %}", {}, "parse", "extends must be the first")
fails("\n\n{{ nobody }}", {}, "invalid", "page.html:3: unknown name 'nobody'")
fails("<a>\n<b>{{ 1 }}</b>\n<c>{{ t }}</c>", { t = {} }, "invalid", "page.html:3: a table cannot be shown")
fails("{{ 1 }}\n{{ 2 }}\n\n{{ f }}", { f = print }, "invalid", "page.html:4: a function cannot be shown")
fails("\n{{ 0/0 }}", {}, "invalid", "page.html:2: a number that is not finite")
fails("\n\n{{ t.a.b }}", { t = {} }, "invalid", "page.html:3:")
fails("\n{% for x in t.list %}{% end %}", { t = {} }, "invalid", "for: a table expected, found nil")
fails("a\n{% if true %}\n\n{{ t .. 1 }}\n{% end %}", { t = {} }, "invalid", "page.html:4:")
fails("{% set x = [[\n\n]] %}\n{{ nobody }}", {}, "invalid", "page.html:4:")
fails("{% include 'none' %}", {}, "notfound", "template none")
files["self"] = "{% include 'self' %}"
fails("{% include 'self' %}", {}, "limit", "does it include itself")
fails("{{ os.exit() }}", {}, "invalid", "unknown name 'os'")
fails("{{ load('x') }}", {}, "invalid", "unknown name 'load'")
fails("{% while true do %}", {}, "parse", "found 'while'")
fails("{{ fail() }}", { fail = function() error({ code = "busy", message = "later" }) end }, "busy", "later")

-- what scripts add
fresh({ globals = { shop = "<P>" }, filters = { twice = function(v) return v .. v end },
  group = ",", point = ".", currency = "$" })
files.page = "{{ shop }} {{ 'a' | twice }} {{ 1234.5 | money(2) }}"
same(engine:render("page"), "&lt;P&gt; aa 1,234.50" .. nb .. "$")
same(tostring(template.raw("<x>")), "<x>")
same(template.escape("<x>"), "&lt;x&gt;")

-- a large page
files.large = "{% for r in rows %}\n<tr><td>{{ r.a }}</td><td>{{ r.b }}</td></tr>\n{% end %}"
local rows, expected = {}, {}
for i = 1, 20000 do
  rows[i] = { a = i, b = "x<" .. i }
  expected[i] = "<tr><td>" .. i .. "</td><td>x&lt;" .. i .. "</td></tr>\n"
end
same(engine:render("large", { rows = rows }), table.concat(expected))

print(n .. " checks")
