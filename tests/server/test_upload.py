"""Uploads over HTTP beyond the golden cases: dry run, two at once, a killed worker, an edited profile, what is
stored, and who may."""
import os
import signal
import subprocess
import tempfile
import time

import golden_upload as golden
import upload_support as support
from http_support import check, run, same, wait_for
from jobs_support import Jobs
from upload_support import HEAD, table


def month(folder, number, n=3, head=HEAD):
    first = "2025-%02d" % number
    return [table(folder, "stock_%d.csv" % number, "stock", [("A", 1000, "2025-01-01", 2)], head),
            table(folder, "sales_%d.csv" % number, "sales",
                  [("A", 1000, "2025-01-01", first + "-%02d" % (28 if i == 0 else 1 + i % 28)) for i in range(n)], head)]


def ends(server, files, fields=None):
    status, answer = golden.post(server, files, fields or {})
    same(status, 202, answer)
    return server.ended(answer["job_id"], 120)


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


@with_server
def test_dry_run_and_what_is_stored(server, folder):
    files = month(folder, 1)
    job = ends(server, files, {"dry_run": True})
    same(job["status"], "completed", job)
    same(job["result"]["is_published"], False)
    same(job["result"]["changes"]["months"][0]["is_replaced"], False)
    same(server.api("/api/v1/data/months")[1], {"months": [], "missing_months": []})
    job = ends(server, files)
    same([s["name"] for s in job["steps"]],
         ["read files", "clean rows", "check laws", "stock history", "features", "publish"])
    months = server.api("/api/v1/data/months")[1]["months"]
    same([m["month"] for m in months], ["2025-01-01"])
    same((months[0]["units"], months[0]["revenue"]), (3, 3000))
    page = server.api("/api/v1/data/products?limit=2&artist=a")[1]
    same(len(page["products"]), 2)
    rest = server.api("/api/v1/data/products?limit=2&cursor=%d" % page["next_cursor"])[1]
    same((len(rest["products"]), rest.get("next_cursor")), (1, None))
    one = server.api("/api/v1/data/products/%d" % page["products"][0]["multiindex_id"])[1]
    same([h["month"] for h in one["history"]], ["2025-01-01"])
    same(server.api("/api/v1/data/products/999")[0], 404)
    same(server.api("/api/v1/data/products?artist=%25")[1]["products"], [])
    same(os.listdir(str(server.data) + "/uploads"), [], "the files go with a job that ends well")


@with_server
def test_two_at_once(server, folder):
    months = [month(folder, n) for n in (1, 2, 3)]
    ends(server, months[0])
    ids = [golden.post(server, m, {})[1]["job_id"] for m in months[1:]]
    same([server.ended(i, 60)["status"] for i in ids], ["completed", "completed"])
    same(len(server.api("/api/v1/data/months")[1]["months"]), 3, "no month is lost")


def kill_worker(server):
    out = subprocess.run(["ps", "--ppid", str(server.proc.pid), "-o", "pid=,args="], stdout=subprocess.PIPE,
                         text=True).stdout
    for line in out.splitlines():
        if " work " in line:
            os.kill(int(line.split()[0]), signal.SIGKILL)


@with_server
def test_killed_worker(server, folder):
    files = month(folder, 1, 60000)
    ends(server, month(folder, 2))
    before = support.snapshot(str(server.data) + "/database/plastinka.db")
    status, answer = golden.post(server, files, {})
    same(status, 202)
    for _ in range(2):  # the third death of a worker would park the job
        check(wait_for(lambda: server.job(answer["job_id"])["status"] in ("running", "completed"), 20))
        time.sleep(0.3)
        kill_worker(server)
        now = support.snapshot(str(server.data) + "/database/plastinka.db")
        check(now == before or len(now["data_months"]) == 2, "all or nothing")
    job = server.ended(answer["job_id"], 120)
    same(job["status"], "completed", job.get("error"))
    same(server.sql("SELECT count(*), sum(status = 'completed') FROM processing_runs"), [(2, 2)], "published once")
    same(server.sql("SELECT sum(units) FROM data_months"), [(60003,)])


@with_server
def test_edited_profile(server, folder):
    ends(server, month(folder, 1))
    job = ends(server, month(folder, 2, head=HEAD.replace("Цена, руб.", "Price")))
    same((job["status"], job["error_code"], job["error_details"]["columns"]), ("failed", "missing_columns", ["price"]))
    old = server.job(job["job_id"])["generation"]
    text = (server.flows / "catalogue.lua").read_text()
    text = text.replace('"Цена, руб."', '"Цена, руб.", "Price"')
    text = text.replace("rules = {", 'rules = { { name = "names", sql = "UPDATE item SET artist = \'The \' || artist" },', 1)
    server.write("catalogue.lua", text)
    check(wait_for(lambda: server.get("/health")[1].get("generation") not in (None, old), 20), "reloaded")
    job = ends(server, month(folder, 2, head=HEAD.replace("Цена, руб.", "Price")))
    same(job["status"], "completed", job)
    same(server.sql("SELECT DISTINCT artist FROM dim_multiindex_mapping ORDER BY 1"), [("A",), ("The A",)])


@with_server
def test_refusals(server, folder):
    files = month(folder, 1)
    same(golden.post(server, files, {"stock_date": "31.12.2025"})[0], 422)
    same(golden.post(server, files, {"overwrite": "perhaps"})[0], 422)
    same(golden.post(server, files[1:], {})[0], 422)
    same(server.api("/api/v1/jobs/data-upload", "POST", {})[0], 415)
    same(server.sql("SELECT count(*) FROM jobs WHERE job_type = 'data_upload'"), [(0,)])
    same(os.listdir(str(server.data) + "/uploads"), [])


@with_server
def test_health_sees_gaps(server, folder):
    ends(server, month(folder, 1))
    ends(server, month(folder, 2))
    ends(server, month(folder, 3))
    same(server.api("/health")[1]["components"]["database"]["status"], "healthy")
    server.change("DELETE FROM data_months WHERE data_date = '2025-02-01'")
    check(wait_for(lambda: server.api("/health")[0] == 503, 10), "unhealthy")
    same(server.api("/health")[1]["components"]["database"]["details"], {"missing_months_sales": ["2025-02"]})
    same(server.api("/api/v1/data/months")[1]["missing_months"], ["2025-02-01"])


run(test_health_sees_gaps, test_dry_run_and_what_is_stored, test_two_at_once, test_killed_worker, test_edited_profile, test_refusals)
