/*
 * tide_net.c - the two directions of TiDE, cut for threads and caches. See tide.h.
 *
 * A step runs in phases, each a call of par_run:
 *   pack     weights that changed, both ways
 *   project  covariate steps (tide_proj.c)
 *   tile     TILE samples go through the whole network, and when training all the way back, while
 *            their values are in the cache of one core
 *   collect  gradients of projected steps, by row
 *   weights  every weight gradient, over all samples at once
 * Samples meet only in the last two, where the order of sums is fixed: the bits do not depend on
 * the number of threads, nor on TILE.
 *
 * Start at tide_backward, then run_tile, forward, backward.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/tide.h"
#include "model/tide_layout.h"
#include "model/tide_proj.h"
#include "tensor/kern.h"

#define TILE 36

struct tide_work {
    const struct tide *t;
    struct par *par;
    struct tide_layout l;
    struct tide_proj past, future;
    int B, train, stale;
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
    const atomic_int *stop;
    float *out, *grads;
    float drop;   /* 1 / (1 - p), 0: off */
    double scale; /* 1 / number of targets */
    int backward;
};

static int is_stopped(const struct tide_work *w)
{
    return w->stop != NULL && atomic_load_explicit(w->stop, memory_order_relaxed) != 0;
}

/* --- room --- */

static float *floats(struct tide_work *w, size_t n, int *failed)
{
    float *p = *failed ? NULL : mem_aligned((n + 16) * sizeof *p);

    if (p == NULL)
        *failed = 1;
    else
        w->bytes += n * sizeof *p;
    return p;
}

static int make_rows(struct tide_work *w)
{
    const struct tide_conf *c = &w->t->conf;
    const struct tide_layout *l = &w->l;
    size_t R = w->R, C = (size_t)c->n_targets, H = (size_t)c->output_chunk;
    size_t L = (size_t)c->input_chunk, Q = (size_t)w->t->Q, lanes = (size_t)par_threads(w->par);
    int failed = 0;

    w->in = floats(w, R * (size_t)l->in_width, &failed);
    w->mean = floats(w, R * C, &failed);
    w->std = floats(w, R * C, &failed);
    w->tin = floats(w, R * H * (size_t)l->temporal.I, &failed);
    w->yn = floats(w, R * H * C * Q, &failed);
    w->y = floats(w, R * H * C * Q, &failed);
    w->pskip = floats(w, kern_packed((int)L, (int)(H * Q)), &failed);
    if (C > 1) {
        w->zt = floats(w, R * C * L, &failed);
        w->sk = floats(w, R * C * H * Q, &failed);
    }
    if (w->train) {
        w->qskip = floats(w, kern_packed((int)(H * Q), (int)L), &failed);
        w->dy = floats(w, R * H * C * Q, &failed);
        w->din = floats(w, R * (size_t)(l->chain[0].x1 - l->chain[0].x0), &failed);
        w->dtin = floats(w, R * H * (size_t)l->temporal.x1, &failed);
        w->room = floats(w, lanes * TIDE_ROOM, &failed);
        if (C > 1) {
            w->dsk = floats(w, R * C * H * Q, &failed);
            w->dzt = floats(w, R * C * L, &failed);
        }
    }
    w->scratch_n = L * C + (L + H) * (size_t)(l->past_width + l->future_width) + 64;
    w->scratch = floats(w, lanes * w->scratch_n, &failed);
    w->part = mem_zero((size_t)w->B * 4 * C, sizeof *w->part);
    w->row_loss = mem_zero((size_t)w->B, sizeof *w->row_loss);
    return failed || w->part == NULL || w->row_loss == NULL ? -1 : 0;
}

int tide_work_new(struct tide_work **out, const struct tide *t, int B, int train, struct par *par,
                  struct err *e)
{
    const struct tide_conf *c = &t->conf;
    struct tide_work *w = mem_zero(1, sizeof *w);

