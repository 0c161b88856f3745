/*
 * tide_proj.h - the projection of covariates, step by step, into a part of the encoder's input.
 *
 * One residual block for all steps of all samples. When samples share a covariate array (a
 * calendar), a step that many of them see is projected once: dropout and layer norm, which differ
 * by sample, come after. n is the number of steps of a sample, w the projected width.
 */
#ifndef MODEL_TIDE_PROJ_H
#define MODEL_TIDE_PROJ_H

#include "model/tide.h"
#include "model/tide_block.h"

struct tide_proj {
    struct tide_block block; /* norm is done here, per sample */
    int used, norm, n, w, train;
    int B;
    float *skip;    /* (R, w): the block's skip part; block.y holds the rest, before dropout */
    float *x;       /* (R, in): the steps side by side; only when they are not shared */
    size_t R, n_rows; /* room for rows, rows in use */
    size_t *row0;   /* (B): first row of a sample */
    const float *rows; /* the rows: x, or a part of the shared array */
    uint16_t *mask; /* (B, words) */
    int words;
    float *mean, *rstd;      /* (B, n) */
    float *dpre, *da;        /* (B, n w) */
    float *part;             /* (B, 2 w): gamma and beta gradients of each sample */
    int shared;
};

/* Room for B samples; the rows' room is made by tide_proj_rows. */
int tide_proj_init(struct tide_proj *p, const struct tide_block *b, int norm, int n, int B,
                   int train, struct err *e);
void tide_proj_deinit(struct tide_proj *p);

/* Lays the steps of a batch out as rows. `base` as in tide_batch. Returns 1 when the block got new
 * room and must be packed again, 0 when not, -1 with `nomem`. */
int tide_proj_rows(struct tide_proj *p, int B, const float *const *from, const float *base,
                   size_t base_rows, struct err *e);

/* Chunk `chunk` of tide_proj_chunks(p): projects those rows. */
int tide_proj_chunks(const struct tide_proj *p);
void tide_proj_fwd(struct tide_proj *p, const float *params, int chunk);

/* Sample b's part of the encoder's input. drop is 1 / (1 - p) or 0. */
void tide_proj_take(struct tide_proj *p, const float *params, int b, float drop, float *out);

/* The way back of tide_proj_take: dout (n w) is overwritten. `room` holds n w floats. */
void tide_proj_give(struct tide_proj *p, const float *params, int b, float drop, float *dout,
                    float *room);

/* When all samples have given: chunk `chunk` collects their gradients by row and goes back. */
void tide_proj_bwd(struct tide_proj *p, int B, float drop, int chunk);

/* Gradients of gamma and beta, added up in sample order. */
void tide_proj_norm_grads(const struct tide_proj *p, float *grads, int B);

#endif
