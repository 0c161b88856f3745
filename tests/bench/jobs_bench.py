#!/usr/bin/env python3
"""Durable jobs: trivial jobs a second end to end, latency of a submit with 10,000 waiting, the cost of a
step, an idle worker's processor time, growth with 200,000 finished jobs, 200 random kills.

Figures (ours, peer, target): the peer is what is asked for; the disk's own rate of fsync is printed beside
them, because each commit waits for one. BENCH_JOBS and BENCH_KILLS change the numbers.
"""
import http.client
import json
import os
import pathlib
import sqlite3
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "server"))
from jobs_support import Jobs  # noqa: E402
import http_support  # noqa: E402
import test_jobs  # noqa: E402
import test_jobs_crash  # noqa: E402

N = int(os.environ.get("BENCH_JOBS", "10000"))
FILES = {
    "jobs/trivial.lua": "return { refractory = 0, params = { n = 'integer = 1' }, run = function(job) return job.params.n end }",
    "jobs/steps.lua": """return { refractory = 0, run = function(job)
      local time = require("time")
      local at = time.monotonic()
      for i = 1, 200 do job:step("s" .. i, function() return i end) end
      return (time.monotonic() - at) / 200 * 1000
    end }""",
    "jobs/submit_many.lua": """return { refractory = 0, deadline = "10m", params = { n = "integer", type = "text" }, run = function(job)
      local j, task, time = require("job"), require("task"), require("time")
      local at, fns = time.monotonic(), {}
      for i = 1, 200 do fns[i] = function() for k = 1, job.params.n // 200 do j.submit(job.params.type, { n = k }) end end end
      task.all(fns)
      return time.monotonic() - at
    end }""",
}


def figure(name, ours, peer, target, direction):
    print(f"@figure\t{name}\t{ours:.6g}\t{peer:.6g}\t{target}\t{direction}", flush=True)


def fsync_rate(folder):
    fd = os.open(os.path.join(folder, "fsync"), os.O_CREAT | os.O_WRONLY)
    at, n = time.monotonic(), 0
    while time.monotonic() - at < 1:
        os.pwrite(fd, b"x" * 4096, n * 4096 % (1 << 20))
        os.fdatasync(fd)
        n += 1
    os.close(fd)
    return n / (time.monotonic() - at)


def cpu(pid):
    with open(f"/proc/{pid}/stat") as f:
        t = f.read().rsplit(")", 1)[1].split()
    return (int(t[11]) + int(t[12])) / os.sysconf("SC_CLK_TCK")


def left(s, kind):
    return s.sql("SELECT coalesce(sum(n), 0) FROM job_counts WHERE job_type = ? AND status IN ('pending', 'running')", (kind,))[0][0]


def end_to_end(s, label):
    """N jobs submitted by one job over one work process, until all have ended."""
    done = s.sql("SELECT count(*) FROM jobs WHERE job_type = 'trivial' AND status = 'completed'")[0][0]
    at = time.monotonic()
    job_id = s.submit("submit_many", {"n": N, "type": "trivial"})
    s.ended(job_id, 300)
    submitted = time.monotonic() - at
    while left(s, "trivial") > 0:
        time.sleep(0.02)
    seconds = time.monotonic() - at
    now = s.sql("SELECT count(*) FROM jobs WHERE job_type = 'trivial' AND status = 'completed'")[0][0]
    assert now - done == N, (now, done)
    print(f"{label}: {N} jobs in {seconds:.2f} s, {N / seconds:.0f}/s (all submitted after {submitted:.2f} s)")
    return N / seconds


