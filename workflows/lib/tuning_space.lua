-- tuning_space.lua - what a tuning may change, and within what ranges. Edit it like any other file: names are
-- those of model_config.lua. Ranges are those that have been seen to work, narrower than the reference's.
--
-- "lite" leaves the network as it is and looks for how to train it; "full" looks for both.

local tune = require("tune")

local tuning_space = {}

local SPANS = { 3, 7, 12 } -- each is a panel of its own, made beforehand: few
local LAGS_MIN, LAGS_MAX = 3, 12

--- The spans (months of the exponential means) that are tried.
tuning_space.SPANS = SPANS

-- How the network is trained, and on what.
local function training(at)
  return {
    optimizer_config = { lr = tune.log_uniform(1e-4, 1e-2), weight_decay = tune.log_uniform(1e-7, 1e-2) },
    lr_shed_config = { T_0 = tune.int(10, 500, { step = 10 }), T_mult = tune.int(1, 4) },
    train_ds_config = { alpha = tune.uniform(1, 7), span = tune.choice(SPANS) },
    lags = tune.int(LAGS_MIN, math.max(LAGS_MIN, math.min(LAGS_MAX, at // 2 - 1))),
    -- with a switch: without it the group is not in the configuration
    use_swa = tune.choice({ false, true }),
    swa_config = {
      swa_lrs = tune.when(tune.log_uniform(1e-5, 1e-2), "use_swa", true),
      swa_epoch_start = tune.when(tune.uniform(0.2, 0.8), "use_swa", true),
      annealing_epochs = tune.when(tune.int(5, 49), "use_swa", true),
    },
    use_weights = tune.choice({ false, true }),
    weights_config = {
      sigma_left = tune.when(tune.uniform(0.4, 1), "use_weights", true),
      sigma_right = tune.when(tune.uniform(0.8, 3), "use_weights", true),
    },
  }
end

local function network()
  return {
    num_encoder_layers = tune.int(1, 4), num_decoder_layers = tune.int(1, 4),
    decoder_output_dim = tune.choice({ 8, 16, 32, 64 }), temporal_decoder_hidden = tune.choice({ 16, 32, 64, 128 }),
    hidden_size = tune.choice({ 32, 64, 128 }),
    temporal_width_past = tune.int(0, 5), temporal_width_future = tune.int(0, 5),
    temporal_hidden_size_past = tune.choice({ 4, 8, 16, 32 }),
    temporal_hidden_size_future = tune.choice({ 4, 8, 16, 32 }),
    batch_size = tune.choice({ 64, 128, 256, 512 }), dropout = tune.uniform(0, 0.6),
    use_reversible_instance_norm = tune.choice({ false, true }), use_layer_norm = tune.choice({ false, true }),
  }
end

--- The space of a tuning.
--- @param mode string  "lite" | "full"
--- @param at integer  months that are learnt from
--- @return table  for tune.run
--- Source: plastinka 5, narrower
function tuning_space.of(mode, at)
  local space = training(at)
  if mode == "full" then space.nn_model_config = network() end
  return space
end

local SWITCHES = { use_swa = "swa_config", use_weights = "weights_config" }

--- A configuration with the parameters of a trial in it.
--- @param base table  configuration; stays as it is
--- @param params table  nested, as tune.run gives them
--- @return table  configuration, to be checked
--- Source: ours
function tuning_space.merge(base, params)
  local out = {}
  for name, v in pairs(base) do out[name] = v end
  for name, v in pairs(params) do
    if type(v) == "table" then
      local group = {}
      for k, old in pairs(type(base[name]) == "table" and base[name] or {}) do group[k] = old end
      for k, new in pairs(v) do group[k] = new end
      out[name] = group
    elseif not SWITCHES[name] then
      out[name] = v
    end
  end
  for switch, group in pairs(SWITCHES) do
    if params[switch] == false then out[group] = nil end
  end
  return out
end

--- The parameters of a configuration as a point to start from.
--- @param config table
--- @return table
--- Source: ours
function tuning_space.point(config)
  local out = {}
  for name, v in pairs(config) do out[name] = v end
  for switch, group in pairs(SWITCHES) do out[switch] = config[group] ~= nil end
  return out
end

return tuning_space
