/*
 * xlsx_format.h - which number formats of a workbook show dates (ECMA-376 part 1, 18.8.30,
 * 18.8.31).
 *
 * Durations ([h]:mm:ss) are numbers, not dates. Pure functions.
 */
#ifndef SHEET_XLSX_FORMAT_H
#define SHEET_XLSX_FORMAT_H

#include <stddef.h>

/* Of a format that the workbook does not spell out. */
int xlsx_format_is_date_id(int id);

/* Of a format code; only its first section (positive numbers) counts. */
int xlsx_format_is_date(const char *code, size_t n);

/*
 * Writes the date, and the time unless it is midnight, of a cell with a date format: "YYYY-MM-DD[
 * hh:mm:ss]", or "hh:mm:ss" below the first day of the 1900 system. Returns the length, 0 when the
 * number is no date. Seconds are rounded, never into the next day.
 */
#define XLSX_DATE_MAX 20
size_t xlsx_format_date(char to[XLSX_DATE_MAX], double serial, int is_1904);

#endif
