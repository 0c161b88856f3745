-- catalogue.lua - checks workflows/catalogue.lua, the profile of what a shop sells: columns of its table
-- files, reasons to reject a row, cleaning rules. What the parts mean is written in that file; the SQL in
-- it is tried by the upload that runs it.

local catalogue = {}

local function bad(path, message)
  error({ code = "invalid", message = path .. ": " .. message }, 0)
end

local NEED = { stock = true, sales = true }

local function text(path, where, v, name)
  if type(v[name]) ~= "string" or v[name] == "" then
    bad(path, where .. "." .. name .. " is " .. tostring(v[name]) .. ", expected text")
  end
end

local function each(path, d, name, fn)
  if type(d[name]) ~= "table" then bad(path, name .. " is missing: a list") end
  for i, v in ipairs(d[name]) do fn(v, name .. "[" .. i .. "]") end
end

local function identifier(path, where, name)
  if type(name) ~= "string" or not name:find("^%l[%l%d_]*$") then
    bad(path, where .. " is " .. tostring(name) .. ", expected a name of small letters, digits and _")
  end
end

--- Checks the profile.
--- @param path string  "workflows/catalogue.lua"
--- @param d table
--- @return table  the same
--- Raises: invalid, naming file and key
--- Source: ours
function catalogue.check(path, d)
  local known, headers = {}, {}
  local ok = { columns = true, rejects = true, rules = true, late_rejects = true, derived = true }
  for k in pairs(d) do
    if not ok[k] then bad(path, "unknown key " .. tostring(k)) end
  end
  each(path, d, "columns", function(c, where)
    if type(c) ~= "table" then bad(path, where .. " is no table") end
    identifier(path, where .. ".name", c.name)
    if known[c.name] then bad(path, where .. ": the column " .. c.name .. " is there twice") end
    known[c.name] = true
    text(path, where, c, "read")
    for kind in pairs(NEED) do
      if c[kind] ~= nil and c[kind] ~= "required" and c[kind] ~= "optional" then
        bad(path, where .. "." .. kind .. " is " .. tostring(c[kind]) .. ', expected "required" or "optional"')
      end
    end
    if type(c.headers) ~= "table" or #c.headers == 0 then
      bad(path, where .. ".headers is missing: what files call it")
    end
    for _, h in ipairs(c.headers) do
      if type(h) ~= "string" then bad(path, where .. ".headers has a " .. type(h)) end
      if headers[h] then bad(path, where .. ": the header " .. h .. " is also of " .. headers[h]) end
      headers[h] = c.name
    end
  end)
  each(path, d, "derived", function(name, where)
    identifier(path, where, name)
    if known[name] then bad(path, where .. ": the column " .. name .. " is there twice") end
    known[name] = true
  end)
  for _, list in ipairs({ "rejects", "late_rejects" }) do
    each(path, d, list, function(r, where)
      for _, name in ipairs({ "column", "reason", "when" }) do text(path, where, r, name) end
      if not known[r.column] then bad(path, where .. ": there is no column " .. r.column) end
      identifier(path, where .. ".reason", r.reason)
    end)
  end
  each(path, d, "rules", function(r, where)
    text(path, where, r, "name")
    text(path, where, r, "sql")
  end)
  return d
end

--- How lua/generation.lua checks and keeps workflows/catalogue.lua: the profile, or nil.
--- Source: ours
catalogue.kind = {
  check = catalogue.check,
  build = function(parts) return parts[1] and parts[1].value or nil end,
}

return catalogue
