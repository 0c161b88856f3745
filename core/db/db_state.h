/*
 * db_state.h - the inside of a database, for the db_* files of this room only.
 *
 * Fields marked L belong to the loop thread; W to the writer thread; the others are under `lock`.
 */
#ifndef DB_STATE_H
#define DB_STATE_H

#include "db/db.h"

enum { REQ_NEW, REQ_QUEUED, REQ_RUNNING, REQ_DONE };

struct db_list {
    struct db_req *first, *last;
};

struct db {
    uv_loop_t *loop;
    uv_async_t async; /* L */
    char *path;
    struct db_opt opt;
    int is_memory;
    int is_open, is_closed; /* L: opened with success; db_close was called */
    int n_refs;               /* L: 1 for each handle and each hold */
    int n_pending;            /* L: requests whose done has not come; keeps the loop alive */
    /* L: db_inline.c */
    struct db_conn *inline_conn;
    struct db_rows inline_rows;
    int is_inline_off;
    uv_prepare_t turn_end;
    int n_turn_reads;           /* in this turn of the loop */
    int has_snapshot;
    const void *wal_head;       /* what tells that somebody has committed; NULL: not known */
    uint64_t wal_head_seen[6];

    uv_mutex_t lock;
    uv_cond_t write_cond, read_cond;
    atomic_int closing;
    struct db_list write_q, tx_q, read_q, done_q, running;
    struct db_conn *writer; /* W once the thread runs */
    int is_wal;
    int has_writer, writer_gone;         /* the thread */
    uv_thread_t writer_thread, *readers; /* readers: opt.n_readers of them */
    int n_readers, n_readers_live, n_readers_idle;
    struct db_conn *idle; /* reading connections nobody uses */
    int n_idle;
    struct db_hold *holds;
    int n_holds;

    uint64_t tx, tx_last; /* the open transaction, 0 = none; the last one given out */
    int tx_depth;         /* W: savepoints inside */
    int tx_abort;         /* it is to be rolled back at once */
    int tx_dead;          /* W: SQLite rolled it back by itself; tx_err says why */
    struct err tx_err;
};

void db_list_add(struct db_list *l, struct db_req *r);
void db_list_remove(struct db_req *r);
struct db_req *db_list_pop(struct db_list *l);

/* Under lock: a request begins or ends on a connection. A cancel between the two interrupts it. */
void db_run_begin(struct db *db, struct db_req *r, struct db_conn *c);
void db_run_end(struct db *db, struct db_req *r);

/* Under lock: the answer is in r; to the loop with it. */
void db_answer(struct db *db, struct db_req *r);

void db_unref(struct db *db); /* loop */

/* Thread: closes every connection but the writer's; nobody else runs any more. */
void db_idle_close(struct db *db);

void db_write_main(void *db); /* db_write.c: the writer thread */
void db_read_main(void *db);  /* db_read.c: a reader thread */

/* Opens the first connection: the writer's, or a reader's if the database is only read. */
int db_open_first(struct db *db, struct err *e);

#endif
