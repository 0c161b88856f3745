-- dataset.lua - the panel models learn from: every product in every month, made once of the stored facts,
-- the same for training, validation and prediction.
--
-- A panel is computed on the whole calendar and then looked at up to a month ("at" = number of months that
-- are known): no feature of a month depends on a later one. What it is made of: dataset_features.lua; how:
-- dataset_tables.lua.

local defaults = require("dataset_features")
local json = require("json")
local fs = require("fs")
local tables = require("dataset_tables")
local tensor = require("tensor")

local dataset = {}

local panel = {}
panel.__index = panel

local function no_data(message, details)
  error({ code = "no_data", message = message, details = details }, 0)
end

-- (products * steps, k) as it comes from the table feature, of steps `from` to `to`
local function matrix(self, columns, from, to)
  return (self.d:matrix("SELECT " .. columns .. " FROM feature WHERE step BETWEEN ? AND ? ORDER BY product, step",
    { from, to }))
end

local function list_of(prefix, n)
  local out = {}
  for i = 1, n do out[i] = prefix .. i end
  return table.concat(out, ", ")
end

-- What depends on the rows of `cell`.
local function load_cells(self)
  local n, steps = self.n, self.steps
  local cells = self.d:matrix(
    "SELECT units, iif(age IS NULL, NULL, units), confidence FROM cell ORDER BY product, step")
  cells = cells:reshape({ n, steps, 3 })
  self.units = cells:pick(3, 1):copy()      -- (N, T), 0 before the first month
  self.seen = cells:pick(3, 2):copy()       -- NaN before the first month
  self.confidence = cells:pick(3, 3):copy()
  self.all_past = nil
end

-- Past covariates of steps `from` to `to`: (N, steps, P). All of them are kept, for training cuts them often.
local function past_of(self, from, to)
  local k = #self.features.past
  if k == 0 then return nil end
  if from > 1 then
    return matrix(self, list_of("p", k), from, to):fill_nan(0):reshape({ self.n, to - from + 1, k })
  end
  self.all_past = self.all_past
    or matrix(self, list_of("p", k), 1, self.steps):fill_nan(0):reshape({ self.n, self.steps, k })
  return to == self.steps and self.all_past or self.all_past:slice(2, 1, to):copy()
end

--- The months that can be learnt from.
--- Waits.
--- @param main db
--- @param from string?  first month, or a day in it
--- @param to string?  last month, or a day in it; the last complete one when that is earlier
--- @return table  { first, last }
--- Raises: no_data
--- Source: ours
function dataset.range(main, from, to)
  local function month(text) return text and text:sub(1, 7) .. "-01" or nil end
  local range = tables.span(main, month(from), month(to))
  if not range then
    no_data("there are no complete months of sales to learn from" .. ((from or to) and " between "
      .. (from or "the beginning") .. " and " .. (to or "today") or "") .. "; upload stock and sales first")
  end
  return range
end

--- Refuses a range with months of which there are no data.
--- Waits.
--- @param main db
--- @param range table  of dataset.range
--- Raises: missing_months (details: missing_months)
--- Source: ours
function dataset.check_gaps(main, range)
  local missing = main:query([[WITH RECURSIVE m(month) AS (SELECT ?1 UNION ALL
      SELECT date(month, '+1 month') FROM m WHERE month < ?2)
    SELECT month FROM m WHERE month NOT IN (SELECT data_date FROM data_months)]], { range.first, range.last })
  if #missing == 0 then return end
  local list = json.array({})
  for i, row in ipairs(missing) do list[i] = row.month end
  error({ code = "missing_months", message = "there are no data of " .. table.concat(list, ", ")
    .. "; upload these months, or train on those after them", details = { missing_months = list } }, 0)
end

