/*
 * tide_proj.c - the projection of covariates. See tide_proj.h.
 */
#include "model/tide_proj.h"

#include <string.h>

#include "base/mem.h"
#include "tensor/kern.h"

#define CHUNK 240

int tide_proj_init(struct tide_proj *p, const struct tide_block *b, int norm, int n, int B,
                   int train, struct err *e)
{
    size_t all = (size_t)B * (size_t)n;

    memset(p, 0, sizeof *p);
    p->block = *b;
    p->block.norm = 0;
    p->used = 1;
    p->norm = norm;
    p->n = n;
    p->w = b->O;
    p->B = B;
    p->train = train;
    p->words = kern_words(n * b->O);
    p->row0 = mem_zero((size_t)B, sizeof *p->row0);
    p->mask = mem_zero((size_t)B * (size_t)p->words + 16, sizeof *p->mask);
    p->mean = mem_alloc((norm ? all : 1) * sizeof *p->mean);
    p->rstd = mem_alloc((norm ? all : 1) * sizeof *p->rstd);
    p->dpre = mem_aligned((train ? all * (size_t)p->w : 1) * sizeof *p->dpre);
    p->da = mem_aligned((train ? all * (size_t)p->w : 1) * sizeof *p->da);
    p->part = mem_zero((size_t)B * 2 * (size_t)p->w, sizeof *p->part);
    if (p->row0 == NULL || p->mask == NULL || p->mean == NULL || p->rstd == NULL ||
        p->dpre == NULL || p->da == NULL || p->part == NULL) {
        tide_proj_deinit(p);
        return err_set(e, ERR_NOMEM, "no memory for covariates of %d samples", B);
    }
    return 0;
}

void tide_proj_deinit(struct tide_proj *p)
{
    tide_block_deinit(&p->block);
    mem_free(p->row0);
    mem_free(p->mask);
    mem_free(p->mean);
    mem_free(p->rstd);
    mem_free(p->dpre);
    mem_free(p->da);
    mem_free(p->part);
    mem_free(p->skip);
    mem_free(p->x);
    memset(p, 0, sizeof *p);
}

static int grow(struct tide_proj *p, size_t rows, struct err *e)
{
    size_t in = (size_t)p->block.I;

    tide_block_deinit(&p->block);
    mem_free(p->skip);
    mem_free(p->x);
    p->R = 0;
    p->skip = mem_aligned(rows * (size_t)p->w * sizeof *p->skip);
    p->x = mem_aligned(rows * in * sizeof *p->x);
    if (p->skip == NULL || p->x == NULL)
        return err_set(e, ERR_NOMEM, "no memory for covariates of %zu steps", rows);
    if (tide_block_init(&p->block, rows, p->train, e) != 0)
        return -1;
    p->R = rows;
    return 1;
}

int tide_proj_rows(struct tide_proj *p, int B, const float *const *from, const float *base,
                   size_t base_rows, struct err *e)
{
    size_t in = (size_t)p->block.I, n = (size_t)p->n, low = base_rows, high = 0;
    int grown = 0;

    p->shared = 0;
    if (base != NULL && B > 0) {
        for (int b = 0; b < B; b++) {
            size_t row = (size_t)(from[b] - base) / in;
            low = row < low ? row : low;
            high = row + n > high ? row + n : high;
        }
        p->shared = high - low <= (size_t)B * n;
    }
    p->n_rows = p->shared ? high - low : (size_t)B * n;
    if (p->n_rows > p->R && (grown = grow(p, p->n_rows, e)) < 0)
        return -1;
    p->rows = p->shared ? base + low * in : p->x;
    for (int b = 0; b < B; b++) {
        if (p->shared) {
            p->row0[b] = (size_t)(from[b] - base) / in - low;
        } else {
            p->row0[b] = (size_t)b * n;
            memcpy(p->x + (size_t)b * n * in, from[b], n * in * sizeof *p->x);
        }
    }
    return grown;
}

int tide_proj_chunks(const struct tide_proj *p)
{
    return p->used ? (int)((p->n_rows + CHUNK - 1) / CHUNK) : 0;
}

static int chunk_rows(const struct tide_proj *p, int chunk)
{
    size_t left = p->n_rows - (size_t)chunk * CHUNK;

    return left < CHUNK ? (int)left : CHUNK;
}

