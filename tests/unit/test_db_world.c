/*
 * test_db_world.c - a database in a bad world: locked by another process, disk full, damaged files,
 * a log cut short, killed in the middle. Backups and matrices too.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/mem.h"
#include "db/db_backup.h"
#include "db/db_cursor.h"
#include "db/db_matrix.h"
#include "db_wait.h"

static struct db *open_fresh(const char *name, const struct db_opt *opt)
{
    struct db *db = open_test(test_path(name), opt);

    CHECK_INT(tell(db, "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT) STRICT"), 0);
    return db;
}

/* ---- another process ---- */

/* Holds the write lock until the pipe it gives is closed; tells when it has it. */
static pid_t hold_lock(const char *path, int *until)
{
    int held[2], go[2];
    char c;
    pid_t pid;

    if (pipe(held) != 0 || pipe(go) != 0)
        return -1;
    pid = fork();
    if (pid == 0) {
        sqlite3 *s;
        int rc = sqlite3_open_v2(path, &s, SQLITE_OPEN_READWRITE, NULL);
        close(go[1]);
        if (rc == SQLITE_OK)
            rc = sqlite3_exec(s, "BEGIN IMMEDIATE; INSERT INTO t VALUES(1000, 'theirs')", NULL, NULL,
                              NULL);
        if (rc == SQLITE_OK && write(held[1], "x", 1) == 1 && read(go[0], &c, 1) >= 0)
            rc = sqlite3_exec(s, "COMMIT", NULL, NULL, NULL);
        sqlite3_close(s);
        _exit(rc != SQLITE_OK);
    }
    close(go[0]);
    close(held[1]);
    CHECK_INT(read(held[0], &c, 1), 1);
    close(held[0]);
    *until = go[1];
    return pid;
}

static void test_locked(void)
{
    struct db_opt opt;
    struct db *db;
    struct db_req r[10];
    struct err e;
    int until = -1, status, from, n_turns = 0;
    pid_t pid;

    db_opt_init(&opt);
    opt.sync = DB_SYNC_NORMAL;
    opt.busy_ms = 300;
    db = open_fresh("locked.db", &opt);
    CHECK_INT(number(db, "SELECT count(*) FROM t"), 0);
    pid = hold_lock(test_path("locked.db"), &until);
    from = n_answers;
    for (int i = 0; i < 10; i++) { /* all at once: all told after one patience, not one by one */
        db_req_init(&r[i], i == 9 ? DB_BEGIN : DB_QUERY, count_answer);
        if (i < 9)
            CHECK_INT(db_req_add(&r[i], "INSERT INTO t(b) VALUES('x')", 28, NULL, -1, &e), 0);
        db_submit(db, &r[i]);
    }
    uint64_t start = uv_hrtime();
    while (n_answers < from + 10) { /* reading goes on meanwhile */
        uv_run(&loop, UV_RUN_NOWAIT);
        usleep(1000);
        n_turns++;
        if (n_turns == 20) {
            struct db_args none = {NULL, NULL, 0};
            struct db_rows *rows;
            CHECK_INT(db_inline(db, "SELECT * FROM t WHERE a = 1", 27, &none, &rows, &e), 1);
        }
    }
    for (int i = 0; i < 10; i++) {
        CHECK_INT(r[i].status, -1);
        CHECK_INT(r[i].err.code, ERR_BUSY);
        db_req_deinit(&r[i]);
    }
    CHECK((uv_hrtime() - start) / 1000000 < 1500);
    CHECK(n_turns > 50);
    from = n_answers; /* cancelled while it waits for the other process */
    db_req_init(&r[0], DB_QUERY, count_answer);
    CHECK_INT(db_req_add(&r[0], "INSERT INTO t(b) VALUES('x')", 28, NULL, -1, &e), 0);
    db_submit(db, &r[0]);
    usleep(30000);
    db_cancel(&r[0]);
    wait_for(from + 1);
    CHECK_INT(r[0].err.code, ERR_CANCELLED);
    db_req_deinit(&r[0]);
    from = n_answers; /* let go in time */
    db_req_init(&r[0], DB_QUERY, count_answer);
    CHECK_INT(db_req_add(&r[0], "INSERT INTO t(b) VALUES('x')", 28, NULL, -1, &e), 0);
    db_submit(db, &r[0]);
    usleep(50000);
    close(until);
    wait_for(from + 1);
    CHECK_INT(r[0].status, 0);
    db_req_deinit(&r[0]);
    waitpid(pid, &status, 0);
    CHECK_INT(status, 0);
    CHECK_INT(number(db, "SELECT count(*) FROM t"), 2);
    close_test(db);
}

/* ---- no room ---- */

