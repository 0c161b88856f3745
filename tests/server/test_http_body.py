"""Bodies: whole, in pieces, to disk, as forms; slow ones, broken ones, and clients that vanish."""
import hashlib
import json
import os
import resource
import socket
import struct
import tempfile
import time

from http_support import Server, Answer, check, check_grown, same, run, send, read_all, wait_for

DATA = bytes(range(256)) * 4096  # 1 MiB


def chunked(data, size):
    out = b""
    for i in range(0, len(data), size):
        piece = data[i:i + size]
        out += b"%x\r\n%s\r\n" % (len(piece), piece)
    return out + b"0\r\n\r\n"


TE = [("Transfer-Encoding", "chunked")]


def whole():
    with Server() as s, s.connect() as c:
        for body in (b"", b"x", b"hello" * 20000, DATA):
            send(c, "/echo", "POST", [("Content-Length", len(body))], body)
            same(Answer(c).body, body)
            send(c, "/echo", "POST", TE, chunked(body, 1000 if len(body) < 200000 else 70000))
            same(Answer(c).body, body)
        send(c, "/echo", "POST", TE, b"")
        for byte in chunked(b"one byte at a time", 5):
            c.sendall(bytes([byte]))
        same(Answer(c).body, b"one byte at a time")
        send(c, "/small", "POST", body=b"1234567890")
        same(Answer(c).body, b"1234567890")
        send(c, "/json", "POST", body=b'{"a":[1,2.5,null,"\xd0\xb6"]}')
        same(json.loads(Answer(c).body), {"a": [1, 2.5, None, "ж"]})
        send(c, "/json", "POST", body=b'{"a":')
        a = Answer(c)
        same((a.status, json.loads(a.body)["code"]), (400, "parse"))


def too_large():
    with Server("body_bytes=5000000") as s:
        a = s.ask("/small", "POST", body=b"x" * 11)
        same((a.status, json.loads(a.body)["code"]), (413, "limit"))
        a = s.ask("/small", "POST", TE, chunked(b"x" * 11, 3))
        same(a.status, 413)
        # declared far too large, and already on its way: the answer still arrives
        with s.connect() as c:
            send(c, "/small", "POST", [("Content-Length", 50_000_000)])
            c.sendall(b"x" * 1_000_000)
            a = Answer(c)
            same((a.status, a.headers.get("connection")), (413, "close"))
        a = s.ask("/echo", "POST", body=b"x" * 5_000_001)
        same(a.status, 413)
        same(s.ask("/echo", "POST", body=b"x" * 5_000_000).status, 200)


def expect():
    with Server() as s:
        with s.connect() as c:
            send(c, "/echo", "POST", [("Content-Length", 5), ("Expect", "100-continue")])
            same(Answer(c, keep_100=True).status, 100)
            c.sendall(b"hello")
            same(Answer(c).body, b"hello")
        with s.connect() as c:  # refused before the body is sent
            send(c, "/small", "POST", [("Content-Length", 50), ("Expect", "100-continue")])
            a = Answer(c, keep_100=True)
            same((a.status, a.headers.get("connection")), (413, "close"))
            same(read_all(c), b"")
        with s.connect() as c:  # nobody asks for the body
            send(c, "/hello", "POST", [("Content-Length", 50), ("Expect", "100-continue")])
            a = Answer(c, keep_100=True)
            same((a.status, a.headers.get("connection")), (200, "close"))
        with s.connect() as c:  # the body comes at once: no 100
            send(c, "/echo", "POST", [("Content-Length", 5), ("Expect", "100-continue")], b"hello")
            same(Answer(c, keep_100=True).status, 200)


def unread():
    """A body nobody reads: small and here, the connection goes on; else it ends, answer first."""
    with Server() as s, s.connect() as c:
        send(c, "/hello", "POST", body=b"ignored")
        a = Answer(c)
        same((a.status, a.headers.get("connection")), (200, None))
        send(c, "/hello", "POST", [("Content-Length", 10_000_000)], b"x" * 1000)
        a = Answer(c)
        same((a.status, a.headers.get("connection")), (200, "close"))
        same(read_all(c), b"")


def pieces():
    with Server() as s:
        a = json.loads(s.ask("/read", "POST", body=DATA * 4).body)
        same(a["bytes"], 4 << 20)
        check(a["chunks"] >= 2)
        # back-pressure: a script that is slow to read holds the client back, not the memory
        before = s.peak_kb()
        with s.connect(timeout=60) as c:
            send(c, "/read?slow=1", "POST", [("Content-Length", 64 << 20)])
            for _ in range(64):
                c.sendall(DATA)
            same(json.loads(Answer(c).body)["bytes"], 64 << 20)
        check_grown(s, before, 8000)


