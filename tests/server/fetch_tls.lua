-- Run by test_fetch_tls.py: the HTTP client over TLS and through a proxy. arg: certificate, key, the
-- port of a proxy.
local http = require("http")
local server = require("core.server")
local cert, key, proxy = arg[1], arg[2], arg[3]
local n = 0
local function same(found, expected)
  n = n + 1
  if found ~= expected then error("found " .. tostring(found) .. ", expected " .. tostring(expected), 2) end
end
local function raises(code, fn, ...)
  n = n + 1
  local ok, e = pcall(fn, ...)
  if ok or type(e) ~= "table" or e.code ~= code then error("expected " .. code .. ", found " .. tostring(e), 2) end
end

local s = server.listen({ host = "127.0.0.1", port = 0, tls = { cert = cert, key = key }, on_request = function(r)
  r:reply(200, nil, r:method() .. " " .. r:path())
end })
local plain = server.listen({ host = "127.0.0.1", port = 0, on_request = function(r) r:reply(200, nil, "plain") end })
local _, port = s:address()
local _, plain_port = plain:address()
local at = "https://localhost:" .. port

same(http.get(at .. "/a", { ca = cert }).body, "GET /a")
same(http.get(at .. "/b", { ca = cert, http2 = "never" }).body, "GET /b")
raises("remote", http.get, at .. "/a")                                        -- nobody vouches for it
raises("remote", http.get, "https://127.0.0.1:" .. port .. "/a", { ca = cert }) -- another name
same(http.get("https://127.0.0.1:" .. port .. "/c", { verify = false }).body, "GET /c")
raises("remote", http.get, "http://localhost:" .. port .. "/a")               -- plain to a TLS port
raises("remote", http.get, "https://localhost:" .. plain_port .. "/a")        -- TLS to a plain port
raises("invalid", http.get, at .. "/a", { ca = "/nonexistent.pem" })

-- https goes through the proxy as a tunnel, http as a request
same(http.get(at .. "/d", { ca = cert, proxy = "http://127.0.0.1:" .. proxy }).body, "GET /d")
same(http.get("http://localhost:" .. plain_port .. "/", { proxy = "http://127.0.0.1:" .. proxy }).body, "plain")
raises("remote", http.get, at .. "/d", { ca = cert, proxy = "http://127.0.0.1:1" })

s:close()
plain:close()
print(n .. " checks")
