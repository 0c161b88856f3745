-- template_parse.lua - the text of a template to Lua code with the same lines. See template.lua.
--
-- All text and values between two statements become one call: out("<td>", a, "</td><td>", b, …). The
-- text of a template is ours or our operators', but it is walked by plain finds all the same: no
-- pattern here can take more than linear time.

local scan = require("template_scan")
local parse = {}

local PAIRS_MAX = 30 -- texts and values of one call; a Lua call takes some 250 arguments

local fail, count_lines, is_blank, trim_end = scan.fail, scan.count_lines, scan.is_blank, scan.trim_end

-- ---- code, line by line ----

local function emit(p, code)
  p.code[#p.code + 1] = code
end

local function goto_line(p, line)
  if p.code_line < line then
    emit(p, ("\n"):rep(line - p.code_line))
    p.code_line = line
  end
end

local function flush(p)
  local batch = p.batch
  if #batch == 0 then return end
  goto_line(p, p.batch_line)
  local lines, site = p.sites[p.code_line], {}
  if lines == nil then
    lines = {}
    p.sites[p.code_line] = lines
  end
  lines[#lines + 1] = site
  emit(p, "out(")
  for i = 1, #batch do
    local item = batch[i]
    if i > 1 then emit(p, ",") end
    if item.text then
      local quoted = string.format("%q", item.text)
      emit(p, quoted)
      p.code_line = p.code_line + count_lines(quoted, 1, #quoted)
    else
      goto_line(p, item.line)
      emit(p, item.code)
      p.code_line = p.code_line + count_lines(item.code, 1, #item.code)
      site[#site + 1] = item.line
    end
  end
  emit(p, ") ")
  p.batch = {}
end

local function add_text(p, s)
  if s == "" then return end
  local last = p.batch[#p.batch]
  if last and last.text then
    last.text = last.text .. s
    return
  end
  if #p.batch >= PAIRS_MAX * 2 then flush(p) end
  if #p.batch == 0 then p.batch_line = p.line end
  p.batch[#p.batch + 1] = { text = s }
end

local function add_value(p, code)
  if #p.batch >= PAIRS_MAX * 2 then flush(p) end
  if #p.batch == 0 then p.batch_line = p.line end
  local last = p.batch[#p.batch]
  if not (last and last.text) then p.batch[#p.batch + 1] = { text = "" } end
  p.batch[#p.batch + 1] = { code = code, line = p.line }
end

-- ---- values ----

local function expression(p, expr, what)
  if is_blank(expr) then fail(p, p.line, what .. ": an expression expected") end
  if expr:find("--", 1, true) and not expr:find("['\"]") then fail(p, p.line, "a comment is written {# … #}") end
  return "(" .. expr .. ")"
end

local function value(p, expr, is_raw)
  local pieces = scan.filters(p, expr)
  local code = expression(p, pieces[1], "{{ }}")
  for i = 2, #pieces do
    local name = pieces[i]:match("^%s*([%a_][%w_]*)")
    if name == nil then fail(p, p.line, "the name of a filter expected behind |") end
    if p.filters[name] == nil then fail(p, p.line, "there is no filter '" .. name .. "'") end
    local rest = pieces[i]:sub(select(2, pieces[i]:find(name, 1, true)) + 1)
    local args = ""
    if not is_blank(rest) then
      local first, last = rest:find("(", 1, true), rest:find("%)[^)]*$")
      if first == nil or last == nil or not is_blank(rest:sub(1, first - 1)) or not is_blank(rest:sub(last + 1)) then
        fail(p, p.line, "filter " .. name .. ": | or arguments in ( ) expected")
      end
      args = rest:sub(first + 1, last - 1)
      if not is_blank(args) then args = "," .. args end
    end
    code = "F." .. name .. "(" .. code .. args .. ")"
  end
  if is_raw then code = "F.raw(" .. code .. ")" end
  add_value(p, code)
end

-- ---- statements ----

local NAME = "[%a_][%w_]*"

local statements = {}

local function open(p, kind, code, closing)
  p.stack[#p.stack + 1] = { kind = kind, line = p.line, closing = closing }
  emit(p, code)
end

statements["for"] = function(p, rest)
  p.n_loops = p.n_loops + 1
  local n = "n" .. p.n_loops .. "_"
  local head
  local names, list = rest:match("^(.-)%s+in%s(.*)$")
  if names and names:find("^" .. NAME .. "$") then
    head = "for _, " .. names .. " in each(" .. expression(p, list, "for") .. ") do "
  elseif names and names:find("^" .. NAME .. "%s*,%s*" .. NAME .. "$") then
    head = "for " .. names .. " in each_pair(" .. expression(p, list, "for") .. ") do "
  else
    local name, range = rest:match("^(" .. NAME .. ")%s*=%s*(.*)$")
    if name == nil or is_blank(range) then
      fail(p, p.line, "for: 'x in list', 'k, v in table' or 'i = 1, 10' expected")
    end
    head = "for " .. name .. " = " .. range .. " do "
  end
  local loop = p.has_loop and "local loop = { index = " .. n .. ", first = " .. n .. " == 1 } " or ""
  open(p, "for", "do local " .. n .. " = 0 " .. head .. n .. " = " .. n .. " + 1 " .. loop, "end end ")
  p.stack[#p.stack].counter = n
end

statements["if"] = function(p, rest)
  open(p, "if", "if " .. expression(p, rest, "if") .. " then ", "end ")
end

statements["elseif"] = function(p, rest)
  local top = p.stack[#p.stack]
  if not top or top.kind ~= "if" or top.has_else then fail(p, p.line, "elseif without if") end
  emit(p, "elseif " .. expression(p, rest, "elseif") .. " then ")
end
statements.elif = statements["elseif"]

statements["else"] = function(p, rest)
  local top = p.stack[#p.stack]
  if not top or top.kind == "block" or top.has_else then fail(p, p.line, "else without if or for") end
  if not is_blank(rest) then fail(p, p.line, "else: nothing may follow") end
  top.has_else = true
  emit(p, top.kind == "if" and "else " or "end if " .. top.counter .. " == 0 then ")
end

statements["end"] = function(p, rest)
  local top = table.remove(p.stack)
  if not top then fail(p, p.line, "end of nothing") end
  if not is_blank(rest) then fail(p, p.line, "end: nothing may follow") end
  emit(p, top.closing)
end

for _, kind in ipairs({ "for", "if", "block" }) do
  statements["end" .. kind] = function(p, rest)
    local top = p.stack[#p.stack]
    if not top or top.kind ~= kind then
      local what = top and ", but " .. top.kind .. " of line " .. top.line .. " is open" or " of nothing"
      fail(p, p.line, "end" .. kind .. what)
    end
    statements["end"](p, kind == "block" and "" or rest)
  end
end

statements.set = function(p, rest)
  local name, expr = rest:match("^(" .. NAME .. ")%s*=(.*)$")
  if name == nil or expr:sub(1, 1) == "=" then fail(p, p.line, "set: 'name = expression' expected") end
  emit(p, name .. " = " .. expression(p, expr, "set") .. " ")
end

statements.include = function(p, rest)
  local what, with = rest:match("^(.-)%s+with%s+(.*)$")
  emit(p, "page:include(" .. expression(p, what or rest, "include") .. ", _ENV, out" ..
    (with and ", " .. expression(p, with, "with") or "") .. ") ")
end

statements.extends = function(p, rest)
  local name = rest:match('^"([^"\\]+)"%s*$') or rest:match("^'([^'\\]+)'%s*$")
  if name == nil then fail(p, p.line, "extends: a name in quotes expected") end
  if p.extends or p.n_statements > 1 then fail(p, p.line, "extends must be the first statement, once") end
  p.extends = name
end

statements.block = function(p, rest)
  local name = rest:match("^(" .. NAME .. ")%s*$")
  if name == nil then fail(p, p.line, "block: a name expected") end
  if p.blocks[name] then fail(p, p.line, "block " .. name .. " is there already, in line " .. p.blocks[name]) end
  p.blocks[name] = p.line
  open(p, "block", "page:block('" .. name .. "', function(page, _ENV, out) ", "end, _ENV, out) ")
end

statements.super = function(p)
  for i = #p.stack, 1, -1 do
    if p.stack[i].kind == "block" then
      emit(p, "page:super(_ENV, out) ")
      return
    end
  end
  fail(p, p.line, "super outside of a block")
end

local function statement(p, content)
  local word, rest = content:match("^%s*([%a]+)%s*(.*)$")
  local fn = word and statements[word]
  if fn == nil then
    fail(p, p.line, "found '" .. (word or content:sub(1, 20)) .. "'; for, if, elseif, else, end, set, include, " ..
      "extends, block or super expected")
  end
  p.n_statements = p.n_statements + 1
  flush(p)
  goto_line(p, p.line)
  fn(p, rest)
  p.code_line = p.code_line + count_lines(content, 1, #content)
end

-- ---- the walk ----

-- From the tag at `open_at`: its kind, content, and where the text goes on.
local function read_tag(p, at)
  local s = p.source
  local two = s:sub(at, at + 1)
  if two == "{#" then
    local close = s:find("#}", at + 2, true)
    if close == nil then fail(p, p.line, "the comment is not closed by #}") end
    return "comment", "", close + 2
  end
  if two == "{%" then
    local close = scan.close(p, at + 2, "%}")
    return "statement", s:sub(at + 2, close - 1), close + 2
  end
  if s:sub(at, at + 2) == "{{{" then
    local close = scan.close(p, at + 3, "}}}")
    return "raw", s:sub(at + 3, close - 1), close + 3
  end
  local close = scan.close(p, at + 2, "}}")
  return "value", s:sub(at + 2, close - 1), close + 2
end

local function next_tag(s, from)
  local at = from
  while true do
    at = s:find("{", at, true)
    if at == nil then return nil end
    if s:find("^[{%%#]", at + 1) then return at end
    at = at + 1
  end
end

-- The text before a statement and where it goes on after it: a statement alone on its line takes the
-- line with it, {%- and -%} take all blanks.
local function trim(p, text, content, after, starts_line)
  local s = p.source
  if content:sub(1, 1) == "-" then
    text, content = trim_end(text), content:sub(2)
  end
  if content:sub(-1) == "-" then
    content = content:sub(1, -2)
    return text, content, s:find("%S", after) or #s + 1
  end
  local line = text:match("[^\n]*$")
  local alone = is_blank(line) and (#line < #text or starts_line)
  local rest_from, rest_to = s:find("^[ \t\r]*\n", after)
  if rest_from == nil and s:find("^[ \t\r]*$", after) then rest_from, rest_to = after, #s end
  if alone and rest_from then return text:sub(1, #text - #line), content, rest_to + 1 end
  return text, content, after
end

--- Lua code for the text of a template. The chunk returns function(page, _ENV, out).
--- @param name string for messages
--- @param source string
--- @param filters table the names that may stand behind |
--- @return string code
--- @return table { extends = name?, sites = table: line of an out call to the lines of its values }
--- Raises: parse
function parse.compile(name, source, filters)
  local p = { name = name, source = source, filters = filters, line = 1, code_line = 1, code = {}, batch = {},
    batch_line = 1, sites = {}, stack = {}, blocks = {}, n_loops = 0, n_statements = 0,
    has_loop = source:find("loop.", 1, true) ~= nil }
  emit(p, "local each, each_pair, F = ... return function(page, _ENV, out) ")
  local at, starts_line = 1, true
  while true do
    local tag = next_tag(source, at)
    if tag == nil then break end
    local before, tag_line = source:sub(at, tag - 1), p.line + count_lines(source, at, tag - 1)
    local text_line = p.line
    p.line = tag_line
    local kind, content, after = read_tag(p, tag)
    if kind == "statement" or kind == "comment" then
      before, content, after = trim(p, before, content, after, starts_line)
    end
    p.line = text_line
    add_text(p, before)
    p.line = tag_line
    if kind == "statement" then
      statement(p, content)
    elseif kind ~= "comment" then
      value(p, content, kind == "raw")
    end
    p.line = tag_line + count_lines(source, tag, after - 1)
    starts_line = source:sub(after - 1, after - 1) == "\n"
    at = after
  end
  add_text(p, source:sub(at))
  flush(p)
  local top = p.stack[#p.stack]
  if top then fail(p, top.line, top.kind .. " is not closed by end") end
  emit(p, "end")
  return table.concat(p.code), { extends = p.extends, sites = p.sites }
end

return parse
