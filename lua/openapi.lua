-- openapi.lua - the OpenAPI 3.1 document of a generation, made of the declarations of its routes.

local array = require("core.json").array
local crypto = require("crypto")
local json = require("json")
local process = require("process")
local schema_json = require("schema_json")

local openapi = {}

local of = schema_json.of

local INFO = [[
Forecasts for shops: upload sales and stock, train, forecast the next month item by item, print the report to order
from. Errors are `{"error": {"code", "message", "request_id", "details"}}`; with `Accept:
application/problem+json` they are RFC 9457 problems. Roles: viewer reads, operator also starts jobs and changes
data, admin also manages keys, reloads workflows and deletes.]]

local PHRASE = {
  [200] = "OK", [201] = "Created", [202] = "Accepted", [204] = "No content", [303] = "See other",
  [304] = "Not modified",
  [400] = "Bad request", [401] = "No valid key", [403] = "The key's role is not enough", [404] = "Not found",
  [409] = "Conflict", [413] = "Body too large", [422] = "Input that does not fit the declaration",
  [429] = "Too many requests", [500] = "Internal error", [503] = "Not available now",
}

local function error_response(status)
  return {
    description = PHRASE[status] or "Error",
    content = { ["application/json"] = { schema = { ["$ref"] = "#/components/schemas/error" } } },
  }
end

local function parameters(list, node, where)
  for _, f in ipairs(node and node.fields or {}) do
    local name = f.name
    if where == "header" then name = name:lower():gsub("_", "-") end
    local schema = of(f.node, true)
    local doc = schema.description
    schema.description = nil
    list[#list + 1] = {
      name = name, ["in"] = where, description = doc, schema = schema,
      required = where == "path" or (not f.node.optional and f.node.default == nil) or nil,
    }
  end
end

local function responses(rec)
  local out, is_ok = {}, false
  for status, response in pairs(rec.response) do
    is_ok = is_ok or status < 400
    local one = { description = PHRASE[status] or "Answer" }
    if response.node then
      one.content = { ["application/json"] = { schema = of(response.node) } }
      if response.node.doc then one.description = response.node.doc end
    elseif response.content_type then
      one.content = { [response.content_type] = {} }
      one.description = response.doc or one.description
    end
    out[tostring(status)] = one
  end
  if not is_ok then out["200"] = { description = PHRASE[200], content = { ["application/json"] = {} } } end
  local function also(status) out[tostring(status)] = out[tostring(status)] or error_response(status) end
  if rec.role then
    also(401)
    if rec.role ~= "viewer" then also(403) end
  end
  if rec.path or rec.query or rec.headers or rec.body or rec.multipart then also(422) end
  if rec.body or rec.multipart then also(413) end
  if rec.rate then also(429) end
  also(500)
  return out
end

local function request_body(rec)
  if rec.body then
    return { required = not rec.body.optional, content = { ["application/json"] = { schema = of(rec.body) } } }
  elseif rec.multipart then
    return { required = true, content = { ["multipart/form-data"] = { schema = of(rec.multipart) } } }
  end
end

local function file_tag(rec)
  return rec.file:match("([%w_-]+)%.lua$") or "other"
end

local function operation(rec)
  local list = array({})
  parameters(list, rec.path, "path")
  parameters(list, rec.query, "query")
  parameters(list, rec.headers, "header")
  return {
    operationId = (rec.name:lower():gsub("[^%w]+", "_"):gsub("^_", ""):gsub("_$", "")),
    summary = rec.summary, description = rec.description, deprecated = rec.deprecated,
    tags = array(rec.tags and { table.unpack(rec.tags) } or { file_tag(rec) }),
    parameters = list[1] and list or nil,
    requestBody = request_body(rec),
    responses = responses(rec),
    security = not rec.role and array({}) or nil,
    ["x-role"] = rec.role or nil,
  }
end

--- The document.
--- @param built table  of route.build
--- @return table
--- Source: OpenAPI 3.1.1
function openapi.document(built)
  local paths, schemas, tags, seen = {}, {}, array({}), {}
  for _, rec in ipairs(built.list) do
    if not rec.hidden then
      local path = rec.pattern:gsub("%.%.%.}", "}")
      paths[path] = paths[path] or {}
      local op = operation(rec)
      paths[path][rec.method:lower()] = op
      for _, tag in ipairs(op.tags) do
        if not seen[tag] then
          seen[tag] = true
          tags[#tags + 1] = { name = tag }
        end
      end
    end
  end
  table.sort(tags, function(a, b) return a.name < b.name end)
  for name, node in pairs(built.schemas) do schemas[name] = of(node) end
  return {
    openapi = "3.1.1",
    info = { title = "Plastinka Sales Predictor API", version = process.version, description = (INFO:gsub("\n", " ")) },
    servers = array({ { url = "/" } }),
    tags = tags,
    paths = paths,
    security = array({ { ApiKey = array({}) }, { Bearer = array({}) } }),
    components = {
      schemas = schemas,
      securitySchemes = {
        ApiKey = { type = "apiKey", ["in"] = "header", name = "X-API-Key" },
        Bearer = { type = "http", scheme = "bearer" },
      },
    },
  }
end

local made = setmetatable({}, { __mode = "k" }) -- generation -> { text, etag }

--- The document of a generation as text; made when first asked for.
--- @param g table  generation
--- @return string
--- @return string  ETag without quotes
--- Source: OpenAPI 3.1.1
function openapi.text(g)
  local m = made[g]
  if not m then
    local text = json.encode(openapi.document(g.routes), { sorted = true })
    m = { text = text, etag = crypto.sha256(text):sub(1, 24) }
    made[g] = m
  end
  return m.text, m.etag
end

return openapi
