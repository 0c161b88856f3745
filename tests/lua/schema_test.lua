-- The notation of declarations, the checks made of it, and their JSON Schema.
local schema = require("schema")
local schema_json = require("schema_json")
local json = require("core.json")
local n = 0
local function check(cond, what)
  n = n + 1
  if not cond then error("failed: " .. what, 2) end
end
local function same(a, b, what)
  n = n + 1
  local x, y = json.encode(a, true), json.encode(b, true)
  if x ~= y then error(what .. ": found " .. tostring(x) .. ", expected " .. tostring(y), 2) end
end

local function run(decl, value, is_text, names)
  local f = schema.compile(schema.parse(decl, "t"), { text = is_text, names = names })
  local errs = { n = 0 }
  local out = f(value, errs)
  return out, errs
end
local function good(decl, value, want, is_text)
  local out, errs = run(decl, value, is_text)
  if errs.n > 0 then error(json.encode(decl) .. " refused: " .. errs[1].msg, 2) end
  same({ out }, { want }, json.encode(decl))
  check(math.type(out) == math.type(want), "number type of " .. tostring(want))
end
local function bad(decl, value, kind, is_text, part)
  local _, errs = run(decl, value, is_text)
  n = n + 1
  if errs.n == 0 then error("taken: " .. tostring(decl), 2) end
  if errs[1].type ~= kind then
    error("type " .. errs[1].type .. " (" .. errs[1].msg .. "), expected " .. kind, 2)
  end
  if part and not errs[1].msg:find(part, 1, true) then
    error("message " .. errs[1].msg .. " lacks " .. part, 2)
  end
  return errs
end

-- leaves: text and JSON
good("integer", "17", 17, true)
good("integer 1..1000", "1000", 1000, true)
good("integer", 3.0, 3)
good("number", "-1.5e3", -1500.0, true)
good("number", 3, 3)
for w, v in pairs({ ["true"] = true, TRUE = true, ["1"] = true, yes = true, on = true,
                    ["false"] = false, ["0"] = false, no = false, OFF = false }) do
  good("boolean", w, v, true)
end
bad("boolean", "maybe", "type", true)
bad("boolean", "true", "type")
for _, v in ipairs({ "", "+1", "0x10", " 1", "1 ", "1.0", "1e3", "--1", "-", "99999999999999999999", "inf", "nan" }) do
  bad("integer", v, "type", true)
end
bad("integer", 1.5, "type")
bad("integer", "1", "type")
bad("integer 1..1000 = 100", 0, "range", false, "found 0, expected a whole number from 1 to 1000")
bad("integer 1..", 0, "range")
bad("number >0", 0, "range", false, "above 0")
bad("number <1", 1, "range")
bad("number 0..0.5", 0.51, "range")
for _, v in ipairs({ "", "nan", "inf", "0x1p4", "1e999", ".", "-", "1,5" }) do
  local _, errs = run("number", v, true)
  check(errs.n == 1, "number from " .. v)
end
bad("number", 0 / 0, "range")
good("uuid", "3F2B1C9E-0D4A-4C57-9F5E-2B8F6F1D7A10", "3f2b1c9e-0d4a-4c57-9f5e-2b8f6f1d7a10", true)
bad("uuid", "3f2b1c9e0d4a4c579f5e2b8f6f1d7a10", "format", true, "UUID")
bad("uuid", "../../../../etc/passwd", "format", true)
good("date", "2024-02-29", "2024-02-29")
for _, v in ipairs({ "2023-02-29", "2024-13-01", "2024-00-10", "2024-1-1", "01.02.2024", "2024-01-01T00:00:00Z", 5,
                     "0000-01-01" }) do
  bad("date", v, "format")
end
good("month", "2025-03-01", "2025-03-01")
bad("month", "2025-03-02", "format", true, "found \"2025-03-02\", expected a month")
for _, v in ipairs({ "2025-03-31T12:00:00Z", "2025-03-31t12:00:00.123456z", "2025-03-31T23:59:60+03:00" }) do
  good("datetime", v, v)
