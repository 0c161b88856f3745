"""Jobs and death: workers and the whole server killed at random moments, workflows edited meanwhile."""
import os
import random
import signal
import subprocess
import time

from http_support import PLASTINKA, check, run, same, wait_for
from jobs_support import ENDED, Jobs, TEN_STEPS

KILLS = 12
NAMED = """return { refractory = 0, run = function(job)
  job:step("first", function() return "%s" end)
  require("task").sleep(1.5)
  return "%s"
end }"""
DEADLY = """return { refractory = 0, run = function(job)
  job:log("here I am")
  require("task").sleep(30)
end }"""


def kill_rounds(wanted):
    """Kills the worker at random moments of ten-step jobs; every effect must be there exactly once."""
    s = Jobs("--supervise-restart-max-seconds", "0.1", files={"jobs/ten.lua": TEN_STEPS})
    kills, n, rng = 0, 0, random.Random(7)
    while kills < wanted:
        n += 1
        job_id = s.submit("ten", {"pause": 0.01})
        for _ in range(2):
            time.sleep(rng.random() * 0.25)
            if s.job(job_id)["status"] not in ENDED:
                s.kill_worker()
                kills += 1
        j = s.ended(job_id, 60)
        same((j["status"], j["result"]), ("completed", {"steps": 10}), n, j["error"])
        effects = s.sql("SELECT name, value FROM settings WHERE name LIKE ?", (f"effect {job_id} %",))
        same(sorted(v for _, v in effects), ["1"] * 10, "each effect once", n, effects)
    same(s.sql("SELECT count(*) FROM jobs WHERE status <> 'completed'")[0][0], 0)
    same(s.sql("PRAGMA integrity_check")[0][0], "ok")
    s.stop()
    return kills, n


def test_killed_workers():
    print("%d kills in %d jobs" % kill_rounds(KILLS))


def test_pinned_and_whole_server_killed():
    s = Jobs(files={"jobs/named.lua": NAMED % ("one", "one")})
    job_id = s.submit("named")
    s.until(job_id, "running")
    check(wait_for(lambda: s.sql("SELECT 1 FROM job_steps WHERE status = 'completed'"), 10), "first step")
    s.write("jobs/named.lua", NAMED % ("two", "two"))
    check(wait_for(lambda: s.logged().count('"event":"generation committed"') >= 1, 15), "edited")
    children = [int(l) for l in subprocess.run(["ps", "--ppid", str(s.proc.pid), "-o", "pid="], stdout=subprocess.PIPE,
                                               text=True).stdout.split()]
    s.proc.kill()
    for pid in children:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass
    s.proc.wait()
    again = Jobs(data=s.data)
    again.key = s.key
    again.write("jobs/named.lua", NAMED % ("two", "two"))
    j = again.ended(job_id)
    same((j["status"], j["result"], j["deaths"]), ("completed", "one", 1), "its own workflows", j["error"])
    check(wait_for(lambda: again.api("/api/v1/jobs/named", "POST", {})[0] == 202, 15), "the new workflows are loaded")
    newest = again.api("/api/v1/jobs?limit=1")[1]["jobs"][0]["job_id"]
    same(again.ended(newest)["result"], "two", "the next job runs the new")
    again.stop()


def test_parked():
    s = Jobs("--supervise-restart-max-seconds", "0.1", files={"jobs/deadly.lua": DEADLY})
    job_id = s.submit("deadly")
    for n in range(3):
        check(wait_for(lambda: s.job(job_id)["status"] == "running" and s.workers(), 15), n)
        s.kill_worker()
        check(wait_for(lambda k=n: s.job(job_id)["deaths"] == k + 1, 15), s.job(job_id))
    j = s.ended(job_id)
    same((j["status"], j["error_code"], j["dead"], j["deaths"]), ("failed", "parked", True, 3))
    same(s.api(f"/api/v1/jobs/{job_id}/retry", "POST")[0], 202, "a person may try again")
    s.until(job_id, "running")
    s.api(f"/api/v1/jobs/{job_id}/cancel", "POST")
    s.stop()


def test_stop_puts_back():
    s = Jobs("--http-drain-seconds", "5", files={"jobs/deadly.lua": DEADLY, "jobs/named.lua": NAMED % ("a", "b")})
    job_id, short = s.submit("deadly"), s.submit("named")
    s.until(job_id, "running")
    s.until(short, "running")
    s.proc.send_signal(signal.SIGTERM)
    same(s.proc.wait(30), 0)
    same(s.sql("SELECT status, queue, attempt, n_deaths FROM jobs WHERE job_id = ?", (job_id,)), [("pending", "ready", 0, 0)])
    same(s.sql("SELECT status FROM jobs WHERE job_id = ?", (short,)), [("completed",)], "it had time to end")
    same(s.sql("SELECT count(*) FROM workers")[0][0], 0)
    r = s.command("jobs", "cancel", job_id)
    same(r.stdout, "cancelled\n", r.stderr)
    r = s.command("run", "named", "--workflows", str(s.flows))
    check(r.returncode == 0 and "step  first: completed" in r.stdout and '"b"' in r.stdout, r.stdout, r.stderr)
    r = s.command("run", "nothing", "--workflows", str(s.flows))
    check(r.returncode == 1 and "no kind of job" in r.stderr, r.stderr)
    # a work process alone, and jobs put in beside it
    with subprocess.Popen([PLASTINKA, "work", "--data", str(s.data), "--workflows", str(s.flows)], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True) as w:
        same(w.stdout.readline(), "working\n")
        r = s.command("jobs", "submit", "named", "--workflows", str(s.flows))
        check(r.returncode == 0, r.stderr)
        done = "SELECT 1 FROM jobs WHERE job_id = ? AND status = 'completed'"
        check(wait_for(lambda: s.sql(done, (r.stdout.strip(),)), 15), "found without a word")
        w.send_signal(signal.SIGTERM)
        same(w.wait(20), 0)


def test_clock():
    s = Jobs("--job-lease-seconds", "1", files={"jobs/slow.lua": "return { refractory = 0, run = function(job) "
                                               "require('task').sleep(4) return 'ended' end }"})
    job_id = s.submit("slow")
    s.until(job_id, "running")
    for _ in range(6):  # as if the clock had jumped an hour ahead: the lease is over, its holder is alive
        s.change("UPDATE jobs SET lease_until = '2020-01-01T00:00:00.000Z' WHERE job_id = ?", (job_id,))
        time.sleep(0.3)
    j = s.ended(job_id)
    same((j["status"], j["result"], j["deaths"]), ("completed", "ended", 0))
    # a holder somewhere else, long silent
    s.change("INSERT INTO jobs(job_id, job_type, status, queue, generation, concurrency_key, lease_owner, lease_until, attempt) "
             "SELECT 'far', 'slow', 'running', 'running', generation, 'slow', 'elsewhere/1', '2020-01-01T00:00:00.000Z', 1 "
             "FROM jobs LIMIT 1")
    j = s.ended("far")
    same((j["status"], j["deaths"], j["attempt"]), ("completed", 1, 1))
    s.stop()


if __name__ == "__main__":
    run(test_killed_workers, test_pinned_and_whole_server_killed, test_parked, test_stop_puts_back, test_clock)
