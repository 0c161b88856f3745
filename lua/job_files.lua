-- job_files.lua - files of a job: artefacts, kept with it in jobs/ID/ of the data folder, and the
-- scratch database, gone with its end.

local crypto = require("crypto")
local db = require("db")
local fs = require("fs")
local job_run = require("job_run")
local log = require("log")
local settings = require("settings")

local job_files = {}

local methods = job_run.methods
local SIDES = { "", "-wal", "-shm", "-journal" }
local NULL = db.null
local TYPES = { csv = "text/csv", json = "application/json", html = "text/html", txt = "text/plain",
  pdf = "application/pdf",
  xlsx = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" }

--- The path of a file in the artefact folder of the job, which is made. What is there when the job ends
--- is listed with it.
--- Waits.
--- @param name string  letters, digits and - _ . space; no folder
--- @return string
--- Raises: invalid, io, full
--- Source: ours
function methods:file(name)
  local cx = job_run.context(self)
  if type(name) ~= "string" or #name > 200 or name:find("[/%c\\]") or name:sub(1, 1) == "." or name == ""
      or not utf8.len(name) then
    error({ code = "invalid", message = "the name of an artefact is " .. tostring(name)
      .. ", expected a plain file name" }, 0)
  end
  local folder = settings.data_root_dir .. "/jobs/" .. self.id
  if not cx.has_folder then fs.mkdir(folder) end
  cx.has_folder = true
  return folder .. "/" .. name
end

--- The scratch database of this job: its own SQLite file. It is there again when the job goes on after
--- a pause or a crash of the process, and is removed when the job has ended.
--- Waits.
--- @return db
--- Its statements raise limit when it would grow beyond job_scratch_bytes.
--- Raises: io, full
--- Source: ours
function methods:scratch()
  local cx = job_run.context(self)
  if not cx.scratch then
    cx.has_scratch = true
    cx.scratch = db.open(settings.data_root_dir .. "/scratch/" .. self.id .. ".db", { sync = "off", attach = true,
      cache_kib = 65536, bytes_max = settings.job_scratch_bytes })
  end
  return cx.scratch
end

--- Closes what the run of a job has open. Not an error when there is nothing.
--- @param cx table
--- Source: ours
function job_files.close(cx)
  if cx.scratch then cx.scratch:close() end
  cx.scratch = nil
end

--- Removes the scratch database of a job that has ended.
--- Waits.
--- @param id string
--- Source: ours
function job_files.remove_scratch(id)
  for _, side in ipairs(SIDES) do
    pcall(fs.remove, settings.data_root_dir .. "/scratch/" .. id .. ".db" .. side)
  end
end

--- Statements that list the artefacts of a job.
--- Waits.
--- @param id string
--- @return table
--- Source: ours
function job_files.artifacts(id)
  local list = { { "DELETE FROM job_artifacts WHERE job_id = ?", { id } } }
  local folder = "jobs/" .. id
  local ok, entries = pcall(fs.list, folder)
  if not ok then return list end
  for _, f in ipairs(entries) do
    if f.kind == "file" then
      local path = folder .. "/" .. f.name
      local good, hash, size = pcall(crypto.sha256_file, path)
      if good then
        list[#list + 1] = { "INSERT INTO job_artifacts(job_id, name, path, content_type, n_bytes, sha256) "
          .. "VALUES (?, ?, ?, ?, ?, ?)",
          { id, f.name, path, TYPES[f.name:match("%.(%w+)$") or ""] or NULL, size, hash } }
      else
        log.warn("artefact not listed", { job = id, file = f.name })
      end
    end
  end
  return list
end

return job_files
