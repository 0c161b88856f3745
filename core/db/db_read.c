/*
 * db_read.c - the readers: a few threads, each request on a read-only connection that nobody else
 * uses meanwhile. An iterator or a backup keeps its connection from its first request to its end.
 */
#include "db/db_hold.h"
#include "db/db_run.h"
#include "db/db_state.h"

/* An idle connection, or a new one. */
static struct db_conn *take_conn(struct db *db, struct err *e)
{
    struct db_conn *c;

    uv_mutex_lock(&db->lock);
    c = db->idle;
    if (c != NULL) {
        db->idle = c->next;
        db->n_idle--;
    }
    uv_mutex_unlock(&db->lock);
    if (c != NULL || db_conn_open(&c, db->path, &db->opt, DB_READER, e) != 0)
        return c;
    c->closing = &db->closing;
    return c;
}

static void give_conn(struct db *db, struct db_conn *c)
{
    uv_mutex_lock(&db->lock);
    if (db->n_idle < db->opt.n_readers) {
        c->next = db->idle;
        db->idle = c;
        db->n_idle++;
        c = NULL;
    }
    uv_mutex_unlock(&db->lock);
    db_conn_close(c);
}

static void serve(struct db *db, struct db_req *r)
{
    struct db_hold *h = r->hold;
    struct db_conn *c = h != NULL ? h->conn : NULL;

    if (r->what == DB_OPEN) {
        r->status = db_open_first(db, &r->err);
        return;
    }
    if (c == NULL && !(h != NULL && h->is_over))
        c = take_conn(db, &r->err);
    if (c == NULL && !(h != NULL && h->is_over)) {
        r->status = -1;
        return;
    }
    uv_mutex_lock(&db->lock);
    if (h != NULL && !h->is_over)
        h->conn = c;
    db_run_begin(db, r, c);
    uv_mutex_unlock(&db->lock);
    if (r->what == DB_CALL)
        r->status = r->call(r, c, &r->err);
    else if (r->what == DB_QUERY)
        db_run_steps(r, c);
    else
        r->status = err_set(&r->err, ERR_AUTH, "this database was opened read-only");
    uv_mutex_lock(&db->lock);
    db_run_end(db, r);
    uv_mutex_unlock(&db->lock);
    if (h == NULL) {
        give_conn(db, c);
    } else if (h->is_over && c != NULL) {
        uv_mutex_lock(&db->lock);
        h->conn = NULL;
        uv_mutex_unlock(&db->lock);
        give_conn(db, c);
    }
}

void db_read_main(void *arg)
{
    struct db *db = arg;
    struct db_req *r;

    uv_mutex_lock(&db->lock);
    for (;;) {
        r = db_list_pop(&db->read_q);
        if (r != NULL) {
            r->state = REQ_RUNNING;
            uv_mutex_unlock(&db->lock);
            serve(db, r);
            db_run_count(r, 1);
            uv_mutex_lock(&db->lock);
            db_answer(db, r);
        } else if (atomic_load(&db->closing)) {
            break;
        } else {
            db->n_readers_idle++;
            uv_cond_wait(&db->read_cond, &db->lock);
            db->n_readers_idle--;
        }
    }
    db->n_readers_live--;
    uv_cond_signal(&db->write_cond); /* the writer leaves after the readers */
    uv_async_send(&db->async);
    uv_mutex_unlock(&db->lock);
}
