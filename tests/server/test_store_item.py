"""The store-item service over HTTP: the requests its clients know, bad ones, batches, versions, accuracy, crashes."""
import json
import os
import random
import signal
import socket
import time

from http_support import check, run, same, wait_for
from store_support import Shop, curl, date_of, expected, write_csv
import store_support

TIME = "2"  # every moment begins with the millennium
GOOD = {"date": date_of(1010), "store": 2, "item": 3}


def with_shop(test):
    def go():
        server = Shop()
        try:
            test(server)
        finally:
            server.stop()
    go.__name__ = test.__name__
    return go


def result_of(s, body):
    status, answer = s.predict(body)
    same(status, 200, answer)
    return answer["result"]


def finished(s, job_id, seconds=30):
    found = []
    check(wait_for(lambda: found.append(curl(s, "/status/" + job_id)[1]) or found[-1]["status"] in ("completed", "failed"),
                   seconds), found and found[-1])
    return found[-1]


@with_shop
def test_the_five_documented_requests(s):
    status, body = curl(s, "/status")
    same((status, body["status"], body["model_loaded"], body["active_jobs"]), (200, "online", False, 0))
    same(body["jobs_by_status"], {"pending": 0, "processing": 0, "completed": 0, "failed": 0})
    status, body = curl(s, "/predict", body=GOOD)  # without a model the job fails, and says why
    one = finished(s, body["job_id"])
    check(one["status"] == "failed" and "no model" in one["error"] and one["completed_at"] > one["submitted_at"], one)
    same(s.predict(GOOD)[0], 503)
    s.train()
    check(wait_for(lambda: curl(s, "/status")[1]["model_loaded"], 10), "the model is loaded")
    status, body = curl(s, "/predict", body=GOOD)
    same((status, body["status"], len(body["job_id"]), sorted(body)), (200, "pending", 36, ["job_id", "status", "submitted_at"]))
    job_id, submitted = body["job_id"], body["submitted_at"]
    one = finished(s, job_id)
    same((one["job_id"], one["status"], one["submitted_at"]), (job_id, "completed", submitted))
    check("error" not in one and one["completed_at"] >= submitted and one["completed_at"].startswith(TIME), one)
    same({k: one["result"][k] for k in GOOD}, GOOD)
    mean = expected(2, 3, 1010)
    check(abs(one["result"]["predicted_sales"] - mean) < 0.2 * mean, one["result"], mean)
    interval = one["result"]["interval"]
    check(interval["low"] < one["result"]["predicted_sales"] < interval["high"] and interval["level"] == 0.9, interval)
    same(curl(s, "/status/invalid-job-id"), (404, {"error": "Job not found", "job_id": "invalid-job-id"}))
    status, body = curl(s, "/jobs")
    same((status, body["total_jobs"], body["filtered_jobs"], body["matching_jobs"]), (200, 2, 2, 2))
    same([j["status"] for j in body["jobs"]], ["failed", "completed"], "oldest first")
    same(body["jobs"][1]["data"], GOOD)
    same(body["jobs"][1]["result"], one["result"])
    status, body = curl(s, "/jobs?status=completed&limit=1")
    same((body["total_jobs"], body["filtered_jobs"], body["jobs"][0]["job_id"]), (2, 1, job_id))
    same(s.predict(GOOD)[1]["result"], one["result"], "at once or as a job: the same")


def listed(s, query):
    body = curl(s, "/jobs" + query)[1]
    return [j["data"]["item"] for j in body["jobs"]], body


@with_shop
def test_lists(s):
    s.train()
    ids = [curl(s, "/predict", body={**GOOD, "item": i})[1]["job_id"] for i in (1, 2, 3, 4)]
    for i in ids:
        same(finished(s, i)["status"], "completed")
    same(listed(s, "")[0], [1, 2, 3, 4])
    same(listed(s, "?limit=2")[0], [1, 2])
    same(listed(s, "?limit=0")[0], [1, 2, 3, 4], "0 is no limit")
    same(listed(s, "?limit=-1")[0], [1, 2, 3], "a negative one drops the last")
    same(listed(s, "?limit=-9")[0], [])
    same(listed(s, "?limit=x&status=completed")[0], [1, 2, 3, 4], "not a number: ignored")
    items, body = listed(s, "?status=nonsense")
    same((items, body["total_jobs"], body["filtered_jobs"]), ([], 4, 0))
    items, body = listed(s, "?limit=3")
    same(listed(s, f"?after={body['next_after']}")[0], [4])
    same(listed(s, f"?after={body['next_after']}")[1].get("next_after"), None)
    same(curl(s, "/status")[1]["jobs_by_status"], {"pending": 0, "processing": 0, "completed": 4, "failed": 0})
    same(curl(s, "/status")[1]["active_jobs"], 4)


