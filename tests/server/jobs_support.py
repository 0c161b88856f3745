"""What the black-box tests of jobs share: a server with workers, its jobs over HTTP, its database."""
import http.client
import json
import os
import signal
import sqlite3
import time

from http_support import check, wait_for
from test_serve import Serve

ENDED = ("completed", "failed", "cancelled")

TEN_STEPS = """return { summary = "ten steps", refractory = 0, params = { ["pause?"] = "number" }, run = function(job)
  local task = require("task")
  for i = 1, 10 do
    job:transact("step " .. i, function(db)
      db:exec("INSERT INTO settings(name, value) VALUES(?, '1') ON CONFLICT DO UPDATE SET value = value + 1",
        { "effect " .. job.id .. " " .. i })
      return i
    end)
    if job.params.pause then task.sleep(job.params.pause) end
  end
  return { steps = 10 }
end }
"""


class Jobs(Serve):
    """files: {"jobs/x.lua": text}. One work process unless args say otherwise."""

    def __init__(self, *args, files=None, **kw):
        super().__init__("--work-processes", "1", *args, files=files, **kw)

    def api(self, path, method="GET", value=None, headers=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        h = {"X-API-Key": self.key, **(headers or {})}
        body = None
        if value is not None:
            body = json.dumps(value)
            h["Content-Type"] = "application/json"
        c.request(method, path, body, h)
        r = c.getresponse()
        text = r.read()
        self.answer_headers = dict((k.lower(), v) for k, v in r.getheaders())
        c.close()
        return r.status, json.loads(text) if text[:1] in (b"{", b"[") else text

    def submit(self, name, params=None, headers=None):
        status, body = self.api("/api/v1/jobs/" + name, "POST", params or {}, headers)
        check(status == 202, name, status, body)
        return body["job_id"]

    def job(self, job_id):
        return self.api("/api/v1/jobs/" + job_id)[1]

    def ended(self, job_id, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            j = self.job(job_id)
            if j["status"] in ENDED:
                return j
            time.sleep(0.02)
        raise AssertionError(f"job still {j['status']}: {json.dumps(j)[:2000]}\n{self.logged()[-2000:]}")

    def until(self, job_id, status, seconds=20):
        check(wait_for(lambda: self.job(job_id)["status"] == status, seconds), status, self.job(job_id))

    def sql(self, text, args=()):
        db = sqlite3.connect(f"file:{self.data}/database/plastinka.db?mode=ro", uri=True, timeout=30)
        try:
            return db.execute(text, args).fetchall()
        finally:
            db.close()

    def change(self, text, args=()):
        db = sqlite3.connect(f"{self.data}/database/plastinka.db", timeout=30)
        db.execute(text, args)
        db.commit()
        db.close()

    def workers(self):
        return [int(p) for (p,) in self.sql("SELECT pid FROM workers WHERE role = 'work' ORDER BY started_at")
                if os.path.exists(f"/proc/{p}/stat") and open(f"/proc/{p}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"]

    def kill_worker(self):
        check(wait_for(self.workers, 10), "a worker")
        for pid in self.workers():
            os.kill(pid, signal.SIGKILL)


def stream(serve, job_id, last_id=None, limit=None, timeout=20):
    """Server-sent events of a job as (id, event, data) until its end, or until `limit` of them came."""
    c = http.client.HTTPConnection("127.0.0.1", serve.port, timeout=timeout)
    headers = {"X-API-Key": serve.key, "Accept": "text/event-stream"}
    if last_id:
        headers["Last-Event-ID"] = str(last_id)
    c.request("GET", f"/api/v1/jobs/{job_id}/events", headers=headers)
    r = c.getresponse()
    check(r.status == 200 and r.getheader("content-type").startswith("text/event-stream"), r.status, r.getheaders())
    events, one = [], {}
    for line in r:
        line = line.decode().rstrip("\n")
        if line == "" and one:
            events.append((one.get("id"), one.get("event"), json.loads(one.get("data", "null"))))
            if one.get("event") == "end" or (limit and len(events) >= limit):
                break
            one = {}
        elif ": " in line and not line.startswith(":"):
            k, v = line.split(": ", 1)
            one[k] = one[k] + "\n" + v if k in one else v
    c.close()
    return events
