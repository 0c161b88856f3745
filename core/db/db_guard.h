/*
 * db_guard.h - what SQL may do on our connections: limits, the authorizer, and which statements are
 * cheap enough for the loop thread.
 */
#ifndef DB_GUARD_H
#define DB_GUARD_H

#include "db/db_conn.h"

/* Defensive mode, no extensions, no trusted schema, limits, authorizer. */
int db_guard_set(struct db_conn *c, struct err *e);

/* The kind of a statement just prepared. Sets c->slow_functions aside again. */
enum db_kind db_guard_kind(struct db_conn *c, sqlite3_stmt *st, const char *sql);

#endif
