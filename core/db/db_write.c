/*
 * db_write.c - the writer: one thread, one connection, requests in the order they came.
 *
 * Requests that wait together are put into one transaction (run_group). If that transaction breaks
 * as a whole - disk full at the commit, a RAISE(ROLLBACK) in one of them - each is run again alone,
 * so that nobody gets somebody else's error. A script's transaction has the connection for itself:
 * only tx_q is served until it ends, is aborted, or makes no request for tx_idle_ms.
 */
#include <string.h>

#include "base/mem.h"
#include "db/db_hold.h"
#include "db/db_run.h"
#include "db/db_state.h"
#include "db/db_stats.h"

#define GROUP_MAX 256

/* ---- the lock around each step ---- */

static void begin(struct db *db, struct db_req *r)
{
    uv_mutex_lock(&db->lock);
    db_run_begin(db, r, db->writer);
    uv_mutex_unlock(&db->lock);
}

/* Not answered yet: a group answers when it is committed. */
static void end(struct db *db, struct db_req *r)
{
    uv_mutex_lock(&db->lock);
    db_run_end(db, r);
    uv_mutex_unlock(&db->lock);
}

static void answer(struct db *db, struct db_req *r)
{
    db_run_count(r, 0);
    uv_mutex_lock(&db->lock);
    db_answer(db, r);
    uv_mutex_unlock(&db->lock);
}

/* ---- one request by itself ---- */

static int in_transaction(const struct db *db) { return !sqlite3_get_autocommit(db->writer->db); }

static void roll_back(struct db *db)
{
    if (in_transaction(db))
        db_conn_own(db->writer, "ROLLBACK", NULL);
}

/* run() in a transaction of its own. */
static void run_whole(struct db *db, struct db_req *r, int (*run)(struct db_req *, struct db_conn *))
{
    r->status = db_conn_own(db->writer, "BEGIN IMMEDIATE", &r->err);
    if (r->status != 0)
        return;
    if (run(r, db->writer) == 0)
        r->status = db_conn_own(db->writer, "COMMIT", &r->err);
    if (r->status != 0)
        roll_back(db);
}

static void run_alone(struct db *db, struct db_req *r)
{
    begin(db, r);
    if (r->what == DB_SCRIPT)
        run_whole(db, r, db_run_script);
    else if (r->n_steps == 1 && r->steps->expect < 0)
        db_run_steps(r, db->writer);
    else
        run_whole(db, r, db_run_steps);
    end(db, r);
}

/* ---- many in one transaction ---- */

static int is_groupable(const struct db_req *r)
{
    return r->what == DB_WRITE || r->what == DB_QUERY;
}

/* Prepares the statement of a single-statement request, to know whether it may join others. */
static int may_join(struct db *db, struct db_req *r)
{
    struct db_stmt *s;
    int joins;

    if (r->n_steps != 1)
        return r->n_steps > 1;
    s = db_stmt_take(db->writer, r->steps->sql, r->steps->bytes, NULL);
    if (s == NULL)
        return 0; /* run_alone finds the same error, and reports it */
    joins = s->kind == DB_WRITES;
    db_stmt_give(db->writer, s);
    return joins;
}

/* -1: the transaction is gone, everybody has to do it again. */
static int run_joined(struct db *db, struct db_req **list, int n)
{
    struct err e;

    if (db_conn_own(db->writer, "BEGIN IMMEDIATE", &e) != 0) { /* nobody would fare better alone */
        for (int i = 0; i < n; i++) {
            list[i]->err = e;
            list[i]->status = -1;
        }
        return 0;
    }
    for (int i = 0; i < n; i++) {
        struct db_req *r = list[i];
        begin(db, r);
        if (r->n_steps == 1 && r->steps->expect < 0)
            db_run_steps(r, db->writer); /* one statement undoes itself */
        else
            db_run_saved(r, db->writer);
        end(db, r);
        if (!in_transaction(db))
            return -1;
    }
    if (db_conn_own(db->writer, "COMMIT", NULL) != 0) {
        roll_back(db);
        return -1;
    }
    db_stats_commit(n);
    return 0;
}

