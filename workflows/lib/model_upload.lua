-- model_upload.lua - taking in a model file from outside: is it one, does it fit this catalogue, where
-- is it kept. Files have names we make up; nothing is kept that could not be loaded.

local crypto = require("crypto")
local db = require("db")
local fail = require("fail")
local fs = require("fs")
local json = require("json")
local model_store = require("model_store")
local tide = require("tide")
local time = require("time")
local trees = require("trees")

local model_upload = {}

--- The largest model file that is taken.
model_upload.BYTES_MAX = 256 * 1024 * 1024

local NAMES_SHOWN = 20

local function refuse(message, details)
  fail.raise("model_upload_failed", message, details)
end

local function list_of(value)
  if type(value) ~= "table" then return nil end
  if #value > 0 then return value end
  local names = {}
  for name in pairs(value) do names[#names + 1] = tostring(name) end
  table.sort(names)
  return names[1] and names or nil
end

-- What is known of a model of ours: its shape, and what its training noted.
local function look_at_tide(path)
  local model <close> = tide.load(path)
  local note = type(model.note) == "table" and model.note or {}
  local o = model:options()
  return { format = "tide", options = o, features = list_of(note.features), quantiles = o.quantiles,
           lookback = o.input_chunk, horizon = o.output_chunk, note = note }
end

local function look_at_trees(path)
  local model <close> = trees.load(path)
  local info = model:info()
  return { format = "lightgbm", features = info.feature_names, n_features = info.n_features, n_trees = info.n_trees,
           objective = info.objective }
end

--- Loads a file as what it says it is.
--- Waits (compute pool).
--- @param path string
--- @return table { format = "tide" | "lightgbm", features = list of names or nil, … }
--- Raises: model_upload_failed (says why it is neither), out_of_memory, cancelled
--- Source: ours
function model_upload.look_at(path)
  local ok, ours = pcall(look_at_tide, path)
  if ok then return ours end
  if ours.code == "cancelled" or ours.code == "nomem" then error(ours, 0) end
  local ok2, theirs = pcall(look_at_trees, path)
  if ok2 then return theirs end
  if theirs.code == "cancelled" or theirs.code == "nomem" then error(theirs, 0) end
  local is_ours = not tostring(ours.message):find("not a model file", 1, true)
  local why = tostring(is_ours and ours.message or theirs.message):gsub(path, "the file", 1, true)
  refuse("this is no model: " .. why:gsub("/%S*/", ""), { format = is_ours and "tide" or "lightgbm" })
end

local function difference(a, b)
  local has, out, n = {}, json.array({}), 0
  for _, name in ipairs(b) do has[name] = true end
  for _, name in ipairs(a) do
    if not has[name] then
      n = n + 1
      if n <= NAMES_SHOWN then out[n] = name end
    end
  end
  return out, n
end

-- What a model of this kind is fed with here: that of the newest model that was trained here.
local function expected_features(kind)
  local text = db.main():value([[SELECT json_extract(metadata, '$.features') FROM models
    WHERE model_kind = ? AND json_type(metadata, '$.features') IN ('array', 'object')
    AND EXISTS (SELECT 1 FROM training_results t WHERE t.model_id = models.model_id AND t.config_id IS NOT NULL)
    ORDER BY rowid DESC LIMIT 1]], { kind })
  return text and list_of(json.decode(text))
end

--- Refuses a model that was made for another catalogue, as far as that is known: its features must be
--- those of the models trained here.
--- Waits.
--- @param found table  of model_upload.look_at
--- @param kind string
--- Raises: model_upload_failed, with what is missing and what is too much
--- Source: ours
function model_upload.check_catalogue(found, kind)
  local expected = expected_features(kind)
  if not (expected and found.features) then return end
  local missing, n_missing = difference(expected, found.features)
  local unknown, n_unknown = difference(found.features, expected)
  if n_missing + n_unknown > 0 then
    refuse(("the model belongs to another catalogue: %d of its features are unknown here, %d of ours are missing")
      :format(n_unknown, n_missing), { unknown = unknown, missing = missing, n_unknown = n_unknown,
      n_missing = n_missing })
  end
end

local function metadata_of(up, found)
  local tags = json.array({})
  for tag in (up.tags or ""):gmatch("[^,]+") do
    tag = tag:match("^%s*(.-)%s*$")
    if tag ~= "" then tags[#tags + 1] = tag end
  end
  return {
    description = up.description or json.null, version = up.version or json.null, tags = tags,
    training_metrics = up.training_metrics or json.null, source_job_id = up.source_job_id or json.null,
    format = found.format, features = found.features, lookback = found.lookback, horizon = found.horizon,
    quantiles = found.quantiles, n_features = found.n_features, n_trees = found.n_trees, objective = found.objective,
    file_size_bytes = up.bytes, uploaded_filename = up.filename, uploaded = true,
  }
end

local MANUAL_JOB = [[INSERT INTO jobs(job_id, job_type, status, queue, parameters, concurrency_key, progress,
  created_by, model_id, started_at, finished_at) VALUES (:id, 'manual_upload', 'completed', NULL, :params,
  'manual_upload', 100, :by, :model, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))]]

local function insert(tx, up, name, found)
  if tx:value("SELECT 1 FROM models WHERE model_id = ?", { up.model_id }) then
    fail.raise("conflict", "there is a model " .. up.model_id .. " already")
  end
  local job_id = up.job_id
  if not job_id then
    job_id = crypto.uuid(7)
    tx:exec(MANUAL_JOB, { id = job_id, by = up.by or db.null, model = up.model_id,
      params = json.encode({ uploaded_model_filename = up.filename }) })
  elseif not tx:value("SELECT 1 FROM jobs WHERE job_id = ?", { job_id }) then
    fail.raise("job_id_not_found", "there is no job " .. job_id)
  end
  tx:exec("INSERT INTO models(model_id, job_id, model_kind, model_path, created_at, metadata, sha256) "
    .. "VALUES (?, ?, ?, ?, ?, ?, ?)", { up.model_id, job_id, up.model_kind, "models/" .. name,
    up.created_at or time.format(nil, { digits = 3 }), json.encode(metadata_of(up, found)), up.sha256 })
  if up.training_metrics then
    tx:exec("INSERT INTO training_results(result_id, job_id, model_id, metrics) VALUES (?, ?, ?, ?)",
      { crypto.uuid(7), job_id, up.model_id, json.encode(up.training_metrics) })
  end
  if up.is_active then
    model_store.activate_model(tx, up.model_id)
  elseif found.format == "tide" then -- others are for whoever knows what they are for
    model_store.after_result(tx, { model_id = up.model_id })
  end
end

--- Keeps an uploaded model file and its row.
--- Waits.
--- @param up table { path, filename, bytes, sha256, model_id, model_kind, is_active, job_id, created_at,
---   description, version, tags (text with commas), training_metrics (table), source_job_id, by = key id }
--- Raises: model_upload_failed, conflict (the id is taken), job_id_not_found, full, io
--- Source: plastinka.md 1.6.10
function model_upload.keep(up)
  if db.main():value("SELECT 1 FROM models WHERE model_id = ?", { up.model_id }) then
    fail.raise("conflict", "there is a model " .. up.model_id .. " already")
  end
  local found = model_upload.look_at(up.path)
  model_upload.check_catalogue(found, up.model_kind)
  local name = crypto.uuid(7) .. (found.format == "tide" and ".tide" or ".txt")
  fs.mkdir("models")
  fs.copy(up.path, "models/" .. name)
  local ok, err = pcall(function()
    db.main():transaction(function(tx) insert(tx, up, name, found) end)
  end)
  if not ok then
    pcall(fs.remove, "models/" .. name)
    error(err, 0)
  end
end

return model_upload
