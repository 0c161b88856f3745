"""What becomes of an upload that is sent twice, cut short, or killed at any step: no file is left behind, no month is
half there, nothing counts twice."""
import os
import signal
import socket
import subprocess
import tempfile
import time

import golden_upload as golden
import upload_support as support
from http_support import check, run, same, wait_for
from jobs_support import Jobs
from upload_support import table


def month(folder, number, n=3, artist="A"):
    first = "2025-%02d" % number
    return [table(folder, "stock_%d.csv" % number, "stock", [(artist, 1000, "2025-01-01", 2)]),
            table(folder, "sales_%d.csv" % number, "sales",
                  [(artist, 1000, "2025-01-01", first + "-%02d" % (28 if i == 0 else 1 + i % 28)) for i in range(n)])]


def with_server(test):
    def go():
        server = Jobs()
        try:
            with tempfile.TemporaryDirectory() as folder:
                test(server, folder)
        finally:
            server.stop()
    go.__name__ = test.__name__
    return go


def uploads(server):
    folder = str(server.data) + "/uploads"
    return os.listdir(folder) if os.path.isdir(folder) else []


@with_server
def test_idempotency_key(server, folder):
    files, key = month(folder, 1), {"Idempotency-Key": "january"}
    status, first = golden.post(server, files, {}, key)
    same(status, 202, first)
    status, again = golden.post(server, files, {}, key)
    same((status, again["job_id"]), (200, first["job_id"]))
    renamed = [[kind, path, "other.csv"] for kind, path, _ in files]
    same(golden.post(server, renamed, {}, key)[1].get("job_id"), first["job_id"], "what is in the files counts")
    for other, fields in ((month(folder, 2), {}), (files, {"overwrite": True}), (files, {"dry_run": True})):
        status, answer = golden.post(server, other, fields, key)
        same((status, answer["error"]["code"]), (409, "idempotency_conflict"))
    same(server.ended(first["job_id"], 60)["status"], "completed")
    check(wait_for(lambda: uploads(server) == [], 10), uploads(server))
    same(server.sql("SELECT count(*) FROM jobs WHERE job_type = 'data_upload'"), [(1,)])


@with_server
def test_client_leaves(server, folder):
    body, kind = golden.multipart(month(folder, 1, 20000), {})
    head = ("POST /api/v1/jobs/data-upload HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\nContent-Type: %s\r\n"
            "Content-Length: %d\r\n\r\n" % (server.key, kind, len(body))).encode()
    for share in (0.0005, 0.3, 0.7, 0.9999):
        s = socket.create_connection(("127.0.0.1", server.port))
        s.sendall(head + body[:int(len(body) * share)])
        if share > 0.1:
            check(wait_for(lambda: uploads(server) != [], 10), "the file is being written")
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        s.close()
        check(wait_for(lambda: uploads(server) == [], 20), uploads(server))
    same(server.sql("SELECT count(*) FROM jobs WHERE job_type = 'data_upload'"), [(0,)])


@with_server
def test_same_twice_at_once(server, folder):
    files = month(folder, 1, 5000)
    ids = [golden.post(server, files, {})[1]["job_id"] for _ in range(3)]
    jobs = [server.ended(i, 120) for i in ids]
    same([j["status"] for j in jobs], ["completed"] * 3)
    done = [j for j in jobs if "duplicate_of" not in j["result"]]
    same(len(done), 1, "one counts")
    same({j["result"]["duplicate_of"] for j in jobs if j is not done[0]}, {done[0]["job_id"]})
    same(server.sql("SELECT sum(value) FROM fact_sales"), [(5000,)])
    same(uploads(server), [])


def workers(server):
    out = subprocess.run(["ps", "--ppid", str(server.proc.pid), "-o", "pid=,args="], stdout=subprocess.PIPE,
                         text=True).stdout
    return [int(line.split()[0]) for line in out.splitlines() if " work " in line]


@with_server
def test_killed_at_every_step(server, folder):
    """A month is replaced by another; the worker dies right after each step began. Before or after, never between."""
    db_path = str(server.data) + "/database/plastinka.db"
    same(server.ended(golden.post(server, month(folder, 1, 30), {})[1]["job_id"], 60)["status"], "completed")
    before = support.snapshot(db_path)
    for n, step in enumerate(("read files", "clean rows", "check laws", "stock history", "features", "publish")):
        job_id = golden.post(server, month(folder, 1, 3000 + n, "artist %d" % n), {})[1]["job_id"]
        found = lambda: {s["name"]: s["status"] for s in server.job(job_id)["steps"]}  # noqa: E731
        check(wait_for(lambda: step in found() or server.job(job_id)["status"] == "completed", 60), step)
        for pid in workers(server):
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
        now = support.snapshot(db_path)
        units = sum(row[2] for row in now["fact_sales"])
        check(now == before or units == 3000 + n, "%s: neither the old month nor the new one: %r units" % (step, units))
        job = server.ended(job_id, 120)
        same((job["status"], job["result"]["sold_units"]), ("completed", 3000 + n), job)
        before = support.snapshot(db_path)
        same(sum(row[2] for row in before["fact_sales"]), 3000 + n, step)
        same([row[0] for row in before["data_months"]], ["2025-01-01"], step)
    same(server.sql("SELECT count(*) FROM processing_runs"), [(7,)], "each was published once")
    check(wait_for(lambda: uploads(server) == [] and os.listdir(str(server.data) + "/scratch") == [], 20), "left behind")


run(test_idempotency_key, test_client_leaves, test_same_twice_at_once, test_killed_at_every_step)
