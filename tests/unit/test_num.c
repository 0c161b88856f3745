#include "base/num.h"
#include "check.h"

#include <stdint.h>
#include <stdlib.h>

static uint64_t state = 88172645463325252u;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static const char *shown(double v)
{
    static char text[NUM_DOUBLE_MAX + 1];

    text[num_double(text, v)] = '\0';
    return text;
}

static const char *fixed(double v, int decimals, const char *group)
{
    static char text[NUM_FIXED_MAX + 1];

    text[num_fixed(text, v, decimals, group, ".")] = '\0';
    return text;
}

/* The C library as the oracle: reads back, and no precision below gives the value back. */
static int is_shortest(double v)
{
    char text[NUM_DOUBLE_MAX + 1], other[64];
    struct num_decimal d;
    int n = 0;

    text[num_double(text, v)] = '\0';
    if (strtod(text, NULL) != v || num_parse(text, strlen(text)) != v)
        return 0;
    num_shortest(v, &d);
    for (uint64_t x = d.digits; x > 0; x /= 10)
        n++;
    if (n > 1) {
        snprintf(other, sizeof other, "%.*e", n - 2, v);
        if (strtod(other, NULL) == v)
            return 0;
    }
    /* of the same length, the nearest: the correctly rounded one, if that reads back */
    snprintf(other, sizeof other, "%.*e", n - 1, v);
    return strtod(other, NULL) != v || strtod(other, NULL) == strtod(text, NULL);
}

static void shortest(void)
{
    static const struct { double v; const char *text; } t[] = {
        { 0.0, "0.0" }, { -0.0, "-0.0" }, { 1, "1.0" }, { -12.5, "-12.5" }, { 0.1, "0.1" },
        { 0.3, "0.3" }, { 0.1 + 0.2, "0.30000000000000004" }, { 1e15, "1000000000000000.0" },
        { 1e16, "1e+16" }, { 1e20, "1e+20" }, { 1e23, "1e+23" }, { 5e-324, "5e-324" },
        { 2.2250738585072014e-308, "2.2250738585072014e-308" }, { 0.0001, "0.0001" },
        { 0.00001, "1e-05" }, { 1.7976931348623157e308, "1.7976931348623157e+308" },
        { 9007199254740993.0, "9007199254740992.0" }, { 123456.789, "123456.789" },
        { 9.5367431640625e-07, "9.5367431640625e-07" }, { 1.0 / 3, "0.3333333333333333" },
        { 2490.0, "2490.0" }, { 1200, "1200.0" }, { 4.35, "4.35" }, { 0.001, "0.001" },
    };
    int bad = 0;

    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        CHECK_STR(shown(t[i].v), t[i].text);
    for (int i = 0; i < 400000; i++) {
        uint64_t bits = next();
        double v;
        memcpy(&v, &bits, 8);
        if (isfinite(v))
            bad += !is_shortest(v);
        bad += !is_shortest((double)(int64_t)next() / 1024);
        bad += !is_shortest((double)(int64_t)(next() % 100000000) / 100);
        bad += !is_shortest((double)(next() % 1000003) / 1000003);
    }
    for (int e = -1074; e < 1024; e++) /* powers of two: the lower neighbour is nearer */
        bad += !is_shortest(ldexp(1, e)) + !is_shortest(nextafter(ldexp(1, e), 0));
    CHECK_INT(bad, 0);
}

static void rounding(void)
{
    CHECK_STR(fixed(2.675, 2, ""), "2.68");
    CHECK_STR(fixed(-2.675, 2, ""), "-2.68");
    CHECK_STR(fixed(0.5, 0, ""), "1");
    CHECK_STR(fixed(1234567.891, 2, " "), "1 234 567.89");
    CHECK_STR(fixed(123, 0, ","), "123");
    CHECK_STR(fixed(1234, 0, ","), "1,234");
    CHECK_STR(fixed(-0.001, 2, ""), "0.00");
    CHECK_STR(fixed(0.004, 3, ""), "0.004");
    CHECK_STR(fixed(999.995, 2, ""), "1000.00");
    CHECK_STR(fixed(1e22, 1, ""), "10000000000000000000000.0");
    CHECK_STR(fixed(5e-324, 15, ""), "0.000000000000000");
    CHECK_STR(fixed(0, 2, ""), "0.00");
    CHECK_INT(strlen(fixed(-1.7976931348623157e308, 15, "\xC2\xA0")), 1 + 309 + 2 * 102 + 1 + 15 - 0);
    CHECK_NEAR(num_round(1.005, 2), 1.01, 0, 0);
    CHECK_NEAR(num_round(-1.005, 2), -1.01, 0, 0);
    CHECK_NEAR(num_round(1e300, 3), 1e300, 0, 0);
    CHECK(isnan(num_round(NAN, 2)));

    static const double tidy[][2] = {
        { 0.49849, 0.498 }, { 1.2049, 1.205 }, { 1.1004, 1.1 }, { 0.10049, 0.1 },
        { 1.0005, 1.0005 }, { 0.0004616, 0.0005 }, { 0.00095, 0.001 }, { 1.5e-7, 2e-7 },
        { 3.14159, 3.142 }, { 12.3456, 12.346 }, { -0.0015, -0.002 }, { 0.999999, 1.0 },
        { 7, 7 }, { 1e-30, 0 },
    };
    for (size_t i = 0; i < sizeof tidy / sizeof *tidy; i++)
        CHECK_NEAR(num_tidy(tidy[i][0]), tidy[i][1], 0, 0);
}

static void integers(void)
{
    char text[NUM_INT_MAX + 1];
    int64_t t[] = { 0, 7, 10, 99, 100, -1, INT64_MAX, INT64_MIN, 123456789 };

    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char expected[32];
        text[num_int(text, t[i])] = '\0';
        snprintf(expected, sizeof expected, "%lld", (long long)t[i]);
        CHECK_STR(text, expected);
    }
}

static void reading(void)
{
    static const char *const t[] = {
        "0", "-0", "0.0", "-0.0e5", "1e22", "1e23", "123456789012345678", "1234567890123456789012",
        "0.1", "1e-400", "1e400", "-1e400", "4.9e-324", "2.2250738585072011e-308", "1E+2", "1e00002",
        "0.000000000000000000000000000000000000000000000000000001", "9007199254740993",
        "9007199254740993.0000000000000000000000001", "1e99999999999999", "0e99999999999999999",
        "179769313486231580793728971405301e276",
    };

    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        double found = num_parse(t[i], strlen(t[i])), expected = strtod(t[i], NULL);
        CHECK(memcmp(&found, &expected, 8) == 0);
    }
}

int main(void)
{
    shortest();
    rounding();
    integers();
    reading();
    return check_done();
}