static const char fill[] = "INSERT INTO t(b) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
                           "FROM n WHERE i < 500) SELECT hex(randomblob(2000)) FROM n";

static void on_backup(struct db_backup *b)
{
    (void)b;
    n_answers++;
}

static enum err_code back_up(struct db *db, const char *path, int pages, int *n_slices)
{
    struct db_backup *b;
    struct err e;
    enum err_code code = ERR_NONE;

    *n_slices = 0;
    if (db_backup_new(&b, db, path, &e) != 0)
        return e.code;
    while (code == ERR_NONE && !b->is_complete) {
        CHECK_INT(db_backup_next(b, pages, on_backup, &e), 0);
        wait_for(n_answers + 1);
        if (b->hold.req.status != 0)
            code = b->hold.req.err.code;
        ++*n_slices;
    }
    db_backup_close(b);
    return code;
}

static void test_full(void)
{
    struct rlimit old, small;
    struct db *db = open_fresh("full.db", NULL);
    long long before;
    uint64_t tx;
    struct db_req r;
    int n;

    CHECK_INT(tell(db, fill), 0);
    before = number(db, "SELECT count(*) FROM t");
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 3 << 20;
    setrlimit(RLIMIT_FSIZE, &small);
    CHECK_INT(tell(db, fill), ERR_FULL);
    CHECK_INT(number(db, "SELECT count(*) FROM t"), before);
    CHECK_INT(ask(db, &r, DB_BEGIN, 0, NULL), 0);
    tx = r.tx;
    CHECK_INT(tell_in(db, tx, DB_QUERY, "INSERT INTO t(b) VALUES('x')"), 0);
    tell_in(db, tx, DB_QUERY, fill);
    tell_in(db, tx, DB_QUERY, fill);
    db_req_init(&r, DB_COMMIT, count_answer);
    r.tx = tx;
    db_submit(db, &r);
    wait_for(n_answers + 1);
    CHECK_INT(r.err.code, ERR_FULL);
    CHECK_INT(number(db, "SELECT count(*) FROM t"), before);
    small.rlim_cur = 1 << 20;
    setrlimit(RLIMIT_FSIZE, &small);
    CHECK_INT(back_up(db, test_path("full.copy"), 64, &n), ERR_FULL);
    CHECK(access(test_path("full.copy"), F_OK) != 0 && access(test_path("full.copy.part"), F_OK) != 0);
    setrlimit(RLIMIT_FSIZE, &old);
    CHECK_INT(tell(db, fill), 0); /* goes on as if nothing had been */
    CHECK_INT(number(db, "SELECT count(*) FROM t"), before * 2);
    CHECK_INT(back_up(db, test_path("full.copy"), 64, &n), 0);
    CHECK(n > 10);
    close_test(db);
    db = open_test(test_path("full.copy"), NULL);
    CHECK_INT(number(db, "SELECT count(*) FROM t"), before * 2);
    close_test(db);
}

/* ---- damage ---- */

static void copy_file(const char *from, const char *to, long max)
{
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    static char data[16 << 20];
    size_t n;

    if (in == NULL || out == NULL) {
        printf("copy %s to %s failed\n", from, to);
        return;
    }
    n = fread(data, 1, sizeof data, in);
    if (max >= 0 && (long)n > max)
        n = (size_t)max;
    CHECK_INT(fwrite(data, 1, n, out), n);
    fclose(in);
    fclose(out);
}

static void scribble(const char *path, long from, long bytes)
{
    FILE *f = fopen(path, "r+b");

    fseek(f, from, SEEK_SET);
    for (long i = 0; i < bytes; i++)
        fputc((int)(i * 131 % 251), f);
    fclose(f);
}

static void test_damaged(void)
{
    struct db *db = open_fresh("whole.db", NULL);
    enum err_code code;

    CHECK_INT(tell(db, fill), 0);
    CHECK_INT(tell(db, "CREATE INDEX i ON t(b)"), 0);
    close_test(db);
    copy_file(test_path("whole.db"), test_path("holes.db"), -1);
    scribble(test_path("holes.db"), 40960, 400000); /* pages in the middle */
    db = open_test(test_path("holes.db"), NULL);
    CHECK_INT(tell(db, "SELECT sum(length(b)) FROM t"), ERR_CORRUPT);
    CHECK_INT(tell(db, "INSERT INTO t(b) SELECT b FROM t"), ERR_CORRUPT);
    CHECK_INT(number(db, "SELECT 1"), 1);
    close_test(db);
    for (long cut = 0; cut < 20000; cut += 1777) { /* cut short: an error, or empty, never a crash */
        struct db_opt opt;
        struct err e;
        copy_file(test_path("whole.db"), test_path("cut.db"), cut);
        db_opt_init(&opt);
        opt.readonly = 1;
        if (db_open_wait(&db, &loop, test_path("cut.db"), &opt, &e) != 0) {
            CHECK(e.code == ERR_CORRUPT || e.code == ERR_IO);
            continue;
        }
        code = tell(db, "SELECT sum(length(b)) FROM t");
        CHECK(code == ERR_CORRUPT || (cut == 0 && code == ERR_INVALID));
        close_test(db);
        unlink(test_path("cut.db-wal"));
        unlink(test_path("cut.db-shm"));
    }
    uv_run(&loop, UV_RUN_DEFAULT);
}

