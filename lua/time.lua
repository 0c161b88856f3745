-- time.lua - moments, dates and months. A moment is a number: seconds since 1970 UTC. A date is a
-- text: "2026-01-31"; a month is the date of its first day. The tz database knows the zones.

local core = require("core.time")
local check = require("raise").check
local time = {}

local floor = math.floor

--- The moment now, with microseconds.
--- @return number seconds since 1970 UTC
function time.now()
  return core.now()
end

--- A clock that never jumps, to measure how long something takes.
--- @return number seconds
function time.monotonic()
  return core.monotonic()
end

--- Writes a moment as RFC 3339: "2026-01-31T12:00:00Z".
--- @param moment number? default now
--- @param opt table? { zone = "Europe/Moscow", digits = 0 to 9 behind the seconds }
--- @return string
--- Raises: notfound, invalid (zone)
function time.format(moment, opt)
  return (check(core.format(moment or core.now(), opt and opt.zone, opt and opt.digits)))
end

--- Reads RFC 3339: "2026-01-31T12:00:00Z", "…+03:00", or a date alone (its midnight UTC).
--- @param text string
--- @return number seconds since 1970 UTC; a whole number unless the text has a fraction
--- Raises: parse
function time.parse(text)
  local seconds, nanos, code = core.parse(text)
  if seconds == nil then check(seconds, nanos, code) end
  return nanos == 0 and seconds or seconds + nanos / 1e9
end

--- The calendar and the clock on the wall at a moment.
--- @param moment number? default now
--- @param zone string? default UTC
--- @return table { year, month, day, hour, minute, second, weekday (1 = Monday), yearday, offset
---   (seconds east), dst, zone (short name) }
--- Raises: notfound, invalid (zone)
function time.parts(moment, zone)
  return (check(core.parts(moment or core.now(), zone)))
end

--- The moment at which the wall shows these parts. Shown twice: the first. Never shown: as if the
--- clock had not been put forward yet.
--- @param parts table { year, month, day, hour = 0, minute = 0, second = 0 }
--- @param zone string? default UTC
--- @return integer seconds since 1970 UTC
--- Raises: notfound, invalid (zone)
function time.moment(parts, zone)
  return (check(core.moment(zone, parts.year, parts.month, parts.day, parts.hour, parts.minute, parts.second)))
end

local function text_of(year, month, day)
  return string.format("%04d-%02d-%02d", year, month, day)
end

local function days_of(date)
  if type(date) ~= "string" or #date ~= 10 then
    check(nil, string.format("%q is no date; 2026-01-31 expected", tostring(date)), "parse")
  end
  local seconds, message, code = core.parse(date)
  if seconds == nil then check(nil, message, code) end
  return seconds // 86400
end

--- The date at a moment.
--- @param moment number? default now
--- @param zone string? default UTC
--- @return string "2026-01-31"
--- Raises: notfound, invalid (zone)
function time.date(moment, zone)
  local p = time.parts(moment, zone)
  return text_of(p.year, p.month, p.day)
end

--- Whether a value is the text of a date that exists.
--- @param value any
--- @return boolean
function time.is_date(value)
  return type(value) == "string" and #value == 10 and core.parse(value) ~= nil
end

--- Year, month and day of a date.
--- @param date string
--- @return integer year
--- @return integer month
--- @return integer day
--- Raises: parse
function time.split(date)
  return core.civil(days_of(date))
end

--- @param date string
--- @param days integer may be negative
--- @return string
--- Raises: parse
function time.add_days(date, days)
  return text_of(core.civil(days_of(date) + days))
end

--- Whole days from one date to another; negative when `to` is earlier.
--- @param from string
--- @param to string
--- @return integer
--- Raises: parse
function time.days_between(from, to)
  return days_of(to) - days_of(from)
end

--- Days of the month a date is in.
--- @param date string
--- @return integer 28 to 31
--- Raises: parse
function time.month_days(date)
  local year, month = core.civil(days_of(date))
  local next_year, next_month = year + month // 12, month % 12 + 1
  return core.days(next_year, next_month, 1) - core.days(year, month, 1)
end

--- First day of the month a date is in.
--- @param date string
--- @return string
--- Raises: parse
function time.month_start(date)
  local year, month = core.civil(days_of(date))
  return text_of(year, month, 1)
end

--- Last day of the month a date is in.
--- @param date string
--- @return string
--- Raises: parse
function time.month_end(date)
  local year, month = core.civil(days_of(date))
  return text_of(year, month, time.month_days(date))
end

--- The same day some months later or earlier; the last of the month when there is no such day.
--- @param date string
--- @param months integer may be negative
--- @return string
--- Raises: parse
function time.add_months(date, months)
  local year, month, day = core.civil(days_of(date))
  local n = year * 12 + month - 1 + months
  local first = text_of(n // 12, n % 12 + 1, 1)
  return text_of(n // 12, n % 12 + 1, math.min(day, time.month_days(first)))
end

--- Whole calendar months from the month of one date to the month of another.
--- @param from string
--- @param to string
--- @return integer
--- Raises: parse
function time.months_between(from, to)
  local y1, m1 = core.civil(days_of(from))
  local y2, m2 = core.civil(days_of(to))
  return (y2 - y1) * 12 + m2 - m1
end

--- The first days of all months from that of one date to that of another, both included.
--- @param from string
--- @param to string
--- @return table array of dates
--- Raises: parse
function time.months(from, to)
  local list, n = {}, time.months_between(from, to)
  for i = 0, n do list[i + 1] = time.add_months(time.month_start(from), i) end
  return list
end

--- A length of time for people: "1.5 s", "3 min 20 s", "2 h 5 min".
--- @param seconds number
--- @return string
function time.duration(seconds)
  if seconds < 60 then return string.format("%.3g s", seconds) end
  local whole = floor(seconds + 0.5)
  if whole < 3600 then return string.format("%d min %d s", whole // 60, whole % 60) end
  return string.format("%d h %d min", whole // 3600, whole % 3600 // 60)
end

return time