BAD = [  # body, field, text
    ("{", "body", "No data provided or invalid JSON"),
    ("", "body", "No data provided or invalid JSON"),
    ("null", "body", "No data provided or invalid JSON"),
    ('{"date":"2023-10-01","store":Infinity,"item":1}', "body", "No data provided or invalid JSON"),
    ('{"date":"2023-10-01","store":1e999,"item":1}', "body", "No data provided or invalid JSON"),
    ('{"date":"2023-10-01","store":1,"item":1', "body", "No data provided or invalid JSON"),
    ("\xff", "body", "No data provided or invalid JSON"),
    ("5", "date", "Missing required fields: date, store, item"),
    ('"date, store and item"', "date", "Missing required fields: date, store, item"),
    ("[]", "date", "Missing required fields: date, store, item"),
    ({"date": "2023-10-01"}, "store", "Missing required fields: store, item"),
    ({"store": 1}, "date", "Missing required fields: date, item"),
    ({"items": []}, "items", "items must be a list that is not empty"),
    ({"items": 5}, "items", "items must be a list that is not empty"),
    ({"items": [GOOD, 5]}, "items.1.date", "Missing required fields: date, store, item"),
    ({"items": [GOOD, {**GOOD, "store": 0}]}, "items.1.store", "Store must be a positive integer"),
    ({"items": [GOOD] * 1001}, "items", "items has 1001 entries, at most 1000 are taken"),
]
for wrong in ("invalid-date", "", "2023-13-01", "2023-02-29", "2023-00-10", "2023-01-00", "2023/01/01", "01.01.2023", "2023-1",
              "20230101", "2023-01-01T00:00:00Z", "2023-01-01 ", " 2023-01-01", "+2023-01-1", "-2023-01-01", "23-01-01", "0000-01-01",
              "2023-01-01\0", "2023-1-1x", "\u0662\u0660\u0662\u0663-01-01", "1e3-01-01", 20230101, 2023.5, True, None, [], {}, "x" * 5000):
    BAD.append(({**GOOD, "date": wrong}, "date", "Invalid date"))
for wrong in (0, -1, 1.9, 0.5, "1.9", "nan", "invalid", "", " ", "1e1", "0x10", "-1", True, False, None, [], {}, [1], 2 ** 31,
              1e300, "9" * 400):
    BAD.append(({**GOOD, "store": wrong}, "store", "Store must be a positive integer"))
    BAD.append(({**GOOD, "item": wrong}, "item", "Item must be a positive integer"))


@with_shop
def test_bad_requests(s):
    for prefer in (None, 5):  # whether there is a model plays no part
        for body, field, text in BAD:
            if isinstance(body, str):
                body = body.encode("latin-1")
            else:
                body = json.dumps(body).encode()
            headers = {"Content-Type": "application/json", **({"Prefer": "wait=5"} if prefer else {})}
            status, answer = s.get("/predict", headers, "POST", body)
            check(status == 400 and isinstance(answer["error"], str) and answer["error"].startswith(text)
                  and answer["field"] == field, body[:200], status, answer)
    for kind in (None, "text/plain", "application/x-www-form-urlencoded", "application/jsonx", "x"):
        status, answer = s.get("/predict", {"Content-Type": kind} if kind else {}, "POST", json.dumps(GOOD))
        check(status == 415 and "application/json" in answer["error"] and answer["field"] == "Content-Type", kind, status, answer)
    for kind in ("application/json; charset=utf-8", "APPLICATION/JSON", "application/problem+json"):
        same(s.get("/predict", {"Content-Type": kind}, "POST", json.dumps(GOOD))[0], 200, kind)
    same(s.get("/predict")[0], 405)
    same(s.get("/status/" + "x" * 400)[0], 404)
    same(s.get("/jobs?limit=99999999999999999999")[0], 200)
    same(s.get("/jobs?after=-1")[0], 422)
    same(s.get("/predict", {"Content-Type": "application/json"}, "POST", b" " * 11000000)[0], 413)
    same(curl(s, "/status")[1]["active_jobs"], 3, "only the good ones became jobs")


