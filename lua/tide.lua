-- tide.lua - the TiDE model: a dense encoder and decoder for many series at once, with covariates
-- and quantiles. The same steps as baseline: new, fit, predict, save, load.
--
-- Data are one table: target (N, T) or (N, T, C), and where the model takes them past (N, T, P) or
-- (T, P) for all series, future (N, T', F) or (T', F) with T' >= T + horizon to predict, static
-- (N, S). Tensors, or plain tables for small things. weight (N, T), 0 or more, counts a window by
-- the mean over its target steps (weight_lookback = true: over its lookback). keep (N, T): more than
-- 0 where a window may start. missing = true allows NaN in target: filled in a lookback, not counted
-- as a target. Do not change tensors while a fit or a forecast waits.

local core, json = require("core.tide"), require("json")
local raise, tensor = require("raise"), require("tensor")
local tide = {}

local model = {}
model.__index = model
model.__name = "tide"

local PER_STEP = { past = true, weight = true, keep = true }
local PARTS = { "target", "past", "future", "static", "weight", "keep" }

-- ---- scaling of the target: what is kept in the model's meta ----

local function fit_scale(kind, y)
  if kind == nil or kind == "none" then return { kind = "none" } end
  if kind == "standard" then
    local known = y:isnan():neg() + 1
    local n = known:sum()
    local z = y:fill_nan(0)
    local mean = z:sum() / n
    local std = math.sqrt(((z - mean):pow(2) * known):sum() / n)
    return { kind = kind, mean = mean, std = std > 0 and std or 1 }
  elseif kind == "log_minmax" then
    local z = y:log1p()
    local low, high = z:min(), z:max()
    if low ~= low then raise.error("nan", "scale log_minmax: the target has a value below -1") end
    return { kind = kind, low = low, span = high > low and high - low or 1 }
  end
  raise.error("invalid", "scale is " .. tostring(kind) .. ": none, standard or log_minmax expected")
end

local function scaled(s, y)
  if s.kind == "standard" then return (y - s.mean) / s.std end
  if s.kind == "log_minmax" then return (y:log1p() - s.low) / s.span + 1e-6 end
  return y
end

local function unscaled(s, y)
  if y == nil or s.kind == "none" then return y end
  if s.kind == "standard" then return y * s.std + s.mean end
  return ((y - 1e-6) * s.span + s.low):expm1():relu()
end

-- ---- data ----

-- Plain tables become tensors; what is by step is cut to the steps of the target.
local function set_of(data, scale)
  if type(data) ~= "table" then data = { target = data } end
  local out = { missing = data.missing, weight_lookback = data.weight_lookback }
  for _, name in ipairs(PARTS) do
    local v = data[name]
    out[name] = type(v) == "table" and tensor.from(v) or v
  end
  if type(out.target) ~= "userdata" then raise.error("invalid", "the data have no target") end
  local T = out.target:shape()[2]
  for name in pairs(PER_STEP) do
    local v = out[name]
    local dim = v and (v:dims() == 2 and name == "past" and 1 or 2)
    if v and v:shape()[dim] > T then out[name] = v:slice(dim, 1, T) end
  end
  out.target = scale and scaled(scale, out.target) or out.target
  return out
end

local function meta_of(self)
  return { scale = self.scale, user = self.note }
end

-- ---- the model ----

--- A model that has learnt nothing yet.
--- @param conf table { input_chunk, output_chunk = steps ahead, n_targets = 1, past_cov = 0,
---   future_cov = 0, static_cov = 0 (widths), num_encoder_layers = 1, num_decoder_layers = 1,
---   decoder_output_dim = 16, hidden_size = 128, temporal_width_past = 4, temporal_width_future = 4
---   (0 = raw), temporal_hidden_size_past, temporal_hidden_size_future = hidden_size,
---   temporal_decoder_hidden = 32, dropout = 0.1, use_layer_norm = false,
---   use_layer_norm_temporal = false (a constant when there is one output a step),
---   use_reversible_instance_norm = false, rin_affine = true, rin_eps = 1e-5,
---   loss = "mse" | "mae" | "huber" | "pinball", huber_delta = 1, quantiles = list (then pinball),
---   quantile_weights = list, or sigma_left and sigma_right, seed = 1,
---   scale = "none" | "standard" | "log_minmax" (of the target, over all series) }
--- @return model
--- Raises: invalid, limit, nomem
--- Source: Das et al. 2023, arXiv:2304.08424; darts 0.36 TiDEModel
function tide.new(conf)
  local box = raise.check(core.new(conf, conf and conf.seed))
  return setmetatable({ box = box, scale_kind = conf.scale, scale = { kind = "none" } }, model)
end

