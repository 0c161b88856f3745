/*
 * kern_ref.c - the plain kernels: the definition of every other, and the fallback.
 *
 * The product sums in f64, in index order; faster versions are compared with it.
 */
#include "tensor/kern.h"

#define FN(name) ref_##name
#include "tensor/kern_loops.h"

static void ref_pack_cols(float *out, const float *b, ptrdiff_t ld, int k, int n)
{
    for (int j0 = 0; j0 < n; j0 += PANEL)
        for (int i = 0; i < k; i++)
            for (int j = j0; j < j0 + PANEL; j++)
                *out++ = j < n ? b[j * ld + i] : 0;
}

static float finish(const struct gemm *g, int i, int j, float v)
{
    if (g->bias != NULL)
        v += g->bias[j];
    if (g->mask != NULL)
        v = (g->mask[i * g->mask_words + j / 16] >> (j % 16) & 1) != 0 ? v * g->mask_scale : 0;
    if (g->relu && v < 0) /* written so that NaN stays NaN */
        v = 0;
    if (g->gate != NULL && !(g->gate[i * g->ld_gate + j] > 0))
        v = 0;
    if (g->add)
        v += g->c[i * g->ldc + j];
    return v;
}

static void ref_gemm(const struct gemm *g)
{
    for (int i = 0; i < g->m; i++)
        for (int j = 0; j < g->n; j++) {
            const float *b = g->b + kern_packed(g->k, j / PANEL * PANEL) + j % PANEL;
            double s = 0;
            for (int k = 0; k < g->k; k++)
                s += (double)g->a[i * g->rs + k * g->cs] * (double)b[(ptrdiff_t)k * PANEL];
            g->c[i * g->ldc + j] = finish(g, i, j, (float)s);
        }
}

const struct kern kern_ref = {
    .name = "ref",
    .pack_rows = ref_pack_rows,
    .pack_cols = ref_pack_cols,
    .gemm = ref_gemm,
    .norm_fwd = ref_norm_fwd,
    .norm_bwd = ref_norm_bwd,
    .drop = ref_drop,
    .mask = ref_mask,
    .colsum = ref_colsum,
    .add = ref_add,
    .take = ref_take,
    .standard = ref_standard,
    .dot = ref_dot,
    .adam = ref_adam,
    .sgd = ref_sgd,
};
