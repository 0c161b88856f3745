"""Routes over HTTP: inputs, answers, errors, roles, limits, streams, uploads. The app is frame_app.lua."""
import hashlib
import json
import os
import socket
import tempfile
import threading
import time
import uuid

from http_support import Answer, Server, check, run, same, send, wait_for


class Frame(Server):
    def __init__(self, *args):
        super().__init__(*args, app="frame_app.lua")
        self.keys = {}
        for _ in range(3):
            role, key, ident = self.proc.stdout.readline().split()
            self.keys[role] = key
        self.reader = threading.Thread(target=self.proc.stdout.read, daemon=True)
        self.reader.start()

    def get(self, target, role=None, method="GET", headers=(), body=b""):
        headers = list(headers)
        if role:
            headers.append(("X-API-Key", self.keys[role]))
        return self.ask(target, method, headers, body)

    def post(self, target, value, role=None, headers=()):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        headers = list(headers)
        if not any(k.lower() == "content-type" for k, _ in headers):
            headers.append(("Content-Type", "application/json"))
        return self.get(target, role, "POST", headers, body)


def error(a, status, code, part=""):
    same(a.status, status, a.body[:300])
    e = json.loads(a.body)["error"]
    same(e["code"], code)
    check(part in e["message"], e["message"], part)
    same(e["request_id"], a.headers["x-request-id"])
    check(isinstance(e["details"], dict), "details is an object")
    return e


def test_inputs():
    with Frame() as s:
        a = s.get("/echo/7/a/b%2Fc?limit=5&tag=x&tag=y&flag=yes&when=2025-03-01&unknown=1",
                  headers=[("Idempotency-Key", "k1")])
        v = json.loads(a.body)
        same(a.status, 200)
        same(v["path"], {"id": 7, "rest": "a/b/c"})
        same(v["query"], {"limit": 5, "tag": ["x", "y"], "flag": True, "when": "2025-03-01"})
        same(v["headers"], {"idempotency_key": "k1"})
        same(v["method"], "GET")
        same(v["remote"], "127.0.0.1")
        same(v["id"], a.headers["x-request-id"])
        same(json.loads(s.get("/echo/7/x").body)["query"], {"limit": 100})
        same(json.loads(s.get("/echo/7/x?tag=one").body)["query"], {"limit": 100, "tag": ["one"]})
        e = error(s.get("/echo/x/y?limit=5000&flag=perhaps&when=2025-03-02", headers=[("Idempotency-Key", "k" * 30)]),
                  422, "validation_error", "path.id")
        locs = sorted(tuple(x["loc"]) for x in e["details"]["errors"])
        same(locs, [("header", "idempotency_key"), ("path", "id"), ("query", "flag"), ("query", "limit"), ("query", "when")])
        for x in e["details"]["errors"]:
            check(x["msg"].startswith("found ") and "expected" in x["msg"] and x["type"], x)
        error(s.get("/echo/7/x?limit=1&limit=2"), 422, "validation_error", "an array")
        error(s.get("/echo/7/x?limit=%ff"), 422, "validation_error", "UTF-8")
        trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        same(json.loads(s.get("/echo/7/x", headers=[("traceparent", trace)]).body)["trace"], trace)
        v = json.loads(s.get("/req").body)
        same(v, {"seen": [], "query_writable": False, "body": True, "meta": False})


