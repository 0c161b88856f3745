"""The web server against nginx + Lua, FastAPI and bare libuv: one worker on one core, wrk on the other.

Each figure is the median of several short rounds in which we and the peer take turns, so that a
noisy neighbour hurts both. `./bootstrap bench http`.
"""
import os
import pathlib
import re
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import tempfile
import time

BUILD = pathlib.Path(os.environ["BUILD_DIR"])
PLASTINKA = os.environ["PLASTINKA"]
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
SECONDS = os.environ.get("BENCH_SECONDS", "3")
W = pathlib.Path(tempfile.mkdtemp())
ROWS = 100_000
procs = []

ROUTES = r"""
local crypto, db, settings = require("crypto"), require("db"), require("settings")
local function item(i)
  return { id = i, sku = "LP-" .. i, qty = i % 7 }
end
return {
  ["GET /hello"] = { summary = "constant", role = false, run = function() return { hello = "world" } end },
  ["GET /json"] = { summary = "15 objects", role = false, run = function()
    local items = {}
    for i = 1, 15 do items[i] = item(i) end
    return { items = items }
  end },
  ["GET /row/{id}"] = { summary = "one row, with a key", role = "viewer", path = { id = "integer" }, run = function(req)
    return db.main():row("SELECT id, name, price FROM bench_item WHERE id = ?", { req.path.id })
  end },
  ["POST /event"] = { summary = "an event", role = false,
    body = { user = "text 1..64", kind = { "view", "cart", "buy" }, item = "integer 1..1000000", price = "number" },
    run = function(req) return { ok = true } end },
  ["POST /upload"] = { summary = "to disk", role = false, body_max = 2000000000, deadline = "5m", run = function(req)
    local bytes, sha256 = req:save(settings.data_root_dir .. "/uploads/" .. crypto.uuid())
    return { bytes = bytes, sha256 = sha256 }
  end },
}
"""

NGINX = """
daemon off; master_process off; worker_processes 1; pid %(w)s/nginx.pid; error_log %(w)s/nginx.err;
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 100000000; client_body_temp_path %(w)s/b; proxy_temp_path %(w)s/p;
  fastcgi_temp_path %(w)s/f; uwsgi_temp_path %(w)s/u; scgi_temp_path %(w)s/s;
  lua_package_cpath "/usr/lib/x86_64-linux-gnu/lua/5.1/?.so;;";
  init_by_lua_block { cjson = require "cjson.safe" }
  server { listen 127.0.0.1:%(port)d; default_type application/json;
    location /hello { content_by_lua_block { ngx.print(cjson.encode({ hello = "world" })) } }
    location /json { content_by_lua_block {
      local items = {}
      for i = 1, 15 do items[i] = { id = i, sku = "LP-" .. i, qty = i %% 7 } end
      ngx.print(cjson.encode({ items = items })) } }
    location /event { content_by_lua_block {
      ngx.req.read_body()
      local e = cjson.decode(ngx.req.get_body_data() or "")
      local kinds = { view = true, cart = true, buy = true }
      if type(e) ~= "table" or type(e.user) ~= "string" or #e.user < 1 or #e.user > 64 or not kinds[e.kind]
        or type(e.item) ~= "number" or e.item < 1 or e.item > 1000000 or e.item %% 1 ~= 0 or type(e.price) ~= "number" then
        ngx.status = 422 ngx.print('{"error":"bad"}') return end
      ngx.print(cjson.encode({ ok = true })) } }
  }
}
"""

FASTAPI = """
import sqlite3
from typing import Literal
from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel, Field
import hmac
app = FastAPI()
db = sqlite3.connect(%(db)r, check_same_thread=False)
KEY = "k" * 43
class Event(BaseModel):
    user: str = Field(min_length=1, max_length=64)
    kind: Literal["view", "cart", "buy"]
    item: int = Field(ge=1, le=1000000)
    price: float
@app.get("/hello")
async def hello(): return {"hello": "world"}
@app.get("/json")
async def many(): return {"items": [{"id": i, "sku": "LP-%%d" %% i, "qty": i %% 7} for i in range(1, 16)]}
def one(id, key):
    if not hmac.compare_digest(key or "", KEY): raise HTTPException(401)
    r = db.execute("SELECT id, name, price FROM bench_item WHERE id = ?", (id,)).fetchone()
    return {"id": r[0], "name": r[1], "price": r[2]}
@app.get("/row/{id}")
async def row(id: int, x_api_key: str = Header(None)): return one(id, x_api_key)
@app.get("/rowdef/{id}")
def rowdef(id: int, x_api_key: str = Header(None)): return one(id, x_api_key)
@app.post("/event")
async def event(e: Event): return {"ok": True}
"""

