-- fail.lua - the errors an API answers with: one list of codes, each with its HTTP status.
--
-- A script raises `error(fail.not_found("no job " .. id))`, or simply
-- `error{ code = "not_found", message = "…", details = { … } }`: the code is looked up here. Any
-- other error is a fault of ours: the client sees internal_error, the log sees the rest.
-- What an answer looks like is lua/reply.lua's business.

local fail = {}

local SHOWN = { __tostring = function(e) return e.code .. ": " .. tostring(e.message) end }

-- The codes a client may see, with their status. Names clients know from before are kept.
local STATUS = {
  -- the request
  validation_error = 422, invalid_body = 400, bad_request = 400, invalid_date_range = 400,
  invalid_input_data = 400, no_ids_provided = 400, config_upload_failed = 400,
  model_upload_failed = 400, job_id_not_found = 400, no_config_available = 400,
  unsupported_media_type = 415, not_acceptable = 406, body_too_large = 413,
  precondition_failed = 412, request_timeout = 408,
  -- who asks
  authentication_error = 401, forbidden = 403, rate_limited = 429,
  -- what is asked for
  not_found = 404, method_not_allowed = 405, gone = 410, job_not_found = 404,
  config_not_found = 404, no_configs_found = 404, no_active_config = 404, model_not_found = 404,
  no_models_found = 404, no_active_model = 404, no_predictions_found = 404, key_not_found = 404,
  -- what is there already
  conflict = 409, job_resource_conflict = 409, job_refractory_active = 429,
  idempotency_conflict = 409, invalid_workflows = 409,
  -- our side
  internal_error = 500, internal_server_error = 500, database_error = 500,
  manual_job_creation_failed = 500, not_implemented = 501, remote_error = 502,
  service_unavailable = 503, unhealthy = 503, busy = 503, timeout = 503, out_of_memory = 503,
  storage_full = 507, retryable_error = 503,
}

-- What a face raises (codes of core/base/err.h) that is worth telling apart; its message stays in
-- the log, for it may name files and tables.
local FACE = {
  busy = { "busy", "the server is busy, try again" },
  timeout = { "timeout", "the request took too long" },
  nomem = { "out_of_memory", "not enough memory for this request" },
  full = { "storage_full", "no space is left on the server's disk" },
  remote = { "remote_error", "another server failed" },
}

local RETRY_AFTER = { busy = 1, timeout = 5, out_of_memory = 5, service_unavailable = 5, retryable_error = 5 }

--- The status of an API code.
--- @param code string
--- @return integer?  nil when it is none
--- Source: ours
function fail.status(code)
  return STATUS[code]
end

--- All API codes with their status, sorted by name.
--- @return table  array of { code, status }
--- Source: ours
function fail.codes()
  local list = {}
  for code, status in pairs(STATUS) do list[#list + 1] = { code = code, status = status } end
  table.sort(list, function(a, b) return a.code < b.code end)
  return list
end

--- An error object of any API code, to be raised.
--- @param code string  one of fail.codes()
--- @param message string
--- @param details table?
--- @return table  { code, message, details, status }
--- Source: ours
function fail.new(code, message, details)
  local status = STATUS[code]
  if not status then error("unknown error code " .. tostring(code), 2) end
  return setmetatable({ code = code, message = message, details = details, status = status }, SHOWN)
end

--- Raises an error object.
--- @param code string  one of fail.codes()
--- @param message string
--- @param details table?
--- Raises: code
--- Source: ours
function fail.raise(code, message, details)
  error(fail.new(code, message, details), 0)
end

for _, code in ipairs({ "bad_request", "not_found", "conflict", "forbidden", "gone", "rate_limited",
                        "service_unavailable", "validation_error", "authentication_error",
                        "internal_error", "not_implemented", "invalid_input_data" }) do
  --- fail.not_found(message, details) and so on: fail.new with that code.
  fail[code] = function(message, details) return fail.new(code, message, details) end
end

--- What a client is told about anything that was raised.
--- @param err any
--- @return string  code
--- @return integer  status
--- @return string  message
--- @return table?  details
--- @return boolean  true when it was foreseen, false when it belongs into the log
--- @return number?  seconds after which trying again may help
--- Source: ours
function fail.explain(err)
  if type(err) == "table" then
    local code = rawget(err, "code")
    local status = STATUS[code]
    local own = rawget(err, "status")
    if status and code ~= "timeout" and code ~= "busy" then
      if math.type(own) == "integer" and own >= 400 and own <= 599 then status = own end
      local details = rawget(err, "details")
      if type(details) ~= "table" then details = nil end
      local message = rawget(err, "message")
      if type(message) ~= "string" then message = code end
      local after = rawget(err, "retry_after") or details and details.retry_after_seconds
      if type(after) ~= "number" then after = RETRY_AFTER[code] end
      return code, status, message, details, status < 500 or own == status, after
    end
    local known = FACE[code]
    if known then
      return known[1], STATUS[known[1]], known[2], nil, false, RETRY_AFTER[known[1]]
    end
  end
  return "internal_error", 500, "an internal error occurred", nil, false, nil
end

return fail
