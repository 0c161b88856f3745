/*
 * test_gbt_train.c - training where there is no peer to compare with: the same model whatever the
 * threads, kernels and bundles; odd data; cancelling; memory that runs out.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "check.h"
#include "model/gbt_predict.h"
#include "model/gbt_text.h"
#include "model/gbt_train.h"
#include "tensor/kern.h"

#define F 9

static uint64_t state;

static double uniform(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)(state >> 11) * 0x1p-53;
}

struct data {
    float *x;
    double *y, *w;
    struct gbt_rows rows;
};

/* Numbers, few-valued ones that bundle, a category of 40, one of 600 (a wide column), missing. */
static struct data make(size_t n)
{
    struct data d = { malloc(n * F * sizeof(float)), malloc(n * sizeof(double)),
                      malloc(n * sizeof(double)), { { 0 }, NULL, NULL } };

    state = 88172645463325252u;
    for (size_t i = 0; i < n; i++) {
        float *x = d.x + i * F;
        int day = (int)(uniform() * 7);

        x[0] = (float)uniform();
        x[1] = uniform() < 0.1 ? NAN : (float)(uniform() * 100 - 50);
        x[2] = (float)day;
        x[3] = (float)(day >= 5);
        x[4] = (float)(int)(uniform() * 12);
        x[5] = (float)(int)(uniform() * 40);
        x[6] = (float)(int)(uniform() * 600);
        x[7] = 3;
        x[8] = uniform() < 0.9 ? 0 : (float)uniform();
        d.y[i] = 5 * (double)x[0] + (isnan(x[1]) ? 2 : (double)x[1] / 20) + (day >= 5 ? 3 : 0) +
                 ((int)x[5] % 3) + ((int)x[6] % 2) + (double)x[4] / 6 + uniform() + 3;
        d.w[i] = 0.5 + uniform();
    }
    d.rows = (struct gbt_rows){ { d.x, 1, n, F, F, 1 }, d.y, NULL };
    return d;
}

static void drop(struct data *d)
{
    free(d->x);
    free(d->y);
    free(d->w);
}

static void set(struct gbt_param *p, const char *name, const char *value)
{
    struct err e;

    if (gbt_param_set(p, name, value, &e) != 0) {
        printf("%s\n", e.text);
        CHECK(0 && "parameter");
    }
}

static struct gbt_param params(void)
{
    struct gbt_param p;

    gbt_param_init(&p);
    set(&p, "num_iterations", "6");
    set(&p, "num_leaves", "20");
    set(&p, "categorical_feature", "5,6");
    return p;
}

/* The text of a model, its parameters cut off. */
static char *train_text(const struct gbt_param *p, const struct gbt_rows *rows, int threads,
                        const char *kernel)
{
    struct gbt_model *m;
    struct par *par;
    struct buf b;
    struct err e;
    char *text;

    buf_init(&b, GBT_TEXT_MAX);
    CHECK_INT(kern_use(kernel), 0);
    CHECK_INT(par_new(&par, threads, &e), 0);
    if (gbt_train(&m, p, rows, NULL, NULL, NULL, NULL, par, &e) != 0) {
        printf("%s\n", e.text);
        CHECK(0 && "trained");
        exit(1);
    }
    CHECK_INT(gbt_text_write(m, 0, &b, &e), 0);
    text = strdup(buf_text(&b, &e));
    *strstr(text, "\nparameters:") = '\0';
    par_free(par);
    gbt_model_free(m);
    buf_deinit(&b);
    kern_use("best");
    return text;
}

/* Threads, kernels and bundles change nothing. */
static void test_same(size_t n, const char *goal, int weighted, const char *name, const char *value)
{
    struct gbt_param p = params();
    struct data d = make(n);
    char *one, *three, *ref, *loose;

    d.rows.weight = weighted ? d.w : NULL;
    set(&p, "objective", goal);
    if (name != NULL)
        set(&p, name, value);
    one = train_text(&p, &d.rows, 1, "best");
    three = train_text(&p, &d.rows, 3, "best");
    ref = train_text(&p, &d.rows, 2, "ref");
    p.enable_bundle = 0;
    loose = train_text(&p, &d.rows, 2, "best");
    CHECK(strlen(one) > 5000);
    CHECK(strcmp(one, three) == 0);
    CHECK(strcmp(one, ref) == 0);
    /* bundled sums of few rows are added in another order */
    CHECK(n < 131073 || weighted || strcmp(one, loose) == 0);
    free(one);
    free(three);
    free(ref);
    free(loose);
    drop(&d);
}

static double fit(const struct gbt_param *p, const struct gbt_rows *rows)
{
    struct gbt_watch watch = { .train_metric = 1 };
    struct gbt_report r;
    struct gbt_model *m;
    struct err e;
    double last;

    if (gbt_train(&m, p, rows, NULL, NULL, &watch, &r, NULL, &e) != 0) {
        printf("%s\n", e.text);
        CHECK(0 && "trained");
        return 0;
    }
    last = r.train[(r.n_iter - 1) * r.n_metrics];
    gbt_model_free(m);
    gbt_report_deinit(&r);
    return last;
}

