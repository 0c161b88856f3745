/*
 * test_db.c - requests to a database: values, errors, inline reads, groups, cancel, close.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>

#include "base/mem.h"
#include "db/db_state.h"
#include "db/db_stats.h"
#include "db_wait.h"

static void test_values(void)
{
    static const char sql[] = "SELECT ?, ?, ?, ?, ?, typeof(?4)";
    struct db *db = open_test(test_path("values.db"), NULL);
    struct db_value v[5] = {{.type = DB_INT, .u.i = INT64_MIN},
                            {.type = DB_REAL, .u.f = 0.1},
                            {.type = DB_TEXT, .bytes = 5, .u.text = "h\xc3\xa9\0j"},
                            {.type = DB_BLOB, .bytes = 0, .u.text = NULL},
                            {.type = DB_NULL}};
    struct db_args args = {v, NULL, 5};
    struct db_req r;
    struct err e;

    db_req_init(&r, DB_QUERY, count_answer);
    CHECK_INT(db_req_add(&r, sql, sizeof sql - 1, &args, -1, &e), 0);
    db_submit(db, &r);
    wait_for(n_answers + 1);
    CHECK_INT(r.status, 0);
    struct db_rows *rows = &r.steps->rows;
    CHECK_INT(rows->n_cols, 6);
    CHECK_INT(rows->n_rows, 1);
    CHECK(rows->cells[0].u.i == INT64_MIN);
    CHECK(rows->cells[1].u.f == 0.1);
    CHECK_INT(rows->cells[2].bytes, 5);
    CHECK(memcmp(rows->cells[2].u.text, "h\xc3\xa9\0j", 5) == 0);
    CHECK_INT(rows->cells[3].type, DB_BLOB);
    CHECK_INT(rows->cells[4].type, DB_NULL);
    CHECK_STR(rows->cells[5].u.text, "blob");
    db_req_deinit(&r);

    v[0] = (struct db_value){.type = DB_REAL, .u.f = INFINITY};
    CHECK_INT(db_value_check(&v[0], 1, &e), -1);
    CHECK_INT(e.code, ERR_NAN);
    v[0] = (struct db_value){.type = DB_TEXT, .bytes = 2, .u.text = "\xc3("};
    CHECK_INT(db_value_check(&v[0], 1, &e), -1);
    CHECK_INT(e.code, ERR_INVALID);
    close_test(db);
}

static void test_errors(void)
{
    struct db *db = open_test(test_path("errors.db"), NULL);
    struct db_req r;

    CHECK_INT(tell(db, "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT NOT NULL UNIQUE, "
                       "c INTEGER REFERENCES t(a)) STRICT"), ERR_NONE);
    CHECK_INT(tell(db, "INSERT INTO t(a, b) VALUES(1, 'x')"), ERR_NONE);
    CHECK_INT(tell(db, "INSERT INTO t(a, b) VALUES(2, 'x')"), ERR_EXISTS);
    CHECK_INT(tell(db, "INSERT INTO t(a, b, c) VALUES(2, 'y', 9)"), ERR_EXISTS);
    CHECK_INT(tell(db, "INSERT INTO t(a, b) VALUES('word', 'y')"), ERR_INVALID);
    CHECK_INT(tell(db, "INSERT INTO t(a) VALUES(zeroblob(1000000000))"), ERR_LIMIT);
    CHECK_INT(tell(db, "SELECT 1; SELECT 2"), ERR_INVALID);
    CHECK_INT(tell(db, ""), ERR_INVALID);
    CHECK_INT(tell(db, "-- nothing"), ERR_INVALID);
    CHECK_INT(tell(db, "SELECT ?"), ERR_INVALID);
    CHECK_INT(tell(db, "SELECT 'a' || 1; -- fine\n ;"), ERR_NONE);
    CHECK_INT(tell(db, "ATTACH '/tmp/x.db' AS x"), ERR_AUTH);
    CHECK_INT(tell(db, "PRAGMA journal_mode=DELETE"), ERR_AUTH);
    CHECK_INT(tell(db, "PRAGMA writable_schema=1"), ERR_AUTH);
    CHECK_INT(tell(db, "PRAGMA foreign_keys=0"), ERR_AUTH);
    CHECK_INT(tell(db, "BEGIN"), ERR_AUTH);
    CHECK_INT(tell(db, "COMMIT"), ERR_AUTH);
    CHECK_INT(tell(db, "SAVEPOINT x"), ERR_AUTH);
    CHECK_INT(tell(db, "SELECT load_extension('x')"), ERR_INVALID);
    CHECK_INT(tell(db, "VACUUM INTO '/tmp/x.db'"), ERR_AUTH);
    CHECK_INT(number(db, "PRAGMA foreign_keys"), 1);
    CHECK_INT(number(db, "PRAGMA integrity_check"), -2); /* a text */
    CHECK_INT(tell(db, "VACUUM"), ERR_NONE);
    CHECK_INT(tell(db, "UPDATE sqlite_schema SET sql = ''"), ERR_INVALID);

    CHECK_INT(ask(db, &r, DB_QUERY, 0, "SELECT a, b FRM t"), -1);
    CHECK_INT(r.err.code, ERR_INVALID);
    CHECK_STR(r.err.text, "near \"t\": syntax error, at byte 17 of the SQL: SELECT a, b FRM t");
    db_req_deinit(&r);
    CHECK_INT(ask(db, &r, DB_QUERY, 0, "INSERT INTO t(b) VALUES('z')"), 0);
    CHECK_INT(r.steps->done.changes, 1);
    CHECK_INT(r.steps->done.last_id, 2);
    db_req_deinit(&r);
    CHECK_INT(ask(db, &r, DB_QUERY, 0, "UPDATE t SET b = b || '!' RETURNING a"), 0);
    CHECK_INT(r.steps->done.changes, 2);
    CHECK_INT(r.steps->done.last_id, 0);
    CHECK_INT(r.steps->rows.n_rows, 2);
    db_req_deinit(&r);
    CHECK_INT(ask(db, &r, DB_QUERY, 0, "CREATE TABLE u(x)"), 0);
    CHECK_INT(r.steps->done.changes, 0);
    db_req_deinit(&r);
    close_test(db);
}

