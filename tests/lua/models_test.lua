-- Parameters of models and which of them are in use: workflows/lib/model_config.lua, model_store.lua.
local db, fs, json = require("db"), require("fs"), require("json")
local generation = require("generation")
local settings = require("settings")
require("kinds")

local n = 0
local function same(found, expected, what)
  n = n + 1
  if found ~= expected then
    error((what or "") .. ": found " .. tostring(found) .. ", expected " .. tostring(expected), 2)
  end
end

local folder = fs.temp("/tmp", "models_test_") .. ".d"
fs.remove(folder:sub(1, -3))
fs.mkdir(folder)

local files, all = {}, generation.read()
for _, name in ipairs({ "lib/model_config.lua", "lib/model_store.lua" }) do files[name] = all[name] end
files["routes/x.lua"] = "return { config = require('model_config'), store = require('model_store') }"
generation.kind("routes", {
  check = function(_, value) return value end,
  build = function(parts) return parts[1].value end,
})
local lib = generation.build(files).routes
local config, store = lib.config, lib.store

local function refused(value, name)
  n = n + 1
  local ok, e = pcall(config.check, value)
  if ok then error("taken, though " .. name .. " is wrong", 2) end
  if e.code ~= "validation_error" or not tostring(e.message):find(name, 1, true) then
    error("expected a word about " .. name .. ", found " .. tostring(e.message or e), 2)
  end
end

-- ids: made by python3 -c 'hashlib.md5(json.dumps(x, sort_keys=True).encode())'
same(config.id({}), "99914b932bd37a50b983c5e7c90ae93b")
same(config.id({ b = 1, a = { 1.0, 0.0001, 1e-05, true }, ["é"] = "ü\n\"\\\127😀", z = json.null, e = json.array() }),
  "fcd3450b8e6c5aa9638a25e514484d53")

-- defaults and checks
local c = config.check({ model_config = { dropout = 0 }, lags = 6, model_id = "4ff41e5d" })
same(c.nn_model_config.dropout, 0); same(c.model_config, nil); same(c.model_id, nil); same(c.lags, 6)
same(c.optimizer_config.lr, 0.001); same(c.swa_config, nil)
same(config.check({ swa_config = {} }).swa_config.annealing_epochs, 45)
same(config.check({ swa_config = json.null }).swa_config, nil)
same(config.id(config.check({ lags = 9 })), config.id(config.default()), "what is default makes no difference")
same(config.id(config.check(config.default())), config.id(config.default()), "checking twice")
refused({ lag = 9 }, "lag")
refused({ nn_model_config = { drop_out = 0.1 } }, "nn_model_config.drop_out")
refused({ nn_model_config = { dropout = 1 } }, "nn_model_config.dropout")
refused({ nn_model_config = {}, model_config = {} }, "model_config")
refused({ optimizer_config = { lr = 0 } }, "optimizer_config.lr")
refused({ lags = 0 }, "lags")
refused({ lags = "9" }, "lags")
refused({ quantiles = { 0.1, 0.9 } }, "quantiles")
refused({ quantiles = { 0.5, 0.1 } }, "quantiles")
refused({ quantiles = json.array() }, "quantiles")
refused("x", "object")

-- the store
local d <close> = db.open(folder .. "/main.db")
d:migrate()
local e = store.effective_config(d)
same(e.config_id, config.id(config.default())); same(e.is_active, false)
same(d:value("SELECT source FROM configs"), "default")
same(store.effective_config(d).config_id, e.config_id)
same(d:value("SELECT count(*) FROM configs"), 1)
same(store.active(d, "sales"), nil)

local function train(id, value, config_id)
  d:exec("INSERT INTO models(model_id, model_path, metadata) VALUES (?, ?, '{\"horizon\":1}')", { id, "models/" .. id })
  d:exec("INSERT INTO training_results(result_id, model_id, config_id, metrics) VALUES (?, ?, ?, ?)",
    { "r" .. id, id, config_id or e.config_id, json.encode({ val_MIWS_MIC_Ratio = value }) })
  return d:transaction(function(tx)
    return store.after_result(tx, { model_id = id, config_id = config_id or e.config_id })
  end)
end
same(store.best_model(d), nil); same(store.best_config(d), nil)
local out = train("a", 2.0)
same(out.model, true, "the first"); same(out.config, true)
same(store.effective_config(d).is_active, true)
same(train("b", 2.5).model, false, "a worse one")
same(store.active(d).model_id, "a")
out = train("c", 1.5)
same(out.model, true); same(out.previous_model_id, "a"); same(out.previous_value, 2.0); same(out.value, 1.5)
same(train("d", 1.5).model, false, "as good is not better")
same(train("e", "bad").model, false, "no number")
same(train("f", nil).model, false)
same(d:value("SELECT count(*) FROM models WHERE is_active"), 1)
same(store.active(d, "sales").metadata.horizon, 1)
same(store.path(store.active(d)), settings.data_root_dir .. "/models/c")
same(pcall(store.path, { model_id = "x", model_path = "models/../x" }), false)

-- best is by the metric alone
local other = config.store(d, { lags = 3 }, "tuning")
d:exec([[INSERT INTO tuning_results(result_id, config_id, metrics) VALUES ('t', ?, '{"val_MIWS_MIC_Ratio":0.5}')]],
  { other })
same(store.best_config(d).config_id, other); same(store.best_config(d).metric_value, 0.5)
same(store.effective_config(d).config_id, e.config_id, "the active one")
same(store.best_config(d, store.ranking("val_MIWS_MIC_Ratio", true)).config_id, e.config_id)
same(store.best_model(d).model_id, "c"); same(store.best_model(d, store.ranking("val_MIWS_MIC_Ratio")).model_id, "b")
same(store.best_model(d, store.ranking("train_loss", false)), nil)
same(train("g", 1.0, other).config, true, "better parameters")
same(store.effective_config(d).config_id, other)
same(store.activate_config(d, e.config_id), true); same(store.effective_config(d).config_id, e.config_id)
same(store.activate_config(d, "none"), false); same(store.effective_config(d).is_active, true)
same(store.activate_model(d, "none"), false); same(store.activate_model(d, "a"), true)
same(store.active(d).model_id, "a")
d:exec("INSERT INTO models(model_id, model_kind, model_path, is_active) VALUES ('p', 'other', 'models/p', 1)")
store.activate_model(d, "b")
same(store.active(d, "other").model_id, "p", "another kind is not touched")

d:close()
for _ = 1, 100 do -- a database that closes takes its side files away while we look
  if pcall(fs.remove, folder, { deep = true }) then break end
  require("task").sleep(0.05)
end
print(n .. " checks")
