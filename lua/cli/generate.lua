-- cli/generate.lua - plastinka generate: made-up data to try things out with.

local process = require("process")

local generate = {}

local USAGE = [[
usage: plastinka generate sales DIR [--titles 2000] [--months 18] [--seed 1] [--start YYYY-MM] [--rows N]

Writes DIR/sales/YYYY-MM.xlsx for every month and DIR/stock.xlsx, the books of a made-up record shop, ready
to be uploaded. The same seed and start make the same files. --rows is how many units an average month
sells, about (default: two of each title); without --start the last month is the one before this.]]

local function read(args)
  local o, i = {}, 3
  while args[i] do
    local name = args[i]:match("^%-%-(%l+)$")
    if name == "start" and args[i + 1] then
      o.start = args[i + 1]
    elseif (name == "titles" or name == "months" or name == "seed" or name == "rows") and args[i + 1] then
      o[name] = math.tointeger(tonumber(args[i + 1])) or args[i + 1]
    else
      error("plastinka generate: " .. args[i] .. " is not understood\n\n" .. USAGE, 0)
    end
    i = i + 2
  end
  return o
end

--- plastinka generate.
--- @param args table  the words behind the command
--- @return integer  exit code
--- Source: ours
function generate.main(args)
  if args[1] ~= "sales" or not args[2] or args[2]:sub(1, 1) == "-" then
    print(USAGE)
    return args[1] == "--help" and 0 or 2
  end
  local o, folder = read(args), args[2]
  if process.is_terminal() then o.progress = function(text) process.put("\r\27[K" .. text) end end
  local done = require("generate_sales").write(folder, o)
  if process.is_terminal() then process.put("\r\27[K") end
  print(("%s: %d rows of sales from %s to %s, %d rows of stock, %d files"):format(folder, done.sales_rows,
    done.first_month:sub(1, 7), done.last_month:sub(1, 7), done.stock_rows, done.files))
  return 0
end

return generate
