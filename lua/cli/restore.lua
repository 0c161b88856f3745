-- cli/restore.lua - plastinka restore FILE: puts a copy made by plastinka backup in the place of the
-- database. Only while no server runs on the data folder (core/role/command.c holds its lock).

local restore = {}

--- plastinka restore.
--- @param args table  the words behind the command
--- @return integer  exit code
--- Source: ours
function restore.main(args)
  if args[1] == "--help" or not args[1] or args[2] then
    print("usage: plastinka restore FILE [--data DIR]\n\n"
      .. "Checks FILE and puts it in the place of the database; the one before is kept beside it. Refused while a\n"
      .. "server runs on the data folder.")
    return args[1] == "--help" and 0 or 2
  end
  local done = require("maintain").restore(args[1])
  print("restored " .. args[1] .. (done.kept and "; the database before is " .. done.kept or ""))
  return 0
end

return restore
