"""Reports over HTTP: every route and format, filters, jobs, previews, hot reload, what is wrong with templates."""
import base64
import csv
import hashlib
import io
import json
import os
import re
import subprocess
import time
import xml.etree.ElementTree as ET
import zipfile

from http_support import PLASTINKA, check, run, same, wait_for
from jobs_support import Jobs
import report_support as shop

REFERENCE = ("result_id,multiindex_id,barcode,artist,album,cover_type,price_category,release_type,recording_decade,"
             "release_decade,style,recording_year,model_id,prediction_month,quantile_05,quantile_25,quantile_50,"
             "quantile_75,quantile_95,availability,confidence,Средние продажи (шт),Средние продажи (руб),"
             "Потерянные продажи (руб)").split(",")
N = 60
NEXT = "2026-03-01"


def with_shop(test):
    def go():
        server = Jobs("--rate-per-address", "0")
        try:
            shop.fill(f"{server.data}/database/plastinka.db", N)
            test(server)
        finally:
            server.stop()
    go.__name__ = test.__name__
    return go


def report(server, value=None, headers=None, status=200):
    found, body = server.api("/api/v1/jobs/reports", "POST", value or {}, headers)
    same(found, status, body)
    return body


def table(text):
    rows = list(csv.reader(io.StringIO(text, newline="")))
    return rows[0], [dict(zip(rows[0], r)) for r in rows[1:]]


def charts(page):
    """Every drawing of a page, parsed: they must be well-formed."""
    found = re.findall(r"<svg.*?</svg>", page, re.S)
    return [ET.fromstring(s) for s in found]


def raw(server, path, key=True):
    import http.client
    c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    c.request("GET", path, None, {"X-API-Key": server.key} if key else {})
    r = c.getresponse()
    body = r.read()
    c.close()
    return r.status, body, {k.lower(): v for k, v in r.getheaders()}


def same_hashes(policy, page):
    for tag in ("style", "script"):
        text = re.search("<%s>(.*?)</%s>" % (tag, tag), page, re.S).group(1)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        check("%s-src 'sha256-%s'" % (tag, digest) in policy, tag, policy)


@with_shop
def test_prediction_report(server):
    body = report(server)
    same((body["report_type"], body["prediction_month"], body["records_count"], body["filters_applied"]),
         ("prediction_report", "2026-03", N, None))
    check(re.match(r"\d{4}-\d\d-\d\dT", body["generated_at"]), body["generated_at"])
    header, rows = table(body["csv_data"])
    same(header[:24], REFERENCE)
    same(len(rows), N)
    same(sorted((r["artist"], r["album"]) for r in rows), [(r["artist"], r["album"]) for r in rows], "by artist, album")
    stored = dict(server.sql("SELECT multiindex_id, quantile_75 FROM fact_predictions WHERE prediction_month = ? AND"
                             " model_id = ?", (NEXT, shop.MODEL)))
    hand = dict(server.sql("SELECT multiindex_id, value FROM fact_stock WHERE data_date = ?", (NEXT,)))
    last = dict(server.sql("SELECT multiindex_id, availability FROM report_features WHERE data_date = '2026-02-01'"))
    for r in rows:
        p = int(r["multiindex_id"])
        same(float(r["quantile_75"]), stored[p])
        same(float(r["availability"]), last[p], "the last month that is known")
        same(float(r["stock"]), hand[p])
        want = max(0, int(stored[p] - hand[p] + 0.5))
        same(int(r["order_quantity"]), want, r)
        check(r["reason"], r)
        same(r["price_category"][0], "(")
    same(set(body["links"]), {"self", "html", "csv", "xlsx", "json"})

    status, page, headers = raw(server, body["links"]["html"])
    page = page.decode()
    same((status, headers["content-type"]), (200, "text/html; charset=utf-8"))
    same_hashes(headers["content-security-policy"], page)
    check("http://" not in page and "https://" not in page, "nothing from outside")
    check("style=" not in re.sub(r"<style>.*?</style>", "", page, flags=re.S), "no styles in attributes")
    check("<Blue>" not in page and "&lt;" in page, "escaped")
    same(len(charts(page)), 3 + 2 * N)
    same(page.count("<tr><td>"), N)

    status, data, headers = raw(server, body["links"]["csv"])
    same((status, data.decode()), (200, body["csv_data"]))
    check("attachment" in headers["content-disposition"], headers)
    status, data, headers = raw(server, body["links"]["xlsx"])
    sheet = zipfile.ZipFile(io.BytesIO(data)).read("xl/worksheets/sheet1.xml")
    same(sheet.count(b"<row "), N + 1)
    status, data, headers = raw(server, body["links"]["json"])
    value = json.loads(data)
    same((value["records_count"], len(value["rows"]), len(value["columns"])), (N, N, len(header)))
    same(sorted(value["rows"][0]), sorted(c["name"] for c in value["columns"]))

    listed = server.api("/api/v1/reports/prediction_report?month=" + NEXT)[1]
    same([r["result_id"] for r in listed["results"]], [body["result_id"]])
    same(listed["months"], ["2026-03-01", "2026-02-01", "2026-01-01", "2025-12-01", "2025-11-01"])
    same(server.api(body["links"]["self"])[1]["records_count"], N)
    same(server.api(body["links"]["self"], "DELETE")[0], 204)
    same(server.api(body["links"]["self"])[0], 404)
    same(raw(server, body["links"]["html"])[0], 404)
    same(os.listdir(f"{server.data}/reports"), [])
    same(os.listdir(f"{server.data}/scratch"), [])


