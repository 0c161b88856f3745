/* Small drawings: what is drawn, and what cannot be. */
#include "base/svg.h"
#include "check.h"

#include <math.h>
#include <string.h>

static struct err e;
static struct buf b;

static const char *spark(const double *v, size_t n)
{
    buf_clear(&b);
    return svg_spark(&b, v, n, 104, 24, &e) == 0 ? buf_text(&b, &e) : err_name(e.code);
}

static const char *interval(double a, double c, double d, double f, double g, double max)
{
    double q[5] = { a, c, d, f, g };

    buf_clear(&b);
    return svg_interval(&b, q, max, 103, 14, &e) == 0 ? buf_text(&b, &e) : err_name(e.code);
}

static int numbers(const char *text, double *v)
{
    return svg_numbers(text, strlen(text), v, 4, &e);
}

int main(void)
{
    double v[4], falling[] = { 10, 0, 5 }, below[] = { -5, 5 };

    buf_init(&b, 1 << 16);
    CHECK_STR(spark(falling, 3), "<svg class=\"spark\" width=\"104\" height=\"24\" viewBox=\"0 0 104 24\">"
                                 "<path d=\"M2 2L52 22L102 12\"/><circle cx=\"102\" cy=\"12\" r=\"1.6\"/></svg>");
    CHECK(strstr(spark(below, 2), "M2 22L102 2\"") != NULL);
    CHECK(strstr(spark(falling + 1, 1), "M2 22\"") != NULL); /* all zero: at the bottom */
    v[0] = 8e-308;
    CHECK(strstr(spark(v, 1), "M2 2\"") != NULL); /* the smallest of numbers: to scale all the same */
    v[0] = 1e308, v[1] = -1e308;
    CHECK_STR(spark(v, 2), "nan");
    v[0] = NAN;
    CHECK_STR(spark(v, 1), "nan");
    CHECK(strstr(interval(0, 25, 50, 75, 100, 100), "class=\"q90\" x=\"1\" y=\"6\" width=\"100\"") != NULL);
    CHECK(strstr(interval(0, 25, 36, 49, 100, 100), "class=\"q50\" x=\"51\" y=\"4\" width=\"20\"") != NULL);
    CHECK(strstr(interval(0, 0, 0, 0, 900, 100), "width=\"100\"") != NULL); /* cut at the end of the scale */
    CHECK_STR(interval(0, 0, 0, 0, 0, 0), "nan");
    CHECK_STR(interval(0, 0, INFINITY, 0, 0, 1), "nan");
    CHECK_INT(numbers("3 0 1.5 -2e1", v), 4);
    CHECK(v[0] == 3 && v[2] == 1.5 && v[3] == -20);
    CHECK_INT(numbers("", v), 0);
    CHECK_INT(numbers("1 2 3 4 5", v), -1);
    CHECK_INT(e.code, ERR_LIMIT);
    CHECK_INT(numbers("1  2", v), -1);
    CHECK_INT(numbers("1 x", v), -1);
    CHECK_INT(e.code, ERR_PARSE);
    CHECK_INT(numbers("1-2", v), -1);
    CHECK_INT(numbers("11111111111111111111111111111111111111111", v), -1);
    buf_deinit(&b);
    buf_init(&b, 20);
    CHECK_STR(spark(falling, 3), "limit");
    buf_deinit(&b);
    return check_done();
}
