-- model_view.lua - what the routes of parameters, models and results share: pages of lists that are
-- plain arrays, rows as clients see them, and deleting many with a reason for each that stays.

local db = require("db")
local fail = require("fail")
local json = require("json")
local model_store = require("model_store")

local model_view = {}

--- The query of a list: limit and cursor.
--- @param max integer?  1000
--- @param default integer?  100
--- @return table
function model_view.page_query(max, default)
  return { limit = ("integer 1..%d = %d"):format(max or 1000, default or 100),
           cursor = "integer? 1.. -- from the Link header of the page before" }
end

--- The words a metric may be called, for a route's query.
model_view.RANKING = {
  metric_name = { table.concat(model_store.METRICS, "|") .. "?", doc = "default: the metric of the settings" },
  higher_is_better = "boolean = true -- of metric_name; that of the settings has its own direction",
}

--- One page of a table, newest first.
--- Waits.
--- @param o table { columns, from = table and joins, where = text?, args = { }, key = "t.rowid", order = text?
---   (then there is no cursor), limit, cursor, show = function(row) -> row }
--- @return table  array of rows
--- @return integer  of all that match
--- @return integer?  the cursor of the next page
function model_view.page(o)
  local d, args = db.main(), {}
  for k, v in pairs(o.args or {}) do args[k] = v end
  local where = o.where or "1"
  local total = d:value(("SELECT count(*) FROM %s WHERE %s"):format(o.from, where), args)
  args.cursor = o.cursor or math.maxinteger
  local sql = "SELECT %s, %s AS cursor_key FROM %s WHERE (%s) AND %s < :cursor ORDER BY %s LIMIT %d"
  local rows = json.array(d:query(sql:format(o.columns, o.key, o.from, where, o.key, o.order or o.key .. " DESC",
    o.limit + 1), args))
  local next_cursor
  if #rows > o.limit then
    rows[#rows] = nil
    next_cursor = not o.order and rows[#rows].cursor_key or nil
  end
  for i, row in ipairs(rows) do
    row.cursor_key = nil
    rows[i] = o.show(row)
  end
  return rows, total, next_cursor
end

--- A page as the answer of a route whose body is the array itself: the true total and the way to the
--- next page are headers.
--- Waits.
--- @param path string  of the route
--- @param o table  as model_view.page
--- @return table, integer, table
--- Source: RFC 8288
function model_view.list(path, o)
  local rows, total, next_cursor = model_view.page(o)
  local headers = { ["X-Total-Count"] = tostring(total) }
  if next_cursor then
    headers.Link = ('<%s?limit=%d&cursor=%d>; rel="next"'):format(path, o.limit, next_cursor)
  end
  return rows, 200, headers
end

local function decoded(text)
  return text and json.decode(text) or nil
end

--- A row of configs as clients see it.
--- @param row table
--- @return table
function model_view.config(row)
  return { config_id = row.config_id, config = decoded(row.config), is_active = row.is_active == 1,
           created_at = row.created_at, source = row.source, metric_value = row.metric_value }
end

--- A row of models as clients see it.
--- @param row table
--- @return table
function model_view.model(row)
  return { model_id = row.model_id, model_path = row.model_path, is_active = row.is_active == 1,
           metadata = type(row.metadata) == "table" and row.metadata or decoded(row.metadata) or json.null,
           created_at = row.created_at, job_id = row.job_id or json.null, model_kind = row.model_kind,
           sha256 = row.sha256, metric_value = row.metric_value }
end

--- A row of training_results or tuning_results as clients see it.
--- @param row table
--- @return table
function model_view.result(row)
  row.metrics = decoded(row.metrics) or {}
  for _, name in ipairs({ "job_id", "model_id", "config_id", "duration" }) do
    if row[name] == nil then row[name] = json.null end
  end
  return row
end

--- Deletes many, each for itself.
--- Waits.
--- @param ids table  array of texts
--- @param remove function  (id) -> nil, or why it stays
--- @return table { successful, failed, errors }
--- Raises: no_ids_provided
--- Source: plastinka.md 1.6.9
function model_view.delete(ids, remove)
  if #ids == 0 then fail.raise("no_ids_provided", "the list of ids is empty") end
  local out, seen = { successful = 0, failed = 0, errors = json.array({}) }, {}
  for _, id in ipairs(ids) do
    if not seen[id] then
      seen[id] = true
      local why = remove(id)
      if why then
        out.failed = out.failed + 1
        table.insert(out.errors, id .. ": " .. why)
      else
        out.successful = out.successful + 1
      end
    end
  end
  return out
end

return model_view
