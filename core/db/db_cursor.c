/*
 * db_cursor.c - rows in batches; see the header.
 */
#include "db/db_cursor.h"

#include <string.h>

#include "base/mem.h"

#define BATCH_BYTES (1u << 20)

static void end(struct db_hold *h, struct db_conn *c)
{
    struct db_cursor *cur = (struct db_cursor *)h;

    if (cur->stmt != NULL) {
        db_stmt_give(c, cur->stmt);
        atomic_fetch_sub(&c->n_parked, 1);
    }
    cur->stmt = NULL;
}

static void release(struct db_hold *h)
{
    struct db_cursor *cur = (struct db_cursor *)h;

    db_req_deinit(&h->req);
    db_rows_deinit(&cur->rows);
    db_arena_deinit(&cur->arena);
    mem_free(cur);
}

int db_cursor_new(struct db_cursor **out, struct db *db, uint64_t tx, const char *sql,
                  size_t bytes, const struct db_args *args, struct err *e)
{
    struct db_cursor *cur = mem_zero(1, sizeof *cur);

    *out = NULL;
    if (cur == NULL)
        return err_set(e, ERR_NOMEM, "no memory for an iterator");
    cur->hold.end = end;
    cur->hold.release = release;
    cur->bytes = bytes;
    cur->sql = db_arena_copy(&cur->arena, sql, bytes);
    if (cur->sql == NULL)
        err_set(e, ERR_NOMEM, "no memory for a statement of %zu bytes", bytes);
    if (cur->sql == NULL || db_arena_args(&cur->arena, &cur->args, args, e) != 0 ||
        db_hold_init(&cur->hold, db, tx, e) != 0) {
        db_arena_deinit(&cur->arena);
        mem_free(cur);
        return -1;
    }
    *out = cur;
    return 0;
}

/* Thread. The statement stays open between batches, and with it its snapshot. */
static int fetch(struct db_req *req, struct db_conn *c, struct err *e)
{
    struct db_cursor *cur = (struct db_cursor *)req->hold;
    int rc = 0;

    if (cur->hold.is_over)
        return err_set(e, ERR_INVALID, "the transaction or database of this iterator is over");
    if (cur->stmt == NULL) {
        cur->stmt = db_stmt_take(c, cur->sql, cur->bytes, e);
        if (cur->stmt == NULL)
            return -1;
        atomic_fetch_add(&c->n_parked, 1);
        if (cur->stmt->kind == DB_WRITES)
            rc = err_set(e, ERR_INVALID, "an iterator is for statements that only read");
        if (rc == 0)
            rc = db_stmt_bind(c, cur->stmt, &cur->args, e);
    }
    if (rc == 0)
        rc = db_stmt_columns(cur->stmt, &cur->rows, e);
    while (rc == 0 && cur->rows.n_rows < cur->n_max && cur->rows.bytes < BATCH_BYTES) {
        rc = db_stmt_step(c, cur->stmt, e);
        if (rc == 0) {
            cur->is_at_end = 1;
            break;
        }
        if (rc == 1)
            rc = db_stmt_row(cur->stmt, &cur->rows, e);
    }
    if (rc != 0 || cur->is_at_end)
        end(&cur->hold, c);
    return rc;
}

static void on_done(struct db_hold *h)
{
    struct db_cursor *cur = (struct db_cursor *)h;

    if (h->req.status != 0) /* it cannot be taken up again */
        cur->is_at_end = 1;
    cur->done(cur);
}

int db_cursor_next(struct db_cursor *cur, size_t n_max, void (*done)(struct db_cursor *),
                   struct err *e)
{
    db_rows_clear(&cur->rows);
    cur->n_max = n_max > 0 ? n_max : 1;
    cur->done = done;
    return db_hold_call(&cur->hold, fetch, on_done, e);
}

void db_cursor_close(struct db_cursor *cur)
{
    if (cur != NULL)
        db_hold_close(&cur->hold);
}
