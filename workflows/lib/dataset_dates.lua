-- dataset_dates.lua - the first and the last day a training or a tuning may be asked to learn from.

local db = require("db")
local fail = require("fail")
local json = require("json")
local time = require("time")

local dataset_dates = {}

local DAYS_MAX = 1825
local FIRST_DATE = "1950-01-01"

local function refuse(field, value, message)
  fail.raise("validation_error", field .. ": found " .. tostring(value) .. ", expected " .. message, {
    errors = json.array({ { loc = json.array({ "body", field }), msg = message, type = "value" } }) })
end

--- Checks a pair of dates of a request. A single one is not looked at: the data decide.
--- @param from string?  dataset_start_date
--- @param to string?  dataset_end_date
--- Raises: validation_error (names the field, found and expected)
--- Source: plastinka.md 1.6.4
function dataset_dates.check(from, to)
  if not from or not to then return end
  if from > to then refuse("dataset_start_date", from, "a date not behind dataset_end_date (" .. to .. ")") end
  if from < FIRST_DATE then refuse("dataset_start_date", from, FIRST_DATE .. " or later") end
  local today = time.format(time.now()):sub(1, 10)
  if to > today then refuse("dataset_end_date", to, "a date that is not in the future (today is " .. today .. ")") end
  local days = db.main():value("SELECT CAST(julianday(?) - julianday(?) AS INTEGER)", { to, from })
  if days > DAYS_MAX then refuse("dataset_end_date", to, "at most " .. DAYS_MAX .. " days, found " .. days) end
end

return dataset_dates
