/*
 * db_conn.h - one SQLite connection: how it is opened, its limits and clocks, and what SQLite's
 * answers mean as our errors.
 *
 * A connection is used by one thread at a time; whoever hands it on (db.c) sees to that. Everything
 * here blocks: on the loop thread only the inline connection may be used, which never waits for a
 * lock and is cut off after a budget of work.
 */
#ifndef DB_CONN_H
#define DB_CONN_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "db/db_value.h"

/* How much a commit waits for the disk; `full` survives a power cut with every commit kept, `normal`
 * survives it too but may lose the last commits, `off` is for files that die with their job. */
enum db_sync { DB_SYNC_FULL, DB_SYNC_NORMAL, DB_SYNC_OFF };

struct db_opt {
    int readonly;           /* 1: never written, must exist */
    int create;             /* 1: made, with mode 0600, when it is not there */
    int attach;             /* 1: ATTACH is allowed */
    enum db_sync sync;
    int busy_ms;            /* how long a lock held by another process is waited for */
    int timeout_ms;         /* of one statement; 0 = none */
    int tx_idle_ms;         /* a transaction without a request for so long is rolled back */
    int cache_kib;          /* page cache of each connection */
    int n_readers;          /* threads that read, 1 to 16 */
    int n_cursors;          /* iterators and backups open at once */
    size_t value_max_bytes; /* of one text or blob, and of one row */
    size_t rows_max_bytes;  /* of one result that is fetched whole */
    int64_t file_max_bytes; /* of the file; 0 = what the disk holds. Beyond it: `limit` */
};

/* full, create, 5 s busy, no statement timeout, 30 s idle, 8 MiB, 2 readers, 16 cursors, 64 MiB,
 * 64 MiB. */
void db_opt_init(struct db_opt *opt);

enum db_role { DB_WRITER, DB_READER, DB_INLINE };

/* What a statement may do, found when it is prepared. */
enum db_kind {
    DB_READS,  /* changes nothing */
    DB_CHEAP,  /* reads, and the planner finds every row by a key: may run on the loop thread */
    DB_WRITES, /* may join others in one transaction */
    DB_ALONE   /* PRAGMA, VACUUM: outside any transaction */
};

struct db_stmt {
    sqlite3_stmt *st;
    char *sql; /* owned, NUL-terminated */
    size_t bytes;
    uint64_t hash, used_at; /* used_at: of the connection's clock, for the oldest to go first */
    enum db_kind kind;
    int n_cuts; /* times the inline budget was not enough */
    int in_use;
    int n_params, is_named;
    struct db_stmt *next; /* in its bucket */
};

#define DB_EXCERPT 60  /* bytes of SQL shown in a message */
#define DB_BUCKETS 128 /* a power of 2 */
#define DB_STMTS 256   /* cached statements of one connection */

struct db_conn {
    sqlite3 *db;
    enum db_role role;
    int is_wal, is_memory;
    struct db_opt opt;
    struct db_stmt *buckets[DB_BUCKETS];
    int n_stmts;
    atomic_int n_parked; /* half-run statements of iterators */
    uint64_t clock;
    int privileged; /* our own BEGIN, PRAGMA and migrations: the authorizer lets them pass */
    int slow_functions;
    int is_alone; /* a DB_ALONE statement is being stepped */
    /* of what runs now */
    const atomic_int *cancel; /* non-zero: stop; NULL: cannot be cancelled */
    const atomic_int *closing;
    uint64_t busy_until_ns, stop_at_ns, inline_until_ns; /* 0 = never */
    int steps_budget, steps_left; /* of the inline connection */
    enum err_code stopped; /* why the progress handler said no */
    struct db_conn *next;  /* of a list of idle ones */
};

/* Opens `path`, sets it up and reads its header, so that a file that is no database is refused
 * here. Owned by the caller. `notfound`, `corrupt`, `busy`, `io`, `full`, `nomem`. */
int db_conn_open(struct db_conn **out, const char *path, const struct db_opt *opt,
                 enum db_role role, struct err *e);
void db_conn_close(struct db_conn *c); /* NULL is fine; finalizes what is left */

/* As db_stmt_script for our own fixed texts, which the authorizer lets pass. */
int db_conn_own(struct db_conn *c, const char *sql, struct err *e);

/* One whole number out of a fixed text of ours. */
int db_conn_number(struct db_conn *c, const char *sql, int64_t *out, struct err *e);

/* The error of the last call on this connection, `sql` for the excerpt (may be NULL). Returns -1. */
int db_conn_fail(struct db_conn *c, int rc, const char *sql, struct err *e);

/* Sets the clocks for one request that begins now. cancel may be NULL. */
void db_conn_begin(struct db_conn *c, const atomic_int *cancel, uint64_t queued_ns);

#endif
