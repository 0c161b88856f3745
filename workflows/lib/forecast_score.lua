-- forecast_score.lua - how good the forecasts of past months were, for the tables people see and for the metrics
-- by which models are compared.

local blend = require("blend")
local json = require("json")
local metrics = require("metrics")
local tensor = require("tensor")

local score = {}

local SAMPLES = 100

local function rounded(x)
  return x and x == x and x < math.huge and tonumber(("%.6g"):format(x)) or nil
end

-- Mean |change from month to month| up to `at`: what the naive forecast is wrong by.
local function naive_error(panel, at)
  if at < 2 then return nil end
  local e = (panel.units:slice(2, 2, at) - panel.units:slice(2, 1, at - 1)):abs():mean()
  return e > 0 and e or nil
end

-- Scores of one member over all judged months together.
local function of_member(panel, months, name, levels)
  local ys, fs, qs, mase, n = {}, {}, {}, 0, 0
  for i, m in ipairs(months) do
    ys[i], fs[i], qs[i] = m.y, m.f[name], name == "model" and m.q or nil
    local naive = naive_error(panel, m.at)
    if naive then mase, n = mase + (m.f[name] - m.y):abs():mean() / naive, n + 1 end
  end
  local y = tensor.concat(ys)
  local p = metrics.point(y, tensor.concat(fs))
  local out = { wape = rounded(p.wape), mae = rounded(p.mae), rmse = rounded(p.rmse), bias = rounded(p.bias),
                mase = n > 0 and rounded(mase / n) or nil }
  if #qs == #months then
    local q = metrics.quantile(y, tensor.concat(qs, 1), levels)
    out.pinball, out.coverage_90, out.crossings = rounded(q.pinball), rounded(q.coverage), q.crossings
    out.width_90 = rounded(q.width)
  else -- a point forecast says the same at every level
    out.pinball = rounded(p.mae / 2)
  end
  return out
end

--- Tables of the judged months.
--- @param panel panel
--- @param months table  array of { at, month, y, f, q }
--- @param levels table
--- @return table, table, table  months; by member; by month
--- Source: ours
function score.table(panel, months, levels)
  local names, models, by_month = json.array({}), {}, json.array({})
  for i, m in ipairs(months) do
    names[i] = m.month
    local row = { month = m.month, wape = {}, units = rounded(m.y:sum()) }
    for _, name in ipairs(blend.names(m.f)) do row.wape[name] = rounded(metrics.wape(m.y, m.f[name])) end
    row.coverage_90 = rounded(metrics.quantile(m.y, m.q, levels).coverage)
    by_month[i] = row
  end
  for _, name in ipairs(months[1] and blend.names(months[1].f) or {}) do
    local is_everywhere = true
    for _, m in ipairs(months) do is_everywhere = is_everywhere and m.f[name] ~= nil end
    if is_everywhere then models[name] = of_member(panel, months, name, levels) end
  end
  return names, models, by_month
end

-- (5, SAMPLES): a draw from quantiles at evenly spread levels, linear between two, flat beyond the ends.
local function drawing(levels)
  local rows = {}
  for i = 1, #levels do rows[i] = {} end
  for s = 1, SAMPLES do
    local u = (s - 0.5) / SAMPLES
    for i = 1, #levels do rows[i][s] = 0 end
    if u <= levels[1] then rows[1][s] = 1 elseif u >= levels[#levels] then rows[#levels][s] = 1
    else
      for i = 1, #levels - 1 do
        if u > levels[i] and u <= levels[i + 1] then
          local share = (u - levels[i]) / (levels[i + 1] - levels[i])
          rows[i][s], rows[i + 1][s] = 1 - share, share
        end
      end
    end
  end
  return tensor.from(rows)
end

--- The metrics of the reference of one month's quantiles: val_MIWS, val_MIC, val_MIWS_MIC_Ratio. One that is not
--- finite is left out.
--- @param panel panel
--- @param m table  { at, y, q }
--- @param levels table
--- @return table
--- Source: plastinka 4.9
function score.validation(panel, m, levels)
  local span = panel.units:slice(2, 1, m.at):log1p():max()
  if span <= 0 then span = 1 end
  local function scaled(x) return x:log1p() / span + 1e-6 end -- nothing sold is 1e-6 exactly
  local y, q = scaled(m.y), scaled(m.q)
  local samples = q:matmul(drawing(levels))
  -- A metric of a month where everything sold, or nothing, would be infinite. The scores do not change when
  -- forecast and actual are moved by the same: so the rows stand for the group that is empty, too.
  local n_zero = y:le(1e-6):sum()
  if n_zero == 0 then
    samples = tensor.concat({ samples, samples - y:reshape({ #y, 1 }) + 1e-6 }, 1)
    y = tensor.concat({ y, tensor.new({ #y }, 1e-6) }, 1)
  elseif n_zero == #y then
    samples, y = tensor.concat({ samples, samples + 0.5 }, 1), tensor.concat({ y, y + 0.5 }, 1)
  end
  local out = {}
  local wanted = { val_MIWS = metrics.miws, val_MIC = metrics.mic, val_MIWS_MIC_Ratio = metrics.miws_mic_ratio }
  for name, fn in pairs(wanted) do
    local ok, value = pcall(fn, samples, y)
    if ok then out[name] = rounded(value) end
  end
  return out
end

--- The metrics of a month as forecast now and as another model had forecast it; products of which the other said
--- nothing count the same on both sides.
--- @param panel panel
--- @param m table  { at, month, y, q }
--- @param rival table  { model_id, quantiles (N, 5), NaN where there are none }
--- @param levels table
--- @return table  plain data: { model_id, month, new, old = metrics of score.validation }
--- Source: ours
function score.duel(panel, m, rival, levels)
  local theirs = { at = m.at, y = m.y, q = rival.quantiles:fill_nan(m.q) }
  return { model_id = rival.model_id, month = m.month, new = score.validation(panel, m, levels),
           old = score.validation(panel, theirs, levels) }
end

return score
