-- For test_onnx.py: models of every form, exported, with the data they saw and what they forecast.
--   plastinka lua onnx_models.lua FOLDER
local tensor, tide = require("tensor"), require("tide")
local dir = arg[1]

local forms = {
  plain = { conf = { input_chunk = 9, output_chunk = 3 } },
  all = { conf = { input_chunk = 8, output_chunk = 4, past_cov = 3, future_cov = 2, static_cov = 2,
    num_encoder_layers = 2, num_decoder_layers = 2, quantiles = { 0.1, 0.5, 0.9 },
    use_layer_norm = true, use_reversible_instance_norm = true, scale = "standard" } },
  raw = { conf = { input_chunk = 5, output_chunk = 2, past_cov = 2, future_cov = 3,
    temporal_width_past = 0, temporal_width_future = 0, scale = "log_minmax" } },
  many = { conf = { input_chunk = 6, output_chunk = 3, n_targets = 3, future_cov = 2,
    use_reversible_instance_norm = true, loss = "huber" } },
  many_quantiles = { conf = { input_chunk = 6, output_chunk = 3, n_targets = 2, static_cov = 3,
    use_layer_norm = true, use_layer_norm_temporal = true, rin_affine = false,
    use_reversible_instance_norm = true, quantiles = { 0.25, 0.75 } } },
  constant = { conf = { input_chunk = 7, output_chunk = 2, future_cov = 1, use_layer_norm = true,
    use_layer_norm_temporal = true } },
}

for name, form in pairs(forms) do
  local c = form.conf
  c.hidden_size, c.decoder_output_dim, c.temporal_decoder_hidden = 16, 4, 8
  local N, T, H, C = 12, 40, c.output_chunk, c.n_targets or 1
  local function noise(shape, seed) return tensor.random(shape, { kind = "uniform", seed = seed }) end
  local data = { target = noise(C > 1 and { N, T, C } or { N, T }, 1) * 20 + 3 }
  if c.past_cov then data.past = noise({ N, T, c.past_cov }, 2) end
  if c.future_cov then data.future = noise({ N, T + H, c.future_cov }, 3) end
  if c.static_cov then data.static = noise({ N, c.static_cov }, 4) end
  local m <close> = tide.new(c)
  m:fit(data, { epochs = 3, batch_size = 16, lr = 1e-2 })
  m:export_onnx(dir .. "/" .. name .. ".onnx")
  local out = m:predict(data, { quantiles = c.quantiles })
  local L = c.input_chunk
  local function part(x, from, to) return x and x:slice(2, from, to):copy() end
  local files = { lookback = part(data.target, T - L + 1, T), past = part(data.past, T - L + 1, T),
    future = part(data.future, T - L + 1, T + H), static = data.static,
    forecast = out.quantiles or out.mean }
  for what, x in pairs(files) do x:save(dir .. "/" .. name .. "." .. what .. ".npy") end
end
