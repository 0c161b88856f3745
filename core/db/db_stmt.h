/*
 * db_stmt.h - prepared statements of one connection: the cache, binding, stepping, running.
 *
 * Used by the thread that holds the connection.
 */
#ifndef DB_STMT_H
#define DB_STMT_H

#include "db/db_conn.h"

/*
 * A prepared statement from the cache, marked in use; several statements in one text, or none, are
 * `invalid`. Borrowed until db_stmt_give. What the caller binds is cleared there.
 */
struct db_stmt *db_stmt_take(struct db_conn *c, const char *sql, size_t bytes, struct err *e);
void db_stmt_give(struct db_conn *c, struct db_stmt *s);

/* Binds without copying: the texts must stay until the statement is given back. */
int db_stmt_bind(struct db_conn *c, struct db_stmt *s, const struct db_args *args, struct err *e);

/* One step: 1 = a row, 0 = done, -1 = error. */
int db_stmt_step(struct db_conn *c, struct db_stmt *s, struct err *e);

/* Prepares `rows` for the columns of s, and copies its present row into them. */
int db_stmt_columns(struct db_stmt *s, struct db_rows *rows, struct err *e);
int db_stmt_row(struct db_stmt *s, struct db_rows *rows, struct err *e);

struct db_done {
    int64_t changes, last_id; /* last_id is 0 when nothing was inserted */
};

/* Take, bind, step to the end, give. rows NULL: they are thrown away. done NULL is fine. */
int db_stmt_run(struct db_conn *c, const char *sql, size_t bytes, const struct db_args *args,
                struct db_rows *rows, struct db_done *done, struct err *e);

/* Runs every statement of a text, no arguments, rows thrown away; stops at the first error. */
int db_stmt_script(struct db_conn *c, const char *sql, size_t bytes, struct err *e);

void db_stmt_free(struct db_stmt *s); /* db_conn_close does it for all */

#endif
