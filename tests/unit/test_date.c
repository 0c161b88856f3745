/* The calendar, RFC 3339, and zones against the C library's own. */
#include "base/date.h"

#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "check.h"

static const char *again(const char *s)
{
    static char text[DATE_TEXT_MAX];
    struct date_parts p;
    struct err e;
    int64_t seconds;
    int nanos;

    if (date_parse(s, strlen(s), &seconds, &nanos, &e) != 0)
        return "refused";
    date_local(NULL, seconds, &p);
    date_format(text, &p, nanos, nanos ? 9 : 0);
    return text;
}

static void calendar(void)
{
    int y, m, d, bad = 0;
    int64_t n = date_days(1, 1, 1);

    for (int year = 1; year <= 9999; year++)
        for (int month = 1; month <= 12; month++)
            for (int day = 1; day <= date_month_days(year, month); day++, n++) {
                date_civil(n, &y, &m, &d);
                bad += date_days(year, month, day) != n || y != year || m != month || d != day;
            }
    CHECK_INT(bad, 0);
    CHECK_INT(date_days(1970, 1, 1), 0);
    CHECK_INT(date_days(2000, 3, 1), 11017);
}

static void texts(void)
{
    CHECK_STR(again("2026-01-31"), "2026-01-31T00:00:00Z");
    CHECK_STR(again("2026-01-31T12:34:56Z"), "2026-01-31T12:34:56Z");
    CHECK_STR(again("2026-01-31t12:34:56.5z"), "2026-01-31T12:34:56.500000000Z");
    CHECK_STR(again("2026-01-31 12:34:56+03:00"), "2026-01-31T09:34:56Z");
    CHECK_STR(again("2024-02-29T23:59:60-01:30"), "2024-03-01T01:30:00Z");
    CHECK_STR(again("0001-01-01"), "0001-01-01T00:00:00Z");
    CHECK_STR(again("2026-01-01T00:00:00.1234567891Z"), "2026-01-01T00:00:00.123456789Z");
    static const char *const bad[] = { "", "2026", "2026-1-1", "2026-02-29", "2026-13-01", "2026-00-10",
        "2026-01-00", "2026-01-01T", "2026-01-01T12:00", "2026-01-01T24:00:00Z", "2026-01-01T12:60:00Z",
        "2026-01-01T12:00:61Z", "2026-01-01T12:00:00", "2026-01-01T12:00:00.Z", "2026-01-01T12:00:00+3:00",
        "2026-01-01T12:00:00+0300", "2026-01-01T12:00:00Zx", "0000-01-01", "-026-01-01", "2026/01/01" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_STR(again(bad[i]), "refused");
}

/* Every zone below, at 40,000 moments from 1900 to 2300, as glibc has it; and back again. */
static void zones(void)
{
    static const char *const names[] = { "Europe/Moscow", "America/New_York", "Australia/Lord_Howe",
        "Europe/Dublin", "Asia/Kolkata", "Pacific/Apia", "America/St_Johns", "UTC", "Asia/Tehran",
        "America/Sao_Paulo", "Pacific/Chatham", "Africa/Casablanca" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct date_zone *z;
        struct err e = { 0 };
        int bad = 0;
        CHECK_INT(date_zone_open(&z, names[i], &e), 0);
        setenv("TZ", names[i], 1);
        tzset();
        for (int64_t t = -2208988800; t < 10413792000; t += 315557) {
            struct tm tm;
            struct date_parts p;
            time_t now = (time_t)t;
            localtime_r(&now, &tm);
            date_local(z, t, &p);
            bad += p.offset != tm.tm_gmtoff || p.is_dst != tm.tm_isdst || p.hour != tm.tm_hour ||
                   p.day != tm.tm_mday || p.yearday != tm.tm_yday + 1 ||
                   p.weekday % 7 != tm.tm_wday || strcmp(p.zone, tm.tm_zone) != 0;
            int64_t back = date_utc(z, &p);
            if (back != t) { /* shown twice: the other moment shows the same */
                struct date_parts q;
                date_local(z, back, &q);
                bad += back > t || q.hour != p.hour || q.minute != p.minute || q.day != p.day;
            }
        }
        if (bad)
            printf("%s: %d wrong\n", names[i], bad);
        CHECK_INT(bad, 0);
        date_zone_close(z);
    }
}

static void gaps(void)
{
    struct date_zone *z;
    struct err e;
    struct date_parts p = { .year = 2026, .month = 3, .day = 8, .hour = 2, .minute = 30 };

    CHECK_INT(date_zone_open(&z, "America/New_York", &e), 0);
    CHECK_INT(date_utc(z, &p), 1772955000); /* 02:30 EST, which the wall shows as 03:30 EDT */
    p = (struct date_parts){ .year = 2026, .month = 11, .day = 1, .hour = 1, .minute = 30 };
    CHECK_INT(date_utc(z, &p), 1793511000); /* 01:30 EDT, the first of two */
    date_zone_close(z);
    static const char *const bad[] = { "", "/etc/passwd", "../x", "Europe/Nowhere", "Europe", "a b" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_INT(date_zone_open(&z, bad[i], &e), -1);
        CHECK(z == NULL);
    }
    for (size_t n = 1; n < 5; n++) {
        mem_fail_at(n);
        if (date_zone_open(&z, "Europe/Moscow", &e) == 0)
            date_zone_close(z);
        mem_fail_at(0);
    }
    CHECK_INT(mem_live(), 0);
}

int main(void)
{
    calendar();
    texts();
    zones();
    gaps();
    return check_done();
}