/* Whole-number gradients of many rows learn as well as plain ones. */
static void test_precision(void)
{
    struct data many = make(131200), few = make(131000); /* the limit lies between */
    struct gbt_param p = params();

    set(&p, "num_iterations", "40");
    CHECK_NEAR(fit(&p, &many.rows), fit(&p, &few.rows), 0.02, 0);
    set(&p, "objective", "quantile");
    set(&p, "alpha", "0.9");
    CHECK_NEAR(fit(&p, &many.rows), fit(&p, &few.rows), 0.02, 0);
    set(&p, "objective", "tweedie");
    for (size_t i = 0; i < 131200; i++)
        many.y[i] = exp(many.y[i] / 3);
    for (size_t i = 0; i < 131000; i++)
        few.y[i] = exp(few.y[i] / 3);
    CHECK_NEAR(fit(&p, &many.rows), fit(&p, &few.rows), 0.02, 0);
    drop(&many);
    drop(&few);
}

/* Samples of rows and features still learn. */
static void test_samples(void)
{
    struct data d = make(20000);
    struct gbt_param p = params();
    double whole, mean = 0, var = 0;

    for (size_t i = 0; i < 20000; i++)
        mean += d.y[i] / 20000;
    for (size_t i = 0; i < 20000; i++)
        var += (d.y[i] - mean) * (d.y[i] - mean) / 20000;
    set(&p, "num_iterations", "60");
    whole = fit(&p, &d.rows);
    CHECK(whole < 0.1 * var);
    set(&p, "bagging_fraction", "0.6");
    set(&p, "bagging_freq", "2");
    set(&p, "feature_fraction", "0.7");
    set(&p, "feature_fraction_bynode", "0.7");
    CHECK(fit(&p, &d.rows) < 0.15 * var);
    p = params();
    set(&p, "num_iterations", "60");
    set(&p, "boosting", "goss");
    CHECK(fit(&p, &d.rows) < 0.15 * var);
    drop(&d);
}

static void refuse(struct gbt_param *p, struct gbt_rows *rows, enum err_code code)
{
    struct gbt_model *m;
    struct err e;

    CHECK_INT(gbt_train(&m, p, rows, NULL, NULL, NULL, NULL, NULL, &e), -1);
    CHECK(m == NULL);
    CHECK_INT(e.code, code);
}

static void test_odd(void)
{
    struct gbt_param p = params();
    struct data d = make(20000);

    /* ten thousand categories */
    for (size_t i = 0; i < 20000; i++)
        d.x[i * F + 5] = (float)(i % 10000);
    CHECK(fit(&p, &d.rows) > 0);
    d.x[5] = 3e9f;
    refuse(&p, &d.rows, ERR_LIMIT);
    d.x[5] = 1;
    d.x[7] = INFINITY;
    refuse(&p, &d.rows, ERR_NAN);
    d.x[7] = 3;
    d.y[77] = NAN;
    refuse(&p, &d.rows, ERR_NAN);
    d.y[77] = 0;
    set(&p, "objective", "binary");
    refuse(&p, &d.rows, ERR_INVALID);
    for (size_t i = 0; i < 20000; i++)
        d.y[i] = 1; /* one class only */
    CHECK(fit(&p, &d.rows) < 1e-6);
    set(&p, "objective", "poisson");
    for (size_t i = 0; i < 20000; i++)
        d.y[i] = 0;
    refuse(&p, &d.rows, ERR_INVALID);
    d.rows.x.n_rows = 3; /* fewer than a leaf needs */
    set(&p, "objective", "regression");
    CHECK_NEAR(fit(&p, &d.rows), 0, 1e-12, 1);
    d.rows.x.n_rows = 0;
    refuse(&p, &d.rows, ERR_SHAPE);
    d.rows.x.n_rows = 10;
    set(&p, "categorical_feature", "77");
    refuse(&p, &d.rows, ERR_SHAPE);
    p = params();
    set(&p, "objective", "multiclass");
    refuse(&p, &d.rows, ERR_INVALID);
    drop(&d);
}

static int countdown;

static int stop_later(void *ctx)
{
    (void)ctx;
    return --countdown < 0;
}

static void test_cancel(void)
{
    struct gbt_watch watch = { .cancelled = stop_later };
    struct gbt_param p = params();
    struct data d = make(3000);
    struct gbt_model *m;
    struct err e;

    countdown = 30; /* in the second tree */
    CHECK_INT(gbt_train(&m, &p, &d.rows, NULL, NULL, &watch, NULL, NULL, &e), -1);
    CHECK_INT(e.code, ERR_CANCELLED);
    CHECK(countdown == -1);
    drop(&d);
}

static void test_nomem(void)
{
    struct gbt_param p = params();
    struct data d = make(400);
    struct gbt_model *m;
    struct err e;
    size_t n;
    int rc = -1;

    set(&p, "num_iterations", "2");
    set(&p, "num_leaves", "4");
    set(&p, "bagging_freq", "1");
    set(&p, "bagging_fraction", "0.5");
    for (n = 1; rc != 0 && n < 2000; n++) {
        mem_fail_at(n);
        rc = gbt_train(&m, &p, &d.rows, &d.rows, NULL, NULL, NULL, NULL, &e);
        CHECK(rc == 0 || e.code == ERR_NOMEM);
    }
    mem_fail_at(0);
    CHECK(n > 50 && n < 2000);
    gbt_model_free(m);
    drop(&d);
}

int main(void)
{
    test_same(140000, "regression", 0, NULL, NULL);
    test_same(140000, "regression", 1, "lambda_l1", "0.5");
    test_same(140000, "poisson", 0, "max_bin", "1000");
    test_same(5000, "regression_l1", 0, "max_depth", "4");
    test_same(5000, "huber", 1, "monotone_constraints", "1,0,0,0,1");
    test_precision();
    test_samples();
    test_odd();
    test_cancel();
    test_nomem();
    CHECK_INT(mem_live(), 0);
    return check_done();
}
