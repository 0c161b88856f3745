/*
 * db_hold.c - iterators and backups keep their connection; see the header.
 */
#include "db/db_hold.h"

#include "db/db_state.h"

int db_hold_init(struct db_hold *h, struct db *db, uint64_t tx, struct err *e)
{
    int rc = 0;

    if (db->is_closed)
        return err_set(e, ERR_INVALID, "this database is closed");
    uv_mutex_lock(&db->lock);
    if (db->n_holds >= db->opt.n_cursors)
        rc = err_set(e, ERR_BUSY, "%d iterators and backups of this database are open, no more "
                     "are allowed: close one", db->n_holds);
    if (rc == 0) {
        h->db = db;
        h->tx = tx;
        h->is_on_writer = tx != 0 || db->is_memory;
        h->next = db->holds;
        h->prev = NULL;
        if (db->holds != NULL)
            db->holds->prev = h;
        db->holds = h;
        db->n_holds++;
        db->n_refs++;
    }
    uv_mutex_unlock(&db->lock);
    return rc;
}

static void take_out(struct db_hold *h)
{
    struct db *db = h->db;

    uv_mutex_lock(&db->lock);
    if (h->prev != NULL)
        h->prev->next = h->next;
    else
        db->holds = h->next;
    if (h->next != NULL)
        h->next->prev = h->prev;
    db->n_holds--;
    uv_mutex_unlock(&db->lock);
}

void db_hold_forget(struct db_hold *h)
{
    struct db *db = h->db;

    take_out(h);
    h->release(h);
    db_unref(db);
}

static int call_end(struct db_req *req, struct db_conn *c, struct err *e)
{
    struct db_hold *h = req->hold;

    (void)c, (void)e;
    if (!h->is_over && h->conn != NULL)
        h->end(h, h->conn);
    h->is_over = 1;
    return 0;
}

static void on_ended(struct db_req *req)
{
    struct db_hold *h = req->hold;

    /* refused because the database is closing: its last thread ends the hold, db.c frees it */
    if (req->status != 0 && h->db->is_closed)
        h->is_running = 0;
    else
        db_hold_forget(h);
}

static void end_it(struct db_hold *h)
{
    struct db_req *req = &h->req;

    db_req_deinit(req);
    db_req_init(req, DB_CALL, on_ended);
    req->hold = h;
    req->tx = h->tx;
    req->call = call_end;
    h->is_running = 1;
    db_submit(h->db, req);
}

static void on_done(struct db_req *req)
{
    struct db_hold *h = req->hold;

    h->is_running = 0;
    h->done(h); /* may call again, or close */
    if (h->is_closing && !h->is_running)
        end_it(h);
}

int db_hold_call(struct db_hold *h, int (*call)(struct db_req *, struct db_conn *, struct err *),
                 void (*done)(struct db_hold *), struct err *e)
{
    if (h->db->is_closed)
        return err_set(e, ERR_INVALID, "this database is closed");
    db_req_deinit(&h->req);
    db_req_init(&h->req, DB_CALL, on_done);
    h->req.hold = h;
    h->req.tx = h->tx;
    h->req.call = call;
    h->done = done;
    h->is_running = 1;
    db_submit(h->db, &h->req);
    return 0;
}

void db_hold_close(struct db_hold *h)
{
    struct db *db = h->db;

    h->is_closing = 1;
    if (h->is_running) {
        db_cancel(&h->req); /* on_done goes on from there */
        return;
    }
    if (db->is_closed && uv_is_closing((uv_handle_t *)&db->async))
        db_hold_forget(h); /* no thread is left; on_closed may be still to come, and finds it gone */
    else if (!db->is_closed)
        end_it(h);
    /* else the threads are on their way out: on_closed frees it */
}
