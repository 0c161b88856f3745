/*
 * db.h - SQLite for a program that must not block: requests go in on the loop thread, their `done`
 * comes back there, and everything that can wait for a disk or a lock happens on threads.
 *
 * Who runs what:
 *   inline  A statement that only reads, on a WAL database, and for which the planner reaches every
 *           table by a key, runs on the loop thread at once (db_inline). It is cut off after 2,000
 *           VM steps, 2 ms or 256 KiB and then done again by a reader; cut off three times in a
 *           row, it goes to the readers from the start. A hand-over to a thread costs more than
 *           such a read.
 *   readers Everything else that only reads: a few threads, started when needed, each request on a
 *           read-only connection of its own. Iterators and backups keep theirs between requests.
 *   writer  One thread, one connection, requests in the order they came. Writes that wait together
 *           share one transaction and one fsync, each behind a savepoint of its own; an error
 *           undoes only the request it belongs to. db_begin gives the connection to one transaction
 *           until its end; the other writers wait in the queue, without blocking anybody.
 * An in-memory database has one connection, so all its requests go to the writer.
 *
 * A request is embedded in the caller's operation. `done` is called exactly once, on the loop
 * thread, never from inside db_submit, also for a cancelled one; until then the request must stay.
 * All functions are for the loop thread.
 */
#ifndef DB_DB_H
#define DB_DB_H

#include <stdatomic.h>
#include <uv.h>

#include "base/err.h"
#include "db/db_conn.h"
#include "db/db_stmt.h"
#include "db/db_value.h"

struct db;
struct db_req;

enum db_what {
    DB_QUERY,    /* one statement of any kind */
    DB_WRITE,    /* several statements, all or nothing */
    DB_SCRIPT,   /* the text of step 1: many statements without arguments, all or nothing */
    DB_BEGIN,    /* a transaction; inside of one (tx set) a savepoint */
    DB_COMMIT,   /* of tx, or of its savepoint `depth` */
    DB_ROLLBACK, /* the same */
    DB_CALL,     /* call(): on a thread with a connection */
    DB_OPEN
};

/* One statement of a request, with its outcome. */
struct db_step {
    const char *sql; /* owned by the request, as the arguments */
    size_t bytes;
    struct db_args args;
    int64_t expect; /* so many rows must change, else the request fails with `notfound`; -1 any */
    struct db_rows rows;
    struct db_done done;
    struct db_step *next;
};

struct db_req {
    /* the caller's */
    enum db_what what;
    uint64_t tx;      /* 0, or the transaction this belongs to; DB_BEGIN answers here */
    int depth;        /* the savepoint to end, 0 is the transaction; DB_BEGIN answers here */
    int is_deferred;  /* DB_BEGIN: no write lock before the first write */
    int is_unwanted;  /* rows are not kept */
    int is_for_writer; /* DB_CALL: on the writing connection */
    int (*call)(struct db_req *req, struct db_conn *c, struct err *e);
    void (*done)(struct db_req *req);
    /* the answer, from done on */
    int status; /* 0, or -1 and err */
    struct err err;
    struct db_step *steps;
    int n_steps;
    /* ours */
    struct db *db;
    struct db_hold *hold;
    struct db_step *last;
    struct db_arena arena;
    atomic_int cancel;
    int state;
    struct db_conn *conn; /* while it runs */
    uint64_t queued_ns;
    struct db_req *next, *prev;
    struct db_list *list;
};

/*
 * Opens. The database is made by a thread; req->done tells how it went, and the caller has to
 * db_close what came back in `out` in either case. -1: nothing was made, done will not come.
 */
int db_open(struct db **out, uv_loop_t *loop, const char *path, const struct db_opt *opt,
            struct db_req *req, struct err *e);

/* The same for a program that starts: waits. On -1 there is nothing to close. */
int db_open_wait(struct db **out, uv_loop_t *loop, const char *path, const struct db_opt *opt,
                 struct err *e);

/*
 * Cancels everything, rolls back, closes; returns at once. The done of each request still comes.
 * The memory goes when the loop has closed the handle. `db` is not to be used again, but its
 * iterators and backups still have to be closed. NULL is fine.
 */
void db_close(struct db *db);

const char *db_path(const struct db *db);

/* A request of one kind, empty; deinit after done. Steps copy all they are given. */
void db_req_init(struct db_req *req, enum db_what what, void (*done)(struct db_req *));
int db_req_add(struct db_req *req, const char *sql, size_t bytes, const struct db_args *args,
               int64_t expect, struct err *e);
void db_req_deinit(struct db_req *req);

/* Starts it. done comes later, also for a refusal. */
void db_submit(struct db *db, struct db_req *req);

/* Asks a started request to stop; done will come with `cancelled`, or with success if it was late.
 * A DB_BEGIN that was late is rolled back and answers `cancelled`. */
void db_cancel(struct db_req *req);

/* Stops whatever runs now. */
void db_interrupt(struct db *db);

/*
 * Runs a statement here and now if it is of the cheap kind. 1: `*rows` holds the result, borrowed
 * until the next call. 0: not for here, submit it. -1: an error to report. The arguments are
 * borrowed for the call only.
 */
int db_inline(struct db *db, const char *sql, size_t bytes, const struct db_args *args,
              struct db_rows **rows, struct err *e);

/* Rolls a transaction back without waiting; its requests end with `cancelled`. Old ones are fine. */
void db_tx_abort(struct db *db, uint64_t tx);

#endif