def test_body():
    with Frame() as s:
        good = {"id": 1, "name": "x", "price": 2.5}
        a = s.post("/items", good, "operator")
        same(a.status, 200)
        same(json.loads(a.body)["body"], good)
        e = error(s.post("/items", {"id": 0, "nam": "x"}, "operator"), 422, "validation_error")
        found = {tuple(x["loc"]): x["type"] for x in e["details"]["errors"]}
        same(found, {("body", "id"): "range", ("body", "name"): "missing", ("body", "nam"): "unknown_field"})
        check(any('did you mean "name"' in x["msg"] for x in e["details"]["errors"]))
        error(s.post("/items", b"{bad", "operator"), 400, "invalid_body", "line 1")
        error(s.post("/items", b'{"id": 01}', "operator"), 400, "invalid_body")
        error(s.post("/items", b'{"id":1,"id":2}', "operator"), 400, "invalid_body")
        error(s.post("/items", b"[1]", "operator"), 422, "validation_error", "an array")
        error(s.post("/items", b"null", "operator"), 422, "validation_error")
        error(s.post("/items", b"[" * 500 + b"]" * 500, "operator"), 400, "invalid_body")
        error(s.post("/items", b'{"id":1,"name":"' + b"x" * 3000 + b'"}', "operator"), 413, "body_too_large", "2000")
        error(s.post("/items", b"id=1", "operator", [("Content-Type", "text/plain")]), 415, "unsupported_media_type")
        error(s.get("/items", "operator", "POST"), 400, "invalid_body", "no body")
        a = s.post("/items", b"id=7&name=a+b%21", "operator", [("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")])
        same(json.loads(a.body).get("body"), {"id": 7, "name": "a b!"}, a.body)
        form = [("Content-Type", "application/x-www-form-urlencoded")]
        for body, why in ((b"id=7&name=%zz", "parameter 2"), (b"id=7&name=%00", "zero byte"), (b"id=7&name=a\0b", "zero byte"),
                          (b"&".join([b"id=7"] * 1001), None), (b"id=7&name=%", "broken escape")):
            e = s.post("/items", body, "operator", form)
            check(e.status in (400, 413) and (why is None or why in e.body.decode()), body[:40], e.status, e.body[:300])
        same(s.post("/items", b"id=7&name=%ff%fe", "operator", form).status, 422, "no UTF-8")
        a = s.post("/items", good, "operator", [("Content-Type", "application/vnd.shop+json; charset=utf-8")])
        same(a.status, 200)
        for body in (b"", b"{}", b"null"):
            a = s.post("/maybe", body)
            same(json.loads(a.body).get("body"), {"b": "x"}, body, a.body)
        same(json.loads(s.get("/maybe", method="POST").body)["body"], {"b": "x"})
        same(json.loads(s.post("/raw", b"x" * 1000).body), {"bytes": 1000})
        error(s.post("/raw", b"x" * 1001), 413, "body_too_large")


def test_roles():
    with Frame() as s:
        a = s.get("/keyed")
        e = error(a, 401, "authentication_error")
        same(a.headers["www-authenticate"], "Bearer, ApiKey")
        same(e["details"], {})
        error(s.get("/keyed", headers=[("X-API-Key", "wrong")]), 401, "authentication_error")
        for role in ("viewer", "operator", "admin"):
            a = s.get("/keyed", role)
            same(a.status, 200)
            same(a.headers["cache-control"], "no-store")
        same(s.get("/keyed", headers=[("Authorization", "Bearer " + s.keys["viewer"])]).status, 200)
        error(s.get("/items/5", "operator", "DELETE"), 403, "forbidden", "admin")
        same(s.get("/items/5", "admin", "DELETE").status, 204)
        # refused before the body is looked at, and before it is sent when the client waits for 100
        error(s.post("/items", b"{bad", "viewer"), 403, "forbidden")
        error(s.post("/items", b"{bad"), 401, "authentication_error")
        with s.connect() as c:
            send(c, "/items", "POST", [("Content-Length", "100000"), ("Expect", "100-continue"),
                                       ("Content-Type", "application/json")])
            same(Answer(c, "POST", keep_100=True).status, 401)
        same(json.loads(s.get("/role/x").body), {"key": None})
        same(json.loads(s.get("/role/x", "operator").body), {"key": "operator"})
        check(s.keys["viewer"] not in s.read_log(), "no key in the log")


def test_guessing():
    with Frame("auth_failures=5") as s:
        for i in range(5):
            same(s.get("/keyed", headers=[("X-API-Key", f"guess{i}")]).status, 401)
        a = s.get("/keyed", headers=[("X-API-Key", "guess")])
        error(a, 429, "rate_limited")
        check(int(a.headers["retry-after"]) >= 1)
        same(s.get("/keyed", "viewer").status, 200)


