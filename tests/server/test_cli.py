"""The command line: help, exit codes, check, init, keys, migrate, lua."""
import http.client
import os
import pathlib
import shutil
import sqlite3
import subprocess
import tempfile

from http_support import PLASTINKA, check, run, same, wait_for
from web_support import Web

COMMANDS = ("serve", "web", "lua", "init", "migrate", "keys", "check", "reload")
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith(("API_", "PLASTINKA_", "DATA_"))}


class Folder:
    """A folder of its own, also the home of what is run in it."""

    def __enter__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="plastinka-cli-"))
        self.data = self.path / "data"
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)

    def run(self, *args, env=None):
        return subprocess.run([PLASTINKA, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=120, cwd=self.path,
                              env={**CLEAN, "HOME": str(self.path), **(env or {})})

    def with_data(self, *args, **kw):
        return self.run(*args, "--data", self.data, **kw)


def helps():
    with Folder() as f:
        for name in COMMANDS:
            r = f.run(name, "--help")
            same((name, r.returncode, r.stderr), (name, 0, ""))
            check(r.stdout.startswith("usage: plastinka " + name), name, r.stdout)
        same(list(f.path.iterdir()), [], "asking for help writes nothing")
        r = f.run("--help")
        same(r.returncode, 0)
        for name in COMMANDS + ("version",):
            check("\n  " + name in r.stdout, name, r.stdout)
        r = f.run("version")
        same(r.returncode, 0)
        check(r.stdout.startswith("plastinka "), r.stdout)
        for args in ((), ("nonsense",), ("init",), ("lua",), ("check", "--nonsense"), ("keys",),
                     ("keys", "create", "x"), ("keys", "destroy"), ("migrate", "now"),
                     ("check", "--http-port", "many")):
            r = f.with_data(*args) if args[:1] in (("keys",), ("migrate",)) else f.run(*args)
            check(r.returncode in (1, 2), args, r.returncode)
            check(len(r.stdout + r.stderr) > 20, args, "says why")
        same(f.run("nonsense").returncode, 2)
        check("there is no command 'nonsense'" in f.run("nonsense").stderr)


def checks():
    with Folder() as f:
        r = f.with_data("check", "--http-port", "0")
        same(r.returncode, 0, r.stdout, r.stderr)
        check(r.stdout.endswith("ready\n") and "BAD" not in r.stdout, r.stdout)
        for what in ("database", "schema", "workflows", "tls"):
            check(any(what in line.split() for line in r.stdout.splitlines()), what, r.stdout)
        # a file where the folder should be
        (f.path / "file").write_text("")
        r = f.run("check", "--http-port", "0", "--data", f.path / "file")
        same(r.returncode, 1, r.stdout)
        check("BAD" in r.stdout and "not ready" in r.stdout, r.stdout)
        # a setting out of its range, one that is no number, a certificate that is not there
        for args, named in ((("--http-port", "70000"), "http_port"), (("--http-header-bytes", "much"), "http_header_bytes"),
                            (("--http-port", "0", "--http-tls-cert", "/none.pem", "--http-tls-key", "/none.key"), "/none.pem")):
            r = f.with_data("check", *args)
            same(r.returncode, 1, args, r.stdout, r.stderr)
            check(named in r.stdout + r.stderr, args, r.stdout, r.stderr)
        # workflows: one with a syntax error
        flows = f.path / "flows"
        same(f.run("init", flows).returncode, 0)
        same(f.with_data("check", "--http-port", "0", "--workflows", flows).returncode, 0)
        (flows / "routes" / "broken.lua").write_text("return {\n  oh no\n")
        r = f.with_data("check", "--http-port", "0", "--workflows", flows)
        same(r.returncode, 1)
        check("workflows/routes/broken.lua:2:" in r.stdout, r.stdout)
        # a damaged database
        broken = f.path / "broken"
        shutil.copytree(f.data, broken)
        for db in (broken / "database").iterdir():
            db.write_bytes(b"this is no database at all" * 400)
        r = f.run("check", "--http-port", "0", "--data", broken)
        same(r.returncode, 1, r.stdout, r.stderr)
        check("BAD" in r.stdout, r.stdout)


def settings():
    with Folder() as f:
        secret = "$2b$12$abcdefghijklmnopqrstuuAbCdEfGhIjKlMnOpQrStUvWxYz01234"
        r = f.with_data("check", "--settings", env={"API_X_API_KEY_HASH": secret, "API_PORT": "8123"})
        same(r.returncode, 0, r.stderr)
        check(secret not in r.stdout + r.stderr, "secrets are masked")
        line = next(x for x in r.stdout.splitlines() if x.startswith("http_port"))
        check("8123" in line and "API_PORT" in line, line)
        check(any(x.startswith("auth_user_key_hash") for x in r.stdout.splitlines()), r.stdout)
        path = f.path / "some.env"
        same(f.run("check", "--template", path).returncode, 0)
        text = path.read_text()
        check("API_PORT" in text and "DATA_ROOT_DIR" in text, text[:300])
        same(path.stat().st_mode & 0o777, 0o600)
        path.write_text("API_PORT=1\n")
        r = f.run("check", "--template", path)
        same((r.returncode, path.read_text()), (1, "API_PORT=1\n"), "it overwrites nothing")
        check("is there already" in r.stderr, r.stderr)


def init_keeps():
    with Folder() as f:
        flows = f.path / "flows"
        r = f.run("init", flows)
        same(r.returncode, 0, r.stderr)
        files = sorted(p for p in flows.rglob("*") if p.is_file())
        check(len(files) > 1, files)
        edited = files[0]
        edited.write_text(edited.read_text() + "\n-- mine\n")
        before = edited.read_text()
        files[1].unlink()
        r = f.run("init", flows)
        same(r.returncode, 0)
        check("kept  %s" % edited in r.stdout and "wrote %s" % files[1] in r.stdout, r.stdout)
        same(edited.read_text(), before)
        check(files[1].exists())
        (f.path / "file").write_text("x")
        r = f.run("init", f.path / "file")
        same(r.returncode, 1)
        check(str(f.path / "file") in r.stderr, r.stderr)


def status_of(server, key):
    c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    c.request("GET", "/api/v1/admin/keys", headers={"X-API-Key": key})
    status = c.getresponse().status
    c.close()
    return status


def keys():
    with Folder() as f:
        r = f.with_data("keys", "create", "the shop", "admin", "--expires", "30")
        same(r.returncode, 0, r.stderr)
        made = dict(line.split(None, 1) for line in r.stdout.splitlines() if line[:4] in ("id  ", "role", "key "))
        same(made["role"], "admin")
        check(made["key"].startswith("plk_"), made)
        viewer = f.with_data("keys", "create", "reader", "viewer").stdout
        viewer_key = next(line.split()[1] for line in viewer.splitlines() if line.startswith("key "))
        r = f.with_data("keys", "list")
        same(r.returncode, 0)
        row = next(line for line in r.stdout.splitlines() if made["id"] in line)
        check("admin" in row and "the shop" in row and "until " in row, row)
        check(made["key"] not in r.stdout and made["key"][4:] not in r.stdout, "the key itself is nowhere")
        for args in (("keys", "create", "x", "king"), ("keys", "create", "x", "viewer", "--expires", "soon"),
                     ("keys", "revoke", "no-such-id")):
            r = f.with_data(*args)
            check(r.returncode != 0 and len(r.stdout + r.stderr) > 10, args, r.returncode)
        with Web(data=str(f.data)) as s:
            same(status_of(s, made["key"]), 200)
            same(status_of(s, viewer_key), 403, "the role is looked at")
            r = f.with_data("keys", "revoke", made["id"])
            same(r.returncode, 0, r.stderr)
            check(wait_for(lambda: status_of(s, made["key"]) == 401, 1.5), "revoked within a second")
            r = f.with_data("keys", "create", "another", "admin")
            key = next(line.split()[1] for line in r.stdout.splitlines() if line.startswith("key "))
            same(status_of(s, key), 200, "a new key works at once")
        row = next(line for line in f.with_data("keys", "list").stdout.splitlines() if made["id"] in line)
        check("revoked" in row, row)


def migrates():
    with Folder() as f:
        r = f.with_data("migrate")
        same(r.returncode, 0, r.stderr)
        check("schema 0 -> " in r.stdout, r.stdout)
        r = f.with_data("migrate")
        same(r.returncode, 0)
        check("is at schema " in r.stdout, r.stdout)
        path = next(p for p in (f.data / "database").iterdir() if p.suffix not in (".lock",) and
                    p.read_bytes().startswith(b"SQLite format 3"))
        with sqlite3.connect(path) as d:
            d.execute("PRAGMA user_version = 100000")
        d.close()
        for args in (("migrate",), ("web", "--http-port", "0"), ("check", "--http-port", "0")):
            r = f.with_data(*args)
            same(r.returncode, 1, args, r.stdout, r.stderr)
            check("100000" in r.stdout + r.stderr, args, r.stdout, r.stderr)
        with sqlite3.connect(path) as d:
            same(d.execute("PRAGMA user_version").fetchone()[0], 100000, "left alone")
        d.close()


def scripts():
    with Folder() as f:
        script = f.path / "x.lua"

        def lua(text, *args):
            script.write_text(text)
            return f.run("lua", script, *args)

        same(lua("return").returncode, 0)
        same(lua("return 0").returncode, 0)
        same(lua("return 7").returncode, 7)
        r = lua("print(#arg, arg[1], arg[2])", "a", "--b")
        same((r.returncode, r.stdout), (0, "2\ta\t--b\n"))
        r = lua("\nerror('oh dear')")
        same(r.returncode, 1)
        check("x.lua:2: oh dear" in r.stderr, r.stderr)
        r = lua("local x = = 1")
        same(r.returncode, 1)
        check("x.lua:1:" in r.stderr, r.stderr)
        r = lua("error({ code = 'notfound', message = 'nobody home' })")
        same(r.returncode, 1)
        check("nobody home" in r.stderr, r.stderr)
        r = lua("error(setmetatable({}, { __tostring = function() error('twice') end }))")
        same(r.returncode, 1, r.stderr)
        r = lua("require('task').sleep(0.01) return 3")
        same(r.returncode, 3)
        r = f.run("lua", f.path / "none.lua")
        same(r.returncode, 1)
        check("none.lua" in r.stderr, r.stderr)
        r = f.run("lua", f.path)
        same(r.returncode, 1)
        r = lua("\x1bLua nonsense")
        same(r.returncode, 1, "no bytecode")


run(helps, checks, settings, init_keeps, keys, migrates, scripts)
