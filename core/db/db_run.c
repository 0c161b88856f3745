/*
 * db_run.c - one request on one connection; see the header.
 */
#include "db/db_run.h"

#include "db/db_state.h"
#include "db/db_stats.h"

static int run_step(struct db_req *r, struct db_conn *c, struct db_step *s)
{
    struct db_rows *rows = r->is_unwanted ? NULL : &s->rows;

    db_rows_deinit(&s->rows); /* of an earlier try */
    db_rows_init(&s->rows, c->opt.rows_max_bytes);
    if (atomic_load(&r->cancel))
        return err_set(&r->err, ERR_CANCELLED, "the request was cancelled");
    if (db_stmt_run(c, s->sql, s->bytes, &s->args, rows, &s->done, &r->err) != 0)
        return -1;
    if (s->expect >= 0 && s->done.changes != s->expect)
        return err_set(&r->err, ERR_NOTFOUND, "%lld rows were changed, %lld expected, by the SQL: "
                       "%.*s", (long long)s->done.changes, (long long)s->expect, DB_EXCERPT,
                       s->sql);
    return 0;
}

int db_run_steps(struct db_req *r, struct db_conn *c)
{
    int i = 1;

    r->status = 0;
    for (struct db_step *s = r->steps; s != NULL && r->status == 0; s = s->next, i++) {
        r->status = run_step(r, c, s);
        if (r->status != 0 && r->n_steps > 1)
            err_wrap(&r->err, "statement %d", i);
    }
    return r->status;
}

int db_run_saved(struct db_req *r, struct db_conn *c)
{
    r->status = db_conn_own(c, "SAVEPOINT steps", &r->err);
    if (r->status != 0)
        return -1;
    if (db_run_steps(r, c) != 0) {
        if (!sqlite3_get_autocommit(c->db)) /* else SQLite has undone everything already */
            db_conn_own(c, "ROLLBACK TO steps; RELEASE steps", NULL);
        return -1;
    }
    r->status = db_conn_own(c, "RELEASE steps", &r->err);
    return r->status;
}

int db_run_script(struct db_req *r, struct db_conn *c)
{
    r->status = r->n_steps == 1 ? db_stmt_script(c, r->steps->sql, r->steps->bytes, &r->err)
                                : err_set(&r->err, ERR_INVALID, "a script is one text");
    return r->status;
}

void db_run_count(const struct db_req *r, int is_read)
{
    db_stats_time(is_read ? DB_STATS_READ : DB_STATS_WRITE, uv_hrtime() - r->queued_ns,
                  r->status != 0 ? r->err.code : ERR_NONE);
}
