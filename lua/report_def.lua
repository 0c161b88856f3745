-- report_def.lua - reads workflows/reports/NAME/: report.lua, which says what is asked of the database and
-- what its columns are, beside page.html and its parts. Checked when a generation is built: the
-- declaration, and the syntax of every template.
--
--   return {
--     title = "forecast" (a word of words.lua), summary = "…",
--     params = { service_level = "number 0.05..0.95 = 0.75" },
--     months = "SELECT … AS month …",         newest first; may use :model_id
--     uses_model = true,                      the months and rows are those of a model's predictions
--     first_model = true,                     of the model that spoke first of the month, not of the active one
--     steps = { "CREATE TABLE …", … },        SQL before the query, in a scratch database
--     query = "SELECT …", order = "artist, album",
--     columns = { { name =, title = (a word), csv = (header), style = of sheet.write, width =,
--       hidden = true: not on the page }, … },
--     args = function(cx) return { name = value } end,   more for the SQL: :month, :model_id, the params
--                                                        and :word_NAME are there
--     page = function(cx) return { … } end,              values for the template, charts
--     page_rows = 5000, page_order = "order_value DESC",   which rows the page has; files have all
--   }
--
-- SQL sees the shop's tables by their names and the rows of the query, filtered, as the table `result`.

local chart = require("chart")
local fail = require("fail")
local json = require("core.json")
local schema = require("schema")
local schema_json = require("schema_json")
local task = require("task")
local template = require("template")
local words = require("words")
local crypto = require("crypto")

local report_def = {}

local KEYS = { title = "string", summary = "string", params = "table", months = "string", uses_model = "boolean",
  first_model = "boolean",
  steps = "table", query = "string", order = "string", columns = "table", args = "function", page = "function",
  page_rows = "number", page_order = "string" }
local NEEDED = { "title", "months", "query", "columns" }
local COLUMN = { name = "string", title = "string", csv = "string", style = "string", width = "number",
  hidden = "boolean" }
local STYLES = { plain = true, whole = true, money = true, percent = true, date = true, time = true }
local ASSETS = { ["report.css"] = "style", ["report.js"] = "script" }
local PAGE_ROWS = 5000

local function bad(path, message)
  error({ code = "invalid", message = path .. ": " .. message }, 0)
end

local function check_keys(path, where, t, keys)
  for k, v in pairs(t) do
    local want = keys[k]
    if not want then
      local near = schema.nearest(k, keys)
      bad(path, where .. "unknown key " .. tostring(k) .. (near and "; did you mean " .. near .. "?" or ""))
    end
    if type(v) ~= want then bad(path, where .. tostring(k) .. " is a " .. type(v) .. ", expected a " .. want) end
  end
end

local function check_columns(path, columns)
  local known = {}
  if #columns == 0 then bad(path, "columns is empty") end
  for i, c in ipairs(columns) do
    local where = "columns[" .. i .. "]"
    if type(c) ~= "table" then bad(path, where .. " is a " .. type(c) .. ", expected a table") end
    check_keys(path, where .. ".", c, COLUMN)
    if not c.name or not c.name:find("^[%a_][%w_]*$") then
      bad(path, where .. ".name is " .. tostring(c.name) .. ", expected the name of a column of the query")
    end
    if known[c.name] then bad(path, where .. ": the column " .. c.name .. " is there twice") end
    if c.style and not STYLES[c.style] then
      bad(path, where .. ".style is " .. c.style .. ", expected plain, whole, money, percent, date or time")
    end
    known[c.name] = c
  end
  return known
end

--- Checks what a file reports/NAME/report.lua returned.
--- @param path string
--- @param d table
--- @return table  the record of the report, without its templates
--- Raises: invalid, naming file and key
--- Source: ours
function report_def.check(path, d)
  local name = path:match("^workflows/reports/([%l][%l%d_]*)/report%.lua$")
  if not name then bad(path, "a report is a file reports/NAME/report.lua; NAME of small letters, digits and _") end
  check_keys(path, "", d, KEYS)
  for _, k in ipairs(NEEDED) do
    if d[k] == nil then bad(path, k .. " is missing") end
  end
  for i, sql in ipairs(d.steps or {}) do
    if type(sql) ~= "string" then bad(path, "steps[" .. i .. "] is a " .. type(sql) .. ", expected SQL") end
  end
  local node = schema.parse(d.params or {}, path .. ": params")
  local rec = { name = name, path = path, known = check_columns(path, d.columns), node = node,
    page_rows = d.page_rows or PAGE_ROWS }
  for k, v in pairs(d) do rec[k] = rec[k] or v end
  rec.steps = d.steps or {}
  rec.check_params = schema.compile(node, { where = path .. ": params" })
  return rec
end

-- ---- templates ----

local function pause()
  task.sleep(0)
end

-- The text of a template as the templates of a report call it: its own folder first, then the shared one.
local function finder(files, name, over)
  return function(file)
    for _, path in ipairs({ "reports/" .. name .. "/" .. file, "reports/" .. file }) do
      local text = over and over[path] or files[path]
      if text and file:sub(-5) == ".html" then return text, "workflows/" .. path end
    end
    return nil, "neither workflows/reports/" .. name .. "/" .. file .. " nor workflows/reports/" .. file .. " is there"
  end
end

-- Charts that write numbers as this language does.
local function charts_of(list)
  local out = {}
  for name, fn in pairs(chart) do
    out[name] = (name == "spark" or name == "interval" or name == "ticks") and fn or function(opt)
      opt.group, opt.point = opt.group or list.group, opt.point or list.point
      return fn(opt)
    end
  end
  return out