@with_shop
def test_parameters_and_filters(server):
    body = report(server, {"parameters": {"service_level": 0.95}, "formats": ["csv"]})
    same(sorted(body["links"]), ["csv", "self"])
    rows = table(body["csv_data"])[1]
    check(all(abs(float(r["target"]) - float(r["quantile_95"])) < 1e-9 for r in rows), "at 95 %")
    one = {"formats": ["csv"]}
    styles = sorted({r["style"] for r in rows})
    found = report(server, {**one, "filters": {"style": styles[0]}})
    same(found["filters_applied"], {"style": styles[0]})
    same(found["records_count"], sum(r["style"] == styles[0] for r in rows))
    same(report(server, {**one, "filters": {"style": styles[:2]}})["records_count"],
         sum(r["style"] in styles[:2] for r in rows))
    same(report(server, {**one, "filters": {"quantile_50": {"min": 1, "max": 3}}})["records_count"],
         sum(1 <= float(r["quantile_50"]) <= 3 for r in rows))
    same(report(server, {**one, "filters": {"artist": {"contains": "ТИХИЙ"}}})["records_count"],
         sum("Тихий" in r["artist"] for r in rows))
    same(report(server, {**one, "filters": {"style": []}})["records_count"], 0)
    same(report(server, {**one, "filters": {}})["records_count"], N)
    same(report(server, {**one, "filters": {"artist": "x' OR 1=1 --"}})["records_count"], 0)
    wrong = report(server, {"filters": {"stile": "Rock"}}, status=422)["error"]
    same((wrong["code"], wrong["details"]["parameter"]), ("validation_error", "filters.stile"))
    check("style" in wrong["details"]["columns"], wrong)
    for filters in ({"style": {"like": "x"}}, {"style": True}, {"style": [{}]}, {"style": {}}, ["style"]):
        same(report(server, {"filters": filters}, status=422)["error"]["code"], "validation_error", filters)
    same(report(server, {"parameters": {"service_level": 2}}, status=422)["error"]["details"]["errors"][0]["loc"],
         ["parameters", "service_level"])
    same(report(server, {"parameters": {"servce_level": 0.5}}, status=422)["error"]["code"], "validation_error")
    same(report(server, {"formats": ["pdf"]}, status=422)["error"]["code"], "validation_error")
    same(os.listdir(f"{server.data}/scratch"), [], "nothing is left behind")


