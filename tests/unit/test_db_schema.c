/*
 * test_db_schema.c - the steps of schema/sqlite: what they make, that the queries of the product are
 * served by its indexes, and how migrating goes wrong.
 */
#include <sys/wait.h>

#include "db/db_migrate.h"
#include "db_wait.h"

static struct db_migration steps[DB_MIGRATIONS_MAX];
static int n_steps;

static struct db_conn *open_conn(const char *path)
{
    struct db_opt opt;
    struct db_conn *c;
    struct err e;

    db_opt_init(&opt);
    opt.sync = DB_SYNC_OFF;
    if (db_conn_open(&c, path, &opt, DB_WRITER, &e) != 0)
        printf("open: %s\n", e.text);
    return c;
}

static void run(struct db_conn *c, const char *sql)
{
    struct err e = {.code = ERR_NONE};

    db_stmt_script(c, sql, strlen(sql), &e);
    CHECK_STR(e.code == ERR_NONE ? "fine" : e.text, "fine");
}

static long long num(struct db_conn *c, const char *sql)
{
    struct err e;
    int64_t n = -1;

    if (db_conn_number(c, sql, &n, &e) != 0)
        printf("%s: %s\n", sql, e.text);
    return n;
}

static void test_tables(struct db_conn *c)
{
    static const char *const names[] = {
        "dim_multiindex_mapping", "fact_sales", "fact_stock_movement", "fact_stock",
        "fact_stock_changes", "fact_prices", "report_features", "fact_predictions", "jobs",
        "job_status_history", "configs", "models", "training_results", "tuning_results",
        "prediction_results", "data_upload_results", "processing_runs", "report_results",
        "job_submission_locks", "retry_events", "job_steps", "job_events", "job_logs",
        "schedules", "generations", "api_keys", "idempotency_keys", "webhooks", "settings"};
    char sql[200];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(sql, sizeof sql, "SELECT count(*) FROM sqlite_schema WHERE name = '%s'", names[i]);
        if (num(c, sql) != 1)
            printf("%s:\n", names[i]);
        CHECK_INT(num(c, sql), 1);
    }
    CHECK_INT(num(c, "SELECT count(*) FROM pragma_table_list WHERE type = 'table' AND NOT strict "
                     "AND name NOT LIKE 'sqlite_%'"), 0);
    /* every foreign key has an index, or deleting its parent reads the whole table */
    CHECK_INT(num(c, "SELECT count(*) FROM pragma_table_list t JOIN pragma_foreign_key_list(t.name) f "
                     "WHERE f.seq = 0 AND NOT EXISTS (SELECT 1 FROM pragma_index_list(t.name) i "
                     "JOIN pragma_index_info(i.name) x WHERE x.seqno = 0 AND x.name = f.\"from\")"
                     " AND t.name NOT IN ('fact_sales', 'fact_stock', 'fact_stock_changes', "
                     "'fact_prices', 'report_features')"), 0);
}

/* Claiming: of each key that has room its best job, then the best of those. */
static const char claim[] =
    "WITH RECURSIVE keys(k) AS ("
    "  SELECT min(concurrency_key) FROM jobs WHERE queue = 'ready'"
    "  UNION ALL SELECT (SELECT min(concurrency_key) FROM jobs WHERE queue = 'ready' "
    "    AND concurrency_key > k) FROM keys WHERE k IS NOT NULL), "
    "counted(k, n) AS MATERIALIZED (SELECT k, (SELECT count(*) FROM jobs r WHERE "
    "    r.queue = 'running' AND r.concurrency_key = k) FROM keys WHERE k IS NOT NULL), "
    "best(job_seq) AS (SELECT (SELECT q.job_seq FROM jobs q WHERE q.queue = 'ready' "
    "    AND q.concurrency_key = k ORDER BY q.priority DESC, q.job_seq LIMIT 1) FROM counted c "
    "  WHERE NOT EXISTS (SELECT 1 FROM jobs m WHERE m.job_seq = (SELECT q.job_seq FROM jobs q "
    "    WHERE q.queue = 'ready' AND q.concurrency_key = k ORDER BY q.priority DESC, q.job_seq "
    "    LIMIT 1) AND m.concurrency_max <= c.n)) "
    "UPDATE jobs SET status = 'running', queue = 'running', attempt = attempt + 1, lease_owner = 'w', "
    "  lease_until = '2026-01-01T00:00:30.000Z' "
    "WHERE job_seq = (SELECT b.job_seq FROM best b JOIN jobs j ON j.job_seq = b.job_seq "
    "  ORDER BY j.priority DESC, j.job_seq LIMIT 1) RETURNING job_id";

