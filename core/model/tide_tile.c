/*
 * tide_tile.c - a tile of samples on its way through TiDE and back. See tide_net.c for the phases
 * around it.
 *
 * What is written belongs to the tile's own rows, so tiles may run on any thread in any order.
 * Start at tide_tile_run, then forward, backward.
 */
#include <math.h>
#include <string.h>

#include "model/tide_work.h"
#include "tensor/kern.h"

/* The lookback with its gaps filled: the last value before, or the first after, or 0. */
static void fill(float *out, const float *x, int L, int C)
{
    int missing = kern()->take(out, x, (size_t)(L * C));

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
    if (C == 1) {
        double m, s;
        kern()->standard(x, &m, &s, (size_t)L, eps);
        *mean = (float)m;
        *std = (float)s;
        return;
    }
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
    if (w->constant)
        return;
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

/* The encoders, the decoders and the temporal decoder of n samples in rows r0... */
static void dense(struct tide_work *w, int n, size_t r0)
{
    const struct tide_conf *c = &w->t->conf;
    struct tide_layout *l = &w->l;
    const float *params = w->t->params;
    const size_t H = (size_t)c->output_chunk, Q = (size_t)w->t->Q;
    const size_t L = (size_t)c->input_chunk, rows = (size_t)n, DQ = (size_t)c->decoder_out * Q;
    const size_t TI = (size_t)l->temporal.I;
    struct tide_block *last = &l->chain[l->n_chain - 1];

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
}

static void draw_all(const struct tide_work *w, int b0, size_t rows, size_t r0)
{
    const struct tide_layout *l = &w->l;
    const size_t H = (size_t)w->t->conf.output_chunk;

    for (int i = 0; i < l->n_chain; i++)
        draw(w, l->chain[i].mask, l->chain[i].words, r0, (size_t)b0, rows, (uint64_t)i);
    draw(w, l->temporal.mask, l->temporal.words, r0 * H, (size_t)b0 * H, rows * H, 253);
    if (l->has_past)
        draw(w, w->past.mask, w->past.words, (size_t)b0, (size_t)b0, rows, 254);
    if (l->has_future)
        draw(w, w->future.mask, w->future.words, (size_t)b0, (size_t)b0, rows, 255);
}

/* Samples b0.. in rows r0.., to yn and y. */
static void forward(struct tide_work *w, int b0, int n, size_t r0)
{
    const struct tide_conf *c = &w->t->conf;
    struct tide_layout *l = &w->l;
    const float *params = w->t->params;
    const size_t H = (size_t)c->output_chunk, C = (size_t)c->n_targets, Q = (size_t)w->t->Q;
    const size_t L = (size_t)c->input_chunk, rows = (size_t)n;
    float *yn = w->yn + r0 * H * C * Q;

    if (w->drop > 0 && !w->constant)
        draw_all(w, b0, rows, r0);
    for (int i = 0; i < n; i++)
        gather(w, b0 + i, r0 + (size_t)i);
    if (w->constant) {
        for (size_t i = 0; i < rows * H; i++)
            yn[i] = params[l->temporal.at.beta];
    } else {
        dense(w, n, r0);
        memcpy(yn, l->temporal.y + r0 * H * C * Q, rows * H * C * Q * sizeof *yn);
    }

    /* the lookback skip, onto the temporal decoder's output */
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

static void dense_back(struct tide_work *w, int n, size_t r0)
{
    const struct tide_conf *c = &w->t->conf;
    struct tide_layout *l = &w->l;
    const float *params = w->t->params;
    const size_t H = (size_t)c->output_chunk, rows = (size_t)n;
    const size_t DQ = (size_t)c->decoder_out * (size_t)w->t->Q, TX = (size_t)l->temporal.x1;
    struct tide_block *first = &l->chain[0], *last = &l->chain[l->n_chain - 1];
    const size_t width = (size_t)(first->x1 - first->x0);

    tide_block_bwd(&l->temporal, params, r0 * H, (int)(rows * H), w->drop, w->dtin + r0 * H * TX,
                   (ptrdiff_t)TX);
    for (size_t r = r0 * H; r < (r0 + rows) * H; r++)
        memcpy(last->dy + r * DQ, w->dtin + r * TX, DQ * sizeof *last->dy);
    for (int i = l->n_chain - 1; i > 0; i--)
        tide_block_bwd(&l->chain[i], params, r0, n, w->drop,
                       l->chain[i - 1].dy + r0 * (size_t)l->chain[i - 1].O, l->chain[i - 1].O);
    tide_block_bwd(first, params, r0, n, w->drop, w->din + r0 * width, (ptrdiff_t)width);
}

static void backward(struct tide_work *w, int b0, int n, size_t r0, int lane)
{
    const struct tide_conf *c = &w->t->conf;
    struct tide_layout *l = &w->l;
    const float *params = w->t->params;
    const size_t H = (size_t)c->output_chunk, C = (size_t)c->n_targets, Q = (size_t)w->t->Q;
    const size_t L = (size_t)c->input_chunk, rows = (size_t)n, DQ = (size_t)c->decoder_out * Q;
    const size_t TX = (size_t)l->temporal.x1;
    const struct tide_block *first = &l->chain[0];
    const size_t width = (size_t)(first->x1 - first->x0);
    const int affine = c->rin && c->rin_affine;
    float *room = w->scratch + (size_t)lane * w->scratch_n;

    for (int i = 0; i < n; i++)
        lose(w, b0 + i, r0 + (size_t)i);
    if (!w->constant)
        dense_back(w, n, r0);

    const float *dyn = l->temporal.dy + r0 * H * C * Q;
    for (size_t r = 0; C > 1 && r < rows; r++)
        for (size_t i = 0; i < C; i++)
            for (size_t q = 0; q < H * Q; q++)
                w->dsk[((r0 + r) * C + i) * H * Q + q] = dyn[r * H * C * Q + q * C + i];
    if (affine) {
        struct gemm g = {.c = w->din + r0 * width, .ldc = (ptrdiff_t)width, .a = dyn,
                         .rs = (ptrdiff_t)(H * Q), .cs = 1, .b = w->qskip, .m = n, .n = (int)L,
                         .k = (int)(H * Q), .add = !w->constant};
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
        if (w->constant)
            continue;
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

void tide_tile_run(void *ctx, int chunk, int lane)
{
    struct tide_work *w = ctx;
    int b0 = chunk * TILE, left = w->batch->B - b0, n = left < TILE ? left : TILE;
    size_t r0 = w->train ? (size_t)b0 : (size_t)lane * TILE;
    size_t width = (size_t)w->t->conf.output_chunk * (size_t)w->t->conf.n_targets *
                   (size_t)w->t->Q;

    if (tide_work_stopped(w))
        return;
    forward(w, b0, n, r0);
    if (w->out != NULL)
        memcpy(w->out + (size_t)b0 * width, w->y + r0 * width,
               (size_t)n * width * sizeof *w->out);
    if (w->backward)
        backward(w, b0, n, r0, lane);
}
