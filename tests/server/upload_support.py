"""What golden uploads are compared with: facts in a database against the expected tables."""
import csv
import gzip
import io
import json
import os
import sqlite3

KEY = ["barcode", "artist", "album", "cover_type", "price_category", "release_type", "recording_decade",
       "release_decade", "style", "recording_year"]
EXACT = {"sales_observed", "imputed", "movement", "value"}
KEYS_SQL = ", ".join("CAST(d.%s AS TEXT)" % k for k in KEY)
DIM = "JOIN dim_multiindex_mapping d USING (multiindex_id)"

QUERIES = {
    "daily_sales": "SELECT %s, data_date, value FROM fact_sales %s WHERE data_date >= :first AND data_date < :after",
    "daily_changes": "SELECT %s, data_date, value FROM fact_stock_changes %s"
                     " WHERE data_date >= :first AND data_date < :after",
    "stock": "SELECT %s, data_date, value FROM fact_stock %s"
             " WHERE data_date >= :first AND (data_date < :after OR data_date = :snapshot)",
    "monthly": "SELECT %s, f.data_date, coalesce(s.observed, 0), coalesce(s.imputed, 0), coalesce(m.value, 0),"
               " availability, confidence, masked_mean_sales_items, masked_mean_sales_rub, lost_sales, p.value"
               " FROM report_features f %s LEFT JOIN fact_prices p USING (multiindex_id, data_date)"
               " LEFT JOIN monthly_sales s USING (multiindex_id, data_date)"
               " LEFT JOIN fact_stock_movement m USING (multiindex_id, data_date)"
               " WHERE f.data_date >= :first AND f.data_date < :after",
}
EVERYTHING = {name: "SELECT * FROM %s ORDER BY 1, 2" % name for name in (
    "fact_sales", "fact_stock_changes", "fact_stock", "fact_prices")}
EVERYTHING["report_features"] = (
    "SELECT data_date, multiindex_id, availability, confidence, masked_mean_sales_items, masked_mean_sales_rub,"
    " lost_sales, imputed FROM report_features ORDER BY 1, 2")
EVERYTHING["data_months"] = "SELECT data_date, is_complete, n_products, units, imputed, revenue FROM data_months ORDER BY 1"


def golden(name):
    return os.path.join(os.environ.get("GOLDEN_DIR", os.path.join("tests", "golden")), name)


