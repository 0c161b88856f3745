/*
 * db_matrix.h - the result of a query as one block of numbers, row after row.
 *
 * A DB_CALL: init, db_submit(db, &m->req), and in its done take `data`.
 */
#ifndef DB_MATRIX_H
#define DB_MATRIX_H

#include "db/db.h"

struct db_matrix {
    struct db_req req; /* first */
    int is_f32;
    size_t max_bytes; /* of the block; `limit` beyond */
    /* NULL, or on the thread: gives the place for n_rows x n_cols numbers instead of `data`; NULL
     * and e: there is none */
    void *(*place)(struct db_matrix *m, struct err *e);
    /* the answer; the names of the columns are in req.steps->rows */
    void *data; /* n_rows x n_cols floats or doubles from mem_aligned, owned by the matrix; NULL when
                   it has no cell, or with `place`; take it by setting it NULL here */
    size_t n_rows, n_cols;
};

/* A query whose columns are numbers; NULL becomes NaN, text and blobs are `invalid`, a value too
 * large for f32 is `nan`. Belongs to transaction tx, or 0. deinit after done. */
int db_matrix_init(struct db_matrix *m, uint64_t tx, const char *sql, size_t bytes,
                   const struct db_args *args, int is_f32, size_t max_bytes,
                   void (*done)(struct db_req *), struct err *e);
void db_matrix_deinit(struct db_matrix *m);

#endif
