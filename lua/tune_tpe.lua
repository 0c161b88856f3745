-- tune_tpe.lua - the tree-structured Parzen estimator: two densities, of the good trials and of the
-- others; what is likely under the first and not under the second is tried next.
--
-- A density is a mixture: one kernel at each trial and one, wide, that knows nothing. Kernels of numbers
-- are normals cut to [0, 1] (their mass in its cell for a whole number), of choices a mass shared out.
-- "multivariate" keeps what one trial had in all dimensions together; else each dimension is a mixture of
-- its own. A trial without a dimension (conditions) counts there as the one that knows nothing.

local space = require("tune_space")
local tpe = {}

local STARTUP = 10          -- trials at random before there is anything to learn from
local CANDIDATES = 24
local GOOD_SHARE, GOOD_MAX = 0.15, 25
local SIGMA_MIN_POINTS = 100
local TINY = 1e-300
local REDRAWS = 100         -- of a normal that falls outside; then its place is drawn evenly

local exp, log, sqrt, abs, max, min = math.exp, math.log, math.sqrt, math.abs, math.max, math.min
local SQRT_2PI = sqrt(2 * math.pi)

-- The upper tail of the standard normal, to 1.2e-7 of itself. Source: Numerical Recipes, 2nd ed., 6.2, erfcc.
local function tail(z)
  local x = abs(z) / sqrt(2)
  local t = 1 / (1 + 0.5 * x)
  local p = 0.5 * t * exp(-x * x - 1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418
    + t * (-0.18628806 + t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223
    + t * 0.17087277)))))))))
  return z >= 0 and p or 1 - p
end

-- The mass of a normal between a and b.
local function mass(mu, sigma, a, b)
  local z1, z2 = (a - mu) / sigma, (b - mu) / sigma
  if z1 > 0 then return max(tail(z1) - tail(z2), TINY) end
  return max(tail(-z2) - tail(-z1), TINY)
end

-- ---- kernels of one dimension ----