@with_shop
def test_forecasts(s):
    trained = s.train()
    v = trained["validation"]
    check(v["smape"] < v["others"]["seasonal_naive"]["smape"] and 0.8 < v["coverage"] < 0.98, v)
    same((trained["rows"], trained["trained_until"]), (12000, date_of(999)))
    r = result_of(s, {**GOOD, "store": " 2.0 ", "item": "3", "date": date_of(1010)})
    same((r["store"], r["item"], r["extrapolated"], r["model_version"]), (2, 3, False, trained["model_id"]))
    odd = "2024-1-5"
    same(result_of(s, {**GOOD, "date": odd})["date"], odd, "as it was sent")
    many = [{"date": date_of(d), "store": st, "item": i} for d in (500, 1005, 1091, 1092, 1400) for st in (1, 3) for i in (1, 4)]
    batch = result_of(s, {"items": many})["predictions"]
    same([(p["date"], p["store"], p["item"]) for p in batch], [(m["date"], m["store"], m["item"]) for m in many])
    for m, p in zip(many, batch):
        same(result_of(s, m), p, "alone or with others")
        same(p["extrapolated"], m["date"] in (date_of(1092), date_of(1400)), p)
        check(p["interval"]["low"] <= p["predicted_sales"] <= p["interval"]["high"], p)
    jobs = curl(s, "/predict", body={"items": many})[1]["job_id"]
    same(finished(s, jobs)["result"]["predictions"], batch, "and as a job")
    for body, words in (({**GOOD, "store": 99}, ["store"]), ({**GOOD, "item": 99}, ["item"]),
                        ({**GOOD, "store": 99999, "item": 2147483647}, ["store", "item"]),
                        ({**GOOD, "date": "2030-06-01"}, ["days after"]), ({**GOOD, "date": "1999-06-01"}, ["days before"])):
        p = result_of(s, body)
        check(p["extrapolated"] and len(p["notes"]) == len(words) and all(w in n for w, n in zip(words, p["notes"]))
              and 0 < p["predicted_sales"] < 1000, p)
    mean = sum(result_of(s, {**GOOD, "store": st})["predicted_sales"] for st in (1, 2, 3)) / 3
    check(abs(result_of(s, {**GOOD, "store": 99})["predicted_sales"] / mean - 1) < 0.35, "an unknown store is a usual one")
    status, answer = s.get("/predict", {"Content-Type": "application/json", "Prefer": "respond-async, wait=0"}, "POST", json.dumps(GOOD))
    check(status == 200 and answer["status"] in ("completed", "pending"), answer)


@with_shop
def test_versions_and_rollback(s):
    def api(path, method="GET", value=None):
        return s.api("/api/v1/store-item/" + path, method, value)
    a = s.train()
    b = s.train(features="calendar", params='{"num_iterations":50}', holdout=60)
    same(b["trees"], 50)
    check(wait_for(lambda: curl(s, "/status")[1].get("model_version") == b["model_id"], 10), "the new one is in use")
    of_b = result_of(s, GOOD)
    models = api("models")[1]["models"]
    same([(m["model_id"], m["is_active"], m["features"]) for m in models],
         [(b["model_id"], True, "calendar"), (a["model_id"], False, "history")])
    same(api(f"models/{a['model_id']}/activate", "POST")[0], 200)
    of_a = result_of(s, GOOD)
    same((of_a["model_version"], of_b["model_version"]), (a["model_id"], b["model_id"]))
    check(of_a["predicted_sales"] != of_b["predicted_sales"], of_a, of_b)
    same(finished(s, curl(s, "/predict", body=GOOD)[1]["job_id"])["result"], of_a, "jobs use it, too")
    same(api("models/none/activate", "POST")[0], 404)
    same(s.get("/api/v1/store-item/models")[0], 401)
    c = s.train(activate="false")
    same((c["is_active"], result_of(s, GOOD)["model_version"]), (False, a["model_id"]))
    path = f"{s.data}/models/{a['model_id']}.db"  # a file that is not what was published is not used
    with open(path, "r+b") as f:
        f.seek(5000)
        f.write(b"x" * 100)
    s.stop_and_again()
    same(s.predict(GOOD)[0], 500)
    same((curl(s, "/status")[1]["model_loaded"], "not the one" in curl(s, "/status")[1]["model_error"]), (False, True))
    same(api(f"models/{b['model_id']}/activate", "POST")[0], 200)
    same(result_of(s, GOOD), of_b)


