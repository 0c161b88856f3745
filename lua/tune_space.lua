-- tune_space.lua - what may be searched: dimensions, their conditions, and the way between a value and
-- its place. A number's place is a point of [0, 1], a choice's place is its index.
--
-- A space is a table, nested as the parameters are: { lr = log_uniform(1e-5, 1e-2), net = { depth =
-- int(1, 5) }, epochs = 5 }. What is no dimension is a constant. Inside, names are flat: "net/depth".

local raise = require("raise")
local space = {}

local MANY = 1000 -- points of a space that is not searched one by one

local dimension = {}
dimension.__index = dimension
dimension.__name = "dimension"

local function is_number(v)
  return type(v) == "number" and v == v and v ~= math.huge and v ~= -math.huge
end

local function refuse(...)
  raise.error("invalid", string.format(...))
end

-- ---- dimensions ----

--- A number, evenly likely in [low, high], or in its logarithm.
--- @param low number
--- @param high number
--- @param is_log boolean?
--- @param opt table? { grid = points of a grid search, default 5 }
--- @return dimension
--- Raises: invalid
--- Source: ours
function space.real(low, high, is_log, opt)
  if not (is_number(low) and is_number(high) and low < high) then
    refuse("a range of numbers is %s to %s, expected low < high", tostring(low), tostring(high))
  end
  if is_log and low <= 0 then refuse("a logarithmic range begins at %s, expected more than 0", low) end
  low, high = low + 0.0, high + 0.0
  local from, to = low, high
  if is_log then from, to = math.log(low), math.log(high) end
  return setmetatable({ kind = "real", low = low, high = high, is_log = is_log or false, from = from,
    span = to - from, grid = opt and opt.grid or 5 }, dimension)
end

--- A whole number from low to high in steps.
--- @param low integer
--- @param high integer
--- @param opt table? { step = 1, log = false, grid = points of a grid search, default all }
--- @return dimension
--- Raises: invalid
--- Source: ours
function space.int(low, high, opt)
  local step, is_log = opt and opt.step or 1, opt and opt.log or false
  low, high, step = math.tointeger(low), math.tointeger(high), math.tointeger(step)
  if not (low and high and step and low <= high and step >= 1) then
    refuse("a range of whole numbers needs low <= high and a step of 1 or more")
  end
  if is_log and low < 1 then refuse("a logarithmic range begins at %d, expected 1 or more", low) end
  local n = (high - low) // step + 1
  local d = { kind = "int", low = low, step = step, n = n, is_log = is_log, grid = opt and opt.grid or n }
  if is_log then
    d.from = math.log(low - 0.5 * math.min(1, step))
    d.span = math.log(low + (n - 0.5) * step) - d.from
  end
  return setmetatable(d, dimension)
end

