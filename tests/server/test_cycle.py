"""A shop's year over HTTP: every month is uploaded, trained on, forecast and reported; forecasts are judged
by the months that come; when demand changes of a sudden, /health says so."""
import datetime
import os
import random
import tempfile
import time

import golden_upload as golden
from http_support import check, run, same
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


def active_is_best(s):
    """A new model took over only when it was better than the one before."""
    best = active = None
    for model, metric in s.sql("SELECT model_id, json_extract(metrics, '$.val_MIWS_MIC_Ratio') FROM training_results"
                               " ORDER BY rowid"):
        if active is None or metric is not None and (best is None or metric < best):
            active, best = model, metric
    same(s.get("/api/v1/models-configs/models/active")["model_id"], active)


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
                active_is_best(s)
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
            same(len(s.get("/api/v1/predictions/months")["months"]), 9)
            same(len(s.get("/api/v1/results/training")), 9)
            same([c["is_active"] for c in s.get("/api/v1/model-params")["params"]], [True])
        finally:
            s.stop()


if __name__ == "__main__":
    run(test_a_year)