@with_shop
def test_retention(server):
    old, new = report(server), report(server)
    server.change("UPDATE report_results SET created_at = '2020-01-01T00:00:00.000Z' WHERE result_id = ?", (old["result_id"],))
    os.utime(f"{server.data}/reports/{old['result_id']}", (0, 0))
    job = server.ended(server.submit("retention"))
    same((job["status"], job["result"]["reports"]), ("completed", 1), job)
    same(os.listdir(f"{server.data}/reports"), [new["result_id"]])
    same([r["result_id"] for r in server.api("/api/v1/reports")[1]["results"]], [new["result_id"]])


@with_shop
def test_months_and_models(server):
    same(report(server, {"report_type": "prediction_report", "prediction_month": None, "filters": None, "model_id": None,
                         "parameters": None})["prediction_month"], "2026-03")
    same(report(server, {"prediction_month": "2026-01-01"})["prediction_month"], "2026-01")
    wrong = report(server, {"prediction_month": "2026-01-15"}, status=422)["error"]["details"]
    same((wrong["parameter"], wrong["value"]), ("prediction_month", "2026-01-15"))
    same(report(server, {"prediction_month": "soon"}, status=422)["error"]["code"], "validation_error")
    none = report(server, {"prediction_month": "2031-05-01"}, status=404)["error"]
    same((none["code"], none["details"]["months"][0]), ("no_predictions_found", NEXT))
    other = report(server, {"model_id": shop.OLD})
    same({r["model_id"] for r in table(other["csv_data"])[1]}, {shop.OLD})
    none = report(server, {"model_id": shop.OLD, "prediction_month": "2026-01-01"}, status=404)["error"]
    same(none["details"]["months"], [NEXT])
    same(report(server, {"model_id": "nobody"}, status=404)["error"]["code"], "model_not_found")
    none = report(server, {"report_type": "nothing"}, status=404)["error"]
    check("prediction_report" in none["details"]["reports"], none)
    server.change("UPDATE models SET is_active = 0")
    server.change("DELETE FROM prediction_results WHERE model_id = ? AND prediction_month = ?", (shop.MODEL, NEXT))
    same({r["model_id"] for r in table(report(server)["csv_data"])[1]}, {shop.OLD}, "the newest that has the month")
    server.change("DELETE FROM prediction_results")
    same(report(server, status=404)["error"]["details"]["months"], [])


@with_shop
def test_as_a_job(server):
    body = report(server, {"prediction_month": "2026-02-01"}, {"Prefer": "respond-async"}, 202)
    same(server.answer_headers["preference-applied"], "respond-async")
    job = server.ended(body["job_id"])
    same((job["status"], job["job_type"]), ("completed", "report"), job)
    result = job["result"]
    same((result["prediction_month"], result["records_count"], result["has_enriched_metrics"]), ("2026-02", N, True))
    same(result["enriched_columns"], REFERENCE[19:])
    same(table(result["csv_data"])[0][:24], REFERENCE)
    same(raw(server, result["links"]["html"])[0], 200)
    body = report(server, {"prediction_month": "2031-01-01"}, {"Prefer": "respond-async"}, 202)
    job = server.ended(body["job_id"])
    same((job["status"], job["error_code"]), ("failed", "no_predictions_found"))
    report(server, {"report_type": "nothing"}, {"Prefer": "respond-async"}, 404)


@with_shop
def test_shared_link(server):
    body = report(server, {"share_seconds": 3600, "formats": ["html"]})
    status, page, headers = raw(server, body["share"], key=False)
    same(status, 200)
    same_hashes(headers["content-security-policy"], page.decode())
    same(raw(server, body["share"][:-1] + "_", key=False)[0], 404)
    same(raw(server, body["links"]["html"], key=False)[0], 401)
    server.change("UPDATE report_results SET share_until = '2020-01-01T00:00:00.000Z'")
    same(raw(server, body["share"], key=False)[0], 404)
    check("share" not in report(server, {"formats": ["html"]}), "only when asked for")


def preview(server, template=None, status=200, name="prediction_report", **more):
    value = {k: v for k, v in {"template": template, **more}.items() if v is not None}
    found, body = server.api(f"/api/v1/reports/{name}/preview", "POST", value)
    same(found, status, body)
    return body if status == 200 else body["error"]


