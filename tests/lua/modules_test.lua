-- json, fs, time, crypto, log and settings as scripts see them.
local json, fs, time = require("json"), require("fs"), require("time")
local crypto, log, settings, task = require("crypto"), require("log"), require("settings"), require("task")

local n = 0
local function check(cond, what)
  n = n + 1
  if not cond then error("failed: " .. tostring(what), 2) end
end
local function same(found, expected, what)
  n = n + 1
  if found ~= expected then
    error((what or "") .. " found " .. tostring(found) .. ", expected " .. tostring(expected), 2)
  end
end
local function raises(code, fn, ...)
  n = n + 1
  local ok, e = pcall(fn, ...)
  if ok or type(e) ~= "table" or e.code ~= code or type(e.message) ~= "string" then
    error("expected the error " .. code .. ", found " .. tostring(e), 2)
  end
  return e.message
end
local function misuse(fn, ...)
  n = n + 1
  local ok, e = pcall(fn, ...)
  if ok or type(e) ~= "string" then error("expected a refusal of the argument, found " .. tostring(e), 2) end
end

-- json
do
  local v = json.decode('{"a":[1,2.5,null,[]],"b":{},"c":"\\u00e9"}')
  same(v.a[1], 1); same(v.a[2], 2.5); same(v.a[3], json.null); same(v.c, "é")
  check(json.is_array(v.a[4]) and not json.is_array(v.b), "arrays are marked")
  same(json.encode(v, { sorted = true }), '{"a":[1,2.5,null,[]],"b":{},"c":"é"}')
  same(json.encode({}), "{}"); same(json.encode(json.array()), "[]"); same(json.encode(json.array({ 1 })), "[1]")
  same(json.encode(nil), "null"); same(json.encode({ x = 5.0 }), '{"x":5.0}')
  same(json.encode("</script>", { html = true }), '"\\u003c/script\\u003e"')
  check(raises("parse", json.decode, "[1,\n2,,]"):find("line 2, column 3", 1, true), "where")
  raises("parse", json.decode, "9007199254740993")
  raises("nan", json.decode, "1e999")
  raises("limit", json.decode, ("["):rep(65))
  same(type(json.decode(("["):rep(500) .. ("]"):rep(500), { depth = 500 })), "table")
  check(raises("invalid", json.encode, { items = { { f = print } } }):find("items[1].f", 1, true), "path")
  raises("nan", json.encode, { 0 / 0 })
  raises("invalid", json.encode, 2 ^ 53 // 1 | 0 + 1)
  raises("invalid", json.encode, { 1, 2, x = 3 })
  misuse(json.decode); misuse(json.decode, {}); misuse(json.decode, "1", { depth = 0 })
  misuse(json.array, 5)
  same(json.decode("null"), json.null)
end

-- fs
do
  local dir = "/tmp/modules_test_" .. crypto.token(6)
  fs.mkdir(dir .. "/a/b")
  local p = dir .. "/a/x.txt"
  same(fs.write(p, "one\0two"), 7); same(fs.read(p), "one\0two")
  same(fs.append(p, "!"), 1); same(fs.read(p), "one\0two!")
  raises("exists", fs.write, p, "x", { new = true })
  raises("limit", fs.read, p, { max = 3 })
  raises("notfound", fs.read, dir .. "/none"); check(not fs.exists(dir .. "/none") and fs.exists(p), "exists")
  local s = fs.stat(p)
  same(s.kind, "file"); same(s.bytes, 8); check(math.abs(s.mtime - time.now()) < 60, "mtime")
  local l = fs.list(dir .. "/a")
  same(#l, 2); same(l[1].name, "b"); same(l[1].kind, "folder"); same(l[2].name, "x.txt")
  same(fs.copy(p, dir .. "/y"), 8); fs.rename(dir .. "/y", dir .. "/z"); same(fs.read(dir .. "/z"), "one\0two!")
  raises("exists", fs.remove, dir .. "/a"); fs.remove(dir .. "/z")
  raises("notfound", fs.remove, dir .. "/z")
  local t = fs.temp(dir, "up-"); same(fs.read(t), "")
  raises("invalid", fs.read, dir .. "/../x"); misuse(fs.read, "a\0b"); misuse(fs.read, ""); misuse(fs.write, p)
  local hex, size = crypto.sha256_file(p)
  same(hex, crypto.sha256("one\0two!")); same(size, 8)
  -- many at once, and some given up while they work
  local fns = {}
  for i = 1, 50 do fns[i] = function() fs.write(dir .. "/" .. i, ("x"):rep(i)) return #fs.read(dir .. "/" .. i) end end
  for i, len in ipairs(task.all(fns)) do same(len, i) end
  for i = 1, 20 do
    local running = task.start(function() fs.write(dir .. "/c", ("y"):rep(1000000)) end)
    if i % 2 == 0 then task.sleep(0.001) end
    task.cancel(running)
  end
  task.sleep(0.05)
  fs.remove(dir, { deep = true })
end

-- time
do
  same(time.parse("2026-01-31T12:00:00Z"), 1769860800); same(time.parse("1970-01-01"), 0)
  same(time.parse("2026-01-31T12:00:00.5+03:00"), 1769850000.5)
  same(time.format(1769860800), "2026-01-31T12:00:00Z")
  same(time.format(1769860800.25, { zone = "Europe/Moscow", digits = 3 }), "2026-01-31T15:00:00.250+03:00")
  raises("parse", time.parse, "yesterday"); raises("notfound", time.format, 0, { zone = "Europe/Atlantis" })
  raises("invalid", time.parts, 0, "../../etc/passwd")
  local p = time.parts(1769860800, "Asia/Tokyo")
  same(p.hour, 21); same(p.weekday, 6); same(p.yearday, 31); same(p.offset, 32400)
  same(time.moment({ year = 2026, month = 1, day = 31, hour = 21 }, "Asia/Tokyo"), 1769860800)
  same(time.date(1769893200, "Europe/Moscow"), "2026-02-01"); same(time.date(1769893200 - 3600), "2026-01-31")
  same(time.add_days("2024-02-28", 2), "2024-03-01"); same(time.days_between("2024-02-01", "2024-03-01"), 29)
  same(time.add_months("2026-01-31", 1), "2026-02-28"); same(time.add_months("2026-03-15", -15), "2024-12-15")
  same(time.month_start("2026-12-31"), "2026-12-01"); same(time.month_end("2024-02-03"), "2024-02-29")
  same(time.month_days("2026-12-31"), 31); same(time.months_between("2025-11-30", "2026-02-01"), 3)
  same(table.concat(time.months("2025-11-30", "2026-01-01"), " "), "2025-11-01 2025-12-01 2026-01-01")
  check(time.is_date("2024-02-29") and not time.is_date("2023-02-29") and not time.is_date(5), "is_date")
  raises("parse", time.add_days, "2026-1-1", 1)
  local y, m, d = time.split("2026-01-31"); same(y * 10000 + m * 100 + d, 20260131)
  check(time.monotonic() <= time.monotonic() and time.now() > 1.7e9, "clocks")
  same(time.duration(3725), "1 h 2 min")
  misuse(time.format, 1e300); misuse(time.moment, { year = 2026, month = 13, day = 1 })
end

-- crypto
do
  same(crypto.sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
  same(crypto.hex(crypto.hmac("sha256", "Jefe", "what do ya want for nothing?")),
    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843") -- RFC 4231, case 2
  same(crypto.hex(crypto.digest("md5", "")), "d41d8cd98f00b204e9800998ecf8427e")
  for i, pair in ipairs({ { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" },
                          { "\xfb\xff\xfe", "+//+" } }) do -- RFC 4648, section 10
    same(crypto.base64(pair[1]), pair[2], i); same(crypto.unbase64(pair[2]), pair[1], i)
    local url = pair[2]:gsub("=", ""):gsub("+", "-"):gsub("/", "_")
    same(crypto.base64url(pair[1]), url, i); same(crypto.unbase64url(url), pair[1], i)
  end
  for _, bad in ipairs({ "Z", "Zg=", "Zg", "Zh==", "Z===", "Zm9v!", "Zm9\n", "Zm-v" }) do
    raises("parse", crypto.unbase64, bad)
  end
  for _, bad in ipairs({ "Z", "Zh", "Zm9+" }) do raises("parse", crypto.unbase64url, bad) end
  for i = 0, 100 do
    local s = crypto.random(i)
    same(#s, i); same(crypto.unbase64(crypto.base64(s)), s); same(crypto.unbase64url(crypto.base64url(s)), s)
    same(crypto.unhex(crypto.hex(s)), s)
  end
  raises("parse", crypto.unhex, "abc"); raises("parse", crypto.unhex, "zz")
  check(crypto.is_uuid(crypto.uuid()) and crypto.uuid():sub(15, 15) == "4", "uuid 4")
  local a = crypto.uuid(7)
  task.sleep(0.05)
  local b = crypto.uuid(7)
  check(a < b and a:sub(15, 15) == "7" and a:sub(20, 20):find("[89ab]"), "uuid 7")
  same(#crypto.token(), 43); check(crypto.token() ~= crypto.token(), "token")
  check(crypto.equal("a", "a") and not crypto.equal("a", "b") and not crypto.equal("a", "aa"), "equal")
  local hash = crypto.bcrypt_hash("secret", 4)
  check(hash:find("^%$2b%$04%$") and #hash == 60, hash)
  check(crypto.bcrypt_check("secret", hash), "right password")
  check(not crypto.bcrypt_check("Secret", hash), "wrong password")
  check(not crypto.bcrypt_check(("x"):rep(100), hash), "long password")
  check(crypto.bcrypt_check("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"), "known hash")
  raises("invalid", crypto.bcrypt_check, "x", "$2b$04$short")
  raises("invalid", crypto.bcrypt_check, "x", (hash:gsub("04", "31", 1)))
  raises("invalid", crypto.bcrypt_check, "x", ("a"):rep(60))
  misuse(crypto.bcrypt_hash, ("x"):rep(73)); misuse(crypto.random, -1); misuse(crypto.digest, "crc32", "")
  task.cancel(task.start(function() crypto.bcrypt_hash("x", 10) end))
end

-- text
do
  local text = require("text")
  same(text.html("<a href='x'>"), "&lt;a href=&#39;x&#39;&gt;"); same(text.html(""), ""); same(text.url("a/b"), "a%2Fb")
  same(text.html(("<"):rep(1000)), ("&lt;"):rep(1000)); same(text.url(("/"):rep(100)), ("%2F"):rep(100))
  same(text.number(1234567.005, 2, " ", ","), "1 234 567,01"); same(text.number(5), "5"); same(text.number(-0.4), "0")
  same(text.round(2.675, 2), 2.68); same(text.tidy(0.00095), 0.001); same(text.tidy(7), 7)
  for found, expected in pairs({ [0.49849] = 0.498, [1.2049] = 1.205, [1.1004] = 1.1, [0.10049] = 0.1,
    [1.0005] = 1.0005, [0.0004616] = 0.0005, [1.5e-7] = 2e-7, [-0.0015] = -0.002, [0.999999] = 1.0 }) do
    same(text.tidy(found), expected)
  end
  check(text.is_utf8("ё") and not text.is_utf8("\xd1"), "utf8")
  misuse(text.number, 0 / 0); misuse(text.number, 1, 16); misuse(text.number, 1, 1, "long one"); misuse(text.html)
end

-- log, settings
do
  log.debug("not seen at this level", { x = 1 })
  log.error("modules_test says hello", { text = "a\nb", number = 1.5, flag = true, list = { 1, { a = "b" } } })
  log.error("without fields"); misuse(log.info); misuse(log.info, "x", 5)
  check(log.on("error") and not log.on("debug"), "levels")
  same(settings.job_refractory_seconds, 300.0); same(math.type(settings.http_port), "integer")
  same(type(settings.http_cors_origins), "table"); same(settings.http_gzip, true)
  raises("notfound", function() return settings.no_such_thing end)
  raises("notfound", function() return settings.auth_admin_key_hash end)
  misuse(function() settings.http_port = 1 end)
  for _, s in ipairs(settings.list()) do check(s.name and s.origin and s.doc ~= "", s.name) end
end

print(n .. " checks")
