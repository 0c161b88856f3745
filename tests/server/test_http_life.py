"""The life of a server: many connections, no more than allowed, drain, certificates."""
import json
import os
import random
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time

from http_support import (Server, Answer, check, same, run, send, read_all, raise_files, wait_for)


def idle():
    """Thousands of idle connections cost little, and the next request is served as ever."""
    files = raise_files(11000)
    n = min(10000, files - 500)
    with Server("connections=20000", preexec=lambda: raise_files(12000)) as s:
        before = s.rss_kb()
        idle_ones = []
        for _ in range(n):
            idle_ones.append(s.connect())
        start = time.monotonic()
        same(s.ask("/hello").body, b"hello")
        check(time.monotonic() - start < 0.5)
        grown = (s.rss_kb() - before) * 1024 / n
        print(f"{n} idle connections, {grown:.0f} bytes each", flush=True)
        check(grown < 4096, grown)
        for c in idle_ones[::100]:
            send(c, "/hello")
            same(Answer(c).body, b"hello")
        for c in idle_ones:
            c.close()


def too_many():
    with Server("connections=10") as s:
        open_ones = [s.connect() for _ in range(10)]
        for c in open_ones:
            send(c, "/hello")
            same(Answer(c).status, 200)
        with s.connect() as c:
            data = read_all(c)
            check(data.startswith(b"HTTP/1.1 503") and b"Retry-After" in data, data)
        open_ones.pop().close()
        check(wait_for(lambda: s.raw(b"GET /hello HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200")))


def no_descriptors():
    """Out of descriptors: new clients are turned away, old ones served, and it goes on after."""
    import resource
    with Server(preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))) as s:
        first = s.connect()
        many = []
        for _ in range(100):
            try:
                many.append(s.connect(timeout=1))
            except OSError:
                break
        send(first, "/hello")
        same(Answer(first).body, b"hello")
        for c in many:
            c.close()
        check(wait_for(lambda: s.raw(b"GET /hello HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200")))


def drain():
    """Under load: every request begun is answered, idle connections are closed, then it ends."""
    with Server() as s:
        failed, served, stop = [], [0], [False]

        def client():
            while not stop[0]:
                try:
                    c = s.connect()
                except ConnectionRefusedError:
                    return
                try:
                    while not stop[0]:
                        send(c, "/slow?s=0.01")
                        a = Answer(c)
                        if a.status != 200:
                            failed.append(a.status)
                        served[0] += 1
                        if a.headers.get("connection") == "close":
                            break
                except Exception as e:
                    failed.append(repr(e))
                    return
                finally:
                    c.close()

        threads = [threading.Thread(target=client, daemon=True) for _ in range(8)]
        for t in threads:
            t.start()
        idle_one = s.connect()
        send(idle_one, "/hello")
        Answer(idle_one)
        slow_one = s.connect()
        send(slow_one, "/slow?s=0.7")
        time.sleep(0.3)
        same(s.ask("/drain?s=5").body, b"draining")
        a = Answer(slow_one)
        same((a.status, a.headers.get("connection")), (200, "close"))
        same(read_all(idle_one), b"")
        for t in threads:
            t.join(10)
            check(not t.is_alive())
        stop[0] = True
        same(failed, [])
        check(served[0] > 50, served)
        same(s.proc.stdout.readline(), "drained\n")
        same(s.proc.wait(5), 0)


def drain_cut():
    """What does not end in time is cut."""
    with Server() as s:
        c = s.connect()
        send(c, "/slow?s=20")
        start = time.monotonic()
        s.ask("/drain?s=0.5")
        same(read_all(c), b"")
        check(0.3 < time.monotonic() - start < 3)
        same(s.proc.wait(5), 0)


def terminated():
    """SIGTERM with requests under way: a clean end."""
    with Server() as s:
        c = s.connect()
        send(c, "/slow?s=20")
        time.sleep(0.1)
        s.proc.send_signal(signal.SIGTERM)
        same(s.proc.wait(5), 0)


