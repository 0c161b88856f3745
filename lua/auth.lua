-- auth.lua - who asks: API keys with the roles viewer < operator < admin.
--
-- Keys are 256 random bits, made here, shown once; the database keeps their SHA-256. A plain hash is
-- right for them: there is no dictionary to try, so a slow hash or a salt would win nothing. The two
-- bcrypt hashes people have in their settings (one for X-API-Key: operator, one for Bearer: admin) are
-- of tokens of unknown strength; they are checked by bcrypt, off the loop and seldom.
--
-- What was found is cached under a digest keyed with a secret of this process (core.auth): one C call
-- and one table read for a known key. A database key is asked for again after KEY_FRESH seconds, so a
-- revoked one stops working within a second in every process.

local config = require("web_config")
local core = require("core.auth")
local crypto = require("crypto")
local db = require("db")
local fail = require("fail")
local limit = require("limit")
local log = require("log")
local request = require("request")
local task = require("task")

local auth = {}

local digest, monotonic = core.digest, require("core.process").monotonic
local find, sub = string.find, string.sub

local ROLES = { viewer = true, operator = true, admin = true }
local PREFIX = "plk_"
local KEY_LENGTH = #PREFIX + 43
local KEY_FRESH = 0.9       -- seconds; a revocation is seen after this
local WRONG_FRESH = 30      -- a wrong token is not tried by bcrypt again for so long
local CACHE_MAX = 10000
local BCRYPT_AT_ONCE = 2
local WRITE_EVERY = 10      -- seconds between writes of last_used_at

local header_cache, bearer_cache = { n = 0 }, { n = 0 } -- digest -> { key = key or false, fresh = until }
local used = {}             -- key_id -> true: asked with since the last write
local hashing = 0
local under_way = {}        -- digest -> true: bcrypt is at it
local failures

local function remember(cache, d, key, seconds)
  if not cache[d] then
    if cache.n >= CACHE_MAX then
      for k in pairs(cache) do cache[k] = nil end
      cache.n = 0
    end
    cache.n = cache.n + 1
  end
  cache[d] = { key = key, fresh = monotonic() + seconds }
  return key
end

local function stored(text)
  local row = db.main():row([[SELECT key_id, name, role FROM api_keys WHERE key_hash = ?
    AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))]],
    { crypto.sha256(text) })
  return row and { id = row.key_id, name = row.name, role = row.role } or false
end

-- An address that guesses is stopped before it costs anything.
local function check_guessing(r, cost)
  if config.auth_failures <= 0 then return end
  failures = failures or limit.new(config.auth_failures / 60, config.auth_failures)
  local ok, _, wait = limit.take(failures, request.remote(r), cost)
  if not ok or (cost == 0 and wait > 0) then
    local err = fail.rate_limited("too many wrong keys from this address")
    err.retry_after = math.max(1, wait)
    error(err, 0)
  end
end

local function bcrypt(cache, d, text, hash, key)
  while under_way[d] do task.sleep(0.02) end
  local e = cache[d]
  if e and monotonic() < e.fresh then return e.key end
  if hashing >= BCRYPT_AT_ONCE then
    error(fail.service_unavailable("too many new keys are being checked, try again"), 0)
  end
  hashing, under_way[d] = hashing + 1, true
  local done <close> = setmetatable({}, { __close = function()
    hashing, under_way[d] = hashing - 1, nil
  end })
  local ok, good = pcall(crypto.bcrypt_check, text, hash)
  if not ok then
    if type(good) == "table" and good.code == "cancelled" then error(good, 0) end
    log.error("a key hash of the settings cannot be used", { message = tostring(good) })
    good = false
  end
  return remember(cache, d, good and key or false, good and config.auth_cache_seconds or WRONG_FRESH), done
end

local OPERATOR = { id = "settings-operator", name = "API_X_API_KEY_HASH", role = "operator" }
local ADMIN = { id = "settings-admin", name = "API_ADMIN_API_KEY_HASH", role = "admin" }

-- Not in the cache, or no longer fresh.
local function look_up(cache, d, text, r)
  if #text == KEY_LENGTH and sub(text, 1, #PREFIX) == PREFIX then
    return remember(cache, d, stored(text), KEY_FRESH)
  end
  local hash, key = config.operator_hash, OPERATOR
  if cache == bearer_cache then hash, key = config.admin_hash, ADMIN end
  if hash == "" or #text > 72 or #text == 0 then return false end -- bcrypt takes 72 bytes
  check_guessing(r, 0)
  return (bcrypt(cache, d, text, hash, key))
end

local function find_key(cache, text, r)
  local d = digest(text)
  local e = cache[d]
  local key
  if e and monotonic() < e.fresh then key = e.key else key = look_up(cache, d, text, r) end
  if key then
    used[key.id] = true
    return key
  end
end

--- The key a request was sent with. A valid Bearer token wins, then X-API-Key.
--- Waits when the key is not known yet.
--- @param r core.request
--- @return table?  { id, name, role }; nil: none, or none that is valid
--- Raises: rate_limited (guessing), service_unavailable
--- Source: RFC 6750, 2.1; plastinka.md 1.1
function auth.identify(r)
  local h = r:header("authorization")
  local tried = false
  if h and find(h, "^[Bb]earer ") then
    local key = find_key(bearer_cache, sub(h, 8), r)
    if key then return key end
    tried = true
  end
  h = r:header("x-api-key")
  if h then
    local key = find_key(header_cache, h, r)
    if key then return key end
    tried = true
  end
  if tried then check_guessing(r, 1) end
  return nil
