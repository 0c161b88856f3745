#!/usr/bin/env python3
"""The whole upload of a made-up shop, 18 months of 8,000 sales and about 20,000 rows of stock: seconds from the first
byte sent to facts stored; processor time against a quarter of the rows (is the cost linear?); the delay of other
answers of the web process meanwhile. One to three minutes. BENCH_UPLOAD_TITLES changes the size.

Figures (ours, peer, target): the peer is what is asked for, or four times the small upload.
"""
import glob
import http.client
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "server"))
import golden_upload as golden  # noqa: E402
from jobs_support import Jobs  # noqa: E402

TITLES = int(os.environ.get("BENCH_UPLOAD_TITLES", "24000"))


def figure(name, ours, peer, target, direction):
    print(f"@figure\t{name}\t{ours:.6g}\t{peer:.6g}\t{target}\t{direction}", flush=True)


def cpu(pid):
    total, found = 0, [pid]
    for p in found:
        with open(f"/proc/{p}/stat") as f:
            t = f.read().rsplit(")", 1)[1].split()
        total += int(t[11]) + int(t[12])
        with open(f"/proc/{p}/task/{p}/children") as f:
            found += [int(c) for c in f.read().split()]
    return total / os.sysconf("SC_CLK_TCK")


def others(server, stop, delays):
    """Somebody who looks at the months, a hundred times a second."""
    c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    while not stop.is_set():
        at = time.monotonic()
        c.request("GET", "/api/v1/data/months", headers={"X-API-Key": server.key})
        c.getresponse().read()
        delays.append(time.monotonic() - at)
        time.sleep(0.01)
    c.close()


def export(server):
    for form in ("csv", "parquet"):
        at = time.monotonic()
        c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        c.request("GET", "/api/v1/data/export/features?format=" + form, headers={"X-API-Key": server.key})
        n = len(c.getresponse().read())
        c.close()
        print("features as %s: %.1f MB in %.1f s" % (form, n / 1e6, time.monotonic() - at))


def upload(titles, rows):
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([os.environ["PLASTINKA"], "generate", "sales", folder, "--titles", str(titles), "--rows", str(rows),
                        "--months", "18", "--start", "2025-01"], check=True, stdout=subprocess.DEVNULL)
        files = [["stock", folder + "/stock.xlsx", "stock.xlsx"]]
        files += [["sales", p, os.path.basename(p)] for p in sorted(glob.glob(folder + "/sales/*.xlsx"))]
        server, stop, delays = Jobs(), threading.Event(), []
        try:
            other = threading.Thread(target=others, args=(server, stop, delays))
            before = cpu(server.proc.pid)
            at = time.monotonic()
            status, answer = golden.post(server, files, {})
            assert status == 202, answer
            other.start()
            job = server.ended(answer["job_id"], 300)
            seconds = time.monotonic() - at
            stop.set()
            other.join()
            used = cpu(server.proc.pid) - before
            export(server)
            own = sorted(r["ms"] for r in (json.loads(x) for x in server.logged().splitlines() if x.startswith("{"))
                         if r.get("path") == "/api/v1/data/months")
        finally:
            stop.set()
            server.stop()
    assert job["status"] == "completed", job
    r = job["result"]
    print("%d rows of sales and stock, %d products, %d months: %.1f s, %.1f s of processors; %s" % (
        r["rows"]["read"], r["products"], len(r["months"]), seconds, used,
        ", ".join("%s %.1f" % (s["name"], s["seconds"]) for s in job["steps"])))
    return seconds, used, sorted(delays), own


_, small, _, _ = upload(TITLES // 4, 2000)
seconds, large, delays, own = upload(TITLES, 8000)
figure("upload_seconds", seconds, 10, 1, "lower")
figure("upload_linear", large, 4 * small, 1.15, "lower")
p99 = delays[int(len(delays) * 0.99)] * 1000
print("%d answers meanwhile, as the client sees them: median %.2f ms, p99 %.2f ms; as the server counts: p99 %.2f ms" % (
    len(delays), delays[len(delays) // 2] * 1000, p99, own[int(len(own) * 0.99)]))
figure("upload_others_p99_ms", p99, 10, 1, "lower")
