"""Every golden upload posted to a running server: stored facts, rejected rows, refusals, what is said of
them. Reads $GOLDEN_DIR/upload. "Current year" of the cases holds for any clock of 2026 to 2029."""
import http.client
import os
import sys
import time
import uuid

import upload_support as support
from jobs_support import Jobs


def multipart(files, fields):
    mark, parts = uuid.uuid4().hex, []
    for kind, path, name in files:
        field = "stock_file" if kind == "stock" else "sales_files"
        with open(path, "rb") as f:
            data = f.read()
        name = name.replace("\\", "\\\\").replace('"', '\\"')
        parts.append(('--%s\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\n'
                      'Content-Type: application/octet-stream\r\n\r\n' % (mark, field, name)).encode() + data + b"\r\n")
    for name, value in fields.items():
        value = str(value).lower() if isinstance(value, bool) else str(value)
        parts.append(('--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (mark, name, value)).encode())
    return b"".join(parts) + ("--%s--\r\n" % mark).encode(), "multipart/form-data; boundary=" + mark


def post(server, files, fields, headers=None):
    body, kind = multipart(files, fields)
    c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    c.request("POST", "/api/v1/jobs/data-upload", body, {"X-API-Key": server.key, "Content-Type": kind,
                                                         **(headers or {})})
    r = c.getresponse()
    text = r.read()
    c.close()
    return r.status, support.json.loads(text)


def memory_mb(pid):
    """Largest resident memory so far of a process and its children."""
    total, found = 0, [pid]
    for p in found:
        try:
            with open("/proc/%d/status" % p) as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith("VmHWM"))
            with open("/proc/%d/task/%d/children" % (p, p)) as f:
                found += [int(c) for c in f.read().split()]
        except OSError:
            pass
    return total / 1024


def outcome_of(job):
    if job["status"] != "completed":
        return {"status": "error", "code": job["error_code"], "message": job["error"], "details": job.get("error_details")}
    return {"status": "duplicate" if "duplicate_of" in job["result"] else "ok", "result": job["result"]}


def run_steps(server, steps):
    wrong, n_cells, ids = [], 0, []
    db_path = str(server.data) + "/database/plastinka.db"
    for number, step in enumerate(steps, 1):
        before, start, expect = support.snapshot(db_path), time.monotonic(), step["expect"]
        status, answer = post(server, step["files"], step["fields"])
        if status == 202:
            ids.append(answer["job_id"])
            job = server.ended(answer["job_id"], 120)
            outcome = outcome_of(job)
        else:
            ids.append(None)
            outcome = dict(answer["error"], status="error")
        seconds, text = time.monotonic() - start, None
        if status == 202:
            code, body = server.api("/api/v1/jobs/%s/artifacts/rejected.csv" % answer["job_id"])
            text = body.decode("utf-8") if code == 200 and not isinstance(body, (dict, list)) else None
        more, n = support.compare_step(expect, outcome, db_path, before, text)
        if expect["status"] == "duplicate" and outcome["result"].get("duplicate_of") != ids[expect["of_step"] - 1]:
            more.append("duplicate of %r, expected %r" % (outcome["result"].get("duplicate_of"), ids))
        if seconds > expect.get("max_seconds", 60):
            more.append("%.1f s" % seconds)
        if memory_mb(server.proc.pid) > expect.get("max_rss_mb", 1e9):
            more.append("%.0f MB resident" % memory_mb(server.proc.pid))
        wrong += ["step %d: %s" % (number, w) for w in more]
        n_cells += n
    folder = str(server.data) + "/scratch"
    left = os.listdir(folder) if os.path.isdir(folder) else []
    if left:
        wrong.append("left in scratch: %r" % left)
    return wrong, n_cells


def check_case(name, steps):
    watched = {d: set(os.listdir(d)) for d in ("/etc", "/tmp")}
    server = Jobs()
    try:
        wrong, n_cells = run_steps(server, steps)
    finally:
        server.stop()
    for d, names in watched.items():
        new = {n for n in set(os.listdir(d)) - names if n in ("evil.csv", "stock.csv")}
        if new:
            wrong.append("files outside of the data folder: %r" % new)
    return wrong, n_cells


def main():
    failed, total = 0, 0
    for name, steps in support.cases():
        if len(sys.argv) > 1 and sys.argv[1] not in name:
            continue
        wrong, n_cells = check_case(name, steps)
        total += n_cells
        print("%s %s (%d steps, %d values)" % ("FAILED" if wrong else "ok", name, len(steps), n_cells), flush=True)
        for w in wrong[:10]:
            print("    " + w)
        failed += bool(wrong)
    print("%d failed; %d values compared" % (failed, total))
    return 1 if failed or not total else 0


if __name__ == "__main__":
    sys.exit(main())
