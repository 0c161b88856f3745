/*
 * db_agg_series.c - see db_agg.h: exponentially weighted moments and the slope of a line.
 *
 * As a window function ewm_* keeps the values of its frame: while nothing has left it, each row is
 * one step of the running moments; a frame that slides computes them again from its first row.
 */
#include "db/db_agg.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Running moments; m is NaN before the first value. */
struct moments {
    double m, c, s, s2, o;
};

static void moments_step(struct moments *w, double a, double x)
{
    double f = 1 - a;

    if (isnan(w->m)) {
        if (!isnan(x))
            *w = (struct moments){ x, 0, 1, 1, 1 };
        return;
    }
    w->s *= f;
    w->s2 *= f * f;
    w->o *= f;
    if (isnan(x))
        return;
    double before = w->m, all = w->o + a;
    w->m = (w->o * before + a * x) / all;
    w->c = (w->o * (w->c + (before - w->m) * (before - w->m)) + a * (x - w->m) * (x - w->m)) / all;
    w->s = (w->s + a) / all;
    w->s2 = (w->s2 + a * a) / (all * all);
    w->o = 1;
}

struct step {
    double x;                /* NaN: no value */
    struct db_agg_key order; /* type 0 with two arguments */
};

struct ewm {
    struct step *steps;
    size_t head, n, cap;
    double a;                /* 0: no row yet */
    struct moments now;      /* of head … n, while is_clean */
    int is_clean;
};

static const char MEAN[] = "ewm_mean", VAR[] = "ewm_var";

static int ewm_grow(struct ewm *s)
{
    size_t cap = s->cap == 0 ? 16 : s->cap * 2;
    struct step *p;

    if (s->n < s->cap)
        return 0;
    p = mem_resize(s->steps, cap * sizeof *p);
    if (p == NULL)
        return -1;
    s->steps = p;
    s->cap = cap;
    return 0;
}

static void ewm_step(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    struct ewm *s = sqlite3_aggregate_context(ctx, sizeof *s);
    const char *name = sqlite3_user_data(ctx);
    struct step step = { .x = NAN };
    double span;

    if (s == NULL || ewm_grow(s) != 0) {
        sqlite3_result_error_nomem(ctx);
        return;
    }
    if (db_agg_number(ctx, name, argv[0], &step.x) < 0)
        return;
    if (db_agg_number(ctx, name, argv[1], &span) != 1 || !(span >= 1) || !isfinite(span)) {
        sqlite3_result_error(ctx, "ewm: the span must be a number from 1 on", -1);
        return;
    }
    if (argc > 2) {
        if (sqlite3_value_type(argv[2]) == SQLITE_NULL) {
            sqlite3_result_error(ctx, "ewm: the order of a row is NULL", -1);
            return;
        }
        if (db_agg_key_copy(&step.order, argv[2]) != 0) {
            db_agg_key_free(&step.order);
            sqlite3_result_error_nomem(ctx);
            return;
        }
    }
    if (s->a == 0) {
        s->now.m = NAN;
        s->is_clean = 1;
    }
    s->a = 2 / (span + 1);
    s->steps[s->n++] = step;
    if (s->is_clean)
        moments_step(&s->now, s->a, step.x);
}

static void ewm_inverse(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    struct ewm *s = sqlite3_aggregate_context(ctx, sizeof *s);

    (void)argc, (void)argv;
    if (s == NULL || s->head == s->n)
        return;
    s->head++;
    s->is_clean = 0;
    if (s->head > 1024 && s->head * 2 > s->n) {
        memmove(s->steps, s->steps + s->head, (s->n - s->head) * sizeof *s->steps);
        s->n -= s->head;
        s->head = 0;
    }
}

static void moments_of(struct ewm *s)
{
    s->now.m = NAN;
    for (size_t i = s->head; i < s->n; i++)
        moments_step(&s->now, s->a, s->steps[i].x);
}

static void ewm_result(sqlite3_context *ctx, const struct moments *w)
{
    double free_weight = w->s * w->s - w->s2;

    if (isnan(w->m))
        return;
    if (sqlite3_user_data(ctx) == MEAN)
        sqlite3_result_double(ctx, w->m);
    else if (free_weight > 0)
        sqlite3_result_double(ctx, w->s * w->s * w->c / free_weight);
}

static void ewm_value(sqlite3_context *ctx)
{
    struct ewm *s = sqlite3_aggregate_context(ctx, 0);

    if (s == NULL || s->a == 0)
        return;
    if (!s->is_clean)
        moments_of(s);
    ewm_result(ctx, &s->now);
}

static int compare_steps(const void *a, const void *b)
{
    const struct step *x = a, *y = b;
    int order = db_agg_key_compare(&x->order, &y->order);

    if (order != 0)
        return order;
    /* the same moment twice: by value, so that the result does not hang on the order of rows */
    if (isnan(x->x) || isnan(y->x))
        return !isnan(x->x) - !isnan(y->x);
    return (x->x > y->x) - (x->x < y->x);
}

