/*
 * db_inline.h - statements that run on the loop thread, at once. db_inline itself is in db.h.
 *
 * The kernel's file locks are most of the price of a look-up by key. So from the second look-up in one
 * turn of the loop on, the read transaction stays open until the turn ends, which costs two locks for all
 * of them. A commit by anybody, in this process or another, changes the head of the log's index in
 * shared memory; it is compared before each look-up, and a new transaction begun when it has moved.
 * So a look-up always sees every commit that was acknowledged before it.
 */
#ifndef DB_INLINE_H
#define DB_INLINE_H

#include "db/db.h"

void db_inline_init(struct db *db);
void db_inline_close(struct db *db); /* may run twice */

/* Whether a statement only reads, so that a reader may have it. What cannot be told is "no": the
 * writer will know. */
int db_inline_reads(struct db *db, const char *sql, size_t bytes);

#endif
