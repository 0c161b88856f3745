-- cli/migrate.lua - plastinka migrate: brings the database to the schema of this version.

local db = require("db")
local migrate = {}

--- plastinka migrate.
--- @param args table  the words behind the command
--- @return integer  exit code
--- Raises: unsupported (a database newer than this program), corrupt, busy, full, io
--- Source: ours
function migrate.main(args)
  if args[1] == "--help" then
    print("usage: plastinka migrate [--data DIR]\n\n"
      .. "Brings the database to the schema of this version, one step in one transaction each.\n"
      .. "A database newer than this program is refused and left alone.")
    return 0
  elseif args[1] then
    print("plastinka migrate: unknown argument " .. args[1] .. " (see --help)")
    return 2
  end
  local d = db.main()
  local before = d:value("PRAGMA user_version")
  d:migrate()
  local after = d:value("PRAGMA user_version")
  print(d:path() .. ": " .. (before == after and "is at schema " .. after or "schema " .. before .. " -> " .. after))
  return 0
end

return migrate
