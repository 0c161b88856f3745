-- schema_json.lua - a node of schema_parse.lua as JSON Schema 2020-12, for OpenAPI 3.1.

local array = require("core.json").array
local schema_json = {}

local LEAF = {
  uuid = { "string", "uuid" }, date = { "string", "date" }, datetime = { "string", "date-time" },
  boolean = { "boolean" }, integer = { "integer" }, number = { "number" }, text = { "string" },
  secret = { "string", "password" }, object = { "object" },
}

local of

local function object(node)
  local out = { type = "object" }
  if not node.fields then return out end
  local properties, required = {}, array({})
  for _, f in ipairs(node.fields) do
    properties[f.name] = of(f.node)
    if not f.node.optional and f.node.default == nil then required[#required + 1] = f.name end
  end
  if next(properties) then out.properties = properties end
  if #required > 0 then out.required = required end
  if not node.extra then out.additionalProperties = false end
  return out
end

local function base(node)
  local kind = node.kind
  if kind == "object" then return object(node) end
  if kind == "ref" then return { ["$ref"] = "#/components/schemas/" .. node.name } end
  if kind == "enum" then return { type = "string", enum = array({ table.unpack(node.values) }) } end
  if kind == "any" then return {} end
  if kind == "array" then
    return { type = "array", items = of(node.of), minItems = node.min, maxItems = not node.capped and node.max or nil }
  end
  if kind == "map" then
    return { type = "object", additionalProperties = of(node.of), maxProperties = not node.capped and node.max or nil }
  end
  if kind == "any_of" then
    local list = array({})
    for i, choice in ipairs(node.choices) do list[i] = of(choice) end
    return { anyOf = list }
  end
  if kind == "month" then
    return { type = "string", format = "date", pattern = "^\\d{4}-\\d{2}-01$" }
  end
  if kind == "hash" then return { type = "string", pattern = "^[0-9a-fA-F]{32}$" } end
  if kind == "file" then
    return { type = "string", contentMediaType = "application/octet-stream" }
  end
  local leaf = LEAF[kind]
  local out = { type = leaf[1], format = leaf[2] }
  if kind == "integer" or kind == "number" then
    out.minimum, out.maximum = node.min, node.max
    out.exclusiveMinimum, out.exclusiveMaximum = node.above, node.below
  elseif kind == "text" or kind == "secret" then
    out.minLength, out.maxLength = node.min, not node.capped and node.max or nil
    if kind == "secret" then out.writeOnly = true end
  end
  return out
end

function of(node)
  local out = base(node)
  if node.optional and node.kind ~= "any" then
    if type(out.type) == "string" and not out.enum then
      out.type = array({ out.type, "null" })
    else
      out = { anyOf = array({ out, { type = "null" } }) }
    end
  end
  out.description = node.doc
  out.title = node.title
  if node.default ~= nil then out.default = node.default end
  if node.example ~= nil then out.examples = array({ node.example }) end
  return out
end

--- The JSON Schema of a node; named schemas as "#/components/schemas/NAME".
--- @param node table  of schema.parse
--- @param is_parameter boolean?  of a path, query or header: absent is not null there
--- @return table
--- Source: JSON Schema 2020-12; OpenAPI 3.1.1, 4.8.24
function schema_json.of(node, is_parameter)
  if is_parameter and node.optional then
    local plain = {}
    for k, v in pairs(node) do plain[k] = v end
    plain.optional = nil
    return of(plain)
  end
  return of(node)
end

return schema_json
