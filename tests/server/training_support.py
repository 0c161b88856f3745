"""A shop for tests of training: its facts straight into the database of a server."""
import math
import sqlite3


def month(t):
    """The first day of month t, counted from 1 = January 2024."""
    return "%04d-%02d-01" % (2024 + (t - 1) // 12, (t - 1) % 12 + 1)


def units_of(i, t):
    return max(0, round((2 + i % 9 * 3) * (1 + 0.4 * math.sin(2 * math.pi * (t + i) / 12)) + (i * 7 + t * 5) % 5 - 2))


def fill(server, n=40, months=8, skip=(), zero=False, newcomers=2):
    """n products; the last `newcomers` are in stock since the last month only and never sold."""
    db = sqlite3.connect(f"{server.data}/database/plastinka.db", timeout=30)
    with db:
        db.execute("INSERT OR IGNORE INTO processing_runs(run_id, status, source_files) VALUES (1, 'completed', 'x')")
        for i in range(1, n + 1):
            db.execute("INSERT OR IGNORE INTO dim_multiindex_mapping VALUES (?,?,?,'Album',?,?,'Original','1970s','1990s',?,?)",
                       (i, f"b{i}", f"Artist {i % 7}", "SS" if i % 2 else "Sealed", f"({i % 3}, x]",
                        "Rock/Pop" if i % 3 else "Jazz", 1970 + i % 10))
        for t in range(1, months + 1):
            if t in skip:
                continue
            db.execute("INSERT OR REPLACE INTO data_months(data_date, run_id, is_complete, n_products, units, revenue)"
                       " VALUES (?, 1, 1, ?, 1, 1)", (month(t), n))
            for i in range(1, n + 1):
                is_new = i > n - newcomers
                if is_new and t < months:
                    continue
                db.execute("INSERT OR REPLACE INTO report_features(data_date, multiindex_id, availability, confidence,"
                           " masked_mean_sales_items, masked_mean_sales_rub, lost_sales) VALUES (?,?,1,0.9,1,1,0)",
                           (month(t), i))
                if units_of(i, t) and not zero and not is_new:
                    db.execute("INSERT OR REPLACE INTO fact_sales VALUES (?,?,?)",
                               (i, month(t)[:8] + "10", units_of(i, t)))
    db.close()


def published(server):
    """What of models there is: (models, training results, prediction results, predictions)."""
    return server.sql("SELECT (SELECT count(*) FROM models), (SELECT count(*) FROM training_results),"
                      " (SELECT count(*) FROM prediction_results), (SELECT count(*) FROM fact_predictions)")[0]
