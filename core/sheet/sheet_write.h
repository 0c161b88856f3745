/*
 * sheet_write.h - writes a table for people: a workbook (.xlsx) or text (.csv), or for programs
 * (.parquet), row by row, in bounded memory.
 *
 * Nothing written is ever a formula. In a workbook every text is a text cell. In csv a text that a
 * table program would take for a formula (first byte = + - @ tab CR LF) gets an apostrophe in
 * front, unless it is a plain number such as -5. One thread at a time.
 */
#ifndef SHEET_WRITE_H
#define SHEET_WRITE_H

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum sheet_write_format { SHEET_WRITE_XLSX, SHEET_WRITE_CSV, SHEET_WRITE_PARQUET };

/*
 * How a workbook shows a column. Values that do not fit stay as they are. In parquet it is the type:
 * whole numbers (whole, integer), dates, numbers (number, money, percent), text (plain, time); there
 * values that do not fit are `invalid`.
 */
enum sheet_style {
    SHEET_STYLE_PLAIN,
    SHEET_STYLE_WHOLE,    /* 1 234 */
    SHEET_STYLE_MONEY,    /* 1 234.50 */
    SHEET_STYLE_PERCENT,  /* 0.25 is 25.0 % */
    SHEET_STYLE_DATE,     /* text "YYYY-MM-DD" becomes a date cell */
    SHEET_STYLE_NUMBER,   /* as plain */
    SHEET_STYLE_INTEGER,  /* as plain: years, keys */
    SHEET_STYLE_TIME,     /* text "YYYY-MM-DD hh:mm:ss" becomes a date cell */
    SHEET_STYLE_COUNT
};

struct sheet_write_column {
    const char *title;
    enum sheet_style style;
    double width;         /* characters; 0: as wide as the title, within reason */
};

struct sheet_write_options {
    enum sheet_write_format format;
    const char *sheet;    /* xlsx: name of the tab; NULL: "Sheet1" */
    const struct sheet_write_column *columns;
    size_t n_columns;     /* 1 … 16,384 */
    int64_t created;      /* xlsx: when it was made, Unix seconds; 0: now */
    const char *temp_dir; /* xlsx: for the rows until they are packed; NULL: $TMPDIR or /tmp */
    char separator;       /* csv; 0: ',' */
    int has_mark;         /* csv: begins with a byte-order mark, for Excel */
};

struct sheet_write;

/*
 * Makes the file with its header row. Options are borrowed for the call. `io`, `full`, `invalid`,
 * `nomem`.
 */
int sheet_write_open(struct sheet_write **w, const char *path,
                     const struct sheet_write_options *options, struct err *e);

/*
 * The next cell of the row. Text must be UTF-8 (`parse`), in a workbook of at most 32,767
 * characters (`limit`). Numbers that are not finite are left empty. Cells beyond the last column:
 * `shape`.
 */
int sheet_write_text(struct sheet_write *w, const char *p, size_t n, struct err *e);
int sheet_write_number(struct sheet_write *w, double x, struct err *e);
int sheet_write_whole(struct sheet_write *w, int64_t x, struct err *e);
int sheet_write_empty(struct sheet_write *w, struct err *e);

/* Ends the row. `limit` after the last row a sheet can have (1,048,576 with the header). */
int sheet_write_next(struct sheet_write *w, struct err *e);

/*
 * Steps `st` to its end and writes each row; blobs are left empty. tick as in sheet_load.h, without
 * a share. Returns the number of rows, or -1.
 */
int64_t sheet_write_rows(struct sheet_write *w, sqlite3_stmt *st,
                         int (*tick)(void *arg, int64_t n_rows), void *tick_arg, struct err *e);

/* Finishes the file. -1: it is gone. NULL is fine. `w` is freed in either case. */
int sheet_write_close(struct sheet_write *w, struct err *e);

/* Gives up: the file is gone. NULL is fine. */
void sheet_write_drop(struct sheet_write *w);

#endif
