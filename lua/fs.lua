-- fs.lua - files in the folders this server keeps. Relative paths begin in the data folder. All
-- calls wait for the disk on another thread; nothing outside the allowed folders can be reached.

local core = require("core.fs")
local check = require("raise").check
local fs = {}

local READ_MAX = 64 * 1024 * 1024

--- Reads a whole file.
--- Waits.
--- @param path string
--- @param opt table? { max = bytes, default 64 MiB }
--- @return string
--- Raises: notfound, limit, auth, io, cancelled
function fs.read(path, opt)
  return (check(core.read(path, opt and opt.max or READ_MAX)))
end

--- Writes a whole file: all or nothing, and safe against a power cut once it returns.
--- Waits.
--- @param path string
--- @param text string
--- @param opt table? { new = true: `exists` when there is one }
--- @return integer bytes
--- Raises: exists, full, auth, io, cancelled
function fs.write(path, text, opt)
  return (check(core.write(path, text, opt ~= nil and opt.new == true)))
end

--- Adds to the end of a file, which is made when missing.
--- Waits.
--- @param path string
--- @param text string
--- @return integer bytes
--- Raises: full, auth, io, cancelled
function fs.append(path, text)
  return (check(core.append(path, text)))
end

--- What is in a folder, in the order of the names.
--- Waits.
--- @param path string
--- @return table  array of { name, kind = "file" | "folder" | "link" | "other", bytes, mtime (seconds
---   since 1970), mode }
--- Raises: notfound, limit (100,000 entries), auth, io, cancelled
function fs.list(path)
  return (check(core.list(path)))
end

--- Waits.
--- @param path string
--- @return table  { kind, bytes, mtime, mode }
--- Raises: notfound, auth, io, cancelled
function fs.stat(path)
  return (check(core.stat(path)))
end

--- Whether there is something of that name.
--- Waits.
--- @param path string
--- @return boolean
--- Raises: auth, io, cancelled
function fs.exists(path)
  local info, message, code = core.stat(path)
  if info == nil and code ~= "notfound" then check(info, message, code) end
  return info ~= nil
end

--- Makes a folder and those above it; fine when it is there.
--- Waits.
--- @param path string
--- Raises: exists (a file is in the way), full, auth, io, cancelled
function fs.mkdir(path)
  check(core.mkdir(path))
end

--- Removes a file or an empty folder.
--- Waits.
--- @param path string
--- @param opt table? { deep = true: with all that is in it }
--- Raises: notfound, exists (not empty), auth, io, cancelled
function fs.remove(path, opt)
  check(core.remove(path, opt ~= nil and opt.deep == true))
end

--- Renames, replacing what is at `to`.
--- Waits.
--- @param from string
--- @param to string
--- Raises: notfound, auth, io, cancelled
function fs.rename(from, to)
  check(core.rename(from, to))
end

--- Copies a file: all or nothing.
--- Waits.
--- @param from string
--- @param to string
--- @return integer bytes
--- Raises: notfound, full, auth, io, cancelled
function fs.copy(from, to)
  return (check(core.copy(from, to)))
end

--- Makes a new empty file with a random name.
--- Waits.
--- @param folder string
--- @param prefix string? begins the name
--- @return string path
--- Raises: notfound, full, auth, io, cancelled
function fs.temp(folder, prefix)
  return folder .. "/" .. check(core.temp(folder, prefix or "tmp-"))
end

return fs
