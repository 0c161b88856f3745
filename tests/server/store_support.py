"""What the tests of the store-item service share: sales that are made here, and a model trained on them."""
import csv
import datetime
import json
import math
import os
import random
import signal
import subprocess
import time

from http_support import PLASTINKA, check, same
from jobs_support import Jobs

FIRST = datetime.date(2021, 1, 1)


def expected(store, item, day):
    """The law the sales are made by: a product of effects."""
    date = FIRST + datetime.timedelta(day)
    return (10 + 6 * item) * (0.8 + 0.2 * store) * (1 + 0.06 * date.weekday()) * \
        (1 + 0.3 * math.sin(2 * math.pi * date.timetuple().tm_yday / 365)) * (1 + 0.1 * (day / 365))


def sales(store, item, day, rng):
    mean = expected(store, item, day)
    return max(0, round(rng.gauss(mean, math.sqrt(mean))))


def write_csv(path, days=1000, stores=3, items=4, start=0, bad=()):
    rng = random.Random(7)
    with open(path, "w", newline="") as f:
        w = csv.writer(f)
        w.writerow(["date", "store", "item", "sales"])
        for store in range(1, stores + 1):
            for item in range(1, items + 1):
                for day in range(start, start + days):
                    w.writerow([FIRST + datetime.timedelta(day), store, item, sales(store, item, day, rng)])
        for row in bad:
            w.writerow(row)
    return path


def date_of(day):
    return str(FIRST + datetime.timedelta(day))


def curl(server, path, *args, body=None, content_type="application/json"):
    """As people do it by hand: status, JSON of the answer."""
    command = ["curl", "-s", "-S", "--max-time", "20", "-w", "\n%{http_code}", f"http://127.0.0.1:{server.port}{path}", *args]
    if body is not None:
        command += ["-X", "POST", "-H", f"Content-Type: {content_type}", "-d", body if isinstance(body, str) else json.dumps(body)]
    out = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=30)
    same(out.returncode, 0, command, out.stderr)
    text, status = out.stdout.rsplit("\n", 1)
    return int(status), json.loads(text)


class Shop(Jobs):
    """A server with a model of 1000 days."""

    def __init__(self, *args, **kw):
        super().__init__(*args, **kw)
        self.csv = write_csv(os.path.join(self.dir, "train.csv"))

    def again(self):
        """Another server over the same folder. It refuses while a process of the one before still ends."""
        for _ in range(50):
            self.proc = subprocess.Popen(
                [PLASTINKA, "serve", "--host", "127.0.0.1", "--port", "0", "--data", str(self.data), "--workflows",
                 str(self.flows), "--work-processes", "1"], stdout=subprocess.PIPE, stderr=self.log, text=True)
            for line in self.proc.stdout:
                if line.startswith("listening "):
                    self.port = int(line.rsplit(":", 1)[1])
                    return
            self.proc.wait()
            time.sleep(0.2)
        raise AssertionError("the server does not start again: " + self.logged()[-2000:])

    def stop_and_again(self):
        self.proc.send_signal(signal.SIGTERM)
        same(self.proc.wait(40), 0)
        self.again()

    def kill_all_and_again(self):
        """Everything at once, as when the machine loses its power."""
        os.kill(self.proc.pid, signal.SIGSTOP)  # so that it starts nobody anew
        out = subprocess.run(["ps", "--ppid", str(self.proc.pid), "-o", "pid="], stdout=subprocess.PIPE, text=True).stdout
        for pid in [self.proc.pid, *map(int, out.split())]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # ended by itself, its supervisor being gone
        self.proc.wait()
        self.again()

    def train(self, **params):
        args = [x for k, v in {"file": self.csv, **params}.items() for x in ("--param", f"{k}={v}")]
        out = subprocess.run([PLASTINKA, "run", "store_item_train", *args, "--data", str(self.data)], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, timeout=400)
        check(out.returncode == 0, out.stdout[-3000:], out.stderr[-3000:])
        return json.loads(out.stdout.rsplit("completed ", 1)[1].split(" ", 1)[1])

    def predict(self, body, wait=5):
        return self.get("/predict", {"Content-Type": "application/json", **({"Prefer": f"wait={wait}"} if wait else {})},
                        "POST", json.dumps(body) if not isinstance(body, str) else body)
