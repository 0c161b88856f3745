"""What the world does to a running server: locked databases, lost certificates, hostile bodies and paths.
Each ends one request; the process goes on serving."""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import socket
import sqlite3
import ssl
import subprocess
import tempfile
import time

from http_support import PLASTINKA, check, run, same, wait_for
from web_support import Web

FILES = """local reply = require("reply")
return {
  ["GET /file/{name}"] = { summary = "a file", role = false, path = { name = "text" },
    run = function(req) return reply.file(require("settings").data_root_dir .. "/uploads/" .. req.path.name) end },
  ["POST /echo"] = { summary = "echo", role = false, body = { text = "text", ["deep?"] = "any" },
    run = function(req) return { text = req.body.text } end },
  ["GET /echo"] = { summary = "echo", role = false, query = { q = "text" },
    run = function(req) return { text = req.query.q } end },
}
"""


def flows_dir(folder):
    flows = os.path.join(folder, "flows")
    subprocess.run([PLASTINKA, "init", flows], stdout=subprocess.DEVNULL, check=True)
    pathlib.Path(flows, "routes", "bad_input.lua").write_text(FILES)
    return flows


def database_of(server):
    return next(p for p in pathlib.Path(server.data, "database").iterdir()
                if p.read_bytes()[:15] == b"SQLite format 3")


def locked_database():
    """Another process holds the write lock: writers are told 503 in time, readers go on, then all is well."""
    with Web("--database-busy-seconds", "0.5") as s:
        other = sqlite3.connect(database_of(s), isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        new = {"name": "blocked", "role": "viewer"}
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: s.call("/api/v1/admin/keys", "POST", value=new), range(8)))
        took = time.monotonic() - began
        for a in answers:
            same(a.status, 503, a.body)
            same(json.loads(a.body)["error"]["code"], "busy")
            same(a.headers.get("retry-after"), "1", "when to try again")
        check(took < 15, took)
        same(s.call("/api/v1/admin/keys").status, 200, "reading goes on")
        same(s.call("/health/live", key=None).status, 200)
        other.execute("ROLLBACK")
        same(s.call("/api/v1/admin/keys", "POST", value=new).status, 201, "free again")
        other.close()


def locked_at_start():
    with Web() as s:
        path, data = database_of(s), s.data
        keep = path.read_bytes()
        s.stop()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        r = subprocess.run([PLASTINKA, "web", "--http-port", "0", "--data", data, "--database-busy-seconds", "0.3"],
                           capture_output=True, text=True, timeout=60)
        same(r.returncode, 1, r.stdout, r.stderr)
        check("locked" in r.stderr or "busy" in r.stderr, r.stderr)
        check(time.monotonic() - began < 30)
        other.execute("ROLLBACK")
        other.close()
        check(len(keep) > 0 and path.exists())


