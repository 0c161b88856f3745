-- tune_random.lua - random numbers that are the same for the same seed on every machine: one stream for
-- each trial, so that a search goes on where it stopped without the past of its generator.

local random = {}

local stream = {}
stream.__index = stream

-- SplitMix64: one step and its scrambled output.
local function next_bits(self)
  local z = self.state + 0x9e3779b97f4a7c15
  self.state = z
  z = (z ~ (z >> 30)) * 0xbf58476d1ce4e5b9
  z = (z ~ (z >> 27)) * 0x94d049bb133111eb
  return z ~ (z >> 31)
end

--- A stream of its own for each pair of numbers.
--- @param seed integer
--- @param number integer
--- @return stream
--- Source: Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators", figure 17
function random.new(seed, number)
  local self = setmetatable({ state = seed }, stream)
  self.state = next_bits(self) ~ (number * 0x2545f4914f6cdd1d)
  next_bits(self)
  return self
end

--- A number of [0, 1).
--- @return number
function stream:unit()
  return (next_bits(self) >> 11) * 0x1p-53
end

--- A whole number from 1 to n.
--- @param n integer
--- @return integer
function stream:pick(n)
  return math.min(n, 1 + math.floor(self:unit() * n))
end

--- A standard normal number.
--- @return number
--- Source: Box and Muller 1958
function stream:normal()
  return math.sqrt(-2 * math.log(1 - self:unit())) * math.cos(2 * math.pi * self:unit())
end

return random
