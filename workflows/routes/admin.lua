-- Keys and reloading, for administrators.
local fail = require("fail")
local generation = require("generation")
local keys = require("keys")

return {
  schemas = {
    key = {
      key_id = "text", name = "text", role = "viewer|operator|admin", created_at = "datetime", created_by = "text?",
      expires_at = "datetime?", last_used_at = "datetime?", revoked_at = "datetime?",
    },
  },

  ["GET /api/v1/admin/keys"] = {
    summary = "All API keys", description = "Newest first. The keys themselves are nowhere to be had.",
    role = "admin", response = { [200] = { keys = { "array", of = "key" }, total = "integer" } },
    run = function()
      local all = keys.list()
      return { keys = all, total = #all }
    end,
  },

  ["POST /api/v1/admin/keys"] = {
    summary = "Make an API key", description = "The answer is the only place where the key is ever shown.",
    role = "admin",
    body = {
      name = "text 1..200 -- whose key it is", role = "viewer|operator|admin = viewer",
      ["expires_days?"] = "integer 1..36500 -- without it the key is for ever",
    },
    response = { [201] = { key_id = "text", key = "text", name = "text", role = "text", created_at = "datetime",
                           expires_at = "datetime?" }, [422] = "error" },
    run = function(req)
      local b = req.body
      local made = keys.create({ name = b.name, role = b.role, expires_days = b.expires_days, created_by = req.key.id })
      return made, 201
    end,
  },

  ["DELETE /api/v1/admin/keys/{key_id}"] = {
    summary = "Revoke an API key", description = "It stops working within a second in all processes. Twice is fine.",
    role = "admin", path = { key_id = "text 1..64" }, response = { [204] = false, [404] = "error" },
    run = function(req) keys.revoke(req.path.key_id) end,
  },

  ["POST /api/v1/admin/reload"] = {
    summary = "Load the workflows again",
    description = "In all web processes or in none. When a file is refused the old workflows stay; the error names "
      .. "file and line.",
    role = "admin", response = { [200] = { generation = "text" }, [409] = "error" }, deadline = "60s",
    run = function()
      local ok, id = pcall(generation.request_reload)
      if ok then return { generation = id } end
      if type(id) == "table" and id.code ~= "cancelled" and id.message then
        fail.raise("invalid_workflows", id.message, { generation = generation.status().id })
      end
      error(id, 0)
    end,
  },
}