static const struct {
    const char *sql, *uses; /* uses: each index named here, apart by blanks, must be in the plan */
} queries[] = {
    {claim, "jobs_queue jobs_running"},
    {"SELECT * FROM jobs WHERE job_id = ?", "sqlite_autoindex_jobs_1"},
    {"UPDATE jobs SET queue = 'ready' WHERE queue = 'asleep' AND run_at <= ?",
     "jobs_asleep"},
    {"SELECT min(run_at) FROM jobs WHERE queue = 'asleep'", "jobs_asleep"},
    {"UPDATE jobs SET lease_until = ? WHERE job_id = ? AND lease_owner = ? AND queue = 'running'",
     "sqlite_autoindex_jobs_1"},
    {"SELECT job_id FROM jobs WHERE queue = 'running' AND lease_until < ?", "jobs_leased"},
    {"SELECT job_id FROM jobs WHERE finished_at IS NULL AND deadline_at IS NOT NULL AND "
     "deadline_at <= ?", "jobs_deadline"},
    {"SELECT job_id FROM jobs WHERE waiting_for = ?", "jobs_waiting"},
    {"SELECT job_id FROM jobs WHERE parent_job_id = ?", "jobs_parent"},
    {"SELECT 1 FROM jobs WHERE generation = ? AND finished_at IS NULL LIMIT 1", "jobs_generation"},
    {"SELECT * FROM jobs WHERE job_seq < ? ORDER BY job_seq DESC LIMIT 100", "PRIMARY"},
    {"SELECT * FROM jobs WHERE job_type = ? AND status = ? AND job_seq < ? ORDER BY job_seq DESC "
     "LIMIT 100", "jobs_by_type"},
    {"SELECT * FROM jobs WHERE status = ? AND job_seq < ? ORDER BY job_seq DESC LIMIT 100",
     "jobs_by_status"},
    {"SELECT * FROM jobs WHERE created_by = ? AND job_seq < ? ORDER BY job_seq DESC LIMIT 100",
     "jobs_by_key"},
    {"SELECT * FROM jobs WHERE created_at >= ? AND created_at < ? ORDER BY created_at DESC, "
     "job_seq DESC LIMIT 100", "jobs_by_created"},
    {"SELECT * FROM jobs WHERE is_dead = 1 AND job_seq < ? ORDER BY job_seq DESC LIMIT 100",
     "jobs_dead"},
    {"SELECT sum(n) FROM job_counts WHERE job_type = ?", "PRIMARY"},
    {"SELECT job_id FROM jobs WHERE finished_at IS NOT NULL AND finished_at < ? LIMIT 100",
     "jobs_finished"},
    {"SELECT result FROM job_steps WHERE job_id = ? AND name = ? AND item = -1", "PRIMARY"},
    {"SELECT item, result FROM job_steps WHERE job_id = ? AND name = ? AND item >= 0", "PRIMARY"},
    {"SELECT * FROM job_events WHERE job_id = ? AND event_id > ? ORDER BY event_id LIMIT 500",
     "job_events_stream"},
    {"SELECT * FROM job_logs WHERE job_id = ? ORDER BY log_id DESC LIMIT 100", "job_events_job"},
    {"SELECT * FROM job_status_history WHERE job_id = ? ORDER BY id", "job_status_history_job"},
    {"SELECT payload FROM job_signals WHERE job_id = ? AND name = ?", "PRIMARY"},
    {"SELECT * FROM job_artifacts WHERE job_id = ? ORDER BY name", "PRIMARY"},
    {"SELECT name FROM schedules WHERE is_paused = 0 AND next_at <= ?", "schedules_due"},
    {"SELECT lock_until FROM job_submission_locks WHERE job_type = ? AND param_hash = ?", "PRIMARY"},
    {"DELETE FROM job_submission_locks WHERE lock_until < ?", "job_submission_locks_until"},
    {"SELECT job_id FROM idempotency_keys WHERE owner = ? AND idempotency_key = ?", "PRIMARY"},
    {"DELETE FROM idempotency_keys WHERE expires_at < ?", "idempotency_keys_expires"},
    {"SELECT key_id, role FROM api_keys WHERE key_hash = ? AND revoked_at IS NULL",
     "sqlite_autoindex_api_keys_2"},
    {"SELECT * FROM webhook_deliveries WHERE status = 'pending' AND next_at <= ? ORDER BY next_at "
     "LIMIT 50", "webhook_deliveries_due"},
    {"SELECT content FROM generation_files f JOIN generation_contents c USING (content_hash) "
     "WHERE f.generation = ?", "PRIMARY sqlite_autoindex_generation_contents_1"},
    {"SELECT * FROM configs WHERE is_active = 1", "configs_active"},
    {"SELECT * FROM configs ORDER BY created_at DESC, config_id DESC LIMIT 100", "configs_created"},
    {"SELECT * FROM models WHERE model_kind = 'sales' AND is_active = 1", "models_active"},
    {"SELECT * FROM models ORDER BY created_at DESC, model_id DESC LIMIT 5", "models_created"},
    {"SELECT multiindex_id FROM dim_multiindex_mapping WHERE barcode = ? AND artist = ? AND "
     "album = ? AND cover_type = ? AND price_category = ? AND release_type = ? AND "
     "recording_decade = ? AND release_decade = ? AND style = ? AND recording_year = ?",
     "sqlite_autoindex_dim_multiindex_mapping_1"},
    {"SELECT style FROM dim_multiindex_mapping WHERE artist = ? AND album = ? LIMIT 1",
     "dim_artist_album"},
    {"DELETE FROM fact_sales WHERE data_date >= ? AND data_date < ?", "idx_sales_date"},
    {"SELECT sum(value) FROM fact_sales WHERE data_date >= ? AND data_date < ?", "idx_sales_date"},
    {"SELECT max(data_date) FROM fact_sales WHERE data_date <= ?", "idx_sales_date"},
    {"SELECT * FROM fact_sales WHERE multiindex_id = ? ORDER BY data_date", "PRIMARY"},
    {"DELETE FROM report_features WHERE data_date = ?", "PRIMARY"},
    {"SELECT * FROM report_features WHERE multiindex_id = ? ORDER BY data_date",
     "report_features_product"},
    {"SELECT * FROM fact_predictions WHERE prediction_month = ? AND model_id = ?",
     "sqlite_autoindex_fact_predictions_1"},
    {"SELECT * FROM fact_predictions WHERE multiindex_id = ? AND prediction_month BETWEEN ? AND ?",
     "fact_predictions_product"},
    {"SELECT max(prediction_month) FROM prediction_results", "prediction_results_month"},
    {"SELECT run_id FROM processing_runs WHERE status = 'completed' ORDER BY run_id DESC LIMIT 1",
     "processing_runs_completed"},
};

