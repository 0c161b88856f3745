/*
 * db_value.h - what goes into a statement and what comes out: values, arguments, rows.
 *
 * A value is sixteen bytes that borrow their text. Arguments are an array of them; rows are one
 * array of cells plus an arena for the texts, so a result is a handful of blocks whatever its size,
 * and can be filled on one thread and read on another. Nothing here locks.
 */
#ifndef DB_VALUE_H
#define DB_VALUE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum db_type { DB_NULL, DB_INT, DB_REAL, DB_TEXT, DB_BLOB };

struct db_value {
    uint32_t type;  /* enum db_type */
    uint32_t bytes; /* of a text or blob */
    union {
        int64_t i;
        double f;
        const char *text; /* borrowed; text and blob; no NUL behind it */
    } u;
};

/* The arguments of one statement. Borrowed by whom they are given to. */
struct db_args {
    const struct db_value *values;
    const char *const *names; /* NULL: for ? in order; else values[i] is for :names[i] */
    int n;
};

/* Blocks that live and die together. */
struct db_arena {
    struct db_chunk *chunks; /* newest first */
};

void *db_arena_take(struct db_arena *a, size_t bytes); /* aligned to 8; NULL: no memory */
void db_arena_clear(struct db_arena *a);               /* keeps one small block for reuse */
void db_arena_deinit(struct db_arena *a);

/* Copies of bytes (a NUL is put behind them) and of arguments, texts and names included. */
char *db_arena_copy(struct db_arena *a, const void *data, size_t bytes);
int db_arena_args(struct db_arena *a, struct db_args *to, const struct db_args *from,
                  struct err *e);

struct db_rows {
    int n_cols;
    const char **names;     /* n_cols, NUL-terminated, owned by the arena */
    struct db_value *cells; /* n_rows x n_cols */
    size_t n_rows, cap_cells;
    size_t bytes, max_bytes; /* passing max_bytes is `limit`; 0 = no maximum */
    struct db_arena arena;
};

void db_rows_init(struct db_rows *r, size_t max_bytes);
void db_rows_clear(struct db_rows *r); /* empty, ready for another result */
void db_rows_deinit(struct db_rows *r);

/* Room for one more row, n_cols cells, all NULL. NULL with `nomem` or `limit`. */
struct db_value *db_rows_add(struct db_rows *r, struct err *e);

/* Fills a cell with a copy of the bytes. */
int db_rows_text(struct db_rows *r, struct db_value *cell, enum db_type type, const void *data,
                 size_t bytes, struct err *e);

/* Refuses what no database column can hold exactly: text that is not UTF-8, a number that is not
 * finite. `which` is the argument's place, from 1. */
int db_value_check(const struct db_value *v, int which, struct err *e);

#endif
