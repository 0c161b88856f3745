"""Schedules, webhooks, backup and restore, retention."""
import base64
import hashlib
import hmac
import http.server
import json
import os
import sqlite3
import threading
import time

from http_support import check, run, same, wait_for
from jobs_support import Jobs

FILES = {
    "jobs/tick.lua": "return { summary = 'tick', every = 'every 1s', every_params = { n = 3 }, params = { n = 'integer' }, "
                     "refractory = 0, run = function(job) return job.params.n end }",
    "jobs/nightly.lua": "return { every = 'day 03:00', refractory = 0, run = function() end }",
    "jobs/trivial.lua": "return { refractory = 0, run = function() return { ok = true } end }",
    "jobs/bad.lua": "return { refractory = 0, run = function() error({ code = 'sad', message = 'no' }) end }",
}


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps what it is told; answers 500 to the first request."""

    def __init__(self):
        self.got, self.refuse = [], 1

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                self.server.got.append((dict((k.lower(), v) for k, v in self.headers.items()), body))
                self.server.refuse -= 1
                self.send_response(500 if self.server.refuse >= 0 else 204)
                self.end_headers()

            def log_message(self, *args):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


def verified(secret, headers, body):
    """As a receiver of Standard Webhooks does it, with nothing of ours."""
    key = base64.b64decode(secret[len("whsec_"):])
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return wanted in headers["webhook-signature"].split(" ") and abs(int(headers["webhook-timestamp"]) - time.time()) < 60


def test_schedules():
    s = Jobs("--work-processes", "2", files=FILES)
    check(wait_for(lambda: s.api("/api/v1/jobs?job_type=tick&status=completed")[1]["total"] >= 3, 20), "it ticks")
    firings = s.sql("SELECT instant, count(*) FROM schedule_firings WHERE name = 'tick' GROUP BY instant")
    check(all(n == 1 for _, n in firings), "once for each instant, with two workers", firings)
    jobs, = s.sql("SELECT count(*) FROM jobs WHERE job_type = 'tick' AND schedule_name = 'tick' AND created_by IS NULL")[0]
    check(abs(jobs - len(s.sql("SELECT 1 FROM schedule_firings WHERE name = 'tick'"))) <= 1, jobs)
    schedules = {x["name"]: x for x in s.api("/api/v1/schedules")[1]["schedules"]}
    check(set(schedules) >= {"tick", "nightly", "backup", "retention", "integrity"}, schedules)
    check(schedules["nightly"]["next_at"].endswith("T03:00:00.000Z"), schedules["nightly"])
    same(s.api("/api/v1/schedules/tick/pause", "POST")[1]["paused"], True)
    time.sleep(0.3)
    before = s.sql("SELECT count(*) FROM schedule_firings WHERE name = 'tick'")[0][0]
    time.sleep(1.5)
    same(s.sql("SELECT count(*) FROM schedule_firings WHERE name = 'tick'")[0][0], before, "paused")
    status, body = s.api("/api/v1/schedules/tick/run", "POST")
    same((status, s.ended(body["job_id"])["result"]), (202, 3), "run now")
    same(s.api("/api/v1/schedules/nothing/run", "POST")[0], 404)
    # missed for a long time: one firing, and it is told
    s.change("UPDATE schedules SET next_at = strftime('%Y-%m-%dT03:00:00.000Z', 'now', '-3 days') WHERE name = 'nightly'")
    s.api("/api/v1/schedules/tick/resume", "POST")
    check(wait_for(lambda: s.sql("SELECT 1 FROM schedule_firings WHERE name = 'nightly'"), 10), "made up for")
    time.sleep(0.5)
    same(len(s.sql("SELECT * FROM schedule_firings WHERE name = 'nightly'")), 1, "once")
    nightly = {x["name"]: x for x in s.api("/api/v1/schedules")[1]["schedules"]}["nightly"]
    check(2 <= nightly["n_missed"] <= 3, nightly)
    check('"event":"firings of a schedule were missed"' in s.logged(), "reported")
    # gone from the workflows, gone from the plan; a wrong text is refused with its file
    os.remove(s.flows / "jobs/tick.lua")
    s.write("jobs/wrong.lua", "return { every = 'sometimes', run = function() end }")
    check(wait_for(lambda: "workflows/jobs/wrong.lua: every is sometimes" in s.logged(), 15), "refused")
    os.remove(s.flows / "jobs/wrong.lua")
    check(wait_for(lambda: "tick" not in {x["name"] for x in s.api("/api/v1/schedules")[1]["schedules"]}, 40), "forgotten")
    s.stop()


def test_webhooks():
    s, r = Jobs(files=FILES), Receiver()
    s.api("/api/v1/schedules/tick/pause", "POST")
    url = f"http://127.0.0.1:{r.server_port}/hook"
    status, hook = s.api("/api/v1/webhooks", "POST", {"url": url, "job_type": "trivial"})
    same(status, 201, hook)
    same(s.api("/api/v1/webhooks", "POST", {"url": "ftp://x.example"})[0], 422)
    check("secret" not in json.dumps(s.api("/api/v1/webhooks")[1]), "the secret is not shown again")
    job_id = s.submit("trivial")
    s.ended(job_id)
    s.ended(s.submit("bad"))
    check(wait_for(lambda: len(r.got) >= 2, 20), "tried again after a refusal", r.got)
    for headers, body in r.got:
        check(verified(hook["secret"], headers, body), headers, body)
    same(r.got[0][0]["webhook-id"], r.got[1][0]["webhook-id"], "the same message")
    told = json.loads(r.got[1][1])
    same((told["type"], told["data"]["job_id"], told["data"]["status"], told["data"]["result"]),
         ("job.completed", job_id, "completed", {"ok": True}), told)
    check(wait_for(lambda: s.api(f"/api/v1/webhooks/{hook['webhook_id']}/deliveries")[1]["deliveries"][0]["status"]
                   == "delivered", 5), s.api(f"/api/v1/webhooks/{hook['webhook_id']}/deliveries"))
    same(len(r.got), 2, "not told of the other job")
    status, all_of = s.api("/api/v1/webhooks", "POST", {"url": url, "events": ["failed"]})
    s.ended(s.submit("bad"))
    check(wait_for(lambda: len(r.got) == 3, 10), "told of a failure")
    same(json.loads(r.got[2][1])["data"]["error"], {"code": "sad", "message": "no"})
    same(s.api(f"/api/v1/webhooks/{hook['webhook_id']}", "DELETE")[0], 204)
    s.stop()
    r.shutdown()


def test_backup_and_restore():
    s = Jobs(files=FILES)
    job_id = s.submit("trivial")
    s.ended(job_id)
    copy = str(s.dir / "copy.db")
    r = s.command("backup", copy)
    check(r.returncode == 0 and "sound" in r.stdout, r.stdout, r.stderr)
    r = s.command("backup", copy)
    check(r.returncode == 1 and "exists already" in r.stderr, r.stderr)
    r = s.command("restore", copy)
    check(r.returncode == 1 and "is served by process" in r.stderr, r.stderr)
    later = s.submit("trivial")
    s.ended(later)
    j = s.ended(s.submit("backup"))
    same(j["status"], "completed", j["error"])
    check((s.data / j["result"]["file"]).stat().st_size == j["result"]["bytes"], j)
    same(s.ended(s.submit("integrity"))["result"], {"problems": []})
    s.proc.terminate()
    same(s.proc.wait(40), 0)
    db = f"{s.data}/database/plastinka.db"
    damaged = str(s.dir / "damaged.db")
    with open(copy, "rb") as f, open(damaged, "wb") as to:
        text = bytearray(f.read())
        text[8192:40960] = os.urandom(32768)
        to.write(text)
    for wrong in (damaged, __file__, "/no/such/file"):
        r = s.command("restore", wrong)
        check(r.returncode == 1, wrong, r.stdout, r.stderr)
        same(s.sql("SELECT count(*) FROM jobs WHERE job_id = ?", (later,))[0][0], 1, "nothing was touched")
    r = s.command("restore", copy)
    check(r.returncode == 0, r.stdout, r.stderr)
    same(s.sql("SELECT (SELECT count(*) FROM jobs WHERE job_id = ?), (SELECT count(*) FROM jobs WHERE job_id = ?)",
               (job_id, later)), [(1, 0)], "as it was")
    kept = [f for f in os.listdir(os.path.dirname(db)) if ".before-" in f and f[-1].isdigit()]
    same(len(kept), 1, "the one before is kept")
    old = sqlite3.connect(f"{s.data}/database/{kept[0]}")
    same(old.execute("SELECT count(*) FROM jobs WHERE job_id = ?", (later,)).fetchone()[0], 1)
    old.close()
    again = Jobs(data=s.data, files=FILES)
    again.key = s.key
    same(again.job(job_id)["status"], "completed", "it serves")
    again.stop()


def test_retention():
    s = Jobs(files=FILES)
    s.api("/api/v1/schedules/tick/pause", "POST")
    old = s.submit("trivial")
    s.ended(old)
    s.change("UPDATE jobs SET finished_at = '2020-01-01T00:00:00.000Z' WHERE job_id = ?", (old,))
    s.change("INSERT INTO dim_multiindex_mapping VALUES(1, 'b', 'a', 'l', 'Opened', 'p', 't', '1990s', '1990s', 's', 1991)")
    s.change("INSERT INTO fact_sales VALUES(1, '2019-03-05', 2), (1, date('now', '-5 days'), 3)")
    s.change("INSERT INTO fact_stock_changes VALUES(1, '2019-03-05', 2)")
    os.makedirs(s.data / "models", exist_ok=True)
    for name, when in (("old", "2020-01-01T00:00:00.000Z"), ("new", "2099-01-01T00:00:00.000Z")):
        (s.data / "models" / name).write_text("x")
        s.change("INSERT INTO models(model_id, model_path, created_at) VALUES(?, ?, ?)", (name, "models/" + name, when))
    status, body = s.api("/admin/data-retention/clean-historical?sales_days_to_keep=100", "POST")
    same((status, body["records_removed"]["sales"], body["records_removed"]["stock_movement"], body["records_removed"]["total"],
          body["sales_days_kept"]), (200, 1, 1, 2, 100), body)
    status, body = s.api("/admin/data-retention/clean-models", "POST")
    same((status, body["models_removed"], body["models_removed_count"]), (200, ["old"], 1), body)
    same(sorted(os.listdir(s.data / "models")), ["new"])
    same(s.api("/admin/data-retention/clean-predictions?days_to_keep=0", "POST")[0], 422)
    same(s.api("/admin/data-retention/clean-predictions", "POST")[1]["records_removed"], 0)
    status, body = s.api("/api/v1/admin/cleanup", "POST")
    same(status, 202)
    j = s.ended(body["job_id"])
    same((j["status"], j["result"]["jobs"]), ("completed", 1), j)
    same(s.api(f"/api/v1/jobs/{old}")[0], 404)
    same(s.api("/admin/data-retention/cleanup", "POST")[0], 200)
    s.stop()


if __name__ == "__main__":
    run(test_schedules, test_webhooks, test_backup_and_restore, test_retention)
