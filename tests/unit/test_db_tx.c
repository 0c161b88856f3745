/*
 * test_db_tx.c - transactions of scripts: fair turns, savepoints, abort, idleness, what SQLite undoes
 * by itself; iterators inside and outside of them.
 */
#include "db/db_cursor.h"
#include "db/db_state.h"
#include "db_wait.h"

/* 0 on failure. */
static uint64_t begin(struct db *db)
{
    struct db_req r;
    uint64_t tx = ask(db, &r, DB_BEGIN, 0, NULL) == 0 ? r.tx : 0;

    if (tx == 0)
        printf("begin: %s\n", r.err.text);
    return tx;
}

static enum err_code end(struct db *db, uint64_t tx, enum db_what what, int depth)
{
    struct db_req r;

    db_req_init(&r, what, count_answer);
    r.tx = tx;
    r.depth = depth;
    db_submit(db, &r);
    wait_for(n_answers + 1);
    return r.status == 0 ? ERR_NONE : r.err.code;
}

static int save(struct db *db, uint64_t tx)
{
    struct db_req r;

    return ask(db, &r, DB_BEGIN, tx, NULL) == 0 ? r.depth : -1;
}

static struct db *open_fresh(const char *name, const struct db_opt *opt)
{
    struct db *db = open_test(test_path(name), opt);

    CHECK_INT(tell(db, "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT) STRICT"), 0);
    return db;
}

static void test_basic(void)
{
    struct db *db = open_fresh("tx.db", NULL);
    uint64_t tx = begin(db);
    struct db_req w;
    struct err e;
    int from, d;

    CHECK(tx != 0);
    CHECK_INT(tell_in(db, tx, DB_QUERY, "INSERT INTO t VALUES(1, 'a')"), 0);
    CHECK_INT(number_in(db, tx, "SELECT count(*) FROM t"), 1);
    CHECK_INT(number(db, "SELECT count(*) FROM t"), 0); /* readers do not see it yet */
    from = n_answers;
    db_req_init(&w, DB_QUERY, count_answer); /* another writer waits its turn */
    CHECK_INT(db_req_add(&w, "INSERT INTO t VALUES(2, 'w')", 28, NULL, -1, &e), 0);
    db_submit(db, &w);
    CHECK_INT(number_in(db, tx, "SELECT count(*) FROM t"), 1);
    CHECK_INT(n_answers, from + 1);
    CHECK_INT(tell_in(db, tx, DB_QUERY, "INSERT INTO t VALUES(1, 'again')"), ERR_EXISTS);
    d = save(db, tx);
    CHECK_INT(d, 1);
    CHECK_INT(tell_in(db, tx, DB_QUERY, "INSERT INTO t VALUES(3, 'c')"), 0);
    CHECK_INT(save(db, tx), 2);
    CHECK_INT(tell_in(db, tx, DB_QUERY, "INSERT INTO t VALUES(4, 'd')"), 0);
    CHECK_INT(end(db, tx, DB_COMMIT, 2), 0);
    CHECK_INT(end(db, tx, DB_COMMIT, 2), ERR_INVALID); /* over */
    CHECK_INT(number_in(db, tx, "SELECT count(*) FROM t"), 3);
    CHECK_INT(end(db, tx, DB_ROLLBACK, 1), 0);
    CHECK_INT(number_in(db, tx, "SELECT count(*) FROM t"), 1);
    CHECK_INT(tell_in(db, tx, DB_SCRIPT, "INSERT INTO t VALUES(5, 'e'); INSERT INTO t VALUES(5, 'f')"),
              ERR_EXISTS);
    CHECK_INT(number_in(db, tx, "SELECT count(*) FROM t"), 1);
    from = n_answers;
    CHECK_INT(end(db, tx, DB_COMMIT, 0), 0);
    wait_for(from + 2);
    CHECK_INT(w.status, 0);
    db_req_deinit(&w);
    CHECK_INT(number(db, "SELECT sum(a) FROM t"), 3);
    CHECK_INT(tell_in(db, tx, DB_QUERY, "SELECT 1"), ERR_INVALID);
    CHECK_INT(end(db, tx, DB_COMMIT, 0), ERR_INVALID);
    CHECK_INT(tell_in(db, 0, DB_COMMIT, NULL), ERR_INVALID);
    close_test(db);
}

static const char endless[] = "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 "
                              "FROM n) SELECT i, 'x' FROM n";

