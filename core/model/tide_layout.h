/*
 * tide_layout.h - how a TiDE of given sizes is put together: its blocks in order, and where each
 * part lies in the parameter block and in the encoder's input. For the
 * files of tide_*.c only.
 */
#ifndef MODEL_TIDE_LAYOUT_H
#define MODEL_TIDE_LAYOUT_H

#include "model/tide.h"
#include "model/tide_block.h"

#define TIDE_CHAIN 128

struct tide_layout {
    int has_past, has_future;     /* there is a projection */
    int past_width, future_width; /* of a step, projected or raw */
    /* columns of the encoder's input: lookback from 0, then these */
    int past_at, future_at, fixed_at, in_width;
    size_t rin_w, rin_b, skip_w, skip_b; /* in the parameter block */
    struct tide_block past, future, temporal;
    struct tide_block chain[TIDE_CHAIN]; /* encoders, then decoders */
    int n_chain;
};

/* Fills in sizes and places; the blocks have no room yet. */
void tide_layout_make(struct tide_layout *l, const struct tide *t);

#endif