--- Makes the panel.
--- Waits; cancellable.
--- @param d db  scratch, opened with attach; its tables are made anew
--- @param main db
--- @param opt table? { from, to = months (see dataset.range), span = 7 (of the exponential weights, months),
---   features = list as in dataset_features.lua, vocabulary, first_year = what a model remembers }
--- @return panel  { n products, steps months, first, last month, units, seen, confidence (N, T), static (N, S) or nil,
---   vocabulary, first_year, features, span }
--- Raises: no_data (none, or products are missing)
--- Source: ours
function dataset.build(d, main, opt)
  opt = opt or {}
  local features, span = opt.features or defaults, math.tointeger(opt.span or 7)
  local range = dataset.range(main, opt.from, opt.to)
  local size = tables.make(d, main, range, features, span, opt.first_year)
  if size.n_products == 0 then
    no_data("no product was sold or in stock from " .. range.first .. " to " .. range.last)
  end
  local self = setmetatable({ d = d, n = size.n_products, steps = size.n_steps, first = range.first,
    last = range.last, features = features, span = span, first_year = size.first_year }, panel)
  self.vocabulary = opt.vocabulary or tables.vocabulary(d, features)
  self.static = tables.static(d, self.vocabulary, self.n)
  load_cells(self)
  return self
end

--- Keeps the tables of a panel in a file, for the next who wants the same.
--- Waits.
--- @param d db  scratch
--- @param path string  replaced
--- Raises: io, full
--- Source: ours
function dataset.keep(d, path)
  d:backup(path, { pages = 8192 })
end

--- Begins a scratch database with the tables somebody kept. Whether they are the right ones, dataset.build sees.
--- Waits.
--- @param path string  of dataset.keep; none is fine
--- @param scratch string  the file; one that is there stays
--- Source: ours
function dataset.take(path, scratch)
  if fs.exists(path) and not fs.exists(scratch) then fs.copy(path, scratch) end
end

