/*
 * sheet_load.h - streams a table file into a table of an SQLite database, without a copy of it in
 * memory.
 *
 * One row of the file is one row of the table: the columns asked for by their headers, the number
 * of the row in the file and a number that tells the file. Cells arrive as they are, cleaning is
 * SQL's work:
 *
 *   empty -> NULL   text, error value -> TEXT   number -> INTEGER when whole, else REAL
 *   date cell -> TEXT "YYYY-MM-DD[ hh:mm:ss]"   yes/no -> TEXT "TRUE", "FALSE"
 *
 * sheet_load does it at once; the calls below it do it in pieces, for somebody who has a
 * transaction of his own and wants to tell how far he is. The caller's thread must have the
 * connection to itself during each call.
 */
#ifndef SHEET_LOAD_H
#define SHEET_LOAD_H

#include <sqlite3.h>

#include "sheet/sheet.h"

#define SHEET_LOAD_COLUMNS_MAX 1900 /* SQLite takes 2000 */

struct sheet_column {
    const char *name;           /* column of the table */
    const char *const *headers; /* what it is called in files, NULL-terminated; NULL: as its name */
    int is_required;
};

struct sheet_load {
    const char *path;
    const char *schema;           /* NULL: main */
    const char *table;            /* made if there is none */
    const struct sheet_column *columns;
    size_t n_columns;             /* 0: every column of the file, called as its header */
    const char *row_column;       /* NULL: "row" */
    const char *file_column;      /* NULL: no such column */
    int64_t file_id;
    const char *sheet, *temp_dir; /* see sheet_options */
    int (*tick)(void *arg, int64_t n_rows, double done); /* not 0: stop, `cancelled` */
    void *tick_arg;
};

struct sheet_loaded {
    struct sheet_trouble trouble; /* names: missing or duplicate columns (table names), sheets */
    int64_t n_rows, n_cells;      /* stored; cells that are not empty */
    int64_t header_row;           /* its number */
    int is_1904;
};

/*
 * Headers are compared trimmed and without case; columns that are not asked for are left out. The
 * file is refused when a required column is missing, when two columns of it are the same one, when
 * it has no row of data. All or nothing: in a transaction of its own, or a savepoint of the one
 * that is open. `out` must be given to sheet_loaded_deinit, also after an error.
 */
int sheet_load(const struct sheet_load *what, sqlite3 *db, struct sheet_loaded *out,
               struct err *e);

void sheet_loaded_deinit(struct sheet_loaded *out); /* may run twice, after sheet_load */

struct sheet_loader;

/* Touches nothing yet. `what` and what it points to, and `out`, are borrowed until close. */
int sheet_load_open(struct sheet_loader **l, const struct sheet_load *what,
                    struct sheet_loaded *out, struct err *e);

/*
 * At most `max_rows` further rows; the first call opens the file and makes the table. Nothing of
 * the connection is kept between calls. 1: there is more, 0: all are stored, -1: refused, and what
 * is stored already is the caller's to undo.
 */
int sheet_load_step(struct sheet_loader *l, sqlite3 *db, int64_t max_rows, struct err *e);
double sheet_load_done(const struct sheet_loader *l); /* share of the file read, 0 … 1 */
void sheet_load_close(struct sheet_loader *l);        /* NULL is fine */

#endif
