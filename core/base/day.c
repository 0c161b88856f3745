/*
 * day.c - see day.h. The calendar runs in eras of 400 years that begin on 1 March, so that the
 * leap day is the last of its year.
 */
#include "base/day.h"

#include <math.h>

#include "base/typed.h"

#define ERA_DAYS 146097      /* days of 400 years */
#define EPOCH_DAYS 719468    /* from 1 March of the year 0 to 1970-01-01 */
#define DAY_MIN (-719162)    /* 0001-01-01 */
#define DAY_MAX 2932896      /* 9999-12-31 */

int64_t day_of_civil(int64_t year, int month, int mday)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + mday - 1;

    return era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH_DAYS;
}

void day_to_civil(int64_t day, int64_t *year, int *month, int *mday)
{
    int64_t z = day + EPOCH_DAYS, era = (z >= 0 ? z : z - (ERA_DAYS - 1)) / ERA_DAYS;
    int64_t doe = z - era * ERA_DAYS;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;

    *mday = (int)(doy - (153 * mp + 2) / 5 + 1);
    *month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *year = yoe + era * 400 + (*month <= 2);
}

int day_exists(int64_t year, int month, int mday)
{
    static const int DAYS[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return year >= 1 && year <= 9999 && month >= 1 && month <= 12 && mday >= 1 &&
           mday <= DAYS[month - 1] + (month == 2 && is_leap);
}

int day_of_serial(double serial, int is_1904, int64_t *day)
{
    if (!(serial >= (is_1904 ? 0 : 1)) || serial >= 2958466)
        return -1;
    int64_t whole = (int64_t)serial;
    *day = is_1904 ? whole - 24107 : whole < 60 ? whole - 25568 : whole - 25569;
    return *day <= DAY_MAX ? 0 : -1;
}

int day_of_number(double x, int is_1904, int64_t *day)
{
    if (x >= 20000 && x <= 80000)
        return day_of_serial(x, is_1904, day);
    if (!(x >= 1e8) || x >= (DAY_MAX + 1) * 86400.0)
        return -1;
    *day = (int64_t)floor(x / 86400);
    return 0;
}

struct cursor {
    const char *p, *end;
};

/* `min` to `max` digits, and no further digit behind them. -1 when there are not. */
static int digits(struct cursor *c, int min, int max)
{
    int n = 0, x = 0;

    for (; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++, n++) {
        if (n == max)
            return -1;
        x = x * 10 + (*c->p - '0');
    }
    return n >= min ? x : -1;
}

static int is_next(struct cursor *c, char expected)
{
    if (c->p == c->end || *c->p != expected)
        return 0;
    c->p++;
    return 1;
}

/* " h:mm[:ss]" up to the end, or nothing. */
static int is_time(struct cursor *c)
{
    const char *rest = c->p;
    size_t n = (size_t)(c->end - c->p);
    int h, m, s;

    if (n == 0)
        return 1;
    typed_trim(&rest, &n);
    if (rest == c->p) /* no blank between date and time */
        return 0;
    c->p = rest;
    h = digits(c, 1, 2);
    if (h < 0 || h > 23 || !is_next(c, ':'))
        return 0;
    m = digits(c, 2, 2);
    if (m < 0 || m > 59)
        return 0;
    if (c->p == c->end)
        return 1;
    if (!is_next(c, ':'))
        return 0;
    s = digits(c, 2, 2);
    return s >= 0 && s <= 59 && c->p == c->end;
}

int day_of_text(const char *p, size_t n, int is_1904, int64_t *day)
{
    struct cursor c;
    int64_t year;
    int first, month, mday;
    double x;

    typed_trim(&p, &n);
    if (typed_number(p, n, &x) == 0)
        return day_of_number(x, is_1904, day);
    c.p = p;
    c.end = p + n;
    first = digits(&c, 1, 4);
    if (first < 0 || c.p == c.end)
        return -1;
    if (*c.p == '-') {
        if (c.p != p + 4)
            return -1;
        c.p++;
        year = first;
        month = digits(&c, 2, 2);
        if (!is_next(&c, '-'))
            return -1;
        mday = digits(&c, 2, 2);
    } else {
        char mark = *c.p++;
        if ((mark != '.' && mark != '/') || c.p > p + 3)
            return -1;
        mday = first;
        month = digits(&c, 1, 2);
        if (!is_next(&c, mark))
            return -1;
        const char *at = c.p;
        year = digits(&c, 4, 4);
        if (year < 0 || c.p != at + 4)
            return -1;
    }
    if (!day_exists(year, month, mday) || !is_time(&c))
        return -1;
    *day = day_of_civil(year, month, mday);
    return 0;
}

void day_write(char to[DAY_TEXT], int64_t day)
{
    int64_t year;
    int month, mday;

    if (day < DAY_MIN || day > DAY_MAX)
        day = day < DAY_MIN ? DAY_MIN : DAY_MAX;
    day_to_civil(day, &year, &month, &mday);
    to[0] = (char)('0' + year / 1000);
    to[1] = (char)('0' + year / 100 % 10);
    to[2] = (char)('0' + year / 10 % 10);
    to[3] = (char)('0' + year % 10);
    to[4] = to[7] = '-';
    to[5] = (char)('0' + month / 10);
    to[6] = (char)('0' + month % 10);
    to[8] = (char)('0' + mday / 10);
    to[9] = (char)('0' + mday % 10);
}