def make_cert(folder, name):
    key, cert = os.path.join(folder, "key.pem"), os.path.join(folder, "cert.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", key, "-out", cert, "-days", "1", "-subj", "/CN=" + name,
                    "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    return cert, key


def name_of(port, ctx):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
        with ctx.wrap_socket(s, server_hostname="localhost") as c:
            return hashlib.sha256(c.getpeercert(True)).hexdigest()


def certificates():
    """Missing, foreign or nonsense files stop the start; at reload the old certificate stays."""
    with tempfile.TemporaryDirectory() as d:
        cert, key = make_cert(d, "one")
        os.mkdir(d + "/folder")
        with open(d + "/nonsense", "w") as f:
            f.write("nonsense")
        for c, k in ((d + "/none", key), (cert, d + "/none"), (d + "/nonsense", key), (cert, d + "/nonsense"),
                     (d + "/folder", key), (cert, d + "/folder"), (cert, cert), (cert, "")):
            r = subprocess.run([PLASTINKA, "web", "--http-port", "0", "--data", d + "/data",
                                "--http-tls-cert", c, "--http-tls-key", k],
                               capture_output=True, text=True, timeout=60)
            check(r.returncode in (1, 2) and len(r.stderr) > 10, c, k, r.returncode, r.stderr)
        ctx = ssl.create_default_context()
        ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
        with Web("--http-tls-cert", cert, "--http-tls-key", key) as s:
            first = name_of(s.port, ctx)

            def reload():
                before = s.read_log().count("certificate not reloaded")
                same(s.ask("/api/v1/admin/reload", "POST", [("X-API-Key", s.key)], tls=ctx).status, 200)
                return before

            old = open(cert).read(), open(key).read()
            for path, text in ((cert, "nonsense"), (cert, None), (key, "nonsense"), (key, None)):
                os.unlink(path)
                if text is not None:
                    with open(path, "w") as f:
                        f.write(text)
                before = reload()
                check(wait_for(lambda n=before: s.read_log().count("certificate not reloaded") > n), path, text,
                      "the log says so")
                same(name_of(s.port, ctx), first, "the old certificate stays")
                for where, what in zip((cert, key), old):
                    with open(where, "w") as f:
                        f.write(what)
            make_cert(d, "two")
            reload()
            check(wait_for(lambda: name_of(s.port, ctx) != first), "a good one is taken")


def hostile_bodies():
    with tempfile.TemporaryDirectory() as d:
        with Web("--workflows", flows_dir(d)) as s:
            def post(body):
                return s.ask("/echo", "POST", [("Content-Type", "application/json")], body)

            same(json.loads(post('{"text":"Привет ✓"}'.encode()).body)["text"], "Привет ✓")
            bad = [b'{"text":"\xff"}', b'{"text":"\xc3\x28"}', b'{"text":"\xe2\x82"}', b'{"text":"\xed\xa0\x80"}',
                   b'{"text":"\xc0\xaf"}', b'{"text":"\xf4\x90\x80\x80"}', b'{"\xff":1,"text":"x"}',
                   b'{"text":"\\ud800"}', b'{"text":"\x00"}', b"\xff\xfe{\x00}\x00", b"", b"{", b"nul",
                   b'{"text":"a"} x', b'{"text":1e999}', b"[" * 200000, b'{"a":' * 100000,
                   b'{"text":"x","deep":' + b"[" * 2000 + b"]" * 2000 + b"}"]
            for body in bad:
                a = post(body)
                check(a.status in (400, 413, 422), body[:40], a.status, a.body)
                error = json.loads(a.body)["error"]
                check(error["code"] in ("invalid_body", "validation_error", "body_too_large"), body[:40], error)
            for target in ("/echo?q=%ff", "/echo?q=%c3%28", "/echo?q=%ed%a0%80", "/echo?q=%00"):
                a = s.ask(target)
                check(a.status in (400, 422), target, a.status, a.body)
            same(json.loads(s.ask("/echo?q=%D0%9F").body)["text"], "П")
            same(s.ask("/health/live").status, 200)


def traversal():
    with tempfile.TemporaryDirectory() as d:
        with Web("--workflows", flows_dir(d)) as s:
            uploads = pathlib.Path(s.data, "uploads")
            uploads.mkdir(exist_ok=True)
            (uploads / "good.txt").write_text("good")
            (uploads / "folder").mkdir()
            os.mkfifo(uploads / "pipe")
            same(s.ask("/file/good.txt").body, b"good")
            for name in ("..%2f..%2fetc%2fpasswd", "..", ".", "%2e%2e", "..%2f..%2fdatabase", "%2fetc%2fpasswd",
                         "....%2f%2fetc", "good.txt%00.png", "%00", "..%5c..%5cetc", "folder", "folder%2f..%2f..%2f..",
                         "pipe", "no-such", "x" * 300,
                         "..%2f" * 30 + "etc%2fpasswd", "%252e%252e%252fetc%252fpasswd"):
                a = s.ask("/file/" + name, timeout=20)
                check(400 <= a.status < 500, name, a.status, a.body)
                check(b"root:" not in a.body, name, a.body)
            for name in ("docs.js", "index.html"):
                same(s.ask("/docs/" + name).status, 200)
            for name in ("..%2fdocs.lua", "%2e%2e%2fauth.lua", "docs.js%00", "/etc/passwd"):
                check(400 <= s.ask("/docs/" + name).status < 500, name)
            same(s.ask("/file/good.txt").body, b"good")


if __name__ == "__main__":
    run(locked_database, locked_at_start, certificates, hostile_bodies, traversal)
