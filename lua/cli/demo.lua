-- cli/demo.lua - plastinka demo: what a shop does in a month, over the API like any client: upload,
-- train, forecast, reports. The server was started by core/role/demo.c, which gave us its key.

local control = require("core.control")
local fs = require("fs")
local http = require("http")
local json = require("core.json")
local process = require("process")
local task = require("task")
local time = require("time")

local demo = {}

local POLL_SECONDS = 0.1
local TELL_SECONDS = 3 -- between lines where there is no terminal
local WIDTH = 28
local TITLES, MONTHS = 2000, 18
local ORDERS = 10
local SHARED_SECONDS = 7 * 86400
local REPORTS = { "prediction_report", "accuracy_report", "inventory_report" }
local MEMBERS = {
  model = "this forecast", tide = "TiDE network alone", trees = "boosted trees alone", naive = "last month again",
  seasonal_naive = "same month last year", mean_3 = "mean of three months", mean_6 = "mean of six months",
  mean_2 = "mean of two months", mean_12 = "mean of twelve months", ses = "exponential smoothing", theta = "theta",
  median = "median of them all", croston = "Croston", tsb = "Croston, fading", ets = "exponential smoothing, seasonal",
}

local server, key, is_terminal

local function say(text) process.put((text or ""):gsub(" +$", "") .. "\n") end

local function head(text) say(is_terminal and "\27[1m== " .. text .. "\27[0m" or "== " .. text) end

-- Fits a text into so many columns.
local function fit(text, width)
  text = tostring(text or "")
  local n = utf8.len(text) or #text
  if n > width then return text:sub(1, utf8.offset(text, width) - 1) .. "…" end
  return text .. (" "):rep(width - n)
end

local function grouped(n)
  local text = ("%d"):format(math.floor(n + 0.5))
  text = text:reverse():gsub("(%d%d%d)", "%1,"):reverse()
  return (text:gsub("^,", ""))
end

-- One request; what is no success is raised as the server told it.
local function ask(method, path, opt)
  opt = opt or {}
  local headers = opt.headers or {}
  headers["X-API-Key"] = key
  local reply = http.request({ url = server .. path, method = method, headers = headers, json = opt.json,
    file = opt.file, timeout = 600 })
  if reply.status >= 300 then
    local ok, body = pcall(reply.json, reply)
    local e = ok and type(body) == "table" and body.error or {}
    error({ code = e.code or "remote", details = e.details,
            message = ("%s %s: %d %s"):format(method, path, reply.status, e.message or reply.body:sub(1, 200)) }, 0)
  end
  return opt.is_text and reply.body or reply:json()
end

local function show_bar(share, text)
  if not is_terminal then return end
  local n = math.floor(share * WIDTH)
  process.put(("\r\27[K  [%s%s] %3.0f %%  %s"):format(("#"):rep(n), ("."):rep(WIDTH - n), share * 100,
    fit(text or "", 60):gsub("%s+$", "")))
end

local function clear_bar()
  if is_terminal then process.put("\r\27[K") end
end

-- Watches a job to its end; on a terminal as a bar, elsewhere a line now and then.
local function follow(id)
  local told, told_at = nil, time.now()
  while true do
    local j = ask("GET", "/api/v1/jobs/" .. id)
    if j.status == "completed" then
      clear_bar()
      return j
    elseif j.status == "failed" or j.status == "cancelled" then
      clear_bar()
      error({ code = j.error_code, message = ("the job %s %s: %s"):format(j.job_type, j.status, tostring(j.error)) }, 0)
    end
    local text = j.progress_text or j.status
    show_bar(j.progress / 100, text)
    local stage = text:match("^[^,:]*")
    if not is_terminal and stage ~= told and time.now() - told_at > TELL_SECONDS then
      say(("  %3.0f %%  %s"):format(j.progress, stage))
      told, told_at = stage, time.now()
    end
    task.sleep(POLL_SECONDS)
  end
end

-- ---- uploading ----

-- The form, as a file: a browser would send the same.
local function write_form(form, parts)
  local edge = "demo-form-edge"
  fs.write(form, "")
  for _, p in ipairs(parts) do
    fs.append(form, ('--%s\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\n\r\n'):format(edge, p.name,
      p.path:match("[^/]*$"):gsub('"', "")))
    fs.append(form, fs.read(p.path, { max = 1 << 29 }))
    fs.append(form, "\r\n")
  end
  fs.append(form, "--" .. edge .. "--\r\n")
  return "multipart/form-data; boundary=" .. edge
