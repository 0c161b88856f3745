/*
 * tide_block.h - the residual block of TiDE, forward and backward over a range of rows.
 *
 *   h = relu(x W1' + b1)    y = drop(h W2' + b2) + x Ws' + bs, then layer norm when asked
 *   x (R, I)   h (R, D)   y (R, O)   W1 (D, I)   W2 (O, D)   Ws (O, I)
 *
 * A block keeps what its way back needs for R rows, and its weights packed for both ways. Rows do
 * not touch each other but in the weight gradients, which are made at the end, for all rows at
 * once, by tide_block_tasks: so any rows may run on any thread and give the same bits.
 */
#ifndef MODEL_TIDE_BLOCK_H
#define MODEL_TIDE_BLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "tensor/par.h"

/* Where the parts lie in the parameter block; gamma and beta only with `norm`. */
struct tide_block_at {
    size_t w1, b1, w2, b2, ws, bs, gamma, beta;
};

struct tide_block {
    int I, D, O;
    int norm;
    int x0, x1;   /* columns of x whose gradient is wanted; x0 == x1: none */
    int has_drop; /* dropout may be on */
    struct tide_block_at at;

    /* packed weights: p for y = x W', q for dx = dy W */
    float *p1, *p2, *ps, *q1, *q2, *qs;

    /* kept for R rows; dy, dh, … only when made for training */
    size_t R;
    float *h, *y, *pre, *mean, *rstd; /* pre: y before the norm */
    uint16_t *mask;                   /* (R, words of O) */
    int words;
    float *dy, *dpre, *da, *dh; /* dpre is dy without norm; da is dpre without dropout */
};

/* Makes room for R rows, with the way back when `train`. -1 with `nomem`. */
int tide_block_init(struct tide_block *b, size_t R, int train, struct err *e);
void tide_block_deinit(struct tide_block *b);

#define TIDE_NORM_EPS 1e-5f

/* Packs matrix `i` of TIDE_PACKS from the parameters; those past 2 are for the way back. */
#define TIDE_PACKS 6
void tide_block_pack(struct tide_block *b, const float *params, int i);

/* Rows r0.. of b->y from x, whose rows lie ldx apart. drop is 1 / (1 - p), or 0 without dropout.
 * With `skip` b->y is left without the skip part, which goes there (rows, O), before dropout. */
void tide_block_fwd(struct tide_block *b, const float *params, const float *x, ptrdiff_t ldx,
                    size_t r0, int rows, float drop, float *skip);

/* Rows r0.. of dpre, da, dh from b->dy; columns x0..x1 of dx (rows lddx apart) when not NULL. */
void tide_block_bwd(struct tide_block *b, const float *params, size_t r0, int rows, float drop,
                    float *dx, ptrdiff_t lddx);

/* Only the first step of the way back: rows r0.. of dh from b->da. */
void tide_block_bwd_hidden(struct tide_block *b, size_t r0, int rows);

/* Gradients of gamma and beta over the first K rows, set; for a block with norm. In f64. */
void tide_block_norm_grads(struct tide_block *b, float *grads, size_t K);

/* One or two weight gradients of the same input: dW (O, I) = dY (K, O)' X (K, I), db (O) = sum over
 * K of dY. */
struct tide_task {
    struct {
        float *dw, *db;  /* set, not added to */
        const float *dy; /* NULL: there is no second */
        int O;
    } of[2];
    const float *x;
    ptrdiff_t ldx;
    int I;
    size_t K;
};

/* Writes the block's two tasks over its first K rows, gradients into `grads`. Returns 2. */
int tide_block_tasks(struct tide_block *b, struct tide_task *tasks, float *grads, const float *x,
                     ptrdiff_t ldx, size_t K);

/* Runs tasks on all lanes; `room` holds TIDE_ROOM floats for each lane. */
#define TIDE_COLS 128
#define TIDE_DEPTH 512
#define TIDE_ROOM ((size_t)TIDE_COLS * TIDE_DEPTH)
#define TIDE_TASKS 256
void tide_tasks_run(const struct tide_task *tasks, int n, float *room, struct par *par);

#endif
