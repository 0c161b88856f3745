-- events.lua - server-sent events on the wire. See reply.events.

local core = require("core.task")
local json = require("core.json")
local task = require("task")

local events = {}

local find, gsub = string.find, string.gsub
local STREAM = { __name = "event stream" }
STREAM.__index = STREAM

-- One writer at a time: the keep-alive task writes too.
local function write(self, text)
  while self.writing do task.sleep(0.01) end
  self.writing = true
  local ok, message, code = self.r:write(text)
  self.writing = false
  if not ok then error({ code = code or "cancelled", message = message or "the client is gone" }, 0) end
  self.wrote = true
end

local function line(name, value)
  value = tostring(value)
  if find(value, "[\r\n%z]") then error("a line break in the " .. name .. " of an event", 3) end
  return name .. ": " .. value .. "\n"
end

--- Sends one event.
--- Waits when the client is slow.
--- @param e table { data = text or any value (as JSON), event = name, id =, retry = milliseconds }
--- Raises: cancelled
--- Source: WHATWG HTML, 9.2.6
function STREAM:send(e)
  if type(e) ~= "table" then error("expected a table like { data = … }, found a " .. type(e), 2) end
  local out = ""
  if e.event then out = out .. line("event", e.event) end
  if e.id then out = out .. line("id", e.id) end
  if e.retry then out = out .. line("retry", e.retry) end
  if e.data ~= nil then
    local data = e.data
    if type(data) ~= "string" then
      local text, message, code = json.encode(data)
      if not text then error({ code = code, message = message }, 0) end
      data = text
    end
    data = gsub(gsub(data, "\r\n", "\n"), "\r", "\n")
    out = out .. "data: " .. gsub(data, "\n", "\ndata: ") .. "\n"
  end
  write(self, out .. "\n")
end

--- Sends a comment, which clients pass by.
--- @param text string
--- Raises: cancelled
--- Source: WHATWG HTML, 9.2.6
function STREAM:comment(text)
  write(self, ": " .. gsub(text, "[\r\n]", " ") .. "\n\n")
end

--- Runs the function of a reply.events.
--- @param r core.request
--- @param p reply
--- @param headers table
--- Source: ours
function events.run(r, p, headers)
  if not p.has_deadline then core.limits(require("web_config").burst_ms, 0) end
  local ok, message, code = r:start(200, headers)
  if not ok then error({ code = code, message = message }, 0) end
  local stream = setmetatable({ r = r, writing = false, wrote = false }, STREAM)
  local beat = task.start(function()
    while true do
      task.sleep(p.keep_alive)
      if not stream.wrote then stream:comment("keep-alive") end
      stream.wrote = false
    end
  end)
  p.fn(stream)
  task.cancel(beat)
  r:finish()
end

return events