/* A script that was killed, one that forgot, one that was cancelled while it waited. */
static void test_abort(void)
{
    struct db_opt opt;
    struct db *db;
    struct db_req r, q;
    struct err e;
    uint64_t tx;
    int from;

    db_opt_init(&opt);
    opt.tx_idle_ms = 400;
    opt.sync = DB_SYNC_NORMAL;
    db = open_fresh("abort.db", &opt);
    tx = begin(db);
    CHECK_INT(tell_in(db, tx, DB_QUERY, "INSERT INTO t VALUES(1, 'a')"), 0);
    db_tx_abort(db, tx);
    db_tx_abort(db, tx);
    CHECK_INT(tell(db, "INSERT INTO t VALUES(2, 'b')"), 0); /* the lock is free at once */
    CHECK_INT(number(db, "SELECT sum(a) FROM t"), 2);

    tx = begin(db); /* in the middle of a statement, with another one queued behind it */
    from = n_answers;
    db_req_init(&r, DB_QUERY, count_answer);
    r.tx = tx;
    CHECK_INT(db_req_add(&r, endless, strlen(endless), NULL, -1, &e), 0);
    db_submit(db, &r);
    db_req_init(&q, DB_QUERY, count_answer);
    q.tx = tx;
    CHECK_INT(db_req_add(&q, "SELECT 1", 8, NULL, -1, &e), 0);
    db_submit(db, &q);
    usleep(20000);
    db_tx_abort(db, tx);
    wait_for(from + 2);
    CHECK_INT(r.err.code, ERR_CANCELLED);
    CHECK_INT(q.err.code, ERR_CANCELLED);
    db_req_deinit(&r);
    db_req_deinit(&q);
    CHECK_INT(number(db, "SELECT sum(a) FROM t"), 2);

    tx = begin(db); /* forgotten */
    CHECK_INT(tell_in(db, tx, DB_QUERY, "INSERT INTO t VALUES(3, 'c')"), 0);
    CHECK_INT(tell(db, "INSERT INTO t VALUES(4, 'd')"), 0); /* comes when patience is over */
    CHECK_INT(tell_in(db, tx, DB_QUERY, "SELECT 1"), ERR_INVALID);
    CHECK_INT(number(db, "SELECT sum(a) FROM t"), 6);

    tx = begin(db); /* cancelled while waiting for its turn, and just after getting it */
    from = n_answers;
    db_req_init(&r, DB_BEGIN, count_answer);
    db_submit(db, &r);
    db_cancel(&r);
    wait_for(from + 1);
    CHECK_INT(r.err.code, ERR_CANCELLED);
    CHECK_INT(end(db, tx, DB_COMMIT, 0), 0);
    from = n_answers;
    db_req_init(&r, DB_BEGIN, count_answer);
    db_submit(db, &r);
    usleep(20000);
    db_cancel(&r);
    wait_for(from + 1);
    CHECK_INT(r.err.code, ERR_CANCELLED);
    CHECK_INT(tell(db, "INSERT INTO t VALUES(5, 'e')"), 0);

    tx = begin(db); /* closed over it */
    CHECK_INT(tell_in(db, tx, DB_QUERY, "INSERT INTO t VALUES(6, 'f')"), 0);
    close_test(db);
    db = open_test(test_path("abort.db"), NULL);
    CHECK_INT(number(db, "SELECT sum(a) FROM t"), 11);
    close_test(db);
}

/* SQLite rolls back by itself: the transaction says so until its script ends it. */
static void test_dead(void)
{
    struct db *db = open_fresh("dead.db", NULL);
    uint64_t tx;

    CHECK_INT(tell(db, "CREATE TRIGGER g BEFORE INSERT ON t WHEN new.b = 'bomb' "
                       "BEGIN SELECT RAISE(ROLLBACK, 'boom'); END"), 0);
    tx = begin(db);
    CHECK_INT(tell_in(db, tx, DB_QUERY, "INSERT INTO t VALUES(1, 'a')"), 0);
    CHECK_INT(tell_in(db, tx, DB_QUERY, "INSERT INTO t VALUES(2, 'bomb')"), ERR_EXISTS);
    CHECK_INT(tell_in(db, tx, DB_QUERY, "INSERT INTO t VALUES(3, 'c')"), ERR_EXISTS);
    CHECK_INT(end(db, tx, DB_COMMIT, 0), ERR_EXISTS);
    CHECK_INT(number(db, "SELECT count(*) FROM t"), 0);
    tx = begin(db);
    CHECK_INT(tell_in(db, tx, DB_QUERY, "INSERT INTO t VALUES(2, 'bomb')"), ERR_EXISTS);
    CHECK_INT(end(db, tx, DB_ROLLBACK, 0), 0);
    CHECK_INT(tell(db, "INSERT INTO t VALUES(3, 'c')"), 0);
    close_test(db);
}

