/*
 * tide.h - the TiDE network: its configuration, its parameters by name, its two directions.
 *
 * Time-series Dense Encoder as darts builds it, with every quirk of that library kept on purpose.
 * Sources: Das et al. 2023 (arXiv:2304.08424); Kim et al. 2022 (instance norm).
 *
 * Shape letters: B samples, L past steps, H steps ahead, C targets, P past covariates, F future
 * covariates, S static ones, Q quantiles (1 for a point forecast).
 *
 * A `tide` is the definition and the parameters; a `tide_work` is the room one computation needs.
 * Many works may read one tide; while one trains, nobody else may use it.
 */
#ifndef MODEL_TIDE_H
#define MODEL_TIDE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "model/loss.h"
#include "tensor/par.h"

#define TIDE_NAME 48

struct tide_conf {
    int input_chunk, output_chunk, n_targets; /* L, H, C */
    int past_cov, future_cov, static_cov;     /* P, F, S */
    int n_enc, n_dec, decoder_out, hidden;
    int temporal_width_past, temporal_width_future;   /* 0: raw */
    int temporal_hidden_past, temporal_hidden_future; /* 0: as `hidden` */
    int temporal_decoder_hidden;
    int layer_norm;
    /* With one output a step, layer norm turns the temporal decoder into a constant: so it has its
     * own switch, off by default. darts and the paper's code have it on with layer_norm. */
    int layer_norm_temporal;
    int rin, rin_affine;
    double rin_eps, dropout;
    struct loss_conf loss; /* with n_quantiles = 0 the model gives one value */
};

/* One named tensor of the parameter block. */
struct tide_param {
    char name[TIDE_NAME];
    int rows, cols; /* cols 0: a vector of `rows` */
    size_t at, n;
};

struct tide {
    struct tide_conf conf;
    int Q;
    size_t n_params;
    float *params; /* (n_params); read-only when `borrowed` */
    int borrowed;  /* the parameters belong to somebody else */
    struct tide_param *table;
    int n_table;
};

/* darts' defaults for everything but the sizes of the data, which stay 0. */
void tide_conf_init(struct tide_conf *c);

/* -1 with `invalid` naming the member, what it is and what it may be. */
int tide_conf_check(const struct tide_conf *c, struct err *e);

/* A model with its parameters drawn from `seed`: each linear layer even in +-1 / sqrt(inputs). */
int tide_new(struct tide **out, const struct tide_conf *c, uint64_t seed, struct err *e);
/* A model on n parameters that lie somewhere else (a mapped file), to predict only. -1 with
 * `corrupt` when their number is not right, `nan` when they are not all finite. */
int tide_wrap(struct tide **out, const struct tide_conf *c, const float *params, size_t n,
              struct err *e);

/* Copies parameters that lie somewhere else, so that the model can be trained further. -1 with
 * `nomem`, nothing changed. What they lay in may go once nobody computes with the model. */
int tide_own(struct tide *t, struct err *e);

/* Draws the parameters anew. */
void tide_draw(struct tide *t, uint64_t seed);
void tide_free(struct tide *t); /* NULL is fine */

/*
 * Samples by pointer, so that windows are never copied out of the data they are cut from:
 * lookback[b] (L, C), past[b] (L, P), future[b] (L + H, F), fixed[b] (S), target[b] (H, C).
 * Arrays a configuration has no use for are NULL. A missing value (NaN) is filled in the lookback
 * by its neighbours and counts nothing in the target.
 */
struct tide_batch {
    int B;
    const float *const *lookback, *const *past, *const *future, *const *fixed, *const *target;
    const float *weight; /* (B) or NULL */
    /* When all past (future) pointers look into one array that samples share, its start: then the
     * projection of a time step is computed once for all samples that see it. Else NULL. */
    const float *past_base, *future_base;
    size_t past_rows, future_rows;
};

struct tide_work;

/* Room for batches of up to B samples; `train` for the way back too. Borrows t and par (which may
 * be NULL: one thread). */
int tide_work_new(struct tide_work **out, const struct tide *t, int B, int train, struct par *par,
                  struct err *e);
void tide_work_free(struct tide_work *w);
size_t tide_work_bytes(const struct tide_work *w);

/* Layer norm over a single value is beta whatever comes in, and nothing before it learns. From
 * here on such a dense part is left out: the same output and gradients, bit for bit, in a fraction
 * of the time. Nothing happens to a network whose temporal decoder is no constant. Afterwards
 * tide_work_look knows "y_norm", "y" and "dy" only. */
void tide_work_skip_constant(struct tide_work *w);

/* The parameters changed: packs them anew at the next call. */
void tide_work_stale(struct tide_work *w);

/* How dropout is done: off; drawn anew from (key, stream); or with the masks that are there. */
enum tide_drop { TIDE_DROP_OFF, TIDE_DROP_DRAW, TIDE_DROP_KEEP };
struct tide_noise {
    enum tide_drop mode;
    uint64_t key, stream;
};

/* out (B, H, C, Q) from the batch. Returns -1 with `cancelled` when *stop became true on the way
 * (stop may be NULL), `limit` for a batch larger than the room, `nomem`. */
int tide_forward(struct tide_work *w, const struct tide_batch *b, const struct tide_noise *noise,
                 float *out, const atomic_bool *stop, struct err *e);

/*
 * The loss of a batch (mean over its samples, steps and targets) and its gradient in every
 * parameter: grads (n_params) is set. Errors as tide_forward, and `nan` when no target is there.
 */
int tide_backward(struct tide_work *w, const struct tide_batch *b, const struct tide_noise *noise,
                  float *grads, double *loss, const atomic_bool *stop, struct err *e);

/* For tests: what the last call left, by name; NULL when there is no such. "dy", "encoder_in",
 * "encoder_out", "decoder_out", "temporal_in", "temporal_out", "y_norm" (before
 * the way out of rin) and "y", rows of `width`. */
const float *tide_work_look(struct tide_work *w, const char *name, size_t *width);
/* The keep bits of a block ("encoders.0", …): rows of `words` words for `n` values each. */
uint16_t *tide_work_mask(struct tide_work *w, const char *block, int *words, int *n);

#endif
