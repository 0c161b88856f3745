-- limit.lua - token buckets: how often one key or one address may ask.
--
-- A bucket is two numbers: tokens, and when they were counted. Memory is bounded by turning over:
-- buckets live in the young tables; when those are full they become the old ones and what was old
-- and has not been asked for since is forgotten, which can only be to the client's favour.
-- One process counts for itself: with N web processes a client may get up to N times its share.

local process = require("core.process")

local limit = {}

local monotonic, min, ceil, format = process.monotonic, math.min, math.ceil, string.format
local MAX = 20000

--- Makes a limiter.
--- @param rate number    tokens a second
--- @param burst number   tokens a bucket holds
--- @param max integer?   buckets before the oldest are forgotten, 20000
--- @return limiter
--- Source: ours
function limit.new(rate, burst, max)
  return { rate = rate, burst = math.max(1, burst), max = max or MAX, n = 0,
           tokens = {}, stamps = {}, old_tokens = {}, old_stamps = {} }
end

local function turn(l)
  l.old_tokens, l.old_stamps = l.tokens, l.stamps
  l.tokens, l.stamps, l.n = {}, {}, 0
end

--- Takes from the bucket of a name.
--- @param l limiter
--- @param name string
--- @param cost number?  1; 0 only looks
--- @return boolean  false when there is not enough: nothing is taken then
--- @return number   tokens left
--- @return number   seconds until there is one (or enough) again
--- Source: ours
function limit.take(l, name, cost)
  cost = cost or 1
  local now = monotonic()
  local have, stamp = l.tokens[name], l.stamps[name]
  if not have then
    if l.n >= l.max then turn(l) end
    l.n = l.n + 1
    have, stamp = l.old_tokens[name] or l.burst, l.old_stamps[name] or now
  end
  have = min(l.burst, have + (now - stamp) * l.rate)
  local ok = have >= cost
  if ok then have = have - cost end
  l.tokens[name], l.stamps[name] = have, now
  local lack = ok and 1 - have or cost - have
  return ok, have, lack > 0 and lack / l.rate or 0
end

--- The headers that tell a client about its limit.
--- @param l limiter
--- @param what string    "key" or "address"
--- @param left number    tokens
--- @param wait number    seconds until the next one
--- @return string  RateLimit-Policy
--- @return string  RateLimit
--- Source: draft-ietf-httpapi-ratelimit-headers-10
function limit.headers(l, what, left, wait)
  local policy = l.policy
  if not policy then
    policy = format('"%s";q=%d;w=%d', what, l.burst, math.max(1, ceil(l.burst / l.rate)))
    l.policy = policy
  end
  return policy, format('"%s";r=%d;t=%d', what, left // 1, ceil(wait))
end

return limit