def saved():
    with tempfile.TemporaryDirectory() as d, Server("body_bytes=100000000") as s:
        for body, headers in ((b"", [("Content-Length", 0)]), (b"x", []), (DATA * 5, []),
                              (DATA, TE)):
            path = os.path.join(d, "f")
            data = chunked(body, 100000) if headers == TE else body
            a = json.loads(s.ask("/save?path=" + path, "POST", headers, data).body)
            same(a, {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()})
            with open(path, "rb") as f:
                check(f.read() == body)
            same(os.stat(path).st_mode & 0o777, 0o600)
            a = s.ask("/save?path=" + path, "POST", body=b"again")
            same((a.status, json.loads(a.body)["code"]), (409, "exists"))
            with open(path, "rb") as f:
                check(f.read() == body, "an existing file is not touched")
            os.unlink(path)
        a = s.ask("/save?path=" + d + "/no/such/dir/f", "POST", body=b"x")
        same(a.status, 404)
        for headers, data in ((), b"x" * 2_000_000), (TE, chunked(b"x" * 2_000_000, 65536)):
            a = s.ask(f"/save?max=1000000&path={d}/f", "POST", headers, data)
            same(a.status, 413)
            check(wait_for(lambda: os.listdir(d) == []), os.listdir(d))
        # broken in the middle
        a = s.ask(f"/save?path={d}/f", "POST", TE, b"100000\r\n" + DATA + b"\r\nzz\r\n")
        same(a.status, 400)
        check(wait_for(lambda: os.listdir(d) == []), os.listdir(d))


def vanishing():
    """Clients that leave in the middle of an upload: no file stays, the process goes on."""
    with tempfile.TemporaryDirectory() as d, Server("body_bytes=100000000", "dir=" + d) as s:
        reset = struct.pack("ii", 1, 0)
        for i in range(12):
            c = s.connect()
            if i % 3 == 2:
                head = (b'--b\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\n')
                send(c, "/form", "POST", [("Content-Type", "multipart/form-data; boundary=b"),
                                          ("Content-Length", 3_000_000)], head + DATA)
            else:
                send(c, f"/save?path={d}/f{i}", "POST", [("Content-Length", 50_000_000)], DATA)
            if i % 2:
                c.sendall(DATA)
                check(wait_for(lambda: os.listdir(d) != []), "the file is there meanwhile", i)
            if i % 4 == 0:
                c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            c.close()
        check(wait_for(lambda: os.listdir(d) == []), os.listdir(d))
        same(s.ask("/hello").body, b"hello")
        # a script that sleeps is told as well
        with s.connect() as c:
            send(c, "/wait-gone")
            time.sleep(0.1)
        check(wait_for(lambda: json.loads(s.ask("/cancelled").body)["gone"]))


def slow():
    with Server("header_timeout_ms=400", "body_idle_ms=500", "body_min_rate=1000",
                "keepalive_ms=700") as s:
        with s.connect() as c:  # a head that never ends
            start = time.monotonic()
            c.sendall(b"GET /hello HTTP/1.1\r\n")
            for _ in range(30):
                try:
                    time.sleep(0.05)
                    c.sendall(b"X: y\r\n")
                except OSError:
                    break
            check(read_all(c).startswith(b"HTTP/1.1 408"))
            check(0.3 < time.monotonic() - start < 1.8, time.monotonic() - start)
        with s.connect() as c:  # a body that stops
            start = time.monotonic()
            send(c, "/echo", "POST", [("Content-Length", 100)], b"x")
            a = Answer(c)
            same((a.status, a.headers.get("connection")), (408, "close"))
            check(0.3 < time.monotonic() - start < 1.5, time.monotonic() - start)
        with s.connect() as c:  # a body that drips
            start = time.monotonic()
            send(c, "/echo", "POST", [("Content-Length", 1000)])
            for _ in range(60):
                try:
                    time.sleep(0.05)
                    c.sendall(b"x")
                except OSError:
                    break
            check(read_all(c).startswith(b"HTTP/1.1 408"))
            check(time.monotonic() - start < 3.5, time.monotonic() - start)
        with s.connect() as c:  # a script that reads slowly is not the client's fault
            send(c, "/read?slow=1", "POST", [("Content-Length", 16 << 20)])
            for _ in range(16):
                c.sendall(DATA)
            same(Answer(c).status, 200)
        with s.connect() as c:  # idle
            start = time.monotonic()
            send(c, "/hello")
            same(Answer(c).status, 200)
            same(c.recv(1), b"")
            check(0.5 < time.monotonic() - start < 2, time.monotonic() - start)


