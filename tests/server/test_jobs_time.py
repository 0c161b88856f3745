"""Jobs and time: deadlines of jobs that run, sleep or wait; a clock that is put back; what waits leave behind.
And limits of what a job may fill: its scratch database, its log."""
import os
import re
import signal
import subprocess
import tempfile
import time

from http_support import PLASTINKA, check, run, same, wait_for
from jobs_support import Jobs

FILES = {
    "jobs/sleeper.lua": "return { refractory = 0, deadline = '2s', run = function(job) job:sleep('1h') end }",
    "jobs/waiter.lua": "return { refractory = 0, deadline = '2s', run = function(job) job:wait_for('never') end }",
    "jobs/stubborn.lua": """return { refractory = 0, deadline = '2s', run = function(job)
      while true do pcall(require('task').sleep, 60) end
    end }""",
    "jobs/quick.lua": "return { refractory = 0, deadline = '2s', run = function() return 1 end }",
    "jobs/slow.lua": "return { refractory = 0, run = function() require('task').sleep(120) end }",
    "jobs/approval.lua": """return { refractory = 0, params = { ["timeout?"] = "text" }, run = function(job)
      return job:wait_for("approved", { timeout = job.params.timeout })
    end }""",
    "jobs/greedy.lua": """return { refractory = 0, run = function(job)
      local s = job:scratch()
      s:exec("CREATE TABLE t(x)")
      for i = 1, 100 do s:exec("INSERT INTO t SELECT zeroblob(100000)") end
    end }""",
    "jobs/chatterbox.lua": """return { refractory = 0, run = function(job)
      local line = ("x"):rep(8000)
      for i = 1, 600 do job:log(line) end
      job:sleep(1.1)
      for i = 1, 600 do job:log(line) end
      job:sleep(1.1)
    end }""",
    "jobs/nap.lua": """return { refractory = 0, run = function(job)
      job:sleep(4)
      return "rested"
    end }""",
    "jobs/patient.lua": """return { refractory = 0, run = function(job)
      local ok, err = pcall(job.wait_for, job, "never", { timeout = 4 })
      return err.code
    end }""",
    "jobs/tick.lua": "return { every = 'every 2s', refractory = 0, run = function() end }",
    "jobs/nightly.lua": "return { every = 'day 03:00', refractory = 0, run = function() end }",
}


def overdue(s, name, seconds=15):
    job_id = s.submit(name)
    j = s.ended(job_id, seconds)
    same((j["status"], j["error_code"], j["attempt"] <= 1), ("failed", "timeout", True), name, j["error"])
    return job_id


def test_deadlines():
    s = Jobs("--job-concurrency", "2", files=FILES)
    s.api("/api/v1/schedules/tick/pause", "POST")
    for name in ("sleeper", "waiter", "stubborn"):
        overdue(s, name)
    job_id = s.submit("sleeper")
    s.ended(job_id, 15)
    before = s.sql("SELECT deadline_at FROM jobs WHERE job_id = ?", (job_id,))[0][0]
    same(s.api(f"/api/v1/jobs/{job_id}/retry", "POST")[0], 202)
    j = s.ended(job_id, 15)
    same((j["status"], j["error_code"]), ("failed", "timeout"), j)
    check(s.sql("SELECT deadline_at FROM jobs WHERE job_id = ?", (job_id,))[0][0] > before, "a deadline of its own")
    same(s.ended(s.submit("quick"))["status"], "completed", "one that is in time")
    # both places are taken: what waits behind them ends at its deadline
    blockers = [s.submit("slow"), s.submit("slow")]
    for b in blockers:
        s.until(b, "running")
    j = s.ended(overdue(s, "quick"))
    check(not j.get("started_at"), "it never ran", j)
    for b in blockers:
        same(s.job(b)["status"], "running")
        s.api(f"/api/v1/jobs/{b}/cancel", "POST")
    s.stop()


def steps(s, job_id):
    return {x["name"]: x["status"] for x in s.job(job_id)["steps"]}


