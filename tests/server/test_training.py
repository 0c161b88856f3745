"""Training and prediction over HTTP: a tiny shop, bad data, two at once, killed workers."""
import json
import os
import time

from http_support import check, run, same, wait_for
from jobs_support import Jobs
from training_support import fill, month, published

QUANTILES = ["quantile_05", "quantile_25", "quantile_50", "quantile_75", "quantile_95"]
TRAIN_SECONDS = 300  # of a tiny shop, on a busy machine under a sanitizer
SMALL = {"nn_model_config": {"hidden_size": 16, "decoder_output_dim": 4, "temporal_decoder_hidden": 8},
         "training_config": {"max_epochs": 6, "patience": 2}}


def train(server, **params):
    status, answer = server.api("/api/v1/jobs/training", "POST", params)
    same(status, 202, answer)
    return answer


def with_server(test):
    def go():
        server = Jobs()
        try:
            status, answer = server.api("/api/v1/models-configs/configs/upload", "POST", {"json_payload": SMALL, "is_active": True})
            same(status, 200, answer)
            server.config_id = answer["config_id"]
            test(server)
        finally:
            server.stop()
    go.__name__ = test.__name__
    return go


def check_predictions(server, model, when, n):
    rows = server.sql("SELECT multiindex_id, method, %s FROM fact_predictions WHERE model_id = ? AND prediction_month = ?"
                      " ORDER BY 1" % ", ".join(QUANTILES), (model, when))
    same(len(rows), n, "a forecast of every product")
    for r in rows:
        q = list(r[2:])
        check(q == sorted(q) and q[0] >= 0, "quantiles cross or are negative", r)
    return rows


@with_server
def test_trains(server):
    fill(server, 40, 9)
    answer = train(server)
    same((answer["status"], answer["config_id"], answer["using_active_parameters"], answer["model_id"]),
         ("pending", server.config_id, True, None))
    job = server.ended(answer["job_id"], TRAIN_SECONDS)
    same(job["status"], "completed", job)
    same([s["name"] for s in job["steps"]],
         ["choose parameters", "months", "prepare dataset", "backtest", "train", "publish"])
    result = job["result"]
    same((result["prediction_month"], result["config_id"], result["products"]), (month(10), server.config_id, 40))
    same(result["months"], {"from": month(1), "to": month(9)})
    same(published(server), (1, 1, 1, 40))
    rows = check_predictions(server, result["model_id"], month(10), 40)
    same([r[0] for r in rows if r[1] == "cold_start"], [39, 40], "those nobody has seen sell")
    check(all(r[4] > 0 for r in rows if r[0] % 9 > 3 and r[0] < 39), "what sells goes on selling")
    metrics = json.loads(server.sql("SELECT metrics FROM training_results")[0][0])
    for name in ("val_MIWS", "val_MIC", "val_MIWS_MIC_Ratio", "val_loss", "train_loss", "training_duration_seconds"):
        check(isinstance(metrics.get(name), (int, float)), name, metrics)
    same(metrics["backtest"]["months"], [month(7), month(8), month(9)])
    for name in ("model", "tide", "trees", "naive", "seasonal_naive", "mean_3"):
        scores = metrics["backtest"]["models"][name]
        check(scores["wape"] > 0 and scores["pinball"] > 0 and "bias" in scores and "mase" in scores, name, scores)
    same(metrics["backtest"]["models"]["model"]["crossings"], 0)
    model = server.sql("SELECT model_id, model_path, is_active, job_id, metadata FROM models")[0]
    same(model[:4], (result["model_id"], result["model_id"] + ".model", 1, job["job_id"]))
    meta = json.loads(model[4])
    same((meta["horizon"], meta["n_products"], meta["months"], meta["config_id"]),
         (1, 40, {"from": month(1), "to": month(9)}, server.config_id))
    check(os.path.getsize(f"{server.data}/models/{model[1]}") > 1000, "the file is there")
    same(os.listdir(f"{server.data}/scratch"), [], "nothing is left over")
    summary = json.loads(server.sql("SELECT summary_metrics FROM prediction_results")[0][0])
    same((summary["n_products"], summary["n_cold_start"]), (40, 2))
    check(0 < summary["units_q05"] <= summary["units_q50"] <= summary["units_q95"], summary)

    # once more: the same parameters are refused for a while, others give a model of another id
    status, refused = server.api("/api/v1/jobs/training", "POST", {})
    same((status, refused["error"]["code"]), (429, "job_refractory_active"))
    job = server.ended(train(server, dataset_start_date=month(2))["job_id"], TRAIN_SECONDS)
    same(job["status"], "completed", job)
    check(job["result"]["model_id"] != result["model_id"], "an id of its own")
    same(job["result"]["months"]["from"], month(2))
    same(published(server), (2, 2, 2, 80))
    same(server.sql("SELECT count(*) FROM models WHERE is_active = 1"), [(1,)])
    predicts(server, result["model_id"])


