/*
 * date.h - dates and times of day: civil calendar, RFC 3339, time zones of the tz database.
 *
 * Moments are seconds since 1970-01-01 UTC without leap seconds; the calendar is Gregorian, years 1
 * to 9999. Any thread; a zone is never changed once it is open.
 */
#ifndef BASE_DATE_H
#define BASE_DATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct date_parts {
    int year, month, day;     /* month and day from 1 */
    int hour, minute, second;
    int weekday, yearday;     /* 1 = Monday … 7; 1 = 1 January */
    int offset;               /* seconds east of UTC */
    int is_dst;
    char zone[16];            /* "MSK", "UTC" */
};

#define DATE_TEXT_MAX 40

int date_is_leap(int year);
int date_month_days(int year, int month); /* month 1 … 12 */

/* Days since 1970-01-01, and back. Month and day must be in range. */
int64_t date_days(int year, int month, int day);
void date_civil(int64_t days, int *year, int *month, int *day);

/* RFC 3339: "2026-01-31", or with "T12:00:00[.123]" and "Z" or "+03:00" (a date alone is its midnight
 * UTC). Seconds and nanoseconds. -1 `parse`. */
int date_parse(const char *s, size_t n, int64_t *seconds, int *nanos, struct err *e);

/* "2026-01-31T12:00:00Z", "…+03:00"; `digits` 0 … 9 behind the seconds. Returns the length. */
size_t date_format(char out[DATE_TEXT_MAX], const struct date_parts *p, int nanos, int digits);

/* ---- zones ---- */

struct date_zone;

/* "Europe/Moscow", "UTC". -1 `notfound`, `invalid` for what is no name, `corrupt`. */
int date_zone_open(struct date_zone **out, const char *name, struct err *e);
void date_zone_close(struct date_zone *z); /* NULL is fine */

/* For tests and fuzzing: a zone from the bytes of a tz file (RFC 8536). */
int date_zone_parse(struct date_zone **out, const unsigned char *data, size_t n, struct err *e);

/* The clock on the wall at a moment. z NULL: UTC. */
void date_local(const struct date_zone *z, int64_t seconds, struct date_parts *out);

/*
 * The moment at which the wall showed these parts. What is shown twice (clocks put back) is the
 * first; what is never shown (put forward) is taken as if they had not been put yet. Hours, minutes
 * and seconds may be out of range; year, month and day must fit.
 */
int64_t date_utc(const struct date_zone *z, const struct date_parts *p);

#endif
