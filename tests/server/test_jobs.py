"""Jobs over HTTP: running, steps, retries, cancelling, signals, children, hostile scripts, events."""
import os
import sqlite3
import threading
import time

from http_support import SANITIZED, check, run, same, wait_for
from jobs_support import Jobs, stream

LEARN = """local data = tensor.random({ 200, 400 }, { kind = "uniform", seed = 1 })
    local m <close> = tide.new({ input_chunk = 30, output_chunk = 5, hidden_size = 64, quantiles = { 0.1, 0.5, 0.9 },
      decoder_output_dim = 4, temporal_decoder_hidden = 16 })
    m:fit({ target = data }, { epochs = 100000, batch_size = 64 })"""

FILES = {
    "jobs/trivial.lua": """return { summary = "nothing", params = { n = "integer = 1" }, refractory = 0,
  run = function(job) return { n = job.params.n } end }""",
    "jobs/locked.lua": """return { params = { n = "integer = 1" }, refractory = "60s",
  run = function(job) if job.params.n < 0 then error({ code = "negative", message = "below zero" }) end end }""",
    "jobs/flaky.lua": """return { params = { good_at = "integer", ["plain?"] = "boolean" }, refractory = 0, attempts = 3,
  backoff = "50ms", run = function(job)
    job:step("once", function() job:log("attempt " .. job.attempt, "warn") return 1 end)
    if job.attempt < job.params.good_at then
      error({ code = "shaky", message = "not yet", retryable = not job.params.plain, details = { at = job.attempt } })
    end
    return job.attempt
  end }""",
    "jobs/slow.lua": """return { refractory = 0, params = { ["seconds?"] = "number" }, run = function(job)
    job:progress(0.5, "half")
    require("task").sleep(job.params.seconds or 60)
  end }""",
    "jobs/family.lua": """return { refractory = 0, run = function(job)
    local a, b = job:spawn("trivial", { n = 20 }), job:spawn("trivial", { n = 22 })
    return job:wait(a).n + job:wait(b).n
  end }""",
    "jobs/approval.lua": """return { refractory = 0, params = { ["timeout?"] = "text" }, run = function(job)
    job:step("ask", function() return true end)
    return job:wait_for("approved", { timeout = job.params.timeout })
  end }""",
    "jobs/one_at_a_time.lua": """return { refractory = 0, concurrency = 1, run = function(job)
    require("task").sleep(0.15)
  end }""",
    "jobs/maker.lua": """return { refractory = 0, run = function(job)
    require("fs").write(job:file("list.csv"), "a;b\\n1;2\\n")
    local s = job:scratch()
    s:exec("CREATE TABLE t(x)")
    for i = 1, 10 do s:exec("INSERT INTO t VALUES(?)", { i }) end
    return s:value("SELECT sum(x) FROM t")
  end }""",
    "jobs/compute.lua": """return { refractory = 0, run = function(job)
    job:progress(0.1)
    return job:scratch():value("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n")
  end }""",
    "jobs/learn.lua": """return { refractory = 0, run = function(job)
    local tensor, tide = require("tensor"), require("tide")
    job:progress(0.1)
    %s
  end }""" % LEARN,
    "jobs/twice.lua": """return { refractory = 0, run = function(job)
    job:step("a", function() return 1 end) job:step("a", function() return 2 end)
  end }""",
}
HOSTILE = {
    "loop": ("while true do end", "killed"),
    "pcall_loop": ("while true do pcall(function() while true do end end) end", "killed"),
    "memory": ("local t = {} while true do t[#t + 1] = ('x'):rep(1000000) .. #t end", "nomem"),
    "no_json": ("return { f = print }", "invalid"),
    "no_json_step": ("job:step('x', function() return { [1.5] = 1 } end)", "invalid"),
    "text_error": ("error('plain words')", "script_error"),
    "odd_error": ("error(setmetatable({}, { __index = function() error('no') end }))", "script_error"),
    "too_long": ("require('task').sleep(60)", "timeout"),
    "step_in_step": ("job:step('a', function() job:sleep('1h') end)", "invalid"),
}


