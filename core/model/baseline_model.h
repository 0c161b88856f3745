/*
 * baseline_model.h - a baseline over many series at once: fit, predict, the same steps as tide.
 *
 * Data are one block (series x time), NaN = missing. Only ridge learns a forecast in fit; every
 * other method reads what it needs from the series it is asked to continue, so it may be asked
 * about series fit has never seen. Intervals of the kind `rolling` are learnt in fit by every
 * method but croston, sba and tsb, whose own are of demand. Predicting is cut into ranges of rows that may run on any
 * threads at once, in any order: the bits are the same.
 */
#ifndef MODEL_BASELINE_MODEL_H
#define MODEL_BASELINE_MODEL_H

#include "model/baseline.h"

/* (N, T), f64 or f32: one of the pointers. Row i starts at i * stride. Borrowed. */
struct baseline_block {
    const double *d;
    const float *f;
    size_t N, T, stride;
};

/* Where forecasts go, in f64 or f32: mean (N, H) and quantile (N, H, Q) or NULL, both whole
 * arrays of which a range writes its rows. `each` (N) or NULL: what every series came to, its
 * arrays NULL. Series without a forecast get NaN. */
struct baseline_out {
    double *mean_d, *quantile_d;
    float *mean_f, *quantile_f;
    struct baseline_result *each;
};

/* Asked before every series; not 0 stops with `cancelled`. fn may be NULL. */
struct baseline_stop {
    int (*fn)(void *arg);
    void *arg;
};

struct baseline_model;

/*
 * Fits to a block. H is the horizon (ridge learns one map per step; others only keep it). The
 * caller owns *out. Errors: invalid, shape, nan, limit, nomem, cancelled.
 */
int baseline_model_fit(struct baseline_model **out, const struct baseline_opt *o, size_t H,
                       const struct baseline_block *data, const struct baseline_stop *stop,
                       struct err *e);

/* A model as it was: weights are both lists, one behind the other. `shape` when count does not fit. */
int baseline_model_restore(struct baseline_model **out, const struct baseline_opt *o, size_t H,
                           const double *weights, size_t count, struct err *e);

void baseline_model_free(struct baseline_model *m); /* NULL is fine */

/*
 * Continues rows [from, to) of the block by H steps. levels (Q) ascending, Q = 0 for none. Ridge:
 * H at most the one it was fitted for. Errors: invalid, shape, nan, nomem, cancelled.
 */
int baseline_model_predict(const struct baseline_model *m, const struct baseline_block *data,
                           size_t from, size_t to, size_t H, const double *levels, size_t Q,
                           const struct baseline_out *out, const struct baseline_stop *stop,
                           struct err *e);

const struct baseline_opt *baseline_model_opt(const struct baseline_model *m); /* borrowed */
size_t baseline_model_horizon(const struct baseline_model *m);

/* What was learnt, as numbers for a file: ridge's weights, then intervals. Two lists, borrowed, each
 * NULL and 0 when there is none. */
const double *baseline_model_weights(const struct baseline_model *m, size_t *count);
const double *baseline_model_intervals(const struct baseline_model *m, size_t *count);

#endif