end
for _, v in ipairs({ "2025-03-31", "2025-03-31T12:00:00", "2025-03-31 12:00:00Z", "2025-03-31T24:00:00Z",
                     "2025-03-31T12:00:00.Z", "2025-03-31T12:00:00+3:00", "2025-02-31T12:00:00Z",
                     "2025-03-31T12:00:00.1234567891Z" }) do
  bad("datetime", v, "format")
end
good("text 1..3", "абв", "абв")
bad("text 1..3", "абвг", "length", false, "found 4 characters")
bad("text 1..", "", "length")
bad("text", "a\0b", "format")
bad("text", "\xff\xfe", "format", true)
bad("text", 5, "type", false, "found 5, expected text")
bad("secret 8..", 12345678, "type", false, "found a number")
good("lite|full = lite", "full", "full")
bad("lite|full", "fast", "enum", false, 'found "fast", expected "lite" or "full"')
bad({ "a", "b", "c" }, "d", "enum", false, '"a", "b" or "c"')
good("hash", "00AABBccddeeff00112233445566778f", "00aabbccddeeff00112233445566778f")

-- objects: defaults, null, unknown members with the nearest name, nested paths
local T = { limit = "integer 1..1000 = 100", ["note?"] = "text", when = "date?",
            ["deep?"] = { list = { "array", of = { price = "number" }, max = 3 } } }
good(T, {}, { limit = 100 })
good(T, { limit = json.null, when = json.null, note = json.null }, { limit = 100 })
good(T, { limit = 5, when = "2025-01-01" }, { limit = 5, when = "2025-01-01" })
local errs = bad(T, { limt = 5 }, "unknown_field", false, 'did you mean "limit"?')
same(errs[1].loc, { "limt" }, "loc")
errs = bad(T, { deep = { list = { { price = 1 }, { price = "x" } } } }, "type", false, 'found "x", expected a number')
same(errs[1].loc, { "deep", "list", 1, "price" }, "loc")
bad(T, { deep = { list = { {}, {}, {}, {} } } }, "length")
errs = bad({ a = "integer", b = "integer" }, { a = "x" }, "type")
check(errs.n == 2 and errs[2].type == "missing" and errs[2].loc[1] == "b", "all errors are told")
bad({ a = "integer" }, json.array({}), "type", false, "found an array, expected an object")
bad({ a = "integer" }, "text", "type")
bad({ a = "integer" }, { a = json.null }, "missing")
good({ "object", fields = { a = "integer" }, extra = true }, { a = 1, b = 2 }, { a = 1, b = 2 })
good({ "map", of = "integer", max = 2 }, { x = 1, y = 2 }, { x = 1, y = 2 })
bad({ "map", of = "integer", max = 2 }, { x = 1, y = 2, z = 3 }, "length")
bad({ "map", of = "integer" }, { x = "1" }, "type")
good("object", { anything = { 1, 2 } }, { anything = { 1, 2 } })
good("any", { 1, 2 }, { 1, 2 })

-- arrays
good("uuid[] 1..2", json.array({ "3f2b1c9e-0d4a-4c57-9f5e-2b8f6f1d7a10" }),
     { "3f2b1c9e-0d4a-4c57-9f5e-2b8f6f1d7a10" })
bad("uuid[] 1..2", json.array({}), "length", false, "found 0 elements")
bad("integer[]", {}, "type", false, "found an object, expected an array")
bad("integer[]", json.array({ json.null }), "type")
good("integer[]", { "1", "2" }, { 1, 2 }, true)
good("integer[]", "7", { 7 }, true)
good({ "text[]", default = {} }, json.null == nil and {} or json.array({ "a" }), { "a" })
good({ x = { "integer[]", default = { 1 } } }, {}, { x = { 1 } })
errs = bad("integer[]", json.array({ "a", "b" }), "type")
check(errs.n == 2 and errs[2].loc[1] == 1, "positions count from 0, as in JSON")

-- one of several
local EITHER = { "any_of", { date = "date", store = "integer", item = "integer" },
                 { records = { "array", of = "object" } } }
good(EITHER, { date = "2025-01-01", store = 1, item = 2 }, { date = "2025-01-01", store = 1, item = 2 })
good(EITHER, { records = json.array({ { a = 1 } }) }, { records = { { a = 1 } } })
bad(EITHER, { records = 1 }, "type")

