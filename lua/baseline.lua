-- baseline.lua - forecasts without training: what every model has to beat, and what small data get.
--
-- The same steps as tide: new, fit, predict, save, load. Data are (series, time), NaN = missing: a
-- tensor, plain tables, or a table whose `target` is one of these (covariates in it are not used).

local core = require("core.baseline")
local raise = require("raise")
local baseline = {}

local model = {}
model.__index = model
model.__name = "baseline"

local function target(data)
  if type(data) == "table" and data.target ~= nil then return data.target end
  return data
end

--- A forecaster that has seen nothing yet.
--- @param conf table { method, horizon = 1, season = 1, window = 12 (moving_average, ridge),
---   alpha, beta, gamma, phi, alpha_p = nil (chosen), floor = nil (lowest forecast),
---   missing_zero = false (a missing value is a 0), fallback = true (a simpler method where the
---   series is too short), interval = "rolling" (learnt
---   from errors at earlier origins) | "normal" | "residual", and for ridge instance_norm = false,
---   series_norm = true, penalty = 1e-3 }
---   method: zero naive mean median drift moving_average (window_mean) seasonal_naive ses ses_grid holt
---   holt_winters_additive (holt_winters) holt_winters_additive_classic croston sba tsb ets theta ridge
--- @return model
--- Raises: invalid
--- Source: core/model/baseline.h names the source of every method and of its quantiles
function baseline.new(conf)
  return setmetatable({ box = raise.check(core.new(conf)) }, model)
end

--- A model as it was saved.
--- Waits (compute pool).
--- @param path string  in a folder fs may use
--- @return model
--- Raises: notfound, auth, io, corrupt, unsupported, nomem, cancelled
--- Source: ours
function baseline.load(path)
  return setmetatable({ box = raise.check(core.load(path)) }, model)
end

--- The names of all methods.
--- @return table
--- Source: ours
function baseline.methods()
  return core.methods()
end

--- Fits. Only ridge learns here; the others read what they need from what they continue.
--- Waits (compute pool); cancellable.
--- @param data tensor|table  (N, T), or { target = that }
--- @return model  itself
--- Raises: shape, nan, limit, invalid, nomem, cancelled
function model:fit(data)
  raise.check(self.box:fit(target(data)))
  return self
end

--- Continues every series of `data`.
--- Waits (compute pool); cancellable; same result for any number of threads.
--- @param data tensor|table  (N, T) up to the origin, or { target = that }
--- @param opt table? { horizon = as in new, quantiles = list of levels, details = false }
--- @return table  { mean = (N, H), quantiles = (N, H, Q) or nil, levels, each = list per series of
---   form, alpha, …, defined (with details) }; of the kind of `data`; NaN where nothing was known
--- Raises: shape, nan, invalid, nomem, cancelled
function model:predict(data, opt)
  opt = opt or {}
  local mean, quantiles, each = self.box:predict(target(data), opt.horizon, opt.quantiles,
    opt.details)
  raise.check(mean, quantiles, each)
  return { mean = mean, quantiles = quantiles, levels = opt.quantiles, each = each }
end

--- Writes the fitted model to a file, whole or not at all.
--- Waits (compute pool).
--- @param path string  in a folder fs may use
--- Raises: auth, io, full, nomem, cancelled
function model:save(path)
  raise.check(self.box:save(path))
end

--- What the model was made with, and whether it is fitted.
--- @return table
function model:options()
  return self.box:options()
end

--- Lets go of what was learnt. The model cannot be used afterwards.
function model:close()
  self.box:close()
end

model.__close = model.close

return baseline