end

local function books_of(folder)
  local parts, bytes = {}, 0
  for _, name in ipairs({ "stock.xlsx", "stock.csv" }) do
    if not parts[1] and fs.exists(folder .. "/" .. name) then
      parts[1] = { name = "stock_file", path = folder .. "/" .. name }
    end
  end
  if not parts[1] then
    error({ code = "notfound", message = folder .. " has no stock.xlsx; expected stock.xlsx and sales/*.xlsx" }, 0)
  end
  local ok, list = pcall(fs.list, folder .. "/sales")
  for _, f in ipairs(ok and list or {}) do
    if f.kind == "file" and (f.name:find("%.xlsx$") or f.name:find("%.csv$")) then
      parts[#parts + 1] = { name = "sales_files", path = folder .. "/sales/" .. f.name }
      bytes = bytes + f.bytes
    end
  end
  if not parts[2] then
    error({ code = "notfound", message = folder .. "/sales has no workbooks; expected sales/*.xlsx" }, 0)
  end
  return parts, bytes + fs.stat(parts[1].path).bytes
end

local function upload(folder, data)
  local parts, bytes = books_of(folder)
  head(("Uploading %d workbooks, %.1f MB, from %s"):format(#parts, bytes / 1e6, folder))
  local form = data .. "/scratch/demo.form"
  local content_type = write_form(form, parts)
  local answer = ask("POST", "/api/v1/jobs/data-upload", { file = form, headers = { ["Content-Type"] = content_type } })
  fs.remove(form)
  local result = follow(answer.job_id).result
  return ("%s rows, %s rejected, %s products, %d months"):format(grouped(result.rows.read),
    grouped(result.rows.rejected), grouped(result.products), #result.months)
end

-- ---- what came of it ----

local function seconds_of(job)
  local by_name = {}
  for _, s in ipairs(job.steps) do by_name[s.name] = s.seconds end
  return by_name
end

local function show_accuracy(metrics)
  local b = type(metrics) == "table" and metrics.backtest
  if not b or type(b.models) ~= "table" or not next(b.models) then
    say("\nNo month could be held back to test the forecast: upload more of them.")
    return
  end
  local list = {}
  for name, m in pairs(b.models) do
    if type(m) == "table" and type(m.wape) == "number" then list[#list + 1] = { name = name, m = m } end
  end
  table.sort(list, function(x, y) return x.m.wape < y.m.wape or x.m.wape == y.m.wape and x.name < y.name end)
  local months = b.months or {}
  say(("\nMisses in months it had not seen (%s to %s), as a share of what was sold:"):format(
    tostring(months[1]):sub(1, 7), tostring(months[#months]):sub(1, 7)))
  say("  " .. fit("", 26) .. "   WAPE   mean error, units   inside 5-95 %")
  for _, e in ipairs(list) do
    local covered = type(e.m.coverage_90) == "number" and ("%5.0f %%"):format(e.m.coverage_90 * 100) or ""
    local bias = type(e.m.bias) == "number" and ("%+9.2f"):format(e.m.bias) or ""
    say(("  %s %6.3f   %17s   %s"):format(fit(MEMBERS[e.name] or e.name, 26), e.m.wape, bias, covered))
  end
end

local function show_orders(report)
  if not report.links or not report.links.json then return end
  local rows = ask("GET", report.links.json).rows
  local wanted, units, value = {}, 0, 0
  for _, r in ipairs(rows or {}) do
    if type(r.order_quantity) == "number" and r.order_quantity > 0 then
      wanted[#wanted + 1] = r
      units, value = units + r.order_quantity, value + (tonumber(r.order_value) or 0)
    end
  end
  table.sort(wanted, function(x, y) return (tonumber(x.order_value) or 0) > (tonumber(y.order_value) or 0) end)
  say(("\nTo order for %s: %s titles of %s, %s units, worth %s. The first of them:"):format(
    tostring(report.prediction_month):sub(1, 7), grouped(#wanted), grouped(#rows), grouped(units), grouped(value)))
  say("   order  stock  5 %   50 %   95 %  title")
  for i = 1, math.min(ORDERS, #wanted) do
    local r = wanted[i]
    say(("  %6d %6s %5.0f %6.0f %6.0f  %s"):format(r.order_quantity, type(r.stock) == "number"
      and ("%d"):format(r.stock // 1 | 0) or "?", r.quantile_05, r.quantile_50, r.quantile_95,
      fit(r.artist .. " - " .. r.album, 60)))
  end
end

local function show_times(stages, total)
  say("\n  " .. fit("stage", 26) .. " seconds")
  for _, s in ipairs(stages) do say(("  %s %7.1f   %s"):format(fit(s.name, 26), s.seconds, s.text or "")) end
  say(("  %s %7.1f"):format(fit("all", 26), total))
end

local function make_reports(data)
  head("Writing reports")
  local made, pages = {}, {}
  for _, name in ipairs(REPORTS) do
    local ok, r = pcall(ask, "POST", "/api/v1/jobs/reports", { json = { report_type = name,
      share_seconds = SHARED_SECONDS } })
    if ok then
      made[name] = r
      local file = r.links.html and r.links.html:match("[^/]*$")
      pages[#pages + 1] = { name = name, url = r.share,
                            path = file and data .. "/reports/" .. r.result_id .. "/" .. file }
    elseif r.code == "no_predictions_found" or r.code == "not_found" then
      say("  " .. name .. ": " .. r.message)
    else
      error(r, 0)
    end
  end
  return made, pages
end

local function show(o)
  local stages, began = {}, time.now()
  local function stage(name, fn)
    local from = time.now()
    local text, value, more = fn()
    stages[#stages + 1] = { name = name, seconds = time.now() - from, text = text }
    return value, more
  end
  local folder = o.folder
  if folder == "" then
    folder = o.data .. "/scratch/demo-books"
    head(("Making up a record shop: %s titles, %d months"):format(grouped(TITLES), MONTHS))
    stage("made-up shop", function()
      local done = require("generate_sales").write(folder, { titles = TITLES, months = MONTHS })
      return ("%s sold, %d workbooks"):format(grouped(done.sales_rows), done.files)
    end)
  end
  stage("upload and cleaning", function() return upload(folder, o.data) end)
  head("Training, looking back, forecasting")
  local trained = stage("training and forecast", function()
    local j = follow(ask("POST", "/api/v1/jobs/training", { json = {} }).job_id)
    local s = seconds_of(j)
    return ("looking back %.1f s, learning %.1f s"):format(s.backtest or 0, s.train or 0), j.result
  end)
  local made, pages = stage("three reports", function() return nil, make_reports(o.data) end)
  show_times(stages, time.now() - began)
  show_accuracy(trained.metrics)
  if made.prediction_report then show_orders(made.prediction_report) end
  say("\nLook at")
  say("  " .. server .. "/docs   the API, with this key: " .. key)
  for _, p in ipairs(pages) do
    if not o.with_exit and p.url then say("  " .. server .. p.url .. "   " .. p.name) end
    if p.path then say("  file://" .. p.path) end
  end
  say(o.with_exit and "\nThe server is stopped; its data stay in " .. o.data
    or "\nThe server goes on; Ctrl-C stops it. Its data are in " .. o.data)
  return 0
end

--- plastinka demo.
--- @param args table  host and port the server listens at, its key, its data folder, folder with books or "",
---   "exit" or "stay": of core/role/demo.c
--- @return integer  exit code
--- Source: ours
function demo.main(args)
  local host = args[1]
  if host == "0.0.0.0" or host == "::" or host == "" then host = "localhost" end
  if host:find(":", 1, true) then host = "[" .. host .. "]" end
  server, key, is_terminal = "http://" .. host .. ":" .. args[2], args[3], process.is_terminal()
  if key == "" then
    error("plastinka demo: the server printed no key: take the key hashes out of its settings (.env)", 0)
  end
  local showing = task.start(show, { data = args[4], folder = args[5], with_exit = args[6] == "exit" })
  task.start(function()
    while control.receive() ~= "stop" do end
    task.cancel(showing)
  end)
  local ok, code = pcall(task.wait, showing)
  if ok then return code end
  clear_bar()
  if type(code) == "table" and code.code == "cancelled" then return 130 end
  say("plastinka demo: " .. (type(code) == "table" and code.message or tostring(code)))
  if type(code) == "table" and type(code.details) == "table" then say("  " .. json.encode(code.details)) end
  say("the log of the server is " .. args[4] .. "/logs/serve.log")
  return 1
end

return demo
