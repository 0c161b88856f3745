-- tensor.lua - dense blocks of f32 numbers, computed with as a whole: the face of core.tensor.
--
-- Indices, dimensions and ranges count from 1; negative ones from the end. Slices, picks, swaps and
-- reshapes look into the same numbers, they copy nothing. Where two shapes meet (a + b) they are
-- spread: missing leading dimensions, and those of 1, are repeated; a number will do for a tensor.
-- Sums run in f64. Errors are raised: shape, nomem, limit, invalid.
--
-- Methods of a tensor t:
--   t:shape() --> {2, 3}    t:dims() --> 2    t:count() --> 6    #t --> 2    t:table() --> nested
--   t:get(i, j) --> number  t:set(v, i, j)    t:assign(tensor or number): into the numbers of t
--   t:slice(dim, from, to)  t:pick(dim, i)    t:swap([dim, dim]): transposed    t:copy()
--   t:reshape{2, -1}        t:close(), also <close>
--   + - * / ^ unary -       t:add(b) t:sub t:mul t:div t:pow t:minimum(b) t:maximum(b)
--   t:lt(b) t:le(b) t:eq(b) --> 0 or 1        t:fill_nan(b): b where t is not a number
--   t:neg() t:abs() t:exp() t:log() t:log1p() t:expm1() t:sqrt() t:round() t:floor() t:ceil()
--   t:sign() t:relu() t:sigmoid() t:tanh() t:softplus() t:gelu() t:isnan()    t:softmax(): last dim
--   t:sum([dim]) t:mean t:min t:max t:var t:std t:norm t:count t:argmin t:argmax: a number over
--     all, else a tensor without that dimension; var and std divide by n; min, max skip NaN
--   t:sort([dim]) t:order([dim]): the indices that sort    t:cumsum([dim])
--   t:quantile(q [, dim]): linear between neighbours, NaN left out
--   t:matmul(b): (m, k) (k, n), leading dimensions in step    t:solve(b): x of t x = b
--   t:save(path): .npy, else text with commas; waits

local core = require("core.tensor")
local tensor = {}

--- A tensor of one value.
--- @param shape table  list of sizes, {} for a single value
--- @param value number?  0
--- @return tensor
--- Raises: shape, nomem
function tensor.new(shape, value)
  return core.new(shape, value)
end

--- A tensor of the numbers in nested tables, all of one length at each level.
--- @param numbers table
--- @return tensor
--- Raises: shape, nomem
function tensor.from(numbers)
  return core.from(numbers)
end

--- Random numbers; the same seed gives the same ones everywhere.
--- @param shape table
--- @param opt table? { kind = "normal" or "uniform" (0 to 1), seed = 1 }
--- @return tensor
--- Raises: shape, nomem
--- Source: Salmon et al. 2011, Philox 4x32-10
function tensor.random(shape, opt)
  opt = opt or {}
  return core.random(shape, opt.kind or "normal", opt.seed or 1)
end

--- 0, 1, 2 … n - 1, or from, from + step, …
--- @param n integer
--- @param from number?  0
--- @param step number?  1
--- @return tensor  (n)
--- Raises: shape, nomem
function tensor.range(n, from, step)
  local ones = core.new({ n }, 1)
  return (ones:cumsum(1) - 1) * (step or 1) + (from or 0)
end

--- Reads a file: .npy of any usual kind of number, else lines of numbers between `,` `;` or tabs (a
--- first line without numbers is skipped, an empty field is NaN). Waits (compute pool); cancellable.
--- @param path string
--- @return tensor  (lines, columns) from text, as stored from .npy
--- Raises: io, notfound, parse, unsupported, limit, nomem, cancelled
function tensor.load(path)
  return core.load(path)
end

--- Tensors of the same shape but for one dimension, one after the other along it.
--- @param tensors table  list of 1 to 256
--- @param dim integer?  1
--- @return tensor
--- Raises: shape, nomem
function tensor.concat(tensors, dim)
  return core.concat(tensors, dim or 1)
end

--- Bytes that all tensors take.
--- @return integer
function tensor.used()
  return core.used()
end

return tensor
