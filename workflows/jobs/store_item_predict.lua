-- store_item_predict.lua - one request of POST /predict: { date, store, item }, or { items }.

local store_request = require("store_request")
local store_serve = require("store_serve")

local function checked(params)
  local ok, items, is_one = pcall(store_request.items, params)
  if ok then return items, is_one end
  local _, answer = store_request.answer(items)
  if not answer then error(items, 0) end
  error({ code = "invalid", message = answer.error .. " (" .. answer.field .. ")", details = answer }, 0)
end

return {
  summary = "Forecast the sales of an item in a store on a day",
  role = "viewer", attempts = 3, backoff = 1, deadline = "5m", refractory = 0, light = true,
  params = { date = "text? 1..10", store = "any?", item = "any?", items = "any?" },
  run = function(job)
    local items, is_one = checked(job.params)
    local m = store_serve.model()
    if not m then
      error({ code = "no_active_model", message = "no model is loaded: plastinka run store_item_train makes one" }, 0)
    end
    if is_one then return store_serve.one(m, items[1]) end
    return { predictions = store_serve.many(m, items) }
  end,
}
