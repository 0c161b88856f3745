#!/usr/bin/env python3
"""Real books: $BENCH_DATA/online-retail-store posted to a server and compared with what must come of it, and the
workbooks of $BENCH_DATA/workbooks (Excel, LibreOffice, openpyxl) read and compared, cell by cell, with a reading of
their XML by Python's own means. About a minute.

Figures: values that are right against values there are.
"""
import collections
import glob
import os
import pathlib
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "server"))
import golden_upload as golden  # noqa: E402
import upload_support as support  # noqa: E402
from jobs_support import Jobs  # noqa: E402

DATA = pathlib.Path(os.environ["BENCH_DATA"])
NS = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
LOAD = """
local db, sheet = require("db"), require("sheet")
local d = db.open(arg[2], { sync = "off" })
sheet.load{ db = d, file = arg[1], table = "t" }
d:close()
"""


def figure(name, ours, peer, target, direction):
    print(f"@figure\t{name}\t{ours:.6g}\t{peer:.6g}\t{target}\t{direction}", flush=True)


def store():
    folder = DATA / "online-retail-store"
    files = [["stock", str(folder / "stock.xlsx"), "stock.xlsx"]]
    files += [["sales", p, os.path.basename(p)] for p in sorted(glob.glob(str(folder / "sales" / "*.xlsx")))]
    summary = support.load_json(str(folder / "expected" / "summary.json"))
    server = Jobs()
    try:
        at = time.monotonic()
        status, answer = golden.post(server, files, {})
        assert status == 202, answer
        job = server.ended(answer["job_id"], 300)
        seconds = time.monotonic() - at
        assert job["status"] == "completed", job
        wrong, n = support.compare_tables(str(server.data) + "/database/plastinka.db", str(folder / "expected"),
                                          ("monthly",))
        wrong += support.compare_summary(job["result"], summary)
    finally:
        server.stop()
    for w in wrong[:10]:
        print("    " + w)
    rows = job["result"]["rows"]["read"]
    print("online-retail-store: %d rows in %.1f s, %d values compared, %d differ" % (rows, seconds, n, len(wrong)))
    figure("real_upload_values", n - len(wrong), n, 1, "higher")


def unspelled(text):
    """_x000D_ in a workbook is the character of that number."""
    return re.sub("_x([0-9A-Fa-f]{4})_", lambda m: chr(int(m[1], 16)), text)


def cells_of(path):
    """Numbers, texts of the first sheet with data, by Python; columns without a header are for nobody."""
    with zipfile.ZipFile(path) as z:
        shared = []
        if "xl/sharedStrings.xml" in z.namelist():
            for si in ElementTree.fromstring(z.read("xl/sharedStrings.xml")).findall(NS + "si"):
                shared.append("".join(t.text or "" for t in si.iter(NS + "t")
                                      if not any(t in ph.iter(NS + "t") for ph in si.findall(NS + "rPh"))))
        for name in sorted(n for n in z.namelist() if re.match(r"xl/worksheets/sheet\d+\.xml$", n)):
            numbers, texts, n_rows, titled = collections.Counter(), collections.Counter(), 0, None
            for _, row in ElementTree.iterparse(z.open(name)):
                if row.tag != NS + "row":
                    continue
                seen, here = False, set()
                for at, c in enumerate(row.findall(NS + "c")):
                    column = re.match("[A-Z]+", c.get("r"))[0] if c.get("r") else at
                    if titled is not None and column not in titled:
                        continue
                    kind, v = c.get("t", "n"), c.find(NS + "v")
                    if kind == "inlineStr":
                        text = "".join(t.text or "" for t in c.iter(NS + "t"))
                    elif v is None or v.text is None:
                        continue
                    elif kind == "s":
                        text = shared[int(v.text)]
                    elif kind == "n":
                        numbers[float(v.text)] += 1
                        seen = True
                        continue
                    else:
                        text = {"0": "FALSE", "1": "TRUE"}[v.text] if kind == "b" else v.text
                    if text.strip():
                        texts[unspelled(text)] += 1
                        seen = True
                        here.add(column)
                n_rows += seen
                if seen and titled is None:
                    titled = here
                row.clear()
            if n_rows:
                return numbers, texts, n_rows
    raise SystemExit("no data in " + path)


def workbooks():
    n_good, n_all = 0, 0
    for path in sorted(glob.glob(str(DATA / "workbooks" / "*.xlsx"))):
        numbers, texts, n_rows = cells_of(path)
        with tempfile.TemporaryDirectory() as folder:
            with open(folder + "/load.lua", "w") as f:
                f.write(LOAD)
            at = time.monotonic()
            out = subprocess.run([os.environ["PLASTINKA"], "lua", folder + "/load.lua", path, folder + "/x.db"],
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            seconds = time.monotonic() - at
            if out.returncode:
                print("%s: %s" % (os.path.basename(path), out.stdout.strip()))
                n_all += sum(numbers.values()) + sum(texts.values())
                continue
            with sqlite3.connect(folder + "/x.db") as db:
                header = names = [r[1] for r in db.execute("PRAGMA table_info(t)") if r[1] != "row"]
                found = db.execute("SELECT %s FROM t" % ", ".join('"%s"' % n.replace('"', '""') for n in names)).fetchall()
        for text in header:
            texts[text] -= 1
        have = collections.Counter(float(x) for r in found for x in r if isinstance(x, (int, float)))
        have_texts = collections.Counter(x for r in found for x in r if isinstance(x, str))
        dates = sum((numbers - have).values())      # cells with a date in them are text here
        good = sum((numbers & have).values()) + sum((+texts & have_texts).values())
        moments = sum((have_texts - +texts).values())
        n, good = sum(numbers.values()) + sum((+texts).values()), good + min(dates, moments)
        print("%s: %d rows of %d, %d cells of %d right (%d dates), %.2f s" % (
            os.path.basename(path), len(found), n_rows - 1, good, n, dates, seconds))
        n_good, n_all = n_good + (good if len(found) == n_rows - 1 else 0), n_all + n
    figure("real_workbook_cells", n_good, n_all, 1, "higher")


store()
workbooks()
