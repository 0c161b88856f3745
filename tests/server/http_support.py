"""What the black-box tests of the HTTP server share: starting it, raw sockets, counting checks."""
import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import traceback

PLASTINKA = os.environ["PLASTINKA"]
SOURCE = os.environ.get("SOURCE_DIR", ".")
with open(PLASTINKA, "rb") as binary:
    text = binary.read()
    SANITIZED = b"__asan_" in text or b"__tsan_" in text  # say nothing about sizes then


class Server:
    """The test application in the real binary, on a port of its own."""

    def __init__(self, *args, preexec=None, app="http_app.lua", fds=()):
        self.log = tempfile.NamedTemporaryFile(mode="w+", suffix=".log")
        self.proc = subprocess.Popen(
            [PLASTINKA, "lua", os.path.join(SOURCE, "tests/server", app), *args],
            stdout=subprocess.PIPE, stderr=self.log, text=True, preexec_fn=preexec, pass_fds=fds)
        line = self.proc.stdout.readline().split()
        if len(line) != 3 or line[0] != "listening":
            raise AssertionError(f"the server did not start: {line} {self.read_log()}")
        self.host, self.port = line[1], int(line[2])

    def read_log(self):
        with open(self.log.name) as f:
            return f.read()

    def connect(self, timeout=10, tls=None):
        s = socket.create_connection((self.host, self.port), timeout=timeout)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return tls.wrap_socket(s, server_hostname="localhost") if tls else s

    def raw(self, data, timeout=10, wait=True):
        """Sends bytes on a new connection; everything that comes back until it is closed."""
        with self.connect(timeout) as s:
            s.sendall(data)
            return read_all(s) if wait else b""

    def ask(self, target, method="GET", headers=(), body=b"", **kw):
        """One request on a new connection. An Answer."""
        with self.connect(kw.get("timeout", 10), kw.get("tls")) as s:
            send(s, target, method, headers, body)
            return Answer(s, method)

    def rss_kb(self):
        with open(f"/proc/{self.proc.pid}/status") as f:
            return int(next(l for l in f if l.startswith("VmRSS")).split()[1])

    def peak_kb(self):
        with open(f"/proc/{self.proc.pid}/status") as f:
            return int(next(l for l in f if l.startswith("VmHWM")).split()[1])

    def stop(self):
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGTERM)
        try:
            code = self.proc.wait(20)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
            code = "did not stop"
        if code != 0:
            raise AssertionError(f"the server ended with {code}:\n{self.read_log()[-3000:]}")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            self.proc.kill()
            self.proc.wait()
            sys.stdout.write(self.read_log()[-3000:])
        else:
            self.stop()


def send(s, target, method="GET", headers=(), body=b""):
    lines = [f"{method} {target} HTTP/1.1", "Host: test"]
    lines += [f"{k}: {v}" for k, v in headers]
    if body and not any(k.lower() in ("content-length", "transfer-encoding") for k, _ in headers):
        lines.append(f"Content-Length: {len(body)}")
    s.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def read_all(s):
    out = b""
    try:
        while True:
            more = s.recv(65536)
            if not more:
                return out
            out += more
    except (ConnectionResetError, ssl.SSLError):
        return out


class Answer:
    """Reads one answer from a socket; what came behind it is in `rest`."""

    def __init__(self, s, method="GET", rest=b"", keep_100=False):
        self.whole = False
        data = rest
        while True:
            while b"\r\n\r\n" not in data:
                more = s.recv(65536)
                if not more:
                    raise AssertionError(f"closed inside a head: {data!r}")
                data += more
            head, data = data.split(b"\r\n\r\n", 1)
            lines = head.decode("latin-1").split("\r\n")
            self.status = int(lines[0].split()[1])
            if self.status != 100 or keep_100:
                break
        self.fields = [l.split(": ", 1) for l in lines[1:]]
        self.headers = {k.lower(): v for k, v in self.fields}
        if self.status in (100, 204, 304) or method == "HEAD":
            self.body, self.rest, self.whole = b"", data, True
        elif "chunked" in self.headers.get("transfer-encoding", ""):
            parts, at = [], 0
            while True:
                while (end := data.find(b"\r\n", at)) < 0:
                    data, at = self.more(s, data[at:]), 0
                n = int(data[at:end], 16)
                at = end + 2
                while len(data) < at + n + 2:
                    data, at = self.more(s, data[at:]), 0
                parts.append(data[at:at + n])
                assert data[at + n:at + n + 2] == b"\r\n"
                at += n + 2
                if n == 0:
                    break
            self.body, data = b"".join(parts), data[at:]
            self.rest, self.whole = data, True
        elif "content-length" in self.headers:
            n = int(self.headers["content-length"])
            parts, have = [data], len(data)
            while have < n:
                parts.append(self.more(s, b""))
                have += len(parts[-1])
            data = b"".join(parts)
            self.body, self.rest, self.whole = data[:n], data[n:], True
        else:
            self.body, self.rest, self.whole = data + read_all(s), b"", True

    @staticmethod
    def more(s, data):
        chunk = s.recv(1 << 20)
        if not chunk:
            raise EOFError("closed inside a body")
        return data + chunk


made = failed = 0


def check(ok, *what):
    global made, failed
    made += 1
    if not ok:
        failed += 1
        frame = sys._getframe(1)
        print(f"{frame.f_code.co_filename}:{frame.f_lineno}: failed:", *what)


def same(found, expected, *what):
    global made, failed
    made += 1
    if found != expected:
        failed += 1
        frame = sys._getframe(1)
        print(f"{frame.f_code.co_filename}:{frame.f_lineno}: found {found!r}, "
              f"expected {expected!r}", *what)


def check_grown(server, before_kb, limit_kb):
    """The server's memory never was more than limit_kb above what it was before."""
    grown = server.peak_kb() - before_kb
    check(grown < limit_kb or SANITIZED, f"{grown} kB more, at most {limit_kb} expected")


def wait_for(fn, seconds=5):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if fn():
            return True
        time.sleep(0.02)
    return fn()


def raise_files(wanted):
    """As many open files as may be, up to `wanted`. How many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    n = min(wanted, hard) if hard != resource.RLIM_INFINITY else wanted
    if n > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (n, hard))
    return max(n, soft)


def run(*tests):
    global failed
    for test in tests:
        before = time.monotonic()
        try:
            test()
        except Exception:
            failed += 1
            traceback.print_exc(file=sys.stdout)
        print(f"{test.__name__}: {time.monotonic() - before:.2f} s", flush=True)
    print(f"{made} checks, {failed} failed")
    sys.exit(1 if failed or not made else 0)
