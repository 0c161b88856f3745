-- generation.lua - all workflow files together are one generation, named by the hash of their
-- contents. The next one is built aside; only when every file loads and checks out is it swapped in.
--
-- A generation: { id, files = path -> text, loaded_at, and for each kind what its `build` made,
-- under the name of the kind: routes, jobs, … }. Requests and jobs hold the one they began with.

local load = require("core.load")
local control = require("core.control")
local crypto = require("crypto")
local db = require("db")
local log = require("log")
local settings = require("settings")
local signal = require("core.signal")
local time = require("time")

local generation = {}

-- Modules of lua/ that workflows may require. Everything else there is the framework's own.
local PUBLIC = {}
for name in ([[
  crypto db fail fs http json log reply schema settings task template text time
  sheet tensor tide trees baseline metrics backtest tune job report chart
  docs generation health keys openapi process prometheus
  schedule webhook retry maintain notify
]]):gmatch("%S+") do PUBLIC[name] = true end

-- kind (first folder of the path) -> { check(path, value) -> part, build(parts) -> any }
local kinds = {}

local current
local failed          -- { id =, message =, at = } of the newest files, when they did not load
local waiting = {}    -- number of a reload asked of the supervisor -> { done =, ok =, text = }
local asked = 0
local also           -- what else a reload reads again, a function
local prepared = {}   -- id of a transaction -> generation built for it

