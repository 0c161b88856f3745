-- calibrate.lua - what follows a classifier: probabilities of its scores, and the threshold that
-- decides best. Both from rows it was not trained on.

local core = require("core.calibrate")
local raise = require("raise")
local calibrate = {}

--- Makes probabilities of scores, by rows the classifier was not trained on.
--- @param score tensor|table  (N)
--- @param label tensor|table  (N) of 0 and 1
--- @param opt table? { method = "platt" | "isotonic", weight = (N) }
--- @return table  plain data, for calibrate.apply; may be stored as JSON
--- Raises: nan, invalid, nomem
--- Source: core/model/calibrate.h
function calibrate.fit(score, label, opt)
  opt = opt or {}
  local method = opt.method or "platt"
  if method == "platt" then
    local a, b, code = raise.check(core.platt(score, label, opt.weight))
    raise.check(a, b, code)
    return { method = method, a = a, b = b }
  end
  if method ~= "isotonic" then raise.error("invalid", "method is platt or isotonic") end
  local x, y, code = raise.check(core.isotonic(score, label, opt.weight))
  raise.check(x, y, code)
  return { method = method, x = x, y = y }
end

-- the value of a rising line at s
local function on_line(c, s)
  local x, y, low, high = c.x, c.y, 1, #c.x + 1
  while low < high do
    local mid = (low + high) // 2
    if x[mid] <= s then low = mid + 1 else high = mid end
  end
  if low == 1 then return y[1] end
  if low > #x then return y[#y] end
  return y[low - 1] + (y[low] - y[low - 1]) * (s - x[low - 1]) / (x[low] - x[low - 1])
end

--- The probability of a score.
--- @param c table  of calibrate.fit
--- @param score number
--- @return number
--- Source: core/model/calibrate.h
function calibrate.apply(c, score)
  if score ~= score then return score end
  if c.method == "isotonic" then return on_line(c, score) end
  local z = c.a * score + c.b
  if z >= 0 then return math.exp(-z) / (1 + math.exp(-z)) end
  return 1 / (1 + math.exp(z))
end

--- The threshold that decides best, on rows the classifier was not trained on.
--- @param p tensor|table  (N) probabilities or scores
--- @param label tensor|table  (N) of 0 and 1
--- @param opt table? { rule = "f1" | "accuracy" | "balanced" | "cost", false_cost = 1,
---   missed_cost = 1 (for cost: of a false alarm, of a miss), weight = (N) }
--- @return table  { threshold (yes when p >= it), value (of the rule), precision, recall, accuracy }
--- Raises: nan, invalid, nomem
--- Source: ours
function calibrate.threshold(p, label, opt)
  opt = opt or {}
  return (raise.check(core.threshold(opt.rule or "f1", p, label, opt.weight, opt.false_cost,
    opt.missed_cost)))
end

return calibrate