def server(*args):
    files = dict(FILES)
    for name, (text, _) in HOSTILE.items():
        deadline = "3s" if name == "too_long" else "90s"  # a whole job's: the others end by what they do
        files[f"jobs/bad_{name}.lua"] = ("return { refractory = 0, deadline = '%s', run = function(job) %s end }"
                                         % (deadline, text))
    files["jobs/chatty.lua"] = """return { refractory = 0, run = function(job)
      local line = ("x"):rep(10000)
      for i = 1, 10000 do job:log(line) if i % 100 == 0 then require("task").sleep(0) end end
    end }"""
    return Jobs(*args, files=files)


def cpu(pid):
    with open(f"/proc/{pid}/stat") as f:
        t = f.read().rsplit(")", 1)[1].split()
    return (int(t[11]) + int(t[12])) / os.sysconf("SC_CLK_TCK")


def test_busy_database():
    """Somebody holds the database for longer than anybody waits for it: jobs end all the same."""
    s = Jobs("--database-busy-seconds", "1", files=dict(FILES))
    ids = [s.submit("slow", {"seconds": 0.5}), s.submit("trivial")]
    s.until(ids[0], "running")
    db = sqlite3.connect(f"{s.data}/database/plastinka.db", timeout=30, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    time.sleep(float(os.environ.get("BUSY_SECONDS", "10")))
    db.execute("COMMIT")
    db.close()
    for job_id in ids:
        j = s.ended(job_id)
        same((j["status"], j["attempt"]), ("completed", 1), j["error"])
    s.stop()


def test_life():
    s = server("--job-burst-seconds", "2" if SANITIZED else "0.3", "--vm-memory-bytes", "64MiB")
    started = time.monotonic()
    job_id = s.submit("trivial", {"n": 5})
    j = s.ended(job_id)
    check(time.monotonic() - started < 5, "seconds", time.monotonic() - started)
    same((j["status"], j["result"], j["progress"], j["attempt"], j["job_type"]), ("completed", {"n": 5}, 100, 1, "trivial"))
    same([h["status"] for h in j["history"]], ["pending", "running", "completed"])
    check(j["generation"] and j["created_at"] <= j["started_at"] <= j["finished_at"], j)
    # wrong requests
    same(s.api("/api/v1/jobs/trivial", "POST", {"n": "x"})[0], 422)
    same(s.api("/api/v1/jobs/trivial", "POST", {"nn": 1})[0], 422)
    same(s.api("/api/v1/jobs/nothing", "POST", {})[0], 404)
    same(s.api("/api/v1/jobs/nothing")[1]["error"]["code"], "job_not_found")
    same(s.api("/api/v1/jobs/nothing/cancel", "POST")[0], 404)
    same(s.api(f"/api/v1/jobs/{job_id}/cancel", "POST")[0], 409)
    same(s.api(f"/api/v1/jobs/{job_id}/retry", "POST")[0], 409)
    # submitted twice
    job_id = s.submit("locked")
    status, body = s.api("/api/v1/jobs/locked", "POST", {"n": 1})
    same((status, body["error"]["code"]), (429, "job_refractory_active"), body)
    check(50 < int(s.answer_headers["retry-after"]) <= 60, s.answer_headers)
    check(body["error"]["details"]["retry_after_seconds"] <= 60, body)
    s.submit("locked", {"n": 2})
    same(s.ended(s.submit("locked", {"n": -1}))["error_code"], "negative")
    same(s.ended(s.submit("locked", {"n": -1}))["error"], "below zero", "a failure lifts the lock")
    key = {"Idempotency-Key": "k1"}
    job_id = s.submit("trivial", {"n": 9}, key)
    status, body = s.api("/api/v1/jobs/trivial", "POST", {"n": 9}, key)
    same((status, body["job_id"]), (200, job_id), "the first job")
    same(s.api("/api/v1/jobs/trivial", "POST", {"n": 8}, key)[0], 409)
    # retries
    j = s.ended(s.submit("flaky", {"good_at": 2}))
    same((j["status"], j["result"], j["attempt"]), ("completed", 2, 2))
    same([x["message"] for x in j["log"]], ["attempt 1"], "the step ran once")
    j = s.ended(s.submit("flaky", {"good_at": 9}))
    same((j["status"], j["attempt"], j["dead"], j["error_code"], j["error_details"]), ("failed", 3, True, "shaky", {"at": 3}))
    dead = s.api("/api/v1/jobs?dead=true")[1]
    same([d["job_id"] for d in dead["jobs"]], [j["job_id"]], "the dead letter")
    same(s.api(f"/api/v1/jobs/{j['job_id']}/retry", "POST")[0], 202)
    same(s.ended(j["job_id"])["attempt"], 3)
    j = s.ended(s.submit("flaky", {"good_at": 2, "plain": True}))
    same((j["status"], j["attempt"], j["dead"]), ("failed", 1, False), "not retryable")
    stats = s.api("/health/retry-stats")[1]
    check(stats["exhausted_retries"] >= 2 and "job.flaky" in stats["operation_stats"], stats)
    same(s.api("/health/retry-stats/reset", "POST")[0], 200)
    same(s.api("/health/retry-stats")[1]["total_retries"], 0)
    # children, signals, files, names
    j = s.ended(s.submit("family"))
    same((j["status"], j["result"]), ("completed", 42), j)
    job_id = s.submit("approval")
    check(wait_for(lambda: s.job(job_id).get("waiting_for") == "approved", 10), s.job(job_id))
    same(s.api(f"/api/v1/jobs/{job_id}/signals/approved", "POST", {"by": "Anna"}), (200, {"first": True}))
    same(s.ended(job_id)["result"], {"by": "Anna"})
    same(s.ended(s.submit("approval", {"timeout": "1s"}))["error_code"], "timeout")
    j = s.ended(s.submit("maker"))
    same(j["result"], 55, j)
    same([(a["name"], a["bytes"], a["content_type"]) for a in j["artifacts"]], [("list.csv", 8, "text/csv")])
    same(s.api(f"/api/v1/jobs/{j['job_id']}/artifacts/list.csv"), (200, b"a;b\n1;2\n"))
    check(s.api(f"/api/v1/jobs/{j['job_id']}/artifacts/..%2Flist.csv")[0] in (400, 404), "no way out of the folder")
    check(wait_for(lambda: not list((s.data / "scratch").iterdir()), 10), "scratch is gone")
    j = s.ended(s.submit("twice"))
    check(j["error_code"] == "invalid" and "ran twice" in j["error"], j)
    # hostile ones: each ends one job, the worker stays
    pids = s.workers()
    for name, (_, code) in HOSTILE.items():
        j = s.ended(s.submit("bad_" + name), 60)
        same((name, j["status"], j["error_code"]), (name, "failed", code), j["error"])
    j = s.ended(s.submit("chatty"), 120)
    same(j["status"], "completed", j["error"])
    check(j["log"][-1]["message"].startswith("the log is full"), j["log"][-1])
    same(s.workers(), pids, "the same worker all along")
    # lists
    page = s.api("/api/v1/jobs?limit=5&job_type=flaky")[1]
    same((len(page["jobs"]), page["total"]), (3, 3))
    all_ids, cursor = [], ""
    while cursor is not None:
        page = s.api("/api/v1/jobs?limit=7" + (f"&cursor={cursor}" if cursor else ""))[1]
        all_ids += [j["job_id"] for j in page["jobs"]]
        cursor = page.get("next_cursor")
    same((len(all_ids), len(set(all_ids))), (page["total"], page["total"]), "every job once")
    page = s.api("/api/v1/jobs?since=2020-01-01T00:00:00Z&status=failed&limit=2")[1]
    same(len(page["jobs"]), 2)
    again = s.api(f"/api/v1/jobs?since=2020-01-01T00:00:00Z&status=failed&limit=2&cursor={page['next_cursor']}")[1]
    check(not {j["job_id"] for j in page["jobs"]} & {j["job_id"] for j in again["jobs"]}, page, again)
    r = s.command("jobs", "list", "--status", "failed")
    check(r.returncode == 0 and "bad_loop" in r.stdout, r.stdout, r.stderr)
    s.stop()


def test_cancel_and_order():
    s = server("--job-concurrency", "3")
    job_id = s.submit("slow")
    s.until(job_id, "running")
    check(wait_for(lambda: s.job(job_id)["progress"] == 50, 5), s.job(job_id))
    at = time.monotonic()
    same(s.api(f"/api/v1/jobs/{job_id}/cancel", "POST")[0], 202)
    j = s.ended(job_id)
    check(time.monotonic() - at < 1.5, "cancelled within", time.monotonic() - at)
    same(j["status"], "cancelled")
    same(s.api(f"/api/v1/jobs/{job_id}/cancel", "POST")[0], 200, "twice is fine")
    # computation in C stops too: SQL on a thread of the database, training on the compute pool
    for name in ("compute", "learn"):
        job_id = s.submit(name)
        check(wait_for(lambda: s.job(job_id)["progress"] == 10, 10), name, s.job(job_id))
        time.sleep(0.3)
        check(s.job(job_id)["status"] == "running", name, s.job(job_id))
        at = time.monotonic()
        s.api(f"/api/v1/jobs/{job_id}/cancel", "POST")
        same(s.ended(job_id)["status"], "cancelled", name)
        check(time.monotonic() - at < (10 if SANITIZED else 1.5), name, time.monotonic() - at)
        time.sleep(0.5)
        before = cpu(s.workers()[0])
        time.sleep(1)
        check(cpu(s.workers()[0]) - before < 0.5, name, "goes on in the background")
    running = s.submit("slow")
    s.until(running, "running")
    same(s.api(f"/api/v1/jobs/{running}/retry", "POST")[0], 409)
    s.command("jobs", "cancel", running)
    same(s.ended(running)["status"], "cancelled")
    # one at a time, though there are places
    ids = [s.submit("one_at_a_time") for _ in range(4)]
    js = sorted((s.ended(i) for i in ids), key=lambda j: j["started_at"])
    for a, b in zip(js, js[1:]):
        check(a["finished_at"] <= b["started_at"], "no two at once", a, b)
    # events: as they happen, and again from the middle
    got = []
    job_id = s.submit("slow", {"seconds": 0.8})
    t = threading.Thread(target=lambda: got.extend(stream(s, job_id)), daemon=True)
    t.start()
    t.join(20)
    kinds = [(k, d.get("status")) for _, k, d in got]
    check(kinds[0] == ("state", "pending") and kinds[-1][0] == "end" and ("progress", None) in kinds
          and ("state", "completed") in kinds, got)
    ids = [int(i) for i, _, _ in got if i]
    same(ids, sorted(ids))
    rest = stream(s, job_id, last_id=ids[1])
    same([int(i) for i, _, _ in rest if i], ids[2:], "goes on behind the last one seen")
    job_id = s.submit("approval")
    same(len(stream(s, job_id, limit=3)), 3)
    same(s.api(f"/api/v1/jobs/{job_id}/cancel", "POST"), (200, {"job_id": job_id, "status": "cancelled"}))
    # picked up at once
    times = []
    for _ in range(20):
        j = s.ended(s.submit("trivial"))
        check(j["status"] == "completed", j)
        times.append(s.sql("SELECT (julianday(started_at) - julianday(created_at)) * 86400000 FROM jobs WHERE job_id = ?",
                           (j["job_id"],))[0][0])
    print("pick-up ms: median %.1f worst %.1f" % (sorted(times)[10], max(times)))
    check(sorted(times)[10] < 300, "woken, not polled", times)
    s.stop()


if __name__ == "__main__":
    run(test_life, test_cancel_and_order, test_busy_database)
