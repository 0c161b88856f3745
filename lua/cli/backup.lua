-- cli/backup.lua - plastinka backup FILE: a verified copy of the database, in use or not.

local backup = {}

--- plastinka backup.
--- @param args table  the words behind the command
--- @return integer  exit code
--- Source: ours
function backup.main(args)
  if args[1] == "--help" or not args[1] or args[2] then
    print("usage: plastinka backup FILE [--data DIR]\n\n"
      .. "Copies the database while the server works, reads the copy through and checks it. FILE must not exist.")
    return args[1] == "--help" and 0 or 2
  end
  local done = require("maintain").backup(args[1])
  print(("%s: %d bytes, schema %d, sound"):format(args[1], done.bytes, done.schema))
  return 0
end

return backup