@with_shop
def test_preview(server):
    page = preview(server).decode()
    check("<tr><td>" in page, "the page that is saved")
    page = preview(server, "{% extends 'layout.html' %}{% block body %}<p>{{ n_rows }} {{ t.artist }}</p>{% end %}").decode()
    check(f"<p>{N} Исполнитель</p>" in page, page[-300:])
    page = preview(server, templates={"layout.html": "<{% block body %}{% end %}>"}).decode()
    check(page.startswith("<"), page[:100])
    same(preview(server, "{% for r in rows %}{{ loop.index }},{% end %}", filters={"multiindex_id": [1, 2]}), b"1,2,")

    wrong = preview(server, "<p>\n{% for r in rows %}\n{{ r.artist }\n{% end %}", 422)
    same((wrong["code"], wrong["details"]["reason"]), ("validation_error", "parse"))
    wrong = preview(server, "<p>\n{% for r in rows %}\n<b>{{ r.artst }}</b>\n{% end %}\n", 422)["details"]
    same((wrong["file"], wrong["line"]), ("workflows/reports/prediction_report/page.html", 3))
    same([x["text"] for x in wrong["excerpt"] if x.get("here")], ["<b>{{ r.artst }}</b>"])
    wrong = preview(server, "{% for r in rows %}\n\n{% if loop.index == 50 %}{{ r.artist.x.y }}{% end %}\n{% end %}", 422)
    same((wrong["details"]["line"], wrong["details"]["row"]), (3, 50), wrong)
    check("(row 50)" in wrong["message"], wrong)
    wrong = preview(server, "{{ nobody }}", 422)
    check("unknown name 'nobody'" in wrong["message"], wrong)
    wrong = preview(server, "\n{% for i = 1, 1e15 %}{% end %}", 422)
    same((wrong["details"]["reason"], wrong["details"]["line"]), ("killed", 2), wrong)
    wrong = preview(server, "{% for i = 1, 1e15 %}{{ i }}{% end %}", 422)
    check(wrong["details"]["reason"] in ("killed", "limit", "timeout"), wrong)
    wrong = preview(server, "{% for a in rows %}" * 8 + "{% end %}" * 8, 422)
    check(wrong["details"]["reason"] in ("timeout", "killed"), wrong)
    wrong = preview(server, "{{ ('x'):rep(1e9) }}", 422)
    check(wrong["details"]["reason"] in ("nomem", "limit"), wrong)
    wrong = preview(server, "{{ ('x'):rep(9e6) }}", 422)
    same(wrong["details"]["reason"], "limit")
    wrong = preview(server, "{% include 'page.html' %}", 422)
    same(wrong["details"]["reason"], "limit")
    check("os" in preview(server, "{{ os.exit() }}", 422)["message"], "sandbox")
    same(preview(server, "x", 422, templates={"../x.html": ""})["code"], "validation_error")
    same(preview(server, "x", 404, name="nothing")["code"], "not_found")
    same(preview(server, "x", 404, prediction_month="2031-01-01")["code"], "no_predictions_found")
    same(server.word(), "one", "the server goes on")
    same(os.listdir(f"{server.data}/scratch"), [], "nothing is left behind")


def generation(server):
    return server.get("/health", {"X-API-Key": server.key})[1]["generation"]


