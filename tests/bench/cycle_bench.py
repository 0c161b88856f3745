#!/usr/bin/env python3
"""The monthly cycle: how right its forecasts are on a real shop, and how long training takes. About five minutes;
cycle_bench.py shop, large or growth is a part of it.

1. $BENCH_DATA/online-retail-store (a real shop's year) is uploaded and trained on over the API. The last three months
   are forecast from what was known before each; every forecast's error is sum |forecast - sold| / sum sold (WAPE).
   Nothing is chosen by the month that is judged. Seasonal naive is the last value where the
   data have no month a year before. Coverage: the share of products whose sales lay within the quantiles
   0.05 and 0.95.
2. 5,000 titles in 36 months of `plastinka generate sales`: training, and the prediction of all of them.
3. Training of 1, 4 and 16 times as many titles.

Times are those of a job from its start to its end. Peers are the asked limits, except where a method is named.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
os.environ.setdefault("PLASTINKA", str(ROOT / "build" / "plastinka"))
os.environ.setdefault("SOURCE_DIR", str(ROOT))
os.environ.setdefault("BUILD_DIR", str(ROOT / "build"))
sys.path.insert(0, str(ROOT / "tests" / "server"))
import golden_upload  # noqa: E402
from jobs_support import Jobs  # noqa: E402

BASELINES = {"seasonal_naive": "seasonal naive", "naive": "last value", "mean_3": "3-month mean"}
BUSY_SECONDS = 900


def figure(name, ours, peer, target, direction):
    print("@figure\tcycle %s\t%.6g\t%.6g\t%.6g\t%s" % (name, ours, peer, target, direction), flush=True)


def done(server, job_id):
    job = server.ended(job_id, BUSY_SECONDS)
    if job["status"] != "completed":
        raise SystemExit("%s failed: %s" % (job["job_type"], job["error"]))
    took = server.sql("SELECT (julianday(finished_at) - julianday(started_at)) * 86400 FROM jobs WHERE job_id = ?",
                      (job_id,))[0][0]
    return job["result"], took


def upload(server, folder):
    folder = pathlib.Path(folder)
    files = [["stock", str(folder / "stock.xlsx"), "stock.xlsx"]]
    files += [["sales", str(p), p.name] for p in sorted((folder / "sales").glob("*.xlsx"))]
    status, answer = golden_upload.post(server, files, {})
    if status != 202:
        raise SystemExit("upload refused: %s" % answer)
    return done(server, answer["job_id"])[1]


def start(server, kind, params=None):
    status, answer = server.api("/api/v1/jobs/" + kind, "POST", params or {})
    if status != 202:
        raise SystemExit("%s refused: %s" % (kind, answer))
    return done(server, answer["job_id"])


def real_shop():
    folder = os.path.join(os.environ.get("BENCH_DATA", str(ROOT.parent / "shared" / "data")), "online-retail-store")
    if not os.path.isdir(folder):
        print("no %s: the real shop is left out" % folder)
        return
    server = Jobs()
    try:
        upload(server, folder)
        result, took = start(server, "training")
    finally:
        server.stop()
    test = result["metrics"]["backtest"]
    names = sorted(test["models"], key=lambda n: test["models"][n]["wape"])
    print("real shop, %d products, %s to %s, training %.1f s; WAPE by month:" % (
        result["products"], result["months"]["from"][:7], result["months"]["to"][:7], took))
    print("  %-16s" % "" + " ".join("%8s" % m["month"][:7] for m in test["by_month"])
          + "      all     bias  pinball  cover 5-95 %")
    for name in names:
        s = test["models"][name]
        print("  %-16s" % ("plastinka" if name == "model" else name)
              + " ".join("%8.3f" % m["wape"][name] for m in test["by_month"])
              + " %8.3f %8.1f %8.1f" % (s["wape"], s["bias"], s["pinball"])
              + ("  " + " ".join("%.3f" % m["coverage_90"] for m in test["by_month"]) if name == "model" else ""))
    print("  weights for the next month: " + ", ".join(
        "%s %.2f" % (k, v) for k, v in sorted(test["weights"].items(), key=lambda kv: -kv[1])))
    for m in test["by_month"]:
        for name, words in BASELINES.items():
            figure("WAPE %s against %s" % (m["month"][:7], words), m["wape"]["model"], m["wape"][name], 1, "lower")
        figure("coverage %s, distance from 0.9" % m["month"][:7], abs(m["coverage_90"] - 0.9), 0.05, 1, "lower")


def generated(titles, months):
    """A server with a shop of so many titles, ready to train."""
    folder = tempfile.mkdtemp()
    try:
        subprocess.run([os.environ["PLASTINKA"], "generate", "sales", folder, "--titles", str(titles), "--months",
                        str(months), "--seed", "7"], check=True, stdout=subprocess.DEVNULL)
        server = Jobs()
        took = upload(server, folder)
    finally:
        shutil.rmtree(folder)
    return server, took


def large_shop():
    server, took = generated(5000, 36)
    try:
        result, train = start(server, "training")
        predict = min(start(server, "prediction", {"model_id": result["model_id"]})[1] for _ in range(3))
    finally:
        server.stop()
    wape = {n: s["wape"] for n, s in result["metrics"]["backtest"]["models"].items()}
    print("5,000 titles (%d products) in 36 months: upload %.1f s, training %.1f s, prediction %.2f s; WAPE %s" % (
        result["products"], took, train, predict,
        ", ".join("%s %.3f" % (n, w) for n, w in sorted(wape.items(), key=lambda kv: kv[1]))))
    figure("training 5,000 x 36, seconds", train, 180, 1, "lower")
    figure("prediction 5,000 x 36, seconds", predict, 2, 1, "lower")


def growth():
    times = []
    for titles in (300, 1200, 4800):
        server, _ = generated(titles, 18)
        try:
            times.append(start(server, "training")[1])
        finally:
            server.stop()
        print("training %d titles in 18 months: %.1f s" % (titles, times[-1]), flush=True)
    figure("training 16 times the titles, times as long", times[2] / times[0], 16, 1, "lower")


if __name__ == "__main__":
    began = time.monotonic()
    parts = {"shop": real_shop, "large": large_shop, "growth": growth}
    for part in sys.argv[1:] or parts:
        parts[part]()
    print("%.0f s in all" % (time.monotonic() - began))
