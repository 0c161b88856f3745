/*
 * parquet_write.h - a table as an Apache Parquet file, for programs that compute with columns.
 *
 * Every column may have gaps. Rows are kept until a group of them is full (100,000 rows or 16 MiB)
 * and then written, column by column, one page each, gzip; the directory of the groups is the end of
 * the file. One thread at a time. sheet_write.h is the face.
 */
#ifndef PARQUET_WRITE_H
#define PARQUET_WRITE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum parquet_type {
    PARQUET_TEXT,   /* UTF-8 */
    PARQUET_NUMBER, /* 64-bit floating point */
    PARQUET_WHOLE,  /* 64-bit whole number */
    PARQUET_DATE,   /* text "YYYY-MM-DD" becomes days since 1970 */
};

struct parquet_write;

/* Makes the file. Names are borrowed for the call, each must be another (`invalid`). `io`, `nomem`. */
int parquet_write_open(struct parquet_write **w, const char *path, const char *const *names,
                       const enum parquet_type *types, size_t n_columns, struct err *e);

/*
 * The cell of a column in the row at hand. What does not fit the column's type: `invalid`. Text is
 * UTF-8, which the caller has seen to. A cell that is not given is a gap.
 */
int parquet_write_text(struct parquet_write *w, size_t column, const char *p, size_t n,
                       struct err *e);
int parquet_write_number(struct parquet_write *w, size_t column, double x, struct err *e);
int parquet_write_whole(struct parquet_write *w, size_t column, int64_t x, struct err *e);

/* Ends the row. */
int parquet_write_next(struct parquet_write *w, struct err *e);

/* Finishes the file. -1: it is gone. `w` is freed in either case. */
int parquet_write_close(struct parquet_write *w, struct err *e);

/* Gives up: the file is gone. NULL is fine. */
void parquet_write_drop(struct parquet_write *w);

#endif
