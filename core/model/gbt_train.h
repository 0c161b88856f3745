/*
 * gbt_train.h - gradient boosting: from rows and labels to a model.
 *
 * The same model, bit by bit, for the same parameters (seed among them), whatever the number of
 * threads. Start at gbt_train; a tree is grown in gbt_grow.c.
 */
#ifndef MODEL_GBT_TRAIN_H
#define MODEL_GBT_TRAIN_H

#include "model/gbt_matrix.h"
#include "model/gbt_model.h"
#include "model/gbt_param.h"
#include "tensor/par.h"

/* Rows with what is to be learned. All borrowed. */
struct gbt_rows {
    struct gbt_matrix x;
    const double *label;    /* [n_rows] */
    const double *weight;   /* [n_rows] or NULL */
};

/* What a caller may follow and stop. */
struct gbt_watch {
    int (*cancelled)(void *ctx);  /* asked before every split, NULL: never */
    /* After each iteration, with the metrics so far; NULL: not told. */
    void (*told)(void *ctx, int iteration, const double *train, const double *valid);
    void *ctx;
    int train_metric;             /* also measure the training rows */
};

/* The course of a training. */
struct gbt_report {
    int n_metrics, n_iter;        /* n_iter: iterations measured */
    enum gbt_metric_id metrics[GBT_METRICS_MAX];
    double *train, *valid;        /* (n_iter, n_metrics) or NULL */
    int best_iter;                /* iterations in the model */
};

void gbt_report_deinit(struct gbt_report *r);

/*
 * Trains. `valid` NULL: no validation and no early stopping. feature_names NULL: Column_0 ….
 * report and watch may be NULL. The model is owned by the caller. Errors: shape, nan, invalid,
 * limit, nomem, cancelled.
 */
int gbt_train(struct gbt_model **out, const struct gbt_param *p, const struct gbt_rows *rows,
              const struct gbt_rows *valid, const char *const *feature_names,
              const struct gbt_watch *watch, struct gbt_report *report, struct par *par,
              struct err *e);

#endif
