-- docs.lua - the page at /docs: three files inside the program, no other server is asked.

local crypto = require("crypto")
local load = require("core.load")
local reply = require("reply")
local fail = require("fail")

local docs = {}

local FILES = {
  ["index.html"] = "text/html; charset=utf-8",
  ["docs.css"] = "text/css; charset=utf-8",
  ["docs.js"] = "text/javascript; charset=utf-8",
}
local POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
  .. "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
local etags = {}

--- One of its files.
--- @param name string  "index.html", "docs.css", "docs.js"
--- @return reply
--- Raises: not_found
--- Source: ours
function docs.file(name)
  local type = FILES[name]
  local text = type and load.embedded("lua/docs/" .. name)
  if not text then fail.raise("not_found", "there is no such file") end
  etags[name] = etags[name] or crypto.sha256(text):sub(1, 24)
  return reply.bytes(text, { content_type = type, etag = etags[name], cache = "no-cache",
                             headers = { ["content-security-policy"] = POLICY } })
end

return docs
