-- model_upload.lua - taking in a model file from outside: is it one, does it fit this catalogue, where
-- is it kept. Files have names we make up; nothing is kept that could not be loaded.
--
-- A model of sales remembers the SQL of its features. It is taken only when that is our own list, word for
-- word: a file from outside must not bring SQL of its own.

local crypto = require("crypto")
local dataset_features = require("dataset_features")
local db = require("db")
local fail = require("fail")
local forecast = require("forecast")
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

local function is_whole(value, low, high)
  return math.type(value) == "integer" and value >= low and value <= high
end

local function is_month(value)
  return type(value) == "string" and value:find("^%d%d%d%d%-%d%d%-01$") ~= nil
end

-- What of a note goes into SQL or sizes must be what a training writes.
local function check_note(note)
  if json.encode(note.features, { sorted = true }) ~= json.encode(dataset_features, { sorted = true }) then
    refuse("the model belongs to another catalogue: its features are not those of dataset_features.lua here",
      { theirs = list_of(note.features), ours = list_of(dataset_features) })
  end
  local is_static = {}
  for _, name in ipairs(dataset_features.static) do is_static[name] = true end
  local ok = is_whole(note.span, 1, 1200) and is_whole(note.first_year, 1900, 2200) and is_whole(note.lags, 1, 1200)
    and is_month(note.first_month) and is_month(note.last_month) and type(note.vocabulary) == "table"
    and type(note.intervals) == "table"
  for _, v in ipairs(ok and note.vocabulary or {}) do
    ok = ok and type(v) == "table" and is_static[v.attribute] and type(v.part) == "string"
  end
  if not ok then refuse("this is no model: what it remembers of its training is damaged", { format = "sales" }) end
end

-- A model as trainings here write it: it can forecast.
local function look_at_sales(path)
  local model = forecast.load(path)
  local ok, found = pcall(function()
    check_note(model.note)
    return { format = "sales", can_forecast = true, vocabulary = model.note.vocabulary, lookback = model.note.lags,
             horizon = 1, quantiles = model.note.levels,
             months = { from = model.note.first_month, to = model.note.last_month } }
  end)
  forecast.close(model)
  if not ok then error(found, 0) end
  return found
end

-- Some other network of ours: its shape, and what was noted of it.
local function look_at_tide(path)
  local model <close> = tide.load(path)
  local note = type(model.note) == "table" and model.note or {}
  local o = model:options()
  return { format = "tide", features = list_of(note.features), quantiles = o.quantiles,
           lookback = o.input_chunk, horizon = o.output_chunk }
end

local function look_at_trees(path)
  local model <close> = trees.load(path)
  local info = model:info()
  return { format = "lightgbm", features = info.feature_names, n_features = info.n_features, n_trees = info.n_trees,
           objective = info.objective }
end

-- Tries one kind. What is wrong with the file is a reason, anything else is raised.
local function try(look, path)
  local ok, found = pcall(look, path)
  if ok then return found end
  if type(found) == "table" and (found.code == "cancelled" or found.code == "nomem" or found.code
    == "model_upload_failed") then
    error(found, 0)
  end
  local text = type(found) == "table" and tostring(found.message) or "it is damaged"
  return nil, text:gsub("/%S*/[^%s:]*", "the file")
end

--- Loads a file as what it says it is.
--- Waits (compute pool).
--- @param path string
--- @return table { format = "sales" | "tide" | "lightgbm", can_forecast, features = list of names or nil, … }
--- Raises: model_upload_failed (says why it is neither), out_of_memory, cancelled
--- Source: ours
function model_upload.look_at(path)
  local found, why = try(look_at_sales, path)
  if not found and why:find("no model of sales", 1, true) then found, why = try(look_at_tide, path) end
  if found then return found end
  local is_ours = not why:find("not a model file", 1, true)
  if not is_ours then
    found, why = try(look_at_trees, path)
    if found then return found end
  end
  refuse("this is no model: " .. why, { format = is_ours and "tide" or "lightgbm" })
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

-- Refuses when more is unknown here than known.
local function refuse_strangers(unknown, n_unknown, n, missing, n_missing)
  if n_unknown * 2 <= n then return end
  refuse(("the model belongs to another catalogue: %d of the %d things it knows are unknown here"):format(n_unknown, n),
    { unknown = unknown, missing = missing, n_unknown = n_unknown, n_missing = n_missing })
end

-- The words of the attributes a model of sales was trained on, against the products that are stored.
local function check_vocabulary(vocabulary)
  local d = db.main()
  if not d:value("SELECT 1 FROM dim_multiindex_mapping LIMIT 1") then return end
  local cases = {}
  for i, name in ipairs(dataset_features.static) do
    cases[i] = ("WHEN '%s' THEN CAST(d.%s AS TEXT)"):format(name, name)
  end
  local rows = d:query([[SELECT e.value ->> 'attribute' AS attribute, e.value ->> 'part' AS part FROM json_each(?) e
    WHERE NOT EXISTS (SELECT 1 FROM dim_multiindex_mapping d WHERE instr(CASE e.value ->> 'attribute' ]]
    .. table.concat(cases, " ") .. [[ END, e.value ->> 'part') > 0)]], { json.encode(vocabulary) })
  local names, n_style, styles = json.array({}), 0, 0
  for i, row in ipairs(rows) do
    if i <= NAMES_SHOWN then names[i] = row.attribute .. " " .. row.part end
    if row.attribute == "style" then styles = styles + 1 end
  end
  for _, v in ipairs(vocabulary) do n_style = n_style + (v.attribute == "style" and 1 or 0) end
  refuse_strangers(names, #rows, #vocabulary)
  if n_style >= 3 then refuse_strangers(names, styles, n_style) end
end

-- What a model of this kind is fed with here: that of the newest model that has a list of it.
local function expected_features(kind)
  local text = db.main():value([[SELECT json_extract(metadata, '$.features') FROM models
    WHERE model_kind = ? AND json_type(metadata, '$.features') = 'array'
    AND EXISTS (SELECT 1 FROM training_results t WHERE t.model_id = models.model_id AND t.config_id IS NOT NULL)
    ORDER BY rowid DESC LIMIT 1]], { kind })
  return text and list_of(json.decode(text))
end

--- Refuses a model that was made for another catalogue, as far as that is known: most of the attributes it
--- knows must be attributes of products stored here; a list of features must be that of the models trained here.
--- Waits.
--- @param found table  of model_upload.look_at
--- @param kind string
--- Raises: model_upload_failed, with what is missing and what is too much
--- Source: ours
function model_upload.check_catalogue(found, kind)
  if found.vocabulary then return check_vocabulary(found.vocabulary) end
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
    format = found.format, can_forecast = found.can_forecast == true, months = found.months,
    features = found.features, lookback = found.lookback, horizon = found.horizon,
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
    .. "VALUES (?, ?, ?, ?, ?, ?, ?)", { up.model_id, job_id, up.model_kind, name,
    up.created_at or time.format(nil, { digits = 3 }), json.encode(metadata_of(up, found)), up.sha256 })
  if up.training_metrics then
    tx:exec("INSERT INTO training_results(result_id, job_id, model_id, metrics) VALUES (?, ?, ?, ?)",
      { crypto.uuid(7), job_id, up.model_id, json.encode(up.training_metrics) })
  end
  if up.is_active then
    model_store.activate_model(tx, up.model_id)
  elseif found.can_forecast or up.model_kind ~= "sales" then -- others are for whoever knows what they are for
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
  local name = crypto.uuid(7) .. (found.format == "lightgbm" and ".txt" or ".model")
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