-- named schemas, also recursive ones
local names = { tree = schema.parse({ name = "text", ["kids?"] = { "array", of = "tree" } }) }
local out, e = run("tree", { name = "a", kids = json.array({ { name = "b" }, { nam = "c" } }) }, false, names)
check(out and e.n == 2 and e[1].loc[1] == "kids" and e[1].loc[2] == 1, "recursive")

-- mistakes in declarations are told where they stand
local function wrong(decl, part)
  n = n + 1
  local ok, err = pcall(function()
    return schema.compile(schema.parse(decl, "GET /x: query"), { names = {}, where = "GET /x: query" })
  end)
  if ok then error("taken: " .. part, 2) end
  if type(err) ~= "table" or err.code ~= "invalid" or not err.message:find(part, 1, true) then
    error("message: " .. tostring(type(err) == "table" and err.message or err) .. "; expected " .. part, 2)
  end
end
wrong("integr", 'did you mean "integer"?')
wrong({ a = "integer 5..1" }, "GET /x: query.a: the range 5..1 is empty")
wrong("boolean 1..2", "has no range")
wrong("integer = many", '"many" is not a number')
wrong("integer 1..10 = 11", "default 11")
wrong("date = yesterday", 'default "yesterday"')
wrong("integer about 5", '"about" is not understood')
wrong({ "array" }, "`of` is missing")
wrong({ "array", off = "text" }, "did you mean of?")
wrong("", "empty declaration")
wrong(5, "a number where a declaration")
wrong({ a = { b = true } }, "GET /x: query.a.b: a boolean where")
wrong("text[] = x", "no default in short notation")
local deep = "text"
for _ = 1, 25 do deep = { a = deep } end
wrong(deep, "nested more than 20")

-- checker
local c = schema.checker({ a = "integer" })
same(c({ a = 1 }), { a = 1 }, "checker")
local ok, err = pcall(c, { a = "x" })
check(not ok and err.code == "validation_error" and err.message:find("a: found", 1, true), "checker raises")

-- messages never carry much of what was sent
errs = bad("integer", ("я"):rep(500), "type", true)
check(#errs[1].msg < 200 and utf8.len(errs[1].msg), "cut, whole characters")
local many = {}
for i = 1, 500 do many["k" .. i] = i end
local _; _, errs = run({ a = "integer?" }, many)
check(errs.n == 500 and errs[51] == nil, "at most 50 are kept")

-- JSON Schema
same(schema_json.of(schema.parse("integer 1..1000 = 100 -- how many")),
     { type = "integer", minimum = 1, maximum = 1000, default = 100, description = "how many" }, "integer")
same(schema_json.of(schema.parse("date?")), { type = { "string", "null" }, format = "date" }, "date?")
same(schema_json.of(schema.parse("date?"), true), { type = "string", format = "date" }, "parameter")
same(schema_json.of(schema.parse("job?")),
     { anyOf = { { ["$ref"] = "#/components/schemas/job" }, { type = "null" } } }, "ref")
same(schema_json.of(schema.parse({ b = "lite|full", ["a?"] = "number >0" })),
     { type = "object", additionalProperties = false, required = { "b" },
       properties = { a = { type = { "number", "null" }, exclusiveMinimum = 0 },
                      b = { type = "string", enum = { "lite", "full" } } } }, "object")
same(schema_json.of(schema.parse({ "array", of = "uuid", max = 5 })),
     { type = "array", maxItems = 5, items = { type = "string", format = "uuid" } }, "array")

-- a good value costs no garbage
local f = schema.compile(schema.parse({ kind = "view|cart", item = "integer 1..", ["price?"] = "number 0..",
                                           at = "datetime" }))
local v, none = { kind = "view", item = 5, at = "2025-03-31T12:00:00Z" }, { n = 0 }
f(v, none)
collectgarbage()
collectgarbage("stop")
local before = collectgarbage("count")
for _ = 1, 1000 do f(v, none) end
local per = (collectgarbage("count") - before) * 1024 / 1000
collectgarbage("restart")
check(none.n == 0 and per < 100, "garbage of one check: " .. per .. " bytes")

print("schema: " .. n .. " checks")
