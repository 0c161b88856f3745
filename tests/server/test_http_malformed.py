"""Malformed, smuggling-prone and oversized requests: each is answered by its status, once, and the
connection is closed: nothing behind it is ever taken for a request."""
import json
import re

from http_support import Server, Answer, check, same, run, read_all

H = b"Host: a\r\n"
NEXT = b"GET /hello HTTP/1.1\r\nHost: smuggled\r\n\r\n"


def get(line=b"GET /hello HTTP/1.1", head=H):
    return line + b"\r\n" + head + b"\r\n"


def post(head, body=b""):
    return b"POST /echo HTTP/1.1\r\n" + H + head + b"\r\n" + body


CASES = [
    # request line
    (400, b"\x00\x01\x02\x03garbage\r\n\r\n"),
    (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),  # a TLS hello
    (400, b" GET /hello HTTP/1.1\r\n" + H + b"\r\n"),
    (400, b"\r\n\r\n\r\nGET /hello HTTP/1.1\r\n" + H + b"\r\n"),
    (400, b"GET /hello\r\n\r\n"),
    (400, get(b"GET  /hello HTTP/1.1")),
    (400, get(b"GET /hello  HTTP/1.1")),
    (400, get(b"GET /hello HTTP/1.1 ")),
    (400, get(b"GET\t/hello HTTP/1.1")),
    (400, get(b"GET /hello HTTP/1.1\x0b")),
    (400, get(b"GET /hello http/1.1")),
    (400, get(b"GET /hello HTTP/1")),
    (400, get(b"GET /hello HTTP/1.01")),
    (400, get(b"GET /hel lo HTTP/1.1")),
    (400, get(b"GET /hello\x00 HTTP/1.1")),
    (400, get(b"GET /\x80 HTTP/1.1")),
    (400, get(b"GET /hello#top HTTP/1.1")),
    (400, get(b"GET hello HTTP/1.1")),
    (400, get(b"GET * HTTP/1.1")),
    (400, get(b"GET file:///etc/passwd HTTP/1.1")),
    (400, get(b"GET http://other/hello HTTP/1.1")),
    (400, get(b"get /hello HTTP/1.1")),
    (501, get(b"Get /hello HTTP/1.1")),
    (501, get(b"BREW /hello HTTP/1.1")),
    (501, get(b"TRACE /hello HTTP/1.1")),
    (501, get(b"CONNECT a:443 HTTP/1.1")),
    (505, get(b"GET /hello HTTP/1.2")),
    (505, get(b"GET /hello HTTP/2.0")),
    (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    (505, get(b"GET /hello HTTP/0.9")),
    # paths
    (400, get(b"GET /../../etc/passwd HTTP/1.1")),
    (400, get(b"GET /a/%2e%2e/%2e%2e/etc/passwd HTTP/1.1")),
    (400, get(b"GET /a/..%2f..%2fetc/passwd HTTP/1.1")),
    (400, get(b"GET /a/..%5c..%5cetc HTTP/1.1")),
    (400, get(b"GET /./hello HTTP/1.1")),
    (400, get(b"GET /%00 HTTP/1.1")),
    (400, get(b"GET /%0d%0aX:1 HTTP/1.1")),
    (400, get(b"GET /%zz HTTP/1.1")),
    (400, get(b"GET /% HTTP/1.1")),
    (400, get(b"GET /%c3%28 HTTP/1.1")),  # no UTF-8
    (400, get(b"GET /hello?x=%g1 HTTP/1.1")),
    (414, get(b"GET /" + b"a" * 9000 + b" HTTP/1.1")),
    (414, b"GET /" + b"a" * 9000),  # without an end
    # lines and fields
    (400, b"GET /hello HTTP/1.1\nHost: a\n\n"),
    (400, b"GET /hello HTTP/1.1\r\nHost: a\n\r\n"),
    (400, b"GET /hello HTTP/1.1\r\nHost: a\r\n\n"),
    (400, get(head=H + b"X: a\rY: b\r\n")),
    (400, get(head=H + b"X: a\r\r\n")),
    (400, get(head=H + b"X: a\r\n folded\r\n")),
    (400, get(head=b" " + H)),
    (400, get(head=H + b"X : a\r\n")),
    (400, get(head=H + b"X y: a\r\n")),
    (400, get(head=H + b": a\r\n")),
    (400, get(head=H + b"nonsense\r\n")),
    (400, get(head=H + b"X: a\x00b\r\n")),
    (400, get(head=H + b"X: a\x08b\r\n")),
    (400, get(head=H + b"X: a\x7f\r\n")),
    (400, get(head=H + b"X\xc3: a\r\n")),
    (431, get(head=H + b"".join(b"X-%d: y\r\n" % i for i in range(120)))),
    (431, get(head=H + b"X: " + b"a" * 20000 + b"\r\n")),
    (431, b"GET /hello HTTP/1.1\r\nX: " + b"a" * 20000),  # without an end
    # Host
    (400, get(head=b"")),
    (400, get(head=H + H)),
    (400, get(head=H + b"Host: b\r\n")),
    (400, get(head=b"Host: \r\n")),
    (400, get(head=b"Host: a, b\r\n")),
    (400, get(head=b"Host: a/../b\r\n")),
    (400, get(head=b"Host: user@a\r\n")),
    (400, get(head=b"Host: a:port\r\n")),
    # lengths
    (400, post(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello")),
    (400, post(b"Content-Length: 5\r\nContent-Length: 0\r\n", b"hello")),
    (400, post(b"Content-Length: 5, 5\r\n", b"hello")),
    (400, post(b"Content-Length: +5\r\n", b"hello")),
    (400, post(b"Content-Length: -1\r\n", b"hello")),
    (400, post(b"Content-Length: 0x5\r\n", b"hello")),
    (400, post(b"Content-Length: 5 \x0b\r\n", b"hello")),
    (400, post(b"Content-Length: \r\n", b"hello")),
    (400, post(b"Content-Length : 5\r\n", b"hello")),
    (413, post(b"Content-Length: 99999999999999999999\r\n")),
    (413, post(b"Content-Length: 9007199254740993000\r\n")),
    (400, post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n")),
    (400, post(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n")),
    (400, post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", b"0\r\n\r\n")),
    (400, post(b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n")),
    (400, post(b"Transfer-Encoding: identity, chunked\r\n", b"0\r\n\r\n")),
    (400, post(b"Transfer-Encoding: chunked;x=y\r\n", b"0\r\n\r\n")),
    (400, post(b"Transfer-Encoding:\x0bchunked\r\n", b"0\r\n\r\n")),
    (400, post(b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n")),
    (501, post(b"Transfer-Encoding: gzip\r\n")),
    (501, post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n")),
    (501, post(b"Transfer-Encoding: cow\r\n", b"0\r\n\r\n")),
    (400, b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (411, b"POST /echo HTTP/1.0\r\n\r\n"),
    (417, post(b"Expect: the-unexpected\r\nContent-Length: 5\r\n")),
    # chunks
    (400, post(b"Transfer-Encoding: chunked\r\n", b"5\nhello\n0\n\n")),
    (400, post(b"Transfer-Encoding: chunked\r\n", b"5 \r\nhello\r\n0\r\n\r\n")),
    (400, post(b"Transfer-Encoding: chunked\r\n", b"0x5\r\nhello\r\n0\r\n\r\n")),
    (400, post(b"Transfer-Encoding: chunked\r\n", b"-5\r\nhello\r\n0\r\n\r\n")),
    (400, post(b"Transfer-Encoding: chunked\r\n", b"5\r\nhello!\r\n0\r\n\r\n")),
    (400, post(b"Transfer-Encoding: chunked\r\n", b"5\r\nhello0\r\n\r\n")),
    (400, post(b"Transfer-Encoding: chunked\r\n", b"FFFFFFFFFFFFFFFFF\r\nx")),
    (400, post(b"Transfer-Encoding: chunked\r\n", b"g\r\nx\r\n0\r\n\r\n")),
    (400, post(b"Transfer-Encoding: chunked\r\n", b"5;" + b"x" * 1000 + b"\r\nhello\r\n")),
    (400, post(b"Transfer-Encoding: chunked\r\n", b"5;a\nb\r\nhello\r\n0\r\n\r\n")),
    (400, post(b"Transfer-Encoding: chunked\r\n", b"0\r\nX : y\r\n\r\n")),
    (400, post(b"Transfer-Encoding: chunked\r\n", b"0\r\nX: y\n\r\n")),
    (400, post(b"Transfer-Encoding: chunked\r\n", b"0\r\nX: " + b"y" * 9000 + b"\r\n\r\n")),
    # doubled fields with a meaning
    (400, get(head=H + b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n")),
    (400, post(b"Content-Type: a/b\r\nContent-Type: c/d\r\nContent-Length: 0\r\n")),
]


def table():
    check(len(CASES) >= 60, "too few cases")
    with Server() as s:
        for i, (status, data) in enumerate(CASES):
            out = s.raw(data + NEXT)
            found = int(out[9:12]) if out[:9] == b"HTTP/1.1 " else out
            same(found, status, f"case {i}: {data[:80]!r}")
            same(len(re.findall(rb"HTTP/1\.1 \d\d\d ", out)), 1, f"case {i}: one answer only: {data[:80]!r}")
            check(b"Connection: close" in out, f"case {i}")
            if found != status:
                continue
            body = json.loads(out.split(b"\r\n\r\n", 1)[1])
            same(body["error"]["code"], f"http_{status}")
            same(len(body["error"]["request_id"]), 36)
        same(s.ask("/hello").body, b"hello")


def byte_by_byte():
    """The same answers when every byte comes alone."""
    with Server() as s:
        for i, (status, data) in enumerate(CASES):
            if len(data) > 200:
                continue
            with s.connect() as c:
                out = b""
                try:
                    for k in range(len(data)):
                        c.sendall(data[k:k + 1])
                    out = read_all(c)
                except (BrokenPipeError, ConnectionResetError):
                    out = read_all(c)
                check(out.startswith(b"HTTP/1.1 %d" % status), f"case {i}: {out[:40]!r}")


def accepted():
    """What looks odd and is right."""
    good = [
        b"\r\nGET /hello HTTP/1.1\r\n" + H + b"\r\n",
        b"GET http://a/hello HTTP/1.1\r\n" + H + b"\r\n",
        b"GET /%68ello HTTP/1.1\r\n" + H + b"\r\n",
        b"GET /hello HTTP/1.1\r\nhOsT:a\r\nX:\r\nX: \r\n\r\n",
        b"GET /hello HTTP/1.0\r\n\r\n",
    ]
    with Server() as s:
        for data in good:
            with s.connect() as c:
                c.sendall(data)
                same(Answer(c).body, b"hello", data)
        with s.connect() as c:
            c.sendall(post(b"Transfer-Encoding: chunked\r\n",
                           b"5;a=b\r\nhello\r\n00\r\nX-Trailer: y\r\n\r\n") + NEXT)
            a = Answer(c)
            same(a.body, b"hello")
            same(Answer(c, rest=a.rest).body, b"hello")


def pipelined():
    with Server() as s, s.connect() as c:
        c.sendall(NEXT * 200 + post(b"Content-Length: 5\r\n", b"later") + NEXT)
        rest = b""
        for i in range(202):
            a = Answer(c, rest=rest)
            rest = a.rest
            same(a.body, b"later" if i == 200 else b"hello")
        # answers keep their order when the first one takes longer
        c.sendall(b"GET /slow HTTP/1.1\r\n" + H + b"\r\n" + NEXT + get(b"HEAD /hello HTTP/1.1"))
        a = Answer(c, rest=rest)
        same(a.body, b"slow")
        b = Answer(c, rest=a.rest)
        same(b.body, b"hello")
        same(Answer(c, "HEAD", rest=b.rest).headers["content-length"], "5")
        # a bad one behind good ones: they are answered, then it, then the end
        c.sendall(NEXT + b"GET / HTTP/1.1\r\n\r\n" + NEXT)
        a = Answer(c)
        same(a.body, b"hello")
        a = Answer(c, rest=a.rest)
        same(a.status, 400)
        same(a.rest + read_all(c), b"")


run(table, byte_by_byte, accepted, pipelined)
