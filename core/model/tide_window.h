/*
 * tide_window.h - training samples as windows onto one block of series: cut on the fly, never
 * copied. A window starts at step s of a series: L steps of lookback, then H to forecast.
 */
#ifndef MODEL_TIDE_WINDOW_H
#define MODEL_TIDE_WINDOW_H

#include "model/tide.h"

/*
 * N series of T known steps. All arrays are borrowed and dense; those of a width of 0 are NULL.
 * Past covariates reach to T, future ones to T_future >= T.
 */
struct tide_data {
    int N, T, T_future;
    const float *y;      /* (N, T, C) */
    const float *past;   /* (N, T, P), or (T, P) when past_shared */
    const float *future; /* (N, T_future, F), or (T_future, F) when future_shared */
    const float *fixed;  /* (N, S) */
    const float *weight; /* (N, T) or NULL: a window weighs the mean over its H target steps, … */
    int weight_lookback; /* … or over its L past ones */
    const uint8_t *keep; /* (N, T) or NULL: not 0 where a window may start */
    int past_shared, future_shared;
    int missing; /* NaN allowed in y: filled in lookbacks, ignored in targets */
};

/* Shapes, lengths, NaN and infinity: everything the network takes for granted. -1 with `shape`,
 * `nan`, `invalid`, the message naming array, series and step. */
int tide_data_check(const struct tide_data *d, const struct tide_conf *c, struct err *e);

/* The windows whose H target steps lie in from..to-1. */
struct tide_windows {
    const struct tide_data *d;
    int L, H;
    int first, n_starts, stride; /* of each series: first, first + stride, … */
    uint32_t *list;              /* those that are kept, or NULL: all */
    size_t n;
};

/* No window at all is fine here (n = 0). -1 with `nomem` or `limit`. */
int tide_windows_init(struct tide_windows *w, const struct tide_data *d,
                      const struct tide_conf *c, int from, int to, int stride, struct err *e);
void tide_windows_deinit(struct tide_windows *w);

/* Series and first step of window i. */
void tide_windows_at(const struct tide_windows *w, size_t i, int *series, int *start);

/* A batch and its pointers, filled again and again. */
struct tide_cut {
    struct tide_batch b;
    const float **pointers; /* five lists of `room` */
    float *weight;
    int room;
};
int tide_cut_init(struct tide_cut *c, int room, struct err *e);
void tide_cut_deinit(struct tide_cut *c);
void tide_cut_clear(struct tide_cut *c, const struct tide_data *d);
/* Adds a window; there must be room. With has_target 0 the target stays NULL. */
void tide_cut_add(struct tide_cut *c, const struct tide_data *d, const struct tide_conf *conf,
                  int series, int start, int has_target);

#endif