/* The log is cut at any place: what was committed before the cut is there, whole. */
static void test_cut_log(void)
{
    struct db *db = open_fresh("log.db", NULL);
    long long last = -1;
    struct stat st;

    for (int i = 1; i <= 20; i++)
        CHECK_INT(tell(db, "INSERT INTO t(b) VALUES('row'), ('pair')"), 0);
    copy_file(test_path("log.db"), test_path("log.copy"), -1);
    copy_file(test_path("log.db-wal"), test_path("log.wal"), -1);
    close_test(db);
    CHECK_INT(stat(test_path("log.wal"), &st), 0);
    CHECK(st.st_size > 20 * 4096);
    for (long cut = 0; cut < st.st_size + 1501; cut += 1501) { /* the last time it is whole */
        long long n;
        copy_file(test_path("log.copy"), test_path("again.db"), -1);
        copy_file(test_path("log.wal"), test_path("again.db-wal"), cut);
        db = open_test(test_path("again.db"), NULL);
        n = number(db, "SELECT (SELECT count(*) FROM sqlite_schema WHERE name = 't') * 100");
        if (n == 100)
            n += number(db, "SELECT count(*) FROM t");
        CHECK(n % 2 == 0 && n >= last);
        last = n;
        close_test(db);
        unlink(test_path("again.db"));
    }
    CHECK_INT(last, 140);
}

/* kill -9 in the middle of writing: each acknowledged write is there, no half one. */
static void test_killed(void)
{
    for (int round = 0; round < 8; round++) {
        char path[256];
        int told[2], got = 0;
        struct db *db;
        pid_t pid;
        snprintf(path, sizeof path, "%s", test_path("killed.db"));
        unlink(path);
        if (pipe(told) != 0)
            return;
        pid = fork();
        if (pid == 0) {
            struct db_conn *c; /* no loop survives a fork */
            struct db_opt opt;
            struct err e;
            db_opt_init(&opt);
            if (db_conn_open(&c, path, &opt, DB_WRITER, &e) != 0 ||
                db_stmt_script(c, "CREATE TABLE t(a INTEGER)", 25, &e) != 0)
                _exit(1);
            for (unsigned char i = 1;; i++) {
                if (db_conn_own(c, "BEGIN IMMEDIATE; INSERT INTO t VALUES(1); "
                                   "INSERT INTO t VALUES(2); COMMIT", &e) != 0 ||
                    write(told[1], &i, 1) != 1)
                    _exit(1);
            }
        }
        close(told[1]);
        usleep(20000 + (unsigned)round * 3000);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        for (char c; read(told[0], &c, 1) == 1;)
            got++;
        close(told[0]);
        db = open_test(path, NULL);
        long long n = got > 0 ? number(db, "SELECT count(*) FROM t") : 0;
        CHECK(n % 2 == 0 && n / 2 >= got && n / 2 <= got + 1);
        close_test(db);
    }
}

/* ---- matrices ---- */

static enum err_code matrix(struct db *db, struct db_matrix *m, const char *sql, int is_f32,
                            size_t max_bytes)
{
    struct err e;

    CHECK_INT(db_matrix_init(m, 0, sql, strlen(sql), &(struct db_args){NULL, NULL, 0}, is_f32,
                             max_bytes, count_answer, &e), 0);
    db_submit(db, &m->req);
    wait_for(n_answers + 1);
    return m->req.status == 0 ? ERR_NONE : m->req.err.code;
}

