/*
 * db_func.c - see db_func.h.
 */
#include "db/db_func.h"

#include <math.h>
#include <string.h>

#include "base/day.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/typed.h"
#include "db/db_agg.h"
#include "db/db_random.h"

#define SMALL_BYTES 512
#define BOUNDS_TEXT_MAX 128

/* text_of a value: borrowed from it or written to `number`. 0 when there is none (NULL, blob). */
static int text_of(sqlite3_value *v, char number[TYPED_FLOAT_MAX], const char **p, size_t *n)
{
    switch (sqlite3_value_type(v)) {
    case SQLITE_TEXT:
    case SQLITE_INTEGER:
        *p = (const char *)sqlite3_value_text(v);
        *n = (size_t)sqlite3_value_bytes(v);
        return *p != NULL;
    case SQLITE_FLOAT:
        *n = typed_of_float(number, sqlite3_value_double(v));
        *p = number;
        return 1;
    default:
        return 0;
    }
}

static void on_text_of(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    char number[TYPED_FLOAT_MAX];
    const char *p;
    size_t n;

    (void)argc;
    if (text_of(argv[0], number, &p, &n))
        sqlite3_result_text(ctx, p, (int)n, SQLITE_TRANSIENT);
}

typedef size_t (*change)(char *to, const char *p, size_t n);

/* text_clean, text_squeeze, text_fold: one change of the text, which the function carries. */
static void on_change(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    const change *how = sqlite3_user_data(ctx);
    char number[TYPED_FLOAT_MAX], small[SMALL_BYTES], *to = small;
    const char *p;
    size_t n, len;

    (void)argc;
    if (!text_of(argv[0], number, &p, &n))
        return;
    if (n > sizeof small && (to = mem_alloc(n)) == NULL) {
        sqlite3_result_error_nomem(ctx);
        return;
    }
    len = (*how)(to, p, n);
    if (len > 0 || *how != typed_clean)
        sqlite3_result_text(ctx, to, (int)len, SQLITE_TRANSIENT);
    if (to != small)
        mem_free(to);
}

static void on_leading_digits(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    char number[TYPED_FLOAT_MAX];
    const char *p;
    size_t n, len = 0;

    (void)argc;
    if (!text_of(argv[0], number, &p, &n))
        return;
    while (len < n && p[len] >= '0' && p[len] <= '9')
        len++;
    sqlite3_result_text(ctx, p, (int)len, SQLITE_TRANSIENT);
}

static void result_number(sqlite3_context *ctx, double x)
{
    if (x == floor(x) && fabs(x) <= (double)NUM_EXACT_MAX)
        sqlite3_result_int64(ctx, (int64_t)x);
    else
        sqlite3_result_double(ctx, x);
}

static void on_number_of(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    double x;

    (void)argc;
    switch (sqlite3_value_type(argv[0])) {
    case SQLITE_INTEGER:
        sqlite3_result_int64(ctx, sqlite3_value_int64(argv[0]));
        break;
    case SQLITE_FLOAT:
        x = sqlite3_value_double(argv[0]);
        if (isfinite(x))
            sqlite3_result_double(ctx, x);
        break;
    case SQLITE_TEXT: {
        const char *p = (const char *)sqlite3_value_text(argv[0]);
        if (p != NULL && typed_number(p, (size_t)sqlite3_value_bytes(argv[0]), &x) == 0)
            result_number(ctx, x);
        break;
    }
    default:
        break;
    }
}

static void on_date_of(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    int64_t system = argc > 1 ? sqlite3_value_int64(argv[1]) : 0, day;
    int type = sqlite3_value_type(argv[0]), rc = -1;
    char text[DAY_TEXT];

    if (system != 0 && system != 1 && system != 1900 && system != 1904) {
        sqlite3_result_error(ctx, "date_of: the system of dates is 1900 or 1904", -1);
        return;
    }
    if (type == SQLITE_INTEGER || type == SQLITE_FLOAT) {
        rc = day_of_number(sqlite3_value_double(argv[0]), system == 1 || system == 1904, &day);
    } else if (type == SQLITE_TEXT) {
        const char *p = (const char *)sqlite3_value_text(argv[0]);
        if (p != NULL)
            rc = day_of_text(p, (size_t)sqlite3_value_bytes(argv[0]),
                             system == 1 || system == 1904, &day);
    }
    if (rc != 0)
        return;
    day_write(text, day);
    sqlite3_result_text(ctx, text, DAY_TEXT, SQLITE_TRANSIENT);
}

static void result_even(sqlite3_context *ctx, double x)
{
    double r = nearbyint(x);

    if (fabs(r) < 9.2e18)
        sqlite3_result_int64(ctx, (int64_t)r);
    else if (isfinite(r))
        sqlite3_result_double(ctx, r);
}