static void test_names(void)
{
    static const char sql[] = "SELECT :a + @b + $c + :a";
    static const char *const names[] = {"c", "a", "b", "d"};
    struct db *db = open_test(test_path("names.db"), NULL);
    struct db_value v[4];
    struct db_args args = {v, names, 3};
    struct db_rows *rows;
    struct err e;

    for (int i = 0; i < 4; i++)
        v[i] = (struct db_value){.type = DB_INT, .u.i = i + 1};
    CHECK_INT(db_inline(db, sql, sizeof sql - 1, &args, &rows, &e), 1);
    CHECK_INT(rows->cells[0].u.i, 1 + 2 + 3 + 2);
    args.n = 4;
    CHECK_INT(db_inline(db, sql, sizeof sql - 1, &args, &rows, &e), -1);
    CHECK(strstr(e.text, ":d") != NULL);
    args.n = 2;
    CHECK_INT(db_inline(db, sql, sizeof sql - 1, &args, &rows, &e), -1);
    CHECK(strstr(e.text, "@b") != NULL);
    args.n = 3;
    args.names = NULL;
    CHECK_INT(db_inline(db, sql, sizeof sql - 1, &args, &rows, &e), -1);
    CHECK(strstr(e.text, "named") != NULL);
    CHECK_INT(db_inline(db, "SELECT ?", 8, &args, &rows, &e), -1);
    CHECK(strstr(e.text, "takes 1 argument, 3 given") != NULL);
    close_test(db);
}

static int is_inline(struct db *db, const char *sql)
{
    struct db_args none = {NULL, NULL, 0};
    struct db_rows *rows;
    struct err e;

    return db_inline(db, sql, strlen(sql), &none, &rows, &e);
}

