"""The HTTP client of scripts over TLS and through a proxy: tests/server/fetch_tls.lua does the asking."""
import os
import socket
import subprocess
import sys
import tempfile
import threading

PLASTINKA = os.environ["PLASTINKA"]
SOURCE = os.environ.get("SOURCE_DIR", ".")
seen = []


def pump(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    for s in (a, b):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(client):
    """CONNECT becomes a tunnel; a request with a whole address is passed on."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = client.recv(65536)
        if not data:
            return
        head += data
    method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
    seen.append((method, target))
    place = target if method == "CONNECT" else target.split("/")[2]
    host, port = place.rsplit(":", 1)
    other = socket.create_connection((host, int(port)))
    if method == "CONNECT":
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    else:
        other.sendall(head.replace(target.encode(), b"/" + target.split("/", 3)[3].encode(), 1))
    threading.Thread(target=pump, args=(other, client), daemon=True).start()
    pump(client, other)


def accept(listener):
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client,), daemon=True).start()


with tempfile.TemporaryDirectory() as folder:
    cert, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                    "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=accept, args=(listener,), daemon=True).start()
    done = subprocess.run([PLASTINKA, "lua", os.path.join(SOURCE, "tests/server/fetch_tls.lua"), cert, key,
                           str(listener.getsockname()[1])], capture_output=True, text=True, timeout=60)
    print(done.stdout, end="")
    if done.returncode != 0 or "checks" not in done.stdout:
        sys.exit(done.stderr)
    if [method for method, _ in seen] != ["CONNECT", "GET"]:
        sys.exit(f"the proxy saw {seen}")