/* ---- iterators ---- */

static void on_batch(struct db_cursor *cur)
{
    *(int *)cur->owner += (int)cur->rows.n_rows;
    n_answers++;
}

static struct db_cursor *iterate(struct db *db, uint64_t tx, const char *sql, int *n)
{
    struct db_args none = {NULL, NULL, 0};
    struct db_cursor *cur;
    struct err e;

    if (db_cursor_new(&cur, db, tx, sql, strlen(sql), &none, &e) != 0) {
        CHECK_INT(e.code, ERR_BUSY);
        return NULL;
    }
    *n = 0;
    cur->owner = n;
    return cur;
}

static enum err_code batch(struct db_cursor *cur, size_t n_max)
{
    struct err e;

    if (db_cursor_next(cur, n_max, on_batch, &e) != 0)
        return e.code;
    wait_for(n_answers + 1);
    return cur->hold.req.status == 0 ? ERR_NONE : cur->hold.req.err.code;
}

static const char many[] = "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
                           "WHERE i < 10000) SELECT i, 'row ' || i FROM n";

static void test_cursor(void)
{
    struct db *db = open_fresh("cursor.db", NULL);
    struct db_cursor *cur, *all[20];
    struct db_opt opt;
    int n, m, n_open = 0;
    uint64_t tx;
    struct err e;

    db_opt_init(&opt);
    CHECK_INT(tell(db, many), 0);
    cur = iterate(db, 0, "SELECT * FROM t", &n);
    CHECK_INT(batch(cur, 100), 0);
    CHECK_INT(tell(db, "DELETE FROM t WHERE a > 500"), 0); /* it keeps its snapshot */
    while (!cur->is_at_end)
        CHECK_INT(batch(cur, 999), 0);
    CHECK_INT(n, 10000);
    db_cursor_close(cur);
    cur = iterate(db, 0, "SELECT * FROM t", &n);
    CHECK_INT(batch(cur, 7), 0);
    db_cursor_close(cur); /* in the middle */
    cur = iterate(db, 0, "SELECT * FROM nowhere", &n);
    CHECK_INT(batch(cur, 7), ERR_INVALID);
    CHECK_INT(cur->is_at_end, 1);
    db_cursor_close(cur);
    cur = iterate(db, 0, "SELECT * FROM t", &n);
    CHECK_INT(db_cursor_next(cur, 5, on_batch, &e), 0); /* while it runs */
    db_cursor_close(cur);
    wait_for(n_answers + 1);

    for (int i = 0; i < 20; i++) { /* as many as allowed, each with its own connection */
        all[i] = iterate(db, 0, "SELECT * FROM t", &n);
        if (all[i] != NULL) {
            n_open++;
            CHECK_INT(batch(all[i], 3), 0);
        }
    }
    CHECK_INT(n_open, opt.n_cursors);
    CHECK_INT(number(db, "SELECT count(*) FROM t WHERE a > 0 AND b <> ''"), 500);
    for (int i = 0; i < 20; i++)
        db_cursor_close(all[i]);
    CHECK_INT(number(db, "SELECT count(*) FROM t"), 500);
    while (db->holds != NULL)
        turn();

    tx = begin(db); /* on the writer */
    CHECK_INT(tell_in(db, tx, DB_QUERY, "INSERT INTO t VALUES(501, 'new')"), 0);
    cur = iterate(db, tx, "SELECT * FROM t", &n);
    CHECK_INT(batch(cur, 10), 0);
    CHECK_INT(tell_in(db, tx, DB_QUERY, "UPDATE t SET b = 'x' WHERE a < 5"), 0);
    CHECK_INT(batch(cur, 1000), 0);
    CHECK_INT(n, 501);
    db_cursor_close(cur);
    cur = iterate(db, tx, "SELECT * FROM t", &n);
    CHECK_INT(batch(cur, 10), 0);
    CHECK_INT(end(db, tx, DB_ROLLBACK, 0), 0);
    CHECK_INT(batch(cur, 10), ERR_INVALID); /* ended with its transaction */
    db_cursor_close(cur);
    CHECK_INT(number(db, "SELECT count(*) FROM t"), 500);

    cur = iterate(db, 0, "SELECT * FROM t", &n);
    CHECK_INT(batch(cur, 10), 0);
    all[0] = iterate(db, 0, "SELECT * FROM t", &m);
    CHECK_INT(db_cursor_next(all[0], 10, on_batch, &e), 0);
    db_close(db); /* both open; one runs */
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK_INT(batch(cur, 10), ERR_INVALID);
    db_cursor_close(cur);
    db_cursor_close(all[0]);
}

