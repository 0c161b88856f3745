/*
 * db.c - the loop's side of a database: open, submit, cancel, deliver, close. The threads are in
 * db_write.c and db_read.c, what runs on the loop in db_inline.c; see db.h for who runs what.
 */
#include "db/db.h"

#include <string.h>

#include "base/mem.h"
#include "db/db_hold.h"
#include "db/db_inline.h"
#include "db/db_state.h"

#define READERS_MAX 16

/* ---- lists and answers ---- */

void db_list_add(struct db_list *l, struct db_req *r)
{
    r->list = l;
    r->next = NULL;
    r->prev = l->last;
    if (l->last != NULL)
        l->last->next = r;
    else
        l->first = r;
    l->last = r;
}

void db_list_remove(struct db_req *r)
{
    struct db_list *l = r->list;

    if (r->prev != NULL)
        r->prev->next = r->next;
    else
        l->first = r->next;
    if (r->next != NULL)
        r->next->prev = r->prev;
    else
        l->last = r->prev;
    r->list = NULL;
}

struct db_req *db_list_pop(struct db_list *l)
{
    struct db_req *r = l->first;

    if (r != NULL)
        db_list_remove(r);
    return r;
}

void db_run_begin(struct db *db, struct db_req *r, struct db_conn *c)
{
    r->state = REQ_RUNNING;
    r->conn = c;
    if (r->list != NULL)
        db_list_remove(r);
    db_list_add(&db->running, r);
    if (c != NULL)
        db_conn_begin(c, &r->cancel, r->queued_ns);
}

void db_run_end(struct db *db, struct db_req *r)
{
    (void)db;
    if (r->conn != NULL)
        r->conn->cancel = NULL;
    r->conn = NULL;
    if (r->list != NULL)
        db_list_remove(r);
}

void db_answer(struct db *db, struct db_req *r)
{
    r->state = REQ_DONE;
    db_list_add(&db->done_q, r);
    uv_async_send(&db->async);
}

/* Under lock. */
static void refuse(struct db *db, struct db_req *r, enum err_code code, const char *why)
{
    r->status = err_set(&r->err, code, "%s", why);
    db_answer(db, r);
}

static void refuse_all(struct db *db, struct db_list *l)
{
    for (struct db_req *r; (r = db_list_pop(l)) != NULL;)
        refuse(db, r, ERR_CANCELLED, "the database was closed");
}

/* ---- requests ---- */

void db_req_init(struct db_req *req, enum db_what what, void (*done)(struct db_req *))
{
    memset(req, 0, sizeof *req);
    req->what = what;
    req->done = done;
}