static void ewm_final(sqlite3_context *ctx)
{
    struct ewm *s = sqlite3_aggregate_context(ctx, 0);

    if (s == NULL || s->a == 0) {
        if (s != NULL)
            mem_free(s->steps);
        return;
    }
    if (s->n > 0 && s->steps[0].order.type != 0) {
        qsort(s->steps, s->n, sizeof *s->steps, compare_steps);
        s->is_clean = 0;
    }
    ewm_value(ctx);
    for (size_t i = 0; i < s->n; i++)
        db_agg_key_free(&s->steps[i].order);
    mem_free(s->steps);
    memset(s, 0, sizeof *s);
}

struct point {
    double x, y;
};

struct line {
    struct point *points; /* head … n, as with ewm */
    size_t head, n, cap;
    int is_sliding;
    int64_t n_in;         /* of the sums below */
    double mean_x, mean_y, xx, xy;
};

static int line_point(sqlite3_context *ctx, sqlite3_value **argv, struct point *p)
{
    int has_y = db_agg_number(ctx, "regr_slope", argv[0], &p->y);
    int has_x = has_y < 0 ? -1 : db_agg_number(ctx, "regr_slope", argv[1], &p->x);

    return has_y == 1 && has_x == 1;
}

/* Means, and sums of products of deviations, with one more point. */
static void line_add(struct line *s, const struct point *p)
{
    double dx = p->x - s->mean_x;

    s->n_in++;
    s->mean_x += dx / (double)s->n_in;
    s->mean_y += (p->y - s->mean_y) / (double)s->n_in;
    s->xx += dx * (p->x - s->mean_x);
    s->xy += dx * (p->y - s->mean_y);
}

static void line_step(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    struct line *s = sqlite3_aggregate_context(ctx, sizeof *s);
    struct point p;

    (void)argc;
    if (s == NULL) {
        sqlite3_result_error_nomem(ctx);
        return;
    }
    if (!line_point(ctx, argv, &p))
        return;
    if (s->n == s->cap) {
        size_t cap = s->cap == 0 ? 16 : s->cap * 2;
        struct point *wider = mem_resize(s->points, cap * sizeof *wider);
        if (wider == NULL) {
            sqlite3_result_error_nomem(ctx);
            return;
        }
        s->points = wider;
        s->cap = cap;
    }
    s->points[s->n++] = p;
    if (!s->is_sliding)
        line_add(s, &p);
}

/* Taking a point out of the sums would leave rounding behind; they are made anew when asked for. */
static void line_inverse(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    struct line *s = sqlite3_aggregate_context(ctx, sizeof *s);
    struct point p;

    (void)argc;
    if (s == NULL || !line_point(ctx, argv, &p) || s->head == s->n)
        return;
    s->head++;
    s->is_sliding = 1;
    if (s->head > 1024 && s->head * 2 > s->n) {
        memmove(s->points, s->points + s->head, (s->n - s->head) * sizeof *s->points);
        s->n -= s->head;
        s->head = 0;
    }
}

static void line_value(sqlite3_context *ctx)
{
    struct line *s = sqlite3_aggregate_context(ctx, 0);

    if (s == NULL)
        return;
    if (s->is_sliding) {
        s->mean_x = s->mean_y = s->xx = s->xy = 0;
        s->n_in = 0;
        for (size_t i = s->head; i < s->n; i++)
            line_add(s, &s->points[i]);
    }
    if (s->n_in >= 2 && s->xx > 0)
        sqlite3_result_double(ctx, s->xy / s->xx);
}

static void line_final(sqlite3_context *ctx)
{
    struct line *s = sqlite3_aggregate_context(ctx, 0);

    if (s == NULL)
        return;
    line_value(ctx);
    mem_free(s->points);
    memset(s, 0, sizeof *s);
}

int db_agg_series_add(sqlite3 *db, struct err *e)
{
    static const char *const NAMES[] = { MEAN, VAR };

    for (size_t i = 0; i < 2; i++)
        if (sqlite3_create_window_function(db, NAMES[i], 2, DB_FUNC_FLAGS, (void *)NAMES[i],
                                           ewm_step, ewm_final, ewm_value, ewm_inverse,
                                           NULL) != SQLITE_OK ||
            sqlite3_create_function_v2(db, NAMES[i], 3, DB_FUNC_FLAGS, (void *)NAMES[i], NULL,
                                       ewm_step, ewm_final, NULL) != SQLITE_OK)
            goto fail;
    if (sqlite3_create_window_function(db, "regr_slope", 2, DB_FUNC_FLAGS, NULL, line_step,
                                       line_final, line_value, line_inverse, NULL) == SQLITE_OK)
        return 0;
fail:
    return err_set(e, ERR_NOMEM, "SQL aggregates: %s", sqlite3_errmsg(db));
}