@with_shop
def test_hot_reload(server):
    page = (server.flows / "reports/prediction_report/page.html").read_text()
    old = generation(server)
    server.write("reports/prediction_report/page.html", page.replace("<thead>", "<thead><!-- mine -->"))
    check(wait_for(lambda: generation(server) != old, 20), "reloaded")
    text = raw(server, report(server)["links"]["html"])[1].decode()
    check("<!-- mine -->" in text, "the next report has it")
    old = generation(server)
    server.write("reports/prediction_report/page.html", page.replace("{% end %}", "{% ende %}", 1))
    check(wait_for(lambda: "page.html:" in server.logged(), 20), "refused")
    same(generation(server), old)
    text = raw(server, report(server)["links"]["html"])[1].decode()
    check("<!-- mine -->" in text, "the good one stays")
    declaration = (server.flows / "reports/prediction_report/report.lua").read_text()
    server.write("reports/prediction_report/page.html", page)
    server.write("reports/prediction_report/report.lua", declaration.replace('{ name = "reason"', '{ name = "raeson"'))
    check(wait_for(lambda: generation(server) != old, 20), "reloaded")
    wrong = report(server, status=500)["error"]
    check("report.lua: the column raeson is not in the query's result" in wrong["message"], wrong)
    old = generation(server)
    server.write("reports/prediction_report/report.lua", declaration.replace('FROM demand d', 'FROM demnd d'))
    check(wait_for(lambda: generation(server) != old, 20), "reloaded")
    check("no such table: demnd" in report(server, status=500)["error"]["message"])
    server.write("reports/prediction_report/report.lua", declaration.replace('title = "forecast_report"', 'tittle = "x"'))
    check(wait_for(lambda: "did you mean title" in server.logged(), 20), "refused")


@with_shop
def test_list_and_roles(server):
    kinds = server.api("/api/v1/reports")[1]
    names = [k["name"] for k in kinds["reports"]]
    check("prediction_report" in names, names)
    mine = kinds["reports"][names.index("prediction_report")]
    same(mine["parameters"]["properties"]["service_level"]["default"], 0.75)
    for i in range(3):
        report(server, {"formats": ["csv"]})
    first = server.api("/api/v1/reports?limit=2")[1]
    rest = server.api("/api/v1/reports?limit=2&cursor=" + first["next_cursor"])[1]
    same((len(first["results"]), len(rest["results"]), rest.get("next_cursor")), (2, 1, None))
    same(server.api("/api/v1/reports/nothing")[0], 404)
    key = server.command("keys", "create", "reader", "viewer").stdout
    found = re.search(r"plk_\S+", key)
    check(found, key)
    reader = {"X-API-Key": found.group(0)}
    same(server.get("/api/v1/reports", reader)[0], 200)
    body = json.dumps({"template": "x"})
    same(server.get("/api/v1/reports/prediction_report/preview", {**reader, "Content-Type": "application/json"}, "POST", body)[0], 403)
    same(server.get("/api/v1/reports")[0], 401)


def sold(server, first, after):
    return dict(server.sql("SELECT multiindex_id, sum(value) FROM fact_sales WHERE data_date >= ? AND data_date < ? GROUP BY 1",
                           (first, after)))


