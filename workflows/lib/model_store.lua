-- model_store.lua - which model and which parameters are in use, and when a new one takes over.
--
-- One model of a kind is active, and one set of parameters. "Best" is by the metric alone: being
-- active is no merit. A model becomes active by itself only when it is better than the active one.

local json = require("json")
local log = require("log")
local model_config = require("model_config")
local settings = require("settings")

local model_store = {}

--- Metrics by which models and parameters may be ranked.
model_store.METRICS = {}
for _, name in ipairs({ "MIC", "MIWS", "MIWS_MIC_Ratio", "loss" }) do
  for _, set in ipairs({ "val_", "train_" }) do
    table.insert(model_store.METRICS, set .. name)
    table.insert(model_store.METRICS, set .. set .. name) -- names of early days
  end
end
table.insert(model_store.METRICS, "training_duration_seconds")
table.sort(model_store.METRICS)

--- SQL of a metric, a number or NULL, in rows with `metrics`; the parameter :metric is its name.
--- @param column string  such as "t.metrics"
--- @return string
--- Source: ours
function model_store.metric_sql(column)
  return ([[iif(json_type(%s, '$."' || :metric || '"') IN ('integer', 'real'),
    json_extract(%s, '$."' || :metric || '"'), NULL)]]):format(column, column)
end

--- The metric that ranks, and which way: of the settings, unless a name is given.
--- @param name string?
--- @param higher_is_better boolean?  of that name
--- @return table  { metric, sign = 1 when higher is better, else -1, higher_is_better }
--- Source: plastinka.md 1.9
function model_store.ranking(name, higher_is_better)
  local metric, higher = settings.model_metric, settings.model_metric_higher_is_better
  if name then metric, higher = name, higher_is_better ~= false end
  return { metric = metric, sign = higher and 1 or -1, higher_is_better = higher }
end

local function with_metric(sql, column)
  return (sql:gsub("METRIC", function() return model_store.metric_sql(column) end))
end

local function best_of(d, sql, r)
  return d:row(with_metric(sql, "t.metrics"), { metric = r.metric, sign = r.sign })
end

local BEST_CONFIG = [[WITH tried AS (
    SELECT t.config_id, METRIC AS value FROM training_results t
    UNION ALL SELECT t.config_id, METRIC FROM tuning_results t)
  SELECT c.config_id, c.config, c.is_active, c.created_at, c.source, max(value * :sign) * :sign AS metric_value
  FROM configs c JOIN tried USING (config_id) WHERE value IS NOT NULL
  GROUP BY c.config_id ORDER BY max(value * :sign) DESC, c.rowid DESC LIMIT 1]]

local BEST_MODEL = [[SELECT m.*, METRIC AS metric_value FROM models m JOIN training_results t USING (model_id)
  WHERE METRIC IS NOT NULL ORDER BY METRIC * :sign DESC, m.rowid LIMIT 1]]

--- The parameters with the best metric of any training or tuning.
--- Waits.
--- @param d db
--- @param ranking table?  of model_store.ranking
--- @return table?  { config_id, config (JSON text), is_active, created_at, source, metric_value }
--- Source: plastinka.md 1.9, without defect 11
function model_store.best_config(d, ranking)
  return best_of(d, BEST_CONFIG, ranking or model_store.ranking())
end

--- The model with the best metric of its training.
--- Waits.
--- @param d db
--- @param ranking table?
--- @return table?  a row of models with metric_value
--- Source: plastinka.md 1.9
function model_store.best_model(d, ranking)
  return best_of(d, BEST_MODEL, ranking or model_store.ranking())
end

local function shown(row)
  return { config_id = row.config_id, config = model_config.check(json.decode(row.config)),
           is_active = row.is_active == 1 }
end

--- The parameters a training takes: the active ones, else the best, else those the program ships
--- with, which are stored then.
--- Waits.
--- @param d db  main database
--- @return table { config_id, config, is_active }
--- Raises: as db:exec
--- Source: plastinka.md 1.9
function model_store.effective_config(d)
  local row = d:row("SELECT * FROM configs WHERE is_active = 1") or model_store.best_config(d)
  if row then return shown(row) end
  local id, config = model_config.store(d, model_config.default(), "default")
  return { config_id = id, config = config, is_active = false }
end

--- Makes a set of parameters the active one.
--- Waits.
--- @param tx db
--- @param id string
--- @return boolean  false when there is none of this id
function model_store.activate_config(tx, id)
  local done = tx:write({
    { "UPDATE configs SET is_active = 0 WHERE is_active = 1 AND config_id <> ?1 "
      .. "AND EXISTS (SELECT 1 FROM configs WHERE config_id = ?1)", { id } },
    { "UPDATE configs SET is_active = 1 WHERE config_id = ?", { id } },
  })
  return done[2].changes == 1
