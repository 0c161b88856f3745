/*
 * xlsx_read.h - the rows of one worksheet, streamed.
 *
 * Gives what the file stores: of a formula its last result, of a date cell its text. Memory is one
 * window of XML and one row, whatever the size of the sheet. One thread at a time.
 */
#ifndef SHEET_XLSX_READ_H
#define SHEET_XLSX_READ_H

#include "sheet/sheet_row.h"
#include "sheet/xlsx_book.h"
#include "sheet/xlsx_strings.h"

struct xlsx_read;

/* Book and strings are borrowed until close. `sheet` is below book->n_sheets. */
int xlsx_read_open(struct xlsx_read **r, const struct xlsx_book *book,
                   struct xlsx_strings *strings, size_t sheet, struct err *e);
void xlsx_read_close(struct xlsx_read *r); /* NULL is fine */

/*
 * The next row with at least one cell that is not empty: 1, 0 at the end (then the whole part has
 * been checked, its CRC too), -1 `parse`, `limit`, `nomem`, `io`.
 */
int xlsx_read_row(struct xlsx_read *r, struct sheet_row *row, struct err *e);

double xlsx_read_done(const struct xlsx_read *r); /* 0 … 1 */

#endif
