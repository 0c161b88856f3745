-- compute.lua - where training is computed. A driver is a table with the two functions below; scripts call
-- these and never know which one answers. Here: the compute pool of this process.
--
-- What goes in and out besides the panel is plain data and files, so that a driver may do the work elsewhere: it
-- would send the panel's tensors and the configuration, and bring back the model file.

local crypto = require("crypto")
local forecast = require("forecast")
local fs = require("fs")

local compute = { drivers = {} }

local here = {}
compute.drivers["local"] = here

function here.backtest(work)
  return forecast.backtest(work.panel, work.config, { progress = work.progress, rival = work.rival })
end

-- Fits and writes the file. A checkpoint of an attempt that was cut short is taken up again; one that does not
-- fit any more is not.
function here.fit(work)
  local function on_epoch(r)
    work.progress(math.min(1, ((r.phase - 1) + r.epoch / math.max(1, r.epochs)) / 2),
      ("phase %d, epoch %d of %d, loss %.4g%s"):format(r.phase, r.epoch, r.epochs, r.train_loss,
        r.valid_loss and r.valid_loss == r.valid_loss and (", validation %.4g"):format(r.valid_loss) or ""))
  end
  local function fit(resume)
    return forecast.fit(work.panel, work.config, work.learnt, { on_epoch = on_epoch, checkpoint = work.checkpoint,
      resume = resume })
  end
  local ok, model = pcall(fit, work.checkpoint and fs.exists(work.checkpoint) and work.checkpoint or nil)
  if not ok and type(model) == "table" and (model.code == "shape" or model.code == "corrupt") then
    model = fit()
  elseif not ok then
    error(model, 0)
  end
  forecast.save(model, work.path)
  local tide = model.tide
  local out = { train_loss = tide.train_loss, val_loss = tide.valid_loss, epochs = tide.epochs, lags = tide.lags,
                has_trees = model.trees ~= nil, has_cold = model.cold ~= nil, sha256 = crypto.sha256_file(work.path) }
  forecast.close(model)
  if work.checkpoint then pcall(fs.remove, work.checkpoint) end
  return out
end

--- Forecasts past months: weights, intervals, scores.
--- Waits; cancellable.
--- @param work table { panel, config, rival?, progress = function(share, text), driver = "local" }
--- @return table  plain data, of forecast.backtest
--- Raises: as forecast.backtest
--- Source: ours
function compute.backtest(work)
  return compute.drivers[work.driver or "local"].backtest(work)
end

--- Trains the model of everything known and writes its file, whole or not at all.
--- Waits; cancellable.
--- @param work table { panel, config, learnt = of compute.backtest, path, checkpoint = path?, progress, driver }
--- @return table  { train_loss, val_loss, epochs, lags, sha256, has_trees, has_cold }
--- Raises: as forecast.fit, forecast.save
--- Source: ours
function compute.fit(work)
  return compute.drivers[work.driver or "local"].fit(work)
end

return compute
