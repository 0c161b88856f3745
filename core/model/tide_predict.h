/*
 * tide_predict.h - forecasts of a TiDE: direct, or by Monte-Carlo dropout.
 */
#ifndef MODEL_TIDE_PREDICT_H
#define MODEL_TIDE_PREDICT_H

#include "model/tide_window.h"

struct tide_predict_conf {
    int at;       /* first step to forecast; the lookback ends before it. L..T */
    int samples;  /* 0: direct. Else so many passes with dropout, each one draw from the output */
    uint64_t seed;
    int batch;
    int n_levels; /* with samples: the quantiles wanted of the draws; direct: 0 */
    double levels[LOSS_QUANTILES];
};

/* at = d->T, direct, batches of 256. */
void tide_predict_conf_init(struct tide_predict_conf *c, const struct tide_data *d);

/* Values for each step and target: n_levels with samples, else the model's own Q. */
int tide_predict_width(const struct tide *t, const struct tide_predict_conf *c);

/*
 * out (N, H, C, width): quantiles rise along the last dimension, never crossing (those a model
 * gives in the wrong order are put in order). Sampling from a point forecast uses dropout alone.
 * -1 with `shape`, `nan`, `invalid`, `nomem`, `cancelled`.
 */
int tide_predict(const struct tide *t, const struct tide_data *d, const struct tide_predict_conf *c,
                 float *out, struct par *par, const atomic_bool *stop, struct err *e);

#endif
