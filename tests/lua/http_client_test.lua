-- The HTTP client of scripts against a server of the same process.
local http, fs, task, json, time = require("http"), require("fs"), require("task"), require("json"), require("time")
local crypto = require("crypto")
local server = require("core.server")

local n = 0
local function same(found, expected)
  n = n + 1
  if found ~= expected then error("found " .. tostring(found) .. ", expected " .. tostring(expected), 2) end
end
local function raises(code, fn, ...)
  n = n + 1
  local ok, e = pcall(fn, ...)
  if ok or type(e) ~= "table" or e.code ~= code then error("expected " .. code .. ", found " .. tostring(e), 2) end
  return e
end
local function misuse(fn, ...)
  n = n + 1
  local ok, e = pcall(fn, ...)
  if ok or type(e) ~= "string" then error("expected a refusal, found " .. tostring(e), 2) end
end

local failures = {}
local routes = {
  ["/hello"] = function(r) r:reply(200, { ["x-a"] = { "1", "2" }, ["content-type"] = "text/plain" }, "hello") end,
  ["/echo"] = function(r)
    local body = r:body(64 * 1024 * 1024)
    r:reply(200, { ["x-method"] = r:method(), ["x-type"] = r:header("content-type") or "none",
      ["x-one"] = r:header("x-one") or "none" }, body)
  end,
  ["/flaky"] = function(r)
    local key = r:query().key
    failures[key] = (failures[key] or 0) + 1
    if failures[key] <= 2 then r:reply(503, nil, "not yet") else r:reply(200, nil, "at last " .. failures[key]) end
  end,
  ["/asks"] = function(r)
    failures.asks = (failures.asks or 0) + 1
    if failures.asks == 1 then r:reply(429, { ["retry-after"] = "1" }, "") else r:reply(200, nil, "ok") end
  end,
  ["/slow"] = function(r) task.sleep(20) r:reply(200, nil, "late") end,
  ["/big"] = function(r) r:reply(200, nil, ("0123456789"):rep(200000)) end,
  ["/there"] = function(r) r:reply(302, { location = "/hello" }, "") end,
  ["/page"] = function(r) r:reply(200, { ["content-type"] = "text/html" }, "<html>") end,
  ["/zipped"] = function(r)
    r:reply(200, { ["content-type"] = "application/json" }, json.encode({ x = ("z"):rep(5000) }))
  end,
}
local s = server.listen({ host = "127.0.0.1", port = 0, on_request = function(r)
  local fn = routes[r:path()]
  if fn then fn(r) else r:reply(404, nil, "no") end
end })
local _, port = s:address()
local at = "http://127.0.0.1:" .. port

