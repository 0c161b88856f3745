"""Every golden upload through the pipeline of workflows/lib, without a server: stored facts, rejected
rows, refusals. Reads $GOLDEN_DIR/upload."""
import json
import os
import subprocess
import sys
import tempfile

import upload_support as support
from http_support import PLASTINKA


def run_steps(folder, steps):
    plan = [{"files": [{"kind": k, "path": os.path.abspath(p), "name": os.path.basename(n)} for k, p, n in s["files"]],
             "fields": s["fields"], "current_year": 2026} for s in steps]
    with open(os.path.join(folder, "steps.json"), "w", encoding="utf-8") as f:
        json.dump(plan, f)
    run = subprocess.run([PLASTINKA, "lua", "tests/support/upload_case.lua", folder], capture_output=True, text=True)
    if run.returncode != 0:
        return None, run.stdout + run.stderr
    return support.load_json(os.path.join(folder, "results.json")), ""


def outcome_of(r):
    if not r["ok"]:
        return {"status": "error", "code": r["code"], "message": r["message"], "details": r.get("details")}
    return {"status": "duplicate" if "duplicate_of" in r["result"] else "ok", "result": r["result"]}


def check_case(name, steps):
    wrong, n_cells, before = [], 0, None
    for last in range(len(steps)):  # the facts are looked at after every step
        with tempfile.TemporaryDirectory() as folder:
            results, log = run_steps(folder, steps[:last + 1])
            if results is None:
                return ["did not end: " + log], 0
            db_path = os.path.join(folder, "main.db")
            rejects = os.path.join(folder, "rejects_%d.csv" % (last + 1))
            text = None
            if os.path.exists(rejects):
                with open(rejects, encoding="utf-8", newline="") as f:
                    text = f.read()
            expect = steps[last]["expect"]
            if last == 0:
                before = {k: [] for k in support.EVERYTHING}
            more, n = support.compare_step(expect, outcome_of(results[last]), db_path, before, text)
            wrong += ["step %d: %s" % (last + 1, w) for w in more]
            n_cells += n
            before = support.snapshot(db_path)
    return wrong, n_cells


def main():
    failed, total = 0, 0
    for name, steps in support.cases():
        if len(sys.argv) > 1 and sys.argv[1] not in name:
            continue
        wrong, n_cells = check_case(name, steps)
        total += n_cells
        print("%s %s (%d steps, %d values)" % ("FAILED" if wrong else "ok", name, len(steps), n_cells))
        for w in wrong[:10]:
            print("    " + w)
        failed += bool(wrong)
    print("%d failed; %d values compared" % (failed, total))
    return 1 if failed or not total else 0


if __name__ == "__main__":
    sys.exit(main())
