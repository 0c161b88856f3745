-- words.lua - checks workflows/words.lua: what reports call things, in each language, and how numbers and
-- dates are written there. A word that one language has and another lacks stops the load; a word that
-- nobody has is an error that names it.

local settings = require("settings")
local words = {}

local FORMS = { group = true, point = true, currency = true, date = true, months = true }

local function bad(path, message)
  error({ code = "invalid", message = path .. ": " .. message }, 0)
end

local function check_one(path, language, list)
  if type(list) ~= "table" then bad(path, language .. " is a " .. type(list) .. ", expected a table of words") end
  for form in pairs(FORMS) do
    if list[form] == nil then bad(path, language .. "." .. form .. " is missing") end
  end
  for name, value in pairs(list) do
    if type(name) ~= "string" then bad(path, language .. " has a word without a name") end
    if name == "months" then
      if type(value) ~= "table" or #value ~= 12 then bad(path, language .. ".months: twelve names expected") end
    elseif type(value) ~= "string" then
      bad(path, language .. "." .. name .. " is a " .. type(value) .. ", expected text")
    end
  end
end

--- Checks the file.
--- @param path string  "workflows/words.lua"
--- @param d table  { language = { word = text } }
--- @return table  the same
--- Raises: invalid, naming file and word
--- Source: ours
function words.check(path, d)
  local all = {}
  for language, list in pairs(d) do
    check_one(path, tostring(language), list)
    for name in pairs(list) do all[name] = all[name] or language end
  end
  for language, list in pairs(d) do
    for name, other in pairs(all) do
      if list[name] == nil then bad(path, language .. "." .. name .. " is missing; " .. other .. " has it") end
    end
  end
  return d
end

--- The words of one language, or of the setting `language`; asking for one that is not there is an error.
--- @param all table  generation.words
--- @param language string?
--- @return table
--- Raises: invalid
--- Source: ours
function words.of(all, language)
  language = language or settings.language
  local list = all[language]
  if not list then
    local known = {}
    for name in pairs(all) do known[#known + 1] = name end
    table.sort(known)
    error({ code = "invalid", message = "language is " .. tostring(language) .. ", expected one of "
      .. table.concat(known, ", ") }, 0)
  end
  return setmetatable({}, { __index = function(_, name)
    local word = list[name]
    if word == nil then
      error({ code = "invalid", message = "workflows/words.lua has no word '" .. tostring(name) .. "'" }, 0)
    end
    return word
  end })
end

--- A month in words: "март 2026".
--- @param list table  of words.of
--- @param month string  its first day
--- @return string
--- Source: ours
function words.month(list, month)
  local m = list.months[tonumber(month:sub(6, 7))]
  return m .. " " .. month:sub(1, 4)
end

--- How lua/generation.lua checks and keeps workflows/words.lua: language -> word -> text.
--- Source: ours
words.kind = {
  check = words.check,
  build = function(parts) return parts[1] and parts[1].value or {} end,
}

return words
