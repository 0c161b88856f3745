/*
 * sheet_row.h - one row of a table file, as every reader gives it.
 */
#ifndef SHEET_ROW_H
#define SHEET_ROW_H

#include <stdint.h>

#define SHEET_COLUMNS_MAX 16384          /* of a row, as in Excel */
#define SHEET_ROWS_MAX 1048576           /* of a sheet of a workbook */
#define SHEET_ROW_BYTES_MAX (64u << 20)  /* text of one row that is not shared */

enum sheet_kind { SHEET_TEXT, SHEET_NUMBER, SHEET_DATE, SHEET_BOOL, SHEET_ERROR };

struct sheet_cell {
    uint32_t column;  /* 0 is A */
    uint32_t kind;    /* enum sheet_kind */
    const char *text; /* TEXT and ERROR as in the file, DATE "YYYY-MM-DD[ hh:mm:ss]", BOOL "TRUE" or
                         "FALSE", UTF-8 without NUL behind; NUMBER: NULL */
    uint32_t n_bytes;
    uint32_t at;      /* inside the readers */
    double number;    /* NUMBER; DATE: its serial number; BOOL: 0 or 1 */
};

/* Empty cells are left out; a text may be blank. Valid until the next row is asked for. */
struct sheet_row {
    int64_t number;   /* 1 is the first row of the sheet; csv: records are counted, not lines */
    uint32_t n_cells;
    const struct sheet_cell *cells; /* by rising column */
};

#endif