--- One of a list of texts, numbers, booleans.
--- @param list table
--- @return dimension
--- Raises: invalid
--- Source: ours
function space.choice(list)
  if type(list) ~= "table" or #list == 0 then refuse("a choice needs a list of values") end
  local values = {}
  for i, v in ipairs(list) do
    if type(v) == "table" or type(v) == "function" or v ~= v then
      refuse("value %d of a choice is a %s, expected text, number or boolean", i, type(v))
    end
    values[i] = v
  end
  return setmetatable({ kind = "choice", values = values, n = #values, grid = #values }, dimension)
end

--- The dimension, searched only where another one has a certain value.
--- @param d dimension
--- @param name string  of the other, flat: "net/optimizer"
--- @param value any  that value, or a list of them
--- @return dimension
--- Raises: invalid
--- Source: ours
function space.when(d, name, value)
  if getmetatable(d) ~= dimension or type(name) ~= "string" or value == nil then
    refuse("when(dimension, name of another, value) expected")
  end
  local copy = {}
  for k, v in pairs(d) do copy[k] = v end
  copy.needs, copy.needed = name, type(value) == "table" and value or { value }
  return setmetatable(copy, dimension)
end

-- ---- values and places ----

--- The edges of a cell of whole numbers in [0, 1].
--- @param d dimension
--- @param cell integer  from 0
--- @return number
--- @return number
--- Source: ours
function space.edges(d, cell)
  if not d.is_log then return cell / d.n, (cell + 1) / d.n end
  local low = cell == 0 and 0 or (math.log(d.low + (cell - 0.5) * d.step) - d.from) / d.span
  local high = cell == d.n - 1 and 1 or (math.log(d.low + (cell + 0.5) * d.step) - d.from) / d.span
  return low, high
end

--- The cell of whole numbers a point of [0, 1] lies in.
--- @param d dimension
--- @param u number
--- @return integer  from 0
--- Source: ours
function space.cell(d, u)
  local at = u * d.n
  if d.is_log then at = (math.exp(d.from + u * d.span) - d.low) / d.step + 0.5 end
  return math.max(0, math.min(d.n - 1, math.floor(at)))
end

--- The value at a place.
--- @param d dimension
--- @param place number  a point of [0, 1], or the index of a choice
--- @return any
--- Source: ours
function space.value(d, place)
  if d.kind == "choice" then return d.values[place] end
  if d.kind == "int" then return d.low + space.cell(d, place) * d.step end
  local v = d.from + place * d.span
  if d.is_log then v = math.exp(v) end
  return math.max(d.low, math.min(d.high, v))
end

--- The place of a value; nil when the dimension has none for it. A number beside the range is put on its edge.
--- @param d dimension
--- @param value any
--- @return number?
--- Source: ours
function space.place(d, value)
  if d.kind == "choice" then
    for i, v in ipairs(d.values) do
      if v == value then return i end
    end
    return nil
  end
  if not is_number(value) then return nil end
  if d.kind == "int" then
    local cell = math.max(0, math.min(d.n - 1, math.floor((value - d.low) / d.step + 0.5)))
    local a, b = space.edges(d, cell)
    return 0.5 * (a + b)
  end
  if d.is_log and value <= 0 then return 0 end
  local at = d.is_log and math.log(value) or value
  return math.max(0, math.min(1, (at - d.from) / d.span))
end

-- ---- whole spaces ----

local function walk(found, prefix, t, depth)
  if depth > 8 then refuse("the space is nested deeper than 8") end
  for name, v in pairs(t) do
    if type(name) ~= "string" or name:find("/", 1, true) then
      refuse("a name in the space is %s, expected a text without /", tostring(name))
    end
    local path = prefix .. name
    if getmetatable(v) == dimension then
      found.dims[#found.dims + 1] = { name = path, d = v }
    elseif type(v) == "table" and #v == 0 and next(v) ~= nil then
      walk(found, path .. "/", v, depth + 1)
    else
      found.fixed[path] = v
    end
  end
end

--- Reads a space: its dimensions in an order in which each stands behind the one it depends on.
--- @param t table
--- @return table  { dims = list of { name, d, parent = index of the one it depends on }, fixed = constants by
---   flat name }
--- Raises: invalid
--- Source: ours
function space.read(t)
  if type(t) ~= "table" then refuse("the space is a %s, expected a table of dimensions", type(t)) end
  local found, order, index = { dims = {}, fixed = {} }, {}, {}
  walk(found, "", t, 1)
  if #found.dims == 0 then refuse("the space has no dimension to search") end
  table.sort(found.dims, function(a, b) return a.name < b.name end)
  local by_name, busy = {}, {}
  for _, item in ipairs(found.dims) do by_name[item.name] = item end
  local function put(item)
    if index[item.name] then return end
    if busy[item.name] then refuse("the dimension %s depends on itself", item.name) end
    busy[item.name] = true
    if item.d.needs then
      local parent = by_name[item.d.needs]
      if not parent then refuse("%s depends on %s, which is no dimension", item.name, item.d.needs) end
      put(parent)
      item.parent = index[parent.name]
    end
    order[#order + 1] = item
    index[item.name] = #order
  end
  for _, item in ipairs(found.dims) do put(item) end
  return { dims = order, fixed = found.fixed }
end

--- Whether a dimension is searched, given the places of those before it.
--- @param s table  of space.read
--- @param i integer
--- @param places table  by index
--- @return boolean
--- Source: ours
function space.is_active(s, i, places)
  local item = s.dims[i]
  if not item.parent then return true end
  local place = places[item.parent]
  if place == nil then return false end
  local value = space.value(s.dims[item.parent].d, place)
  for _, v in ipairs(item.d.needed) do
    if v == value then return true end
  end
  return false
end

--- Values by flat name, constants not among them.
--- @param s table
--- @param places table
--- @return table
--- Source: ours
function space.values(s, places)
  local out = {}
  for i, item in ipairs(s.dims) do
    if places[i] ~= nil then out[item.name] = space.value(item.d, places[i]) end
  end
  return out
end

--- Places of values by flat name.
--- @param s table
--- @param values table
--- @return table  by index; what has no place there is missing
--- Source: ours
function space.places(s, values)
  local out = {}
  for i, item in ipairs(s.dims) do
    local v = values[item.name]
    if v ~= nil and space.is_active(s, i, out) then out[i] = space.place(item.d, v) end
  end
  return out
end

--- Values as the space is nested, constants among them.
--- @param s table
--- @param values table  by flat name
--- @return table
--- Source: ours
function space.nested(s, values)
  local out = {}
  local function set(path, v)
    local at = out
    for part in path:gmatch("([^/]+)/") do
      at[part] = at[part] or {}
      at = at[part]
    end
    at[path:match("[^/]+$")] = v
  end
  for path, v in pairs(s.fixed) do set(path, v) end
  for path, v in pairs(values) do set(path, v) end
  return out
end

--- Nested values by flat name, without what is no dimension of the space.
--- @param s table
--- @param t table  nested
--- @return table
--- Source: ours
function space.flat(s, t)
  local out = {}
  for _, item in ipairs(s.dims) do
    local at = t
    for part in item.name:gmatch("[^/]+") do
      at = type(at) == "table" and at[part] or nil
      if at == nil and t[item.name] ~= nil then at = t[item.name] break end
    end
    out[item.name] = at
  end
  return out
end

--- How many different points there are; nil when they are many or a dimension is continuous.
--- @param s table
--- @return integer?
--- Source: ours
function space.size(s)
  for _, item in ipairs(s.dims) do
    if item.d.kind == "real" then return nil end
  end
  local n = #space.grid(s, MANY + 1, true)
  return n <= MANY and n or nil
end

local function grid_places(d, is_all)
  local list = {}
  local n = is_all and d.n or d.grid
  if d.kind == "choice" then
    for i = 1, d.n do list[i] = i end
  elseif d.kind == "int" then
    n = math.max(1, math.min(n, d.n))
    for i = 1, n do
      local cell = n == 1 and 0 or math.floor((i - 1) * (d.n - 1) / (n - 1) + 0.5)
      local a, b = space.edges(d, cell)
      list[i] = 0.5 * (a + b)
    end
  else
    for i = 1, n do list[i] = n == 1 and 0.5 or (i - 1) / (n - 1) end
  end
  return list
end

--- The points of a grid: every combination once, also where dimensions depend on others.
--- @param s table
--- @param most integer  points
--- @param is_all boolean?  each whole number, not only the grid's
--- @return table  list of places by index
--- Source: ours
function space.grid(s, most, is_all)
  local out, places = {}, {}
  local function descend(i)
    if #out >= most then return end
    if i > #s.dims then
      local copy = {}
      for k, v in pairs(places) do copy[k] = v end
      out[#out + 1] = copy
      return
    end
    places[i] = nil
    if not space.is_active(s, i, places) then return descend(i + 1) end
    for _, place in ipairs(grid_places(s.dims[i].d, is_all)) do
      places[i] = place
      descend(i + 1)
    end
    places[i] = nil
  end
  descend(1)
  return out
end

return space
