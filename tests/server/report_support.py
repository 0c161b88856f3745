"""A shop for tests and benches of reports: written by SQL into the database of a data folder."""
import json
import math
import random
import sqlite3

STYLES = ["Rock", "Jazz", "Electronic", "Pop", "Metal", "Soul", "Folk", "Hip-Hop", "Classical", "Rock/Pop", "Punk", "Blues"]
WORDS = ["Blue", "Night", "River", "Golden", "Echo", "Silent", "City", "Moon", "Red", "Winter", "Paper", "Glass", "Stone",
         "Summer", "Electric", "Velvet", "Iron", "Северный", "Тихий", "Белый"]
NAMES = ["Trio", "Orchestra", "Brothers", "& Sons", "Machine", "Quartet", "Band", "Project", "Ансамбль", "Club"]
PRICES = [(590, "(0.0, 689.999]"), (1990, "(689.999, 2490.0]"), (2990, "(2490.0, 3990.0]"), (4590, "(3990.0, 5590.0]"),
          (6490, "(5590.0, 7390.0]"), (9900, "(8590.0, 11990.0]")]
MODEL = "model_for_reports"
OLD = "model_before"


def month_add(month, n):
    y, m = int(month[:4]), int(month[5:7]) - 1 + n
    return "%04d-%02d-01" % (y + m // 12, m % 12 + 1)


def poisson(rng, mean):
    if mean > 30:
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    limit, k, p = math.exp(-mean), 0, 1.0
    while True:
        p *= rng.random()
        if p <= limit:
            return k
        k += 1


def quantiles(mean):
    sd = math.sqrt(mean * 1.3 + 0.05)
    return [max(0.0, round(mean + z * sd, 2)) for z in (-1.5, -0.67, -0.08, 0.6, 1.75)]


def fill(path, products=60, months=14, first="2025-01-01", seed=7, past=4):
    """`products` titles over `months` months; predictions of the month after and of the last `past` months."""
    rng = random.Random(seed)
    all_months = [month_add(first, i) for i in range(months)]
    nxt = month_add(first, months)
    db = sqlite3.connect(path, timeout=30)
    cur = db.cursor()
    cur.execute("INSERT INTO processing_runs(run_id, source_files, status) VALUES (1, 'stock.xlsx', 'completed')")
    dim, sales, stock, prices, features = [], [], [], [], []
    units, revenue = [0.0] * months, [0.0] * months
    means = []
    for p in range(1, products + 1):
        artist = "%s %s" % (WORDS[(p // 3 * 7) % len(WORDS)], NAMES[(p // 3) % len(NAMES)])
        price, category = PRICES[min(len(PRICES) - 1, int(rng.paretovariate(1.6)))]
        year = rng.randint(1955, 2022)
        decade = "%ds" % (year // 10 * 10)
        dim.append((p, "46%011d" % (p * 7919), artist, "%s <%s> %d" % (WORDS[p * 5 % 20], WORDS[p * 11 % 20], p),
                    rng.choice(["Sealed", "Opened"]), category, rng.choice(["Оригинал", "Переиздание"]), decade,
                    "%ds" % (min(2020, year // 10 * 10 + rng.choice([0, 0, 20, 40]))), STYLES[rng.randrange(12)], year))
        base = min(60.0, 0.35 * rng.paretovariate(0.95))
        dead = p % 11 == 0
        trend = rng.uniform(-0.03, 0.04)
        on_hand = rng.randint(0, 14)
        lam = 0.0
        for i, m in enumerate(all_months):
            season = 1 + 0.45 * math.cos((int(m[5:7]) - 12) * math.pi / 6)
            lam = 0.0 if dead and i > 2 else base * season * (1 + trend * i)
            lam = max(0.0, lam)
            sold = poisson(rng, lam)
            out = rng.random() < 0.12
            availability = round(rng.uniform(0.1, 0.6), 3) if out else 1.0
            for part in range(min(sold, 3)):
                n = sold // 3 + (1 if part < sold % 3 else 0) if sold > 3 else 1
                sales.append((p, "%s-%02d" % (m[:7], 4 + part * 9), n))
            stock.append((p, m, on_hand))
            prices.append((p, m, price))
            features.append((m, p, availability, min(1.0, on_hand / 5), round(sold / 24, 4), int(sold / 24 * price),
                             int((1 - availability) * 20 * sold / 24 * price)))
            on_hand = max(0, on_hand + rng.randint(0, 1 + int(1.6 * lam)) - sold) if on_hand < 25 else max(0, on_hand - sold)
            units[i] += sold
            revenue[i] += sold * price
        stock.append((p, nxt, on_hand))
        means.append((base, trend, dead))
    cur.executemany("INSERT INTO dim_multiindex_mapping VALUES (%s)" % ",".join("?" * 11), dim)
    cur.executemany("INSERT INTO fact_sales VALUES (?, ?, ?)", sales)
    cur.executemany("INSERT INTO fact_stock VALUES (?, ?, ?)", stock)
    cur.executemany("INSERT INTO fact_prices VALUES (?, ?, ?)", prices)
    cur.executemany("INSERT INTO report_features(data_date, multiindex_id, availability, confidence,"
                    " masked_mean_sales_items, masked_mean_sales_rub, lost_sales) VALUES (?, ?, ?, ?, ?, ?, ?)", features)
    cur.executemany("INSERT INTO data_months(data_date, run_id, is_complete, n_products, units, revenue) VALUES"
                    " (?, 1, 1, ?, ?, ?)", [(m, products, units[i], revenue[i]) for i, m in enumerate(all_months)])
    methods = {k: {"wape": w, "mase": round(w * 1.1, 3), "pinball": round(w * 0.4, 3), "coverage_90": c, "bias": b}
               for k, w, c, b in (("tide", 0.41, 0.9, 0.02), ("naive", 0.62, 0.85, 0.0), ("seasonal_naive", 0.71, 0.8, -0.05),
                                  ("mean_3", 0.52, 0.87, 0.01))}
    metrics = {"val_MIWS": 0.9, "val_MIC": 0.93, "val_MIWS_MIC_Ratio": 0.968,
               "backtest": {"models": methods, "months": all_months[-3:]}}
    for model, active in ((OLD, 0), (MODEL, 1)):
        cur.execute("INSERT INTO models(model_id, model_path, is_active) VALUES (?, ?, ?)", (model, "models/" + model, active))
        cur.execute("INSERT INTO training_results(result_id, model_id, metrics) VALUES (?, ?, ?)",
                    ("training " + model, model, json.dumps(metrics)))
    for i in range(months - past, months + 1):
        m = month_add(first, i)
        for model in (MODEL,) if i < months else (MODEL, OLD):
            result = "%s %s" % (model, m)
            cur.execute("INSERT INTO prediction_results(result_id, model_id, prediction_month) VALUES (?, ?, ?)",
                        (result, model, m))
            rows = []
            season = 1 + 0.45 * math.cos((int(m[5:7]) - 12) * math.pi / 6)
            for p, (base, trend, dead) in enumerate(means, 1):
                mean = 0.05 if dead else max(0.02, base * season * (1 + trend * i)) * rng.uniform(0.85, 1.2)
                rows.append((p, m, result, model, *quantiles(mean), "cold_start" if p % 17 == 0 else "model"))
            cur.executemany("INSERT INTO fact_predictions(multiindex_id, prediction_month, result_id, model_id, quantile_05,"
                            " quantile_25, quantile_50, quantile_75, quantile_95, method) VALUES (%s)" % ",".join("?" * 10), rows)
    db.commit()
    db.close()
    return nxt