def submit_latency(s, n=400):
    c = http.client.HTTPConnection("127.0.0.1", s.port)
    times = []
    for i in range(n):
        at = time.monotonic()
        c.request("POST", "/api/v1/jobs/trivial", json.dumps({"n": i}),
                  {"X-API-Key": s.key, "Content-Type": "application/json"})
        r = c.getresponse()
        r.read()
        assert r.status == 202, r.status
        times.append((time.monotonic() - at) * 1000)
    times.sort()
    return times[n // 2], times[int(n * 0.99)]


def list_ms(s, path):
    times = []
    for _ in range(50):
        at = time.monotonic()
        assert s.api(path)[0] == 200
        times.append((time.monotonic() - at) * 1000)
    return sorted(times)[25]


def fill(s, n):
    db = sqlite3.connect(f"{s.data}/database/plastinka.db", timeout=60)
    db.execute("INSERT INTO jobs(job_id, job_type, status, queue, concurrency_key, finished_at) WITH RECURSIVE n(i) AS "
               "(SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT hex(randomblob(16)), "
               "iif(i % 2, 'trivial', 'training'), 'completed', NULL, 'x', '2026-01-01T00:00:00.000Z' FROM n", (n,))
    db.commit()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # they came one by one, not in the second before
    db.close()


def growth(full):
    """The rate with finished jobs to that without, taking turns: the median of four pairs."""
    empty = Jobs("--job-concurrency", "128", files=FILES)
    end_to_end(empty, "warm-up")
    pairs = []
    for _ in range(4):
        without = end_to_end(empty, "without finished")
        pairs.append((end_to_end(full, "with 200,000 finished"), without))
    empty.stop()
    pairs.sort(key=lambda p: p[0] / p[1])
    return [sum(x) / 2 for x in zip(pairs[1], pairs[2])]


def main():
    s = Jobs("--job-concurrency", "128", files=FILES)
    rate = fsync_rate(s.dir)
    print(f"fsync of 4 KiB: {rate:.0f}/s")
    end_to_end(s, "warm-up")
    first = end_to_end(s, "trivial jobs")
    figure("jobs a second, end to end (asked: 2000)", first, 2000, 1, "higher")
    j = s.ended(s.submit("steps"), 60)
    print(f"step: {j['result']:.3f} ms, of it a commit {1000 / rate:.3f} ms")
    figure("step ms beside its commit", max(j["result"] - 1000 / rate, 0.001), 1, 1, "lower")
    time.sleep(1)
    pid = s.workers()[0]
    at = cpu(pid)
    time.sleep(10)
    print(f"idle worker: {(cpu(pid) - at) * 100:.1f} ms of processor in 10 s")
    figure("idle worker, % of a core", (cpu(pid) - at) * 10 + 1e-6, 1, 1, "lower")
    a = [list_ms(s, p) for p in ("/api/v1/jobs?limit=20", "/api/v1/jobs?limit=20&job_type=trivial&status=completed")]
    fill(s, 200000)
    b = [list_ms(s, p) for p in ("/api/v1/jobs?limit=20", "/api/v1/jobs?limit=20&job_type=trivial&status=completed")]
    print(f"list ms, before and with 200,000 finished jobs: {a[0]:.2f} {b[0]:.2f}; filtered: {a[1]:.2f} {b[1]:.2f}")
    figure("list with 200,000 finished jobs / without", max(b), max(a), 1.5, "lower")
    figure("rate with 200,000 finished jobs / without", *growth(s), 0.9, "higher")
    s.stop()
    s = Jobs("--work-processes", "0", files=FILES)
    db = sqlite3.connect(f"{s.data}/database/plastinka.db", timeout=60)
    db.execute("INSERT INTO jobs(job_id, job_type, generation, concurrency_key) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL "
               "SELECT i + 1 FROM n WHERE i < 10000) SELECT hex(randomblob(16)), 'trivial', (SELECT generation FROM "
               "generations LIMIT 1), 'trivial' FROM n")
    db.commit()
    db.close()
    median, p99 = submit_latency(s)
    print(f"submit with 10,000 waiting: median {median:.2f} ms, p99 {p99:.2f} ms")
    figure("submit p99 ms, 10,000 waiting (asked: 20)", p99, 20, 1, "lower")
    s.stop()
    at = time.monotonic()
    os.environ["BUSY_SECONDS"] = "60"
    test_jobs.test_busy_database()
    print(f"a database that was locked for a minute: {http_support.failed} checks failed, {time.monotonic() - at:.0f} s")
    figure("database busy for a minute, checks failed + 1", http_support.failed + 1, 1, 1, "lower")
    kills, n = test_jobs_crash.kill_rounds(int(os.environ.get("BENCH_KILLS", "200")))
    print(f"{kills} kills at random moments of {n} ten-step jobs: {http_support.failed} checks failed")
    figure("random kills survived (asked: 200)", 0 if http_support.failed else kills, 200, 1, "higher")


if __name__ == "__main__":
    main()
