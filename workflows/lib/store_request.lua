-- store_request.lua - what a client of POST /predict sent: one of { date, store, item } or { items = [ … ] },
-- checked in the order and with the texts of the service we replace; those are what its clients know.
--
-- Unlike there, a fraction is no whole number, and no answer to a bad request is a 500.

local json = require("json")
local time = require("time")

local store_request = {}

--- Items of one request.
store_request.ITEMS_MAX = 1000

local ID_MAX = 2147483647
local KNOWN_MAX = 2000
local FIELDS = { "date", "store", "item" }
local NAME = { store = "Store", item = "Item" }
local floor, find, format = math.floor, string.find, string.format

local function refuse(message, field, more)
  local answer = { error = message, field = field }
  for k, v in pairs(more or {}) do answer[k] = v end
  error({ code = "bad_predict", status = 400, answer = answer }, 0)
end

--- What an error that was raised here answers with: status and body; nil when it is another error.
--- @param err any
--- @return integer?
--- @return table?
function store_request.answer(err)
  if type(err) == "table" and rawget(err, "code") == "bad_predict" then return err.status, err.answer end
end

-- A whole number above 0 from a number or a text of digits.
local function id_of(value, name)
  local n = value
  if type(n) == "string" and find(n, "^%s*%+?%d+%.?0*%s*$") and #n <= 20 then n = tonumber(n) end
  if type(n) ~= "number" or n ~= floor(n) or n < 1 or n > ID_MAX then
    refuse(NAME[name] .. " must be a positive integer", name, { expected = "1 to " .. ID_MAX })
  end
  return math.tointeger(n)
end

local DATE = "Invalid date format. Use YYYY-MM-DD"

local known, n_known = {}, 0 -- dates as they were sent -> { day, date }

-- Day from 1970, and the date with two digits for month and day.
local function day_of(text)
  local k = known[text]
  if k then return k[1], k[2] end
  local y, m, d
  if type(text) == "string" and #text <= 10 then y, m, d = text:match("^(%d%d%d%d)%-(%d%d?)%-(%d%d?)$") end
  if not y then refuse(DATE, "date") end
  local date = #text == 10 and text or format("%s-%02d-%02d", y, m, d)
  if not time.is_date(date) then refuse(DATE, "date", { detail = "there is no such day: " .. text }) end
  if y < "1900" or y > "2199" then
    refuse("Invalid date: the year must be from 1900 to 2199", "date")
  end
  local day = time.parse(date) // 86400
  if n_known >= KNOWN_MAX then known, n_known = {}, 0 end
  known[text], n_known = { day, date }, n_known + 1
  return day, date
end

--- Checks one item.
--- @param body table  { date, store, item }
--- @return table  { store, item, day, date, sent = date as it was sent }
--- Raises: an error of store_request.answer
function store_request.item(body)
  if body.date == nil or body.store == nil or body.item == nil then
    local missing = {}
    for _, name in ipairs(FIELDS) do
      if body[name] == nil then missing[#missing + 1] = name end
    end
    refuse("Missing required fields: " .. table.concat(missing, ", "), missing[1])
  end
  local day, date = day_of(body.date)
  return { id_of(body.store, "store"), id_of(body.item, "item"), day, date, sent = body.date }
end

local function items_of(list)
  if not json.is_array(list) or #list == 0 then refuse("items must be a list that is not empty", "items") end
  if #list > store_request.ITEMS_MAX then
    refuse(format("items has %d entries, at most %d are taken", #list, store_request.ITEMS_MAX), "items")
  end
  local out = {}
  for i, one in ipairs(list) do
    local ok, item = pcall(store_request.item, type(one) == "table" and one or {})
    if not ok then
      local _, answer = store_request.answer(item)
      if not answer then error(item, 0) end
      refuse(answer.error, format("items.%d.%s", i - 1, answer.field), { index = i - 1, detail = answer.detail })
    end
    out[i] = item
  end
  return out
end

local INVALID = "No data provided or invalid JSON"

--- Reads the body of a request as JSON.
--- Waits for it.
--- @param req request  of a route that declares no body
--- @return any
--- Raises: an error of store_request.answer (400, 415); body_too_large, request_timeout
function store_request.body(req)
  local kind = req:header("content-type")
  if kind ~= "application/json" then
    kind = kind and kind:lower():match("^%s*([^;%s]*)") or ""
    if kind ~= "application/json" and not find(kind, "+json", -5, true) then
      error({ code = "bad_predict", status = 415, answer = {
        error = "Unsupported Media Type: Content-Type must be application/json", field = "Content-Type" } }, 0)
    end
  end
  local ok, body = pcall(json.decode, req:text())
  if not ok then refuse(INVALID, "body", { detail = body.message }) end
  if body == json.null then refuse(INVALID, "body") end
  return body
end

--- Checks the body of POST /predict.
--- @param body any
--- @return table  array of items as of store_request.item
--- @return boolean  whether it was one item, not a list
--- Raises: an error of store_request.answer
function store_request.items(body)
  if type(body) ~= "table" or json.is_array(body) then body = {} end
  if body.items ~= nil then return items_of(body.items), false end
  return { store_request.item(body) }, true
end

return store_request
