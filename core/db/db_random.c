/*
 * db_random.c - see db_random.h.
 */
#include "db/db_random.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "db/db_agg.h"

#define MEAN_MAX 1e6
#define SUM_MEAN_MAX 400.0 /* exp(-mean) is far from the smallest double */

/* Spreads every bit over all others. Source: Steele et al. 2014, SplittableRandom; Stafford's mix. */
static uint64_t spread(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static void on_chance(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    uint64_t h = (uint64_t)argc;

    for (int i = 0; i < argc; i++) {
        uint64_t bits = 0;
        int type = sqlite3_value_type(argv[i]);
        if (type == SQLITE_INTEGER) {
            bits = (uint64_t)sqlite3_value_int64(argv[i]);
        } else if (type == SQLITE_FLOAT) {
            double x = sqlite3_value_double(argv[i]);
            memcpy(&bits, &x, sizeof bits);
        } else if (type == SQLITE_TEXT) {
            const unsigned char *p = sqlite3_value_text(argv[i]);
            int n = sqlite3_value_bytes(argv[i]);
            for (int k = 0; p != NULL && k < n; k++)
                bits = spread(bits ^ p[k]);
        } else {
            return;
        }
        h = spread(spread(h ^ (uint64_t)type) ^ bits);
    }
    sqlite3_result_double(ctx, ((double)(h >> 11) + 0.5) * 0x1p-53);
}

/* By the sum of its terms; the terms of a large mean are too small, there the normal law will do. */
static double poisson_of(double mean, double u)
{
    double term, sum, k = 0;

    if (mean > SUM_MEAN_MAX) {
        double low = -9, high = 9;
        while (high - low > 1e-9) {
            double z = (low + high) / 2;
            if (erfc(-z * 0.70710678118654752) / 2 < u)
                low = z;
            else
                high = z;
        }
        return fmax(0, floor(mean + sqrt(mean) * high + 0.5));
    }
    sum = term = exp(-mean);
    while (sum < u && (term > 0x1p-60 || k < mean)) {
        k++;
        term *= mean / k;
        sum += term;
    }
    return k;
}

static void on_poisson(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    double mean, u;
    int has_mean = db_agg_number(ctx, "poisson", argv[0], &mean);

    (void)argc;
    if (has_mean <= 0 || db_agg_number(ctx, "poisson", argv[1], &u) <= 0)
        return;
    if (!(mean >= 0 && mean <= MEAN_MAX && u > 0 && u < 1))
        sqlite3_result_error(ctx, "poisson: a mean of 0 to 1e6 and a chance in (0, 1) expected", -1);
    else
        sqlite3_result_int64(ctx, (sqlite3_int64)poisson_of(mean, u));
}

int db_random_add(sqlite3 *db, struct err *e)
{
    if (sqlite3_create_function_v2(db, "chance", -1, DB_FUNC_FLAGS, NULL, on_chance, NULL, NULL,
                                   NULL) != SQLITE_OK ||
        sqlite3_create_function_v2(db, "poisson", 2, DB_FUNC_FLAGS, NULL, on_poisson, NULL, NULL,
                                   NULL) != SQLITE_OK)
        return err_set(e, ERR_NOMEM, "SQL functions chance, poisson: %s", sqlite3_errmsg(db));
    return 0;
}