end

--- Makes a model the active one of its kind.
--- Waits.
--- @param tx db
--- @param id string
--- @return boolean  false when there is none of this id
function model_store.activate_model(tx, id)
  local done = tx:write({
    { "UPDATE models SET is_active = 0 WHERE is_active = 1 AND model_id <> ?1 "
      .. "AND model_kind = (SELECT model_kind FROM models WHERE model_id = ?1)", { id } },
    { "UPDATE models SET is_active = 1 WHERE model_id = ?", { id } },
  })
  return done[2].changes == 1
end

local function metric_of(tx, sql, id, r)
  return tx:value(with_metric(sql, "metrics"), { id = id, metric = r.metric, sign = r.sign })
end

local MODEL_METRIC = "SELECT max(METRIC * :sign) * :sign FROM training_results WHERE model_id = :id"
local CONFIG_METRIC = [[SELECT max(value * :sign) * :sign FROM (
  SELECT METRIC AS value FROM training_results WHERE config_id = :id
  UNION ALL SELECT METRIC FROM tuning_results WHERE config_id = :id)]]

-- Whether `value` should take the place of `old`; what has no metric neither wins nor holds out.
local function is_better(value, old, r)
  return value ~= nil and (old == nil or value * r.sign > old * r.sign)
end

-- The two values by which a new model is held against the active one. Metrics of different months tell of the
-- months, not of the models: where both forecast the same month before it came, that counts.
local function values_of(tx, new, active, r)
  local duel = new.duel
  if duel and duel.model_id == active and duel.new[r.metric] and duel.old[r.metric] then
    return duel.new[r.metric], duel.old[r.metric], true
  end
  return metric_of(tx, MODEL_METRIC, new.model_id, r), active and metric_of(tx, MODEL_METRIC, active, r) or nil, false
end

--- After a training: the new model becomes active when there is none, or when it is better by the
--- metric of the settings (in a duel: as good; it has seen a month more); the same for its parameters. Call it
--- in the transaction that publishes, behind the row of training_results.
--- Waits.
--- @param tx db
--- @param new table { model_id, config_id, duel = { model_id, new, old = metric -> value in the same month }? }
--- @return table { model = boolean, config = boolean, metric, value, previous_model_id, previous_value, is_duel }
---   what became active
--- Source: plastinka.md 1.9
function model_store.after_result(tx, new)
  local r = model_store.ranking()
  local out = { model = false, config = false, metric = r.metric }
  local m = new.model_id and tx:row("SELECT model_kind, is_active FROM models WHERE model_id = ?", { new.model_id })
  if m and m.is_active == 0 and settings.model_auto_select then
    local active = tx:row("SELECT model_id FROM models WHERE model_kind = ? AND is_active = 1", { m.model_kind })
    out.previous_model_id = active and active.model_id
    out.value, out.previous_value, out.is_duel = values_of(tx, new, out.previous_model_id, r)
    if not active or is_better(out.value, out.previous_value, r) or out.is_duel and out.value == out.previous_value then
      out.model = model_store.activate_model(tx, new.model_id)
    end
  end
  local c = new.config_id and tx:row("SELECT is_active FROM configs WHERE config_id = ?", { new.config_id })
  if c and c.is_active == 0 and settings.model_auto_select_configs then
    local active = tx:value("SELECT config_id FROM configs WHERE is_active = 1")
    if not active or is_better(metric_of(tx, CONFIG_METRIC, new.config_id, r),
      metric_of(tx, CONFIG_METRIC, active, r), r) then
      out.config = model_store.activate_config(tx, new.config_id)
    end
  end
  if out.model then
    log.info("model is active", { model = new.model_id, before = out.previous_model_id, metric = r.metric,
                                  value = out.value, value_before = out.previous_value })
  end
  return out
end

--- The active model of a kind.
--- Waits.
--- @param d db
--- @param kind string?  "sales"
--- @return table?  a row of models, metadata read
--- Source: ours
function model_store.active(d, kind)
  local row = d:row("SELECT * FROM models WHERE model_kind = ? AND is_active = 1", { kind or "sales" })
  if row then row.metadata = row.metadata and json.decode(row.metadata) end
  return row
end

--- Where the file of a model is, for tide.load and trees.load.
--- @param row table  of models
--- @return string
--- Raises: invalid (a path that leads out of models/)
--- Source: ours
function model_store.path(row)
  local name = row.model_path:match("^models/([^/]+)$") or row.model_path:match("^([^/]+)$")
  if not name or name:sub(1, 1) == "." then
    error({ code = "invalid", message = "the model " .. row.model_id .. " has no file in models/" }, 0)
  end
  return settings.data_root_dir .. "/models/" .. name
end

return model_store
