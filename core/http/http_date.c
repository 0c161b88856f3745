/*
 * http_date.c - times as HTTP writes them. See http_date.h.
 */
#include "http/http_date.h"

#include <string.h>

static const char DAYS[] = "SunMonTueWedThuFriSat";
static const char MONTHS[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

static void two(char *to, int v)
{
    to[0] = (char)('0' + v / 10);
    to[1] = (char)('0' + v % 10);
}

void http_date_write(char to[HTTP_DATE_BYTES], time_t t)
{
    struct tm tm;

    if (t < 0 || gmtime_r(&t, &tm) == NULL || tm.tm_year > 9999 - 1900) {
        t = 0;
        gmtime_r(&t, &tm);
    }
    memcpy(to, "Sun, 06 Nov 1994 08:49:37 GMT", HTTP_DATE_BYTES);
    memcpy(to, DAYS + 3 * tm.tm_wday, 3);
    two(to + 5, tm.tm_mday);
    memcpy(to + 8, MONTHS + 3 * tm.tm_mon, 3);
    two(to + 12, (1900 + tm.tm_year) / 100);
    two(to + 14, (1900 + tm.tm_year) % 100);
    two(to + 17, tm.tm_hour);
    two(to + 20, tm.tm_min);
    two(to + 23, tm.tm_sec);
}

const char *http_date_now(void)
{
    static char text[HTTP_DATE_BYTES];
    static time_t second = -1;
    struct timespec now;

    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec != second) {
        http_date_write(text, now.tv_sec);
        second = now.tv_sec;
    }
    return text;
}

static int number(const char *p, int n)
{
    int v = 0;

    for (int i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return -1;
        v = v * 10 + (p[i] - '0');
    }
    return v;
}

time_t http_date_read(const char *p, size_t n)
{
    struct tm tm = { 0 };

    if (n != HTTP_DATE_BYTES || memcmp(p + 3, ", ", 2) != 0 || p[7] != ' ' || p[11] != ' ' ||
        p[16] != ' ' || p[19] != ':' || p[22] != ':' || memcmp(p + 25, " GMT", 4) != 0)
        return -1;
    int month = -1;
    for (int i = 0; i < 12; i++)
        if (memcmp(p + 8, MONTHS + 3 * i, 3) == 0)
            month = i;
    tm.tm_mday = number(p + 5, 2);
    tm.tm_mon = month;
    tm.tm_year = number(p + 12, 4) - 1900;
    tm.tm_hour = number(p + 17, 2);
    tm.tm_min = number(p + 20, 2);
    tm.tm_sec = number(p + 23, 2);
    if (month < 0 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_year < 70 || tm.tm_hour < 0 ||
        tm.tm_hour > 23 || tm.tm_min < 0 || tm.tm_min > 59 || tm.tm_sec < 0 || tm.tm_sec > 60)
        return -1;
    return timegm(&tm);
}