void tide_proj_fwd(struct tide_proj *p, const float *params, int chunk)
{
    size_t r0 = (size_t)chunk * CHUNK;

    tide_block_fwd(&p->block, params, p->rows + r0 * (size_t)p->block.I, p->block.I, r0,
                   chunk_rows(p, chunk), 0, p->skip + r0 * (size_t)p->w);
}

/* Before the norm: out = drop(rest) + skip, all steps of the sample in one go. */
static void join(const struct tide_proj *p, int b, float drop, float *out)
{
    const struct kern *k = kern();
    size_t at = p->row0[b] * (size_t)p->w, all = (size_t)p->n * (size_t)p->w;

    if (drop > 0)
        k->drop(out, p->block.y + at, p->mask + (size_t)b * (size_t)p->words, p->words, drop, 1,
                (int)all);
    else
        memcpy(out, p->block.y + at, all * sizeof *out);
    k->add(out, p->skip + at, all);
}

void tide_proj_take(struct tide_proj *p, const float *params, int b, float drop, float *out)
{
    size_t at = (size_t)b * (size_t)p->n;

    join(p, b, drop, out);
    if (p->norm)
        kern()->norm_fwd(out, p->mean + at, p->rstd + at, out, params + p->block.at.gamma,
                         params + p->block.at.beta, TIDE_NORM_EPS, p->n, p->w);
}

void tide_proj_give(struct tide_proj *p, const float *params, int b, float drop, float *dout,
                    float *room)
{
    const struct kern *k = kern();
    size_t all = (size_t)p->n * (size_t)p->w, at = (size_t)b * (size_t)p->n;
    float *dpre = p->dpre + (size_t)b * all;

    if (p->norm) {
        float *part = p->part + (size_t)b * 2 * (size_t)p->w;
        memset(part, 0, 2 * (size_t)p->w * sizeof *part);
        join(p, b, drop, room);
        k->norm_bwd(dpre, part, part + p->w, dout, room, p->mean + at, p->rstd + at,
                    params + p->block.at.gamma, p->n, p->w);
    } else {
        memcpy(dpre, dout, all * sizeof *dpre);
    }
    if (drop > 0)
        k->drop(p->da + (size_t)b * all, dpre, p->mask + (size_t)b * (size_t)p->words, p->words,
                drop, 1, (int)all);
}

void tide_proj_bwd(struct tide_proj *p, int B, float drop, int chunk)
{
    const struct kern *k = kern();
    size_t r0 = (size_t)chunk * CHUNK, r1 = r0 + (size_t)chunk_rows(p, chunk);
    size_t w = (size_t)p->w, n = (size_t)p->n;
    struct tide_block *t = &p->block;
    int apart = t->da != t->dpre;

    memset(t->dpre + r0 * w, 0, (r1 - r0) * w * sizeof *t->dpre);
    if (apart)
        memset(t->da + r0 * w, 0, (r1 - r0) * w * sizeof *t->da);
    for (int b = 0; b < B; b++) { /* in sample order, whoever runs this chunk */
        size_t first = p->row0[b], low = first > r0 ? first : r0;
        size_t high = first + n < r1 ? first + n : r1;
        if (low >= high)
            continue;
        size_t from = ((size_t)b * n + low - first) * w;
        k->add(t->dpre + low * w, p->dpre + from, (high - low) * w);
        if (apart)
            k->add(t->da + low * w, (drop > 0 ? p->da : p->dpre) + from, (high - low) * w);
    }
    tide_block_bwd_hidden(t, r0, (int)(r1 - r0));
}

void tide_proj_norm_grads(const struct tide_proj *p, float *grads, int B)
{
    for (int j = 0; j < p->w; j++) {
        double g = 0, s = 0;
        for (int b = 0; b < B; b++) {
            g += (double)p->part[(size_t)b * 2 * (size_t)p->w + (size_t)j];
            s += (double)p->part[(size_t)b * 2 * (size_t)p->w + (size_t)(p->w + j)];
        }
        grads[p->block.at.gamma + (size_t)j] = (float)g;
        grads[p->block.at.beta + (size_t)j] = (float)s;
    }
}