end

--- The templates of a report in one language.
--- @param rec table
--- @param files table  of the generation
--- @param list table  of words.of
--- @param over table?  path -> text that is not saved
--- @return engine
--- Source: ours
function report_def.engine(rec, files, list, over)
  return template.engine({ load = finder(files, rec.name, over), pause = pause, watch = "rows",
    globals = { chart = charts_of(list), t = list }, group = list.group, point = list.point,
    currency = list.currency, date = list.date })
end

-- Literal includes must exist: a missing one would be found by the first reader of the report.
local function check_includes(engine, path, text)
  local at, line = 1, 1
  while true do
    local from, to, name = text:find("{%%%-?%s*include%s+[\"']([^\"'\n]+)[\"']", at)
    if not from then return end
    for _ in text:sub(at, from):gmatch("\n") do line = line + 1 end
    local found, why = engine.loader(name)
    if not found then bad(path .. ":" .. line, "include: " .. why) end
    at = to + 1
  end
end

local FORMS = setmetatable({ group = " ", point = ".", currency = "", date = "%Y-%m-%d" },
  { __index = function() return "" end })

local function check_templates(rec, files)
  local engine = report_def.engine(rec, files, FORMS)
  for path, text in pairs(files) do
    local own = path:match("^reports/([%w_]+)/[^/]+%.html$")
    if own == rec.name or path:find("^reports/[^/]+%.html$") then
      local t = engine:compile("workflows/" .. path, text)
      if t.extends and not engine.loader(t.extends) then
        bad("workflows/" .. path, "extends " .. t.extends .. ": " .. select(2, engine.loader(t.extends)))
      end
      check_includes(engine, "workflows/" .. path, text)
    end
  end
  if not files["reports/" .. rec.name .. "/page.html"] then
    bad("workflows/reports/" .. rec.name .. "/page.html", "is missing: the page of the report")
  end
end

-- The styles and the script that pages carry inside, with the policy that lets these run and nothing else.
local function assets(files)
  local a = { style = "", script = "" }
  for file, kind in pairs(ASSETS) do
    local text = files["reports/" .. file] or ""
    if text:lower():find("</" .. kind, 1, true) then bad("workflows/reports/" .. file, "has a closing tag in it") end
    a[kind] = text
  end
  local function hash(text) return "'sha256-" .. crypto.base64(crypto.digest("sha256", text)) .. "'" end
  a.policy = "default-src 'none'; style-src " .. hash(a.style) .. "; script-src " .. hash(a.script)
    .. "; base-uri 'none'; form-action 'none'"
  return a
end

--- How lua/generation.lua checks and builds workflows/reports: name -> record.
--- Source: ours
report_def.kind = {
  check = report_def.check,
  build = function(parts, g)
    local reports = {}
    for path in pairs(g.files) do
      local folder = path:match("^reports/([^/]+)/")
      if folder and not g.files["reports/" .. folder .. "/report.lua"] then
        bad("workflows/" .. path, "is in a folder without report.lua")
      end
    end
    local shared = assets(g.files)
    for _, part in ipairs(parts) do
      local rec = part.value
      check_templates(rec, g.files)
      rec.assets, rec.engines = shared, {}
      reports[rec.name] = rec
    end
    return reports
  end,
}

-- ---- looking at them ----

--- A report of a generation.
--- @param g table
--- @param name string
--- @return table  its record
--- Raises: not_found, naming those there are
--- Source: ours
function report_def.get(g, name)
  local rec = g.reports and g.reports[name]
  if rec then return rec end
  local names = json.array({})
  for k in pairs(g.reports or {}) do names[#names + 1] = k end
  table.sort(names)
  fail.raise("not_found", "there is no report called " .. tostring(name), { reports = names })
end

--- Its templates in the language of the server; compiled once in a generation.
--- @param rec table
--- @param g table
--- @return engine
--- @return table  the words
--- @return table  the charts
--- Source: ours
function report_def.templates(rec, g)
  local e = rec.engines.own
  if not e then
    local list = words.of(g.words)
    e = { engine = report_def.engine(rec, g.files, list), words = list, chart = charts_of(list) }
    rec.engines.own = e
  end
  return e.engine, e.words, e.chart
end

--- The declared parameters, checked.
--- @param rec table
--- @param given table?
--- @return table
--- Raises: validation_error with details.errors
--- Source: ours
function report_def.params(rec, given)
  local errs = { n = 0 }
  local out = rec.check_params(given or {}, errs)
  if errs.n == 0 then return out end
  local found = json.array({})
  for i = 1, math.min(errs.n, 50) do
    table.insert(errs[i].loc, 1, "parameters")
    errs[i].loc = json.array(errs[i].loc)
    found[i] = errs[i]
  end
  fail.raise("validation_error", table.concat(found[1].loc, ".") .. ": " .. found[1].msg, { errors = found })
end

--- What a report is, for GET /api/v1/reports.
--- @param rec table
--- @param list table  of words.of
--- @return table { name, title, summary, parameters (JSON schema), columns }
--- Source: ours
function report_def.describe(rec, list)
  local columns = json.array({})
  for i, c in ipairs(rec.columns) do
    columns[i] = { name = c.name, title = c.title and list[c.title] or c.name }
  end
  return { name = rec.name, title = list[rec.title], summary = rec.summary, columns = columns,
    parameters = schema_json.of(rec.node, {}) }
end

return report_def