def test_answers():
    with tempfile.TemporaryDirectory() as d:
        with open(d + "/f.txt", "w") as f:
            f.write("from a file")
        with Frame("data_dir=" + d) as s:
            a = s.get("/hello")
            same(a.body, b'{"message":"hello"}')
            same(a.headers["content-type"], "application/json")
            same(a.headers["x-content-type-options"], "nosniff")
            check("frame-ancestors 'none'" in a.headers["content-security-policy"])
            check("cache-control" not in a.headers and "server" not in a.headers)
            a = s.get("/status")
            same((a.status, a.headers["location"]), (201, "/made/1"))
            a = s.get("/html")
            same((a.body, a.headers["content-type"]), (b"<p>page</p>", "text/html; charset=utf-8"))
            check("script-src 'self'" in a.headers["content-security-policy"])
            same(s.get("/text").headers["content-type"], "text/plain; charset=utf-8")
            a = s.get("/redirect")
            same((a.status, a.headers["location"]), (303, "/hello"))
            same(s.get("/empty").status, 204)
            a = s.get("/bytes", headers=[("Range", "bytes=2-4")])
            same((a.status, a.body), (206, b"234"))
            same(a.headers["content-disposition"], 'attachment; filename="a_b.txt"')
            same(s.get("/bytes", headers=[("If-None-Match", '"ten"')]).status, 304)
            same(s.get("/file/f.txt").body, b"from a file")
            error(s.get("/file/none.txt"), 404, "not_found")
            check(s.get("/file/..%2f..%2f..%2fetc%2fhostname").status in (400, 404, 500), "no way out of the data folder")
            error(s.get("/outside"), 500, "internal_error")
            same(s.get("/stream").body, b"".join(b"piece %d\n" % i for i in range(1, 6)))
            with s.connect() as c:
                send(c, "/stream/broken")
                try:
                    a = Answer(c)
                    check(False, "a broken stream must not end well")
                except (EOFError, AssertionError):
                    check(True)
            same(s.get("/hello", method="HEAD").headers["content-length"], "19")
            for _ in range(3):
                same(s.get("/hello").status, 200)


def test_errors():
    with Frame() as s:
        a = s.get("/boom", headers=[("X-Request-Id", "my-id")])
        e = error(a, 500, "internal_error")
        same(e["request_id"], "my-id")
        check(b"index" not in a.body and b"frame_app" not in a.body, "no internals")
        check(wait_for(lambda: "attempt to index" in s.read_log()), "in the log instead")
        a = s.get("/boom/table")
        error(a, 500, "internal_error")
        check(b"secret_table" not in a.body)
        error(s.get("/boom/odd"), 500, "internal_error")
        error(s.get("/boom/nan"), 500, "internal_error")
        check(wait_for(lambda: "x.y" in s.read_log()), "the path of what is no JSON is in the log")
        e = error(s.get("/missing"), 404, "job_not_found", "no such job")
        same(e["details"]["id"], 7)
        same(e["details"]["original_detail"]["code"], "job_not_found")
        a = s.get("/refractory")
        e = error(a, 429, "job_refractory_active")
        same(a.headers["retry-after"], "17")
        same(e["details"]["original_detail"]["retry_after_seconds"], 17)
        a = s.get("/busy")
        e = error(a, 503, "busy")
        check(b"locked" not in a.body and e["retry_info"]["retry_after"] == 1)
        for target in ("/boom/loop", "/slow"):
            a = s.get(target)
            same((a.status, json.loads(a.body)["error"]["code"]), (503, "timeout"))
        error(s.get("/nowhere"), 404, "not_found")
        a = s.get("/hello", method="POST")
        error(a, 405, "method_not_allowed")
        same(sorted(a.headers["allow"].split(", ")), ["GET", "HEAD", "OPTIONS"])
        a = s.get("/items/5", method="OPTIONS")
        same(a.status, 204)
        check("DELETE" in a.headers["allow"])
        a = s.get("/missing", headers=[("Accept", "application/problem+json, */*")])
        v = json.loads(a.body)
        same(a.headers["content-type"], "application/problem+json")
        same((v["status"], v["code"], v["detail"], v["title"]), (404, "job_not_found", "no such job", "Not Found"))
        same(s.get("/hello").status, 200)
    with Frame("development=true") as s:
        v = json.loads(s.get("/boom").body)["error"]
        check("attempt to index" in v["exception"]["message"], v)


def test_cors():
    with Frame("cors=https://shop.example") as s:
        o = [("Origin", "https://shop.example")]
        for target in ("/hello", "/nowhere", "/keyed"):
            a = s.get(target, headers=o)
            same(a.headers.get("access-control-allow-origin"), "https://shop.example", target)
            check("Origin" in a.headers["vary"])
        check("access-control-allow-origin" not in s.get("/hello", headers=[("Origin", "https://evil.example")]).headers)
        a = s.get("/items", method="OPTIONS", headers=o + [("Access-Control-Request-Method", "POST"),
                                                           ("Access-Control-Request-Headers", "x-api-key")])
        same((a.status, a.headers["access-control-allow-headers"]), (204, "x-api-key"))
        check("POST" in a.headers["access-control-allow-methods"])
    with Frame() as s:
        check("access-control-allow-origin" not in s.get("/hello", headers=o).headers, "off by default")