def load_json(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def read_table(folder, name):
    path = os.path.join(folder, name + ".csv")
    if not os.path.exists(path):
        with gzip.open(path + ".gz", "rb") as f:
            text = f.read().decode("utf-8")
    else:
        with open(path, "rb") as f:
            text = f.read().decode("utf-8")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    return rows[0], rows[1:]


def months_after(month):
    year, number = int(month[:4]), int(month[5:7])
    return "%04d-%02d-01" % (year + number // 12, number % 12 + 1)


def snapshot(db_path):
    """All facts, to see that nothing changed."""
    with sqlite3.connect("file:%s?mode=ro" % db_path, uri=True) as db:
        return {name: db.execute(sql).fetchall() for name, sql in EVERYTHING.items()}


def close_enough(found, expected):
    return abs(found - expected) <= 1e-9 * max(abs(found), abs(expected))


def compare_tables(db_path, folder, names=tuple(QUERIES)):
    """Differences, as text; [] when the facts are the expected ones. Number of cells compared."""
    summary = load_json(os.path.join(folder, "summary.json"))
    args = {"first": summary["months"][0], "after": months_after(summary["months"][-1]),
            "snapshot": summary["snapshot_date"]}
    wrong, n_cells = [], 0
    with sqlite3.connect("file:%s?mode=ro" % db_path, uri=True) as db:
        for name, sql in ((name, QUERIES[name]) for name in names):
            header, rows = read_table(folder, name)
            columns = header[11:]
            expected = {tuple(r[:11]): r[11:] for r in rows}
            found = {tuple(r[:11]): r[11:] for r in db.execute(sql % (KEYS_SQL, DIM), args)}
            if len(expected) != len(rows):
                wrong.append("%s: the expected table has a key twice" % name)
            for key in sorted(expected.keys() - found.keys())[:3]:
                wrong.append("%s: missing %r" % (name, key))
            for key in sorted(found.keys() - expected.keys())[:3]:
                wrong.append("%s: too much %r" % (name, key))
            for key in expected.keys() & found.keys():
                want = dict(zip(columns, expected[key]))
                for column, have in zip(columns, found[key]):
                    n_cells += 1
                    w = float(want[column])
                    exact = column in EXACT or column == "lost_sales" and float(want["availability"]) == 1
                    if have is None or (have != w if exact else not close_enough(have, w)):
                        wrong.append("%s: %r %s is %r, expected %s" % (name, key, column, have, want[column]))
    return wrong, n_cells


def read_rejects(text):
    """[file, row, column, reason] of a download of rejected rows."""
    rows = list(csv.reader(io.StringIO(text.lstrip("\ufeff"), newline="")))
    at = [rows[0].index(name) for name in ("file", "row", "column", "reason")]
    return [[r[at[0]], int(r[at[1]]), r[at[2]], r[at[3]]] for r in rows[1:]]


def stem(name):
    return name.rsplit(".", 1)[0]


def compare_rejects(text, expected, by_stem):
    found = sorted(read_rejects(text))
    if by_stem:
        found = sorted([stem(r[0])] + r[1:] for r in found)
        expected = [[stem(r[0])] + r[1:] for r in expected]
    expected = sorted([r[0], int(r[1]), r[2], r[3]] for r in expected)
    return [] if found == expected else ["rejected %r, expected %r" % (found[:20], expected[:20])]


def compare_summary(result, summary):
    wrong = []
    for name, want in summary.items():
        if name == "current_year":
            continue
        have = result.get(name)
        if name == "files":
            have = [dict(f, file=stem(f["file"])) for f in have]
            want = [dict(f, file=stem(f["file"])) for f in want]
        if have != want:
            wrong.append("summary %s is %r, expected %r" % (name, have, want))
    return wrong


def cases():
    """[name, folder, [step, …]]: each step { files: [kind, path, name], fields, expect }."""
    root = golden("upload")
    found = []
    for case in load_json(os.path.join(root, "index.json")):
        files = [["stock", os.path.join(root, case["stock"]), os.path.basename(case["stock"])]]
        files += [["sales", os.path.join(root, p), os.path.basename(p)] for p in case["sales"]]
        folder = os.path.join(root, case["expected"])
        expect = {"status": "ok", "tables": folder, "summary": load_json(os.path.join(folder, "summary.json")),
                  "rejected": read_table(folder, "rejects")[1], "by_stem": True}
        found.append([case["name"], [{"files": files, "fields": case["fields"], "expect": expect}]])
    bad = os.path.join(root, "bad")
    for name in sorted(os.listdir(bad)):
        folder = os.path.join(bad, name)
        if not os.path.isdir(folder):
            continue
        steps = []
        for step in load_json(os.path.join(folder, "expected.json"))["steps"]:
            files = [["stock", os.path.join(folder, step["stock"]["path"]), step["stock"]["upload_as"]]]
            files += [["sales", os.path.join(folder, s["path"]), s["upload_as"]] for s in step["sales"]]
            expect = dict(step["expect"])
            if "tables" in expect:
                expect["tables"] = os.path.join(folder, expect["tables"])
            steps.append({"files": files, "fields": step.get("fields", {}), "expect": expect})
        found.append(["bad/" + name, steps])
    if not found:
        raise SystemExit("no golden uploads in " + root)
    return found


NUMBERS = ("months", "snapshot_date", "products", "sold_units", "imputed_units", "stock_units")


def compare_step(expect, outcome, db_path, before, rejects_text):
    """outcome: {status: ok|error|duplicate, code, details, result}. Differences, number of cells."""
    wrong, n_cells = [], 0
    if outcome["status"] != expect["status"]:
        return ["ended %s (%s %s), expected %s %s" % (outcome["status"], outcome.get("code"), outcome.get("message"),
                                                     expect["status"], expect.get("codes", ""))], 0
    if expect["status"] == "error":
        if outcome["code"] not in expect["codes"]:
            wrong.append("code %s, expected %s" % (outcome["code"], expect["codes"]))
        for name, want in expect.get("details", {}).items():
            have = (outcome.get("details") or {}).get(name)
            if have != want:
                wrong.append("details.%s is %r, expected %r" % (name, have, want))
    else:
        for name in NUMBERS:
            if name in expect and outcome["result"].get(name) != expect[name]:
                wrong.append("%s is %r, expected %r" % (name, outcome["result"].get(name), expect[name]))
        if "summary" in expect:
            wrong += compare_summary(outcome["result"], expect["summary"])
    if expect["status"] in ("error", "duplicate") and snapshot(db_path) != before:
        wrong.append("facts were changed")
    if "tables" in expect:
        more, n_cells = compare_tables(db_path, expect["tables"])
        wrong += more
        if not n_cells:
            wrong.append("nothing was compared")
    if "rejected" in expect:
        if rejects_text is None:
            wrong.append("no download of rejected rows")
        else:
            wrong += compare_rejects(rejects_text, expect["rejected"], expect.get("by_stem", False))
    return wrong, n_cells


HEAD = "Штрихкод;Исполнитель;Альбом;Конверт;Цена, руб.;Тип;Год записи;Год выпуска;Стиль;Дата создания;"


def table(folder, name, kind, rows, head=HEAD):
    """rows: [artist, price, created, last column]."""
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(head + ("Экземпляры" if kind == "stock" else "Дата заказа") + "\n")
        for n, (artist, price, created, last) in enumerate(rows):
            f.write("%d;%s;Альбом %d;SS;%s;Оригинал;1980;1980;Rock;%s;%s\n" % (n, artist, n, price, created, last))
    return [kind, path, name]