static void test_matrix(void)
{
    size_t live = mem_live();
    struct db *db = open_fresh("matrix.db", NULL);
    static const char big[] = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE "
                              "i < 299999) SELECT i, i * 0.5, iif(i % 1000 = 7, NULL, -i) FROM n";
    struct db_matrix m;
    int bad = 0;

    CHECK_INT(matrix(db, &m, big, 0, 0), 0);
    CHECK_INT(m.n_rows, 300000);
    CHECK_INT(m.n_cols, 3);
    const double *f64 = m.data;
    for (size_t i = 0; i < m.n_rows; i++)
        bad += f64[i * 3] != (double)i || f64[i * 3 + 1] != (double)i * 0.5 ||
               (i % 1000 == 7 ? !isnan(f64[i * 3 + 2]) : f64[i * 3 + 2] != -(double)i);
    CHECK_INT(bad, 0);
    db_matrix_deinit(&m);
    CHECK_INT(matrix(db, &m, big, 1, 0), 0);
    const float *f32 = m.data;
    for (size_t i = 0; i < m.n_rows; i++)
        bad += f32[i * 3 + 1] != (float)i * 0.5f;
    CHECK_INT(bad, 0);
    db_matrix_deinit(&m);
    CHECK_INT(matrix(db, &m, big, 1, 1000000), ERR_LIMIT);
    db_matrix_deinit(&m);
    CHECK_INT(matrix(db, &m, "SELECT 1, 'x12,0'", 0, 0), ERR_INVALID);
    CHECK_STR(m.req.err.text, "row 1: 'x12,0' \"x12,0\" is not a number");
    db_matrix_deinit(&m);
    CHECK_INT(matrix(db, &m, "SELECT 1e300", 1, 0), ERR_NAN);
    db_matrix_deinit(&m);
    CHECK_INT(matrix(db, &m, "SELECT 1 WHERE 0", 1, 0), 0);
    CHECK(m.n_rows == 0 && m.n_cols == 1 && m.data == NULL);
    db_matrix_deinit(&m);
    CHECK_INT(matrix(db, &m, "DELETE FROM t", 1, 0), ERR_INVALID);
    db_matrix_deinit(&m);
    close_test(db);
    CHECK_INT(mem_live(), live);
}

/* ---- each of our allocations fails in turn ---- */

static void on_oom_batch(struct db_cursor *cur)
{
    (void)cur;
    n_answers++;
}

/* 0 when all went well, with allocation n failing. */
static int oom_round(size_t n, const char *path, const char *copy)
{
    static const char sql[] = "SELECT a, b FROM t WHERE a < ?";
    struct db_value v = {.type = DB_INT, .u.i = 50};
    struct db_args args = {&v, NULL, 1};
    struct db_cursor *cur = NULL;
    struct db_backup *b = NULL;
    struct db_matrix m;
    struct db_opt opt;
    struct db *db;
    struct err e = {.code = ERR_NONE};
    int rc;

    db_opt_init(&opt);
    mem_fail_at(n);
    if (db_open_wait(&db, &loop, path, &opt, &e) != 0)
        goto done;
    rc = db_cursor_new(&cur, db, 0, sql, sizeof sql - 1, &args, &e);
    if (rc == 0 && db_cursor_next(cur, 20, on_oom_batch, &e) == 0) {
        wait_for(n_answers + 1);
        rc = cur->hold.req.status;
        if (rc != 0)
            e = cur->hold.req.err;
    }
    db_cursor_close(cur);
    if (rc == 0 && (rc = db_matrix_init(&m, 0, "SELECT a FROM t", 15, &(struct db_args){NULL, NULL, 0},
                                        1, 0, count_answer, &e)) == 0) {
        db_submit(db, &m.req);
        wait_for(n_answers + 1);
        rc = m.req.status;
        if (rc != 0)
            e = m.req.err;
        db_matrix_deinit(&m);
    }
    if (rc == 0 && (rc = db_backup_new(&b, db, copy, &e)) == 0) {
        CHECK_INT(db_backup_next(b, 1000000, on_backup, &e), 0);
        wait_for(n_answers + 1);
        rc = b->hold.req.status;
        if (rc != 0)
            e = b->hold.req.err;
    }
    db_backup_close(b);
    close_test(db);
done:
    mem_fail_at(0);
    uv_run(&loop, UV_RUN_DEFAULT);
    if (e.code != ERR_NONE)
        CHECK_INT(e.code, ERR_NOMEM);
    return e.code != ERR_NONE;
}

static void test_oom(void)
{
    struct db *db = open_fresh("oom.db", NULL);
    char path[256], copy[256];
    size_t live, n = 1;

    CHECK_INT(tell(db, fill), 0);
    close_test(db);
    live = mem_live();
    snprintf(path, sizeof path, "%s", test_path("oom.db"));
    snprintf(copy, sizeof copy, "%s", test_path("oom.copy"));
    while (n < 300 && oom_round(n, path, copy) != 0) {
        CHECK_INT(mem_live(), live);
        n++;
    }
    CHECK(n > 15 && n < 300);
    CHECK_INT(mem_live(), live);
}

int main(void)
{
    uv_loop_init(&loop);
    test_locked();
    test_full();
    test_damaged();
    test_cut_log();
    test_killed();
    test_matrix();
    test_oom();
    CHECK_INT(uv_loop_close(&loop), 0);
    test_folder_remove();
    return check_done();
}