def test_limits():
    with Frame() as s:
        for left in (2, 1, 0):
            a = s.get("/limited")
            same(a.status, 200)
            check(a.headers["ratelimit"].startswith(f'"address";r={left};t='), a.headers["ratelimit"])
        a = s.get("/limited")
        error(a, 429, "rate_limited")
        check(1 <= int(a.headers["retry-after"]) <= 20, a.headers["retry-after"])
        same(a.headers["ratelimit-policy"], '"address";q=3;w=60')
        same(s.get("/hello").status, 200)
    with Frame("per_address=0.1", "burst_address=4", "trusted=127.0.0.1") as s:
        same([s.get("/hello").status for _ in range(6)], [200] * 4 + [429] * 2)
        x = [("X-Forwarded-For", "6.6.6.6, 203.0.113.9")]
        same(s.get("/hello", headers=x).status, 200, "another client behind the proxy")
        same(json.loads(s.get("/echo/1/x", headers=x).body)["remote"], "203.0.113.9")
    with Frame("per_key=0.1", "burst_key=2") as s:
        same([s.get("/keyed", "viewer").status for _ in range(3)], [200, 200, 429])
        same(s.get("/keyed", "operator").status, 200)


def multipart(parts):
    b, out = "XbX" + uuid.uuid4().hex, b""
    for name, filename, data in parts:
        out += f'--{b}\r\nContent-Disposition: form-data; name="{name}"'.encode()
        if filename is not None:
            out += f'; filename="{filename}"'.encode()
        out += b"\r\n\r\n" + data + b"\r\n"
    return out + f"--{b}--\r\n".encode(), [("Content-Type", f"multipart/form-data; boundary={b}")]


def test_upload():
    with tempfile.TemporaryDirectory() as d:
        with Frame("upload_dir=" + d) as s:
            data = os.urandom(100000)
            parts = [("stock", "../../etc/stock.xlsx", data), ("sales", "a.csv", b"1;2\n"), ("sales", "b.csv", data),
                     ("cutoff", None, b"2025-03-31"), ("overwrite", None, b"yes")]
            body, h = multipart(parts)
            a = s.post("/upload", body, headers=h)
            v = json.loads(a.body)
            same(a.status, 200, a.body)
            same((v["stock"], v["cutoff"], v["overwrite"], len(v["sales"])), (100000, "2025-03-31", True, 2))
            same(v["sales"][1]["sha256"], hashlib.sha256(data).hexdigest())
            check(v["path"].startswith(d + "/") and ".." not in v["path"], v["path"])
            check(wait_for(lambda: os.listdir(d) == []), "files are gone with the request")
            body, h = multipart(parts[:1] + parts[3:])
            e = error(s.post("/upload", body, headers=h), 422, "validation_error", "body.sales")
            body, h = multipart([("stock", "x.exe", b"x")] + parts[1:] + [("extra", None, b"1")])
            e = error(s.post("/upload", body, headers=h), 422, "validation_error")
            same(sorted(x["loc"][1] for x in e["details"]["errors"]), ["extra", "stock"])
            body, h = multipart([("stock", "x.csv", b"x" * (2 << 20))] + parts[1:])
            error(s.post("/upload", body, headers=h), 422, "validation_error", "at most 1048576")
            body, h = multipart([("stock", "x.csv", b"x" * (5 << 20))] + parts[1:])
            error(s.post("/upload", body, headers=h), 413, "body_too_large")
            error(s.post("/upload", {"a": 1}), 415, "unsupported_media_type")
            error(s.post("/upload", b"no boundary here", headers=h), 400, "invalid_body")
            check(wait_for(lambda: os.listdir(d) == []), "nothing is left behind")


def test_events():
    with Frame() as s:
        a = s.get("/events")
        same(a.headers["content-type"], "text/event-stream")
        text = a.body.decode()
        check(text.startswith('event: job\nid: 1\ndata: {"n":1}\n\n'), text)
        check("retry: 500\ndata: two\ndata: lines\n\n" in text, text)
        check(text.endswith("id: 3\ndata: end\n\n"), text)
        check(": keep-alive\n\n" in text, "comments keep it alive")
        with s.connect() as c:
            send(c, "/events/forever")
            c.recv(65536)
        check(wait_for(lambda: json.loads(s.get("/closed").body)["closed"] == 1), "a client that goes ends the run")


run(test_inputs, test_body, test_roles, test_guessing, test_answers, test_errors, test_cors, test_limits,
    test_upload, test_events)
