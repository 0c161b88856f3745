-- keys.lua - API keys, for routes of administrators. Checking them is lua/auth.lua's business.

local auth = require("auth")

return {
  --- Makes a key; see auth.create.
  create = auth.create,
  --- All keys; see auth.list.
  list = auth.list,
  --- Ends a key; see auth.revoke.
  revoke = auth.revoke,
}