static void test_memory(void)
{
    struct db *db = open_test(":memory:", NULL);
    struct db_cursor *cur;
    uint64_t tx;
    int n;

    CHECK_INT(tell(db, "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT) STRICT"), 0);
    CHECK_INT(tell(db, many), 0);
    cur = iterate(db, 0, "SELECT * FROM t", &n);
    CHECK_INT(batch(cur, 10), 0);
    CHECK_INT(number(db, "SELECT count(*) FROM t"), 10000);
    CHECK_INT(tell(db, "UPDATE t SET b = 'y' WHERE a = 1"), 0);
    tx = begin(db);
    CHECK_INT(tell_in(db, tx, DB_QUERY, "DELETE FROM t WHERE a = 1"), 0);
    CHECK_INT(end(db, tx, DB_COMMIT, 0), 0);
    CHECK_INT(batch(cur, 20000), 0);
    CHECK_INT(n, 10000);
    db_cursor_close(cur);
    close_test(db);
}

/* Transactions and single writers of one process take turns; nothing is lost, nobody starves. */
struct turns {
    struct db_req r;
    struct db *db;
    int phase, left, *n_ended;
    long long seen;
};

static void on_turn(struct db_req *r)
{
    struct turns *t = (struct turns *)r;
    static const char get[] = "SELECT b FROM n", set[] = "UPDATE n SET b = ?";
    struct db_value v;
    struct db_args args = {&v, NULL, 1};
    uint64_t tx = r->tx;
    struct err e;

    CHECK_INT(r->status, 0);
    if (t->phase == 2)
        t->seen = r->steps->rows.cells[0].u.i;
    db_req_deinit(r);
    t->phase = (t->phase + 1) % 5;
    if (t->phase == 0 && --t->left == 0) {
        ++*t->n_ended;
        return;
    }
    db_req_init(r, t->phase == 1 || t->phase == 0 ? DB_BEGIN : t->phase == 4 ? DB_COMMIT : DB_QUERY,
                on_turn);
    if (t->phase == 0)
        t->phase = 1;
    if (t->phase != 1)
        r->tx = tx;
    v = (struct db_value){.type = DB_INT, .u.i = t->seen + 1};
    if (t->phase == 2)
        CHECK_INT(db_req_add(r, get, sizeof get - 1, NULL, -1, &e), 0);
    if (t->phase == 3)
        CHECK_INT(db_req_add(r, set, sizeof set - 1, &args, 1, &e), 0);
    db_submit(t->db, r);
}

static void test_turns(void)
{
    enum { N = 8, ROUNDS = 50 };
    static struct turns t[N];
    struct db *db = open_fresh("turns.db", NULL);
    int n_ended = 0;

    CHECK_INT(tell(db, "CREATE TABLE n(b INTEGER) STRICT"), 0);
    CHECK_INT(tell(db, "INSERT INTO n VALUES(0)"), 0);
    for (int i = 0; i < N; i++) {
        t[i] = (struct turns){.db = db, .phase = 1, .left = ROUNDS, .n_ended = &n_ended};
        db_req_init(&t[i].r, DB_BEGIN, on_turn);
        db_submit(db, &t[i].r);
    }
    for (int i = 0; n_ended < N; i++) {
        if (i % 10 == 0)
            CHECK_INT(tell(db, "UPDATE n SET b = b + 1000000"), 0);
        turn();
    }
    CHECK_INT(number(db, "SELECT b % 1000000 FROM n"), N * ROUNDS);
    close_test(db);
}

int main(void)
{
    uv_loop_init(&loop);
    test_basic();
    test_abort();
    test_dead();
    test_cursor();
    test_memory();
    test_turns();
    CHECK_INT(uv_loop_close(&loop), 0);
    test_folder_remove();
    return check_done();
}
