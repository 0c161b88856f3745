/*
 * db_agg_month.c - see db_agg.h: month_series, the months of one thing as a text, for small charts.
 */
#include "db/db_agg.h"

#include <string.h>

#include "base/mem.h"
#include "base/num.h"

#define MONTHS_MAX 600 /* fifty years */

struct months {
    double *sums; /* NULL before the first row */
    long first;   /* months since year 0 */
    int n;
};

static const char NAME[] = "month_series";

/* Months since year 0 of "YYYY-MM…"; -1 when it is none. */
static long month_of(sqlite3_value *v)
{
    const unsigned char *s = sqlite3_value_text(v);
    int n = sqlite3_value_bytes(v), digits[6], at = 0;

    if (s == NULL || n < 7 || s[4] != '-' || (n > 7 && s[7] != '-'))
        return -1;
    for (int i = 0; i < 7; i++) {
        if (i == 4)
            continue;
        if (s[i] < '0' || s[i] > '9')
            return -1;
        digits[at++] = s[i] - '0';
    }
    int year = digits[0] * 1000 + digits[1] * 100 + digits[2] * 10 + digits[3];
    int month = digits[4] * 10 + digits[5];
    return month >= 1 && month <= 12 ? (long)year * 12 + month - 1 : -1;
}

static int begin(sqlite3_context *ctx, struct months *s, sqlite3_value **argv)
{
    sqlite3_int64 n = sqlite3_value_int64(argv[3]);

    s->first = month_of(argv[2]);
    if (s->first < 0 || n < 1 || n > MONTHS_MAX) {
        sqlite3_result_error(ctx, "month_series: a first month and 1 to 600 months expected", -1);
        return -1;
    }
    s->sums = mem_zero((size_t)n, sizeof *s->sums);
    if (s->sums == NULL) {
        sqlite3_result_error_nomem(ctx);
        return -1;
    }
    s->n = (int)n;
    return 0;
}

static void on_step(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    struct months *s = sqlite3_aggregate_context(ctx, sizeof *s);
    double x;

    (void)argc;
    if (s == NULL) {
        sqlite3_result_error_nomem(ctx);
        return;
    }
    if (s->sums == NULL && begin(ctx, s, argv) != 0)
        return;
    if (sqlite3_value_type(argv[0]) == SQLITE_NULL)
        return;
    long month = month_of(argv[0]);
    if (month < 0) {
        sqlite3_result_error(ctx, "month_series: a date is not YYYY-MM-DD", -1);
        return;
    }
    if (db_agg_number(ctx, NAME, argv[1], &x) == 1 && month >= s->first && month - s->first < s->n)
        s->sums[month - s->first] += x;
}

static void on_final(sqlite3_context *ctx)
{
    struct months *s = sqlite3_aggregate_context(ctx, 0);
    size_t at = 0;

    if (s == NULL || s->sums == NULL)
        return;
    char *text = mem_alloc((size_t)s->n * (NUM_DOUBLE_MAX + 1));
    if (text == NULL)
        sqlite3_result_error_nomem(ctx);
    for (int i = 0; text != NULL && i < s->n; i++) {
        if (i > 0)
            text[at++] = ' ';
        double v = num_tidy(s->sums[i]);
        at += v > -1e15 && v < 1e15 && v == (double)(int64_t)v ? num_int(text + at, (int64_t)v)
                                                              : num_double(text + at, v);
    }
    if (text != NULL)
        sqlite3_result_text(ctx, text, (int)at, SQLITE_TRANSIENT);
    mem_free(text);
    mem_free(s->sums);
    memset(s, 0, sizeof *s);
}

int db_agg_month_add(sqlite3 *db, struct err *e)
{
    if (sqlite3_create_function_v2(db, NAME, 4, DB_FUNC_FLAGS, NULL, NULL, on_step, on_final,
                                   NULL) == SQLITE_OK)
        return 0;
    return err_set(e, ERR_NOMEM, "SQL aggregates: %s", sqlite3_errmsg(db));
}
