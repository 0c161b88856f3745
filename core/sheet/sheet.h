/*
 * sheet.h - a table file given by a user, row by row: workbook or text, by its content, not its
 * name.
 *
 * Nothing is ever held whole in memory. sheet_load.h puts the rows into a database, sheet_write.h
 * makes such files. One thread at a time; different files on different threads are fine.
 *
 *     struct sheet_trouble t; struct sheet *s; struct sheet_row row;
 *     sheet_trouble_init(&t);
 *     if (sheet_open(&s, path, NULL, &t, &e) == 0)
 *         while (sheet_next_row(s, &row, &t, &e) == 1) …
 *     sheet_close(s);
 */
#ifndef SHEET_SHEET_H
#define SHEET_SHEET_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "sheet/sheet_fault.h"
#include "sheet/sheet_row.h"

struct sheet;

/* Why a file was refused, for programs. `names` are sheets or columns, each ended by a NUL. */
struct sheet_trouble {
    enum sheet_fault fault;
    struct buf names;
};

void sheet_trouble_init(struct sheet_trouble *t);
void sheet_trouble_deinit(struct sheet_trouble *t); /* may run twice */

struct sheet_options {
    const char *sheet;        /* the one to read if several have data; NULL: none chosen */
    const char *const *known; /* csv: headers that tell the separator; NULL-terminated, or NULL */
    const char *temp_dir;     /* for large tables of shared texts; NULL: $TMPDIR or /tmp */
};

/*
 * Finds out what the file is and goes before its first row with data. options NULL: all defaults.
 * -1: *e and *t say why; t->fault is never SHEET_FINE then, t->names has the sheets of
 * SHEET_SEVERAL.
 */
int sheet_open(struct sheet **s, const char *path, const struct sheet_options *options,
               struct sheet_trouble *t, struct err *e);
void sheet_close(struct sheet *s); /* NULL is fine */

/* The next row that is not blank; the first one is the header. 1, 0 at the end, -1. */
int sheet_next_row(struct sheet *s, struct sheet_row *row, struct sheet_trouble *t, struct err *e);

/* True when nothing in the row is to be seen. */
int sheet_is_blank(const struct sheet_row *row);

double sheet_done(const struct sheet *s); /* share read, 0 … 1 */

struct sheet_info {
    const char *kind;      /* "xlsx", "csv" */
    const char *name;      /* of the sheet that is read; csv: "" */
    const char *encoding;  /* csv: see csv_read.h; xlsx: "utf-8" */
    char separator;        /* csv */
    int is_1904;           /* serial numbers count from 1904 */
    size_t n_sheets;       /* worksheets, empty ones too */
};

/* Texts are borrowed until sheet_close. */
void sheet_get_info(const struct sheet *s, struct sheet_info *info);
const char *sheet_name(const struct sheet *s, size_t i); /* of worksheet i */

#endif
