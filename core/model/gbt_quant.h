/*
 * gbt_quant.h - gradients as whole numbers of 16 bits, rounded up or down by a fair coin that
 * depends on the row and the tree only. Sums keep their expectation, and the coin is the same for
 * any number of threads.
 *
 * Source: Shi et al. 2022, arXiv:2207.09682 (quantised training of boosted trees), there with 2 to
 * 5 bits.
 */
#ifndef MODEL_GBT_QUANT_H
#define MODEL_GBT_QUANT_H

#include <stddef.h>
#include <stdint.h>

#include "tensor/par.h"

#define GBT_QUANT_MAX 32767 /* of g; h has no sign and uses twice that */

struct gbt_quant {
    double g_scale, h_scale; /* gradient = scale * whole number */
};

/*
 * gh[r] of rows idx[0..n) (NULL: 0..n). h NULL: all hessians are `h_const`, stored as 1. `coin` is
 * the seed of this tree.
 */
struct gbt_quant gbt_quant_rows(const float *g, const float *h, double h_const, const uint32_t *idx,
                                size_t n, uint32_t coin, uint32_t *gh, struct par *par);

#endif