end
request.identify = auth.identify

--- What is raised when a key is missing or wrong.
--- @return table
--- Source: RFC 9110, 11.6.1
function auth.refusal()
  local err = fail.authentication_error("a valid API key is needed: X-API-Key or Authorization: Bearer")
  err.headers = { ["www-authenticate"] = "Bearer, ApiKey" }
  return err
end

--- Makes a key.
--- Waits.
--- @param opt table { name, role = "viewer"|"operator"|"admin", expires_days = number?, expires_at = RFC 3339?,
---   created_by = key_id? }
--- @return table { key_id, key (shown this once), name, role, created_at, expires_at }
--- Raises: validation_error
--- Source: ours
function auth.create(opt)
  local name, role, days = opt.name, opt.role, opt.expires_days
  if type(name) ~= "string" or #name == 0 or #name > 200 or not utf8.len(name) or find(name, "%c") then
    fail.raise("validation_error", "the name of a key is " .. tostring(name):sub(1, 40) ..
               ", expected 1 to 200 characters of text")
  end
  if not ROLES[role] then
    fail.raise("validation_error", "role is " .. tostring(role) .. ", expected viewer, operator or admin")
  end
  if days and not (type(days) == "number" and days > 0 and days <= 36500) then
    fail.raise("validation_error", "expires_days is " .. tostring(days) .. ", expected 0 to 36500 days")
  end
  local key, id = PREFIX .. crypto.token(32), crypto.uuid(7)
  local d = db.main()
  d:exec([[INSERT INTO api_keys(key_id, key_hash, name, role, created_by, expires_at) VALUES (?1, ?2, ?3, ?4, ?5,
    CASE WHEN ?6 IS NOT NULL THEN strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?6)
         WHEN ?7 IS NOT NULL THEN strftime('%Y-%m-%dT%H:%M:%fZ', ?7) END)]],
    { id, crypto.sha256(key), name, role, opt.created_by or db.null,
      days and ("+%d seconds"):format(days * 86400 // 1) or db.null, opt.expires_at or db.null })
  local row = d:row("SELECT created_at, expires_at FROM api_keys WHERE key_id = ?", { id })
  log.info("key created", { key = id, role = role, by = opt.created_by })
  return { key_id = id, key = key, name = name, role = role, created_at = row.created_at, expires_at = row.expires_at }
end

--- All keys, newest first, without what could be used to log in.
--- Waits.
--- @return table  array of { key_id, name, role, created_at, created_by, expires_at, last_used_at, revoked_at }
--- Source: ours
function auth.list()
  return db.main():query([[SELECT key_id, name, role, created_at, created_by, expires_at, last_used_at, revoked_at
    FROM api_keys ORDER BY created_at DESC, key_id DESC]])
end

--- Ends a key. It stops working within a second in all processes.
--- Waits.
--- @param id string  key_id
--- @return boolean  false when it was revoked before
--- Raises: key_not_found
--- Source: ours
function auth.revoke(id)
  local d = db.main()
  local done = d:exec([[UPDATE api_keys SET revoked_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    WHERE key_id = ? AND revoked_at IS NULL]], { id })
  if done.changes > 0 then
    log.info("key revoked", { key = id })
    return true
  end
  if not d:value("SELECT 1 FROM api_keys WHERE key_id = ?", { id }) then
    fail.raise("key_not_found", "there is no key " .. tostring(id):sub(1, 64))
  end
  return false
end

--- On the very first start makes one admin key and prints it: once, to standard output, never to the log.
--- Does nothing when there is any key, also in the settings. Waits.
--- @return string?  the key
--- Source: ours
function auth.first_start()
  if config.operator_hash ~= "" or config.admin_hash ~= "" then return nil end
  local key = PREFIX .. crypto.token(32)
  local done = db.main():exec([[INSERT INTO api_keys(key_id, key_hash, name, role)
    SELECT ?, ?, 'first start', 'admin' WHERE NOT EXISTS (SELECT 1 FROM api_keys)]],
    { crypto.uuid(7), crypto.sha256(key) })
  if done.changes == 0 then return nil end
  print("admin key (shown this once; `plastinka keys` makes more): " .. key)
  return key
end

local USED = "UPDATE api_keys SET last_used_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE key_id = ?"

--- Writes down which keys were used since the last time.
--- Waits.
--- Source: ours
function auth.flush()
  local ids = used
  used = {}
  local list = {}
  for id in pairs(ids) do
    list[#list + 1] = { USED, { id } }
  end
  if list[1] then db.main():write(list) end
end

--- Writes last_used_at in batches for as long as the process lives; for a task.
--- Waits.
--- Source: ours
function auth.keep()
  while true do
    task.sleep(WRITE_EVERY)
    local ok, err = pcall(auth.flush)
    if not ok then log.warn("last use of keys not written", { message = tostring(err) }) end
  end
end

return auth