/* What runs on the loop thread and what does not. */
static void test_inline(void)
{
    struct db *db = open_test(test_path("inline.db"), NULL);
    struct db_stats before, after;

    CHECK_INT(tell(db, "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT UNIQUE, c TEXT) STRICT"), 0);
    CHECK_INT(tell(db, "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
                       "FROM n WHERE i < 5000) SELECT i, 'b' || i, 'c' FROM n"), 0);
    CHECK_INT(is_inline(db, "SELECT * FROM t WHERE a = 7"), 1);
    CHECK_INT(is_inline(db, "SELECT * FROM t WHERE b = 'b7'"), 1);
    CHECK_INT(is_inline(db, "SELECT x.a FROM t x JOIN t y ON y.a = x.a WHERE x.b = 'b7'"), 1);
    CHECK_INT(is_inline(db, "SELECT 1"), 1);
    CHECK_INT(is_inline(db, "SELECT * FROM t WHERE c = 'c'"), 0);
    CHECK_INT(is_inline(db, "SELECT count(*) FROM t"), 0);
    CHECK_INT(is_inline(db, "SELECT * FROM t"), 0);
    CHECK_INT(is_inline(db, "SELECT randomblob(10000000)"), 0);
    CHECK_INT(is_inline(db, "DELETE FROM t WHERE a = 7"), 0);
    CHECK_INT(is_inline(db, "PRAGMA page_count"), 0);
    CHECK_INT(is_inline(db, "SELECT * FROM nowhere"), 0);
    CHECK_INT(is_inline(db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
                            "SELECT i FROM n"), 0);
    /* by a key, but too many rows: cut off, and after three times not tried any more */
    db_stats_get(&before);
    for (int i = 0; i < 10; i++)
        CHECK_INT(is_inline(db, "SELECT sum(length(b)) FROM t WHERE a > 10"), 0);
    db_stats_get(&after);
    CHECK_INT(after.n_cuts - before.n_cuts, 3);
    CHECK_INT(number(db, "SELECT count(*) FROM t WHERE a > 10"), 4990);
    /* what a commit has acknowledged is seen */
    for (int i = 0; i < 50; i++) {
        char sql[80];
        snprintf(sql, sizeof sql, "UPDATE t SET c = 'v%d' WHERE a = 7", i);
        CHECK_INT(tell(db, sql), 0);
        snprintf(sql, sizeof sql, "SELECT a FROM t WHERE a = 7 AND c = 'v%d'", i);
        CHECK_INT(is_inline(db, sql), 1);
        CHECK_INT(number(db, sql), 7);
    }
    /* a changed schema is no problem */
    CHECK_INT(tell(db, "ALTER TABLE t ADD COLUMN d INTEGER DEFAULT 4"), 0);
    CHECK_INT(is_inline(db, "SELECT * FROM t WHERE a = 7"), 1);
    CHECK_INT(is_inline(db, "SELECT d FROM t WHERE a = 7"), 1);
    close_test(db);
    CHECK_INT(is_inline((db = open_test(":memory:", NULL)), "SELECT 1"), 0);
    CHECK_INT(number(db, "SELECT 42"), 42);
    close_test(db);
}

