"""Tuning over HTTP: a tiny shop, what is stored and taken over, killed workers, bad data."""
import json
import time

from http_support import check, run, same, wait_for
from jobs_support import Jobs
from training_support import fill, month

SECONDS = 400  # of some tiny trainings, on a busy machine under a sanitizer
SMALL = {"nn_model_config": {"hidden_size": 8, "decoder_output_dim": 4, "temporal_decoder_hidden": 8, "batch_size": 64},
         "training_config": {"max_epochs": 10, "patience": 10}}


def tune(server, **params):
    status, answer = server.api("/api/v1/jobs/tuning", "POST", params)
    same(status, 202, answer)
    same(answer["status"], "pending")
    return answer["job_id"]


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


def active(server):
    return server.sql("SELECT config_id FROM configs WHERE is_active = 1")


@with_server
def test_finds_and_offers(server):
    fill(server, 40, 12)
    job = server.ended(tune(server, trials=14, parallel=2, activate=False), SECONDS)
    same(job["status"], "completed", job)
    result = job["result"]
    names = [s["name"] for s in job["steps"]]
    same(names[:3], ["choose parameters", "months", "prepare dataset"])
    same(sorted(names[3:-1]), sorted(f"trial {i}" for i in range(1, 15)))
    same(names[-1], "publish")
    same((result["mode"], result["metric"], result["ended_by"]), ("lite", "val_MIWS_MIC_Ratio", "trials"))
    same(sum(result["trials"].values()), 14, "every trial is accounted for")
    same(result["before"]["config_id"], server.config_id, "the parameters in use were the first trial")
    same(next(s["result"]["status"] for s in job["steps"] if s["name"] == "trial 1"), "completed", "and judged")
    values = [r["value"] for r in result["results"]]
    check(1 <= len(values) <= 5 and values == sorted(values), "the best, in order", values)
    check(values[0] <= result["before"]["value"], "no worse than what there was")
    same(len({r["config_id"] for r in result["results"]}), len(values), "each once")
    same(active(server), [(server.config_id,)], "offered, not taken")

    rows = server.sql("SELECT result_id, job_id, config_id, metrics, duration FROM tuning_results")
    same(sorted(r[0] for r in rows), sorted(r["result_id"] for r in result["results"]))
    for _, job_id, config_id, metrics, duration in rows:
        metrics = json.loads(metrics)
        same(job_id, job["job_id"])
        check(duration > 0 and metrics["val_MIWS_MIC_Ratio"] > 0 and metrics["val_loss"] > 0, metrics)
        config, source = server.sql("SELECT config, source FROM configs WHERE config_id = ?", (config_id,))[0]
        config = json.loads(config)
        same(source, "manual_upload" if config_id == server.config_id else "tuning")
        same(config["nn_model_config"]["hidden_size"], 8, "lite leaves the network alone")
        check(1e-4 <= config["optimizer_config"]["lr"] <= 1e-2, "the whole rate, not a rounded one", config)
        check("use_swa" not in config, config)
    status, listed = server.api("/api/v1/results/tuning?metric_name=val_MIWS_MIC_Ratio&higher_is_better=false")
    same((status, listed[0]["config_id"]), (200, result["best"]["config_id"]))
    status, best = server.api("/api/v1/jobs/" + job["job_id"] + "/artifacts")
    same(status, 200, best)
    check("trials.json" in json.dumps(best), best)
    same(server.sql("SELECT count(*) FROM models"), [(0,)], "no model is left")

    # the same once more is refused for a while; a full search begins with what was found and takes over
    status, refused = server.api("/api/v1/jobs/tuning", "POST", {"trials": 14, "parallel": 2, "activate": False,
                                                                 "time_budget_s": 100})
    same((status, refused["error"]["code"]), (429, "job_refractory_active"), "whatever the time it may take")
    job = server.ended(tune(server, trials=4, mode="full", activate=True), SECONDS)
    same(job["status"], "completed", job)
    again = job["result"]
    same((again["mode"], again["before"]["config_id"]), ("full", server.config_id))
    check(again["best"]["value"] <= result["best"]["value"] + 1e-9, "what was found before is a start", again)
    taken = again["best"]["config_id"] if again["best"]["is_active"] else server.config_id
    same(active(server), [(taken,)])
    same(again["best"]["is_active"], again["best"]["value"] < again["before"]["value"], "taken when it is better")


