/*
 * csv_read.h - the records of a text table, streamed.
 *
 * Encoding by the bytes of the whole file: byte-order mark (UTF-8, UTF-16 of both ends), else UTF-8
 * when valid, else Windows-1251 (byte 98, which it leaves free, is U+0098). Fields as in RFC 4180,
 * with CRLF, LF or CR; a quote inside of a field that did not begin with one is ordinary, and so is
 * what stands between a closing quote and the separator. Memory is one record. One thread at a
 * time.
 */
#ifndef SHEET_CSV_READ_H
#define SHEET_CSV_READ_H

#include "base/err.h"
#include "sheet/sheet_row.h"

#define CSV_RECORD_MAX (16u << 20) /* bytes of one record, as UTF-8 */

struct csv_read;

/* Finds the encoding. -1: `notfound`, `io`, `nomem`; `parse` for what is no text. */
int csv_read_open(struct csv_read **r, const char *path, struct err *e);
void csv_read_close(struct csv_read *r); /* NULL is fine */

/* Starts from the beginning with another separator; ',' at first. */
int csv_read_rewind(struct csv_read *r, char separator, struct err *e);

/*
 * The next record with a field that is not empty: 1, 0 at the end, -1 (`parse` names the row of a
 * quote that is not closed). All cells are SHEET_TEXT.
 */
int csv_read_row(struct csv_read *r, struct sheet_row *row, struct err *e);

double csv_read_done(const struct csv_read *r);          /* 0 … 1 */

/* "utf-8", "utf-16le", "utf-16be", "windows-1251" */
const char *csv_read_encoding(const struct csv_read *r);

#endif