int db_req_add(struct db_req *req, const char *sql, size_t bytes, const struct db_args *args,
               int64_t expect, struct err *e)
{
    struct db_step *s = db_arena_take(&req->arena, sizeof *s);

    if (s == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a statement");
    memset(s, 0, sizeof *s);
    s->sql = db_arena_copy(&req->arena, sql, bytes);
    s->bytes = bytes;
    s->expect = expect;
    if (s->sql == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a statement of %zu bytes", bytes);
    if (args != NULL && db_arena_args(&req->arena, &s->args, args, e) != 0)
        return -1;
    if (req->last != NULL)
        req->last->next = s;
    else
        req->steps = s;
    req->last = s;
    req->n_steps++;
    return 0;
}

void db_req_deinit(struct db_req *req)
{
    for (struct db_step *s = req->steps; s != NULL; s = s->next)
        db_rows_deinit(&s->rows);
    db_arena_deinit(&req->arena);
    req->steps = req->last = NULL;
    req->n_steps = 0;
}

/* ---- threads ---- */

/* Under lock. -1: there is no thread to serve and none could be started. */
static int wake_writer(struct db *db)
{
    if (!db->has_writer) {
        if (uv_thread_create(&db->writer_thread, db_write_main, db) != 0)
            return -1;
        db->has_writer = 1;
    }
    uv_cond_signal(&db->write_cond);
    return 0;
}

static int wake_reader(struct db *db)
{
    if ((db->n_readers_idle == 0 || db->read_q.first != NULL) &&
        db->n_readers < db->opt.n_readers &&
        uv_thread_create(&db->readers[db->n_readers], db_read_main, db) == 0) {
        db->n_readers++;
        db->n_readers_live++;
    }
    uv_cond_signal(&db->read_cond);
    return db->n_readers > 0 ? 0 : -1;
}

/* ---- submit, cancel ---- */

void db_submit(struct db *db, struct db_req *req)
{
    struct db_list *q = &db->write_q;
    int started;

    req->db = db;
    req->status = 0;
    req->err.code = ERR_NONE;
    req->queued_ns = uv_hrtime();
    atomic_store(&req->cancel, 0);
    if (db->n_pending++ == 0)
        uv_ref((uv_handle_t *)&db->async);
    if (req->hold != NULL ? !req->hold->is_on_writer
                          : req->tx == 0 && !db->is_memory && !req->is_for_writer &&
                                (req->what == DB_CALL || db->opt.readonly ||
                                 (req->what == DB_QUERY && db_inline_reads(db, req->steps->sql, req->steps->bytes))))
        q = &db->read_q;
    uv_mutex_lock(&db->lock);
    if (atomic_load(&db->closing)) {
        refuse(db, req, ERR_INVALID, "this database is closed");
    } else if (db->opt.readonly && req->what != DB_QUERY && req->what != DB_CALL &&
               req->what != DB_OPEN) {
        refuse(db, req, ERR_AUTH, "this database was opened read-only");
    } else if (req->tx != 0 && req->tx != db->tx) {
        refuse(db, req, ERR_INVALID, "this transaction is over");
    } else {
        req->state = REQ_QUEUED;
        started = q == &db->read_q ? wake_reader(db) : wake_writer(db);
        if (started != 0)
            refuse(db, req, ERR_NOMEM, "no thread could be started for the database");
        else
            db_list_add(req->tx != 0 ? &db->tx_q : q, req);
    }
    uv_mutex_unlock(&db->lock);
}

/* Under lock. */
static void cancel_one(struct db *db, struct db_req *req)
{
    atomic_store(&req->cancel, 1);
    if (req->state == REQ_QUEUED) {
        db_list_remove(req);
        refuse(db, req, ERR_CANCELLED, "the request was cancelled");
    } else if (req->state == REQ_RUNNING && req->conn != NULL && atomic_load(&req->conn->n_parked) == 0) {
        sqlite3_interrupt(req->conn->db); /* it would hit the parked statements of others too */
    }
}

void db_cancel(struct db_req *req)
{
    struct db *db = req->db;

    uv_mutex_lock(&db->lock);
    cancel_one(db, req);
    uv_mutex_unlock(&db->lock);
}

void db_interrupt(struct db *db)
{
    uv_mutex_lock(&db->lock);
    for (struct db_req *r = db->running.first; r != NULL; r = r->next)
        cancel_one(db, r);
    uv_mutex_unlock(&db->lock);
}

void db_tx_abort(struct db *db, uint64_t tx)
{
    if (tx == 0)
        return;
    uv_mutex_lock(&db->lock);
    if (db->tx == tx && !db->tx_abort) {
        db->tx_abort = 1;
        for (struct db_req *r = db->running.first; r != NULL; r = r->next)
            if (r->tx == tx)
                cancel_one(db, r);
        uv_cond_signal(&db->write_cond);
    }
    uv_mutex_unlock(&db->lock);
}

/* ---- deliver ---- */

void db_unref(struct db *db)
{
    if (--db->n_refs > 0)
        return;
    uv_cond_destroy(&db->read_cond);
    uv_cond_destroy(&db->write_cond);
    uv_mutex_destroy(&db->lock);
    mem_free(db->readers);
    mem_free(db->path);
    mem_free(db);
}

static void on_closed(uv_handle_t *h)
{
    struct db *db = h->data;

    /* holds that were let go while the threads ended; nobody will look at them again */
    for (struct db_hold *hold = db->holds, *next; hold != NULL; hold = next) {
        next = hold->next;
        if (hold->is_closing)
            db_hold_forget(hold);
    }
    db_unref(db);
}

static void on_turn_closed(uv_handle_t *h) { db_unref(h->data); }

/* All threads are gone, or say so any moment now. */
static void finish(struct db *db)
{
    if (db->has_writer)
        uv_thread_join(&db->writer_thread);
    for (int i = 0; i < db->n_readers; i++)
        uv_thread_join(&db->readers[i]);
    db_idle_close(db); /* where no writer was there to do it */
    db_conn_close(db->writer);
    db->writer = NULL;
    uv_close((uv_handle_t *)&db->turn_end, on_turn_closed);
    uv_close((uv_handle_t *)&db->async, on_closed);
}

static void on_async(uv_async_t *h)
{
    struct db *db = h->data;
    struct db_req *r;
    int is_gone;

    for (;;) {
        uv_mutex_lock(&db->lock);
        r = db_list_pop(&db->done_q);
        is_gone = r == NULL && atomic_load(&db->closing) && db->n_readers_live == 0 &&
                  (!db->has_writer || db->writer_gone);
        uv_mutex_unlock(&db->lock);
        if (r == NULL)
            break;
        if (r->what == DB_BEGIN && r->status == 0 && atomic_load(&r->cancel)) {
            db_tx_abort(db, r->tx);
            r->status = err_set(&r->err, ERR_CANCELLED, "the transaction was cancelled");
        }
        if (r->what == DB_OPEN)
            db->is_open = r->status == 0;
        if (--db->n_pending == 0 && !db->is_closed)
            uv_unref((uv_handle_t *)h);
        r->state = REQ_NEW;
        r->done(r); /* may submit, may close, may free the request */
    }
    if (is_gone && !uv_is_closing((uv_handle_t *)h))
        finish(db);
}

/* ---- open, close ---- */

static int db_new(struct db **out, uv_loop_t *loop, const char *path, const struct db_opt *opt,
                  struct err *e)
{
    struct db *db = mem_zero(1, sizeof *db);
    int rc;

    *out = NULL;
    if (db == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a database");
    db->is_memory = strcmp(path, ":memory:") == 0;
    if (db->is_memory && opt->readonly) {
        mem_free(db);
        return err_set(e, ERR_INVALID, "a database in memory cannot be read-only");
    }
    db->opt = *opt;
    if (db->opt.n_readers < 1 || db->opt.n_readers > READERS_MAX)
        db->opt.n_readers = db->opt.n_readers < 1 ? 1 : READERS_MAX;
    db->loop = loop;
    db->n_refs = 2; /* the two handles */
    db->path = mem_dup(path);
    db->readers = mem_zero((size_t)db->opt.n_readers, sizeof *db->readers);
    db_inline_init(db);
    if (db->path == NULL || db->readers == NULL) {
        err_set(e, ERR_NOMEM, "no memory for a database");
        goto fail;
    }
    if ((rc = uv_mutex_init(&db->lock)) != 0)
        goto fail_uv;
    if ((rc = uv_cond_init(&db->write_cond)) != 0)
        goto fail_lock;
    if ((rc = uv_cond_init(&db->read_cond)) != 0)
        goto fail_write;
    if ((rc = uv_async_init(loop, &db->async, on_async)) != 0)
        goto fail_read;
    db->async.data = db;
    uv_prepare_init(loop, &db->turn_end); /* cannot fail */
    db->turn_end.data = db;
    uv_unref((uv_handle_t *)&db->async);
    *out = db;
    return 0;
fail_read:
    uv_cond_destroy(&db->read_cond);
fail_write:
    uv_cond_destroy(&db->write_cond);
fail_lock:
    uv_mutex_destroy(&db->lock);
fail_uv:
    err_set(e, ERR_IO, "database %s: %s", path, uv_strerror(rc));
fail:
    mem_free(db->readers);
    mem_free(db->path);
    mem_free(db);
    return -1;
}

int db_open_first(struct db *db, struct err *e)
{
    struct db_conn *c;

    if (db_conn_open(&c, db->path, &db->opt, db->opt.readonly ? DB_READER : DB_WRITER, e) != 0)
        return -1;
    c->closing = &db->closing;
    uv_mutex_lock(&db->lock);
    db->is_wal = c->is_wal;
    if (db->opt.readonly) {
        c->next = db->idle;
        db->idle = c;
        db->n_idle++;
    } else {
        db->writer = c;
    }
    uv_mutex_unlock(&db->lock);
    return 0;
}

int db_open(struct db **out, uv_loop_t *loop, const char *path, const struct db_opt *opt,
            struct db_req *req, struct err *e)
{
    if (db_new(out, loop, path, opt, e) != 0)
        return -1;
    req->what = DB_OPEN;
    db_submit(*out, req);
    return 0;
}

int db_open_wait(struct db **out, uv_loop_t *loop, const char *path, const struct db_opt *opt,
                 struct err *e)
{
    if (db_new(out, loop, path, opt, e) != 0)
        return -1;
    if (db_open_first(*out, e) == 0) {
        (*out)->is_open = 1;
        return 0;
    }
    db_close(*out);
    *out = NULL;
    return -1;
}

void db_close(struct db *db)
{
    if (db == NULL || db->is_closed)
        return;
    db->is_closed = 1;
    db_inline_close(db);
    uv_ref((uv_handle_t *)&db->async); /* the loop waits for the threads */
    uv_mutex_lock(&db->lock);
    atomic_store(&db->closing, 1);
    refuse_all(db, &db->write_q);
    refuse_all(db, &db->tx_q);
    refuse_all(db, &db->read_q);
    for (struct db_req *r = db->running.first; r != NULL; r = r->next)
        cancel_one(db, r);
    uv_cond_broadcast(&db->write_cond);
    uv_cond_broadcast(&db->read_cond);
    uv_async_send(&db->async);
    uv_mutex_unlock(&db->lock);
}

const char *db_path(const struct db *db) { return db->path; }
