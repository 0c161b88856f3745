/*
 * day.h - calendar days and the ways people write them.
 *
 * A day is the number of days since 1970-01-01 in the Gregorian calendar (also before 1582). Pure
 * functions, any thread.
 */
#ifndef BASE_DAY_H
#define BASE_DAY_H

#include <stddef.h>
#include <stdint.h>

int64_t day_of_civil(int64_t year, int month, int mday); /* of a date that exists */
void day_to_civil(int64_t day, int64_t *year, int *month, int *mday);
int day_exists(int64_t year, int month, int mday);       /* years 1 … 9999 */

/*
 * Serial numbers of workbooks: days since 1899-12-31 (with a 29 February 1900 that never was) or,
 * with is_1904, since 1904-01-01. The whole part counts. 0, or -1 beyond the year 9999 or below
 * the first day of the system.
 */
int day_of_serial(double serial, int is_1904, int64_t *day);

/* 20000 … 80000 is a serial number, 1e8 and more Unix seconds (UTC). 0, or -1. */
int day_of_number(double x, int is_1904, int64_t *day);

/*
 * Text: YYYY-MM-DD, D.M.YYYY or D/M/YYYY (day first), each with h:mm or h:mm:ss behind it, or a
 * number as above (blanks within and a decimal comma are fine). Blanks around do not matter.
 * 0, or -1 when it is none of these or a date that does not exist.
 */
int day_of_text(const char *p, size_t n, int is_1904, int64_t *day);

/* Writes "YYYY-MM-DD" of a day of the years 1 … 9999. No NUL. */
#define DAY_TEXT 10
void day_write(char to[DAY_TEXT], int64_t day);

#endif
