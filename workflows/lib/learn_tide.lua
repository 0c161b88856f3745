-- learn_tide.lua - TiDE on a panel: from the parameters of a configuration to a fitted network, and to what it
-- expects of the month after.

local tide = require("tide")

local learn_tide = {}

local VALID_MIN = 5 -- months before one can be held back
local BLIND_EPOCHS = 20 -- where none is
local EPOCH_WINDOWS = 20480 -- what an epoch sees at most, so that a large shop takes no longer

--- Months before a season can be told from a trend.
learn_tide.SEASONS_MIN = 24

--- The five levels all forecasts have.
learn_tide.LEVELS = { 0.05, 0.25, 0.5, 0.75, 0.95 }

--- Months looked back: as configured, but never more than half of what is known.
--- @param config table
--- @param at integer  months known
--- @return integer
--- Source: ours
function learn_tide.lags(config, at)
  return math.max(2, math.min(config.lags, at // 2 - 1))
end

--- Whether so many months are enough to learn anything.
--- @param at integer
--- @return boolean
--- Source: ours
function learn_tide.can(at)
  return at >= 3
end

local function network(panel, config, lags)
  local nn, weights = config.nn_model_config, config.weights_config
  return tide.new({
    input_chunk = lags, output_chunk = 1, past_cov = #panel.features.past, future_cov = #panel.features.future,
    static_cov = panel.static and panel.static:shape()[2] or 0,
    num_encoder_layers = nn.num_encoder_layers, num_decoder_layers = nn.num_decoder_layers,
    decoder_output_dim = nn.decoder_output_dim, hidden_size = nn.hidden_size,
    temporal_width_past = nn.temporal_width_past, temporal_width_future = nn.temporal_width_future,
    temporal_hidden_size_past = nn.temporal_hidden_size_past,
    temporal_hidden_size_future = nn.temporal_hidden_size_future, temporal_decoder_hidden = nn.temporal_decoder_hidden,
    dropout = nn.dropout, use_layer_norm = nn.use_layer_norm,
    use_reversible_instance_norm = nn.use_reversible_instance_norm,
    loss = "pinball", quantiles = config.quantiles, seed = config.training_config.seed,
    sigma_left = weights and weights.sigma_left, sigma_right = weights and weights.sigma_right,
    scale = config.training_config.target_scale,
  })
end

--- Fits a network to the first `at` months of a panel: first against the last months of them, to learn how long;
--- then, with `refit`, on all of them.
--- Waits; cancellable.
--- @param panel panel
--- @param at integer
--- @param config table  of model_config
--- @param opt table? { epochs = fixed number (no validation then), refit = true, on_epoch, checkpoint, resume,
---   threads }
--- @return table  { net, lags, is_seasonal, epochs, valid_loss, train_loss }
--- Raises: as tide.fit
--- Source: plastinka 4.7, 4.10
function learn_tide.fit(panel, at, config, opt)
  opt = opt or {}
  local t, lags = config.training_config, learn_tide.lags(config, at)
  local is_seasonal = at >= learn_tide.SEASONS_MIN
  local data = panel:windows(at, { lags = lags, alpha = config.train_ds_config.alpha, is_seasonal = is_seasonal })
  local net = network(panel, config, lags)
  local held = at >= 12 and 2 or 1
  local swa = config.swa_config
  local fixed = opt.epochs or at < VALID_MIN and math.min(BLIND_EPOCHS, t.max_epochs) or nil
  local epochs = fixed or t.max_epochs
  local how = {
    epochs = epochs, batch_size = config.nn_model_config.batch_size, lr = config.optimizer_config.lr,
    weight_decay = config.optimizer_config.weight_decay, optimizer = "adamw", clip_norm = t.clip_norm, seed = t.seed,
    max_steps = math.max(1, EPOCH_WINDOWS // config.nn_model_config.batch_size),
    schedule = "restarts", T_0 = config.lr_shed_config.T_0, T_mult = config.lr_shed_config.T_mult,
    on_epoch = opt.on_epoch, checkpoint = opt.checkpoint, resume = opt.resume, threads = opt.threads,
  }
  if swa then
    local start = swa.swa_epoch_start
    how.swa_epoch_start = math.tointeger((start < 1 and start * epochs or start) // 1)
    how.swa_lr, how.annealing_epochs = swa.swa_lrs, swa.annealing_epochs
  end
  if not fixed then
    how.valid_from, how.patience, how.min_delta = at - held, t.patience, t.min_delta
    how.refit = opt.refit ~= false
  end
  net:fit(data, how)
  local out = { net = net, lags = lags, is_seasonal = is_seasonal, epochs = epochs }
  for _, r in ipairs(net.history) do
    if r.phase == 1 and r.best_loss and r.best_loss == r.best_loss then
      out.valid_loss, out.epochs = r.best_loss, r.best_epoch
    end
    out.train_loss = r.train_loss
  end
  return out
end

--- What a fitted network expects of the month after `at`. Nothing above twice what a product ever sold is
--- believed.
--- Waits; cancellable.
--- @param panel panel
--- @param at integer
--- @param fitted table  { net, lags, is_seasonal }
--- @return tensor  (N, 5), units, rising
--- Raises: as tide.predict
--- Source: ours
function learn_tide.predict(panel, at, fitted)
  local data = panel:windows(at, { lags = fitted.lags, is_training = false, is_seasonal = fitted.is_seasonal })
  local out = fitted.net:predict(data, { quantiles = learn_tide.LEVELS, threads = 2 })
  return out.quantiles:reshape({ panel.n, 5 }):minimum(learn_tide.ceiling(panel, at))
end

--- The most that is believed of each product.
--- @param panel panel
--- @param at integer
--- @param times number?  2; of the best of its last twelve months
--- @return tensor  (N, 1)
--- Source: ours
function learn_tide.ceiling(panel, at, times)
  return (panel.units:slice(2, math.max(1, at - 11), at):max(2) * (times or 2) + 2):reshape({ panel.n, 1 })
end

return learn_tide