--- What is known of any month, whether it was or not yet.
--- Waits.
--- @param n_steps integer  months from the first one on
--- @return tensor  (N, n_steps, F)
--- Source: ours
function panel:future(n_steps)
  if not self.future_steps or self.future_steps < n_steps then
    local x = tables.future(self.d, self.features, 1, n_steps, self.first_year)
    self.future_all, self.future_steps = x:reshape({ self.n, n_steps, #self.features.future }), n_steps
  end
  if self.future_steps == n_steps then return self.future_all end
  return self.future_all:slice(2, 1, n_steps):copy()
end

--- The table tide learns from and continues: months 1 to `at` (when not training, only the last `lags`), and a
--- month more of what is known ahead.
--- Waits.
--- @param at integer  months that are known
--- @param conf table { lags, alpha (weight of what sold), months_min = 1 (with a sale, of the lags, for a window
---   to count), is_training = true, is_seasonal = true (false: seasonal features are 0) }
--- @return table  { target, past, future, static, weight, keep } as for tide
--- Source: ours
function panel:windows(at, conf)
  local is_training = conf.is_training ~= false
  local from = is_training and 1 or math.max(1, at - conf.lags + 1)
  local function known(x)
    return from == 1 and at == self.steps and x or x:slice(2, from, at):copy()
  end
  local out = { target = known(self.units), past = past_of(self, from, at), static = self.static }
  if from == 1 then
    out.future = self:future(at + 1)
  else
    out.future = tables.future(self.d, self.features, from, at + 1, self.first_year)
      :reshape({ self.n, at - from + 2, #self.features.future })
  end
  if conf.is_seasonal == false then out.future = out.future * self:unseasonal() end
  if not is_training then return out end
  out.keep = self:keep(conf.lags, conf.months_min or 1, at)
  if conf.alpha and conf.alpha > 0 then
    local z = out.target:log1p()
    local top = z:max()
    out.weight = (z * known(self.confidence) / (top > 0 and top or 1)):log1p() * conf.alpha + 0.1
    out.weight_lookback = true
  end
  return out
end

--- 1 for what is known ahead of any month, 0 for what is a matter of the season.
--- @return tensor  (F)
--- Source: ours
function panel:unseasonal()
  local mask = {}
  for i, f in ipairs(self.features.future) do mask[i] = f.seasonal and 0 or 1 end
  return tensor.from(mask)
end

--- Where a window of `lags` months and the month after may start to be a lesson: something was sold in it, and
--- the product could be sold in its last month. Whether the last month sold is never asked.
--- Waits.
--- @param lags integer
--- @param months_min integer
--- @param at integer
--- @return tensor  (N, at) of 0 and 1
--- Source: plastinka 4.2
function panel:keep(lags, months_min, at)
  return self.d:matrix(([[SELECT sold >= %d AND could FROM (
      SELECT product, step, sum(units > 0) OVER (own ROWS BETWEEN CURRENT ROW AND %d FOLLOWING) AS sold,
             coalesce(lead(availability, %d) OVER own > 0 OR lead(confidence, %d) OVER own > 0
                      OR lead(units, %d) OVER own > 0, 0) AS could
      FROM cell WHERE step <= %d WINDOW own AS (PARTITION BY product ORDER BY step))
    ORDER BY product, step]]):format(months_min, lags - 1, lags, lags, lags, at)):reshape({ self.n, at })
end

--- What trees learn: a row for each product and month `from` to `to` with what was known then, and what the
--- next month sold.
--- Waits.
--- @param from integer
--- @param to integer  at most steps - 1
--- @param names table  of the features, as in dataset_features.lua
--- @param ages table? { min, max } months since the product was first seen
--- @return tensor, tensor  (rows, features), (rows, 2): units of the next month, mean of the last three
--- Source: ours
function panel:lessons(from, to, names, ages)
  local x, columns = {}, self:columns(names)
  local where = ([[ FROM feature JOIN cell USING (product, step) JOIN cell after ON after.product = cell.product
    AND after.step = cell.step + 1 WHERE cell.step BETWEEN %d AND %d AND cell.age BETWEEN %d AND %d
    AND (after.availability > 0 OR after.units > 0) ORDER BY cell.product, cell.step]])
    :format(from, to, ages and ages.min or 1, ages and ages.max or 100000)
  x.rows = self.d:matrix("SELECT " .. columns .. where)
  return x.rows, (self.d:matrix("SELECT after.units" .. where))
end

--- What trees see of every product at the end of month `at`.
--- Waits.
--- @param at integer
--- @param names table
--- @return tensor  (N, features); NaN = not known
--- Source: ours
function panel:view(at, names)
  return matrix(self, self:columns(names), at, at)
end

--- The columns of the table `feature` that have these names.
--- @param names table
--- @return string
--- Source: ours
function panel:columns(names)
  local number, out = {}, {}
  for i, f in ipairs(self.features.trees) do number[f.name] = i end
  for i, name in ipairs(names) do
    out[i] = "x" .. (number[name] or error({ code = "invalid", message = "there is no feature " .. name }, 0))
  end
  return table.concat(out, ", ")
end

--- Names of the features trees see.
--- @return table
--- Source: ours
function panel:tree_names()
  local out = {}
  for i, f in ipairs(self.features.trees) do out[i] = f.name end
  return out
end

--- How many months each product has been there at the end of month `at`: 0 = not yet.
--- Waits.
--- @param at integer
--- @return tensor  (N)
--- Source: ours
function panel:ages(at)
  return self.d:matrix("SELECT coalesce(age, 0) FROM cell WHERE step = ? ORDER BY product", { at }):reshape({ self.n })
end

--- Goes a month further with what is expected of it.
--- Waits.
--- @param units tensor  (N)
--- Source: ours
function panel:extend(units)
  tables.extend(self.d, units)
  tables.features(self.d, self.features, self.span, self.first_year)
  self.steps, self.future_steps = self.steps + 1, nil
  load_cells(self)
end

--- The month behind the panel's first by so many.
--- Waits.
--- @param step integer
--- @return string
--- Source: ours
function panel:month(step)
  return self.d:value("SELECT date(?, ?)", { self.first, ("+%d months"):format(step - 1) })
end

return dataset
