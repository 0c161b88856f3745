/*
 * sheet_kind.h - tells by the first bytes what a file is.
 */
#ifndef SHEET_KIND_H
#define SHEET_KIND_H

#include "base/err.h"

enum sheet_format { SHEET_FORMAT_XLSX, SHEET_FORMAT_CSV, SHEET_FORMAT_EMPTY };

/*
 * A zip is taken for a workbook, what has no mark of another kind for text. -1: `unsupported` with
 * a message that says what it is and what to do; `io`, `notfound`.
 */
int sheet_kind_find(enum sheet_format *format, const char *path, struct err *e);

#endif
