-- cli/report.lua - plastinka report NAME: a report as a file, without a server. With --watch it is made
-- again whenever a file of the workflows is saved: for those who write templates.

local control = require("core.control")
local def = require("report_def")
local fs = require("fs")
local generation = require("generation")
require("kinds")
local json = require("core.json")
local make = require("report_make")
local settings = require("settings")
local task = require("task")
local time = require("time")
local words = require("words")

local report = {}

local USAGE = [[
usage: plastinka report NAME [--month 2026-03] [--model ID] [--format html|csv|xlsx|json] [--out FILE]
                             [--param KEY=VALUE ...] [--filter COLUMN=VALUE ...] [--watch]
                             [--data DIR] [--workflows DIR]
       plastinka report --list

Makes a report of what is stored. FILE is NAME_MONTH.FORMAT here unless --out says otherwise; its ending
says the format. VALUE is JSON where it can be read as such, else text. --watch needs --workflows: the
report is made again when its files are saved, and what is wrong with them is told with file and line.]]

local VALUES = { ["--month"] = "month", ["--model"] = "model", ["--format"] = "format", ["--out"] = "out" }
local PAIRS = { ["--param"] = "params", ["--filter"] = "filters" }
local FORMATS = { html = true, csv = true, xlsx = true, json = true }

local function misuse(text)
  error({ code = "invalid", message = "plastinka report: " .. text .. "\n\n" .. USAGE, is_misuse = true }, 0)
end

local function parse(args)
  local o, i = { name = args[1], params = {}, filters = nil }, 2
  while args[i] do
    local word = args[i]
    local key, pairs_of = VALUES[word], PAIRS[word]
    if word == "--watch" then
      o.watch = true
      i = i + 1
    elseif key and args[i + 1] then
      o[key] = args[i + 1]
      i = i + 2
    elseif pairs_of and args[i + 1] then
      local name, text = args[i + 1]:match("^([%w_]+)=(.*)$")
      if not name then misuse(word .. " " .. args[i + 1] .. ": NAME=VALUE expected") end
      local value = json.decode(text)
      o[pairs_of] = o[pairs_of] or {}
      if value == nil then value = text end
      o[pairs_of][name] = value
      i = i + 2
    else
      misuse(word .. " is not understood")
    end
  end
  o.format = o.format or o.out and o.out:match("%.(%w+)$") or "html"
  if not FORMATS[o.format] then misuse("the format is " .. o.format .. ", expected html, csv, xlsx or json") end
  return o
end

local function message_of(err)
  return type(err) == "table" and rawget(err, "message") or tostring(err)
end

-- Makes the file; the line that tells of it.
local function once(g, o, cwd)
  local from = time.monotonic()
  local folder = settings.data_root_dir .. "/scratch/report-" .. require("crypto").token(6)
  fs.mkdir(folder)
  local ok, out = pcall(make.report, g, o.name, { month = o.month, model_id = o.model, filters = o.filters,
    parameters = o.params, formats = { o.format }, folder = folder })
  if ok then
    local file = out.files[o.format]
    local to = o.out or file
    if to:sub(1, 1) ~= "/" then to = cwd .. "/" .. to end
    ok, file = pcall(fs.copy, folder .. "/" .. file, to)
    if not ok then out = file end
    o.said = ("%s: %d rows, %s, %.2f s"):format(to, out.records_count or 0, (out.prediction_month or ""):sub(1, 7),
      time.monotonic() - from)
  end
  pcall(fs.remove, folder, { deep = true })
  if not ok then error(out, 0) end
  return o.said
end

local function list(g)
  local names = {}
  for name in pairs(g.reports) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local rec = g.reports[name]
    local months = make.months(g, name)
    print(("%-20s %s: %s; %s"):format(name, words.of(g.words)[rec.title], rec.summary or "",
      months[1] and months[#months]:sub(1, 7) .. " … " .. months[1]:sub(1, 7) or "no month yet"))
  end
  return 0
end

-- Builds, makes, waits for a change; for ever.
local function watch(o, cwd)
  local dir = generation.dir()
  if not dir then misuse("--watch needs --workflows DIR (plastinka init DIR writes the default ones)") end
  task.start(function() -- looking at a folder alone does not keep a process alive
    while true do task.sleep(3600) end
  end)
  control.watch(dir, settings.reload_debounce_seconds * 1000 // 1 | 0)
  while true do
    local ok, err = pcall(function()
      local g = generation.build(generation.read())
      print(once(g, o, cwd))
    end)
    if not ok then print("not made: " .. message_of(err)) end
    repeat
      local line = control.receive()
      if line == "stop" then return 0 end
    until line:match("^reload")
  end
end

--- plastinka report.
--- @param args table  the folder it was called in, then the words behind the command
--- @return integer  exit code
--- Source: ours
function report.main(args)
  local cwd = table.remove(args, 1)
  if args[1] == "--help" or args[1] == nil then
    print(USAGE)
    return args[1] and 0 or 2
  end
  require("db").main():migrate()
  local running = task.start(function()
    local ok, code = pcall(function()
      if args[1] == "--list" then
        return list(generation.build(generation.read()))
      end
      local o = parse(args)
      if o.watch then return watch(o, cwd) end
      local g = generation.build(generation.read())
      def.get(g, o.name)
      print(once(g, o, cwd))
      return 0
    end)
    if ok then return code end
    local is_misuse = type(code) == "table" and rawget(code, "is_misuse")
    print(message_of(code))
    return is_misuse and 2 or 1
  end)
  return task.wait(running)
end

return report
