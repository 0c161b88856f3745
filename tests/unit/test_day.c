#include "base/day.h"
#include "check.h"

static const char *text(int rc, int64_t day)
{
    static char to[DAY_TEXT + 1];
    if (rc != 0)
        return "none";
    day_write(to, day);
    return to;
}

static const char *of(const char *s, int is_1904)
{
    int64_t day = 0;
    int rc = day_of_text(s, strlen(s), is_1904, &day);
    return text(rc, day);
}

static const char *serial(double x, int is_1904)
{
    int64_t day = 0;
    int rc = day_of_serial(x, is_1904, &day);
    return text(rc, day);
}

int main(void)
{
    int64_t y;
    int m, d;

    CHECK_INT(day_of_civil(1970, 1, 1), 0);
    CHECK_INT(day_of_civil(2000, 3, 1), 11017);
    CHECK_INT(day_of_civil(1, 1, 1), -719162);
    for (int64_t day = -800000; day < 3000000; day += 37) {
        day_to_civil(day, &y, &m, &d);
        if (day_of_civil(y, m, d) != day)
            CHECK_INT(day_of_civil(y, m, d), day);
    }
    CHECK(day_exists(2024, 2, 29) && !day_exists(2025, 2, 29) && !day_exists(1900, 2, 29));

    static const char *const FIFTH[] = {
        "2025-03-05", "2025-03-05 10:20", "2025-03-05 9:20:30", "05.03.2025", "5.3.2025 9:05",
        "05/03/2025", "5/3/2025", "45721", "45721,99", "45721.5", " 45 721 ", "1741132800",
        "1741219199", " 2025-03-05 ", "\xc2\xa0""05.03.2025\xc2\xa0""23:59:59",
    };
    for (size_t i = 0; i < sizeof FIFTH / sizeof *FIFTH; i++)
        CHECK_STR(of(FIFTH[i], 0), "2025-03-05");
    static const char *const NONE[] = {
        "", " ", "2025-03-32", "03-05-2025", "20250305", "2025/03/05", "05.03.25", "19999", "80001",
        "99999999", "2025-03-05 24:00", "2025-3-5", "31.04.2025", "5.3/2025", "05.03.20255",
        "2025-03-05 10", "2025-03-05 10:20:30.5", "2025-03-05x", "2025-03-0510:20", "вчера", "1e9",
        "-45721", "2025-03-05 10:60", "0.0.2025", "00.01.2025", "2025-03-05 ", "05.03.0000",
    };
    for (size_t i = 0; i < sizeof NONE / sizeof *NONE; i++)
        if (strcmp(NONE[i], "2025-03-05 ") != 0) /* trailing blank: trimmed */
            CHECK_STR(of(NONE[i], 0), "none");
    CHECK_STR(of("20000", 0), "1954-10-03");
    CHECK_STR(of("80000", 0), "2119-01-11");
    CHECK_STR(of("44227", 1), "2025-02-01");
    CHECK_STR(of("100000000", 0), "1973-03-03");
    CHECK_STR(of("253402300799", 0), "9999-12-31");
    CHECK_STR(of("253402300800", 0), "none");
    CHECK_STR(serial(1, 0), "1900-01-01");
    CHECK_STR(serial(59.9, 0), "1900-02-28");
    CHECK_STR(serial(61, 0), "1900-03-01");
    CHECK_STR(serial(0.5, 0), "none");
    CHECK_STR(serial(0.5, 1), "1904-01-01");
    CHECK_STR(serial(2958465, 0), "9999-12-31");
    CHECK_STR(serial(2958466, 0), "none");
    CHECK_STR(serial(-1, 1), "none");
    CHECK_STR(serial(NAN, 0), "none");
    return check_done();
}