/* The snapshot of a turn: what anybody has committed is seen by the next look-up, within the turn. */
static void test_snapshot(void)
{
    struct db *db = open_test(test_path("snap.db"), NULL);
    static const char get[] = "SELECT v FROM t WHERE id = 1";
    struct db_args none = {NULL, NULL, 0};
    struct db_rows *rows;
    sqlite3 *other; /* as another process would: a connection db.c knows nothing of */
    struct err e;
    char sql[80];

    CHECK_INT(tell(db, "CREATE TABLE t(id INTEGER PRIMARY KEY, v INTEGER) STRICT"), 0);
    CHECK_INT(tell(db, "INSERT INTO t VALUES(1, 0)"), 0);
    CHECK_INT(sqlite3_open(test_path("snap.db"), &other), SQLITE_OK);
    for (int i = 1; i <= 300; i++) { /* all in one turn: the loop does not run */
        CHECK_INT(db_inline(db, get, sizeof get - 1, &none, &rows, &e), 1);
        CHECK_INT(rows->cells[0].u.i, i - 1);
        snprintf(sql, sizeof sql, "UPDATE t SET v = %d", i);
        CHECK_INT(sqlite3_exec(other, sql, NULL, NULL, NULL), SQLITE_OK);
        if (i % 50 == 0)
            CHECK_INT(sqlite3_exec(other, "PRAGMA wal_checkpoint", NULL, NULL, NULL), SQLITE_OK);
        if (i % 3 == 0) {
            CHECK_INT(db_inline(db, get, sizeof get - 1, &none, &rows, &e), 1);
            CHECK_INT(rows->cells[0].u.i, i);
        }
    }
    CHECK_INT(db->has_snapshot, 1);
    CHECK_INT(sqlite3_exec(other, "ALTER TABLE t ADD COLUMN w INTEGER DEFAULT 9", NULL, NULL, NULL), 0);
    CHECK_INT(is_inline(db, "SELECT w FROM t WHERE id = 1"), 1);
    CHECK_INT(is_inline(db, "SELECT w FROM t WHERE id = 1"), 1);
    CHECK_INT(db->has_snapshot, 1);
    uv_run(&loop, UV_RUN_NOWAIT);
    CHECK_INT(db->has_snapshot, 0); /* it does not outlive the turn, so the log can be cut back */
    CHECK_INT(sqlite3_exec(other, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL), SQLITE_OK);
    CHECK_INT(is_inline(db, get), 1);
    CHECK_INT(is_inline(db, get), 1);
    CHECK_INT(sqlite3_exec(other, "UPDATE t SET v = 777", NULL, NULL, NULL), SQLITE_OK);
    CHECK_INT(db_inline(db, get, sizeof get - 1, &none, &rows, &e), 1);
    CHECK_INT(rows->cells[0].u.i, 777);
    sqlite3_close(other);
    close_test(db);
}

/* Many writers at once share commits, and an error stays with who made it. */
static void test_group(void)
{
    enum { N = 200 };
    static struct db_req r[N];
    struct db *db = open_test(test_path("group.db"), NULL);
    struct db_stats before, after;
    struct err e;
    int from;

    CHECK_INT(tell(db, "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT) STRICT"), 0);
    CHECK_INT(tell(db, "CREATE TRIGGER g BEFORE INSERT ON t WHEN new.b = 'bomb' "
                       "BEGIN SELECT RAISE(ROLLBACK, 'boom'); END"), 0);
    db_stats_get(&before);
    for (int round = 0; round < 2; round++) {
        from = n_answers;
        CHECK_INT(tell(db, "DELETE FROM t"), 0);
        for (int i = 0; i < N; i++) {
            char sql[80];
            db_req_init(&r[i], DB_WRITE, count_answer);
            /* every tenth fails, in its second statement; in round 2 one blows up the whole group */
            snprintf(sql, sizeof sql, "INSERT INTO t VALUES(%d, '%s')", i,
                     round == 1 && i == 55 ? "bomb" : "x");
            CHECK_INT(db_req_add(&r[i], sql, strlen(sql), NULL, 1, &e), 0);
            snprintf(sql, sizeof sql, "UPDATE t SET b = 'y' WHERE a = %d", i % 10 ? i : -1);
            CHECK_INT(db_req_add(&r[i], sql, strlen(sql), NULL, 1, &e), 0);
            db_submit(db, &r[i]);
        }
        wait_for(from + 1 + N);
        for (int i = 0; i < N; i++) {
            int bomb = round == 1 && i == 55;
            CHECK_INT(r[i].status, i % 10 && !bomb ? 0 : -1);
            if (r[i].status != 0)
                CHECK_INT(r[i].err.code, bomb ? ERR_EXISTS : ERR_NOTFOUND);
            db_req_deinit(&r[i]);
        }
        CHECK_INT(number(db, "SELECT count(*) FROM t"), N * 9 / 10 - round);
        CHECK_INT(number(db, "SELECT count(*) FROM t WHERE b = 'y'"), N * 9 / 10 - round);
    }
    db_stats_get(&after);
    CHECK(after.n_commits - before.n_commits >= 1);
    CHECK(after.n_grouped - before.n_grouped > 2 * (after.n_commits - before.n_commits));
    close_test(db);
}