def form():
    def multipart(parts, boundary=b"XyZ"):
        out = b""
        for head, body in parts:
            out += b"--" + boundary + b"\r\n" + head + b"\r\n\r\n" + body + b"\r\n"
        return out + b"--" + boundary + b"--\r\n"

    CT = [("Content-Type", "multipart/form-data; boundary=XyZ")]
    tricky = b"\r\n--XyY\r\n--Xy\r\r\n--XyZ\x00"[:-1][:-5] + DATA[:50000] + b"\r\n-\r\n--\r\n--Xy"
    with tempfile.TemporaryDirectory() as d, Server("dir=" + d) as s:
        body = multipart([
            (b'Content-Disposition: form-data; name="a"', b"one\r\ntwo"),
            (b'Content-Disposition: form-data; name="file"; filename="../../etc/\\"x\\".csv"\r\n'
             b"Content-Type: text/csv", tricky),
            ('content-disposition: form-data; name="ж"; filename="C:\\temp\\ж.txt"'.encode(), b""),
            (b"Content-Disposition: form-data; name=b", b""),
        ])
        for headers, data in ((CT, b"preamble\r\n" + body), (CT + TE, chunked(body, 7)),
                              (CT, body + b"an epilogue")):
            a = s.ask("/form?keep=1", "POST", headers, data)
            same(a.status, 200, a.body)
            parts = json.loads(a.body)
            same([p["name"] for p in parts], ["a", "file", "ж", "b"])
            same((parts[0]["value"], parts[3]["value"]), ("one\r\ntwo", ""))
            same(parts[1]["filename"], '../../etc/"x".csv')
            same(parts[1]["content_type"], "text/csv")
            same(parts[1]["sha256"], hashlib.sha256(tricky).hexdigest())
            same((parts[1]["bytes"], parts[2]["bytes"]), (len(tricky), 0))
            same(parts[2]["filename"], "C:\\temp\\ж.txt")
            for p in parts[1:3]:
                same(os.path.dirname(p["path"]), d)
                with open(p["path"], "rb") as f:
                    same(hashlib.sha256(f.read()).hexdigest(), p["sha256"])
                os.unlink(p["path"])
        # not kept: gone with the request
        s.ask("/form", "POST", CT, body)
        check(wait_for(lambda: os.listdir(d) == []), os.listdir(d))
        # limits and damage, each leaves nothing
        value = b'Content-Disposition: form-data; name="a"'
        file = b'Content-Disposition: form-data; name="f"; filename="x"'
        bad = [
            (413, multipart([(value, b"x" * 1001)])),
            (413, multipart([(file, b"x" * 3_000_001)])),
            (413, multipart([(file, b"x" * 2_500_000), (file, b"x" * 2_500_000)])),
            (413, multipart([(value, b"x")] * 6)),
            (400, multipart([(file, DATA)])[:-10]),
            (400, multipart([(file, DATA)])[:100000]),
            (400, b""),
            (400, b"nothing like a form"),
            (400, multipart([(b"Content-Type: text/plain", b"x")])),
            (400, multipart([(b"Content-Disposition: attachment; name=a", b"x")])),
            (400, multipart([(value + b"\r\n" + value, b"x")])),
            (400, multipart([(b'Content-Disposition: form-data; name="a', b"x")])),
            (400, multipart([(b'Content-Disposition: form-data; name="\xff"', b"x")])),
            (400, multipart([(value + b"\r\nX-Long: " + b"y" * 5000, b"x")])),
            (400, multipart([(value + b"\r\nnonsense", b"x")])),
            (400, multipart([(value + b"\r\nContent-Transfer-Encoding: base64", b"x")])),
            (400, b"--XyZ\nContent-Disposition: form-data; name=a\n\nx\n--XyZ--\n"),
            (400, b"--XyZoops\r\n"),
        ]
        for i, (status, data) in enumerate(bad):
            a = s.ask("/form", "POST", CT, data)
            same(a.status, status, i, a.body)
            check(wait_for(lambda: os.listdir(d) == []), i, os.listdir(d))
        for ct in ("text/plain", "multipart/form-data", "multipart/form-data; boundary=",
                   "multipart/form-data; boundary=a; boundary=b",
                   "multipart/form-data; boundary=" + "x" * 71):
            same(s.ask("/form", "POST", [("Content-Type", ct)], body).status, 400, ct)


def full_disk():
    """A file that cannot be written to its end: the code says so and nothing stays."""
    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    with tempfile.TemporaryDirectory() as d, \
            Server("body_bytes=100000000", "dir=" + d, preexec=small_files) as s:
        a = s.ask(f"/save?path={d}/f", "POST", body=DATA * 4)
        same((a.status, json.loads(a.body)["code"]), (507, "full"))
        check(wait_for(lambda: os.listdir(d) == []), os.listdir(d))
        body = (b'--b\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\n' +
                DATA + DATA + b"\r\n--b--\r\n")
        a = s.ask("/form", "POST", [("Content-Type", "multipart/form-data; boundary=b")], body)
        same(a.status, 507)
        check(wait_for(lambda: os.listdir(d) == []), os.listdir(d))
        same(s.ask("/hello").body, b"hello")


run(whole, too_large, expect, unread, pieces, saved, vanishing, slow, form, full_disk)
