/*
 * db_agg.h - aggregates that SQL lacks. Those marked W also work as window functions.
 *
 *   mode(x)                    W  the most frequent value; ties go to the smallest (numbers before
 *                                 text, text by code point)
 *   median(x), quantile(x, q)  W  linear between neighbours (0 <= q <= 1), as numpy's default
 *   first_by(x, o)                x of the row with the smallest o; ties go to the smallest x
 *   ewm_mean(x, span)          W  exponentially weighted, in the order of the rows: use it
 *                                 OVER (… ORDER BY …)
 *   ewm_mean(x, span, o)          the same for the rows in the order of o: the last value
 *   ewm_var(x, span [, o])     W  its variance, without bias; NULL before the second value
 *   regr_slope(y, x)           W  slope of the least squares line; NULL below two points or when
 *                                 all x are the same
 *   month_series(date, x, first, n)  sums of x by month, n of them from the month `first` on, as text
 *                                 with blanks between: '3 0 1.5'; other months are left out
 *
 * NULL is left out (with ewm_* it is a step without a value: time passes, weights fade; an order or
 * span that is NULL is an error). Text where a number is needed is an error, never a zero. No rows:
 * NULL. Weights: a = 2 / (span + 1), each step multiplies older ones by 1 - a.
 */
#ifndef DB_AGG_H
#define DB_AGG_H

#include <sqlite3.h>

#include "base/err.h"

#define DB_FUNC_FLAGS (SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS)

/* A value held beyond its row. Whole REALs are kept as INTEGER: they are equal in SQL. */
struct db_agg_key {
    int type;           /* SQLITE_INTEGER, _FLOAT, _TEXT, _BLOB */
    int n_bytes;
    union {
        sqlite3_int64 whole;
        double real;
        char *bytes;    /* owned */
    } u;
};

int db_agg_key_copy(struct db_agg_key *k, sqlite3_value *v); /* -1 without memory */
void db_agg_key_free(struct db_agg_key *k);
int db_agg_key_compare(const struct db_agg_key *a, const struct db_agg_key *b);
void db_agg_key_result(sqlite3_context *ctx, const struct db_agg_key *k);

/*
 * 1 and the number, 0 for NULL, -1 after an error was given to ctx ("NAME: 'abc' is not a number").
 */
int db_agg_number(sqlite3_context *ctx, const char *name, sqlite3_value *v, double *x);

int db_agg_add(sqlite3 *db, struct err *e);        /* mode, median, quantile, first_by */
int db_agg_series_add(sqlite3 *db, struct err *e); /* ewm_mean, ewm_var, regr_slope */
int db_agg_month_add(sqlite3 *db, struct err *e);  /* month_series */

#endif
