/*
 * db_hold.h - what keeps a connection of its own between two requests: iterators and backups.
 *
 * One request at a time; closing is never waited for. The hold may outlive its database. Loop thread,
 * but for `call` and `end`. L: touched by the loop thread only.
 */
#ifndef DB_HOLD_H
#define DB_HOLD_H

#include "db/db.h"

/* Something that keeps a connection between requests: an iterator, a backup. First member of it. */
struct db_hold {
    struct db *db;
    uint64_t tx;
    int is_on_writer;
    struct db_conn *conn; /* of the thread that runs; NULL before the first request and at the end */
    int is_over;          /* the same; its transaction or database has ended */
    struct db_req req;
    int is_running, is_closing; /* L */
    void (*done)(struct db_hold *);                    /* L: a request ended; see req */
    void (*end)(struct db_hold *, struct db_conn *);   /* thread: let go of the connection */
    void (*release)(struct db_hold *);                 /* L: frees it */
    struct db_hold *next, *prev;
};

/* Joins the database. tx: 0, or the transaction whose connection it uses. `busy` when too many are
 * open. The caller has zeroed the hold and set end and release. */
int db_hold_init(struct db_hold *h, struct db *db, uint64_t tx, struct err *e);

/* Runs req.call on a thread; done comes as for any request. One at a time. -1 with `invalid`, and no
 * done, when the database was closed. */
int db_hold_call(struct db_hold *h, int (*call)(struct db_req *, struct db_conn *, struct err *),
                 void (*done)(struct db_hold *), struct err *e);

/* Cancels what runs (its done still comes), lets go of the connection, frees. Once. */
void db_hold_close(struct db_hold *h);

/* For db.c, when no thread is left. */
void db_hold_forget(struct db_hold *h);

#endif