/* The plan of a query as one text. */
static void plan_of(struct db_conn *c, const char *sql, char *to, size_t cap)
{
    char *explain = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sql);
    sqlite3_stmt *st;
    size_t used = 0;

    to[0] = '\0';
    CHECK_INT(sqlite3_prepare_v2(c->db, explain, -1, &st, NULL), SQLITE_OK);
    while (sqlite3_step(st) == SQLITE_ROW && used < cap)
        used += (size_t)snprintf(to + used, cap - used, "%s\n", sqlite3_column_text(st, 3));
    sqlite3_finalize(st);
    sqlite3_free(explain);
}

static int is_bad_scan(const char *plan)
{
    for (const char *p = plan; (p = strstr(p, "SCAN ")) != NULL; p += 5)
        if (strncmp(p, "SCAN keys", 9) != 0 && strncmp(p, "SCAN b", 6) != 0 &&
            strncmp(p, "SCAN c", 6) != 0 && strstr(p, "USING") == NULL)
            return 1;
    return 0;
}

static void test_plans(struct db_conn *c)
{
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        char plan[4000], uses[200], *save = NULL;
        int is_bad;
        plan_of(c, queries[i].sql, plan, sizeof plan);
        is_bad = is_bad_scan(plan) || strstr(plan, "AUTOMATIC") != NULL;
        if (strstr(queries[i].sql, "ORDER BY") != NULL && queries[i].sql != claim)
            is_bad = is_bad || strstr(plan, "TEMP B-TREE") != NULL;
        snprintf(uses, sizeof uses, "%s", queries[i].uses);
        for (char *w = strtok_r(uses, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save))
            is_bad = is_bad || strstr(plan, w) == NULL;
        if (is_bad)
            printf("%s\n  expected %s, the plan is\n%s", queries[i].sql, queries[i].uses, plan);
        CHECK(!is_bad);
    }
}

