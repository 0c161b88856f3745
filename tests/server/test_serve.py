"""The supervisor and hot reload over HTTP: plastinka serve with its real processes."""
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

from http_support import PLASTINKA, check, run, same, wait_for

ROUTE = """return {
  ["GET /word"] = { summary = "a word", role = false, run = function() return { word = "%s" } end },
  ["GET /slow"] = { summary = "slow", role = false, run = function()
    require("task").sleep(0.7)
    return { word = "%s" }
  end },
}
"""


START_SECONDS = 100


class Serve:
    def __init__(self, *args, word="one", data=None, files=None, env=None):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.data = data or self.dir / "data"
        self.flows = self.dir / "flows"
        subprocess.run([PLASTINKA, "init", str(self.flows)], stdout=subprocess.DEVNULL, check=True)
        (self.flows / "routes").mkdir(parents=True, exist_ok=True)
        self.write("routes/word.lua", ROUTE % (word, word))
        for path, text in (files or {}).items():
            self.write(path, text)
        self.log = open(self.dir / "log", "w+")
        self.proc = subprocess.Popen(
            [PLASTINKA, "serve", "--host", "127.0.0.1", "--port", "0", "--data", str(self.data),
             "--workflows", str(self.flows), "--work-processes", "0", *args],
            stdout=subprocess.PIPE, stderr=self.log, text=True, env={**os.environ, **(env or {})})
        self.port, self.key = None, None
        patience = threading.Timer(START_SECONDS, self.proc.kill)  # ends the loop below
        patience.start()
        begin = time.monotonic()
        for line in self.proc.stdout:
            if line.startswith("admin key"):
                self.key = line.split()[-1]
            if line.startswith("listening "):
                self.port = int(line.rsplit(":", 1)[1])
                break
        patience.cancel()
        self.start_seconds = time.monotonic() - begin
        if self.port is None and self.proc.wait(30) == -signal.SIGKILL:
            raise AssertionError(f"the server did not start: {self.logged()[-2000:]}")

    def write(self, path, text):
        """As editors do: a new file, renamed over the old one."""
        to = self.flows / path
        to.parent.mkdir(parents=True, exist_ok=True)
        new = to.with_name(".new")
        new.write_text(text)
        os.replace(new, to)

    def get(self, path, headers=None, method="GET", body=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        c.request(method, path, body, headers or {})
        r = c.getresponse()
        text = r.read()
        c.close()
        return r.status, json.loads(text) if text.startswith(b"{") else text

    def word(self):
        return self.get("/word")[1]["word"]

    def children(self):
        out = subprocess.run(["ps", "--ppid", str(self.proc.pid), "-o", "pid=,stat=,args="],
                             stdout=subprocess.PIPE, text=True).stdout
        return [int(l.split()[0]) for l in out.splitlines() if " web " in l and "Z" not in l.split()[1]]

    def command(self, *args):
        return subprocess.run([PLASTINKA, *args, "--data", str(self.data)], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=60)

    def logged(self):
        with open(self.log.name) as f:
            return f.read()

    def stop(self, expected=0):
        self.proc.send_signal(signal.SIGTERM)
        try:
            same(self.proc.wait(40), expected, "exit code", self.logged()[-2000:])
        except subprocess.TimeoutExpired:
            self.proc.kill()
            check(False, "did not stop", self.logged()[-2000:])
        shutil.rmtree(self.dir)


class Load(threading.Thread):
    """Asks /word over and over, each time on a new connection or all on one. Counts what came."""

    def __init__(self, serve, keep=False):
        super().__init__(daemon=True)  # a test that fails before it stops them must still end
        self.serve, self.keep, self.end = serve, keep, False
        self.words, self.errors = {}, []
        self.start()

    def run(self):
        c = None
        while not self.end:
            try:
                c = c or http.client.HTTPConnection("127.0.0.1", self.serve.port, timeout=20)
                c.request("GET", "/word")
                r = c.getresponse()
                body = r.read()
                word = json.loads(body)["word"] if r.status == 200 else str(r.status)
                self.words[word] = self.words.get(word, 0) + 1
                if not self.keep or r.getheader("connection") == "close":
                    c.close()
                    c = None
            except (OSError, http.client.HTTPException) as e:
                self.errors.append(repr(e))
                c = None
                time.sleep(0.005)

    def stop(self):
        self.end = True
        self.join()
        return self


def test_reload_under_load():
    s = Serve("--web", "2")
    same(len(s.children()), 2)
    loads = [Load(s), Load(s, keep=True)]
    for word in ("two", "three", "four"):
        s.write("routes/word.lua", ROUTE % (word, word))
        check(wait_for(lambda w=word: s.word() == w, 15), word)
    s.write("routes/broken.lua", "return {\n  oh no\n")
    check(wait_for(lambda: s.get("/health")[0] and "broken.lua:2" in s.logged(), 15), "refusal is logged")
    time.sleep(0.3)
    for load in loads:
        load.stop()
        same(load.errors, [], "failed requests")
        same(set(load.words) - {"one", "two", "three", "four"}, set())
        check(load.words.get("four", 0) > 0, load.words)
    same(s.word(), "four", "the broken file changed nothing")
    status, health = s.get("/health", {"X-API-Key": s.key})
    check("broken.lua:2:" in json.dumps(health), "health says file:line", health)
    r = s.command("reload")
    same(r.returncode, 1)
    check("workflows/routes/broken.lua:" in r.stderr, r.stderr)
    os.remove(s.flows / "routes/broken.lua")
    r = s.command("reload")
    same(r.returncode, 0, r.stderr)
    check(re.fullmatch(r"generation [0-9a-f]{32}\n", r.stdout), r.stdout)
    status, health = s.get("/health", {"X-API-Key": s.key})
    check("broken.lua" not in json.dumps(health), "health forgets what was mended", health)
    # a request in flight ends on the generation it began with
    answer = {}
    t = threading.Thread(target=lambda: answer.update(s.get("/slow")[1]), daemon=True)
    t.start()
    time.sleep(0.2)
    s.write("routes/word.lua", ROUTE % ("five", "five"))
    check(wait_for(lambda: s.word() == "five", 10))
    t.join()
    same(answer, {"word": "four"})
    # by signal, and by the API
    s.proc.send_signal(signal.SIGHUP)
    s.write("routes/word.lua", ROUTE % ("six", "six"))
    status, body = s.get("/api/v1/admin/reload", {"X-API-Key": s.key}, "POST")
    same((status, len(body.get("generation", ""))), (200, 32), body)
    same({s.word() for _ in range(40)}, {"six"}, "all processes")
    s.stop()


def test_crash():
    s = Serve()
    s.write("routes/word.lua", "return { this is broken")
    check(wait_for(lambda: "generation refused" in s.logged(), 15))
    loads = [Load(s)]
    time.sleep(0.2)
    before = s.children()
    killed_at = time.monotonic()
    os.kill(before[0], signal.SIGKILL)
    check(wait_for(lambda: s.children() not in ([], before), 5), "a new process")
    try:
        same(s.word(), "one", "its generation came out of the database: the file is broken")
    except OSError as e:
        check(False, e)
    check(time.monotonic() - killed_at < max(1, 3 * s.start_seconds), time.monotonic() - killed_at, "s until served again")
    check('"event":"process ended"' in s.logged() and '"signal":"Killed"' in s.logged(), "logged")
    loads[0].stop()
    check(len(loads[0].errors) <= 1, "only the request in flight is lost", loads[0].errors)
    for _ in range(6):
        old = s.children()
        if old:
            os.kill(old[0], signal.SIGKILL)
        check(wait_for(lambda: s.children() not in ([], old), 10), "started again")
    check(wait_for(lambda: '"event":"crash loop"' in s.logged(), 5), "crash loop is reported")
    s.stop()


def test_drain_and_upgrade():
    s = Serve("--web", "2")
    load = Load(s)
    answer = {}
    t = threading.Thread(target=lambda: answer.update(s.get("/slow")[1]), daemon=True)
    t.start()
    time.sleep(0.2)
    old = s.children()
    s.proc.send_signal(signal.SIGUSR2)
    check(wait_for(lambda: len(s.children()) == 2 and not set(s.children()) & set(old), 20), "new processes")
    t.join()
    same(answer, {"word": "one"}, "the request in flight was answered by the old process")
    load.stop()
    same(load.errors, [], "no connection refused")
    same(s.word(), "one")
    check(wait_for(lambda: subprocess.run(
        ["ps", "--ppid", str(s.proc.pid), "-o", "stat="], stdout=subprocess.PIPE,
        text=True).stdout.count("Z") == 0, 5), "no zombies")
    # stop: what is in flight is answered
    t = threading.Thread(target=lambda: answer.update(second=s.get("/slow")[0]), daemon=True)
    t.start()
    time.sleep(0.2)
    s.stop()
    t.join()
    same(answer.get("second"), 200)


def test_refusals():
    s = Serve()
    r = subprocess.run([PLASTINKA, "serve", "--host", "127.0.0.1", "--port", "0", "--data", str(s.data)],
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=30)
    same(r.returncode, 1)
    check("is served by process %d already" % s.proc.pid in r.stderr, r.stderr)
    other = tempfile.mkdtemp()
    r = subprocess.run([PLASTINKA, "serve", "--host", "127.0.0.1", "--port", str(s.port), "--data", other],
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=30)
    same(r.returncode, 1)
    check("cannot listen at 127.0.0.1 port %d" % s.port in r.stderr, r.stderr)
    s.stop()
    broken = Serve(files={"routes/bad.lua": "return {"})
    same(broken.port, None, "a broken script stops the start")
    same(broken.proc.wait(20), 1)
    check("workflows/routes/bad.lua:1:" in broken.logged(), broken.logged())
    r = broken.command("reload")
    same(r.returncode, 1)
    check("no server is running" in r.stderr, r.stderr)
    for args, wanted in ((["--http-port", "99999"], "http_port"), (["--nonsense"], "unknown argument"),
                         (["--http-header-timeout", "soon"], "http_header_timeout"),
                         (["--http-tls-cert", "/no/such.pem", "--http-tls-key", "/no/key.pem"], "/no/such.pem")):
        r = subprocess.run([PLASTINKA, "serve", "--host", "127.0.0.1", "--data", other, "--port", "0", *args],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=30)
        check(r.returncode in (1, 2) and wanted in r.stderr, args, r.returncode, r.stderr)
    shutil.rmtree(other)
    shutil.rmtree(broken.dir)


def test_hostile_scripts():
    bad = {
        "loop": "while true do end",
        "pcall": "while true do pcall(function() while true do end end) end",
        "coroutine": "local co = coroutine.wrap(function() while true do end end) while true do pcall(co) end",
        "memory": "local t = {} while true do t[#t + 1] = ('x'):rep(1000000) .. #t end",
        "object": "error(function() end)",
        "handler": "xpcall(error, function() while true do end end)",
        "slow": "require('task').sleep(60)",
        "restless": "while true do require('task').sleep(0) end",
        "nothing": "return nil",
        "unencodable": "return { f = print }",
    }
    route = "return {\n" + "\n".join(
        '["GET /bad/%s"] = { summary = "bad", role = false, run = function() %s end },' % (n, t)
        for n, t in bad.items()) + "\n}"
    s = Serve("--route-deadline-seconds", "2", files={"routes/hostile.lua": route})
    pid = s.children()
    served = 0
    asker = threading.Thread(target=s.get, args=("/bad/restless",), daemon=True)
    asker.start()
    time.sleep(0.3)
    while asker.is_alive() and served < 20:
        served += s.word() == "one"
    check(served >= 2, "others are served while one never rests", served)
    asker.join(20)
    for name in bad:
        status, body = s.get("/bad/" + name)
        expected = {"nothing": (204,), "loop": (503,), "pcall": (503,), "coroutine": (503,), "handler": (503,),
                    "memory": (503,), "slow": (503,), "restless": (503,)}.get(name, (500,))
        check(status in expected, name, status, body)
        if status >= 500:
            check(set(body["error"]) >= {"code", "message", "request_id"}, name, body)
        same(s.word(), "one", "served after " + name)
    same(s.children(), pid, "the same process all along")
    s.stop()


if __name__ == "__main__":
    run(test_reload_under_load, test_crash, test_drain_and_upgrade, test_refusals, test_hostile_scripts)