    *out = NULL;
    if (w == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a batch of %d", B);
    w->t = t;
    w->par = par;
    w->B = B;
    w->train = train;
    w->stale = 1;
    w->R = train ? (size_t)B : (size_t)par_threads(par) * TILE;
    tide_layout_make(&w->l, t);
    struct tide_layout *l = &w->l;
    if (make_rows(w) != 0) {
        err_set(e, ERR_NOMEM, "no memory for a batch of %d", B);
        goto fail;
    }
    for (int i = 0; i < l->n_chain; i++)
        if (tide_block_init(&l->chain[i], w->R, train, e) != 0)
            goto fail;
    if (tide_block_init(&l->temporal, w->R * (size_t)c->output_chunk, train, e) != 0)
        goto fail;
    if (l->has_past && tide_proj_init(&w->past, &l->past, c->layer_norm, c->input_chunk, B, train,
                                      e) != 0)
        goto fail;
    if (l->has_future && tide_proj_init(&w->future, &l->future, c->layer_norm,
                                        c->input_chunk + c->output_chunk, B, train, e) != 0)
        goto fail;
    *out = w;
    return 0;
fail:
    tide_work_free(w);
    return -1;
}

void tide_work_free(struct tide_work *w)
{
    if (w == NULL)
        return;
    float *all[] = {w->in, w->mean, w->std, w->zt,   w->tin,   w->sk,    w->dsk,     w->yn,  w->y,
                    w->dy, w->din,  w->dtin, w->dzt, w->pskip, w->qskip, w->scratch, w->room};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        mem_free(all[i]);
    for (int i = 0; i < w->l.n_chain; i++)
        tide_block_deinit(&w->l.chain[i]);
    tide_block_deinit(&w->l.temporal);
    tide_proj_deinit(&w->past);
    tide_proj_deinit(&w->future);
    mem_free(w->part);
    mem_free(w->row_loss);
    mem_free(w);
}

size_t tide_work_bytes(const struct tide_work *w)
{
    return w->bytes;
}

void tide_work_stale(struct tide_work *w)
{
    w->stale = 1;
}

/* --- packing --- */

static void pack_chunk(void *ctx, int chunk, int lane)
{
    struct tide_work *w = ctx;
    const struct tide_layout *l = &w->l;
    const float *params = w->t->params;
    int HQ = w->t->conf.output_chunk * w->t->Q, L = w->t->conf.input_chunk;
    int b = chunk / TIDE_PACKS, i = chunk % TIDE_PACKS;

    (void)lane;
    if (b < l->n_chain) {
        tide_block_pack(&w->l.chain[b], params, i);
    } else if (b == l->n_chain) {
        tide_block_pack(&w->l.temporal, params, i);
    } else if (b == l->n_chain + 1) {
        if (w->past.used)
            tide_block_pack(&w->past.block, params, i);
    } else if (b == l->n_chain + 2) {
        if (w->future.used)
            tide_block_pack(&w->future.block, params, i);
    } else if (i == 0) {
        kern()->pack_cols(w->pskip, params + l->skip_w, L, L, HQ);
    } else if (i == 1 && w->train) {
        kern()->pack_rows(w->qskip, params + l->skip_w, L, HQ, L);
    }
}

/* --- one tile --- */

/* The lookback with its gaps filled: the last value before, or the first after, or 0. */
static void fill(float *out, const float *x, int L, int C)
{
    int missing = 0;

    for (int i = 0; i < L * C; i++) {
        out[i] = x[i];
        missing |= isnan(x[i]);
    }
    for (int c = 0; missing && c < C; c++) {
        float last = 0;
        for (int t = L - 1; t >= 0; t--)
            last = isnan(out[t * C + c]) ? last : out[t * C + c];
        for (int t = 0; t < L; t++) {
            if (isnan(out[t * C + c]))
                out[t * C + c] = last;
            last = out[t * C + c];
        }
    }
}

/* Mean and deviation of a lookback, then in place (x - mean) / std. */
static void normalise(float *x, float *mean, float *std, int L, int C, double eps)
{
    for (int c = 0; c < C; c++) {
        double s = 0, q = 0;
        for (int t = 0; t < L; t++)
            s += (double)x[t * C + c];
        s /= L;
        for (int t = 0; t < L; t++)
            q += ((double)x[t * C + c] - s) * ((double)x[t * C + c] - s);
        q = sqrt(q / L + eps);
        mean[c] = (float)s;
        std[c] = (float)q;
        for (int t = 0; t < L; t++)
            x[t * C + c] = (float)(((double)x[t * C + c] - s) / q);
    }
}

static void gather(struct tide_work *w, int b, size_t row)
{
    const struct tide_conf *c = &w->t->conf;
    const struct tide_layout *l = &w->l;
    const struct tide_batch *batch = w->batch;
    const float *params = w->t->params;
    int L = c->input_chunk, H = c->output_chunk, C = c->n_targets;
    float *in = w->in + row * (size_t)l->in_width;

    fill(in, batch->lookback[b], L, C);
    if (c->rin)
        normalise(in, w->mean + row * (size_t)C, w->std + row * (size_t)C, L, C, c->rin_eps);
    if (c->rin && c->rin_affine)
        for (int t = 0; t < L; t++)
            for (int i = 0; i < C; i++)
                in[t * C + i] = in[t * C + i] * params[l->rin_w + (size_t)i] +
                                params[l->rin_b + (size_t)i];
    if (C > 1)
        for (int i = 0; i < C; i++)
            for (int t = 0; t < L; t++)
                w->zt[(row * (size_t)C + (size_t)i) * (size_t)L + (size_t)t] = in[t * C + i];
    if (l->has_past)
        tide_proj_take(&w->past, params, b, w->drop, in + l->past_at);
    else if (c->past_cov > 0)
        memcpy(in + l->past_at, batch->past[b], (size_t)(L * c->past_cov) * sizeof *in);
    if (l->has_future)
        tide_proj_take(&w->future, params, b, w->drop, in + l->future_at);
    else if (c->future_cov > 0)
        memcpy(in + l->future_at, batch->future[b],
               (size_t)((L + H) * c->future_cov) * sizeof *in);
    if (c->static_cov > 0)
        memcpy(in + l->fixed_at, batch->fixed[b], (size_t)c->static_cov * sizeof *in);
}

/* New keep bits for rows of a block; `first` is the row's number in the batch. */
static void draw(const struct tide_work *w, uint16_t *mask, int words, size_t row, size_t first,
                 size_t rows, uint64_t block)
{
    if (w->noise->mode == TIDE_DROP_DRAW)
        kern()->mask(mask + row * (size_t)words, first * (size_t)words, rows * (size_t)words,
                     w->noise->key, w->noise->stream << 8 | block,
                     (uint32_t)lrint((1 - w->t->conf.dropout) * 65536));
}

/* Samples b0.. in rows r0.., to yn and y. */
static void forward(struct tide_work *w, int b0, int n, size_t r0)
{
    const struct tide_conf *c = &w->t->conf;
    struct tide_layout *l = &w->l;
    const float *params = w->t->params;
    const size_t H = (size_t)c->output_chunk, C = (size_t)c->n_targets, Q = (size_t)w->t->Q;
    const size_t L = (size_t)c->input_chunk, rows = (size_t)n, DQ = (size_t)c->decoder_out * Q;
    const size_t TI = (size_t)l->temporal.I;
    struct tide_block *last = &l->chain[l->n_chain - 1];

    if (w->drop > 0) {
        for (int i = 0; i < l->n_chain; i++)
            draw(w, l->chain[i].mask, l->chain[i].words, r0, (size_t)b0, rows, (uint64_t)i);
        draw(w, l->temporal.mask, l->temporal.words, r0 * H, (size_t)b0 * H, rows * H, 253);
        if (l->has_past)
            draw(w, w->past.mask, w->past.words, (size_t)b0, (size_t)b0, rows, 254);
        if (l->has_future)
            draw(w, w->future.mask, w->future.words, (size_t)b0, (size_t)b0, rows, 255);
    }
    for (int i = 0; i < n; i++)
        gather(w, b0 + i, r0 + (size_t)i);
    tide_block_fwd(&l->chain[0], params, w->in + r0 * (size_t)l->in_width, l->in_width, r0, n,
                   w->drop, NULL);
    for (int i = 1; i < l->n_chain; i++) {
        const struct tide_block *before = &l->chain[i - 1];
        tide_block_fwd(&l->chain[i], params, before->y + r0 * (size_t)before->O, before->O, r0, n,
                       w->drop, NULL);
    }
    for (size_t r = r0; r < r0 + rows; r++)
        for (size_t h = 0; h < H; h++) {
            float *tin = w->tin + (r * H + h) * TI;
            memcpy(tin, last->y + (r * H + h) * DQ, DQ * sizeof *tin);
            memcpy(tin + DQ,
                   w->in + r * (size_t)l->in_width + (size_t)l->future_at +
                       (L + h) * (size_t)l->future_width,
                   (size_t)l->future_width * sizeof *tin);
        }
    tide_block_fwd(&l->temporal, params, w->tin + r0 * H * TI, (ptrdiff_t)TI, r0 * H,
                   (int)(rows * H), w->drop, NULL);

    /* the lookback skip, onto the temporal decoder's output */
    float *yn = w->yn + r0 * H * C * Q;
    memcpy(yn, l->temporal.y + r0 * H * C * Q, rows * H * C * Q * sizeof *yn);
    struct gemm skip = {.c = yn, .ldc = (ptrdiff_t)(H * Q),
                        .a = w->in + r0 * (size_t)l->in_width, .rs = l->in_width, .cs = 1,
                        .b = w->pskip, .m = n, .n = (int)(H * Q), .k = (int)L,
                        .bias = params + l->skip_b, .add = 1};
    if (C > 1) { /* (C, H Q) is turned and read as (H, C Q): darts' order, see golden/tensor */
        skip.c = w->sk + r0 * C * H * Q;
        skip.a = w->zt + r0 * C * L;
        skip.rs = (ptrdiff_t)L;
        skip.m = (int)(rows * C);
        skip.add = 0;
    }
    kern()->gemm(&skip);
    for (size_t r = 0; C > 1 && r < rows; r++)
        for (size_t i = 0; i < C; i++)
            for (size_t q = 0; q < H * Q; q++)
                yn[r * H * C * Q + q * C + i] += w->sk[((r0 + r) * C + i) * H * Q + q];

    float *y = w->y + r0 * H * C * Q;
    if (!c->rin) {
        memcpy(y, yn, rows * H * C * Q * sizeof *y);
        return;
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t h = 0; h < H; h++)
            for (size_t i = 0; i < C; i++) {
                double d = 1, o = 0;
                if (c->rin_affine) {
                    d = (double)params[l->rin_w + i] + c->rin_eps * c->rin_eps;
                    o = (double)params[l->rin_b + i];
                }
                for (size_t q = 0; q < Q; q++, y++, yn++)
                    *y = (float)(((double)*yn - o) / d * (double)w->std[(r0 + r) * C + i] +
                                 (double)w->mean[(r0 + r) * C + i]);
            }
}

/* Loss of a sample, dy, and from it the gradient before the way out of rin, in temporal.dy. */
static void lose(struct tide_work *w, int b, size_t row)
{
    const struct tide_conf *c = &w->t->conf;
    const struct tide_layout *l = &w->l;
    const float *params = w->t->params;
    const int H = c->output_chunk, C = c->n_targets, Q = w->t->Q;
    const size_t at = row * (size_t)H * (size_t)C * (size_t)Q;
    float *dy = w->dy + at, *dyn = w->l.temporal.dy + at;
    double *part = w->part + (size_t)b * 4 * (size_t)C;

    w->row_loss[b] = loss_sample(&c->loss, dy, w->y + at, w->batch->target[b], H * C, Q,
                                 w->batch->weight != NULL ? (double)w->batch->weight[b] : 1,
                                 w->scale);
    if (!c->rin) {
        memcpy(dyn, dy, (size_t)(H * C * Q) * sizeof *dyn);
        return;
    }
    memset(part, 0, 4 * (size_t)C * sizeof *part);
    for (int h = 0; h < H; h++)
        for (int i = 0; i < C; i++) {
            double d = 1, o = 0, s = (double)w->std[row * (size_t)C + (size_t)i];
            if (c->rin_affine) {
                d = (double)params[l->rin_w + (size_t)i] + c->rin_eps * c->rin_eps;
                o = (double)params[l->rin_b + (size_t)i];
            }
            for (int q = 0; q < Q; q++) {
                int j = (h * C + i) * Q + q;
                double g = (double)dy[j] * s / d;
                dyn[j] = (float)g;
                part[i] -= g * ((double)w->yn[at + (size_t)j] - o) / d;
                part[C + i] -= g;
            }
        }
}

/* Gradients of rin's weights through the lookback: din holds the gradient of z. */
static void rin_back(struct tide_work *w, int b, size_t row, float *room)
{
    const struct tide_conf *c = &w->t->conf;
    const int L = c->input_chunk, C = c->n_targets;
    const float *dz = w->din + row * (size_t)(w->l.chain[0].x1 - w->l.chain[0].x0);
    double *part = w->part + (size_t)b * 4 * (size_t)C + 2 * (size_t)C;

    fill(room, w->batch->lookback[b], L, C);
    for (int i = 0; i < C; i++) {
        double m = (double)w->mean[row * (size_t)C + (size_t)i];
        double s = (double)w->std[row * (size_t)C + (size_t)i], sw = 0, sb = 0;
        for (int t = 0; t < L; t++) {
            double g = (double)dz[t * C + i];
            if (C > 1)
                g += (double)w->dzt[(row * (size_t)C + (size_t)i) * (size_t)L + (size_t)t];
            sw += g * (((double)room[t * C + i] - m) / s);
            sb += g;
        }
        part[i] = sw;
        part[C + i] = sb;
    }
}

static void backward(struct tide_work *w, int b0, int n, size_t r0, int lane)
{
    const struct tide_conf *c = &w->t->conf;
    struct tide_layout *l = &w->l;
    const float *params = w->t->params;
    const size_t H = (size_t)c->output_chunk, C = (size_t)c->n_targets, Q = (size_t)w->t->Q;
    const size_t L = (size_t)c->input_chunk, rows = (size_t)n, DQ = (size_t)c->decoder_out * Q;
    const size_t TX = (size_t)l->temporal.x1;
    struct tide_block *first = &l->chain[0], *last = &l->chain[l->n_chain - 1];
    const size_t width = (size_t)(first->x1 - first->x0);
    const int affine = c->rin && c->rin_affine;
    float *room = w->scratch + (size_t)lane * w->scratch_n;

    for (int i = 0; i < n; i++)
        lose(w, b0 + i, r0 + (size_t)i);
    tide_block_bwd(&l->temporal, params, r0 * H, (int)(rows * H), w->drop, w->dtin + r0 * H * TX,
                   (ptrdiff_t)TX);
    for (size_t r = r0 * H; r < (r0 + rows) * H; r++)
        memcpy(last->dy + r * DQ, w->dtin + r * TX, DQ * sizeof *last->dy);
    for (int i = l->n_chain - 1; i > 0; i--)
        tide_block_bwd(&l->chain[i], params, r0, n, w->drop,
                       l->chain[i - 1].dy + r0 * (size_t)l->chain[i - 1].O, l->chain[i - 1].O);
    tide_block_bwd(first, params, r0, n, w->drop, w->din + r0 * width, (ptrdiff_t)width);

    const float *dyn = l->temporal.dy + r0 * H * C * Q;
    for (size_t r = 0; C > 1 && r < rows; r++)
        for (size_t i = 0; i < C; i++)
            for (size_t q = 0; q < H * Q; q++)
                w->dsk[((r0 + r) * C + i) * H * Q + q] = dyn[r * H * C * Q + q * C + i];
    if (affine) {
        struct gemm g = {.c = w->din + r0 * width, .ldc = (ptrdiff_t)width, .a = dyn,
                         .rs = (ptrdiff_t)(H * Q), .cs = 1, .b = w->qskip, .m = n, .n = (int)L,
                         .k = (int)(H * Q), .add = 1};
        if (C > 1) {
            g.c = w->dzt + r0 * C * L;
            g.ldc = (ptrdiff_t)L;
            g.a = w->dsk + r0 * C * H * Q;
            g.m = (int)(rows * C);
            g.add = 0;
        }
        kern()->gemm(&g);
    }
    for (int i = 0; i < n; i++) {
        size_t r = r0 + (size_t)i;
        float *din = w->din + r * width;
        if (affine)
            rin_back(w, b0 + i, r, room);
        if (l->has_past)
            tide_proj_give(&w->past, params, b0 + i, w->drop, din + l->past_at - first->x0, room);
        if (l->has_future) {
            float *df = din + l->future_at - first->x0;
            size_t fw = (size_t)l->future_width;
            for (size_t h = 0; h < H; h++)
                for (size_t j = 0; j < fw; j++)
                    df[(L + h) * fw + j] += w->dtin[(r * H + h) * TX + DQ + j];
            tide_proj_give(&w->future, params, b0 + i, w->drop, df, room);
        }
    }
}

static void run_tile(void *ctx, int chunk, int lane)
{
    struct tide_work *w = ctx;
    int b0 = chunk * TILE, left = w->batch->B - b0, n = left < TILE ? left : TILE;
    size_t r0 = w->train ? (size_t)b0 : (size_t)lane * TILE;
    size_t width = (size_t)w->t->conf.output_chunk * (size_t)w->t->conf.n_targets *
                   (size_t)w->t->Q;

    if (is_stopped(w))
        return;
    forward(w, b0, n, r0);
    if (w->out != NULL)
        memcpy(w->out + (size_t)b0 * width, w->y + r0 * width,
               (size_t)n * width * sizeof *w->out);
    if (w->backward)
        backward(w, b0, n, r0, lane);
}

/* --- the phases --- */

static void project_chunk(void *ctx, int chunk, int lane)
{
    struct tide_work *w = ctx;
    int n_past = tide_proj_chunks(&w->past);

    (void)lane;
    if (is_stopped(w))
        return;
    if (chunk < n_past)
        tide_proj_fwd(&w->past, w->t->params, chunk);
    else
        tide_proj_fwd(&w->future, w->t->params, chunk - n_past);
}

static void collect_chunk(void *ctx, int chunk, int lane)
{
    struct tide_work *w = ctx;
    int n_past = tide_proj_chunks(&w->past);

    (void)lane;
    if (chunk < n_past)
        tide_proj_bwd(&w->past, w->batch->B, w->drop, chunk);
    else
        tide_proj_bwd(&w->future, w->batch->B, w->drop, chunk - n_past);
}

static int start(struct tide_work *w, const struct tide_batch *b, const struct tide_noise *noise,
                 const atomic_int *stop, struct err *e)
{
    static const struct tide_noise quiet = {TIDE_DROP_OFF, 0, 0};
    int grown = 0, rc = 0;

    if (b->B > w->B)
        return err_set(e, ERR_LIMIT, "a batch of %d, room for %d", b->B, w->B);
    w->batch = b;
    w->noise = noise != NULL ? noise : &quiet;
    w->stop = stop;
    w->drop = w->noise->mode != TIDE_DROP_OFF && w->t->conf.dropout > 0
                  ? (float)(1 / (1 - w->t->conf.dropout))
                  : 0;
    if (w->past.used)
        grown |= rc = tide_proj_rows(&w->past, b->B, b->past, b->past_base, b->past_rows, e);
    if (rc >= 0 && w->future.used)
        grown |= rc = tide_proj_rows(&w->future, b->B, b->future, b->future_base, b->future_rows,
                                     e);
    if (rc < 0)
        return -1;
    if (w->stale || grown)
        par_run(w->par, (w->l.n_chain + 4) * TIDE_PACKS, pack_chunk, w);
    w->stale = 0;
    par_run(w->par, tide_proj_chunks(&w->past) + tide_proj_chunks(&w->future), project_chunk, w);
    return 0;
}

int tide_forward(struct tide_work *w, const struct tide_batch *b, const struct tide_noise *noise,
                 float *out, const atomic_int *stop, struct err *e)
{
    if (start(w, b, noise, stop, e) != 0)
        return -1;
    w->out = out;
    w->backward = 0;
    par_run(w->par, (b->B + TILE - 1) / TILE, run_tile, w);
    if (is_stopped(w))
        return err_set(e, ERR_CANCELLED, "cancelled");
    return 0;
}

static void norm_chunk(void *ctx, int chunk, int lane)
{
    struct tide_work *w = ctx;
    struct tide_layout *l = &w->l;
    size_t B = (size_t)w->batch->B;

    (void)lane;
    if (chunk < l->n_chain) {
        if (l->chain[chunk].norm)
            tide_block_norm_grads(&l->chain[chunk], w->grads, B);
    } else if (chunk == l->n_chain) {
        if (l->temporal.norm)
            tide_block_norm_grads(&l->temporal, w->grads, B * (size_t)w->t->conf.output_chunk);
    } else {
        struct tide_proj *p = chunk == l->n_chain + 1 ? &w->past : &w->future;
        if (p->used && p->norm)
            tide_proj_norm_grads(p, w->grads, w->batch->B);
    }
}

static void weights(struct tide_work *w)
{
    const struct tide_conf *c = &w->t->conf;
    struct tide_layout *l = &w->l;
    const size_t B = (size_t)w->batch->B, C = (size_t)c->n_targets;
    const int HQ = c->output_chunk * w->t->Q, L = c->input_chunk;
    struct tide_task tasks[3 * (TIDE_CHAIN + 3) + 1];
    int n = 0;

    for (int i = 0; i < l->n_chain; i++)
        n += tide_block_tasks(&l->chain[i], tasks + n, w->grads,
                              i == 0 ? w->in : l->chain[i - 1].y,
                              i == 0 ? l->in_width : l->chain[i - 1].O, B);
    n += tide_block_tasks(&l->temporal, tasks + n, w->grads, w->tin, l->temporal.I,
                          B * (size_t)c->output_chunk);
    if (w->past.used)
        n += tide_block_tasks(&w->past.block, tasks + n, w->grads, w->past.rows, w->past.block.I,
                              w->past.n_rows);
    if (w->future.used)
        n += tide_block_tasks(&w->future.block, tasks + n, w->grads, w->future.rows,
                              w->future.block.I, w->future.n_rows);
    tasks[n++] = (struct tide_task){w->grads + l->skip_w,
                                    w->grads + l->skip_b,
                                    C > 1 ? w->dsk : l->temporal.dy,
                                    C > 1 ? w->zt : w->in,
                                    HQ,
                                    C > 1 ? L : l->in_width,
                                    HQ,
                                    L,
                                    B * C};
    tide_tasks_run(tasks, n, w->room, w->par);
    par_run(w->par, l->n_chain + 3, norm_chunk, w);
    for (size_t i = 0; c->rin && c->rin_affine && i < C; i++) {
        double sw = 0, sb = 0;
        for (size_t b = 0; b < B; b++) {
            const double *p = w->part + b * 4 * C;
            sw += p[i] + p[2 * C + i];
            sb += p[C + i] + p[3 * C + i];
        }
        w->grads[l->rin_w + i] = (float)sw;
        w->grads[l->rin_b + i] = (float)sb;
    }
}

int tide_backward(struct tide_work *w, const struct tide_batch *b, const struct tide_noise *noise,
                  float *grads, double *loss, const atomic_int *stop, struct err *e)
{
    const int n = w->t->conf.output_chunk * w->t->conf.n_targets;
    size_t n_there = 0;

    for (int i = 0; i < b->B; i++)
        for (int j = 0; j < n; j++)
            n_there += !isnan(b->target[i][j]);
    if (n_there == 0)
        return err_set(e, ERR_NAN, "a batch of %d samples without a single target", b->B);
    if (start(w, b, noise, stop, e) != 0)
        return -1;
    w->out = NULL;
    w->grads = grads;
    w->scale = 1 / (double)n_there;
    w->backward = 1;
    par_run(w->par, (b->B + TILE - 1) / TILE, run_tile, w);
    if (is_stopped(w))
        return err_set(e, ERR_CANCELLED, "cancelled");
    par_run(w->par, tide_proj_chunks(&w->past) + tide_proj_chunks(&w->future), collect_chunk, w);
    if (!is_stopped(w))
        weights(w);
    if (is_stopped(w))
        return err_set(e, ERR_CANCELLED, "cancelled");
    *loss = 0;
    for (int i = 0; i < b->B; i++)
        *loss += w->row_loss[i];
    *loss *= w->scale;
    return 0;
}

/* --- for tests --- */

const float *tide_work_look(struct tide_work *w, const char *name, size_t *width)
{
    const struct tide_conf *c = &w->t->conf;
    size_t per_step = (size_t)c->n_targets * (size_t)w->t->Q;
    const struct {
        const char *name;
        const float *x;
        size_t width;
    } all[] = {
        {"encoder_in", w->in, (size_t)w->l.in_width},
        {"encoder_out", w->l.chain[c->n_enc - 1].y, (size_t)c->hidden},
        {"decoder_out", w->l.chain[w->l.n_chain - 1].y, (size_t)w->l.chain[w->l.n_chain - 1].O},
        {"temporal_in", w->tin, (size_t)c->output_chunk * (size_t)w->l.temporal.I},
        {"temporal_out", w->l.temporal.y, (size_t)c->output_chunk * per_step},
        {"y_norm", w->yn, (size_t)c->output_chunk * per_step},
        {"y", w->y, (size_t)c->output_chunk * per_step},
        {"dy", w->dy, (size_t)c->output_chunk * per_step},
    };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i].name, name) == 0) {
            *width = all[i].width;
            return all[i].x;
        }
    return NULL;
}

uint16_t *tide_work_mask(struct tide_work *w, const char *block, int *words, int *n)
{
    char name[TIDE_NAME];

    for (int i = 0; i < w->l.n_chain; i++) {
        int is_enc = i < w->t->conf.n_enc;
        snprintf(name, sizeof name, "%s.%d", is_enc ? "encoders" : "decoders",
                 is_enc ? i : i - w->t->conf.n_enc);
        if (strcmp(block, name) == 0) {
            *words = w->l.chain[i].words;
            *n = w->l.chain[i].O;
            return w->l.chain[i].mask;
        }
    }
    if (strcmp(block, "temporal_decoder") == 0) {
        *words = w->l.temporal.words;
        *n = w->l.temporal.O;
        return w->l.temporal.mask;
    }
    struct tide_proj *p = strcmp(block, "past_cov_projection") == 0     ? &w->past
                          : strcmp(block, "future_cov_projection") == 0 ? &w->future
                                                                        : NULL;
    if (p == NULL || !p->used)
        return NULL;
    *words = p->words;
    *n = p->n * p->w;
    return p->mask;
}
