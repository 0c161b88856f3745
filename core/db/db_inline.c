/*
 * db_inline.c - statements on the loop thread; see the header, and db.h for which ones.
 */
#include "db/db_inline.h"

#include <string.h>

#include "db/db_state.h"
#include "db/db_stats.h"

#define STEPS_MAX 2000                 /* VM steps of one statement */
#define TIME_MAX_NS (2u * 1000 * 1000) /* and its time, looked at every 250 steps */
#define BYTES_MAX (256u << 10)         /* and its result */
#define CUTS_MAX 3                     /* so many cuts in a row: not here any more */
#define CUTS_AGAIN 256                 /* but the n-th time it may try again */
#define WAL_REGION_BYTES 32768         /* of SQLite's shared memory; a constant of the file format */

/* ---- the snapshot of a turn ---- */

static void on_turn_end(uv_prepare_t *h);

void db_inline_init(struct db *db)
{
    db_rows_init(&db->inline_rows, BYTES_MAX);
}

/*
 * The head of the WAL index: 48 bytes with change counter, size, salts and checksum (SQLite's
 * walformat.html, "The WAL-Index File Format"), mapped by the connection and valid while it is open.
 */
static const void *wal_head(struct db_conn *c)
{
    sqlite3_file *file = NULL;
    void volatile *region = NULL;

    if (sqlite3_file_control(c->db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK ||
        file == NULL || file->pMethods == NULL || file->pMethods->iVersion < 2 ||
        file->pMethods->xShmMap == NULL ||
        file->pMethods->xShmMap(file, 0, WAL_REGION_BYTES, 0, &region) != SQLITE_OK)
        return NULL;
    return (const void *)region;
}

static void read_head(const void *head, uint64_t *to)
{
    const uint64_t *p = head;

    for (int i = 0; i < 6; i++)
        to[i] = __atomic_load_n(&p[i], __ATOMIC_ACQUIRE);
}

static int head_moved(const struct db *db)
{
    uint64_t now[6];

    read_head(db->wal_head, now);
    return memcmp(now, db->wal_head_seen, sizeof now) != 0;
}

static void snapshot_end(struct db *db)
{
    if (!db->has_snapshot)
        return;
    db->has_snapshot = 0;
    if (!sqlite3_get_autocommit(db->inline_conn->db))
        db_conn_own(db->inline_conn, "COMMIT", NULL);
}

/* The transaction takes its snapshot at the first read behind BEGIN, so after the head was read. */
static void snapshot_begin(struct db *db)
{
    if (db->wal_head == NULL)
        db->wal_head = wal_head(db->inline_conn);
    if (db->wal_head == NULL)
        return;
    read_head(db->wal_head, db->wal_head_seen);
    db->has_snapshot = db_conn_own(db->inline_conn, "BEGIN", NULL) == 0;
}

/* Before each look-up. */
static void snapshot_use(struct db *db)
{
    if (db->has_snapshot && head_moved(db))
        snapshot_end(db);
    if (++db->n_turn_reads == 1)
        uv_prepare_start(&db->turn_end, on_turn_end);
    else if (!db->has_snapshot)
        snapshot_begin(db);
}

static void on_turn_end(uv_prepare_t *h)
{
    struct db *db = h->data;

    snapshot_end(db);
    db->n_turn_reads = 0;
    uv_prepare_stop(h);
}

/* ---- the connection ---- */

/* NULL if there can be none (yet). */
static struct db_conn *connection(struct db *db)
{
    int is_wal;
    struct err e;

    if (db->inline_conn == NULL && db->is_open && !db->is_inline_off && !db->is_closed) {
        db->is_inline_off = 1;
        uv_mutex_lock(&db->lock);
        is_wal = db->is_wal;
        uv_mutex_unlock(&db->lock);
        if (is_wal && db_conn_open(&db->inline_conn, db->path, &db->opt, DB_INLINE, &e) == 0)
            db->is_inline_off = 0;
    }
    return db->inline_conn;
}

void db_inline_close(struct db *db)
{
    if (db->inline_conn != NULL)
        snapshot_end(db);
    uv_prepare_stop(&db->turn_end);
    db_conn_close(db->inline_conn);
    db->inline_conn = NULL;
    db->wal_head = NULL;
    db_rows_deinit(&db->inline_rows);
}

static void budget(struct db_conn *c, uint64_t from_ns)
{
    c->stopped = ERR_NONE;
    c->steps_budget = c->steps_left = STEPS_MAX;
    c->inline_until_ns = from_ns + TIME_MAX_NS;
}

int db_inline_reads(struct db *db, const char *sql, size_t bytes)
{
    struct db_conn *c = connection(db);
    struct db_stmt *s;
    int reads;

    if (c == NULL)
        return 0;
    if (db->has_snapshot && head_moved(db)) /* the schema may have changed */
        snapshot_end(db);
    budget(c, uv_hrtime());
    s = db_stmt_take(c, sql, bytes, NULL);
    if (s == NULL)
        return 0;
    reads = s->kind == DB_READS || s->kind == DB_CHEAP;
    db_stmt_give(c, s);
    return reads;
}

/* ---- running ---- */

static int run(struct db_conn *c, struct db_stmt *s, const struct db_args *args, struct db_rows *r,
               struct err *e)
{
    int rc = db_stmt_bind(c, s, args, e);

    if (rc == 0)
        rc = db_stmt_columns(s, r, e);
    while (rc == 0 && (rc = db_stmt_step(c, s, e)) == 1)
        rc = db_stmt_row(s, r, e);
    return rc;
}

/* Too much for here: the statement will be done again by a reader. */
static void cut(struct db *db, struct db_stmt *s)
{
    int64_t n;

    s->n_cuts++;
    db_stmt_give(db->inline_conn, s);
    db_stats_cut();
    db_rows_clear(&db->inline_rows);
    snapshot_end(db);
    /* in case it was the reading of a changed schema that took so long */
    db_conn_number(db->inline_conn, "SELECT count(*) FROM sqlite_schema WHERE 0", &n, NULL);
}

int db_inline(struct db *db, const char *sql, size_t bytes, const struct db_args *args,
              struct db_rows **rows, struct err *e)
{
    struct db_conn *c = connection(db);
    struct db_stmt *s;
    uint64_t from;
    int rc;

    if (c == NULL)
        return 0;
    from = uv_hrtime();
    budget(c, from);
    snapshot_use(db);
    s = db_stmt_take(c, sql, bytes, NULL);
    if (s == NULL)
        return 0; /* the thread that gets it will say why */
    if (s->kind != DB_CHEAP || (s->n_cuts >= CUTS_MAX && ++s->n_cuts % CUTS_AGAIN != 0)) {
        db_stmt_give(c, s);
        return 0;
    }
    db_rows_clear(&db->inline_rows);
    rc = run(c, s, args, &db->inline_rows, e);
    if (rc != 0 && (e->code == ERR_LIMIT || e->code == ERR_BUSY)) {
        cut(db, s);
        return 0;
    }
    if (rc == 0)
        s->n_cuts = 0;
    db_stmt_give(c, s);
    db_stats_time(DB_STATS_INLINE, uv_hrtime() - from, rc == 0 ? ERR_NONE : e->code);
    *rows = &db->inline_rows;
    return rc == 0 ? 1 : -1;
}