-- plain
local reply = http.get(at .. "/hello")
same(reply.status, 200); same(reply.body, "hello"); same(reply.headers["x-a"], "1, 2"); same(reply.bytes, 5)
same(reply.tries, 1); same(http.get(at .. "/nowhere").status, 404)
same(raises("remote", http.get, at .. "/nowhere", { ok = true }).details.status, 404)
reply = http.post(at .. "/echo", { a = { 1, 2 } })
same(reply.headers["x-type"], "application/json"); same(reply:json().a[2], 2)
reply = http.post(at .. "/echo", "a\0b", { headers = { ["X-One"] = "1", ["Content-Type"] = "text/x" } })
same(reply.body, "a\0b"); same(reply.headers["x-type"], "text/x"); same(reply.headers["x-one"], "1")
reply = http.request({ url = at .. "/echo", json = { 5 }, method = "PUT" })
same(reply.headers["x-method"], "PUT"); same(reply.body, "[5]")
raises("remote", function() http.get(at .. "/page"):json() end)
same(#http.get(at .. "/zipped"):json().x, 5000)

-- redirects, limits, time
same(http.get(at .. "/there").status, 302); same(http.get(at .. "/there", { redirects = 1 }).body, "hello")
raises("limit", http.get, at .. "/big", { max_bytes = 1000 })
raises("timeout", http.get, at .. "/slow", { timeout = 0.05 })
local from = time.monotonic()
raises("timeout", task.timeout, 0.05, function() http.get(at .. "/slow") end)
same(time.monotonic() - from < 5, true)
raises("remote", http.get, "http://127.0.0.1:1/")
raises("invalid", http.get, "file:///etc/passwd")
raises("invalid", http.get, at .. "/a b")
raises("invalid", http.get, at .. "/hello", { headers = { ["X-A"] = "1\r\nX-B: 2" } })
raises("invalid", http.get, at .. "/hello", { headers = { ["X A"] = "1" } })
raises("invalid", http.request, { url = at .. "/hello", method = "GET /x" })
misuse(http.get); misuse(http.get, at, { timeout = "soon" }); misuse(http.get, at, { redirects = -1 })
misuse(http.get, at, { http2 = "maybe" }); misuse(http.get, at, { headers = { "X" } })
misuse(http.request, { url = at, json = {}, body = "x" }); misuse(http.get, at, { headers = { a = print } })

-- tries
reply = http.get(at .. "/flaky?key=a", { tries = 5, base = 0.01, max_delay = 0.02 })
same(reply.status, 200); same(reply.body, "at last 3"); same(reply.tries, 3)
reply = http.get(at .. "/flaky?key=b", { tries = 2, base = 0.01, max_delay = 0.02 })
same(reply.status, 503); same(reply.tries, 2)
reply = http.post(at .. "/flaky?key=c", "x", { tries = 5, base = 0.01, max_delay = 0.02 })
same(reply.status, 503); same(reply.tries, 1) -- a POST is not repeated
same(raises("remote", http.post, "http://127.0.0.1:1/", "x",
  { tries = 3, base = 0.01, max_delay = 0.02 }).details.tries, 3)
from = time.monotonic()
reply = http.post(at .. "/asks", "x", { tries = 2, base = 0.01, max_delay = 1 })
same(reply.status, 200); same(time.monotonic() - from > 0.9, true)

-- files
local dir = "/tmp/http_client_test_" .. crypto.token(6)
fs.mkdir(dir)
local data = ("пластинка "):rep(100000)
fs.write(dir .. "/up", data)
reply = http.request({ url = at .. "/echo", method = "POST", file = dir .. "/up" })
same(reply.body, data)
reply = http.get(at .. "/big", { to_file = dir .. "/down" })
same(reply.body, ""); same(reply.bytes, 2000000); same(#fs.read(dir .. "/down"), 2000000)
raises("exists", http.get, at .. "/big", { to_file = dir .. "/down" })
same(#fs.read(dir .. "/down"), 2000000)
raises("limit", http.get, at .. "/big", { to_file = dir .. "/over", max_bytes = 5 })
reply = http.get(at .. "/nowhere", { to_file = dir .. "/none" })
same(reply.status, 404); same(reply.body, "no"); same(fs.exists(dir .. "/none"), false)
raises("notfound", http.request, { url = at .. "/echo", method = "PUT", file = dir .. "/missing" })
for i = 1, 10 do -- given up: no file stays
  local t = task.start(function()
    http.get(at .. (i % 2 == 0 and "/slow" or "/big"), { to_file = dir .. "/cut" .. i })
  end)
  task.sleep(0.0005 * i)
  task.cancel(t)
end
task.sleep(0.05)
for _, f in ipairs(fs.list(dir)) do
  if f.name:find("^cut") then same(f.bytes, 2000000) end
end
same(fs.exists(dir .. "/over"), false); same(fs.exists(dir .. "/cut2"), false)

-- many at once
local fns = {}
for i = 1, 100 do fns[i] = function() return http.get(at .. (i % 2 == 0 and "/hello" or "/big")).bytes end end
for i, bytes in ipairs(task.all(fns)) do same(bytes, i % 2 == 0 and 5 or 2000000) end

fs.remove(dir, { deep = true })
s:close()
print(n .. " checks")