@with_shop
def test_accuracy_report(server):
    body = report(server, {"report_type": "accuracy_report"})
    same((body["prediction_month"], body["records_count"]), ("2026-02", N), "the newest month whose sales are known")
    rows = table(body["csv_data"])[1]
    actual, before = sold(server, "2026-02-01", "2026-03-01"), sold(server, "2026-01-01", "2026-02-01")
    three, year = sold(server, "2025-11-01", "2026-02-01"), sold(server, "2025-02-01", "2025-03-01")
    for r in rows:
        p, have = int(r["multiindex_id"]), actual.get(int(r["multiindex_id"]), 0)
        same(float(r["actual"]), float(have))
        check(abs(float(r["error"]) - (have - float(r["quantile_50"]))) < 1e-9, r)
        same(float(r["naive"]), float(before.get(p, 0)))
        check(abs(float(r["mean_3"]) - three.get(p, 0) / 3) < 1e-9, r)
        same(float(r["seasonal_naive"]), float(year.get(p, 0)))
        low, high = (int(float(r[q]) + 0.5) for q in ("quantile_05", "quantile_95"))
        same(int(r["inside_90"]), int(low <= have <= high), r)
    misses = [float(r["abs_error"]) for r in rows]
    same(misses, sorted(misses, reverse=True), "the worst first")
    page = raw(server, body["links"]["html"])[1].decode()
    wape = "%.1f" % (100 * sum(misses) / sum(actual.values()))
    check("<b>%s\u00a0%%</b>" % wape.replace(".", ",") in page, wape)
    check("TiDE" in page and "41,0" in page, "the backtest of the training")
    same(len(charts(page)), 5 + N)
    first = report(server, {"report_type": "accuracy_report", "prediction_month": "2025-11-01", "filters": {"style": "Rock"}})
    check(first["records_count"] < N, first)
    server.change("DELETE FROM fact_predictions")
    server.change("DELETE FROM prediction_results")
    server.change("INSERT INTO backtest_predictions SELECT (SELECT max(result_id) FROM training_results), multiindex_id,"
                  " '2026-02-01', 1, 2, 3, 4, 5 FROM dim_multiindex_mapping WHERE multiindex_id <= 3")
    body = report(server, {"report_type": "accuracy_report"})
    same((body["prediction_month"], body["records_count"]), ("2026-02", 3))
    for r in table(body["csv_data"])[1]:
        same((r["method"], float(r["quantile_50"]), float(r["actual"])),
             ("backtest", 3.0, float(actual.get(int(r["multiindex_id"]), 0))))
    check("не видя его" in raw(server, body["links"]["html"])[1].decode(), "it says what it is")
    server.change("DELETE FROM backtest_predictions")
    body = report(server, {"report_type": "accuracy_report"})
    same((body["prediction_month"], body["records_count"]), ("2026-02", 0))
    page = raw(server, body["links"]["html"])[1].decode()
    check("TiDE" in page and "<td>Прошлый месяц</td>" in page, "the backtest alone")
    server.change("DELETE FROM training_results")
    report(server, {"report_type": "accuracy_report"}, status=404)


@with_shop
def test_inventory_report(server):
    body = report(server, {"report_type": "inventory_report"})
    same(body["prediction_month"], "2026-02")
    rows = table(body["csv_data"])[1]
    year = sold(server, "2025-03-01", "2026-03-01")
    hand = dict(server.sql("SELECT multiindex_id, value FROM fact_stock WHERE data_date = '2026-03-01'"))
    last = dict(server.sql("SELECT multiindex_id, max(data_date) FROM fact_sales GROUP BY 1"))
    lost = dict(server.sql("SELECT multiindex_id, sum(lost_sales) FROM report_features WHERE data_date >= '2025-03-01' GROUP BY 1"))
    money = dict(server.sql("SELECT multiindex_id, max(value) FROM fact_prices GROUP BY 1"))
    same({int(r["multiindex_id"]) for r in rows},
         {p for p in money if hand[p] > 0 or year.get(p, 0) > 0 or lost.get(p, 0) > 0})
    ranked = sorted(rows, key=lambda r: (-float(r["revenue_12"]), int(r["multiindex_id"])))
    total, before = sum(float(r["revenue_12"]) for r in rows), 0.0
    for r in ranked:
        p = int(r["multiindex_id"])
        same((float(r["stock"]), float(r["sold_12"])), (float(hand[p]), float(year.get(p, 0))))
        same(float(r["revenue_12"]), year.get(p, 0) * money[p])
        same(float(r["lost_12"]), float(lost[p]))
        want = "C" if float(r["revenue_12"]) <= 0 or before >= 0.95 * total else "A" if before < 0.8 * total else "B"
        same(r["abc"], want, r)
        before += float(r["revenue_12"])
        dead = hand[p] > 0 and last.get(p, "2025-01-01") < "2025-09-01"
        same(r["state"] == "dead", dead, r)
        same(r["state"] == "out", hand[p] == 0 and year.get(p, 0) > 0, r)
    check(any(r["state"] == "dead" for r in rows), "dead stock")
    page = raw(server, body["links"]["html"])[1].decode()
    check("мёртвый остаток" in page, "words")
    charts(page)
    longer = report(server, {"report_type": "inventory_report", "parameters": {"dead_months": 14}})
    check(sum(r["state"] == "dead" for r in table(longer["csv_data"])[1]) < sum(r["state"] == "dead" for r in rows), "fewer")
    dead = report(server, {"report_type": "inventory_report", "filters": {"state": ["dead", "out"]}})
    same(dead["records_count"], sum(r["state"] in ("dead", "out") for r in rows))