-- Widths of kernels at sorted points: the longer way to a neighbour (Bergstra 2011); for several
-- dimensions together one width by their number (Scott's rule).
local function widths(points, n_dims)
  local n = #points
  local floor = 1 / min(SIGMA_MIN_POINTS, n + 2)
  local out = {}
  if n_dims then
    local s = max(floor, 0.2 * max(n, 1) ^ (-1 / (n_dims + 4)))
    for i = 1, n do out[i] = s end
    return out
  end
  local order = {}
  for i = 1, n do order[i] = i end
  table.sort(order, function(a, b)
    if points[a] ~= points[b] then return points[a] < points[b] end
    return a < b
  end)
  for at, i in ipairs(order) do
    local left = at > 1 and points[i] - points[order[at - 1]] or points[i]
    local right = at < n and points[order[at + 1]] - points[i] or 1 - points[i]
    out[i] = min(1, max(floor, left, right))
  end
  return out
end

-- The kernels of one dimension: those of the trials (false where a trial has no place), the wide one last.
local function kernels(d, trials, index, n_dims)
  local list, points = {}, {}
  if d.kind ~= "choice" then
    for _, t in ipairs(trials) do points[#points + 1] = t.places[index] end
  end
  local sigmas, at = widths(points, n_dims), 0
  for k, t in ipairs(trials) do
    local mu = t.places[index]
    if mu == nil then
      list[k] = false
    elseif d.kind == "choice" then
      list[k] = { at = mu }
    else
      at = at + 1
      local sigma = sigmas[at]
      local whole = mass(mu, sigma, 0, 1)
      list[k] = { mu = mu, sigma = sigma, whole = whole, top = 1 / (SQRT_2PI * sigma * whole) }
    end
  end
  list[#trials + 1] = false
  return list
end

-- The likelihoods of one place under all kernels are multiplied into `p`. The loop that costs: it runs for every
-- candidate, dimension and trial, so masses of cells are kept with their kernel.
local function times_likelihood(p, d, list, place)
  local n = #list
  if d.kind == "choice" then
    local share = 1 / n -- what each kernel leaves for all choices together
    local miss, hit = share / d.n / (1 + share), (1 + share / d.n) / (1 + share)
    for k = 1, n do
      local kernel = list[k]
      p[k] = p[k] * (not kernel and 1 / d.n or kernel.at == place and hit or miss)
    end
  elseif d.kind == "int" then
    local cell = space.cell(d, place)
    local a, b = space.edges(d, cell)
    for k = 1, n do
      local kernel = list[k]
      local m = b - a
      if kernel then
        m = kernel[cell]
        if not m then
          m = mass(kernel.mu, kernel.sigma, a, b) / kernel.whole
          kernel[cell] = m
        end
      end
      p[k] = p[k] * m
    end
  else
    for k = 1, n do
      local kernel = list[k]
      if kernel then
        local z = (place - kernel.mu) / kernel.sigma
        p[k] = p[k] * max(TINY, exp(-0.5 * z * z) * kernel.top)
      end
    end
  end
end

local function draw(d, kernel, rng, n_kernels)
  if d.kind == "choice" then
    if kernel and rng:unit() >= 1 / (n_kernels + 1) then return kernel.at end
    return rng:pick(d.n)
  end
  for _ = 1, kernel and REDRAWS or 0 do
    local u = kernel.mu + kernel.sigma * rng:normal()
    if u >= 0 and u <= 1 then return u end
  end
  return rng:unit()
end

-- ---- densities ----

-- The mixtures of all dimensions over some trials.
local function density(s, trials, is_joint)
  local out = { n = #trials + 1 }
  for i, item in ipairs(s.dims) do out[i] = kernels(item.d, trials, i, is_joint and #s.dims) end
  return out
end

-- Log of the density of a group of dimensions at places.
local function log_density(s, m, group, places)
  local p, sum = {}, 0
  for k = 1, m.n do p[k] = 1 end
  for _, i in ipairs(group) do times_likelihood(p, s.dims[i].d, m[i], places[i]) end
  for k = 1, m.n do sum = sum + p[k] end
  return log(max(sum / m.n, TINY))
end

local function better(a, b)
  return b == nil or a > b
end

-- One dimension after the other, each by its own mixture.
local function suggest_each(s, good, bad, rng, n_candidates)
  local places = {}
  for i, item in ipairs(s.dims) do
    if space.is_active(s, i, places) then
      local best, best_score
      for _ = 1, n_candidates do
        places[i] = draw(item.d, good[i][rng:pick(good.n)], rng, good.n)
        local score = log_density(s, good, { i }, places) - log_density(s, bad, { i }, places)
        if better(score, best_score) then best, best_score = places[i], score end
      end
      places[i] = best
    end
  end
  return places
end

-- All dimensions at once, of one kernel.
local function suggest_joint(s, good, bad, rng, n_candidates)
  local best, best_score
  for _ = 1, n_candidates do
    local places, group, k = {}, {}, rng:pick(good.n)
    for i, item in ipairs(s.dims) do
      if space.is_active(s, i, places) then
        places[i] = draw(item.d, good[i][k], rng, good.n)
        group[#group + 1] = i
      end
    end
    local score = log_density(s, good, group, places) - log_density(s, bad, group, places)
    if better(score, best_score) then best, best_score = places, score end
  end
  return best
end

--- A point at random.
--- @param s table  of tune_space.read
--- @param rng stream
--- @return table  places by index
--- Source: ours
function tpe.random(s, rng)
  local places = {}
  for i, item in ipairs(s.dims) do
    if space.is_active(s, i, places) then
      places[i] = item.d.kind == "choice" and rng:pick(item.d.n) or rng:unit()
    end
  end
  return places
end

--- The next point to try.
--- @param s table  of tune_space.read
--- @param ranked table  trials that ended, best first: { places }; then those that failed or still run
--- @param n_ended integer  how many of them ended with a figure
--- @param rng stream
--- @param opt table { multivariate, startup, candidates }
--- @return table  places by index
--- Source: Bergstra et al. 2011, "Algorithms for hyper-parameter optimization", 4; together: Falkner et al.
---   2018, "BOHB", 3
function tpe.suggest(s, ranked, n_ended, rng, opt)
  if n_ended < (opt.startup or STARTUP) then return tpe.random(s, rng) end
  local n_good = min(GOOD_MAX, math.ceil(GOOD_SHARE * n_ended))
  local good = table.move(ranked, 1, n_good, 1, {})
  local bad = table.move(ranked, n_good + 1, #ranked, 1, {})
  local is_joint = opt.multivariate
  local by = is_joint and suggest_joint or suggest_each
  return by(s, density(s, good, is_joint), density(s, bad, is_joint), rng, opt.candidates or CANDIDATES)
end

return tpe
