/*
 * date.c - the calendar and RFC 3339. See date.h; zones are in date_zone.c.
 */
#include "base/date.h"

#include <stdio.h>
#include <string.h>

int date_is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

int date_month_days(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

    return days[month - 1] + (month == 2 && date_is_leap(year));
}

/* Years counted from 1 March: the leap day is the last day of a year, so months need no table. */
int64_t date_days(int year, int month, int day)
{
    int64_t y = (int64_t)year - (month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t in_era = y - era * 400;
    int64_t in_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468;
}

void date_civil(int64_t days, int *year, int *month, int *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t in_era = days - era * 146097;
    int64_t y = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t in_year = in_era - (365 * y + y / 4 - y / 100);
    int64_t m = (5 * in_year + 2) / 153;

    *day = (int)(in_year - (153 * m + 2) / 5 + 1);
    *month = (int)(m < 10 ? m + 3 : m - 9);
    *year = (int)(y + era * 400 + (*month <= 2));
}

/* n digits at *s, which moves on. -1: there are not so many. */
static int digits(const char **s, const char *end, int n)
{
    int v = 0;

    for (; n > 0; n--, ++*s) {
        if (*s >= end || **s < '0' || **s > '9')
            return -1;
        v = v * 10 + (**s - '0');
    }
    return v;
}

static int skip(const char **s, const char *end, char c)
{
    if (*s >= end || **s != c)
        return 0;
    ++*s;
    return 1;
}

static int parse_clock(const char **s, const char *end, int64_t *seconds, int *nanos)
{
    int hour = digits(s, end, 2);
    int ok = skip(s, end, ':');
    int minute = digits(s, end, 2);
    ok &= skip(s, end, ':');
    int second = digits(s, end, 2);

    if (!ok || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
        return -1;
    if (skip(s, end, '.')) {
        const char *from = *s;
        int scale = 100000000;
        for (; *s < end && **s >= '0' && **s <= '9'; ++*s, scale /= 10)
            *nanos += (**s - '0') * scale;
        if (*s == from)
            return -1;
    }
    *seconds += hour * 3600 + minute * 60 + second;
    if (skip(s, end, 'Z') || skip(s, end, 'z'))
        return 0;
    int sign = skip(s, end, '+') ? 1 : skip(s, end, '-') ? -1 : 0;
    hour = digits(s, end, 2);
    ok = skip(s, end, ':');
    minute = digits(s, end, 2);
    if (sign == 0 || !ok || hour < 0 || hour > 23 || minute < 0 || minute > 59)
        return -1;
    *seconds -= sign * (hour * 3600 + minute * 60);
    return 0;
}

int date_parse(const char *s, size_t n, int64_t *seconds, int *nanos, struct err *e)
{
    const char *p = s, *end = s + n;
    int year = digits(&p, end, 4);
    int ok = skip(&p, end, '-');
    int month = digits(&p, end, 2);
    ok &= skip(&p, end, '-');
    int day = digits(&p, end, 2);

    *nanos = 0;
    if (!ok || year < 1 || month < 1 || month > 12 || day < 1 || day > date_month_days(year, month))
        goto bad;
    *seconds = date_days(year, month, day) * 86400;
    if (p == end)
        return 0;
    if (!skip(&p, end, 'T') && !skip(&p, end, 't') && !skip(&p, end, ' '))
        goto bad;
    if (parse_clock(&p, end, seconds, nanos) == 0 && p == end)
        return 0;
bad:
    return err_set(e, ERR_PARSE, "\"%.*s\" is no date or time; 2026-01-31 or 2026-01-31T12:00:00Z expected",
                   (int)(n < 60 ? n : 60), s);
}

size_t date_format(char out[DATE_TEXT_MAX], const struct date_parts *p, int nanos, int n_digits)
{
    char room[96];
    int n = snprintf(room, sizeof room, "%04d-%02d-%02dT%02d:%02d:%02d", p->year, p->month, p->day,
                     p->hour, p->minute, p->second);

    if (n_digits > 0) {
        char frac[16];
        snprintf(frac, sizeof frac, "%09d", nanos);
        n += snprintf(room + n, sizeof room - (size_t)n, ".%.*s", n_digits, frac);
    }
    int east = p->offset < 0 ? -p->offset : p->offset;
    if (p->offset == 0)
        n += snprintf(room + n, sizeof room - (size_t)n, "Z");
    else
        n += snprintf(room + n, sizeof room - (size_t)n, "%c%02d:%02d", p->offset < 0 ? '-' : '+',
                      east / 3600, east / 60 % 60);
    size_t len = (size_t)n < DATE_TEXT_MAX ? (size_t)n : DATE_TEXT_MAX - 1;
    memcpy(out, room, len);
    out[len] = '\0';
    return len;
}
