"""plastinka generate sales: the same books for the same seed, which the server takes, with what a shop's sales have:
a season, stock-outs, trends, and the dirt of tables made by hand."""
import glob
import hashlib
import os
import subprocess
import tempfile

import golden_upload as golden
from http_support import PLASTINKA, check, run, same
from jobs_support import Jobs


def generate(*args):
    return subprocess.run([PLASTINKA, "generate", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=120)


def prints(folder):
    return {os.path.relpath(p, folder): hashlib.sha256(open(p, "rb").read()).hexdigest()
            for p in glob.glob(folder + "/**", recursive=True) if os.path.isfile(p)}


def test_same_seed():
    with tempfile.TemporaryDirectory() as folder:
        made = {}
        for name, seed in (("a", "7"), ("b", "7"), ("c", "8")):
            out = generate("sales", os.path.join(folder, name), "--titles", "60", "--months", "3", "--seed", seed,
                           "--start", "2025-01")
            same(out.returncode, 0, out.stderr)
            made[name] = prints(os.path.join(folder, name))
        same(sorted(made["a"]), ["sales/2025-01.xlsx", "sales/2025-02.xlsx", "sales/2025-03.xlsx", "stock.xlsx"])
        same(made["a"], made["b"])
        check(not set(made["a"].values()) & set(made["c"].values()), "another seed, another shop")
        out = generate("sales", os.path.join(folder, "a"), "--titles", "60", "--months", "2", "--start", "2025-02")
        same(out.returncode, 1)
        check("2025-01.xlsx is in the way" in out.stderr, out.stderr)
        same(prints(os.path.join(folder, "a")), made["a"])


def test_misuse():
    same(generate("--help").returncode, 0)
    same(generate().returncode, 2)
    same(generate("dragons", "x").returncode, 2)
    with tempfile.TemporaryDirectory() as folder:
        for words, told in ((["--titles", "3"], "titles is 3"), (["--months", "x"], "months is x"),
                            (["--start", "2025-13"], "start is 2025-13"), (["--colour", "1"], "--colour"),
                            (["--titles"], "--titles")):
            out = generate("sales", folder + "/new", *words)
            same(out.returncode, 1, words)
            check(told in out.stderr, out.stderr)
        same(os.listdir(folder), [])


def test_uploaded():
    server = Jobs()
    try:
        with tempfile.TemporaryDirectory() as folder:
            out = generate("sales", folder, "--titles", "400", "--months", "13", "--start", "2025-01", "--rows", "1500")
            same(out.returncode, 0, out.stderr)
            files = [["stock", folder + "/stock.xlsx", "stock.xlsx"]]
            files += [["sales", p, os.path.basename(p)] for p in sorted(glob.glob(folder + "/sales/*.xlsx"))]
            status, answer = golden.post(server, files, {})
            same(status, 202, answer)
            job = server.ended(answer["job_id"], 180)
            same(job["status"], "completed", job)
        r = job["result"]
        same((len(r["months"]), r["last_month_complete"], r["snapshot_date"]), (13, True, "2026-02-01"))
        check(0.001 < r["rows"]["rejected"] / r["rows"]["read"] < 0.02, r["rows"])
        for reason in ("artist missing", "count negative", "price missing", "price unreadable", "recording_year unreadable"):
            check(r["rejected_by_reason"].get(reason, 0) > 0, r["rejected_by_reason"])
        check(13 * 1000 < r["sold_units"] < 13 * 2000, r["sold_units"])
        check(r["stock_units"] > 100 and r["pulled_back_units"] > 0 and r["stock_warnings"] == 0, r)
        units = {m["month"][:7]: m["units"] for m in server.api("/api/v1/data/months")[1]["months"]}
        check(units["2025-12"] > 1.2 * units["2025-10"] and units["2025-07"] < 0.9 * units["2025-10"], units)
        sql = server.sql
        share = sql("SELECT avg(availability), avg(availability < 1), avg(lost_sales > 0) FROM report_features f"
                    " WHERE EXISTS (SELECT 1 FROM fact_sales s WHERE s.multiindex_id = f.multiindex_id)")[0]
        check(0.3 < share[0] < 0.95 and share[1] > 0.2 and share[2] > 0.05, share)
        top = [n for n, in sql("SELECT sum(value) FROM fact_sales GROUP BY multiindex_id ORDER BY 1 DESC")]
        check(sum(top[:len(top) // 10]) > 0.25 * sum(top), "few titles sell most")
        same(sql("SELECT count(*) FROM fact_stock WHERE value < 0"), [(0,)])
    finally:
        server.stop()


run(test_same_seed, test_misuse, test_uploaded)