local ANSWER_SECONDS = 15 -- the supervisor has for a reload
local FILE_BURST_MS = math.tointeger(settings.load_burst_seconds * 1000 // 1)

--- Tells how files of a kind are checked and put together. Called by the framework's modules.
--- @param name string  the folder below workflows/: "routes"
--- @param kind table { check = function(path, value) -> part, build = function(parts) -> any }
--- Source: ours
function generation.kind(name, kind)
  kinds[name] = kind
end

--- The folder the workflows are read from, or nil for those inside the program.
--- @return string|nil
function generation.dir()
  local dir = settings.workflows_dir
  return dir ~= "" and dir or nil
end

local function fail(code, message)
  error({ code = code, message = message }, 0)
end

--- Reads all workflow files. Waits.
--- @return table path -> text, paths as in "routes/jobs.lua"
--- Raises: notfound, io, limit
function generation.read()
  local dir = generation.dir()
  if dir then
    local files, message, code = load.tree(dir)
    if not files then fail(code, message) end
    return files
  end
  local files = {}
  for _, path in ipairs(load.embedded_list("workflows/")) do
    files[path:sub(#"workflows/" + 1)] = load.embedded(path)
  end
  return files
end

-- Calls a chunk in a run of its own; what it raises is raised here with its code and its file.
local function call(path, fn, ...)
  local value, message, code = load.call(FILE_BURST_MS, fn, ...)
  if code ~= nil and value == nil then
    fail(code, message:find("^workflows/") and message or "workflows/" .. path .. ": " .. message)
  end
  return value
end

local function compile(path, text, env)
  local fn, message = load.chunk("workflows/" .. path, text, env)
  if not fn then fail("parse", message) end
  return fn
end

-- The require that the files of one generation share: workflows/lib/, single files, public modules.
local function make_require(files, env_of)
  local loaded = {}
  return function(name)
    if type(name) ~= "string" then error("require needs the name of a module", 2) end
    local value = loaded[name]
    if value == false then error("module '" .. name .. "' requires itself, by way of others", 2) end
    if value ~= nil then return value end
    local path = "lib/" .. name .. ".lua"
    if not files[path] and name:find("^[%w_]+$") then path = name .. ".lua" end -- a single file: catalogue.lua
    if files[path] then
      loaded[name] = false
      value = compile(path, files[path], env_of())(name)
      if type(value) ~= "table" and type(value) ~= "function" then
        error("workflows/" .. path .. ": returned a " .. type(value) .. ", expected a table", 2)
      end
      loaded[name] = value
      return value
    end
    if PUBLIC[name] then return require(name) end
    error("module '" .. name .. "' not found: neither workflows/lib/" .. name .. ".lua nor a module of lua/", 2)
  end
end

-- A report folder is one thing: report.lua beside its templates. Elsewhere every .lua file is one.
local function is_script(path)
  return path:sub(-4) == ".lua" and not path:find("^lib/")
end

--- Builds a generation from files; nothing is changed by it.
--- @param files table path -> text
--- @return table
--- Raises: parse, invalid, killed … with "workflows/FILE:LINE: why"
function generation.build(files)
  local g = { id = load.hash(files), files = files, loaded_at = time.now() }
  local parts, paths, lib_require = {}, {}, nil
  local function env_of()
    local env = load.env()
    load.set_name(env, "require", lib_require)
    return env
  end
  lib_require = make_require(files, env_of)
  for path in pairs(files) do paths[#paths + 1] = path end
  table.sort(paths)
  for _, path in ipairs(paths) do
    if path:find("^lib/.*%.lua$") then
      call(path, lib_require, path:sub(5, -5)) -- a broken helper stops the load, even if nobody needs it
    elseif is_script(path) then
      local name = path:match("^([%w_]+)/") or path:match("^([%w_]+)%.lua$")
      local kind = kinds[name]
      if not kind then
        fail("invalid", "workflows/" .. path .. ": there is no kind of workflow called '" .. tostring(name) .. "'")
      end
      local value = call(path, compile(path, files[path], env_of()))
      if type(value) ~= "table" then
        fail("invalid", "workflows/" .. path .. ": returned " .. type(value) .. ", expected one table")
      end
      parts[name] = parts[name] or {}
      table.insert(parts[name], { path = path, value = kind.check("workflows/" .. path, value) })
    end
  end
  for name, kind in pairs(kinds) do
    g[name] = kind.build(parts[name] or {}, g)
  end
  return g
end

--- The generation that new requests and jobs get.
--- @return table
function generation.current()
  return current
end

--- Makes `g` the current generation.
--- @param g table from generation.build
function generation.swap(g)
  local before = current
  current, failed = g, nil
  if not before or before.id ~= g.id then
    log.info("generation loaded", { generation = g.id, before = before and before.id })
  end
end

--- Keeps the files of `g` in the database: for jobs pinned to it, and for processes that crash.
--- Waits. Does nothing when they are there.
--- @param g table from generation.build
--- Raises: busy, full, io
function generation.store(g)
  local d = db.main()
  if d:value("SELECT 1 FROM generations WHERE generation = ?", { g.id }) then return end
  d:transaction(function()
    local n = 0
    for _ in pairs(g.files) do n = n + 1 end
    d:exec("INSERT OR IGNORE INTO generations(generation, n_files) VALUES (?, ?)", { g.id, n })
    for path, text in pairs(g.files) do
      local hash = crypto.sha256(text)
      d:exec("INSERT OR IGNORE INTO generation_contents(content_hash, content) VALUES (?, ?)",
        { hash, db.blob(text) })
      d:exec("INSERT OR IGNORE INTO generation_files(generation, path, content_hash) VALUES (?, ?, ?)",
        { g.id, path, hash })
    end
  end)
end

--- The files of a generation that was stored, or nil.
--- @param id string
--- @return table|nil  path -> text
function generation.stored(id)
  local files
  for _, row in ipairs(db.main():query([[SELECT path, content FROM generation_files
      JOIN generation_contents USING (content_hash) WHERE generation = ?]], { id })) do
    files = files or {}
    files[row.path] = row.content
  end
  return files
end

--- The generation a process begins with: that of its supervisor out of the database, because the files
--- may be half edited when a process is started again; else the one of the files, which is stored.
--- Waits.
--- @return table
--- Raises: parse, invalid …
function generation.first()
  local id = control.generation()
  if id then
    local files = generation.stored(id)
    if files then return generation.build(files) end
    log.warn("generation is not in the database, using the files", { generation = id })
  end
  local g = generation.build(generation.read())
  generation.store(g)
  return g
end

--- What /health shows.
--- @return table { id, loaded_at, failed = nil or { id, message, at } }
function generation.status()
  return { id = current and current.id, loaded_at = current and current.loaded_at, failed = failed }
end

local function note_failure(message)
  failed = { message = message, at = time.now() }
  log.error("generation refused", { why = message, generation = current and current.id })
end

-- ok, generation or message
local function try_build()
  local ok, g = pcall(function()
    local new = generation.build(generation.read())
    generation.store(new)
    return new
  end)
  if ok then return true, g end
  return false, type(g) == "table" and g.message or tostring(g)
end

-- Without a supervisor this process is all there is: build, then swap or keep.
local function reload_alone()
  if also then also() end
  local ok, g = try_build()
  if not ok then
    note_failure(g)
    return false, g
  end
  generation.swap(g)
  return true, g.id
end

--- What else is read again at each reload: certificates.
--- @param fn function
function generation.also_reload(fn)
  also = fn
end

--- Loads the workflows again when their folder changes, in a process without a supervisor.
function generation.watch_alone()
  local dir = generation.dir()
  if dir and settings.reload_watch then control.watch(dir, settings.reload_debounce_seconds * 1000 // 1 | 0) end
end

--- Loads the workflows again, in all web processes or in none. Waits.
--- @return string  id of the generation that is current now
--- Raises: invalid with "file:line: why" when the new files are refused; the old ones stay
function generation.request_reload()
  local ok, text
  if control.supervised() then
    asked = asked + 1
    local number, answer = asked, { signal = signal.new() }
    waiting[number] = answer
    local seen = signal.count(answer.signal)
    control.send("reload " .. number)
    signal.wait(answer.signal, seen, ANSWER_SECONDS)
    waiting[number] = nil
    if not answer.done then fail("timeout", "the supervisor did not answer within " .. ANSWER_SECONDS .. " s") end
    ok, text = answer.ok, answer.text
  else
    ok, text = reload_alone()
  end
  if not ok then fail("invalid", text) end
  return text
end

--- Handles a line of the control channel that is about generations.
--- @param line string
--- @return boolean  false when it is about something else
function generation.on_control(line)
  local verb, id, rest = line:match("^(%S+) ?(%S*) ?(.*)$")
  if verb == "prepare" then
    local ok, g = try_build()
    if ok then
      prepared[id] = g
      control.send("ready " .. id .. " " .. g.id)
    else
      control.send(("refused " .. id .. " " .. g:gsub("%s+", " ")):sub(1, 4000))
    end
  elseif verb == "commit" then
    if prepared[id] then generation.swap(prepared[id]) end
    if also then also() end
    prepared[id] = nil
    control.send("done " .. id)
  elseif verb == "abort" then
    prepared[id] = nil
    note_failure(rest)
  elseif verb == "reloaded" then
    local answer = waiting[math.tointeger(tonumber(id)) or 0]
    local word, text = rest:match("^(%S+) ?(.*)$")
    if answer then
      answer.done, answer.ok, answer.text = true, word == "ok", text
      signal.fire(answer.signal)
    end
  elseif verb == "reload" then
    if control.supervised() then control.send("reload 0") else reload_alone() end
  else
    return false
  end
  return true
end

return generation