@with_shop
def test_accuracy(s):
    trained = s.train()
    accuracy = "/api/v1/store-item/accuracy"
    same(s.api(accuracy)[1]["rows"], 0)
    rng = random.Random(3)
    items = [{"date": date_of(d), "store": st, "item": i, "sales": store_support.sales(st, i, d, rng)}
             for d in range(990, 1030) for st in (1, 2, 3) for i in (1, 2, 3, 4)]
    same(s.api("/api/v1/store-item/actuals", "POST", {"items": items}), (200, {"stored": 480}))
    found = s.api(accuracy)[1]
    same((found["rows"], found["model_id"], found["is_drifting"]), (360, trained["model_id"], False), "only what came later")
    check(0.8 < found["coverage"] < 0.99 and found["smape"] < 0.2 and sum(m["rows"] for m in found["months"]) == 360, found)
    doubled = [{**i, "sales": 3 * i["sales"]} for i in items]
    s.api("/api/v1/store-item/actuals", "POST", {"items": doubled})
    found = s.api(accuracy)[1]
    same((found["rows"], found["is_drifting"]), (360, True), "sales that are told again replace the others")
    write_csv(os.path.join(s.dir, "later.csv"), days=40, start=1000)
    status, out = curl(s, "/api/v1/store-item/actuals/file", "-H", f"X-API-Key: {s.key}", "-F", f"file=@{s.dir}/later.csv")
    same(status, 202, out)
    job = s.ended(out["job_id"])
    same((job["status"], job["result"]["stored"]), ("completed", 480), job)
    same(s.api(accuracy)[1]["rows"], 480)
    same(s.api(accuracy + "?model_id=none")[0], 404)
    for bad in ({}, {"items": []}, {"items": [{**items[0], "sales": -1}]}, {"items": [{**items[0], "date": "2023-02-30"}]}):
        same(s.api("/api/v1/store-item/actuals", "POST", bad)[0], 422, bad)
    same(s.get(accuracy)[0], 401)


@with_shop
def test_files_that_are_refused(s):
    def refused(*words, **params):
        out = s.command("run", "store_item_train", *[x for k, v in params.items() for x in ("--param", f"{k}={v}")])
        check(out.returncode == 1 and all(w in out.stdout + out.stderr for w in words), words, out.stdout[-1000:])
    path = os.path.join(s.dir, "x.csv")
    def put(text):
        with open(path, "w") as f:
            f.write(text)
        return path
    refused("notfound", file=os.path.join(s.dir, "none.csv"))
    refused("sales", file=put("date,store,item\n2023-01-01,1,1\n"))
    refused("rows cannot be used", "row 2", "date", file=put("date,store,item,sales\n2023-13-01,1,1,5\n"))
    refused("row 3", "store", file=put("date,store,item,sales\n2023-01-01,1,1,5\n2023-01-01,0,1,5\n2023-01-01,x,1,5\n"))
    refused("expected at least", file=put("date,store,item,sales\n2023-01-01,1,1,5\n"))
    refused("features", file=path, features="none")
    refused("nine", file=s.csv, model=put("tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=0\n"
                                         "objective=regression\nfeature_names=a\nfeature_infos=none\n\nend of trees\n"))
    good = write_csv(os.path.join(s.dir, "some.csv"), days=300, bad=[
        ["2021-01-01", 1, 1, -5], ["", 1, 1, 5], ["2021-01-01", 1.5, 1, 5], ["2021-01-01", 1, 1, "many"], ["2021-01-01", 1, 1, 77]])
    trained = s.train(file=good)
    same(trained["rows"], 12 * 300, "the last of two rows for one day counts")
    zero = os.path.join(s.dir, "zero.csv")
    with open(zero, "w") as f:
        f.write("date,store,item,sales\n")
        for day in range(300):
            f.write(f"{date_of(day)},1,1,0\n{date_of(day)},1,2,{day % 5}\n")
    s.train(file=zero)
    check(wait_for(lambda: result_of(s, {"date": date_of(305), "store": 1, "item": 1})["predicted_sales"] == 0, 10), "nothing sold")


