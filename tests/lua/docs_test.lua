-- The docs are whole: every public function of every file in lua/ has its `---` lines with each
-- parameter and what it returns, names only codes that exist under "Raises:", and every function of a
-- core.* module stands in the comment at the top of the C file it lives in.
local load, fs = require("core.load"), require("fs")
local fail = require("fail")

local checked, wrong = 0, {}
local function need(cond, ...)
  checked = checked + 1
  if not cond then wrong[#wrong + 1] = string.format(...) end
end

-- the codes a face or an answer may carry
local codes = {}
for _, c in ipairs(fail.codes()) do codes[c.code] = true end
for name in fs.read("core/base/err.h"):gmatch('X%(ERR_[A-Z]+, "([a-z]+)"%)') do codes[name] = true end
need(codes.notfound and codes.killed and codes.validation_error, "the lists of codes were not found")

-- what may stand under "Raises:" instead of a code
local WORDS = { as = true, what = true, the = true, always = true, code = true, ["and"] = true,
                with = true, ["-"] = true }

local function lines_of(text)
  local lines = {}
  for line in (text .. "\n"):gmatch("(.-)\n") do lines[#lines + 1] = line end
  return lines
end

-- The `---` lines right above line `at`.
local function doc_above(lines, at)
  local first = at
  while first > 1 and lines[first - 1]:find("^%s*%-%-%-") do first = first - 1 end
  return first < at and table.concat(lines, "\n", first, at - 1) or nil
end

local function check_raises(where, doc)
  local text = doc:match("Raises:(.*)")
  if text == nil then return end
  text = text:gsub("\n%s*%-%-%- *@.*", ""):gsub("\n%s*%-%-%- *%u%l+:.*", ""):gsub("\n%s*%-%-%-", " ")
  text = text:gsub("%f[%w]naming .*", "") -- what the message tells
  text = text:gsub("%b()", " "):gsub('%b""', " "):gsub("`", "")
  local any = false
  for item in text:gmatch("[^,;…]+") do
    local word = item:match("^%s*(%S+)")
    if word then
      any = true
      need(codes[word] or WORDS[word], "%s: Raises: %s is no code of base/err.h or fail.lua", where, word)
    end
  end
  need(any, "%s: nothing stands under Raises:", where)
end

-- Does the function that begins in line `at` end with a value?
local function returns(lines, at)
  local indent, line = lines[at]:match("^(%s*)(.*)")
  if line:find("%f[%w]end$") then return line:find("return%s.+%send$") ~= nil end
  for i = at + 1, #lines do
    if lines[i] == indent .. "end" then return false end
    local value = lines[i]:match("^" .. indent .. "  return%s+(.+)")
    if value and lines[i + 1] and not value:find("^end") then return true end
  end
  return false
end

local function check_function(path, lines, at, name, params)
  local where = path .. ":" .. at .. ": " .. name
  local doc = doc_above(lines, at)
  need(doc, "%s has no docs", where)
  if doc == nil then return end
  for param in params:gmatch("[%w_.]+") do
    local pattern = "@param%s+" .. param:gsub("%p", "%%%0") .. "%??%f[%s\n]"
    if param ~= "_" then need((doc .. "\n"):find(pattern), "%s: no @param %s", where, param) end
  end
  if returns(lines, at) then need(doc:find("@return", 1, true), "%s: no @return", where) end
  check_raises(where, doc)
end

-- Every definition of `function face.name` and of every method.
local n_faces = 0
for _, path in ipairs(load.embedded_list("lua/")) do
  local face = path:match("^lua/([%w_/]+)%.lua$")
  if face then
    n_faces = n_faces + 1
    local text = load.embedded(path)
    local lines, seen = lines_of(text), {}
    local own = text:match("\nreturn ([%a_][%w_]*)%s*$") or text:match("\nreturn setmetatable%(([%a_][%w_]*)")
    for at, line in ipairs(lines) do
      for name in (doc_above(lines, at) and line:match("^%w+%.%w+,.*") or ""):gmatch("[%w_]+%.([%w_]+)") do
        seen[name] = true -- several names in one statement
      end
      local tab, sep, name, params = line:match("^%s*function ([%w_]+)([.:])([%w_]+)%((.-)%)")
      if tab and (tab == own or sep == ":" or text:find("__index = " .. tab .. "%f[^%w_]")) then
        check_function(path, lines, at, tab .. sep .. name, params)
        seen[name] = true
      end
      tab, name = line:match("^%s*([%w_]+)[.%[]([%w_]+)%]? = ")
      if own == nil then name = line:match("^  ([%w_]+) = ") end -- a file that returns a constructor
      if name and tab == own then
        local doc = doc_above(lines, at)
        if doc then
          check_raises(path .. ":" .. at, doc)
          seen[name] = true
          if line:find("[" .. name .. "]", 1, true) then seen[true] = true end
        end
      end
    end
    -- and what came into the table by other ways: aliases, loops
    local ok, module = pcall(require, (face:gsub("^cli/", "cli.")))
    if ok and type(module) == "table" then
      for name, value in pairs(module) do
        if type(value) == "function" then
          need(seen[name] or seen[true], "%s: %s.%s has no docs", path, face, tostring(name))
        end
      end
    end
  end
end
need(n_faces >= 30, "only %d files were found in lua/", n_faces)

-- Every core.* module: a function is named, with its arguments, in a C file's comment.
local comments = {}
for path, text in pairs(load.tree("core/bind")) do
  if path:find("%.[ch]$") then
    local room = {}
    for comment in text:gmatch("/%*(.-)%*/") do
      if comment:find("^\n %* [%w_]+%.[ch] %- ") then room[#room + 1] = comment end
    end
    comments[path] = table.concat(room, "\n")
  end
end
local n_modules = 0
for name in fs.read("core/bind/bind_all.c"):gmatch('{ "(core%.[a-z_]+)", luaopen') do
  n_modules = n_modules + 1
  local short = name:match("^core%.(.*)")
  local text, any = "", false
  for path, comment in pairs(comments) do
    local file = path:match("([%w_]+)%.[ch]$")
    if file == "bind_" .. short or file:sub(1, #short + 6) == "bind_" .. short .. "_" then
      text = text .. comment
      any = true
    end
    -- a C file may serve several modules: it names them
    if comment:find(name:gsub("%.", "%%.") .. "%f[^%w_]") then text = text .. comment; any = true end
  end
  need(any, "%s: no C file says that it is this module", name)
  for key, value in pairs(require(name)) do
    if type(value) == "function" then
      need(text:find("%f[%w_]" .. key .. "%f[^%w_]"), "%s.%s: not in the comment of its C file", name, key)
    end
  end
end
need(n_modules >= 20, "only %d modules were found", n_modules)

if #wrong > 0 then
  table.sort(wrong)
  print(table.concat(wrong, "\n"))
  error(#wrong .. " of " .. checked .. " checks failed", 0)
end
print(checked .. " checks of docs ok")