/* VM steps of one run. */
static long long cost_of(struct db_conn *c, const char *sql)
{
    sqlite3_stmt *st;
    long long n;

    CHECK_INT(sqlite3_prepare_v2(c->db, sql, -1, &st, NULL), SQLITE_OK);
    while (sqlite3_step(st) == SQLITE_ROW)
        ;
    n = sqlite3_stmt_status(st, SQLITE_STMTSTATUS_VM_STEP, 0);
    sqlite3_finalize(st);
    return n;
}

static void add_jobs(struct db_conn *c, int n, const char *type, const char *status,
                     const char *max, const char *queue)
{
    char sql[600];

    snprintf(sql, sizeof sql, "INSERT INTO jobs(job_id, job_type, status, concurrency_key, "
             "concurrency_max, queue) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT "
             "i + 1 FROM n WHERE i < %d) SELECT hex(randomblob(16)), '%s', '%s', '%s', %s, %s FROM n",
             n, type, status, type, max, queue);
    run(c, sql);
}

/* A full shop does not make claiming, listing and counting dearer. */
static void test_growth(struct db_conn *c)
{
    static const char list[] = "SELECT * FROM jobs WHERE status = 'completed' AND job_type = 'tuning' "
                               "AND job_seq < 1000000000 ORDER BY job_seq DESC LIMIT 20";
    static const char total[] = "SELECT sum(n) FROM job_counts WHERE status = 'completed'";
    long long before[3], after[3];

    add_jobs(c, 20, "tuning", "completed", "NULL", "NULL");
    add_jobs(c, 20, "training", "pending", "NULL", "'ready'");
    run(c, "UPDATE jobs SET priority = 5 WHERE job_seq = (SELECT max(job_seq) FROM jobs)");
    before[0] = cost_of(c, claim);
    CHECK_INT(num(c, "SELECT priority FROM jobs WHERE status = 'running'"), 5);
    before[1] = cost_of(c, list);
    before[2] = cost_of(c, total);
    add_jobs(c, 20000, "tuning", "completed", "NULL", "NULL");
    add_jobs(c, 5000, "training", "pending", "NULL", "'asleep'");
    add_jobs(c, 5000, "report", "pending", "1", "'ready'"); /* blocked by one that runs */
    add_jobs(c, 1, "report", "running", "1", "'running'");
    run(c, "UPDATE jobs SET priority = 9 WHERE job_type = 'report'");
    add_jobs(c, 5000, "training", "pending", "NULL", "'ready'");
    after[0] = cost_of(c, claim);
    after[1] = cost_of(c, list);
    after[2] = cost_of(c, total);
    CHECK_INT(num(c, "SELECT count(*) FROM jobs WHERE status = 'running'"), 3);
    printf("VM steps with 60 and 35,000 jobs: claim %lld %lld, list %lld %lld, total %lld %lld\n",
           before[0], after[0], before[1], after[1], before[2], after[2]);
    CHECK(after[1] <= before[1] + 10);
    CHECK(after[2] <= before[2] + 10);
    CHECK_INT(num(c, "SELECT sum(n) FROM job_counts") - num(c, "SELECT count(*) FROM jobs"), 0);
    run(c, "DELETE FROM jobs WHERE job_type = 'tuning'");
    CHECK_INT(num(c, "SELECT count(*) FROM (SELECT job_type, status, n FROM job_counts WHERE n > 0 "
                     "EXCEPT SELECT job_type, status, count(*) FROM jobs GROUP BY 1, 2)"), 0);
    CHECK(after[0] < before[0] + 200); /* last: it says most when it fails */
}