--- A model as it was saved; its weights stay in the file, which is mapped, until it is fitted
--- further. Waits (compute pool).
--- @param path string
--- @return model
--- Raises: notfound, io, corrupt, unsupported, nan, nomem, cancelled
--- Source: ours
function tide.load(path)
  local box = core.load(path)
  local meta = box:meta()
  local kept = meta ~= "" and json.decode(meta) or {}
  local scale = kept.scale or { kind = "none" }
  return setmetatable({ box = box, scale = scale, scale_kind = scale.kind, note = kept.user,
    warm = true }, model)
end

--- Trains; a model that has learnt before, here or before it was saved, goes on from what it knows,
--- with the scaling it has. Waits (compute pool); cancellable within a batch; same result for any
--- number of threads.
--- @param data tensor|table  see the top of this file
--- @param opt table? { epochs = 100, batch_size = 32, lr = 1e-3, lr_floor = 0, schedule = "const" |
---   "cosine" | "restarts" (T_0, T_mult: steps) | "one_cycle" | "plateau", optimizer = "adam" |
---   "adamw" | "sgd", weight_decay = 0, momentum, clip_norm = 0 (none), valid_from = step (from 0)
---   where validation begins, valid_to, train_from, stride = 1, max_steps = batches an epoch at
---   most, patience = 0 (epochs; 0 = never stop early), min_delta = 0, swa_epoch_start = -1,
---   swa_lr, annealing_epochs, refit = false (second fit on everything), refit_factor = 1.1,
---   seed = 1, threads = all, on_epoch = function(report, model) (false ends the training; the
---   model may predict there), checkpoint = path written every checkpoint_every = 1 epochs,
---   resume = path of one }
--- @return model  itself; model.history has the reports: { phase, epoch, epochs, train_loss,
---   valid_loss, best_loss, best_epoch, lr, grad_norm, seconds, steps, finished }
--- Raises: shape, nan, invalid, diverged, cancelled, busy, nomem, io, corrupt
function model:fit(data, opt)
  opt = opt or {}
  if self.scale_kind and self.scale_kind ~= "none" and not self.warm then
    local y = type(data) == "table" and data.target or data
    y = type(y) == "table" and tensor.from(y) or y
    self.scale = fit_scale(self.scale_kind, opt.valid_from and y:slice(2, 1, opt.valid_from) or y)
  end
  self.history = {}
  local how = setmetatable({ warm = self.warm }, { __index = opt })
  local fit <close> = core.fit(self.box, set_of(data, self.scale), how)
  if opt.resume then fit:load(opt.resume) end
  repeat
    local report = fit:epoch()
    self.warm = true
    self.history[#self.history + 1] = report
    if opt.checkpoint and #self.history % (opt.checkpoint_every or 1) == 0 then
      fit:save(opt.checkpoint)
    end
  until report.finished or (opt.on_epoch and opt.on_epoch(report, self) == false)
  return self
end

--- Forecasts the steps behind the data (or behind step `at`).
--- Waits (compute pool); cancellable; same result for any number of threads.
--- @param data tensor|table  see the top of this file
--- @param opt table? { horizon = output_chunk, quantiles = list of levels, samples = 0 (more: so
---   many passes with dropout, each a draw), seed = 1, at = step (from 0), batch = 256, threads = 1 }
--- @return table { mean = tensor (N, H) or (N, H, C): the middle where the model gives quantiles,
---   quantiles = tensor (N, H, Q) or (N, H, C, Q), rising; levels }
--- Raises: shape, nan, invalid, busy, nomem, cancelled
function model:predict(data, opt)
  local mean, quantiles = self.box:predict(set_of(data, self.scale), opt)
  return { mean = unscaled(self.scale, mean), quantiles = unscaled(self.scale, quantiles),
    levels = quantiles and opt and opt.quantiles or nil }
end

--- Writes the model to a file, whole or not at all: configuration, weights, scaling, your note.
--- Waits (compute pool).
--- @param path string
--- @param note any?  something JSON can hold, found again as model.note
--- Raises: io, full, busy, nomem, cancelled
function model:save(path, note)
  if note ~= nil then self.note = note end
  self.box:meta(json.encode(meta_of(self)))
  self.box:save(path)
end

--- Writes the model as an ONNX file (opset 17), for other programs to forecast with. Inputs, as far
--- as the model takes them: lookback (series, L, C), past (series, L, P), future (series, L + H, F),
--- static (series, S), f32 without gaps, in the target's own units; output forecast (series, H, C), or
--- (series, H, C, Q) with rising quantiles. Waits (compute pool).
--- @param path string
--- Raises: io, full, busy, limit, nomem, cancelled
--- Source: onnx.ai, operators of opset 17
function model:export_onnx(path)
  local s = self.scale
  self.box:export(path, s.kind, s.mean or s.low, s.std or s.span)
end

--- What the model was made with.
--- @return table
function model:options()
  return self.box:options()
end

--- Names and sizes of the parameters, in their order: { name, rows, cols }, cols 0 for a vector.
--- @return table
function model:params()
  return self.box:params()
end

--- Lets go of the weights. The model cannot be used afterwards.
function model:close()
  self.box:close()
end

model.__close = model.close

return tide
