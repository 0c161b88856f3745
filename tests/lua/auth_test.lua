-- API keys: making, checking, revoking, roles, caches, guessing. Over HTTP: tests/server/test_auth.py
local auth = require("auth")
local config = require("web_config")
local crypto = require("crypto")
local db = require("db")
local task = require("task")
local n = 0
local function check(cond, what)
  n = n + 1
  if not cond then error("failed: " .. what, 2) end
end

local main = db.open(":memory:")
function db.main() return main end
main:migrate()

local function from(headers, ip)
  return { header = function(_, name) return headers[name] end, remote = function() return ip or "10.0.0.1", 1 end }
end
local function bearer(key) return from({ authorization = "Bearer " .. key }) end

-- first start: one key, once
local first = auth.first_start()
check(first and #first == 47 and first:sub(1, 4) == "plk_", "first key")
check(auth.first_start() == nil, "only once")
local key = auth.identify(bearer(first))
check(key and key.role == "admin" and key.name == "first start", "it is an admin")
check(auth.identify(from({ ["x-api-key"] = first })).id == key.id, "either header")
check(auth.identify(from({})) == nil, "none")
check(auth.identify(from({ authorization = "Basic " .. first })) == nil, "another scheme")
check(auth.identify(bearer(first .. "x")) == nil and auth.identify(bearer(first:sub(1, -2) .. "!")) == nil, "wrong")
check(auth.identify(from({ authorization = "Bearer wrong", ["x-api-key"] = first })).id == key.id,
      "an invalid Bearer falls through to the key")

-- nothing in the database logs anybody in
for _, row in ipairs(db.main():query("SELECT * FROM api_keys")) do
  for name, v in pairs(row) do check(not tostring(v):find(first, 1, true), "key in column " .. name) end
  check(auth.identify(bearer(row.key_hash)) == nil, "a hash is no key")
end

-- roles, expiry, revocation
local made = auth.create({ name = "shop", role = "viewer", created_by = key.id })
check(auth.identify(bearer(made.key)).role == "viewer" and made.expires_at == nil, "viewer")
local short = auth.create({ name = "short", role = "operator", expires_days = 1 / 86400 })
check(auth.identify(bearer(short.key)) and short.expires_at, "not over yet")
local dated = auth.create({ name = "dated", role = "operator", expires_at = "2020-01-01T00:00:00+03:00" })
check(dated.expires_at == "2019-12-31T21:00:00.000Z" and auth.identify(bearer(dated.key)) == nil, "over long ago")
check(auth.revoke(made.key_id) == true and auth.revoke(made.key_id) == false, "revoked once")
task.sleep(1)
check(auth.identify(bearer(made.key)) == nil, "revoked within a second")
task.sleep(1.2)
check(auth.identify(bearer(short.key)) == nil, "expired")
local ok, err = pcall(auth.revoke, "nobody")
check(not ok and err.code == "key_not_found", "unknown id")
for _, bad in ipairs({ { name = "", role = "viewer" }, { name = "x", role = "root" },
                       { name = "a\nb", role = "viewer" },
                       { name = "x", role = "viewer", expires_days = -1 }, { role = "viewer" } }) do
  ok, err = pcall(auth.create, bad)
  check(not ok and err.code == "validation_error", "refused")
end

-- the list tells nothing secret; last use is written in batches
auth.flush()
local list = auth.list()
check(#list == 4, "all keys")
for _, k in ipairs(list) do
  check(k.key_hash == nil and k.key == nil, "no secrets")
  if k.key_id == key.id then check(k.last_used_at, "last use") end
end

-- the two hashes of the settings: bcrypt once, then from the cache; roles by header
config.operator_hash, config.admin_hash = crypto.bcrypt_hash("user token", 6), crypto.bcrypt_hash("admin token", 6)
check(auth.first_start() == nil, "no first key when there are hashes")
check(auth.identify(from({ ["x-api-key"] = "user token" })).role == "operator", "user")
check(auth.identify(bearer("admin token")).role == "admin", "admin")
check(auth.identify(bearer("user token")) == nil, "the user's token is no admin token")
check(auth.identify(from({ ["x-api-key"] = ("x"):rep(73) })) == nil, "longer than bcrypt takes")
local hashed = 0
local plain = crypto.bcrypt_check
crypto.bcrypt_check = function(...) hashed = hashed + 1; return plain(...) end
for _ = 1, 100 do auth.identify(bearer("admin token")) end
check(hashed == 0, "not paid twice")
task.all({ function() auth.identify(from({ ["x-api-key"] = "new" })) end,
           function() auth.identify(from({ ["x-api-key"] = "new" })) end,
           function() auth.identify(from({ ["x-api-key"] = "new" })) end })
check(hashed == 1, "asked three times at once, hashed once: " .. hashed)

-- guessing from one address ends; others and known keys go on
config.auth_failures = 5
local refused
for i = 1, 40 do
  ok, err = pcall(auth.identify, from({ ["x-api-key"] = "guess " .. i }, "10.9.9.9"))
  if not ok then
    refused = i
    check(err.code == "rate_limited" and err.retry_after >= 1, "told when to come back")
    break
  end
end
check(refused and refused <= 40 and hashed <= 40, "guessing is stopped after " .. tostring(refused))
local before = hashed
for i = 1, 20 do pcall(auth.identify, from({ ["x-api-key"] = "more " .. i }, "10.9.9.9")) end
check(hashed == before, "and costs no bcrypt any more")
check(auth.identify(from({ authorization = "Bearer " .. first }, "10.9.9.9")), "a good key of that address still works")

-- a known key: no garbage, little time
local r = bearer(first)
collectgarbage()
collectgarbage("stop")
local kib = collectgarbage("count")
for _ = 1, 1000 do auth.identify(r) end
local per = (collectgarbage("count") - kib) * 1024 / 1000
collectgarbage("restart")
check(per < 200, "garbage of a check: " .. per .. " bytes")
main:close()
print("auth: " .. n .. " checks")