def make_cert(d, name, days=1):
    key, cert = os.path.join(d, "key.pem"), os.path.join(d, "cert.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert,
                    "-days", str(days), "-subj", "/CN=" + name, "-addext",
                    "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    return cert, key


def name_of(c):
    import hashlib
    return hashlib.sha256(c.getpeercert(True)).hexdigest()


def tls():
    with tempfile.TemporaryDirectory() as d:
        cert, key = make_cert(d, "one")
        ctx = ssl.create_default_context(cafile=cert)
        ctx.set_alpn_protocols(["h2", "http/1.1"])
        with Server("cert=" + cert, "key=" + key, "header_timeout_ms=600") as s:
            old = s.connect(tls=ctx)
            first = name_of(old)
            same(old.selected_alpn_protocol(), "http/1.1")
            check(old.version() == "TLSv1.3", old.version())
            for _ in range(3):
                send(old, "/big")
                same(len(Answer(old).body), 30000)
            send(old, "/echo", "POST", body=b"x" * 3_000_000)
            same(len(Answer(old).body), 3_000_000)
            send(old, "/stream?n=100&bytes=100000")
            same(len(Answer(old).body), 10_000_000)
            send(old, "/hello", headers=[("Connection", "close")])
            same(Answer(old).body, b"hello")
            same(old.recv(1), b"")  # a clean end: close_notify
            old = s.connect(tls=ctx)
            # a broken certificate changes nothing
            good = open(cert).read()
            with open(cert, "w") as f:
                f.write("nonsense")
            same(s.ask("/reload-tls", tls=ctx).status, 500)
            same(name_of(s.connect(tls=ctx)), first)
            # a new one is for new connections; old ones go on
            with open(cert, "w") as f:
                f.write(good)
            make_cert(d, "two")
            same(s.ask("/reload-tls", tls=ctx).body, b"ok")
            ctx2 = ssl.create_default_context(cafile=cert)
            with s.connect(tls=ctx2) as c:
                check(name_of(c) != first)
                send(c, "/hello")
                same(Answer(c).body, b"hello")
            send(old, "/hello")
            same(Answer(old).body, b"hello")
            # old protocols, plain text, noise and silence
            ctx3 = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            ctx3.check_hostname, ctx3.verify_mode = False, ssl.CERT_NONE
            ctx3.set_ciphers("DEFAULT:@SECLEVEL=0")
            ctx3.minimum_version, ctx3.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
            try:
                s.connect(tls=ctx3)
                check(False, "TLS 1.1 was accepted")
            except (ssl.SSLError, ConnectionResetError):
                check(True)
            ctx3.maximum_version = ctx3.minimum_version = ssl.TLSVersion.TLSv1_2
            with s.connect(tls=ctx3) as c:
                send(c, "/hello")
                same(Answer(c).body, b"hello")
            check(b"HTTP/1.1 200" not in s.raw(b"GET /hello HTTP/1.0\r\n\r\n"))
            s.raw(os.urandom(2000))
            start = time.monotonic()
            with s.connect() as c:
                same(read_all(c), b"")
            check(0.4 < time.monotonic() - start < 3, time.monotonic() - start)
            same(s.ask("/hello", tls=ctx2).body, b"hello")


def bad_tls():
    """Missing or unreadable files are told at start."""
    with tempfile.TemporaryDirectory() as d:
        cert, key = make_cert(d, "one")
        other = os.path.join(d, "other")
        os.mkdir(other)
        _, key2 = make_cert(other, "two")
        for c, k in ((d + "/none", key), (cert, d + "/none"), (cert, key2), (key, cert)):
            try:
                Server("cert=" + c, "key=" + k).stop()
                check(False, "it started", c, k)
            except AssertionError as e:
                check("TLS" in str(e), e)


def sockets():
    """An inherited socket outlives its server; one port for two; IPv6."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fd, port = listener.fileno(), listener.getsockname()[1]
        for _ in range(2):
            with Server(f"fd={fd}", fds=(fd,)) as s:
                same(s.port, port)
                same(s.ask("/hello").body, b"hello")
        c = socket.create_connection(("127.0.0.1", port))  # between two servers: it just waits
        send(c, "/hello")
        with Server(f"fd={fd}", fds=(fd,)):
            same(Answer(c).body, b"hello")
    with Server("reuse_port=1") as s, Server("reuse_port=1", f"port={s.port}") as s2:
        same(s.port, s2.port)
        for _ in range(10):
            same(s.ask("/hello").body, b"hello")
    if os.path.exists("/proc/net/if_inet6") and "lo" in open("/proc/net/if_inet6").read():
        with Server("host=::1") as s:
            same(json.loads(s.ask("/info").body)["ip"], "::1")
    for bad in ("host=nowhere.example", "host=300.1.1.1"):
        try:
            Server(bad).stop()
            check(False, bad)
        except AssertionError as e:
            check("not an IP address" in str(e), e)


def chaos():
    """Clients that do anything, pipelined, cut short, vanishing; seeded. The server outlives them."""
    with tempfile.TemporaryDirectory() as d, \
            Server("dir=" + d, "body_idle_ms=500", "header_timeout_ms=500", "burst_ms=50",
                   "deadline_ms=400") as s:
        with open(os.path.join(d, "file"), "wb") as f:
            f.write(os.urandom(700_000))
        form = (b'--b\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\n' +
                b"z" * 700_000 + b"\r\n--b--\r\n")

        def request(rng):
            body = rng.choice([b"", b"x" * rng.randrange(600_000), form])
            target, method = rng.choice([
                ("/hello", "GET"), ("/big", "GET"), ("/echo", "POST"), ("/read", "POST"),
                (f"/save?path={d}/up{rng.randrange(10**9)}&max=500000", "POST"), ("/form", "POST"),
                ("/file?path=" + d + "/file", "GET"), ("/stream?n=20&bytes=50000", "GET"),
                ("/slow?s=0.05", "GET"), ("/slow?s=3", "GET"), ("/die", "GET"),
                ("/die-late", "GET"), ("/events", "GET"), ("/bytes", "HEAD"), ("/none", "GET"),
                ("/wait-gone", "GET"), ("/json", "POST"), ("/small", "POST"), ("/..", "GET")])
            head = f"{method} {target} HTTP/1.1\r\nHost: a\r\n"
            if rng.random() < 0.3:
                head += "Accept-Encoding: gzip\r\n"
            if rng.random() < 0.1:
                head += "Range: bytes=5-\r\n"
            if method == "POST":
                head += "Content-Type: multipart/form-data; boundary=b\r\n"
                if rng.random() < 0.4:
                    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
                    head += "Transfer-Encoding: chunked\r\n"
                else:
                    head += f"Content-Length: {len(body)}\r\n"
                return head.encode() + b"\r\n" + body
            return head.encode() + b"\r\n"

        def client(seed):
            rng = random.Random(seed)
            end = time.monotonic() + 4
            while time.monotonic() < end:
                data = b"".join(request(rng) for _ in range(rng.choice([1, 1, 2, 8])))
                if rng.random() < 0.4:
                    data = data[:rng.randrange(len(data) + 1)]
                if rng.random() < 0.2:
                    data = bytearray(data)
                    for _ in range(3):
                        if data:
                            data[rng.randrange(min(len(data), 300))] = rng.randrange(256)
                try:
                    with s.connect(timeout=0.3) as c:
                        step = rng.choice([7, 1000, 1 << 20])
                        for i in range(0, min(len(data), 200 * step), step):
                            c.sendall(data[i:i + step])
                        for _ in range(rng.choice([0, 1, 5, 100])):
                            if not c.recv(1 << 16):
                                break
                        if rng.random() < 0.3:
                            c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                         struct.pack("ii", 1, 0))
                except OSError:
                    pass

        threads = [threading.Thread(target=client, args=(seed,), daemon=True) for seed in range(12)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        check(wait_for(lambda: s.ask("/stats").status == 200))

        def quiet():
            stats = json.loads(s.ask("/stats").body)
            return stats["in_flight"] == 1 and stats["connections"] == 1
        check(wait_for(quiet, 8), s.ask("/stats").body)
        print(json.loads(s.ask("/stats").body)["requests"], "requests", flush=True)
        # saves that came whole are theirs to keep; nothing else may be left
        check(all(n == "file" or n.startswith("up") for n in os.listdir(d)), os.listdir(d))


run(idle, too_many, no_descriptors, drain, drain_cut, terminated, tls, bad_tls, sockets, chaos)
