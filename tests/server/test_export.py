"""Facts as files: what is stored comes out again in csv, xlsx and parquet, by months, nothing calculated, nothing left
behind, in bounded memory."""
import csv
import datetime
import io
import os
import socket
import sys
import tempfile
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

import golden_upload as golden
import parquet_read
from http_support import check, run, same, wait_for
from jobs_support import Jobs
from upload_support import table

KEYS = ["barcode", "artist", "album", "cover_type", "price_category", "release_type", "recording_decade",
        "release_decade", "style", "recording_year"]


def download(server, path):
    r = urllib.request.Request("http://127.0.0.1:%d%s" % (server.port, path), headers={"X-API-Key": server.key})
    with urllib.request.urlopen(r, timeout=120) as answer:
        return answer.headers, answer.read()


def with_facts(test):
    def go():
        server = Jobs()
        try:
            with tempfile.TemporaryDirectory() as folder:
                files = [table(folder, "stock.csv", "stock", [("=cmd()|'calc'!A1", 1000, "2025-01-05", 7), ("Ы, «ё»", 900, "2025-01-01", 2)]),
                         table(folder, "sales.csv", "sales", [("=cmd()|'calc'!A1", 1000, "2025-01-05", "2025-01-20"),
                                                              ("Ы, «ё»", 900, "2025-01-01", "2025-02-28"),
                                                              ("Ы, «ё»", 900, "2025-01-01", "2025-02-28")])]
                job = server.ended(golden.post(server, files, {})[1]["job_id"], 60)
                same(job["status"], "completed", job)
                test(server, folder)
        finally:
            server.stop()
    go.__name__ = test.__name__
    return go


def stored(server, name, value):
    return server.sql("SELECT data_date, multiindex_id, %s, %s FROM %s f JOIN dim_multiindex_mapping p USING (multiindex_id)"
                      " ORDER BY 1, 2" % (", ".join("p." + k for k in KEYS), ", ".join(value), name))


TABLES = {"sales": ("fact_sales", ["value"]), "stock_changes": ("fact_stock_changes", ["value"]),
          "stock": ("fact_stock", ["value"]), "prices": ("fact_prices", ["value"]),
          "features": ("report_features", ["availability", "confidence", "masked_mean_sales_items",
                                           "masked_mean_sales_rub", "lost_sales", "imputed"])}


@with_facts
def test_all_tables(server, folder):
    for name, (source, value) in TABLES.items():
        want = stored(server, source, value)
        check(want, name)
        head, text = download(server, "/api/v1/data/export/" + name)
        check('filename="%s.csv"' % name in head["Content-Disposition"], head)
        check(head["Content-Type"].startswith("text/csv"), head)
        rows = list(csv.reader(io.StringIO(text.decode("utf-8-sig"), newline="")))
        same(rows[0][:2], ["date", "multiindex_id"])
        same(rows[0][2:12], KEYS)
        plain = [[r[0], str(r[1])] + [("'" if k == "artist" and r[i].startswith("=") else "") + str(r[i])
                                      for i, k in enumerate(KEYS, 2)] for r in want]
        same([r[:12] for r in rows[1:]], plain, name)
        same([[float(x) for x in r[12:]] for r in rows[1:]], [list(r[12:]) for r in want], name)
        head, data = download(server, "/api/v1/data/export/%s?format=parquet" % name)
        path = os.path.join(folder, name + ".parquet")
        with open(path, "wb") as f:
            f.write(data)
        names, found, n_groups = parquet_read.read(path)
        same(names, rows[0], name)
        same([(r[0].isoformat(),) + r[1:] for r in found], [tuple(r) for r in want], name)
        same(n_groups, 1)
        head, data = download(server, "/api/v1/data/export/%s?format=xlsx" % name)
        same(data[:2], b"PK")
    head, text = download(server, "/api/v1/data/export/sales?from=2025-02-10&to=2025-02-11&separator=semicolon")
    lines = text.decode("utf-8-sig").split("\r\n")
    same((len(lines), lines[1].split(";")[0], lines[1].split(";")[-1]), (4, "2025-02-28", "1"))
    head, data = download(server, "/api/v1/data/export/sales?from=2026-01-01&format=parquet")
    with open(folder + "/none.parquet", "wb") as f:
        f.write(data)
    same(parquet_read.read(folder + "/none.parquet")[1:], ([], 0), "nothing is a table too")
    same(server.api("/api/v1/data/export/sales?from=2026-01-01&to=2025-01-01")[0], 400)
    same(server.api("/api/v1/data/export/secrets")[0], 422)
    same(server.api("/api/v1/data/export/sales?format=doc")[0], 422)
    same(os.listdir(str(server.data) + "/scratch"), [], "nothing is left")


@with_facts
def test_large(server, folder):
    """250,000 rows: three groups of parquet, and no more memory than for few."""
    server.change("WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 124999) INSERT INTO fact_sales"
                  " SELECT m, date('1600-01-01', '+' || i || ' days'), i % 7 + 0.5 FROM n, (SELECT 1 AS m UNION SELECT 2)")
    want = server.sql("SELECT count(*), sum(value) FROM fact_sales")[0]
    before = golden.memory_mb(server.proc.pid)
    for form in ("csv", "parquet", "xlsx"):
        head, data = download(server, "/api/v1/data/export/sales?format=" + form)
        if form == "csv":
            same(data.count(b"\r\n"), want[0] + 1)
        elif form == "parquet":
            path = os.path.join(folder, "large.parquet")
            with open(path, "wb") as f:
                f.write(data)
            names, rows, n_groups = parquet_read.read(path)
            same((len(rows), sum(r[12] for r in rows), n_groups), (want[0], want[1], 3))
            same(rows[0][0], datetime.date(1600, 1, 1))
    grown = golden.memory_mb(server.proc.pid) - before
    check(grown < (900 if "asan" in os.environ["PLASTINKA"] else 80), "grew by %d MB" % grown)


@with_facts
def test_client_leaves(server, folder):
    server.change("WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 199999) INSERT INTO fact_sales"
                  " SELECT 1, date('2100-01-01', '+' || i || ' days'), 1 FROM n")
    for wait in (0.01, 0.1, 0.3):
        s = socket.create_connection(("127.0.0.1", server.port))
        s.sendall(("GET /api/v1/data/export/sales?format=xlsx HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\n\r\n" % server.key).encode())
        s.settimeout(wait)
        try:
            s.recv(1)
        except OSError:
            pass
        s.close()
    check(wait_for(lambda: os.listdir(str(server.data) + "/scratch") == [], 60), "nothing is left")
    same(server.api("/api/v1/data/months")[0], 200)


run(test_all_tables, test_large, test_client_leaves)
