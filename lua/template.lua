-- template.lua - HTML pages from templates: compiled once to Lua, escaped unless said otherwise.
--
--   {{ expr }}  {{ expr | filter | filter(arg) }}     the value, escaped       {{{ expr }}}  as it is
--   {% for x in list %} … {% else %} … {% end %}       also: k, v in table (sorted)   i = 1, 10
--   {% if expr %} … {% elseif expr %} … {% else %} … {% end %}      {% set name = expr %}
--   {% include "file" %}  {% include "file" with { a = 1 } %}       {# comment #}
--   {% extends "layout" %}  {% block name %} … {% end %}  {% super %}
--
-- Expressions are Lua. A statement alone on its line leaves no line behind; {%- and -%} eat all blanks
-- on their side. In a loop, loop.index and loop.first are known. nil shows as nothing; a name that
-- nobody set is an error. Generated code keeps the lines of its template, so errors name them.
-- Filters are in lua/template_filter.lua, the parts of the text in lua/template_parse.lua.

local load = require("core.load")
local text = require("core.text")
local raise = require("raise")
local parse = require("template_parse")
local make_filters = require("template_filter").new
local template = {}

local DEPTH_MAX = 20
local PAGE_MAX = 64 * 1024 * 1024
local PAUSE_TURNS = 256

local Engine = {}
Engine.__index = Engine

-- ---- loops ----

local function each(list)
  if type(list) ~= "table" then error("for: a table expected, found " .. type(list), 2) end
  return ipairs(list)
end

-- The same with a rest now and then, and a note of how far each list is: for errors.
local function pausing(pause, progress)
  local function next_one(list, i)
    i = i + 1
    local v = list[i]
    if v == nil then
      progress[list] = nil
      return nil
    end
    if i % PAUSE_TURNS == 0 then pause() end
    progress[list] = i
    return i, v
  end
  return function(list)
    if type(list) ~= "table" then error("for: a table expected, found " .. type(list), 2) end
    return next_one, list, 0
  end
end

local function next_sorted(state, _)
  local i = state.i + 1
  state.i = i
  local k = state.keys[i]
  if k ~= nil then return k, state.of[k] end
end

local function by_text(a, b)
  if type(a) == type(b) then return a < b end
  return type(a) == "number"
end

-- The order of pairs changes from run to run; a page must not.
local function each_pair(t)
  if type(t) ~= "table" then error("for: a table expected, found " .. type(t), 2) end
  if t[1] ~= nil then return ipairs(t) end
  local keys = {}
  for k in pairs(t) do
    if type(k) == "number" or type(k) == "string" then keys[#keys + 1] = k end
  end
  table.sort(keys, by_text)
  return next_sorted, { i = 0, keys = keys, of = t }
end

-- ---- one rendering ----

local Page = {}
Page.__index = Page

local function nothing() end

local function main_of(page, name)
  page.depth = page.depth + 1
  if page.depth > DEPTH_MAX then
    raise.error("limit", "template " .. name .. ": nested deeper than " .. DEPTH_MAX .. "; does it include itself?")
  end
  return page.engine:get(name)
end

--- Child first: the blocks of a child only register themselves, then its layout is asked.
--- @param name string
--- @param env table
--- @param out function  takes the pieces
--- Raises: notfound, parse, limit, and what the template raises
function Page:run(name, env, out)
  local t = main_of(self, name)
  while t.extends do
    self.collecting = true
    t.main(self, env, nothing)
    self.collecting = false
    t = main_of(self, t.extends)
  end
  t.main(self, env, out)
end

--- A block of a template: registered while a child is run, else printed, the child's own first.
--- @param name string
--- @param fn function
--- @param env table
--- @param out function
function Page:block(name, fn, env, out)
  local chain = self.chains[name]
  if chain == nil then
    chain = {}
    self.chains[name] = chain
  end
  if self.collecting then
    chain[#chain + 1] = fn
    return
  end
  chain.own = fn
  self:call(name, 1, env, out)
end

--- Prints one link of the chain of a block.
--- @param name string
--- @param i integer  1 is the youngest child's
--- @param env table
--- @param out function
function Page:call(name, i, env, out)
  local chain = self.chains[name]
  local before_name, before_i = self.block_name, self.block_i
  self.block_name, self.block_i = name, i
  local fn = chain[i] or i == #chain + 1 and chain.own
  if fn then fn(self, env, out) end
  self.block_name, self.block_i = before_name, before_i
end

--- Prints the block this one replaces.
--- @param env table
--- @param out function
function Page:super(env, out)
  self:call(self.block_name, self.block_i + 1, env, out)
end

--- Prints another template here.
--- @param name string
--- @param env table  what it sees
--- @param out function
--- @param with table?  further values for it
--- Raises: notfound, parse, limit, and what the template raises
function Page:include(name, env, out, with)
  local inner = setmetatable({}, { __index = env })
  for k, v in pairs(with or {}) do inner[k] = v end
  local before, chains, block_name, block_i = self.depth, self.chains, self.block_name, self.block_i
  self.chains = {}
  self:run(name, inner, out)
  self.depth, self.chains, self.block_name, self.block_i = before, chains, block_name, block_i
end

-- ---- the engine ----

--- A set of templates with one way to find them and one way to write numbers.
--- @param opt table { load = function(name) --> text, or nil when there is none,
---   globals = table of names every template knows, group = " " between thousands, point = ",",
---   currency = "₽", date = "%d.%m.%Y", filters = table of further filters, pause = function called every
---   few hundred turns of the loops over lists, so that a long page lets others work, watch = the list among the
---   values whose row errors tell (needs pause) }
--- load may return a second text: what the template is called in errors.
--- @return engine
function template.engine(opt)
  local base = load.env()
  for name, value in pairs(opt.globals or {}) do load.set_name(base, name, value) end
  local filters = make_filters(opt)
  local progress = setmetatable({}, { __mode = "k" })
  return setmetatable({ loader = opt.load, base = base, filters = filters, done = {}, called = {}, watch = opt.watch,
    progress = progress, each = opt.pause and pausing(opt.pause, progress) or each }, Engine)
end

--- Compiles a template, or takes it as compiled before.
--- @param name string as the engine's load knows it
--- @return table
--- Raises: notfound, parse (file:line: why)
function Engine:get(name)
  local t = self.done[name]
  if t then return t end
  local source, as = self.loader(name)
  if type(source) ~= "string" then
    raise.error("notfound", "template " .. tostring(name) .. ": " .. tostring(as or "there is none of that name"))
  end
  t = self:compile(as or name, source)
  self.done[name], self.called[as or name] = t, t
  return t
end

--- Compiles the text of a template, without keeping it.
--- @param name string shown in errors
--- @param source string
--- @return table
--- Raises: parse (file:line: why)
function Engine:compile(name, source)
  local code, info = parse.compile(name, source, self.filters)
  local chunk, message, err_code = load.chunk(name, code, load.env())
  if chunk == nil then raise.error(err_code, message) end
  return { main = chunk(self.each, each_pair, self.filters), extends = info.extends, sites = info.sites }
end

-- A value that cannot be shown is found by the writer, which knows the line where its call began and
-- the number of the value: the table of sites knows its line.
local function place(engine, message)
  local name, line, value, why = message:match("^([^:]+):(%d+): value (%d+): (.*)$")
  local t = name and engine.called[name]
  local sites = t and t.sites[tonumber(line)]
  if not sites or #sites ~= 1 then return (message:gsub(": value %d+: ", ": ", 1)) end
  return name .. ":" .. (sites[1][tonumber(value)] or line) .. ": " .. why
end

--- Renders a template.
--- @param name string
--- @param values table? names the template may use
--- @return string HTML, at most 64 MiB
--- Raises: notfound, parse, invalid (file:line: why), limit, nomem, and what functions among the values raise
function Engine:render(name, values)
  local out, take = text.writer(PAGE_MAX)
  local env = setmetatable({}, { __index = self.base })
  for k, v in pairs(values or {}) do env[k] = v end
  local page = setmetatable({ engine = self, chains = {}, depth = 0 }, Page)
  local ok, err = pcall(page.run, page, name, env, out)
  if not ok then
    take()
    if type(err) ~= "string" then error(err, 0) end
    if err == "not enough memory" then raise.error("nomem", "template " .. name .. ": not enough memory") end
    local list = self.watch and values and values[self.watch]
    local row = list and self.progress[list]
    raise.error("invalid", place(self, err) .. (row and " (row " .. row .. ")" or ""), row and { row = row })
  end
  return take()
end

--- Markup that a template takes as it is.
--- @param html string
--- @return any
function template.raw(html)
  return text.raw(html)
end

--- @param s string
--- @return string  with & < > " ' escaped
function template.escape(s)
  return text.html(s)
end

return template
