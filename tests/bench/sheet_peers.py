"""Table files against their peers, in one run: openpyxl, expat, the sqlite3 shell. See sheet_bench.c.

Real data is read from $BENCH_DATA (default ../shared/data); without it a workbook of the same size is
made. Times are processor time, so that a busy machine does not decide.
"""
import csv
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile

BENCH = sys.argv[1]
DATA = pathlib.Path(os.environ.get("BENCH_DATA", "../shared/data"))


def ours(*args):
    out = subprocess.run([BENCH, *map(str, args)], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(out.stdout)


def child_cpu(args, text=None):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run(args, check=True, stdout=subprocess.PIPE, input=text, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, out.stdout


def figure(name, mine, peer, target, direction):
    print("@figure", name, f"{mine:.6g}", f"{peer:.6g}", f"{target:g}", direction, sep="\t", flush=True)


OPENPYXL = """
import sys, openpyxl
book = openpyxl.load_workbook(sys.argv[1], read_only=True)
print(sum(c is not None for row in book.worksheets[0].iter_rows(values_only=True) for c in row))
"""


def best_load(book, db):
    return min((ours("load", book, db) for _ in range(3)), key=lambda r: r["cpu_s"])


def main():
    with tempfile.TemporaryDirectory() as folder:
        tmp = pathlib.Path(folder)
        book = DATA / "online-retail" / "online_retail_full.xlsx"
        if not book.exists():
            book = tmp / "retail.xlsx"
            ours("make", 541909, book)
        load = best_load(book, tmp / "x.db")
        rate = load["cells"] / load["cpu_s"]
        print(f"{book.name}: {load['rows']} rows, {load['cells']} cells into SQLite in {load['cpu_s']:.2f} s, "
              f"{load['peak_mib']:.1f} MiB")
        scan, expat = ours("scan", book), ours("expat", book)
        print(f"reading only: {scan['cpu_s']:.2f} s; inflate and expat alone: {expat['cpu_s']:.2f} s")
        figure("xlsx to sqlite, cells/s (peer: 2 million)", rate, 2e6, 1, "higher")
        figure("xlsx reading whole, cells/s (peer: inflate and expat alone)", scan["cells"] / scan["cpu_s"],
               scan["cells"] / expat["cpu_s"], 1, "higher")
        try:
            cpu, cells = child_cpu(["/usr/bin/python3", "-c", OPENPYXL, str(book)])
            figure("xlsx to sqlite, cells/s (peer: openpyxl read_only)", rate, int(cells) / cpu, 10, "higher")
        except subprocess.CalledProcessError:
            print("openpyxl is not installed (python3-openpyxl): not compared")

        peaks = {}
        for rows in (50_000, 500_000, 1_000_000):
            made = tmp / f"{rows}.xlsx"
            ours("make", rows, made)
            r = ours("load", made, tmp / "y.db")
            peaks[rows] = r["peak_mib"]
            print(f"{rows} rows: {r['cells'] / r['cpu_s'] / 1e6:.2f} million cells/s, peak {r['peak_mib']:.1f} MiB")
            made.unlink()
        figure("xlsx to sqlite, MiB at a million rows (peer: 200)", peaks[1_000_000], 200, 1, "lower")
        figure("xlsx to sqlite, MiB at a million rows (peer: at 50,000)", peaks[1_000_000], peaks[50_000], 1.2, "lower")

        # the same table as csv: into SQLite by us and by the shell
        text = tmp / "t.csv"
        with open(text, "w", newline="", encoding="utf-8") as f:
            subprocess.run(["sqlite3", "-csv", "-header", str(tmp / "x.db"), "SELECT * FROM t"],
                           check=True, stdout=f)
        with open(text, encoding="utf-8", newline="") as f:
            rows = sum(1 for _ in csv.reader(f)) - 1
        mine = best_load(text, tmp / "z.db")
        assert mine["rows"] == rows, (mine, rows)
        shell = []
        for _ in range(3):
            peer = tmp / "peer.db"
            peer.unlink(missing_ok=True)
            cpu, _ = child_cpu(["sqlite3", str(peer)], "PRAGMA journal_mode=OFF;\nPRAGMA synchronous=OFF;\n"
                               f".mode csv\n.import {text} t\n")
            shell.append(cpu)
        print(f"csv, {rows} rows: {mine['cpu_s']:.2f} s, sqlite3 .import {min(shell):.2f} s")
        figure("csv to sqlite, rows/s (peer: sqlite3 .import)", rows / mine["cpu_s"], rows / min(shell), 1, "higher")


main()