/* `first` was popped; takes those behind it that may join. */
static void run_group(struct db *db, struct db_req *first)
{
    struct db_req *list[GROUP_MAX], *joined[GROUP_MAX];
    int n = 0, n_joined = 0;

    list[n++] = first;
    uv_mutex_lock(&db->lock);
    first->state = REQ_RUNNING;
    while (n < GROUP_MAX && db->write_q.first != NULL && is_groupable(db->write_q.first)) {
        list[n] = db_list_pop(&db->write_q);
        list[n++]->state = REQ_RUNNING;
    }
    uv_mutex_unlock(&db->lock);

    if (n > 1) {
        for (int i = 0; i < n; i++)
            if (may_join(db, list[i])) {
                joined[n_joined++] = list[i];
                list[i] = NULL;
            }
        /* the lock of the file is waited for as long as the one who came first may */
        db_conn_begin(db->writer, NULL, n_joined > 0 ? joined[0]->queued_ns : 0);
        if (n_joined == 1 || (n_joined > 0 && run_joined(db, joined, n_joined) != 0))
            for (int i = 0; i < n_joined; i++)
                run_alone(db, joined[i]);
        for (int i = 0; i < n_joined; i++)
            answer(db, joined[i]);
    }
    for (int i = 0; i < n; i++)
        if (list[i] != NULL) {
            run_alone(db, list[i]);
            answer(db, list[i]);
        }
}

/* ---- a script's transaction ---- */

/* Of one transaction; 0 = of all, when nobody else runs any more. */
static void end_holds(struct db *db, uint64_t tx)
{
    uv_mutex_lock(&db->lock); /* the loop may add others and take them out */
    for (struct db_hold *h = db->holds; h != NULL; h = h->next)
        if ((tx == 0 || h->tx == tx) && !h->is_over) {
            if (h->conn != NULL) {
                h->end(h, h->conn);
                if (h->conn != db->writer)
                    db_conn_close(h->conn);
                h->conn = NULL;
            }
            h->is_over = 1;
        }
    uv_mutex_unlock(&db->lock);
}

/* Commits or rolls back, and opens the queue for the others. */
static int end_tx(struct db *db, const char *sql, struct err *e)
{
    int rc;

    end_holds(db, db->tx);
    rc = in_transaction(db) ? db_conn_own(db->writer, sql, e) : 0;
    if (rc != 0)
        roll_back(db);
    uv_mutex_lock(&db->lock);
    db->tx = 0;
    db->tx_abort = 0;
    db->tx_depth = 0;
    db->tx_dead = 0;
    for (struct db_req *r; (r = db_list_pop(&db->tx_q)) != NULL;) {
        r->status = err_set(&r->err, ERR_CANCELLED, "the transaction was ended before this");
        db_answer(db, r);
    }
    uv_mutex_unlock(&db->lock);
    return rc;
}

static void start_tx(struct db *db, struct db_req *r)
{
    begin(db, r);
    r->status = db_conn_own(db->writer, r->is_deferred ? "BEGIN" : "BEGIN IMMEDIATE", &r->err);
    r->depth = 0;
    uv_mutex_lock(&db->lock);
    db_run_end(db, r);
    if (r->status == 0) {
        r->tx = db->tx = ++db->tx_last;
        db->tx_abort = 0;
    }
    uv_mutex_unlock(&db->lock);
    answer(db, r);
}

static int run_savepoint(struct db *db, struct db_req *r)
{
    static const char *const verbs[] = {"SAVEPOINT d%d", "RELEASE d%d",
                                        "ROLLBACK TO d%d; RELEASE d%d"};
    int which = r->what == DB_BEGIN ? 0 : r->what == DB_COMMIT ? 1 : 2;
    int depth = r->what == DB_BEGIN ? db->tx_depth + 1 : r->depth;
    char sql[80];

    if (r->what != DB_BEGIN && (depth < 1 || depth > db->tx_depth))
        return err_set(&r->err, ERR_INVALID, "this part of the transaction is over");
    sqlite3_snprintf((int)sizeof sql, sql, verbs[which], depth, depth);
    if (db_conn_own(db->writer, sql, &r->err) != 0)
        return -1;
    r->depth = depth;
    db->tx_depth = r->what == DB_BEGIN ? depth : depth - 1;
    return 0;
}