static int is_number(sqlite3_value *v)
{
    return sqlite3_value_type(v) == SQLITE_INTEGER || sqlite3_value_type(v) == SQLITE_FLOAT;
}

static void on_round_even(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    if (!is_number(argv[0]) || (argc > 1 && !is_number(argv[1])))
        return;
    if (argc == 1) {
        if (sqlite3_value_type(argv[0]) == SQLITE_INTEGER)
            sqlite3_result_int64(ctx, sqlite3_value_int64(argv[0]));
        else
            result_even(ctx, sqlite3_value_double(argv[0]));
        return;
    }
    if (sqlite3_value_double(argv[1]) == 0)
        return;
    if (sqlite3_value_type(argv[0]) != SQLITE_INTEGER ||
        sqlite3_value_type(argv[1]) != SQLITE_INTEGER) {
        result_even(ctx, sqlite3_value_double(argv[0]) / sqlite3_value_double(argv[1]));
        return;
    }
    __int128 a = sqlite3_value_int64(argv[0]), b = sqlite3_value_int64(argv[1]), q, twice;
    if (b < 0) {
        a = -a;
        b = -b;
    }
    q = a / b;
    if (a % b < 0) /* division goes towards zero: make it the floor */
        q--;
    twice = (a - q * b) * 2;
    if (twice > b || (twice == b && (q & 1)))
        q++;
    if (q >= INT64_MIN && q <= INT64_MAX)
        sqlite3_result_int64(ctx, (int64_t)q);
    else
        sqlite3_result_double(ctx, (double)q);
}

static size_t bound_text(char to[NUM_DOUBLE_MAX], double x)
{
    if (isfinite(x))
        return num_double(to, x);
    memcpy(to, x < 0 ? "-inf" : "inf", 4);
    return x < 0 ? 4 : 3;
}

static void on_interval_of(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    char text[BOUNDS_TEXT_MAX];
    size_t n = 0;
    double x;

    if (argc < 3) {
        sqlite3_result_error(ctx, "interval_of: a value and at least two bounds expected", -1);
        return;
    }
    for (int i = 1; i < argc; i++) {
        if (!is_number(argv[i]) ||
            (i > 1 && sqlite3_value_double(argv[i]) <= sqlite3_value_double(argv[i - 1]))) {
            sqlite3_result_error(ctx, "interval_of: bounds must be numbers that rise", -1);
            return;
        }
    }
    if (!is_number(argv[0]))
        return;
    x = sqlite3_value_double(argv[0]);
    for (int i = 2; i < argc; i++) {
        double from = sqlite3_value_double(argv[i - 1]), to = sqlite3_value_double(argv[i]);
        if (!(x > from && x <= to))
            continue;
        text[n++] = '(';
        n += bound_text(text + n, from);
        text[n++] = ',';
        text[n++] = ' ';
        n += bound_text(text + n, to);
        text[n++] = ']';
        sqlite3_result_text(ctx, text, (int)n, SQLITE_TRANSIENT);
        return;
    }
}

int db_func_add(sqlite3 *db, struct err *e)
{
    static const change CLEAN = typed_clean, SQUEEZE = typed_squeeze, FOLD = typed_fold;
    static const struct {
        const char *name;
        int n_args;
        const void *data;
        void (*call)(sqlite3_context *, int, sqlite3_value **);
    } FUNCS[] = {
        { "text_of", 1, NULL, on_text_of },
        { "text_clean", 1, &CLEAN, on_change },
        { "text_squeeze", 1, &SQUEEZE, on_change },
        { "text_fold", 1, &FOLD, on_change },
        { "leading_digits", 1, NULL, on_leading_digits },
        { "number_of", 1, NULL, on_number_of },
        { "date_of", 1, NULL, on_date_of },
        { "date_of", 2, NULL, on_date_of },
        { "round_even", 1, NULL, on_round_even },
        { "round_even", 2, NULL, on_round_even },
        { "interval_of", -1, NULL, on_interval_of },
    };

    for (size_t i = 0; i < sizeof FUNCS / sizeof *FUNCS; i++)
        if (sqlite3_create_function_v2(db, FUNCS[i].name, FUNCS[i].n_args, DB_FUNC_FLAGS,
                                       (void *)FUNCS[i].data, FUNCS[i].call, NULL, NULL,
                                       NULL) != SQLITE_OK)
            return err_set(e, ERR_NOMEM, "SQL function %s: %s", FUNCS[i].name, sqlite3_errmsg(db));
    if (db_agg_add(db, e) != 0 || db_agg_series_add(db, e) != 0 || db_agg_month_add(db, e) != 0)
        return -1;
    return db_random_add(db, e);
}