@with_shop
def test_wrong_template_in_use(server):
    page = (server.flows / "reports/prediction_report/page.html").read_text()
    for text, want in (("{% for i = 1, 1e15 %}{% end %}", "page.html"),
                       ("{% for r in rows %}\n{% if loop.index == 40 %}{{ r.nothing }}{% end %}{% end %}",
                        "page.html:2: there is no column 'nothing'")):
        old = generation(server)
        server.write("reports/prediction_report/page.html", text)
        check(wait_for(lambda: generation(server) != old, 20), "reloaded")
        wrong = report(server, {"formats": ["html"]}, status=500)["error"]
        if want:
            check(want in wrong["message"], wrong)
        job = server.ended(report(server, {"formats": ["html"]}, {"Prefer": "respond-async"}, 202)["job_id"], 60)
        same(job["status"], "failed", job)
        same(server.word(), "one", "the server goes on")
        same(report(server, {"formats": ["csv"]})["records_count"], N, "other formats do not need the page")
    old = generation(server)
    server.write("reports/prediction_report/page.html", page)
    check(wait_for(lambda: generation(server) != old, 20), "reloaded")
    report(server)
    same(server.sql("SELECT count(*) FROM report_results"), [(3,)], "nothing of those that failed")


@with_shop
def test_english(server):
    out = subprocess.run([PLASTINKA, "report", "prediction_report", "--out", str(server.dir / "en.html"), "--data", str(server.data),
                          "--language", "en"], stdout=subprocess.PIPE, text=True, timeout=60)
    same(out.returncode, 0, out.stdout)
    text = (server.dir / "en.html").read_text()
    check('<html lang="en">' in text and "Forecast and order" in text and "March 2026" in text, text[:300])
    head = re.search("<thead>.*?</thead>", text, re.S).group(0)
    check(not re.search("[А-Яа-я]", head), head)


def command(server, *args, cwd=None):
    return subprocess.run([PLASTINKA, "report", *args, "--data", str(server.data), "--workflows", str(server.flows)],
                          cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)


@with_shop
def test_command(server):
    here = server.dir / "here"
    here.mkdir()
    out = command(server, "prediction_report", "--format", "csv", cwd=here)
    same(out.returncode, 0, out.stdout)
    same(len(table((here / "prediction_report_2026-03.csv").read_text())[1]), N)
    out = command(server, "prediction_report", "--out", "a.html", "--month", "2026-01", "--filter", "multiindex_id=[1,2,3]",
                  "--param", "service_level=0.9", cwd=here)
    same((here / "a.html").read_text().count("<tr><td>"), 3, out.stdout)
    out = command(server, "prediction_report", "--month", "2031-01", cwd=here)
    same(out.returncode, 1)
    check("2026-03-01" in out.stdout, out.stdout)
    same(command(server, "prediction_report", "--fromat", "csv").returncode, 2)
    check("prediction_report" in command(server, "--list").stdout)
    watch = subprocess.Popen([PLASTINKA, "report", "prediction_report", "--watch", "--out", "w.html", "--data", str(server.data),
                              "--workflows", str(server.flows)], cwd=here, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        check(" 60 rows" in watch.stdout.readline())
        page = (server.flows / "reports/prediction_report/page.html").read_text()
        server.write("reports/prediction_report/page.html", page.replace("<thead>", "<thead><!-- new -->"))
        check("60 rows" in watch.stdout.readline())
        check("<!-- new -->" in (here / "w.html").read_text(), "made again")
        server.write("reports/prediction_report/page.html", "{% for %}")
        line = watch.stdout.readline()
        check("page.html:1:" in line, line)
    finally:
        watch.terminate()
        same(watch.wait(20), 0)
        watch.stdout.close()


run(test_retention, test_prediction_report, test_parameters_and_filters, test_months_and_models, test_as_a_job, test_shared_link, test_preview,
    test_hot_reload, test_list_and_roles, test_command, test_accuracy_report, test_inventory_report, test_wrong_template_in_use,
    test_english)
