"""The disk is full: files of the running processes cannot grow any more (a limit of their size, which needs no
other disk and no special rights). Uploads and submissions are refused, jobs wait with their end, the log loses
lines but never half a line, and all goes on when there is room again."""
import json
import os
import resource
import sqlite3
import time

from http_support import check, run, same, wait_for
from jobs_support import Jobs

FILES = {
    "jobs/trivial.lua": "return { refractory = 0, run = function() return 1 end }",
    "jobs/slow.lua": """return { refractory = 0, run = function(job)
      job:step("before", function() return 1 end)
      require("task").sleep(1.5)
      job:log("behind")
      job:step("after", function() return 2 end)
      return "whole"
    end }""",
    "routes/save.lua": """local crypto, settings = require("crypto"), require("settings")
    return { ["POST /save"] = { summary = "to disk", role = false, body_max = 100000000, run = function(req)
      local bytes = req:save(settings.data_root_dir .. "/uploads/" .. crypto.uuid())
      return { bytes = bytes }
    end } }""",
}


def processes(s):
    out = [s.proc.pid]
    for d in os.listdir("/proc"):
        if d.isdigit():
            try:
                with open(f"/proc/{d}/stat") as f:
                    if int(f.read().rsplit(")", 1)[1].split()[1]) == s.proc.pid:
                        out.append(int(d))
            except (OSError, ValueError):
                pass
    return out


def room(s, n):
    for pid in processes(s):
        hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (n if n is not None else hard, hard))


def save(s, size):
    status, body = s.get("/save", {"Content-Type": "application/octet-stream"}, "POST", b"x" * size)
    return status, body


def test_full_disk():
    s = Jobs(files=FILES)
    log = s.dir / "log"
    same(s.ended(s.submit("trivial"))["status"], "completed")
    same(save(s, 3000000), (200, {"bytes": 3000000}))
    pids = sorted(processes(s))
    kept = sorted(os.listdir(s.data / "uploads"))
    slow = s.submit("slow")
    check(wait_for(lambda: s.sql("SELECT 1 FROM job_steps WHERE name = 'before' AND status = 'completed'"), 10), "begun")
    room(s, 4096)
    status, body = save(s, 3000000)
    same((status, body["error"]["code"]), (507, "storage_full"), body)
    same(sorted(os.listdir(s.data / "uploads")), kept, "nothing half is left")
    status, body = s.api("/api/v1/jobs/trivial", "POST", {})
    same((status, body["error"]["code"]), (507, "storage_full"), body)
    for _ in range(200):
        same(s.get("/word"), (200, {"word": "one"}), "what needs no disk is served")
    same(s.api(f"/api/v1/jobs/{slow}")[1]["status"], "running")
    time.sleep(3)  # the job ends meanwhile and cannot say so
    same(s.api(f"/api/v1/jobs/{slow}")[1]["status"], "running")
    room(s, None)
    j = s.ended(slow, 60)
    same((j["status"], j["result"]), ("completed", "whole"), j["error"])
    same({x["name"]: x["status"] for x in j["steps"]}, {"before": "completed", "after": "completed"})
    same(s.ended(s.submit("trivial"))["status"], "completed")
    same(save(s, 3000000), (200, {"bytes": 3000000}))
    same(sorted(processes(s)), pids, "nobody died")
    before = len(log.read_text().splitlines())
    s.get("/word")
    check(wait_for(lambda: len(log.read_text().splitlines()) > before, 10), "the log goes on")
    half = []
    for line in log.read_text().splitlines():
        try:
            json.loads(line)
        except ValueError:
            half.append(line)
            check(line.startswith('{"time"') and line.count('{"time"') == 1, "two lines in one", line[:400])
    check(len(half) <= len(pids), "half a line for each process at most", half)
    check('"event":"log lines lost"' in log.read_text(), "what is missing is counted")
    db = sqlite3.connect(f"{s.data}/database/plastinka.db", timeout=30)
    same(db.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
    db.close()
    s.stop()


if __name__ == "__main__":
    run(test_full_disk)
