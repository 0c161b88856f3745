-- Declarations of routes: what is refused and how it is told. Answers over HTTP are in tests/server.
local route = require("route")
local fail = require("fail")
local reply = require("reply")
local n = 0
local function check(cond, what)
  n = n + 1
  if not cond then error("failed: " .. what, 2) end
end

local function run() end
local FILE = "workflows/routes/x.lua"

local function wrong(value, part)
  n = n + 1
  local ok, err = pcall(function() return route.build({ route.check(FILE, value) }) end)
  if ok then error("taken, expected: " .. part, 2) end
  if type(err) ~= "table" or err.code ~= "invalid" or not err.message:find(part, 1, true)
    or not err.message:find(FILE, 1, true) then
    error("message: " .. tostring(type(err) == "table" and err.message or err) .. "; expected " .. part, 2)
  end
end
local function with(extra)
  local d = { role = false, run = run }
  for k, v in pairs(extra) do d[k] = v end
  return { ["POST /y/{id}"] = d }
end

wrong("text", "returned a string")
wrong({ [1] = {} }, "a route is called 1")
wrong({ ["get /y"] = { role = false, run = run } }, '"get /y" is no route')
wrong({ ["FETCH /y"] = { role = false, run = run } }, '"FETCH /y" is no route')
wrong({ ["GET y"] = { role = false, run = run } }, '"GET y" is no route')
wrong({ ["GET /y"] = 5 }, "GET /y: a number, expected a table")
wrong({ ["GET /y"] = { role = false } }, "GET /y: run is missing")
wrong({ ["GET /y"] = { run = run } }, "GET /y: role is missing")
wrong({ ["GET /y"] = { run = run, role = "root" } }, 'role is "root", expected viewer')
wrong({ ["GET /y"] = { run = run, role = false, body = "any" } }, "a GET has no body")
wrong({ ["GET /y/{a}/{a}"] = { run = run, role = false } }, "two parameters called a")
wrong({ ["GET /y/{a"] = { run = run, role = false } }, 'the segment "{a" is not understood')
wrong(with({ rolle = "viewer" }), 'POST /y/{id}: unknown key "rolle"; did you mean role?')
wrong(with({ summary = 5 }), "summary is a number, expected a string")
wrong(with({ path = { idd = "uuid" } }), "path.idd is not in the pattern; did you mean id?")
wrong(with({ query = { limit = "integr" } }), 'query: there is no type or schema "integr"; did you mean "integer"?')
wrong(with({ query = { limit = { x = { y = 5 } } } }), "query.limit.x.y: a number where")
wrong(with({ query = { "limit" } }), "query is an array")
wrong(with({ body = "job" }), 'there is no type or schema "job"')
wrong(with({ body = "any", multipart = { f = "file" } }), "not both")
wrong(with({ response = { ok = "any" } }), 'response["ok"]: expected a status')
wrong(with({ response = { [200] = "jbo" } }), 'response[200]: there is no type')
wrong(with({ deadline = "soon" }), 'deadline is "soon"')
wrong(with({ rate = "many" }), "rate is not understood")
wrong(with({ body_max = 1.5 }), "body_max is 1.5")
wrong(with({ tags = { 5 } }), "tags is not an array of texts")
wrong({ schemas = { ["a b"] = "text" } }, '"a b" is no name')
wrong({ schemas = { a = "nothing" } }, 'schemas.a: there is no type')

-- clashes name both files
local function clash(a, b, ...)
  local one = route.check("workflows/routes/a.lua", a)
  local two = route.check("workflows/routes/b.lua", b)
  local ok, err = pcall(route.build, { one, two })
  check(not ok and err.code == "invalid", "a clash is refused")
  for _, part in ipairs({ "a.lua", "b.lua", ... }) do
    check(err.message:find(part, 1, true), err.message .. " lacks " .. part)
  end
end
local R = { role = false, run = run }
clash({ ["GET /j/{id}"] = R }, { ["GET /j/{job_id}"] = R }, "GET /j/{id}", "GET /j/{job_id}")
clash({ schemas = { job = "text" } }, { schemas = { job = "text" } }, "schema job")

-- what is well is built
local built = route.build({ route.check(FILE, {
  schemas = { job = { id = "uuid" } },
  ["GET /j/{id}"] = { role = "viewer", run = run, path = { id = "uuid" }, query = { limit = "integer 1..10 = 5" },
                      response = { [200] = "job", [404] = "error", [204] = false }, deadline = "5s", rate = "10/m" },
  ["POST /j"] = { role = "operator", run = run, body = "job", body_max = 1000 },
  ["GET /f/{rest...}"] = R,
}) })
check(#built.list == 3 and #built.chains == 3 and built.router and built.schemas.job, "built")
check(built.list[2].deadline == 5 and built.list[2].rate.burst == 10, "deadline and rate")
check(#route.build({}).list == 0, "no routes at all")
local two = route.kind.build({ { path = FILE, value = route.check(FILE, { ["GET /a"] = R }) } })
check(two.list[1].name == "GET /a", "as the generation builds it")

-- errors
for _, c in ipairs(fail.codes()) do
  check(c.status >= 400 and c.status <= 599 and c.code:match("^[a-z_]+$"), "code " .. c.code)
end
local code, status, message, details, foreseen = fail.explain(fail.not_found("no such job", { id = 1 }))
check(code == "not_found" and status == 404 and message == "no such job" and details.id == 1 and foreseen, "explain")
code, status, message, details, foreseen = fail.explain({ code = "exists", message = "UNIQUE constraint failed: t.x" })
check(code == "internal_error" and status == 500 and not message:find("UNIQUE") and not details and not foreseen,
      "what a face raises is not shown")
code, status = fail.explain("workflows/routes/x.lua:1: attempt to index nil")
check(code == "internal_error" and status == 500, "text")
code, status = fail.explain({ code = "busy", message = "database is locked" })
check(code == "busy" and status == 503, "busy")
code, status = fail.explain({ code = "job_not_found", message = "x" })
check(code == "job_not_found" and status == 404, "plain table")
check(not pcall(fail.new, "no_such_code", ""), "unknown code")

-- replies
check(reply.json({}).status == 200 and reply.empty().status == 204 and reply.redirect("/x").status == 303, "replies")
for _, f in ipairs({ function() reply.json({}, 99) end, function() reply.text(5) end, function() reply.stream("x") end,
                     function() reply.file("a/../b") end, function() reply.file("../b") end }) do
  check(not pcall(f), "misuse of a reply")
end

-- constant headers are checked when they are made
local headers = require("core.server").headers
check(headers({}) and headers({ ["x-a"] = "1", ["cache-control"] = "no-store" }), "plain ones")
for _, h in ipairs({ { ["a b"] = "1" }, { a = "1\r\nb: 2" }, { ["Content-Length"] = "5" },
                     { ["content-type"] = "x" }, { etag = "x" },
                     { ["transfer-encoding"] = "chunked" }, { ["cache-control"] = "no-transform" }, { 1 }, { a = 1 },
                     { a = ("x"):rep(5000) } }) do
  check(not pcall(headers, h), "refused")
end

print("route: " .. n .. " checks")