static void run_in_tx(struct db *db, struct db_req *r)
{
    int is_end = (r->what == DB_COMMIT || r->what == DB_ROLLBACK) && r->depth == 0;

    begin(db, r);
    if (db->tx_dead && r->what != DB_ROLLBACK && r->hold == NULL) {
        r->err = db->tx_err;
        r->status = err_wrap(&r->err, "the transaction was rolled back");
    } else if (db->tx_dead) {
        r->status = 0;
    } else if (is_end) {
        r->status = 0;
    } else if (r->what == DB_BEGIN || r->what == DB_COMMIT || r->what == DB_ROLLBACK) {
        r->status = run_savepoint(db, r);
    } else if (r->what == DB_CALL) {
        if (r->hold != NULL && r->hold->conn == NULL && !r->hold->is_over)
            r->hold->conn = db->writer;
        r->status = r->call(r, db->writer, &r->err);
    } else if (r->what == DB_SCRIPT) {
        db_conn_own(db->writer, "SAVEPOINT steps", NULL);
        if (db_run_script(r, db->writer) != 0 && in_transaction(db))
            db_conn_own(db->writer, "ROLLBACK TO steps", NULL);
        if (in_transaction(db))
            db_conn_own(db->writer, "RELEASE steps", NULL);
    } else if (r->n_steps == 1 && r->steps->expect < 0) {
        db_run_steps(r, db->writer);
    } else {
        db_run_saved(r, db->writer);
    }
    if (!in_transaction(db) && !db->tx_dead) { /* disk full, I/O error, RAISE(ROLLBACK) */
        db->tx_dead = 1;
        if (r->status != 0)
            db->tx_err = r->err;
        else
            err_set(&db->tx_err, ERR_IO, "by the database itself");
    }
    end(db, r);
    if (is_end) {
        int dead = r->status;
        r->status = end_tx(db, r->what == DB_COMMIT ? "COMMIT" : "ROLLBACK", dead ? NULL : &r->err);
        r->status = dead != 0 ? dead : r->status;
    }
    answer(db, r);
}

/* Under lock: waits for the next request of the transaction; the end of patience aborts it. */
static void wait_in_tx(struct db *db)
{
    uint64_t patience = (uint64_t)db->opt.tx_idle_ms * 1000000u;

    if (patience == 0)
        uv_cond_wait(&db->write_cond, &db->lock);
    else if (uv_cond_timedwait(&db->write_cond, &db->lock, patience) == UV_ETIMEDOUT &&
             db->tx_q.first == NULL)
        db->tx_abort = 1;
}

/* ---- the thread ---- */

static void serve(struct db *db, struct db_req *r)
{
    if (r->what == DB_OPEN) {
        r->status = db_open_first(db, &r->err);
        answer(db, r);
    } else if (db->writer == NULL) {
        r->status = err_set(&r->err, ERR_INVALID, "this database is not open");
        answer(db, r);
    } else if (r->what == DB_BEGIN) {
        start_tx(db, r);
    } else if (is_groupable(r)) {
        run_group(db, r);
    } else if (r->what == DB_SCRIPT) {
        run_alone(db, r);
        answer(db, r);
    } else if (r->what == DB_CALL) {
        begin(db, r);
        if (r->hold != NULL && r->hold->conn == NULL && !r->hold->is_over)
            r->hold->conn = db->writer;
        r->status = r->call(r, db->writer, &r->err);
        end(db, r);
        answer(db, r);
    } else {
        r->status = err_set(&r->err, ERR_INVALID, "there is no transaction to end");
        answer(db, r);
    }
}

void db_idle_close(struct db *db)
{
    end_holds(db, 0);
    while (db->idle != NULL) {
        struct db_conn *c = db->idle;
        db->idle = c->next;
        db_conn_close(c);
    }
    db->n_idle = 0;
}

void db_write_main(void *arg)
{
    struct db *db = arg;
    struct db_req *r;

    uv_mutex_lock(&db->lock);
    for (;;) {
        if (db->tx != 0 && (db->tx_abort || atomic_load(&db->closing))) {
            uv_mutex_unlock(&db->lock);
            db_stats_abort();
            end_tx(db, "ROLLBACK", NULL);
        } else if ((r = db_list_pop(db->tx != 0 ? &db->tx_q : &db->write_q)) != NULL) {
            r->state = REQ_RUNNING;
            int in_tx = db->tx != 0;
            uv_mutex_unlock(&db->lock);
            if (in_tx)
                run_in_tx(db, r);
            else
                serve(db, r);
        } else if (atomic_load(&db->closing) && db->n_readers_live == 0) {
            break;
        } else {
            if (db->tx != 0)
                wait_in_tx(db);
            else
                uv_cond_wait(&db->write_cond, &db->lock);
            continue;
        }
        uv_mutex_lock(&db->lock);
    }
    uv_mutex_unlock(&db->lock);
    db_idle_close(db);
    db_conn_close(db->writer); /* last of all, so that it tidies up the log */
    uv_mutex_lock(&db->lock);
    db->writer = NULL;
    db->writer_gone = 1;
    uv_async_send(&db->async);
    uv_mutex_unlock(&db->lock);
}