static void test_facts(struct db_conn *c)
{
    struct err e;

    run(c, "INSERT INTO dim_multiindex_mapping VALUES(1, 'b', 'a', 'l', 'Opened', 'p', 't', "
           "'1990s', '1990s', 's', 1991)");
    run(c, "INSERT INTO fact_sales VALUES(1, '2025-03-05', 2), (1, '2025-03-30', 3), (1, '2025-04-01', 1)");
    run(c, "INSERT INTO fact_stock_changes VALUES(1, '2025-03-05', -2), (1, '2025-03-07', 2)");
    run(c, "INSERT INTO report_features(data_date, multiindex_id, availability, confidence, "
           "masked_mean_sales_items, masked_mean_sales_rub, lost_sales, imputed) "
           "VALUES('2025-04-01', 1, 1, 1, 1, 1, 0, 7), ('2025-05-01', 1, 1, 1, 1, 1, 0, 0)");
    CHECK_INT(num(c, "SELECT value * 100 + imputed FROM monthly_sales WHERE data_date = '2025-04-01'"), 807);
    CHECK_INT(num(c, "SELECT value FROM monthly_sales WHERE data_date = '2025-03-01'"), 5);
    CHECK_INT(num(c, "SELECT count(*) FROM monthly_sales"), 2);
    CHECK_INT(num(c, "SELECT count(*) FROM fact_stock_movement"), 0);
    CHECK_INT(db_stmt_script(c, "INSERT INTO fact_sales VALUES(2, '2025-03-05', 2)", 49, &e), -1);
    CHECK_INT(e.code, ERR_EXISTS);
    run(c, "INSERT INTO configs(config_id, config, is_active) VALUES('x', '{}', 1)");
    CHECK_INT(db_stmt_script(c, "INSERT INTO configs(config_id, config, is_active) VALUES('y', '{}', 1)",
                             70, &e), -1);
}

/* ---- migrating ---- */

static void test_migrate(void)
{
    static const struct db_migration known[] = {
        {1, "0001_first.sql", "CREATE TABLE a(x INTEGER) STRICT;", 33},
        {2, "0002_second.sql", "CREATE TABLE b(x INTEGER) STRICT;\nINSERT INTO b VALUES(1);", 58}};
    static const struct db_migration broken[] = {
        {1, "0001_first.sql", "CREATE TABLE a(x INTEGER) STRICT;", 33},
        {2, "0002_second.sql", "CREATE TABLE b(x INTEGER) STRICT; INSERT INTO c VALUES(1);", 58}};
    static const struct db_migration sly[] = {
        {1, "0001_first.sql", "CREATE TABLE a(x INTEGER) STRICT; COMMIT;", 41}};
    struct db_migration edited[2];
    struct db_conn *c = open_conn(test_path("migrate.db"));
    struct err e;
    int from, to;

    CHECK_INT(db_migrate(c, sly, 1, &from, &to, &e), -1);
    CHECK_INT(e.code, ERR_AUTH);
    CHECK_INT(num(c, "SELECT count(*) FROM sqlite_schema"), 0);
    CHECK_INT(db_migrate(c, broken, 2, &from, &to, &e), -1);
    CHECK_INT(e.code, ERR_INVALID);
    CHECK(strstr(e.text, "schema step 0002_second.sql: ") == e.text);
    CHECK_INT(num(c, "SELECT count(*) FROM sqlite_schema WHERE name = 'b'"), 0);
    CHECK_INT(num(c, "PRAGMA user_version"), 1);
    CHECK_INT(db_migrate(c, known, 2, &from, &to, &e), 0);
    CHECK_INT(from, 1);
    CHECK_INT(to, 2);
    CHECK_INT(db_migrate(c, known, 2, &from, &to, &e), 0);
    CHECK_INT(from, 2);
    CHECK_INT(num(c, "SELECT count(*) FROM b"), 1);
    CHECK_INT(db_migrate(c, known, 1, &from, &to, &e), -1);
    CHECK_INT(e.code, ERR_UNSUPPORTED);
    CHECK(strstr(e.text, "newer version") != NULL);
    edited[0] = known[0];
    edited[1] = known[1];
    edited[1].sql = "CREATE TABLE b(x INTEGER) STRICT;\nINSERT INTO b VALUES(2);";
    CHECK_INT(db_migrate(c, edited, 2, &from, &to, &e), -1);
    CHECK_INT(e.code, ERR_CORRUPT);
    CHECK(strstr(e.text, "0002_second.sql") != NULL);
    edited[1].sql = "CREATE TABLE b(x INTEGER) STRICT;\r\nINSERT INTO b VALUES(1);"; /* no edit */
    edited[1].bytes = 59;
    CHECK_INT(db_migrate(c, edited, 2, &from, &to, &e), 0);
    db_conn_close(c);
}

