"""Answers: heads, streams, files with conditions and ranges, gzip, failures of scripts."""
import gzip
import json
import os
import re
import tempfile
import time

from http_support import Server, Answer, check, check_grown, same, run, send, read_all

BIG = b"All happy families are alike. " * 1000
GZ = [("Accept-Encoding", "gzip, br")]


def plain():
    with Server() as s, s.connect() as c:
        send(c, "/hello", headers=[("X-Request-Id", "abc-1.2_3")])
        a = Answer(c)
        same(a.body, b"hello")
        same(a.headers["x-request-id"], "abc-1.2_3")
        check(re.match(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$", a.headers["date"]))
        check("server" not in a.headers and "connection" not in a.headers)
        for bad in ("", "x" * 129, "a b", "ж"):
            send(c, "/hello", headers=[("X-Request-Id", bad.encode().decode("latin-1"))])
            a = Answer(c)
            check(re.match(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
                           a.headers["x-request-id"]), a.headers["x-request-id"])
        send(c, "/hello", "HEAD")
        a = Answer(c, "HEAD")
        same((a.status, a.headers["content-length"], a.rest), (200, "5", b""))
        send(c, "/empty")
        a = Answer(c)
        same((a.status, "content-length" in a.headers), (204, False))
        send(c, "/nothing-here")
        same(Answer(c).status, 404)
        send(c, "/bad-header")
        a = Answer(c)
        same([v for k, v in a.fields if k == "x-list"], ["a", "b"])
        got = json.loads(a.body)
        same((got["ok"], got["ok2"]), (False, False))
        check("x-a" in got["message"], got)
        same(a.headers["content-type"], "application/json")
        send(c, "/twice")
        same(Answer(c).body, b"one")
        send(c, "/kept")
        got = json.loads(Answer(c).body)
        same((got["twice"], got["wire"], got["ok"]), (False, "done", False))
        check("over" in got["message"], got)


def asked():
    with Server() as s:
        a = s.ask("/info?a=1&b=%20x+y&a=2&c&=z&d=&a=%d0%b6", headers=[
            ("X-One", "1"), ("x-one", " 2 "), ("Cookie", "a=1"), ("Cookie", "b=2"),
            ("traceparent", "00-" + "a" * 32 + "-" + "b" * 16 + "-01")])
        got = json.loads(a.body)
        same(got["query"], {"a": ["1", "2", "ж"], "b": " x y", "c": "", "": "z", "d": ""})
        same((got["x"], got["headers"]["x-one"]), ("1, 2", "1, 2"))
        same(got["headers"]["cookie"], "a=1; b=2")
        same(got["headers"]["host"], "test")
        same((got["method"], got["path"], got["ip"]), ("GET", "/info", "127.0.0.1"))
        same(got["trace"], "00-" + "a" * 32 + "-" + "b" * 16 + "-01")
        same(json.loads(s.ask("/a%20b/%d0%b6").body)["path"], "/a b/ж")
        for bad in ("00-" + "0" * 32 + "-" + "b" * 16 + "-01", "ff-" + "a" * 32 + "-" + "b" * 16 +
                    "-01", "00-" + "A" * 32 + "-" + "b" * 16 + "-01", "x"):
            same(json.loads(s.ask("/info", headers=[("traceparent", bad)]).body)["trace"], "none")
        time.sleep(0.1)
        lines = [json.loads(l) for l in s.read_log().splitlines() if '"request"' in l]
        line = lines[0]
        same((line["route"], line["status"], line["key"], line["path"], line["method"]),
             ("GET /info", 200, 'k"1', "/info", "GET"))
        same(line["trace_id"], "a" * 32)
        same(line["request_id"], a.headers["x-request-id"])
        check(line["ms"] < 1000 and line["bytes_out"] == len(a.body) and line["ip"] == "127.0.0.1")
        check("%20" not in s.read_log() and "x+y" not in s.read_log(), "queries are not logged")
        stats = json.loads(s.ask("/stats").body)
        same(stats["routes"]["GET /info"]["count"], 6)
        same(stats["routes"]["GET /info"]["classes"]["2xx"], 6)
        same(stats["routes"]["GET /info"]["buckets"][-1], 6)


def routed():
    with Server() as s, s.connect() as c:
        def ask(target, method="GET"):
            send(c, target, method)
            return Answer(c, method)

        same(json.loads(ask("/routed/jobs/a%2fb").body), {"index": 1, "params": {"job_id": "a/b"}})
        same(json.loads(ask("/routed/jobs/7/stop", "POST").body),
             {"index": 2, "params": {"job_id": "7", "verb": "stop"}})
        same(json.loads(ask("/routed/files/a/b?x").body), {"index": 3, "params": {"path": "a/b"}})
        same(ask("/routed/jobs/7", "HEAD").status, 200)
        a = ask("/routed/jobs/7", "DELETE")
        same((a.status, a.headers["allow"]), (405, "GET, HEAD, OPTIONS"))
        same(ask("/routed/jobs/7", "OPTIONS").headers["allow"], "GET, HEAD, OPTIONS")
        same(ask("/routed/jobs/").status, 404)
        same(json.loads(ask("/clash").body), {
            "made": False, "code": "exists", "message": "GET /a/{c} clashes with GET /a/{b}"})
        same(json.loads(ask("/listen-again").body)["code"], "busy")


def keep_alive():
    with Server("requests_per_connection=3") as s:
        with s.connect() as c:
            for i in range(3):
                send(c, "/hello")
                same(Answer(c).headers.get("connection"), "close" if i == 2 else None)
            same(read_all(c), b"")
        with s.connect() as c:
            send(c, "/hello", headers=[("Connection", "close")])
            same(Answer(c).headers["connection"], "close")
            same(read_all(c), b"")
        with s.connect() as c:
            c.sendall(b"GET /hello HTTP/1.0\r\n\r\n")
            same(Answer(c).headers["connection"], "close")
            same(read_all(c), b"")
        with s.connect() as c:
            c.sendall(b"GET /hello HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
            same(Answer(c).headers["connection"], "keep-alive")
            send(c, "/hello")
            same(Answer(c).status, 200)


def streams():
    with Server() as s:
        with s.connect() as c:
            send(c, "/stream?n=10&bytes=100")
            a = Answer(c)
            same(a.headers["transfer-encoding"], "chunked")
            same(a.body, b"x" * 1000)
            send(c, "/stream?n=400&bytes=100000")  # 40 MB
            same(len(Answer(c).body), 40_000_000)
            send(c, "/stream?n=10&bytes=100", "HEAD")
            a = Answer(c, "HEAD")
            send(c, "/hello")
            same(Answer(c, rest=a.rest).body, b"hello")
        with s.connect() as c:
            c.sendall(b"GET /stream?n=10&bytes=100 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            a = Answer(c)
            same((a.body, "transfer-encoding" in a.headers), (b"x" * 1000, False))
        # a client that does not read holds the script back, not the memory
        before = s.peak_kb()
        with s.connect() as c:
            send(c, "/stream?n=2000&bytes=100000")
            time.sleep(0.5)
            check_grown(s, before, 12000)
        with s.connect() as c:  # events arrive when they are written
            start = time.monotonic()
            send(c, "/events")
            data = b""
            while b"data: 1" not in data:
                data += c.recv(1000)
            check(time.monotonic() - start < 0.15)
            check(b"data: 3" not in data)
            while b"0\r\n\r\n" not in data:
                data += c.recv(1000)
            check(b"data: 3" in data)


def write_stall():
    with Server("write_idle_ms=500") as s, s.connect() as c:
        send(c, "/stream?n=2000&bytes=100000")
        time.sleep(1.5)
        n = 0
        try:
            while True:
                more = c.recv(1 << 20)
                if not more:
                    break
                n += len(more)
        except ConnectionResetError:
            pass
        check(n < 100_000_000, "cut, not served for ever", n)


def failures():
    with Server("burst_ms=100", "deadline_ms=600") as s:
        for path, status, code in (("/die", 500, "internal_error"), ("/none", 500, "internal_error"),
                                   ("/loop", 503, "timeout"), ("/slow?s=5", 503, "timeout")):
            a = s.ask(path)
            same(a.status, status, path)
            error = json.loads(a.body)["error"]
            same((error["code"], error["request_id"], error["details"]),
                 (code, a.headers["x-request-id"], {}))
            check("a bug" not in error["message"] and error["message"])
        with s.connect() as c:  # half an answer is not made to look like a whole one
            send(c, "/die-late")
            data = read_all(c)
            check(b"half" in data and not data.endswith(b"0\r\n\r\n"), data)
        same(s.ask("/hello").body, b"hello")
        time.sleep(0.1)
        check("a bug" in s.read_log())


def zipped():
    with Server() as s, s.connect() as c:
        def ask(target, headers=(), method="GET"):
            send(c, target, method, headers)
            return Answer(c, method)

        a = ask("/big", GZ)
        same(a.headers["content-encoding"], "gzip")
        same(a.headers["vary"], "Accept-Encoding")
        same(gzip.decompress(a.body), BIG)
        check(len(a.body) < 1000)
        same(ask("/big", GZ, "HEAD").headers["content-length"], str(len(a.body)))
        for headers in ((), [("Accept-Encoding", "br")], [("Accept-Encoding", "gzip;q=0")],
                        [("Accept-Encoding", "gzip; q=0.0, br")]):
            a = ask("/big", headers)
            same((a.headers.get("content-encoding"), a.headers["vary"], a.body),
                 (None, "Accept-Encoding", BIG))
        same(ask("/big", [("Accept-Encoding", "br, gzip;q=0.1")]).headers["content-encoding"],
             "gzip")
        same(ask("/big-etag").headers["etag"], '"v1"')
        a = ask("/big-etag", GZ)
        same((a.headers["etag"], gzip.decompress(a.body)), ('W/"v1"', BIG))
        same(ask("/no-transform", GZ).headers.get("content-encoding"), None)
        same(ask("/hello", GZ).headers.get("content-encoding"), None)
        same(gzip.decompress(ask("/bytes-big", GZ).body), BIG)
        a = ask("/bytes-big", GZ + [("Range", "bytes=0-9")])
        same((a.status, a.body, a.headers.get("content-encoding")), (206, BIG[:10], None))


def conditions(ask, content, etag, modified=None):
    """One content, asked for in all ways. `ask(headers, method)` gives an Answer."""
    n = len(content)
    a = ask([])
    same((a.status, a.body, a.headers["etag"], a.headers["accept-ranges"]),
         (200, content, etag, "bytes"))
    whole, first = (200, content, None), content[:1]

    def part(x, y):
        return (206, content[x:y + 1], f"bytes {x}-{y}/{n}")

    none = (416, b"", f"bytes */{n}")
    ranges = [
        ("bytes=0-0", part(0, 0)), ("bytes=2-4", part(2, 4)), ("bytes=0-", part(0, n - 1)),
        (f"bytes={n - 1}-", part(n - 1, n - 1)), ("bytes=5-99999999", part(5, n - 1)),
        ("bytes=-3", part(n - 3, n - 1)), ("bytes=-99999999", part(0, n - 1)),
        (f"bytes={n}-", none), ("bytes=99999999999999999999-", none), ("bytes=-0", none),
        ("bytes=4-2", whole), ("bytes=0-0,2-2", whole), ("bytes=a-b", whole), ("bytes=-", whole),
        ("bytes=", whole), ("lines=0-1", whole), ("bytes 0-1", whole), ("bytes=1 -2", whole),
    ]
    for value, expected in ranges:
        a = ask([("Range", value)])
        same((a.status, a.body, a.headers.get("content-range")), expected, value)
        a = ask([("Range", value)], "HEAD")
        same((a.status, a.headers["content-length"]), (200, str(n)), value)
    other = '"other"'
    strong = etag.startswith('"')
    weak = "W/" + etag if strong else etag
    cases = [
        ([("If-None-Match", etag)], 304), ([("If-None-Match", weak)], 304),
        ([("If-None-Match", "*")], 304), ([("If-None-Match", f"{other}, {etag}")], 304),
        ([("If-None-Match", other), ("If-None-Match", etag)], 304),
        ([("If-None-Match", other)], 200), ([("If-None-Match", etag.strip('"'))], 200),
        ([("If-None-Match", other), ("Range", "bytes=0-0")], 206),
        ([("If-None-Match", etag), ("Range", "bytes=0-0")], 304),
        ([("If-Match", etag)], 200 if strong else 412), ([("If-Match", weak)], 412),
        ([("If-Match", "*")], 200), ([("If-Match", other)], 412),
        ([("Range", "bytes=0-0"), ("If-Range", etag)], 206 if strong else 200),
        ([("Range", "bytes=0-0"), ("If-Range", weak)], 200),
        ([("Range", "bytes=0-0"), ("If-Range", other)], 200),
    ]
    if modified:
        before = "Sun, 06 Nov 1994 08:49:37 GMT"
        after = "Sat, 06 Nov 2094 08:49:37 GMT"
        cases += [
            ([("If-Modified-Since", modified)], 304), ([("If-Modified-Since", after)], 304),
            ([("If-Modified-Since", before)], 200), ([("If-Modified-Since", "yesterday")], 200),
            ([("If-Modified-Since", after), ("If-None-Match", other)], 200),
            ([("If-Unmodified-Since", before)], 412), ([("If-Unmodified-Since", modified)], 200),
            ([("Range", "bytes=0-0"), ("If-Range", modified)], 206),
            ([("Range", "bytes=0-0"), ("If-Range", after)], 200),
        ]
    for headers, status in cases:
        a = ask(headers)
        same(a.status, status, headers)
        same(a.headers["etag"], etag, headers)
        same(a.body, content if status == 200 else first if status == 206 else b"", headers)


def bytes_matrix():
    with Server() as s, s.connect() as c:
        def ask(headers, method="GET"):
            send(c, "/bytes", method, headers)
            return Answer(c, method)
        conditions(ask, b"0123456789", '"ten"')


def file_matrix():
    with tempfile.TemporaryDirectory() as d, Server() as s, s.connect(timeout=30) as c:
        for size, age in ((10, 100), (300_000, 100), (5_000_000, 100), (10, 0)):
            content = os.urandom(size)
            path = os.path.join(d, "f.bin")
            with open(path, "wb") as f:
                f.write(content)
            when = time.time() - age if age else time.time() + 3600
            os.utime(path, (when, when))

            def ask(headers, method="GET"):
                send(c, f"/file?path={path}", method, headers)
                return Answer(c, method)
            a = ask([])
            check(a.headers["etag"].startswith('"' if age else 'W/"'), a.headers["etag"])
            same(a.headers["content-type"], "application/octet-stream")
            if age:
                conditions(ask, content, a.headers["etag"], a.headers["last-modified"])
            else:
                same(ask([("Range", "bytes=0-0"), ("If-Range", a.headers["etag"])]).status, 200)
        open(os.path.join(d, "empty.txt"), "w").close()
        send(c, f"/file?path={d}/empty.txt")
        a = Answer(c)
        same((a.status, a.body, a.headers["content-type"]),
             (200, b"", "text/plain; charset=utf-8"))
        send(c, f"/file?path={d}/empty.txt", headers=[("Range", "bytes=0-")])
        same(Answer(c).status, 416)
        with open(os.path.join(d, "page.html"), "wb") as f:
            f.write(BIG)
        os.utime(os.path.join(d, "page.html"), (1e9, 1e9))
        send(c, f"/file?path={d}/page.html&download=%d0%b6%22.html&cache=no-cache", headers=GZ)
        a = Answer(c)
        same((gzip.decompress(a.body), a.headers["cache-control"]), (BIG, "no-cache"))
        same(a.headers["content-disposition"],
             "attachment; filename=\"___.html\"; filename*=UTF-8''%D0%B6%22.html")
        check(a.headers["etag"].startswith('W/"'))
        os.symlink(os.path.join(d, "page.html"), os.path.join(d, "link"))
        for target, status in ((f"{d}/none", 404), (d, 404), ("/dev/zero", 404), (f"{d}/link", 404)):
            send(c, f"/file?path={target}")
            same(Answer(c).status, status, target)
        # a client that leaves in the middle of a file
        with open(os.path.join(d, "f.bin"), "wb") as f:
            f.truncate(200_000_000)
        for _ in range(5):
            with s.connect() as c2:
                send(c2, f"/file?path={d}/f.bin")
                c2.recv(100_000)
        before = s.peak_kb()
        with s.connect(timeout=60) as c2:
            send(c2, f"/file?path={d}/f.bin")
            same(len(Answer(c2).body), 200_000_000)
        check_grown(s, before, 8000)
        send(c, "/hello")
        same(Answer(c).body, b"hello")


run(plain, asked, routed, keep_alive, streams, write_stall, failures, zipped, bytes_matrix, file_matrix)
