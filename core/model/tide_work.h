/*
 * tide_work.h - the room of one computation of a TiDE. For tide_net.c and tide_tile.c only.
 */
#ifndef MODEL_TIDE_WORK_H
#define MODEL_TIDE_WORK_H

#include "model/tide.h"
#include "model/tide_layout.h"
#include "model/tide_proj.h"

/* Samples that go through the network together: three blocks of rows of the product kernel. */
#define TILE 36

struct tide_work {
    const struct tide *t;
    struct par *par;
    struct tide_layout l;
    struct tide_proj past, future;
    int B, train, stale;
    int constant; /* the temporal decoder is its beta: nothing of the dense part is computed */
    size_t R; /* rows of the arrays: B when training, else TILE for each lane */
    size_t bytes;

    float *in;          /* (R, in_width): the encoder's input */
    float *mean, *std;  /* (R, C) of instance norm */
    float *zt;          /* (R C, L): the lookback by target; C > 1 only */
    float *tin;         /* (R H, temporal.I) */
    float *sk, *dsk;    /* (R C, H Q): the lookback skip, C > 1 only */
    float *yn, *y, *dy; /* (R, H C Q): output before and after the way out of rin; its gradient */
    float *din;         /* (R, columns of in that lead to parameters) */
    float *dtin;        /* (R H, temporal.x1) */
    float *dzt;         /* (R C, L) */
    float *pskip, *qskip;
    float *scratch;     /* a part for each lane */
    size_t scratch_n;
    float *room;        /* TIDE_ROOM for each lane */
    double *part;       /* (B, 4 C): rin gradients of each sample */
    double *row_loss;   /* (B) */

    /* of the call in progress */
    const struct tide_batch *batch;
    const struct tide_noise *noise;
    const atomic_bool *stop;
    float *out, *grads;
    float drop;   /* 1 / (1 - p), 0: off */
    double scale; /* 1 / number of targets */
    int backward;
};

static inline int tide_work_stopped(const struct tide_work *w)
{
    return w->stop != NULL && atomic_load_explicit(w->stop, memory_order_relaxed) != 0;
}

/* par_fn of the tiles of a batch: all the way there and, when w->backward, back. */
void tide_tile_run(void *ctx, int chunk, int lane);

#endif
