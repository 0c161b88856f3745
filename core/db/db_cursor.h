/*
 * db_cursor.h - a query whose rows come in batches, so that memory stays bounded whatever it finds.
 *
 * Reads one snapshot from its first batch to its end. Loop thread.
 */
#ifndef DB_CURSOR_H
#define DB_CURSOR_H

#include "db/db_hold.h"

struct db_cursor {
    struct db_hold hold; /* first */
    /* the answer of the last request, from done on; hold.req.status and .err say how it went */
    struct db_rows rows;
    int is_at_end; /* no more rows behind these */
    void *owner;   /* the caller's */
    /* ours */
    struct db_arena arena;
    struct db_args args;
    char *sql;
    size_t bytes;
    size_t n_max;
    struct db_stmt *stmt;
    void (*done)(struct db_cursor *);
};

/* Owned by the caller until db_cursor_close. Nothing runs yet. `busy`, `nomem`. */
int db_cursor_new(struct db_cursor **out, struct db *db, uint64_t tx, const char *sql,
                  size_t bytes, const struct db_args *args, struct err *e);

/* Fetches the next batch, at most n_max rows and about 1 MiB. One at a time. -1 with `invalid`, and
 * no done, when the database was closed. */
int db_cursor_next(struct db_cursor *cur, size_t n_max, void (*done)(struct db_cursor *),
                   struct err *e);

/* Cancels what runs, whose done still comes, and frees when that is over. Never waits. */
void db_cursor_close(struct db_cursor *cur); /* NULL is fine */

#endif
