"""Reports of a shop of 5,000 products and 36 months: processor time and memory, and how both grow with 1x, 4x
and 16x the products. Also how long the web process keeps others waiting while it makes one. About a minute."""
import http.client
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(os.environ.get("SOURCE_DIR", pathlib.Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(ROOT / "tests" / "server"))
import report_support as shop  # noqa: E402

PLASTINKA = os.environ.get("PLASTINKA", str(ROOT / "build" / "plastinka"))
MONTHS, SMALL = 36, 1250
REPORTS = ("prediction_report", "accuracy_report", "inventory_report")
FORMATS = ("html", "csv", "xlsx", "json")


def figure(name, ours, peer, target, direction):
    print("@figure\t%s\t%s\t%s\t%s\t%s" % (name, ours, peer, target, direction), flush=True)


def multiply(path, times):
    """The same shop `times` over, as further products."""
    db = sqlite3.connect(path)
    for table, columns in (
            ("dim_multiindex_mapping", None), ("fact_sales", "data_date, value"), ("fact_stock", "data_date, value"),
            ("fact_prices", "data_date, value")):
        for i in range(1, times):
            if columns:
                db.execute("INSERT INTO %s(multiindex_id, %s) SELECT multiindex_id + %d, %s FROM %s WHERE multiindex_id <= %d"
                           % (table, columns, i * SMALL, columns, table, SMALL))
            else:
                db.execute("INSERT INTO dim_multiindex_mapping SELECT multiindex_id + %d, barcode || '%d', artist, album, cover_type,"
                           " price_category, release_type, recording_decade, release_decade, style, recording_year"
                           " FROM dim_multiindex_mapping WHERE multiindex_id <= %d" % (i * SMALL, i, SMALL))
    for i in range(1, times):
        db.execute("INSERT INTO report_features SELECT data_date, multiindex_id + %d, availability, confidence,"
                   " masked_mean_sales_items, masked_mean_sales_rub, lost_sales, imputed, created_at FROM report_features"
                   " WHERE multiindex_id <= %d" % (i * SMALL, SMALL))
        db.execute("INSERT INTO fact_predictions(multiindex_id, prediction_month, result_id, model_id, quantile_05, quantile_25,"
                   " quantile_50, quantile_75, quantile_95, method) SELECT multiindex_id + %d, prediction_month, result_id, model_id,"
                   " quantile_05, quantile_25, quantile_50, quantile_75, quantile_95, method FROM fact_predictions"
                   " WHERE multiindex_id <= %d" % (i * SMALL, SMALL))
    db.execute("ANALYZE")
    db.commit()
    db.close()


def make(folder, products):
    data = os.path.join(folder, str(products))
    subprocess.run([PLASTINKA, "migrate", "--data", data], stdout=subprocess.DEVNULL, check=True)
    path = os.path.join(data, "database", "plastinka.db")
    shop.fill(path, SMALL, MONTHS)
    multiply(path, products // SMALL)
    return data


def measure(data, folder, *args):
    """CPU seconds, wall seconds and MiB of one run of the command."""
    start = time.perf_counter()
    p = subprocess.Popen([PLASTINKA, "report", *args, "--data", data], cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(p.pid, 0)
    if status:
        raise SystemExit("plastinka report %s failed" % " ".join(args))
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - start, usage.ru_maxrss / 1024


def best(data, folder, *args, times=3):
    runs = [measure(data, folder, *args) for _ in range(times)]
    return min(r[0] for r in runs), min(r[1] for r in runs), max(r[2] for r in runs)


def waiting(data):
    """Milliseconds: the longest that a small request waited while three reports were made in the same process."""
    proc = subprocess.Popen([PLASTINKA, "web", "--host", "127.0.0.1", "--port", "0", "--data", data], stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True)
    key = port = None
    for line in proc.stdout:
        words = line.split()
        if words and words[-1].startswith("plk_"):
            key = words[-1]
        if words[:1] == ["listening"]:
            port = int(words[1].rsplit(":", 1)[1])
            break
    seen, over = [], threading.Event()

    def ping():
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while not over.is_set():
            start = time.perf_counter()
            c.request("GET", "/health/live")
            c.getresponse().read()
            seen.append(time.perf_counter() - start)
            time.sleep(0.002)

    thread = threading.Thread(target=ping)
    thread.start()
    time.sleep(0.3)
    idle, spent = max(seen), []
    seen.clear()
    for name in REPORTS:
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        start = time.perf_counter()
        c.request("POST", "/api/v1/jobs/reports", json.dumps({"report_type": name}),
                  {"X-API-Key": key, "Content-Type": "application/json"})
        r = c.getresponse()
        r.read()
        spent.append("%s %.2f s" % (name, time.perf_counter() - start))
        if r.status != 200:
            raise SystemExit("%s: %d" % (name, r.status))
    over.set()
    thread.join()
    print("over HTTP, all four formats, wall clock: " + ", ".join(spent))
    print("a small request meanwhile: %.1f ms at most (%.1f ms when idle)" % (max(seen) * 1000, idle * 1000))
    proc.send_signal(signal.SIGTERM)
    proc.wait(30)
    return max(seen) * 1000


def main():
    folder = tempfile.mkdtemp(prefix="plastinka-bench-")
    try:
        sizes = [make(folder, SMALL * k) for k in (1, 4, 16)]
        start = best(sizes[0], folder, "--list")[0]
        print("load %.1f; times are processor seconds of `plastinka report` less those of --list (%.3f)" % (os.getloadavg()[0], start))
        growth = {}
        for name in REPORTS:
            worst = peak = 0
            for form in FORMATS:
                found = [best(data, folder, name, "--format", form, times=2) for data in sizes]
                cpu = [f[0] - start for f in found]
                print("%-18s %-5s %s s  %s MiB  (%s)" % (name, form, " ".join("%.3f" % c for c in cpu),
                      " ".join("%.0f" % f[2] for f in found), " ".join("%d" % (SMALL * k) for k in (1, 4, 16))))
                growth[name, form] = cpu
                worst, peak = max(worst, cpu[1]), max(peak, found[1][2])
            figure("report %s of 5,000 x 36: s" % name, "%.3f" % worst, 1, 1, "lower")
            figure("report %s of 5,000 x 36: MiB" % name, "%.0f" % peak, 150, 1, "lower")
        slow = max(c[2] / (4 * c[1]) for (_, form), c in growth.items() if form != "html")
        figure("report growth, 20,000 to 5,000 products by 4", "%.2f" % slow, 1, 1.3, "lower")
        figure("report keeps others waiting: ms", "%.1f" % waiting(sizes[1]), 200, 1, "lower")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


main()
