"""plastinka demo: the whole month over the API, unattended; a server that stays; what it says when it cannot."""
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile

from http_support import PLASTINKA, check, run, same

ENV = {k: v for k, v in os.environ.items() if not k.startswith(("API_", "PLASTINKA_", "DATA_ROOT"))}


def demo(*args, seconds=240, **kw):
    p = subprocess.run([PLASTINKA, "demo", *args], capture_output=True, text=True, timeout=seconds, env=ENV, **kw)
    return p.returncode, p.stdout, p.stderr


def books(folder):
    subprocess.run([PLASTINKA, "generate", "sales", folder, "--titles", "40", "--months", "8", "--start", "2025-01"],
                   check=True, stdout=subprocess.DEVNULL, timeout=120)


def test_whole():
    with tempfile.TemporaryDirectory(prefix="plastinka-test-") as d:
        books(d + "/books")
        data = d + "/data"
        code, out, err = demo("books", "--exit", "--port", "0", "--data", data, cwd=d)
        same(code, 0, out, err)
        for word in ("upload and cleaning", "training and forecast", "this forecast", "mean of three months", "/docs",
                     "The server is stopped"):
            check(word in out, word, out)
        check(re.search(r"rows, \d+ rejected, \d+ products, 8 months", out), out)
        same(sorted(os.listdir(data))[:2], ["database", "jobs"], os.listdir(data))
        check(not os.path.exists(data + "/scratch/demo.form"), "the form is gone")
        code, _, err = demo("--exit", "--port", "0", "--data", data)
        same((code, "fresh one" in err), (1, True), err)


def test_stays():
    with tempfile.TemporaryDirectory(prefix="plastinka-test-") as d:
        books(d + "/books")
        p = subprocess.Popen([PLASTINKA, "demo", d + "/books", "--port", "0", "--host", "127.0.0.1", "--data", d + "/data"],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENV)
        try:
            port = None
            for line in p.stdout:
                m = re.search(r"http://127\.0\.0\.1:(\d+)/docs .* (plk_\S+)", line)
                if m:
                    port, key = int(m.group(1)), m.group(2)
                if "Ctrl-C stops it" in line:
                    break
            check(port, "it says where")
            c = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            c.request("GET", "/api/v1/models-configs/models/active", headers={"X-API-Key": key})
            same(c.getresponse().status, 200, "it goes on")
            c.close()
            p.send_signal(signal.SIGTERM)
            same(p.wait(30), 0)
            with socket.socket() as s:
                check(s.connect_ex(("127.0.0.1", port)) != 0, "and ends with the demo")
        finally:
            p.kill()
            p.communicate()


def test_refusals():
    with tempfile.TemporaryDirectory(prefix="plastinka-test-") as d, socket.socket() as s:
        s.bind(("0.0.0.0", 0))
        s.listen()
        port = str(s.getsockname()[1])
        code, _, err = demo("--port", port, "--data", d + "/one")
        same(code, 1)
        check("port " + port + " is taken" in err and "--port N" in err, err)
        code, out, _ = demo(d, "--exit", "--port", "0", "--data", d + "/two")
        same(code, 1)
        check("has no stock.xlsx" in out, out)
        books(d + "/books")
        shutil.rmtree(d + "/books/sales")
        code, out, _ = demo(d + "/books", "--exit", "--port", "0", "--data", d + "/three")
        same((code, "sales has no workbooks" in out), (1, True), out)
        for args in (["--exitt"], ["a", "b"], [d + "/none"]):
            code, _, err = demo(*args, "--data", d + "/four")
            same(code, 2, args, err)
            check("usage: plastinka demo" in err, err)
        same(demo("--help")[0], 0)


if __name__ == "__main__":
    run(test_refusals, test_whole, test_stays)