WRK_EVENT = """wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"user":"u-102938","kind":"view","item":4711,"price":1290.5}'
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(argv, **kw):
    p = subprocess.Popen(["taskset", "-c", "0", *argv], stderr=subprocess.DEVNULL, **kw)
    procs.append(p)
    return p


def wait_port(port, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.01)
    raise SystemExit(f"nothing listens at port {port}")


def prepare_db(path):
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE IF NOT EXISTS bench_item(id INTEGER PRIMARY KEY, name TEXT NOT NULL, price REAL NOT NULL)")
    db.executemany("INSERT OR REPLACE INTO bench_item VALUES (?, ?, ?)",
                   ((i, f"record number {i}", i * 1.5) for i in range(1, ROWS + 1)))
    db.commit()
    db.close()


def start_ours():
    flows = W / "flows"
    subprocess.run([PLASTINKA, "init", str(flows)], stdout=subprocess.DEVNULL, check=True)
    (flows / "routes").mkdir(parents=True, exist_ok=True)
    (flows / "routes" / "bench.lua").write_text(ROUTES)
    p = start([PLASTINKA, "serve", "--host", "127.0.0.1", "--port", "0", "--data", str(W / "data"), "--web", "1",
               "--workers", "1", "--workflows", str(flows), "--log-level", os.environ.get("BENCH_LOG", "info"),
               "--log-file", str(W / "ours.log")], stdout=subprocess.PIPE, text=True)
    key, port = None, None
    for line in p.stdout:
        if line.startswith("admin key"):
            key = line.split()[-1]
        if line.startswith("listening"):
            port = int(line.rsplit(":", 1)[1])
            break
    prepare_db(W / "data/database/plastinka.db")
    return p, port, key


def wrk(port, path, script=None, header=None, connections=64, seconds=SECONDS):
    argv = ["taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency"]
    if script:
        argv += ["-s", script]
    if header:
        argv += ["-H", header]
    out = subprocess.run([*argv, f"http://127.0.0.1:{port}{path}"], stdout=subprocess.PIPE, text=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        print(out)
        raise SystemExit(f"{path} at port {port}: not all answers were good")
    rps = float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", out).groups()
    return rps, float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def turns(a, b):
    """Medians of what a() and b() gave, taking turns: (rps, p99 ms) each."""
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(a())
        theirs.append(b())
    med = lambda xs, i: statistics.median(x[i] for x in xs)
    return (med(ours, 0), med(ours, 1)), (med(theirs, 0), med(theirs, 1))


def figure(name, ours, peer, target, better="higher"):
    print(f"@figure\t{name}\t{ours:.6g}\t{peer:.6g}\t{target}\t{better}", flush=True)


def tree_pids(pid):
    out = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], stdout=subprocess.PIPE, text=True).stdout
    kids = {}
    for line in out.splitlines():
        a, b = map(int, line.split())
        kids.setdefault(b, []).append(a)
    found, todo = [], [pid]
    while todo:
        p = todo.pop()
        found.append(p)
        todo += kids.get(p, [])
    return found


def memory(pid, field):
    """Of the process and all below it, MiB. Pss: shared pages counted once."""
    total = 0
    for p in tree_pids(pid):
        try:
            text = pathlib.Path(f"/proc/{p}/smaps_rollup").read_text()
        except OSError:
            continue
        total += int(re.search(rf"^{field}:\s+(\d+)", text, re.M)[1])
    return total / 1024


def cold_start():
    times = []
    for i in range(7):
        port = free_port()
        t = time.perf_counter()
        p = subprocess.Popen([PLASTINKA, "serve", "--host", "127.0.0.1", "--port", str(port), "--data",
                              str(W / "cold"), "--workers", "0"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            try:
                s = socket.create_connection(("127.0.0.1", port), 1)
                break
            except OSError:
                time.sleep(0.0005)
        s.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert s.recv(1000).startswith(b"HTTP/1.1 200")
        times.append((time.perf_counter() - t) * 1000)
        s.close()
        p.send_signal(signal.SIGTERM)
        p.wait(20)
    return statistics.median(times[1:])  # the first one makes the database


def upload(port, pid):
    """1 GB to disk; MB/s, and the memory of all processes at its highest."""
    size = 1_000_000_000
    block = os.urandom(1 << 20)
    path = W / "plain"
    t = time.perf_counter()
    with open(path, "wb") as f:
        for _ in range(size >> 20):
            f.write(block)
    limit = size / 1e6 / (time.perf_counter() - t)
    path.unlink()
    s = socket.create_connection(("127.0.0.1", port))
    t = time.perf_counter()
    s.sendall(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n"
              b"Content-Length: %d\r\n\r\n" % size)
    sent, peak = 0, 0
    while sent < size:
        n = min(len(block), size - sent)
        s.sendall(memoryview(block)[:n])
        sent += n
        if (sent >> 20) % 64 == 0:
            peak = max(peak, memory(pid, "Pss"))
    answer = s.recv(10000)
    seconds = time.perf_counter() - t
    assert answer.startswith(b"HTTP/1.1 200"), answer
    assert b"%d" % size in answer, answer
    return size / 1e6 / seconds, limit, peak


def main():
    for tool in ("wrk", "nginx", "taskset"):
        if not shutil.which(tool) and not pathlib.Path(f"/usr/sbin/{tool}").exists():
            raise SystemExit(f"{tool} is missing: ./bootstrap bench installs it")
    subprocess.run(["ninja", "-C", str(BUILD), "--quiet", "limit_peer"], check=True)
    event = W / "event.lua"
    event.write_text(WRK_EVENT)
    ours, port, key = start_ours()
    idle = memory(ours.pid, "Pss")  # what is resident, pages shared by the processes counted once

    nginx_port, limit_port, fast_port = free_port(), free_port(), free_port()
    (W / "nginx.conf").write_text(NGINX % {"w": W, "port": nginx_port})
    start(["/usr/sbin/nginx", "-c", str(W / "nginx.conf"), "-p", str(W)])
    start([str(BUILD / "bench" / "limit_peer"), str(limit_port)])
    prepare_db(W / "fast.db")
    (W / "fastapp.py").write_text(FASTAPI % {"db": str(W / "fast.db")})
    start(["/usr/bin/python3", "-m", "uvicorn", "fastapp:app", "--port", str(fast_port), "--no-access-log", "--loop",
           "uvloop", "--http", "httptools", "--log-level", "warning"], cwd=W, stdout=subprocess.DEVNULL)
    for p in (nginx_port, limit_port, fast_port):
        wait_port(p)
    wrk(port, "/hello", seconds="1")

    o, n = turns(lambda: wrk(port, "/hello"), lambda: wrk(nginx_port, "/hello"))
    figure("http constant, req/s vs nginx+lua", o[0], n[0], 0.75)
    o, n = turns(lambda: wrk(port, "/hello"), lambda: wrk(limit_port, "/"))
    figure("http constant, req/s vs bare libuv", o[0], n[0], 0.6)
    o, n = turns(lambda: wrk(port, "/json"), lambda: wrk(nginx_port, "/json"))
    figure("http 15 objects, req/s vs nginx+lua", o[0], n[0], 1.0)
    o, n = turns(lambda: wrk(port, "/event", event), lambda: wrk(nginx_port, "/event", event))
    figure("http event, req/s vs nginx+lua", o[0], n[0], 0.6)
    o, n = turns(lambda: wrk(port, "/event", event), lambda: wrk(fast_port, "/event", event))
    figure("http event, req/s vs fastapi", o[0], n[0], 5)
    mine = f"X-API-Key: {key}"
    theirs = "X-API-Key: " + "k" * 43
    o, n = turns(lambda: wrk(port, "/row/4711", header=mine), lambda: wrk(fast_port, "/row/4711", header=theirs))
    figure("http key + row, req/s vs fastapi async", o[0], n[0], 3)
    figure("http key + row, p99 ms vs 1.5 ms", o[1], 1.5, 1, "lower")
    print(f"p99 of bare libuv with a constant beside it: {wrk(limit_port, '/')[1]:.2f} ms; of fastapi: {n[1]:.2f} ms")
    o, n = turns(lambda: wrk(port, "/row/4711", header=mine), lambda: wrk(fast_port, "/rowdef/4711", header=theirs))
    figure("http key + row, req/s vs fastapi def", o[0], n[0], 6)

    mb_s, disk, peak = upload(port, ours.pid)
    figure("http upload 1 GB, MB/s vs 300", mb_s, 300, 1)
    print(f"the disk itself took {disk:.0f} MB/s from one plain writer")
    figure("http upload 1 GB, MiB resident vs 60", peak, 60, 1, "lower")
    figure("http serve idle, MiB resident vs 40", idle, 40, 1, "lower")

    def allocated():
        with socket.create_connection(("127.0.0.1", port)) as c:
            c.sendall(f"GET /metrics HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\nConnection: close\r\n\r\n".encode())
            text = b""
            while more := c.recv(65536):
                text += more
        return float(re.search(rb"^plastinka_lua_allocated_bytes_total\S* ([\d.e+]+)", text, re.M)[1])

    def ask(n):
        with socket.create_connection(("127.0.0.1", port)) as c:
            for _ in range(n):
                c.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
                assert c.recv(65536).startswith(b"HTTP/1.1 200")

    ask(100)
    one, two = allocated(), allocated()  # what asking for the figure costs itself
    ask(2000)
    garbage = (allocated() - two - (two - one)) / 2000
    figure("http trivial request, bytes of Lua garbage vs 1024", garbage, 1024, 1, "lower")
    figure("http cold start, ms vs 50", cold_start(), 50, 1, "lower")
    seconds = int(os.environ.get("BENCH_SOAK_SECONDS", "60"))
    wrk(port, "/json", seconds="10")
    before = memory(ours.pid, "Pss")
    for _ in range(max(1, seconds // 20)):
        for path, script in (("/json", None), ("/event", event)):
            wrk(port, path, script, connections=128, seconds="10")
    after = memory(ours.pid, "Pss")
    print(f"soak of {seconds} s: {before:.1f} -> {after:.1f} MiB")
    figure("http soak, MiB after vs before", after, before, 1.1, "lower")


if __name__ == "__main__":
    try:
        main()
    finally:
        for p in procs:
            p.terminate()
        for p in procs:
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
        shutil.rmtree(W, ignore_errors=True)
