-- Tensors as scripts see them: core/bind/bind_tensor.c and bind_tensor_op.c through lua/tensor.lua.
local tensor = require("tensor")
local n = 0
local function check(cond, what)
  n = n + 1
  if not cond then error("failed: " .. what, 2) end
end
local function same(t, expected, what)
  local function cmp(a, b)
    if type(b) ~= "table" then return a == b or (a ~= a and b ~= b) end
    if type(a) ~= "table" or #a ~= #b then return false end
    for i = 1, #b do
      if not cmp(a[i], b[i]) then return false end
    end
    return true
  end
  check(cmp(type(t) == "userdata" and t:table() or t, expected), what)
end
local function raises(code, fn, ...)
  local ok, e = pcall(fn, ...)
  check(not ok, "expected an error of code " .. code)
  check(type(e) == "table" and e.code == code, "code " .. code .. ", found " ..
    tostring(type(e) == "table" and e.code or e))
end

-- making and looking
local a = tensor.from({ { 1, 2, 3 }, { 4, 5, 6 } })
same(a:shape(), { 2, 3 }, "shape")
check(#a == 2 and a:dims() == 2 and a:get(2, -1) == 6, "looking")
check(tostring(a) == "tensor (2, 3)", "tostring")
same(tensor.new({ 2, 2 }, 7), { { 7, 7 }, { 7, 7 } }, "new")
same(tensor.range(4, 1, 0.5), { 1, 1.5, 2, 2.5 }, "range")
check(tensor.from(5):table() == 5, "a single value")

-- views look into the same numbers
local col = a:slice(2, 2, 3)
same(col, { { 2, 3 }, { 5, 6 } }, "slice")
same(a:pick(1, -1), { 4, 5, 6 }, "pick")
same(a:swap(), { { 1, 4 }, { 2, 5 }, { 3, 6 } }, "swap")
local b = a:copy()
b:slice(2, 1, 1):assign(0)
same(b, { { 0, 2, 3 }, { 0, 5, 6 } }, "assign into a slice")
same(a:reshape({ 3, -1 }), { { 1, 2 }, { 3, 4 }, { 5, 6 } }, "reshape")
same(a:swap():reshape({ 6 }), { 1, 4, 2, 5, 3, 6 }, "reshape of a view")

-- arithmetic with spreading
same(a + 1, { { 2, 3, 4 }, { 5, 6, 7 } }, "plus a number")
same(2 ^ tensor.from({ 1, 2, 3 }), { 2, 4, 8 }, "a number to a tensor")
same(a * tensor.from({ 1, 0, -1 }), { { 1, 0, -3 }, { 4, 0, -6 } }, "a row")
same(a - tensor.from({ { 1 }, { 4 } }), { { 0, 1, 2 }, { 0, 1, 2 } }, "a column")
same(-a:pick(1, 1) / 2, { -0.5, -1, -1.5 }, "minus")
same(a:lt(3), { { 1, 1, 0 }, { 0, 0, 0 } }, "lt")
local nan = 0 / 0
same(tensor.from({ 1, nan }):fill_nan(9), { 1, 9 }, "fill_nan")
same(tensor.from({ -1, 0, 4 }):sqrt():isnan(), { 1, 0, 0 }, "isnan")

-- folding
check(a:sum() == 21 and a:mean() == 3.5 and a:max() == 6 and a:argmax() == 6, "over all")
same(a:sum(1), { 5, 7, 9 }, "sum over lines")
same(a:mean(2), { 2, 5 }, "mean over columns")
same(a:argmin(2), { 1, 1 }, "argmin")
same(tensor.from({ 3, nan, 1, 2 }):sort(), { 1, 2, 3, nan }, "sort, NaN last")
same(tensor.from({ 3, nan, 1, 2 }):order(), { 3, 4, 1, 2 }, "order")
same(tensor.from({ { 3, 1 }, { 2, 5 } }):sort(1), { { 2, 1 }, { 3, 5 } }, "sort along lines")
same(a:cumsum(2), { { 1, 3, 6 }, { 4, 9, 15 } }, "cumsum")
same(tensor.from({ 4, nan, 1, 2, 3 }):quantile(0.5), 2.5, "median without NaN")
same(a:quantile(0.25, 1), { 1.75, 2.75, 3.75 }, "quantile over lines")
check(math.abs(tensor.random({ 10000 }, { seed = 3 }):std() - 1) < 0.03, "normal")
check(tensor.random({ 5 }):sub(tensor.random({ 5 })):norm() == 0, "same seed, same numbers")

-- matrices
same(a:matmul(a:swap()), { { 14, 32 }, { 32, 77 } }, "matmul with a view")
local batch = tensor.from({ { { 1, 0 }, { 0, 1 } }, { { 0, 1 }, { 1, 0 } } })
same(batch:matmul(tensor.from({ { 1, 2 }, { 3, 4 } })),
  { { { 1, 2 }, { 3, 4 } }, { { 3, 4 }, { 1, 2 } } }, "batched matmul")
local x = tensor.from({ { 4, 1 }, { 1, 3 } }):solve(tensor.from({ 1, 2 }))
check(math.abs(x:get(1) - 1 / 11) < 1e-6 and math.abs(x:get(2) - 7 / 11) < 1e-6, "solve")
same(tensor.concat({ a, a:slice(1, 1, 1) }), { { 1, 2, 3 }, { 4, 5, 6 }, { 1, 2, 3 } }, "concat")

-- refusals
raises("shape", function() return a + tensor.new({ 4 }) end)
raises("shape", a.matmul, a, a)
raises("shape", a.reshape, a, { 4, 2 })
raises("invalid", function() return tensor.new({ 2, 2 }):solve(tensor.new({ 2 })) end)
raises("invalid", a.quantile, a, 1.5)
raises("limit", function()
  local big = tensor.new({ 4000, 4000 })
  return big:matmul(big)
end)
raises("nomem", tensor.new, { 100000, 100000 })
raises("notfound", tensor.load, "/nowhere/at/all.npy")
check(not pcall(tensor.from, { { 1 }, { 1, 2 } }), "ragged table")
check(not pcall(a.get, a, 3, 1), "index outside")
check(not pcall(a.get, a, 1), "index missing")
check(not pcall(tensor.from, { "x" }), "no number")
do
  local gone <close> = tensor.new({ 3 })
  gone:close()
  check(not pcall(gone.sum, gone), "closed")
end

-- files
local path = "build/tensor_test" -- the suite runs in the source folder
a:swap():save(path .. ".npy")
same(tensor.load(path .. ".npy"), { { 1, 4 }, { 2, 5 }, { 3, 6 } }, "npy there and back")
tensor.from({ { 1.5, nan }, { -2, 1e10 } }):save(path .. ".csv")
same(tensor.load(path .. ".csv"), { { 1.5, nan }, { -2, 1e10 } }, "csv there and back")

print(n .. " checks")