static const char endless[] = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
                              "SELECT count(*) FROM n";

static void test_cancel(void)
{
    struct db *db = open_test(test_path("cancel.db"), NULL);
    struct db_opt opt;
    struct db_req r[3];
    struct err e;
    int from = n_answers;

    for (int i = 0; i < 3; i++) { /* the third waits behind two readers */
        db_req_init(&r[i], DB_QUERY, count_answer);
        CHECK_INT(db_req_add(&r[i], endless, strlen(endless), NULL, -1, &e), 0);
        db_submit(db, &r[i]);
    }
    usleep(30000);
    for (int i = 2; i >= 0; i--)
        db_cancel(&r[i]);
    wait_for(from + 3);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(r[i].status, -1);
        CHECK_INT(r[i].err.code, ERR_CANCELLED);
        db_req_deinit(&r[i]);
    }
    CHECK_INT(number(db, "SELECT 5"), 5);
    from = n_answers; /* the other way to stop one */
    db_req_init(&r[0], DB_QUERY, count_answer);
    CHECK_INT(db_req_add(&r[0], endless, strlen(endless), NULL, -1, &e), 0);
    db_submit(db, &r[0]);
    usleep(30000);
    db_interrupt(db);
    wait_for(from + 1);
    CHECK_INT(r[0].err.code, ERR_CANCELLED);
    db_req_deinit(&r[0]);
    close_test(db);

    db_opt_init(&opt);
    opt.timeout_ms = 50;
    db = open_test(test_path("cancel.db"), &opt);
    CHECK_INT(tell(db, endless), ERR_TIMEOUT);
    CHECK_INT(number(db, "SELECT 5"), 5);
    close_test(db);
}

/* Closing with everything in flight: each request is answered, the loop runs dry. */
static void test_close(void)
{
    enum { N = 40 };
    static struct db_req r[N];
    struct err e;

    for (int round = 0; round < 5; round++) {
        struct db *db = open_test(test_path("close.db"), NULL);
        int from;
        CHECK_INT(tell(db, "CREATE TABLE IF NOT EXISTS t(a INTEGER) STRICT"), 0);
        from = n_answers;
        for (int i = 0; i < N; i++) {
            const char *sql = i % 3 ? "INSERT INTO t VALUES(1)" : endless;
            db_req_init(&r[i], DB_QUERY, count_answer);
            CHECK_INT(db_req_add(&r[i], sql, strlen(sql), NULL, -1, &e), 0);
            db_submit(db, &r[i]);
        }
        usleep((unsigned)round * 2000);
        close_test(db);
        CHECK_INT(n_answers, from + N);
        for (int i = 0; i < N; i++)
            db_req_deinit(&r[i]);
    }
    close_test(open_test(test_path("close.db"), NULL)); /* never used */
    CHECK(access(test_path("close.db-wal"), F_OK) != 0); /* tidied up by the last one */
}

