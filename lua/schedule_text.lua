-- schedule_text.lua - when something is to happen again and again: the texts and their next moment.
--
--   "day 03:00"  "monday 04:30"  "month 1 02:00"  "hour :15"  "every 10m"  or the five fields of cron:
--   minute hour day month weekday, each *, n, a-b, a,b, */n, a-b/n; names of months and weekdays.
--   Day and weekday both given: either is enough, as cron has it.

local time = require("time")

local text = {}

local WEEKDAYS = { monday = 1, tuesday = 2, wednesday = 3, thursday = 4, friday = 5, saturday = 6, sunday = 7 }
local DAYS = { sun = 0, mon = 1, tue = 2, wed = 3, thu = 4, fri = 5, sat = 6 }
local MONTHS = { jan = 1, feb = 2, mar = 3, apr = 4, may = 5, jun = 6, jul = 7, aug = 8, sep = 9, oct = 10,
                 nov = 11, dec = 12 }
local UNITS = { s = 1, m = 60, h = 3600 }
local FIELDS = { { "minute", 0, 59 }, { "hour", 0, 23 }, { "day", 1, 31 }, { "month", 1, 12, MONTHS },
                 { "weekday", 0, 7, DAYS } }
local YEARS = 5 -- a date further off never comes (30 February)

local function number(word, field)
  local n = field[4] and field[4][word:lower()] or math.tointeger(tonumber(word))
  return n and n >= field[2] and n <= field[3] and n or nil
end

-- The set of numbers a field of cron names.
local function field_set(word, field)
  local set = {}
  for part in (word .. ","):gmatch("([^,]*),") do
    local range, step = part:match("^([^/]+)/(%d+)$")
    range, step = range or part, math.tointeger(tonumber(step or 1))
    local low, high
    if range == "*" then
      low, high = field[2], field[3]
    else
      local a, b = range:match("^(%w+)%-(%w+)$")
      low = number(a or range, field)
      high = b and number(b, field) or not b and (part:find("/", 1, true) and field[3] or low) or nil
    end
    if not low or not high or low > high or step < 1 then return nil end
    for n = low, high, step do set[n] = true end
  end
  return set
end

local function cron(words)
  local spec = { kind = "cron" }
  for i, field in ipairs(FIELDS) do
    spec[field[1]] = field_set(words[i], field)
    if not spec[field[1]] then return nil, 'the ' .. field[1] .. ' "' .. words[i] .. '" is not understood' end
  end
  if spec.weekday[7] then spec.weekday[0] = true end
  spec.any_day, spec.any_weekday = words[3] == "*", words[5] == "*"
  return spec
end

local function clock(word)
  local h, m = word:match("^(%d%d?):(%d%d)$")
  h, m = math.tointeger(tonumber(h)), math.tointeger(tonumber(m))
  return h and m and h < 24 and m < 60 and h, m
end

local function at(hour, minute, day, weekday)
  return cron({ tostring(minute), tostring(hour), day or "*", "*", weekday or "*" })
end

--- Reads a text.
--- @param s string
--- @return table?  for text.next; nil and why when it is not understood
--- Source: crontab(5)
function text.parse(s)
  if #s > 200 then return nil, "longer than 200 letters" end
  local words = {}
  for w in s:gmatch("%S+") do words[#words + 1] = w end
  local first = (words[1] or ""):lower()
  if #words == 5 then return cron(words) end
  if #words == 2 and first == "every" then
    local n, unit = words[2]:match("^(%d+)(%l)$")
    local seconds = n and UNITS[unit] and math.tointeger(tonumber(n)) * UNITS[unit]
    if not seconds or seconds < 1 or seconds > 86400 then return nil, "expected every 1s to every 24h" end
    return { kind = "every", seconds = seconds }
  end
  if #words == 2 and first == "hour" then
    local m = math.tointeger(tonumber(words[2]:match("^:(%d%d)$")))
    if m and m < 60 then return cron({ tostring(m), "*", "*", "*", "*" }) end
  end
  if #words == 2 and (first == "day" or WEEKDAYS[first]) then
    local h, m = clock(words[2])
    if h then return at(h, m, nil, WEEKDAYS[first] and tostring(WEEKDAYS[first]) or nil) end
  end
  if #words == 3 and first == "month" then
    local h, m = clock(words[3])
    local day = number(words[2], FIELDS[3])
    if h and day then return at(h, m, tostring(day)) end
  end
  return nil, 'expected "day 03:00", "monday 04:30", "month 1 02:00", "hour :15", "every 10m" or cron text'
end

local function is_day(spec, date)
  local year, month, day = time.split(date)
  if not spec.month[month] then return false end
  local weekday = time.parts(time.moment({ year = year, month = month, day = day })).weekday % 7
  if spec.any_day or spec.any_weekday then
    return (spec.any_day or spec.day[day] or false) and (spec.any_weekday or spec.weekday[weekday] or false)
  end
  return spec.day[day] or spec.weekday[weekday] or false
end

--- The first moment after another.
--- @param spec table  of text.parse
--- @param after number  moment
--- @param zone string  of the clock on the wall
--- @return integer?  nil: never
--- Raises: notfound (zone)
--- Source: crontab(5); a time the wall never shows fires at the moment the clock is put forward
function text.next(spec, after, zone)
  if spec.kind == "every" then return (after // spec.seconds * spec.seconds + spec.seconds) // 1 | 0 end
  local date = time.date(after, zone)
  for _ = 1, 366 * YEARS do
    if is_day(spec, date) then
      local year, month, day = time.split(date)
      local best
      for hour = 0, 23 do
        if spec.hour[hour] then
          for minute = 0, 59 do
            if spec.minute[minute] then
              local moment = time.moment({ year = year, month = month, day = day, hour = hour, minute = minute }, zone)
              if moment > after and (not best or moment < best) then best = moment end
            end
          end
          if best then return best end
        end
      end
    end
    date = time.add_days(date, 1)
  end
  return nil
end

return text
