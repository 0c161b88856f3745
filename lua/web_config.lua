-- web_config.lua - what the framework needs to know of the settings, in the form it needs it. Read
-- once, when first required; tests set fields themselves.

local secret = require("core.settings").secret

local config = {
  development = false,     -- show what went wrong in error answers
  tls = false,
  cors = false,            -- or set of origins; ["*"] = true for any
  trusted = false,         -- or set of proxies' addresses
  upload_dir = nil,
  data_dir = nil,
  body_bytes = 10 << 20,
  upload_total_bytes = 1 << 30,
  upload_file_bytes = 512 << 20,
  burst_ms = 200,
  per_key = 0, burst_key = 200, per_address = 0, burst_address = 400,
  auth_failures = 30, auth_cache_seconds = 300,
  operator_hash = "", admin_hash = "",
}

local function set_of(list)
  if #list == 0 then return false end
  local set = {}
  for _, v in ipairs(list) do set[v] = true end
  return set
end

local function take(settings)
  config.development = settings.environment == "development"
  config.tls = settings.http_tls_cert ~= ""
  config.cors = set_of(settings.http_cors_origins)
  config.trusted = set_of(settings.http_trust_proxies)
  config.data_dir = settings.data_root_dir
  config.upload_dir = settings.data_root_dir .. "/uploads"
  config.body_bytes = settings.http_body_bytes
  config.upload_total_bytes = settings.upload_total_bytes
  config.upload_file_bytes = settings.upload_file_bytes
  config.burst_ms = math.tointeger(settings.route_burst_seconds * 1000 // 1)
  config.per_key, config.burst_key = settings.rate_per_key, settings.rate_burst_key
  config.per_address, config.burst_address = settings.rate_per_address, settings.rate_burst_address
  config.auth_failures, config.auth_cache_seconds = settings.rate_auth_failures, settings.auth_cache_seconds
  config.operator_hash, config.admin_hash = secret("auth_user_key_hash"), secret("auth_admin_key_hash")
end

take(require("settings"))
return config