static void test_open(void)
{
    struct db_opt opt;
    struct db *db;
    struct db_req r;
    struct stat st;
    struct err e;
    int from = n_answers;
    FILE *f;

    db_opt_init(&opt);
    opt.create = 0;
    CHECK_INT(db_open_wait(&db, &loop, test_path("none.db"), &opt, &e), -1);
    CHECK_INT(e.code, ERR_NOTFOUND);
    opt.readonly = 1;
    CHECK_INT(db_open_wait(&db, &loop, test_path("none.db"), &opt, &e), -1);
    CHECK_INT(e.code, ERR_NOTFOUND);
    opt.readonly = 0;
    opt.create = 1;
    CHECK_INT(db_open_wait(&db, &loop, test_path("no/folder.db"), &opt, &e), -1);
    CHECK_INT(db_open_wait(&db, &loop, "", &opt, &e), -1);
    CHECK_INT(db_open_wait(&db, &loop, "file:x?mode=memory", &opt, &e), -1);
    f = fopen(test_path("junk.db"), "w");
    for (int i = 0; i < 5000; i++)
        fprintf(f, "this is no database ");
    fclose(f);
    CHECK_INT(db_open_wait(&db, &loop, test_path("junk.db"), &opt, &e), -1);
    CHECK_INT(e.code, ERR_CORRUPT);
    uv_run(&loop, UV_RUN_DEFAULT);

    db_req_init(&r, DB_OPEN, count_answer); /* by the thread */
    CHECK_INT(db_open(&db, &loop, test_path("new.db"), &opt, &r, &e), 0);
    wait_for(from + 1);
    CHECK_INT(r.status, 0);
    CHECK_INT(stat(test_path("new.db"), &st), 0);
    CHECK_INT(st.st_mode & 0777, 0600);
    CHECK_INT(tell(db, "CREATE TABLE t(a INTEGER) STRICT"), 0);
    CHECK_INT(is_inline(db, "SELECT 1"), 1);
    close_test(db);
    db_req_init(&r, DB_OPEN, count_answer);
    CHECK_INT(db_open(&db, &loop, test_path("junk.db"), &opt, &r, &e), 0);
    wait_for(from + 3);
    CHECK_INT(r.err.code, ERR_CORRUPT);
    CHECK_INT(tell(db, "SELECT 1"), ERR_INVALID); /* not open, and says so */
    close_test(db);

    opt.readonly = 1;
    db_req_init(&r, DB_OPEN, count_answer);
    CHECK_INT(db_open(&db, &loop, test_path("new.db"), &opt, &r, &e), 0);
    wait_for(n_answers + 1);
    CHECK_INT(r.status, 0);
    CHECK_INT(number(db, "SELECT count(*) FROM t"), 0);
    CHECK_INT(tell(db, "INSERT INTO t VALUES(1)"), ERR_AUTH);
    CHECK_INT(tell_in(db, 0, DB_SCRIPT, "INSERT INTO t VALUES(1)"), ERR_AUTH);
    CHECK_INT(tell_in(db, 0, DB_BEGIN, NULL), ERR_AUTH);
    close_test(db);
}

/* Each of our allocations fails in turn: an error, no leak, no crash. */
static void test_oom(void)
{
    struct db *db = open_test(test_path("oom.db"), NULL);
    struct db_req r;
    struct err e;
    size_t live;
    int failed = 1;

    CHECK_INT(tell(db, "CREATE TABLE t(a INTEGER, b TEXT) STRICT"), 0);
    CHECK_INT(number(db, "SELECT count(*) FROM t"), 0);
    live = mem_live();
    for (size_t n = 1; failed && n < 500; n++) {
        char sql[100];
        struct db_value v = {.type = DB_TEXT, .bytes = 3, .u.text = "abc"};
        struct db_args args = {&v, NULL, 1};
        snprintf(sql, sizeof sql, "INSERT INTO t VALUES(%zu, ?) RETURNING a, b", n);
        db_req_init(&r, DB_QUERY, count_answer);
        mem_fail_at(n);
        failed = db_req_add(&r, sql, strlen(sql), &args, -1, &e) != 0;
        if (!failed) {
            db_submit(db, &r);
            wait_for(n_answers + 1);
            failed = r.status != 0;
            if (failed)
                CHECK_INT(r.err.code, ERR_NOMEM);
        } else {
            CHECK_INT(e.code, ERR_NOMEM);
        }
        mem_fail_at(0);
        db_req_deinit(&r);
    }
    CHECK(!failed);
    close_test(db);
    CHECK(mem_live() < live);
    CHECK_INT(mem_live(), 0);
}

int main(void)
{
    uv_loop_init(&loop);
    test_values();
    test_errors();
    test_names();
    test_inline();
    test_snapshot();
    test_group();
    test_cancel();
    test_close();
    test_open();
    test_oom();
    CHECK_INT(uv_loop_close(&loop), 0);
    test_folder_remove();
    return check_done();
}