def predicts(server, model):
    """The prediction job, with what test_trains left."""
    def predict(**params):
        status, answer = server.api("/api/v1/jobs/prediction", "POST", params)
        same(status, 202, answer)
        return server.ended(answer["job_id"], TRAIN_SECONDS)
    before = server.sql("SELECT multiindex_id, %s FROM fact_predictions WHERE model_id = ? ORDER BY 1"
                        % ", ".join(QUANTILES), (model,))
    job = predict(model_id=model)
    same(job["status"], "completed", job)
    same((job["result"]["model_id"], job["result"]["data_until"]), (model, month(9)))
    same(published(server), (2, 2, 2, 80), "the same forecast takes the place of the first")
    same(server.sql("SELECT multiindex_id, %s FROM fact_predictions WHERE model_id = ? ORDER BY 1"
                    % ", ".join(QUANTILES), (model,)), before, "and says the same: one routine for both")
    job = predict(model_id=model, prediction_month=month(11), horizon=2)
    same([p["prediction_month"] for p in job["result"]["predictions"]], [month(11), month(12)])
    check_predictions(server, model, month(12), 40)
    job = predict(prediction_month=month(7))
    same((job["result"]["data_until"], job["result"]["is_in_sample"]), (month(6), True))
    check_predictions(server, job["result"]["model_id"], month(7), 38)
    for params, want in (({"model_id": "nobody"}, 404), ({"prediction_month": "2024-05-02"}, 422),
                         ({"horizon": 0}, 422), ({"horizon": 25}, 422)):
        same(server.api("/api/v1/jobs/prediction", "POST", params)[0], want, params)
    same(predict(prediction_month="2100-01-01")["error_code"], "invalid_date_range")
    same(predict(prediction_month="2020-01-01")["error_code"], "no_data")
    path = f"{server.data}/models/{model}.model"
    with open(path, "r+b") as f:
        f.seek(os.path.getsize(path) // 2)
        f.write(b"\xff\xff\xff\xff\xff\xff\xff\xff")
    same(predict(model_id=model, prediction_month=month(11))["error_code"], "corrupt")


@with_server
def test_bad_data(server):
    def fails(**params):
        job = server.ended(train(server, **params)["job_id"], TRAIN_SECONDS)
        same(job["status"], "failed", job)
        same(published(server), (0, 0, 0, 0), "nothing is half published")
        return job
    same(server.api("/api/v1/jobs/prediction", "POST", {})[1]["error"]["code"], "no_active_model")
    same(fails()["error_code"], "no_data")
    fill(server, 20, 1)
    job = fails(dataset_end_date=month(1))
    same((job["error_code"], job["error_details"]), ("not_enough_data", {"months": 1, "needed": 3}))
    fill(server, 20, 6, zero=True)
    server.change("DELETE FROM fact_sales")
    same(fails(dataset_end_date=month(6))["error_code"], "no_sales")
    fill(server, 20, 6)
    server.change("DELETE FROM data_months WHERE data_date IN (?, ?)", (month(3), month(4)))
    job = fails(dataset_end_date=month(7))
    same((job["error_code"], job["error_details"]["missing_months"]), ("missing_months", [month(3), month(4)]))
    same(fails(dataset_start_date="2030-01-01")["error_code"], "no_data")
    for params in ({"dataset_start_date": "2024-05-01", "dataset_end_date": "2024-04-01"},
                   {"dataset_start_date": "1940-05-01", "dataset_end_date": "1944-04-01"},
                   {"dataset_start_date": "2024-01-01", "dataset_end_date": "2200-01-01"},
                   {"dataset_start_date": "2010-01-01", "dataset_end_date": "2024-04-01"},
                   {"dataset_end_date": "01.05.2024"}, {"dataset_end": "2024-05-01"}):
        same(server.api("/api/v1/jobs/training", "POST", params)[0], 422, params)


@with_server
def test_few_months_and_no_configuration(server):
    server.change("DELETE FROM configs")
    fill(server, 30, 3)
    answer = train(server, dataset_end_date="2200-01-01")  # alone a date is not looked at: the data decide
    same((answer["config_id"], answer["using_active_parameters"]), (None, False))
    job = server.ended(answer["job_id"], TRAIN_SECONDS)
    same(job["status"], "completed", job)
    same(job["result"]["prediction_month"], month(4))
    same(server.sql("SELECT source FROM configs"), [("default",)], "those of the program are stored")
    check_predictions(server, job["result"]["model_id"], month(4), 30)


@with_server
def test_killed_and_two_at_once(server):
    fill(server, 60, 10)
    server.api("/api/v1/models-configs/configs/upload", "POST", {"is_active": True, "json_payload": dict(
        SMALL, training_config={"max_epochs": 120, "patience": 100})})
    first, second = train(server), train(server, dataset_start_date=month(2))
    stages = ["backtest", "train", "publish"]
    for n, job_id in enumerate((first["job_id"], second["job_id"])):
        for stage in stages[n:n + 2]:  # the third death of a worker would park the job
            check(wait_for(lambda: any(s["name"] == stage for s in server.job(job_id)["steps"])
                           or server.job(job_id)["status"] == "completed", TRAIN_SECONDS), stage)
            other = server.job(second["job_id"])
            check(n == 1 or other["status"] == "pending", "one training at a time", other["status"])
            if server.job(job_id)["status"] == "completed":
                break
            time.sleep(0.1)
            server.kill_worker()
            models, results, forecasts, rows = published(server)
            check(models == results == forecasts and rows == 60 * models, "nothing is half published")
        job = server.ended(job_id, TRAIN_SECONDS)
        same(job["status"], "completed", job)
        same(published(server), (n + 1, n + 1, n + 1, 60 * (n + 1)), "published once")
    same(len(os.listdir(f"{server.data}/models")), 2, "no file but those of the models")
    check(wait_for(lambda: os.listdir(f"{server.data}/scratch") == [], 10), os.listdir(f"{server.data}/scratch"))


run(test_trains, test_bad_data, test_few_months_and_no_configuration, test_killed_and_two_at_once)