def test_what_waits_leave():
    s = Jobs("--job-scratch-bytes", "2MiB", files=FILES)
    s.api("/api/v1/schedules/tick/pause", "POST")
    job_id = s.submit("approval")
    check(wait_for(lambda: s.job(job_id).get("waiting_for") == "approved", 10), s.job(job_id))
    same(steps(s, job_id), {"wait for approved #1": "running"})
    same(s.api(f"/api/v1/jobs/{job_id}/signals/approved", "POST", {"by": "Anna"}), (200, {"first": True}))
    same(s.ended(job_id)["result"], {"by": "Anna"})
    same(steps(s, job_id), {"wait for approved #1": "completed"})
    job_id = s.submit("approval", {"timeout": "1s"})
    same(s.ended(job_id)["error_code"], "timeout")
    same(steps(s, job_id), {"wait for approved #1": "failed"})
    same(s.api(f"/api/v1/jobs/{job_id}/retry", "POST")[0], 202)  # waits anew
    check(wait_for(lambda: s.job(job_id).get("waiting_for") == "approved", 10), s.job(job_id))
    s.api(f"/api/v1/jobs/{job_id}/signals/approved", "POST", {})
    same(s.ended(job_id)["status"], "completed")
    # what it may fill
    j = s.ended(s.submit("greedy"), 60)
    same((j["status"], j["error_code"], j["attempt"]), ("failed", "limit", 1), j["error"])
    check("at its limit of 2097152 bytes" in j["error"], j["error"])
    check(wait_for(lambda: not os.listdir(s.data / "scratch"), 10), "scratch is gone")
    job_id = s.submit("chatterbox")
    same(s.ended(job_id, 60)["status"], "completed")
    n, size = s.sql("SELECT count(*), sum(length(message)) FROM job_events WHERE job_id = ? AND type = 'log'", (job_id,))[0]
    check(1000 <= n <= 1060 and size <= 8 * 2**20 + 100, "one budget for all runs of a job", n, size)
    s.stop()


def fake_clock(folder):
    """The environment of a program whose wall clock a file sets: tests/support/clock_shim.c."""
    linked = subprocess.run(["ldd", PLASTINKA], stdout=subprocess.PIPE, text=True).stdout
    first = re.findall(r"=> (\S*lib[at]san\S*)", linked)  # a sanitizer wants to be the first
    offset = os.path.join(folder, "clock")
    return offset, {"LD_PRELOAD": ":".join([*first, os.path.join(os.environ["BUILD_DIR"], "tests/clock_shim.so")]),
                    "CLOCK_SHIM_FILE": offset}


def test_clock_put_back():

    with tempfile.TemporaryDirectory() as d:
        offset, env = fake_clock(d)
        s = Jobs(files=FILES, env=env)
        check(wait_for(lambda: s.sql("SELECT 1 FROM clocks"), 10), "the clock is known")
        check(wait_for(lambda: s.sql("SELECT count(*) FROM schedule_firings WHERE name = 'tick'")[0][0] >= 2, 20), "it ticks")
        nightly = s.sql("SELECT next_at FROM schedules WHERE name = 'nightly'")
        ids = [s.submit("nap"), s.submit("patient")]
        for job_id in ids:
            check(wait_for(lambda: s.sql("SELECT 1 FROM jobs WHERE job_id = ? AND queue = 'asleep'", (job_id,)), 10), "asleep")
        at = time.monotonic()
        with open(offset + ".new", "w") as f:  # an hour
            f.write("-3600\n")
        os.rename(offset + ".new", offset)
        check(wait_for(lambda: '"event":"the clock was set"' in s.logged(), 10), s.logged()[-2000:])
        fired = s.sql("SELECT count(*) FROM schedule_firings WHERE name = 'tick'")[0][0]
        for job_id, result in zip(ids, ("rested", "timeout")):
            j = s.ended(job_id, 40)
            same((j["status"], j["result"]), ("completed", result), j)
        check(time.monotonic() - at < 40, "nobody waits for an hour")
        check(wait_for(lambda: s.sql("SELECT count(*) FROM schedule_firings WHERE name = 'tick'")[0][0] > fired, 20),
              "it ticks on")
        same(s.sql("SELECT next_at FROM schedules WHERE name = 'nightly'"), nightly, "a time of day stays")
        s.stop()


def test_alone():
    """Nothing replaces the database under a process that works with it, supervised or not."""
    s = Jobs(files=FILES)
    copy = str(s.dir / "copy.db")
    same(s.command("backup", copy).returncode, 0)
    s.proc.send_signal(signal.SIGTERM)
    same(s.proc.wait(40), 0)
    for name, word in (("web", "listening"), ("work", "working")):
        p = subprocess.Popen([PLASTINKA, name, "--data", str(s.data), "--http-port", "0"], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True)
        check(word in p.stdout.readline(), name)
        r = s.command("restore", copy)
        check(r.returncode == 1 and "used by another process" in r.stderr, name, r.stdout, r.stderr)
        p.terminate()
        same(p.wait(40), 0, name)
    same(s.command("restore", copy).returncode, 0)
    for name in ("web", "work"):
        same(s.command(name, "--nonsense").returncode, 2, name)


if __name__ == "__main__":
    run(test_deadlines, test_what_waits_leave, test_clock_put_back, test_alone)
