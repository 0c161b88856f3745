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
 * Start at tide_backward, then start, weights; the tile is in tide_tile.c.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/tide_work.h"
#include "tensor/kern.h"

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

void tide_work_skip_constant(struct tide_work *w)
{
    struct tide_block *t = &w->l.temporal;
    size_t n = w->R * (size_t)w->t->conf.output_chunk;

    if (!t->norm || t->O != 1)
        return;
    w->constant = 1;
    w->stale = 1;
    memset(t->pre, 0, n * sizeof *t->pre); /* what the gradient of gamma, 0, is made of */
    memset(t->mean, 0, n * sizeof *t->mean);
    memset(t->rstd, 0, n * sizeof *t->rstd);
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
    if (w->constant && b < l->n_chain + 3)
        return;
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

/* --- the phases --- */

static void project_chunk(void *ctx, int chunk, int lane)
{
    struct tide_work *w = ctx;
    int n_past = tide_proj_chunks(&w->past);

    (void)lane;
    if (tide_work_stopped(w))
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
                 const atomic_bool *stop, struct err *e)
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
    if (w->past.used && !w->constant)
        grown |= rc = tide_proj_rows(&w->past, b->B, b->past, b->past_base, b->past_rows, e);
    if (rc >= 0 && w->future.used && !w->constant)
        grown |= rc = tide_proj_rows(&w->future, b->B, b->future, b->future_base, b->future_rows,
                                     e);
    if (rc < 0)
        return -1;
    if (w->stale || grown)
        par_run(w->par, (w->l.n_chain + 4) * TIDE_PACKS, pack_chunk, w);
    w->stale = 0;
    if (w->constant)
        return 0;
    par_run(w->par, tide_proj_chunks(&w->past) + tide_proj_chunks(&w->future), project_chunk, w);
    return 0;
}

int tide_forward(struct tide_work *w, const struct tide_batch *b, const struct tide_noise *noise,
                 float *out, const atomic_bool *stop, struct err *e)
{
    if (start(w, b, noise, stop, e) != 0)
        return -1;
    w->out = out;
    w->backward = 0;
    par_run(w->par, (b->B + TILE - 1) / TILE, tide_tile_run, w);
    if (tide_work_stopped(w))
        return err_set(e, ERR_CANCELLED, "cancelled");
    return 0;
}

static void norm_chunk(void *ctx, int chunk, int lane)
{
    struct tide_work *w = ctx;
    struct tide_layout *l = &w->l;
    size_t B = (size_t)w->batch->B;

    (void)lane;
    if (w->constant && chunk != l->n_chain)
        return;
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
    struct tide_task tasks[2 * (TIDE_CHAIN + 3) + 1];
    int n = 0;

    if (w->constant)
        memset(w->grads, 0, w->t->n_params * sizeof *w->grads);
    for (int i = 0; i < l->n_chain && !w->constant; i++)
        n += tide_block_tasks(&l->chain[i], tasks + n, w->grads,
                              i == 0 ? w->in : l->chain[i - 1].y,
                              i == 0 ? l->in_width : l->chain[i - 1].O, B);
    if (!w->constant)
        n += tide_block_tasks(&l->temporal, tasks + n, w->grads, w->tin, l->temporal.I,
                              B * (size_t)c->output_chunk);
    if (w->past.used && !w->constant)
        n += tide_block_tasks(&w->past.block, tasks + n, w->grads, w->past.rows, w->past.block.I,
                              w->past.n_rows);
    if (w->future.used && !w->constant)
        n += tide_block_tasks(&w->future.block, tasks + n, w->grads, w->future.rows,
                              w->future.block.I, w->future.n_rows);
    tasks[n++] = (struct tide_task){.of = {{w->grads + l->skip_w, w->grads + l->skip_b,
                                            C > 1 ? w->dsk : l->temporal.dy, HQ}},
                                    .x = C > 1 ? w->zt : w->in,
                                    .ldx = C > 1 ? L : l->in_width,
                                    .I = L,
                                    .K = B * C};
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
                  float *grads, double *loss, const atomic_bool *stop, struct err *e)
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
    par_run(w->par, (b->B + TILE - 1) / TILE, tide_tile_run, w);
    if (tide_work_stopped(w))
        return err_set(e, ERR_CANCELLED, "cancelled");
    if (!w->constant)
        par_run(w->par, tide_proj_chunks(&w->past) + tide_proj_chunks(&w->future), collect_chunk,
                w);
    if (!tide_work_stopped(w))
        weights(w);
    if (tide_work_stopped(w))
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
