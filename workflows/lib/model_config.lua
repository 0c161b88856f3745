-- model_config.lua - the parameters of a forecasting model: one JSON object with the names of the
-- reference. What there is, within what ranges and with what defaults, is this table; a name that is
-- not here is an error. To add a parameter, add its line and use it in the training.

local crypto = require("crypto")
local fail = require("fail")
local json = require("json")
local schema = require("schema")

local model_config = {}

--- The levels at which predictions are stored, whatever quantiles a model has learnt.
model_config.LEVELS = json.array({ 0.05, 0.25, 0.5, 0.75, 0.95 })

-- Groups that are filled with their defaults when absent, and groups that are switched off then.
local GROUPS = {
  nn_model_config = {
    num_encoder_layers = "integer 1..20 = 2",
    num_decoder_layers = "integer 1..20 = 2",
    decoder_output_dim = "integer 1..2048 = 16",
    temporal_width_past = "integer 0..256 = 4 -- 0: past covariates go in as they are",
    temporal_width_future = "integer 0..256 = 4 -- 0: future covariates go in as they are",
    temporal_hidden_size_past = "integer 1..2048 = 16",
    temporal_hidden_size_future = "integer 1..2048 = 16",
    temporal_decoder_hidden = "integer 1..2048 = 32",
    hidden_size = "integer 1..2048 = 64",
    batch_size = "integer 1..65536 = 256",
    dropout = "number 0..0.99 = 0.3",
    use_reversible_instance_norm = "boolean = true -- a product is seen against its own last months",
    use_layer_norm = "boolean = false",
  },
  optimizer_config = { lr = "number >0 = 0.001", weight_decay = "number 0.. = 0.0001" },
  lr_shed_config = { T_0 = "integer 1..1000000 = 130 -- optimizer steps until the first warm restart",
                     T_mult = "integer 1..100 = 3" },
  train_ds_config = { alpha = "number >0 = 2.556 -- how much more windows of items that sell weigh",
                      span = "integer 1..120 = 7 -- months of the exponential means" },
  training_config = {
    max_epochs = "integer 1..10000 = 60", patience = "integer 1..10000 = 8 -- epochs without a better loss",
    min_delta = "number 0.. = 0.0001", clip_norm = "number 0.. = 0.5", seed = "integer 0..2147483647 = 42",
    target_scale = "log_minmax|none = log_minmax",
  },
}
local SWITCHED = {
  swa_config = { swa_lrs = "number >0 = 0.0001",
                 swa_epoch_start = "number 0.. = 0.6 -- below 1: share of the epochs",
                 annealing_epochs = "integer 1..10000 = 45" },
  weights_config = { sigma_left = "number >0 = 0.754", sigma_right = "number >0 = 1.39" },
}

local DECLARATION = {
  lags = "integer 1..120 = 9 -- months the model looks back",
  quantiles = { "array", of = "number 0.001..0.999", min = 1, max = 99, default = model_config.LEVELS,
                doc = "rising, 0.5 among them" },
  ["model_id?"] = "text 1..64 -- taken from old clients and dropped: every training has an id of its own",
}
for name, fields in pairs(GROUPS) do DECLARATION[name] = fields end
for name, fields in pairs(SWITCHED) do DECLARATION[name .. "?"] = fields end

--- As the routes declare it: for the documentation and for members of other declarations.
model_config.declaration = DECLARATION

local checked = schema.checker(DECLARATION)

local function refuse(name, message)
  local where = json.array({ name })
  fail.raise("validation_error", name .. ": " .. message,
    { errors = json.array({ { loc = where, msg = message, type = "value" } }) })
end

local function copy(value)
  if type(value) ~= "table" then return value end
  local out = {}
  for k, v in pairs(value) do out[k] = copy(v) end
  return json.is_array(value) and json.array(out) or out
end

--- A configuration with everything that was not given.
--- @param config table  stays as it is; model_config is taken for nn_model_config; swa_config and
---   weights_config are switched off by null or by their absence
--- @return table
--- Raises: validation_error (names the member, found and expected)
--- Source: plastinka.md 4.6
function model_config.check(config)
  if type(config) ~= "table" then
    fail.raise("validation_error", "found " .. type(config) .. ", expected an object of parameters")
  end
  local c = copy(config)
  if c.model_config ~= nil then
    if c.nn_model_config ~= nil then
      refuse("model_config", "found beside nn_model_config, of which it is another name; one of them expected")
    end
    c.nn_model_config, c.model_config = c.model_config, nil
  end
  for name in pairs(GROUPS) do
    if c[name] == nil or c[name] == json.null then c[name] = {} end
  end
  checked(c)
  c.model_id = nil
  local has_middle = false
  for i, q in ipairs(c.quantiles) do
    if i > 1 and q <= c.quantiles[i - 1] then refuse("quantiles", "they do not rise at number " .. i) end
    has_middle = has_middle or q == 0.5
  end
  if not has_middle then refuse("quantiles", "0.5 is not among them") end
  return c
end

--- The configuration this program ships with.
--- @return table
--- Source: plastinka.md 4.6, with a learning rate and a decay that can be used (defect 34)
function model_config.default()
  return model_config.check({})
end

local SHORT = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\b"] = "\\b",
                ["\f"] = "\\f" }

local function quoted(text)
  local out = {}
  for _, c in utf8.codes(text) do
    if c >= 0x10000 then
      out[#out + 1] = ("\\u%04x\\u%04x"):format(0xd800 + (c - 0x10000 >> 10), 0xdc00 + (c - 0x10000 & 0x3ff))
    else
      local plain = c < 128 and string.char(c)
      out[#out + 1] = plain and SHORT[plain] or c >= 32 and c < 127 and plain or ("\\u%04x"):format(c)
    end
  end
  return '"' .. table.concat(out) .. '"'
end

local function canonical(value)
  if type(value) == "string" then return quoted(value) end
  if type(value) ~= "table" then return json.encode(value) end
  local out = {}
  if json.is_array(value) or #value > 0 then
    for i, v in ipairs(value) do out[i] = canonical(v) end
    return "[" .. table.concat(out, ", ") .. "]"
  end
  local names = {}
  for name in pairs(value) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do out[i] = quoted(name) .. ": " .. canonical(value[name]) end
  return "{" .. table.concat(out, ", ") .. "}"
end

--- The id of a configuration: MD5 of its JSON with sorted keys, ", " and ": " between, and everything
--- beyond ASCII escaped. Equal parameters have equal ids.
--- @param config table
--- @return string  32 hex digits
--- Source: plastinka.md 1.6.9
function model_config.id(config)
  return crypto.hex(crypto.digest("md5", canonical(config)))
end

--- Keeps a configuration; one that is there already stays as it is.
--- Waits.
--- @param d db  or the database of a transaction
--- @param config table  checked, or to be
--- @param source string  manual_upload, tuning, default
--- @return string  its id
--- @return table   it, whole
--- Raises: validation_error; as db:exec
--- Source: ours
function model_config.store(d, config, source)
  config = model_config.check(config)
  local id = model_config.id(config)
  d:exec("INSERT INTO configs(config_id, config, source) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
    { id, json.encode(config, { sorted = true }), source })
  return id, config
end

return model_config
