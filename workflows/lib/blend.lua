-- blend.lua - one forecast of many: weights that would have been right in past months, and intervals as wide
-- as past errors were.
--
-- All tensors are in units, by product (N). A "month" here is { y = what came, f = { member = forecast },
-- level = ln(1 + blended forecast), known = 1 where the product counts }.

local json = require("json")
local task = require("task")
local tensor = require("tensor")

local blend = {}

local ROUNDS = 24 -- a weight is so many parts
local STEPS = { 1, 1.08, 1.16, 1.25, 1.35, 1.5 }
local FADE = 0.85 -- a month counts so much less than the one after it

--- The weighted mean of forecasts.
--- @param f table  member -> tensor (N)
--- @param weights table  member -> share
--- @return tensor  (N)
--- Source: ours
function blend.mix(f, weights)
  local out
  for _, name in ipairs(blend.names(weights)) do
    if f[name] and weights[name] > 0 then
      local part = f[name] * weights[name]
      out = out and out + part or part
    end
  end
  return out
end

--- Names in order.
--- @param t table
--- @return table
--- Source: ours
function blend.names(t)
  local out = {}
  for name in pairs(t) do out[#out + 1] = name end
  table.sort(out)
  return out
end

--- Weights to begin with, when there is no past to judge by: equal.
--- @param names table
--- @return table
--- Source: ours
function blend.equal(names)
  local out = {}
  for _, name in ipairs(names) do out[name] = 1 / #names end
  return out
end

-- Error of a sum of `parts` forecasts in all months, the later the heavier: sum |f - y| / sum y.
local function score(months, sums, name, parts)
  local total = 0
  for i, m in ipairs(months) do
    local f = sums[i] and (sums[i] + m.f[name]) / parts or m.f[name]
    total = total + (f - m.y):abs():sum() / m.size * FADE ^ (#months - i)
  end
  return total
end

--- Chooses weights by past months: the members are added one by one, each time the one that helps most. The
--- first part of every member of `prior` is there before.
--- Waits (others go first now and then).
--- @param months table  in their order
--- @param names table  members all months have
--- @param prior table?  names
--- @return table  member -> share
--- Source: Caruana et al. 2004, "Ensemble selection from libraries of models"
function blend.choose(months, names, prior)
  for _, m in ipairs(months) do m.size = math.max(1, m.y:sum()) end
  local counts, sums, parts = {}, {}, 0
  local function add(name)
    parts, counts[name] = parts + 1, (counts[name] or 0) + 1
    for i, m in ipairs(months) do sums[i] = sums[i] and sums[i] + m.f[name] or m.f[name] end
  end
  for _, name in ipairs(prior or {}) do add(name) end
  -- the fewer months there are to judge by, the more the prior counts
  local rounds = math.min(ROUNDS, parts + 4 * #months)
  while parts < rounds do
    local best, lowest
    for _, name in ipairs(names) do
      local s = score(months, sums, name, parts + 1)
      if not lowest or s < lowest then best, lowest = name, s end
    end
    add(best)
    task.sleep(0) -- others of this process want to live, too
  end
  local out = {}
  for name, n in pairs(counts) do out[name] = n / parts end
  return out
end

-- NaN where mask is 0
local function only(x, mask)
  return x + mask:log() * 0
end

local function value(x)
  return type(x) == "number" and x or x:reshape({ 1 }):get(1)
end

-- Rows of numbers one after the other.
local function join(list)
  return tensor.concat(list, 1)
end

-- Quantiles of (ln(1 + came) - ln(1 + expected)) / spread, by groups of what was expected.
local function offsets(months, levels)
  local es, zs, ks = {}, {}, {}
  for i, m in ipairs(months) do
    es[i] = m.q50:log1p()
    zs[i] = (m.y:log1p() - es[i]) / m.spread
    ks[i] = m.known
  end
  local e, z, known = join(es), join(zs), join(ks)
  local n = known:sum()
  local buckets = math.max(1, math.min(5, n // 150))
  local out = { edges = json.array({}), offsets = json.array({}) }
  local seen = only(e, known)
  for b = 1, buckets - 1 do
    local edge = value(seen:quantile(b / buckets))
    if #out.edges == 0 or edge > out.edges[#out.edges] then out.edges[#out.edges + 1] = edge end
  end
  for b = 1, #out.edges + 1 do
    local mask = known
    if b > 1 then mask = mask * (1 - e:le(out.edges[b - 1])) end
    if out.edges[b] then mask = mask * e:le(out.edges[b]) end
    local m, row = mask:sum(), {}
    for i, level in ipairs(levels) do
      -- a little wider than what was: the next error is not among those seen
      local wide = level < 0.5 and level * m / (m + 1) or 1 - (1 - level) * m / (m + 1)
      row[i] = m > 0 and value(only(z, mask):quantile(wide)) or 0
    end
    out.offsets[b] = row
    task.sleep(0)
  end
  return out
end

--- Quantiles of a forecast, by what blend.calibrate learnt. The middle one is the forecast itself.
--- @param q50 tensor  (N)
--- @param spread tensor  (N)
--- @param c table
--- @param widen number?  1; of the distance to the middle
--- @param ceiling tensor?  (N) no level above the middle says more than that, or than the middle
--- @return tensor  (N, levels), never crossing, 0 or more
--- Source: ours
function blend.quantiles(q50, spread, c, widen, ceiling)
  local e, columns = q50:log1p(), {}
  local scale = spread * ((widen or 1) * c.widen)
  local masks = {}
  for b = 1, #c.offsets do
    local mask = tensor.new({ #q50 }, 1)
    if b > 1 then mask = mask * (1 - e:le(c.edges[b - 1])) end
    if c.edges[b] then mask = mask * e:le(c.edges[b]) end
    masks[b] = mask
  end
  local levels = #c.offsets[1]
  local middle = (levels + 1) // 2
  for i = 1, levels do
    local offset = tensor.new({ #q50 }, 0)
    for b, row in ipairs(c.offsets) do offset = offset + masks[b] * row[i] end
    local q = (e + offset * scale):expm1():relu()
    if c.is_whole and i ~= middle then q = q:round() end -- pieces are sold, not parts of them
    if i < middle then
      q = q:minimum(q50)
    elseif i > middle then
      if ceiling then q = q:minimum(ceiling) end
      q = q:maximum(q50)
    else
      q = q50:relu()
    end
    columns[i] = q:reshape({ #q50, 1 })
  end
  for i = middle - 1, 1, -1 do columns[i] = columns[i]:minimum(columns[i + 1]) end
  for i = middle + 1, levels do columns[i] = columns[i]:maximum(columns[i - 1]) end
  return tensor.concat(columns, 2)
end

local function with_middle(offsets_of)
  local out = {}
  for b, row in ipairs(offsets_of) do out[b] = { row[1], 0, row[2] } end
  return out
end

-- The share of what came that lay within the outer levels.
local function coverage(m, c, widen)
  local q = blend.quantiles(m.q50, m.spread, { edges = c.edges, widen = 1, offsets = with_middle(c.offsets),
    is_whole = c.is_whole }, widen,
    m.ceiling)
  local low, high = q:pick(2, 1):copy(), q:pick(2, 3):copy()
  return (low:le(m.y) * m.y:le(high) * m.known):sum() / math.max(1, m.known:sum())
end

--- Learns how far off forecasts are: by how much a product is expected to sell, quantiles of the error in units of
--- its spread; and how much wider they must be because the next month is none of those seen: each month is
--- forecast by the others, and the smallest of STEPS that keeps the promise is taken.
--- Waits (others go first now and then).
--- @param months table  array of { y, q50 (N), spread (N), known (N) of 0 and 1, ceiling (N)? }
--- @param levels table
--- @return table  plain data, for blend.quantiles: { edges = list of borders of ln(1 + expected), offsets =
---   [bucket][level], widen, is_whole = whole pieces are sold }
--- Source: Vovk et al. 2005 (conformal prediction), by groups
function blend.calibrate(months, levels)
  local out = offsets(months, levels)
  out.widen, out.is_whole = 1, true
  for _, m in ipairs(months) do out.is_whole = out.is_whole and (m.y - m.y:round()):abs():max() == 0 end
  if #months < 3 then return out end
  local promise = levels[#levels] - levels[1]
  local others = {}
  for i in ipairs(months) do
    local rest = {}
    for k, m in ipairs(months) do if k ~= i then rest[#rest + 1] = m end end
    others[i] = offsets(rest, { levels[1], levels[#levels] })
    others[i].is_whole = out.is_whole
  end
  for _, step in ipairs(STEPS) do
    local sum = 0
    for i, m in ipairs(months) do sum = sum + coverage(m, others[i], step) end
    out.widen = step
    if sum / #months >= promise then break end
  end
  return out
end

return blend
