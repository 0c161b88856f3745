-- crypto.lua - digests, random values, keys and passwords.

local core = require("core.crypto")
local check = require("raise").check
local crypto = {}

--- Digest as hexadecimal text.
--- @param text string any bytes
--- @return string 64 digits
--- Source: FIPS 180-4
function crypto.sha256(text)
  return core.hex(core.digest("sha256", text))
end

--- Digest as bytes.
--- @param name string "md5" | "sha1" | "sha256" | "sha384" | "sha512"
--- @param text string any bytes
--- @return string bytes
function crypto.digest(name, text)
  return core.digest(name, text)
end

--- Digest of a file as hexadecimal text, read on another thread.
--- Waits.
--- @param path string as fs has it
--- @return string 64 digits
--- @return integer bytes of the file
--- Raises: notfound, auth, io, cancelled
function crypto.sha256_file(path)
  local bytes, size = check(core.digest_file("sha256", path))
  return core.hex(bytes), size
end

--- Keyed digest as bytes.
--- @param name string as crypto.digest
--- @param key string bytes
--- @param text string bytes
--- @return string bytes
--- Source: RFC 2104
function crypto.hmac(name, key, text)
  return core.hmac(name, key, text)
end

--- Random bytes that nobody can guess.
--- @param n integer 0 to 65536
--- @return string bytes
function crypto.random(n)
  return core.random(n)
end

--- A random text for keys and links: letters, digits, - and _.
--- @param bytes integer? of randomness, default 32 (43 letters)
--- @return string
function crypto.token(bytes)
  return core.base64(core.random(bytes or 32), true)
end

--- A new UUID.
--- @param version integer? 4 (random, default) or 7 (begins with the time: sorts by age)
--- @return string
--- Source: RFC 9562
function crypto.uuid(version)
  return core.uuid(version)
end

--- Whether a text has the form of a UUID.
--- @param value any
--- @return boolean
function crypto.is_uuid(value)
  return type(value) == "string" and #value == 36
    and value:find("^%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$") ~= nil
end

--- Compares secrets in a time that tells nothing about them but their length.
--- @param a string
--- @param b string
--- @return boolean
function crypto.equal(a, b)
  return core.equal(a, b)
end

--- @param bytes string
--- @return string
function crypto.hex(bytes)
  return core.hex(bytes)
end

--- @param text string
--- @return string bytes
--- Raises: parse
function crypto.unhex(text)
  return (check(core.unhex(text)))
end

--- @param bytes string
--- @return string with = at the end where needed
--- Source: RFC 4648 section 4
function crypto.base64(bytes)
  return core.base64(bytes)
end

--- @param text string
--- @return string bytes
--- Raises: parse
function crypto.unbase64(text)
  return (check(core.unbase64(text)))
end

--- @param bytes string
--- @return string with - and _, without =
--- Source: RFC 4648 section 5
function crypto.base64url(bytes)
  return core.base64(bytes, true)
end

--- @param text string
--- @return string bytes
--- Raises: parse
function crypto.unbase64url(text)
  return (check(core.unbase64(text, true)))
end

--- Hash of a password, slow on purpose; computed on another thread.
--- Waits.
--- @param password string at most 72 bytes
--- @param rounds integer? 4 to 16, default 12: 2^12 rounds, about a quarter of a second
--- @return string "$2b$…"
--- Raises: nomem, cancelled
--- Source: Provos, Mazieres: A Future-Adaptable Password Scheme, 1999
function crypto.bcrypt_hash(password, rounds)
  return (check(core.bcrypt_hash(password, rounds)))
end

--- Whether a password belongs to a hash; computed on another thread.
--- Waits.
--- @param password string
--- @param hash string "$2a$", "$2b$" or "$2y$", at most 16 rounds
--- @return boolean
--- Raises: invalid (the hash), nomem, cancelled
function crypto.bcrypt_check(password, hash)
  return (check(core.bcrypt_check(password, hash)))
end

return crypto
