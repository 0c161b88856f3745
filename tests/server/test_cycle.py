"""A shop's year over HTTP: every month is uploaded, trained on, forecast and reported; forecasts are judged
by the months that come; when demand changes of a sudden, /health says so."""
import datetime
import http.client
import json
import os
import random
import subprocess
import tempfile
import time

import golden_upload as golden
from http_support import PLASTINKA, check, run, same
from jobs_support import Jobs

HEAD = "Штрихкод;Исполнитель;Альбом;Конверт;Цена, руб.;Тип;Год записи;Год выпуска;Стиль;Дата создания;"
N = 16           # titles
LAUNCHED = 3     # of them come out in July
LAST_CALM = 9    # from October on everything sells otherwise
SMALL = {"lags": 3, "nn_model_config": {"hidden_size": 8, "decoder_output_dim": 4, "temporal_decoder_hidden": 8,
                                        "num_encoder_layers": 1, "num_decoder_layers": 1, "batch_size": 64},
         "training_config": {"max_epochs": 4, "patience": 2}}


def first_of(number):
    return datetime.date(2025 + (number - 1) // 12, (number - 1) % 12 + 1, 1)


def item(n):
    created = "2025-07-01" if n < LAUNCHED else "2024-12-20"
    return "%d;Artist %d;Album %d;SS;%d;Оригинал;1980;1980;%s;%s;" % (1000 + n, n % 5, n, 900 + 40 * n,
                                                                     ("Rock", "Jazz")[n % 2], created)


def units(n, number, chance):
    if n < LAUNCHED and number < 7:
        return 0
    level = 4 + 3 * n % 17
    if number > LAST_CALM:  # what sold well does not any more, and the other way round
        level = 60 if level < 12 else 0
    return max(0, level + chance.randint(-1, 1)) if level else 0


def write(folder, name, last, rows):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(HEAD + last + "\n" + "".join(r + "\n" for r in rows))
    return path


def books(folder, number):
    """Stock at the end of a month, and its sales."""
    chance, month, after = random.Random(number), first_of(number), first_of(number + 1)
    rows = []
    for n in range(N):
        for k in range(units(n, number, chance)):
            rows.append(item(n) + str(month + datetime.timedelta(days=(k * 7 + n) % (after - month).days)))
    there = [n for n in range(N) if n >= LAUNCHED or number >= 7]
    stock, sales = "stock_%d.csv" % number, "sales_%d.csv" % number
    return [["stock", write(folder, stock, "Экземпляры", [item(n) + "40" for n in there]), stock],
            ["sales", write(folder, sales, "Дата заказа", rows), sales]], len(rows)


class Shop(Jobs):
    def ends(self, job_id):
        j = self.ended(job_id, 120)
        same(j["status"], "completed", j.get("error"), j.get("error_details"))
        return j["result"]

    def get_raw(self, path, method="GET", body=None, headers=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        c.request(method, path, body, {"X-API-Key": self.key, **(headers or {})})
        r = c.getresponse()
        content = r.read()
        c.close()
        return r.status, content

    def get(self, path):
        status, body = self.api(path)
        same(status, 200, path, body)
        return body

    def model_health(self):
        time.sleep(2.05)  # /health answers what it knew two seconds ago
        return self.api("/health")[1]["components"]["active_model_metric"]


def month_of_a_shop(s, folder, number):
    files, n_sold = books(folder, number)
    status, answer = golden.post(s, files, {"stock_date": str(first_of(number + 1))})
    same(status, 202, answer)
    result = s.ends(answer["job_id"])
    same((result["rows"]["rejected"], result["months"]), (0, [str(first_of(number))]))
    months = s.get("/api/v1/data/months")
    same((len(months["months"]), months["months"][-1]["units"], months["months"][-1]["complete"]), (number, n_sold, True))


def train(s, number):
    status, answer = s.api("/api/v1/jobs/training", "POST", {"dataset_end_date": str(first_of(number + 1)
                                                             - datetime.timedelta(days=1))})
    same(status, 202, answer)
    result = s.ends(answer["job_id"])
    next_month = str(first_of(number + 1))
    same((result["prediction_month"], result["products"]), (next_month, N if number >= 7 else N - LAUNCHED))
    rows = s.sql("SELECT quantile_05, quantile_25, quantile_50, quantile_75, quantile_95 FROM fact_predictions"
                 " WHERE model_id = ? AND prediction_month = ?", (result["model_id"], next_month))
    same(len(rows), result["products"])
    check(all(0 <= r[0] <= r[1] <= r[2] <= r[3] <= r[4] for r in rows), "quantiles rise", rows)
    same(s.sql("SELECT count(*) FROM models WHERE is_active"), [(1,)])
    return result


def active_is_best(s, next_month):
    """The active model was held against each new one in a month both had forecast unseen; it speaks of the next
    month, too."""
    active = None
    for model, text in s.sql("SELECT model_id, metrics FROM training_results ORDER BY rowid"):
        duel = json.loads(text)["backtest"].get("duel")
        if active is None:
            same(duel, None, "nobody to duel with")
            active = model
            continue
        same(duel["model_id"], active, duel)
        new, old = (duel[side]["val_MIWS_MIC_Ratio"] for side in ("new", "old"))
        check(new > 0 and old > 0, duel)
        active = model if new <= old else active
    same(s.get("/api/v1/models-configs/models/active")["model_id"], active)
    until = time.time() + 60
    while not s.sql("SELECT 1 FROM fact_predictions WHERE model_id = ? AND prediction_month = ?", (active, next_month)):
        check(time.time() < until, "the active model says nothing of", next_month)
        time.sleep(0.1)


def test_a_year():
    with tempfile.TemporaryDirectory(prefix="plastinka-test-") as folder:
        s = Shop("--job-refractory-seconds", "0")
        try:
            status, config = s.api("/api/v1/model-params", "POST", {"config": SMALL, "is_active": True})
            same(status, 201, config)
            models = {}
            for number in range(1, 13):
                month_of_a_shop(s, folder, number)
                if number == 2:
                    status, e = s.api("/api/v1/jobs/training", "POST", {})
                    j = s.ended(e["job_id"])
                    same((j["status"], j["error_code"]), ("failed", "not_enough_data"))
                if number < 4:
                    continue
                result = train(s, number)
                models[number + 1] = result["model_id"]
                active_is_best(s, result["prediction_month"])
                status, report = s.api("/api/v1/jobs/reports", "POST", {
                    "model_id": result["model_id"], "prediction_month": result["prediction_month"], "formats": ["csv"]})
                same((status, report.get("records_count")), (200, result["products"]), report)
                if number == 7:
                    methods = dict(s.sql("SELECT method, count(*) FROM fact_predictions WHERE model_id = ? GROUP BY 1",
                                         (result["model_id"],)))
                    same(methods, {"cold_start": LAUNCHED, "model": N - LAUNCHED}, "launched this month")
                if number == LAST_CALM:
                    calm = s.model_health()["details"]
                    same(len(calm["live"]["months"]), 3, calm)
                    check(calm["live"]["drift"] < calm["drift_threshold"], "all is calm", calm)
            health = s.model_health()
            live = health["details"]["live"]
            same((health["status"], live["months"]), ("degraded", ["2025-12", "2025-11", "2025-10"]))
            check(live["drift"] > health["details"]["drift_threshold"] and live["wape"] > 2 * calm["live"]["wape"], health)
            check("2025-10" in health["details"]["reason"] and "train again" in health["details"]["reason"], health)
            # forecasts beside what came of them
            history = s.get("/api/v1/predictions/history?model_id=%s" % models[8])
            same(len(history["items"]), N)
            august = [i["predictions"][0] for i in history["items"]]
            same({p["prediction_month"] for p in august}, {"2025-08-01"})
            check(all(p["actual"] is not None and abs(p["error"] - (p["quantiles"]["q50"] - p["actual"])) < 1e-9
                      for p in august), august)
            same(len({m["month"] for m in s.get("/api/v1/predictions/months")["months"]}), 9)
            same(len(s.get("/api/v1/results/training")), 9)
            same([c["is_active"] for c in s.get("/api/v1/model-params")["params"]], [True])
            for name in ("accuracy_report", "inventory_report"):
                status, report = s.api("/api/v1/jobs/reports", "POST", {"report_type": name, "formats": ["html", "csv"]})
                same(status, 200, report)
                check(report["records_count"] > 0 and "<html" in s.get_raw(report["links"]["html"])[1].decode(), report)
            model_files(s, folder, models[13])
        finally:
            s.stop()


TAMPER = """
local tide = require("tide")
local m <close> = tide.load(arg[1])
local note = m.note
if arg[3] == "sql" then note.features.past[1].sql = "(SELECT count(*) FROM api_keys)"
elseif arg[3] == "attribute" then note.vocabulary[1].attribute = "x' THEN 1 --"
elseif arg[3] == "span" then note.span = "7); DELETE FROM jobs; --"
elseif arg[3] == "trees" then note.trees = { text = "no trees" }
elseif arg[3] == "other shop" then for _, v in ipairs(note.vocabulary) do v.part = "Unheard of " .. v.part end end
m:save(arg[2], note)
"""


def upload_model(s, path, **fields):
    with open(path, "rb") as f:
        parts = [("model_file", f.read(), "x.model")] + [(k, str(v).encode(), None) for k, v in fields.items()]
    edge, body = b"edge-of-parts", b""
    for name, value, filename in parts:
        body += b"--" + edge + b'\r\nContent-Disposition: form-data; name="' + name.encode() + b'"'
        body += b'; filename="%s"' % filename.encode() if filename else b""
        body += b"\r\n\r\n" + value + b"\r\n"
    status, answer = s.get_raw("/api/v1/models-configs/models/upload", "POST", body + b"--" + edge + b"--\r\n",
                               {"Content-Type": "multipart/form-data; boundary=" + edge.decode()})
    return status, golden.support.json.loads(answer)


def model_files(s, folder, model):
    """The file of a model travels, and forecasts the same; one that was meddled with is not taken."""
    path, script, bad = folder + "/model", folder + "/tamper.lua", folder + "/bad"
    status, content = s.get_raw("/api/v1/models-configs/models/%s/file" % model)
    same(status, 200)
    with open(path, "wb") as f:
        f.write(content)
    with open(script, "w") as f:
        f.write(TAMPER)
    status, m = upload_model(s, path, model_id="travelled")
    same((status, m["metadata"]["format"], m["metadata"]["can_forecast"]), (200, "sales", True), m)
    status, e = s.api("/api/v1/jobs/prediction", "POST", {"model_id": "travelled"})
    same(status, 202, e)
    s.ends(e["job_id"])
    quantiles = "SELECT multiindex_id, quantile_05, quantile_50, quantile_95 FROM fact_predictions WHERE model_id = ?" \
        " AND prediction_month = '2026-01-01' ORDER BY 1"
    same(s.sql(quantiles, ("travelled",)), s.sql(quantiles, (model,)), "the same forecast")
    for what, word in (("sql", "dataset_features"), ("attribute", "damaged"), ("span", "damaged"), ("trees", "no model"),
                       ("other shop", "another catalogue")):
        subprocess.run([PLASTINKA, "lua", script, path, bad, what], check=True, timeout=60)
        status, e = upload_model(s, bad, model_id="bad")
        same((status, e.get("error", {}).get("code")), (400, "model_upload_failed"), what, e)
        check(word in e["error"]["message"], what, e)


if __name__ == "__main__":
    run(test_a_year)