@with_server
def test_killed(server):
    fill(server, 30, 11)
    server.api("/api/v1/models-configs/configs/upload", "POST", {"is_active": True, "json_payload": dict(
        SMALL, training_config={"max_epochs": 150, "patience": 150})})
    whole = server.ended(tune(server, trials=9, parallel=1, activate=False), SECONDS)
    same(whole["status"], "completed", whole)
    server.change("DELETE FROM tuning_results")
    server.change("DELETE FROM configs WHERE is_active = 0")
    job_id = tune(server, trials=9, parallel=1, activate=False, dataset_end_date=month(11))
    n_killed = 0
    for name in ("trial 2", "trial 6"):
        check(wait_for(lambda: any(s["name"] == name for s in server.job(job_id)["steps"]), SECONDS), name)
        time.sleep(0.05)
        if server.job(job_id)["status"] == "running":
            server.kill_worker()
            n_killed += 1
            n_stored = server.sql("SELECT count(*) FROM tuning_results")[0][0]
            done = [s["name"] for s in server.job(job_id)["steps"] if s["status"] == "completed"]
            check(n_stored == 0 or "publish" in done, "nothing is half published", n_stored)
    job = server.ended(job_id, SECONDS)
    same(job["status"], "completed", job)
    def plain(j):
        return [(r["config_id"], r["trial"], r["value"]) for r in j["result"]["results"]]
    same(plain(job), plain(whole), "the same search, killed or not")
    same(job["result"]["trials"], whole["result"]["trials"])
    check(n_killed > 0 and job["deaths"] <= n_killed, n_killed, job["deaths"])


def test_ranked_by_loss():
    """A metric that forecasts of the last months do not have: the loss takes its place, and that is said."""
    server = Jobs("--model-metric", "train_MIC", "--model-metric-higher-is-better", "true")
    try:
        server.api("/api/v1/models-configs/configs/upload", "POST", {"json_payload": SMALL, "is_active": True})
        fill(server, 25, 10)
        job = server.ended(tune(server, trials=5, activate=True), SECONDS)
        same(job["status"], "completed", job)
        result = job["result"]
        same(result["metric"], "val_loss")
        values = [r["value"] for r in result["results"]]
        check(values == sorted(values) and values[0] <= result["before"]["value"], "less is better", result)
        check(any("ranked by val_loss" in line["message"] for line in job["log"]), job["log"])
    finally:
        server.stop()


@with_server
def test_refused(server):
    def fails(**params):
        job = server.ended(tune(server, **params), SECONDS)
        same(job["status"], "failed", job)
        same(server.sql("SELECT count(*) FROM tuning_results"), [(0,)])
        return job
    same(fails()["error_code"], "no_data")
    fill(server, 20, 2)
    job = fails(dataset_end_date=month(2))
    same((job["error_code"], job["error_details"]["months"]), ("not_enough_data", 2))
    fill(server, 20, 12, skip=(6,))
    same(fails(dataset_start_date=month(1))["error_details"]["missing_months"], [month(6)])
    # of time for nothing but the beginning of one trial, nothing can be told
    fill(server, 300, 12)
    server.api("/api/v1/models-configs/configs/upload", "POST", {"is_active": True, "json_payload": {
        "nn_model_config": {"hidden_size": 256, "batch_size": 16},
        "training_config": {"max_epochs": 10000, "patience": 10000}}})
    job = fails(trials=50, parallel=1, time_budget_s=1)
    same((job["error_code"], job["error_details"]["trials"]["completed"]), ("no_result", 0))
    check("in the time given" in job["error"], job["error"])
    # cancelled while it computes: soon, and nothing is stored
    job_id = tune(server, trials=51, parallel=2)
    check(wait_for(lambda: any(s["name"] == "trial 1" for s in server.job(job_id)["steps"]), SECONDS), "it runs")
    same(server.api(f"/api/v1/jobs/{job_id}/cancel", "POST")[0] // 100, 2)
    same(server.ended(job_id, 60)["status"], "cancelled")
    same(server.sql("SELECT count(*) FROM tuning_results"), [(0,)])
    for params in ({"mode": "lazy"}, {"time_budget_s": 0}, {"time_budget_s": "soon"}, {"trials": 0}, {"parallel": 100},
                   {"dataset_start_date": "2024-05-01", "dataset_end_date": "2024-04-01"},
                   {"dataset_start_date": "1940-05-01", "dataset_end_date": "1944-04-01"}, {"budget": 3}):
        same(server.api("/api/v1/jobs/tuning", "POST", params)[0], 422, params)


run(test_finds_and_offers, test_killed, test_ranked_by_loss, test_refused)