@with_shop
def test_a_model_from_lightgbm(s):
    """A model file of others, on the nine features: here one tree that splits at the third store, standardised."""
    text = ("tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=8\nobjective=regression_l1\n"
            "feature_names=store item year month day dayofweek is_weekend is_month_start is_month_end\n"
            "feature_infos=" + " ".join(["[-9:9]"] * 9) + "\ntree_sizes=400\n\n"
            "Tree=0\nnum_leaves=2\nnum_cat=0\nsplit_feature=0\nsplit_gain=1\nthreshold=0.5\ndecision_type=2\nleft_child=-1\n"
            "right_child=-2\nleaf_value=11.5 42.25\nleaf_weight=1 1\nleaf_count=1 1\ninternal_value=0\ninternal_weight=0\n"
            "internal_count=2\nis_linear=0\nshrinkage=1\n\n\nend of trees\n")
    path = os.path.join(s.dir, "model.txt")
    with open(path, "w") as f:
        f.write(text)
    s.train(model=path)
    check(wait_for(lambda: curl(s, "/status")[1]["model_loaded"], 10), "loaded")
    same([result_of(s, {**GOOD, "store": st})["predicted_sales"] for st in (1, 2, 3)], [11.5, 11.5, 42.25],
         "serving standardises as training does")


@with_shop
def test_kills_between_submit_and_result(s):
    s.train()
    ids = []
    for i in range(6):
        for k in range(10):
            status, answer = s.predict({**GOOD, "item": k % 4 + 1}, wait=None)
            same(status, 200)
            ids.append(answer["job_id"])
        if i % 2:
            for pid in s.workers():
                os.kill(pid, signal.SIGKILL)
        else:
            s.kill_all_and_again()
    for job_id in ids:
        one = finished(s, job_id, 60)
        same((one["status"], one["result"]["store"]), ("completed", 2), one)
    same(curl(s, "/status")[1]["jobs_by_status"], {"pending": 0, "processing": 0, "completed": 60, "failed": 0})


@with_shop
def test_clients_that_go_while_the_model_is_opened(s):
    s.train()
    body = json.dumps(GOOD).encode()
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nPrefer: wait=5\r\nContent-Length: %d\r\n\r\n"
    for _ in range(3):
        s.stop_and_again()
        open_ones = [socket.create_connection(("127.0.0.1", s.port)) for _ in range(30)]
        for i, c in enumerate(open_ones):
            c.sendall(head % len(body) + body)
            if i < 20:
                c.close()
        same(result_of(s, GOOD)["store"], 2)
        for c in open_ones[20:]:
            c.settimeout(10)
            check(c.recv(12) == b"HTTP/1.1 200", "who stayed is answered")
            c.close()


def test_light_jobs_take_no_place():
    s = Shop("--job-concurrency", "1", files={"jobs/slow.lua": "return { refractory = 0, run = function() "
                                              "require('task').sleep(60) end }"})
    try:
        s.train()
        slow = s.submit("slow")
        s.until(slow, "running")
        for job_id in [s.predict(GOOD, wait=None)[1]["job_id"] for _ in range(200)]:
            same(finished(s, job_id)["status"], "completed")
        same(s.job(slow)["status"], "running")
        same(s.job(s.submit("slow"))["status"], "pending", "another slow one waits")
    finally:
        s.stop()


@with_shop
def test_a_killed_training_goes_on(s):
    job_id = s.submit("store_item_train", {"file": s.csv})
    for _ in range(2):
        time.sleep(0.3)
        for pid in s.workers():
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)
    job = s.ended(job_id, 120)
    same(job["status"], "completed", job)
    same(result_of(s, GOOD)["model_version"], job_id)
    same(s.sql("SELECT count(*) FROM models"), [(1,)])


run(test_the_five_documented_requests, test_lists, test_bad_requests, test_forecasts, test_versions_and_rollback, test_accuracy,
    test_files_that_are_refused, test_a_model_from_lightgbm, test_kills_between_submit_and_result,
    test_a_killed_training_goes_on, test_clients_that_go_while_the_model_is_opened, test_light_jobs_take_no_place)