static void test_names(void)
{
    struct embed_file f[3] = {{"schema/sqlite/0002_b.sql", "b", 1}, {"schema/sqlite/0001_a.sql", "a", 1}};
    struct db_migration m[3];
    struct err e;

    CHECK_INT(db_migrate_list(m, 3, f, 2, &e), 2);
    CHECK_STR(m[0].name, "0001_a.sql");
    CHECK_INT(db_migrate_list(m, 3, f, 1, &e), -1); /* begins with 2 */
    f[2] = f[0];
    CHECK_INT(db_migrate_list(m, 3, f, 3, &e), -1); /* twice */
    CHECK_INT(db_migrate_list(m, 2, f, 3, &e), -1);
    f[0].name = "schema/sqlite/2.sql";
    CHECK_INT(db_migrate_list(m, 3, f, 2, &e), -1);
    CHECK_INT(db_migrate_list(m, 3, f, 0, &e), 0);
}

/* Several programs start at once: each step once, everybody content. */
static void test_race(void)
{
    enum { N = 6 };
    const char *path = test_path("race.db");
    int ok = 0, status;

    for (int i = 0; i < N; i++)
        if (fork() == 0) {
            struct db_conn *c = open_conn(path);
            struct err e;
            int rc = c == NULL ? 1 : db_migrate(c, steps, n_steps, NULL, NULL, &e);
            if (c != NULL && rc != 0)
                printf("%s\n", e.text);
            fflush(stdout);
            _exit(rc != 0);
        }
    while (wait(&status) > 0)
        ok += WIFEXITED(status) && WEXITSTATUS(status) == 0;
    CHECK_INT(ok, N);
    struct db_conn *c = open_conn(path);
    CHECK_INT(num(c, "SELECT count(*) FROM schema_steps"), n_steps);
    db_conn_close(c);
}

int main(void)
{
    struct db_conn *c;
    struct err e = {.code = ERR_NONE};
    int to = 0;

    n_steps = db_migrate_embedded(steps, DB_MIGRATIONS_MAX, "schema/sqlite/", &e);
    CHECK(n_steps >= 1);
    test_race();
    c = open_conn(test_path("schema.db"));
    CHECK_INT(db_migrate(c, steps, n_steps, NULL, &to, &e), 0);
    CHECK_STR(e.code == ERR_NONE ? "fine" : e.text, "fine");
    CHECK_INT(to, n_steps);
    if (to != n_steps)
        return check_done();
    test_tables(c);
    test_plans(c);
    test_growth(c);
    test_facts(c);
    CHECK_INT(num(c, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"), 0);
    db_conn_close(c);
    test_migrate();
    test_names();
    test_folder_remove();
    return check_done();
}
