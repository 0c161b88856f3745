/*
 * db_backup.h - a copy of a database in use, made in slices.
 *
 * The copy is the state at its beginning, whatever is written meanwhile. It grows under `path.part`
 * and gets its name when it is whole and on the disk; a backup that is closed early leaves nothing.
 * Loop thread.
 */
#ifndef DB_BACKUP_H
#define DB_BACKUP_H

#include "db/db_hold.h"

struct db_backup {
    struct db_hold hold; /* first */
    /* the answer of the last slice, from done on; hold.req.status and .err say how it went */
    int n_done, n_total; /* pages */
    int is_complete;
    void *owner; /* the caller's */
    /* ours */
    char *path, *part;
    int n_pages;
    sqlite3 *to;
    sqlite3_backup *copy;
    void (*done)(struct db_backup *);
};

/* Owned by the caller until db_backup_close. A file of that name is replaced. Not for a database in
 * memory. `busy`, `nomem`, `unsupported`. */
int db_backup_new(struct db_backup **out, struct db *db, const char *path, struct err *e);

/* Copies n_pages more. One at a time, until is_complete. -1 as db_cursor_next. */
int db_backup_next(struct db_backup *b, int n_pages, void (*done)(struct db_backup *),
                   struct err *e);

/* Ends it, complete or not; never waits. NULL is fine. */
void db_backup_close(struct db_backup *b);

#endif
