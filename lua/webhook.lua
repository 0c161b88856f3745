-- webhook.lua - tells other servers how jobs ended: signed as Standard Webhooks has it, tried again for a day.
-- Deliveries are put in by the transaction that ends the job (job_queue.lua), so none is forgotten; one may
-- come twice, with the same webhook-id.

local crypto = require("crypto")
local db = require("db")
local fail = require("fail")
local http = require("http")
local json = require("core.json")
local log = require("log")
local notify = require("notify")
local queue = require("job_queue")
local task = require("task")
local time = require("time")

local webhook = {}

local NULL = db.null
local DELAYS = { 5, 300, 1800, 7200, 18000, 36000, 36000 } -- seconds after the first, second … failure
local LOOK_SECONDS, TIMEOUT_SECONDS, HOLD_SECONDS = 30, 15, 60
local PARALLEL, BATCH = 8, 50
local PREFIX = "whsec_"
local EVENTS = { completed = true, failed = true, cancelled = true }

--- The signature of a message.
--- @param secret string  whsec_ and base64
--- @param id string
--- @param at integer  seconds since 1970
--- @param payload string
--- @return string  "v1,…"
--- Source: Standard Webhooks 1.0, "Signature scheme"
function webhook.sign(secret, id, at, payload)
  local key = crypto.unbase64(secret:sub(#PREFIX + 1))
  return "v1," .. crypto.base64(crypto.hmac("sha256", key, ("%s.%d.%s"):format(id, at, payload)))
end

--- Adds a receiver.
--- Waits.
--- @param o table { url, job_type?, events = array?, secret?, by? }
--- @return table  { webhook_id, url, job_type, events, secret }: the secret is shown here only
--- Raises: validation_error
--- Source: ours
function webhook.add(o)
  if not o.url:find("^https?://[^%s/]+") then fail.raise("validation_error", "url: expected http:// or https://") end
  for _, e in ipairs(o.events or {}) do
    if not EVENTS[e] then fail.raise("validation_error", "events: " .. e
      .. " is none of completed, failed, cancelled") end
  end
  local secret = o.secret or PREFIX .. crypto.base64(crypto.random(32))
  if secret:sub(1, #PREFIX) ~= PREFIX or not pcall(crypto.unbase64, secret:sub(#PREFIX + 1)) then
    fail.raise("validation_error", "secret: expected whsec_ and base64")
  end
  local id = crypto.uuid()
  local events = json.array(o.events or { "completed", "failed", "cancelled" })
  db.main():exec("INSERT INTO webhooks(webhook_id, url, secret, job_type, events, created_by) "
    .. "VALUES (?, ?, ?, ?, ?, ?)",
    { id, o.url, secret, o.job_type or NULL, json.encode(events), o.by or NULL })
  return { webhook_id = id, url = o.url, job_type = o.job_type, events = events, secret = secret }
end

--- All receivers, without their secrets.
--- Waits.
--- @return table
--- Source: ours
function webhook.list()
  local list = json.array({})
  for i, w in ipairs(db.main():query("SELECT webhook_id, url, job_type, events, is_active, created_at FROM webhooks "
      .. "ORDER BY created_at")) do
    w.events, w.active, w.is_active = json.decode(w.events), w.is_active == 1, nil
    list[i] = w
  end
  return list
end

--- Removes a receiver and what it has not been told yet.
--- Waits.
--- @param id string
--- Raises: not_found
--- Source: ours
function webhook.remove(id)
  if db.main():exec("DELETE FROM webhooks WHERE webhook_id = ?", { id }).changes == 0 then
    fail.raise("not_found", "no webhook " .. tostring(id))
  end
end

--- The newest deliveries of a receiver.
--- Waits.
--- @param id string
--- @return table
--- Source: ours
function webhook.deliveries(id)
  return json.array(db.main():query("SELECT delivery_id, job_id, event, status, attempt, next_at, response_status, "
    .. "error_message, created_at, delivered_at FROM webhook_deliveries WHERE webhook_id = ? "
    .. "ORDER BY created_at DESC LIMIT 100", { id }))
end

local function note(d, status, attempt, answer, why)
  local now = time.now()
  local next_at = DELAYS[attempt] and now + DELAYS[attempt] * (0.9 + math.random() * 0.2) or now
  if status == "pending" and not DELAYS[attempt] then status = "failed" end
  db.main():exec("UPDATE webhook_deliveries SET status = ?, next_at = ?, response_status = ?, error_message = ?, "
    .. "delivered_at = ? WHERE delivery_id = ?", { status, queue.stamp(next_at), answer or NULL, why or NULL,
    status == "delivered" and queue.stamp(now) or NULL, d.delivery_id })
  if status ~= "delivered" then log.warn("webhook not delivered", { url = d.url, attempt = attempt, why = why }) end
end

local function deliver(d)
  local attempt = d.attempt + 1 -- whoever counts it up has it, for a while
  if db.main():exec("UPDATE webhook_deliveries SET attempt = ?, next_at = ? WHERE delivery_id = ? AND attempt = ? "
      .. "AND status = 'pending'", { attempt, queue.stamp(time.now() + HOLD_SECONDS), d.delivery_id,
        d.attempt }).changes == 0 then
    return
  end
  local at = time.now() // 1 | 0
  local ok, answer = pcall(http.request, { url = d.url, method = "POST", body = d.payload, timeout = TIMEOUT_SECONDS,
    max_bytes = 65536, headers = { ["content-type"] = "application/json", ["webhook-id"] = d.delivery_id,
      ["webhook-timestamp"] = tostring(at), ["webhook-signature"] = webhook.sign(d.secret, d.delivery_id, at,
        d.payload) } })
  if not ok then return note(d, "pending", attempt, nil, type(answer) == "table" and answer.message
    or tostring(answer)) end
  if answer.status >= 200 and answer.status < 300 then return note(d, "delivered", attempt, answer.status) end
  if answer.status == 410 then -- the receiver wants no more
    db.main():exec("UPDATE webhooks SET is_active = 0 WHERE webhook_id = ?", { d.webhook_id })
    return note(d, "failed", attempt, 410, "the receiver is gone")
  end
  note(d, "pending", attempt, answer.status, "the receiver answered " .. answer.status)
end

-- Delivers what is due; seconds until the next.
local function look()
  local d = db.main()
  local due = d:query("SELECT v.delivery_id, v.webhook_id, v.payload, v.attempt, w.url, w.secret "
    .. "FROM webhook_deliveries v "
    .. "JOIN webhooks w USING (webhook_id) WHERE v.status = 'pending' AND v.next_at <= ? AND w.is_active = 1 "
    .. "ORDER BY v.next_at LIMIT " .. BATCH, { queue.stamp() })
  local fns = {}
  for i, one in ipairs(due) do fns[i] = function() deliver(one) end end
  if fns[1] then task.all(fns, { parallel = PARALLEL }) end
  local next_at = d:value("SELECT min(next_at) FROM webhook_deliveries WHERE status = 'pending'")
  return next_at and math.max(0.05, math.min(LOOK_SECONDS, time.parse(next_at) - time.now())) or LOOK_SECONDS
end

--- Delivers, for ever. A task of the main run of a work process.
--- Waits.
--- Source: ours
function webhook.keep()
  notify.keep("webhooks", "webhooks not delivered", look)
end

return webhook
