/*
 * xlsx_book.h - what a workbook says about itself: its sheets, its date system, its date styles.
 *
 * Reads the small parts ([relations], workbook, styles); cells are xlsx_read.c's. One thread at a
 * time.
 */
#ifndef SHEET_XLSX_BOOK_H
#define SHEET_XLSX_BOOK_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "sheet/zip_part.h"

#define XLSX_SHEETS_MAX 4096

struct xlsx_sheet {
    char *name; /* as the tab shows it */
    char *part; /* path inside the zip */
};

struct xlsx_book {
    struct zip_box *zip;
    struct xlsx_sheet *sheets; /* worksheets only, in the order of their tabs, hidden ones too */
    size_t n_sheets;
    char *strings_part;        /* NULL: none */
    uint8_t *is_date;          /* by cell style */
    size_t n_styles;
    int is_1904;
};

/*
 * -1: `unsupported` for a zip that is no workbook (the message says what it is, if that can be
 * told), `parse`, `limit`, `io`, `nomem`. Close it in either case.
 */
int xlsx_book_open(struct xlsx_book *b, const char *path, struct err *e);
void xlsx_book_close(struct xlsx_book *b); /* may run twice */

#endif
