-- store_item_actuals.lua - takes a table file of what was sold, for GET /api/v1/store-item/accuracy.

local fs = require("fs")
local settings = require("settings")
local store_actuals = require("store_actuals")
local store_train = require("store_train")

return {
  summary = "Load what was sold, to see how good the forecasts were",
  hidden = true, -- needs a file: it has a route of its own
  role = "operator", attempts = 3, deadline = "1h", concurrency = 1, refractory = 0,
  params = { stored = "text 1..255 -- its name in uploads/ of the data folder" },
  run = function(job)
    local name = job.params.stored
    if name:find("/", 1, true) or name:sub(1, 1) == "." then
      error({ code = "invalid", message = "no file of uploads/: " .. name }, 0)
    end
    local path, d = settings.data_root_dir .. "/uploads/" .. name, job:scratch()
    local out = job:step("read and store", function()
      local read = store_train.read(d, path)
      read.stored = store_actuals.take(d)
      return read
    end)
    pcall(fs.remove, path)
    return out
  end,
}
