/*
 * tide_block.c - the residual block of TiDE. See tide_block.h.
 */
#include "model/tide_block.h"

#include <string.h>

#include "base/mem.h"
#include "tensor/kern.h"

/* All of a block's room comes from one place, so that there is one thing to check and to free. */
static float *floats(size_t n, int *failed)
{
    float *p;

    if (*failed)
        return NULL;
    p = mem_aligned((n + 16) * sizeof *p);
    if (p == NULL)
        *failed = 1;
    return p;
}

int tide_block_init(struct tide_block *b, size_t R, int train, struct err *e)
{
    size_t D = (size_t)b->D, O = (size_t)b->O;
    int failed = 0, width = b->x1 - b->x0;

    b->R = R;
    b->words = kern_words(b->O);
    b->p1 = floats(kern_packed(b->I, b->D), &failed);
    b->p2 = floats(kern_packed(b->D, b->O), &failed);
    b->ps = floats(kern_packed(b->I, b->O), &failed);
    b->h = floats(R * D, &failed);
    b->y = floats(R * O, &failed);
    if (b->norm) {
        b->pre = floats(R * O, &failed);
        b->mean = floats(R, &failed);
        b->rstd = floats(R, &failed);
    }
    if (b->has_drop) {
        b->mask = mem_zero(R * (size_t)b->words + 16, sizeof *b->mask);
        failed |= b->mask == NULL;
    }
    if (train) {
        b->q2 = floats(kern_packed(b->O, b->D), &failed);
        if (width > 0) {
            b->q1 = floats(kern_packed(b->D, width), &failed);
            b->qs = floats(kern_packed(b->O, width), &failed);
        }
        b->dh = floats(R * D, &failed);
        b->dy = floats(R * O, &failed);
        b->dpre = b->norm ? floats(R * O, &failed) : b->dy;
        b->da = b->has_drop ? floats(R * O, &failed) : b->dpre;
    }
    if (failed) {
        tide_block_deinit(b);
        return err_set(e, ERR_NOMEM, "no memory for a block of %d x %d x %d, %zu rows", b->I, b->D,
                       b->O, R);
    }
    return 0;
}

void tide_block_deinit(struct tide_block *b)
{
    if (b->da != b->dpre)
        mem_free(b->da);
    if (b->dpre != b->dy)
        mem_free(b->dpre);
    float *all[] = {b->p1, b->p2, b->ps, b->q1, b->q2, b->qs, b->h,
                    b->y,  b->pre, b->mean, b->rstd, b->dy, b->dh};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        mem_free(all[i]);
    mem_free(b->mask);
    b->p1 = b->p2 = b->ps = b->q1 = b->q2 = b->qs = b->h = b->y = b->pre = NULL;
    b->mean = b->rstd = b->dy = b->dpre = b->da = b->dh = NULL;
    b->mask = NULL;
}

void tide_block_pack(struct tide_block *b, const float *params, int i)
{
    const struct kern *k = kern();
    const float *w1 = params + b->at.w1, *w2 = params + b->at.w2, *ws = params + b->at.ws;
    int width = b->x1 - b->x0;

    switch (i) {
    case 0: k->pack_cols(b->p1, w1, b->I, b->I, b->D); break;
    case 1: k->pack_cols(b->p2, w2, b->D, b->D, b->O); break;
    case 2: k->pack_cols(b->ps, ws, b->I, b->I, b->O); break;
    case 3:
        if (b->q1 != NULL)
            k->pack_rows(b->q1, w1 + b->x0, b->I, b->D, width);
        break;
    case 4:
        if (b->q2 != NULL)
            k->pack_rows(b->q2, w2, b->D, b->O, b->D);
        break;
    default:
        if (b->qs != NULL)
            k->pack_rows(b->qs, ws + b->x0, b->I, b->O, width);
    }
}

/* Rows that go through all steps of a block together: their values stay in the second cache. */
#define SUB_FLOATS 32768
#define SUB_ROWS 48

static int sub_rows(const struct tide_block *b)
{
    int widest = b->I > b->D ? b->I : b->D;

    if (b->O > widest)
        widest = b->O;
    return SUB_FLOATS / widest / 12 > SUB_ROWS / 12 ? SUB_FLOATS / widest / 12 * 12 : SUB_ROWS;
}

static void fwd(struct tide_block *b, const float *params, const float *x, ptrdiff_t ldx,
                size_t r0, int rows, float drop, float *skip)
{
    const struct kern *k = kern();
    int with_norm = b->norm && skip == NULL;
    float *h = b->h + r0 * (size_t)b->D, *y = b->y + r0 * (size_t)b->O;
    float *pre = with_norm ? b->pre + r0 * (size_t)b->O : y;

    struct gemm up = {.c = h, .ldc = b->D, .a = x, .rs = ldx, .cs = 1, .b = b->p1, .m = rows,
                      .n = b->D, .k = b->I, .bias = params + b->at.b1, .relu = 1};
    k->gemm(&up);
    struct gemm pass = {.c = skip != NULL ? skip : pre, .ldc = b->O, .a = x, .rs = ldx, .cs = 1,
                        .b = b->ps, .m = rows, .n = b->O, .k = b->I,
                        .bias = params + b->at.bs};
    k->gemm(&pass);
    struct gemm down = {.c = pre, .ldc = b->O, .a = h, .rs = b->D, .cs = 1, .b = b->p2, .m = rows,
                        .n = b->O, .k = b->D, .bias = params + b->at.b2, .add = skip == NULL};
    if (drop > 0 && skip == NULL) {
        down.mask = b->mask + r0 * (size_t)b->words;
        down.mask_words = b->words;
        down.mask_scale = drop;
    }
    k->gemm(&down);
    if (with_norm)
        k->norm_fwd(y, b->mean + r0, b->rstd + r0, pre, params + b->at.gamma,
                    params + b->at.beta, TIDE_NORM_EPS, rows, b->O);
}

void tide_block_fwd(struct tide_block *b, const float *params, const float *x, ptrdiff_t ldx,
                    size_t r0, int rows, float drop, float *skip)
{
    int sub = sub_rows(b);

    for (int r = 0; r < rows; r += sub)
        fwd(b, params, x + r * ldx, ldx, r0 + (size_t)r, rows - r < sub ? rows - r : sub, drop,
            skip != NULL ? skip + (ptrdiff_t)r * b->O : NULL);
}

void tide_block_bwd_hidden(struct tide_block *b, size_t r0, int rows)
{
    struct gemm up = {.c = b->dh + r0 * (size_t)b->D, .ldc = b->D, .a = b->da + r0 * (size_t)b->O,
                      .rs = b->O, .cs = 1, .b = b->q2, .m = rows, .n = b->D, .k = b->O,
                      .gate = b->h + r0 * (size_t)b->D, .ld_gate = b->D};

    kern()->gemm(&up);
}

static void bwd(struct tide_block *b, const float *params, size_t r0, int rows, float drop,
                float *dx, ptrdiff_t lddx)
{
    const struct kern *k = kern();
    size_t at = r0 * (size_t)b->O;
    float *dpre = b->dpre + at, *da = b->da + at, *dh = b->dh + r0 * (size_t)b->D;
    int width = b->x1 - b->x0;

    if (b->norm)
        k->norm_bwd(dpre, NULL, NULL, b->dy + at, b->pre + at, b->mean + r0, b->rstd + r0,
                    params + b->at.gamma, rows, b->O);
    if (drop > 0)
        k->drop(da, dpre, b->mask + r0 * (size_t)b->words, b->words, drop, rows, b->O);
    else if (da != dpre)
        memcpy(da, dpre, (size_t)rows * (size_t)b->O * sizeof *da);
    tide_block_bwd_hidden(b, r0, rows);
    if (dx == NULL || width == 0)
        return;
    struct gemm pass = {.c = dx, .ldc = lddx, .a = dpre, .rs = b->O, .cs = 1, .b = b->qs,
                        .m = rows, .n = width, .k = b->O};
    k->gemm(&pass);
    struct gemm down = {.c = dx, .ldc = lddx, .a = dh, .rs = b->D, .cs = 1, .b = b->q1, .m = rows,
                        .n = width, .k = b->D, .add = 1};
    k->gemm(&down);
}

void tide_block_bwd(struct tide_block *b, const float *params, size_t r0, int rows, float drop,
                    float *dx, ptrdiff_t lddx)
{
    int sub = sub_rows(b);

    for (int r = 0; r < rows; r += sub)
        bwd(b, params, r0 + (size_t)r, rows - r < sub ? rows - r : sub, drop,
            dx != NULL ? dx + r * lddx : NULL, lddx);
}

void tide_block_norm_grads(struct tide_block *b, float *grads, size_t K)
{
    const ptrdiff_t O = b->O;

    for (int j0 = 0; j0 < b->O; j0 += 16) {
        double g[16] = {0}, s[16] = {0};
        int n = b->O - j0 < 16 ? b->O - j0 : 16;
        for (size_t r = 0; r < K; r++) {
            const float *dy = b->dy + (ptrdiff_t)r * O + j0, *x = b->pre + (ptrdiff_t)r * O + j0;
            double mean = (double)b->mean[r], rstd = (double)b->rstd[r];
            for (int j = 0; j < n; j++) {
                g[j] += (double)dy[j] * (((double)x[j] - mean) * rstd);
                s[j] += (double)dy[j];
            }
        }
        for (int j = 0; j < n; j++) {
            grads[b->at.gamma + (size_t)(j0 + j)] = (float)g[j];
            grads[b->at.beta + (size_t)(j0 + j)] = (float)s[j];
        }
    }
}

int tide_block_tasks(struct tide_block *b, struct tide_task *tasks, float *grads, const float *x,
                     ptrdiff_t ldx, size_t K)
{
    const struct tide_block_at *at = &b->at;

    tasks[0] = (struct tide_task){.of = {{grads + at->w1, grads + at->b1, b->dh, b->D},
                                         {grads + at->ws, grads + at->bs, b->dpre, b->O}},
                                  .x = x, .ldx = ldx, .I = b->I, .K = K};
    tasks[1] = (struct tide_task){.of = {{grads + at->w2, grads + at->b2, b->da, b->O}},
                                  .x = b->h, .ldx = b->D, .I = b->D, .K = K};
    return 2;
}

/* --- weight gradients, cut into ranges of columns --- */

struct plan {
    const struct tide_task *task[4096];
    int col[4096];
    int n;
    float *room;
};

static void task_chunk(void *ctx, int chunk, int lane)
{
    const struct plan *p = ctx;
    const struct kern *k = kern();
    const struct tide_task *t = p->task[chunk];
    float *room = p->room + (size_t)lane * TIDE_ROOM;
    int col = p->col[chunk], n = t->I - col < TIDE_COLS ? t->I - col : TIDE_COLS;

    for (int i = 0; col == 0 && i < 2 && t->of[i].dy != NULL; i++) {
        memset(t->of[i].db, 0, (size_t)t->of[i].O * sizeof *t->of[i].db);
        k->colsum(t->of[i].db, t->of[i].dy, t->of[i].O, (int)t->K, t->of[i].O);
    }
    for (size_t at = 0; at < t->K; at += TIDE_DEPTH) {
        int depth = t->K - at < TIDE_DEPTH ? (int)(t->K - at) : TIDE_DEPTH;
        k->pack_rows(room, t->x + (ptrdiff_t)at * t->ldx + col, t->ldx, depth, n);
        for (int i = 0; i < 2 && t->of[i].dy != NULL; i++) {
            struct gemm g = {.c = t->of[i].dw + col, .ldc = t->I,
                             .a = t->of[i].dy + (ptrdiff_t)at * t->of[i].O, .rs = 1,
                             .cs = t->of[i].O, .b = room, .m = t->of[i].O, .n = n, .k = depth,
                             .add = at > 0};
            k->gemm(&g);
        }
    }
}

void tide_tasks_run(const struct tide_task *tasks, int n, float *room, struct par *par)
{
    struct plan p = {.room = room};

    for (int i = 0; i < n; i++)
        for (int col = 0; col < tasks[i].I; col += TIDE_COLS) {
            if (p.n == 4096) { /* more columns than anybody has: run what there is */
                par_run(par, p.n, task_chunk, &p);
                p.n = 0;
            }
            p.task[p.n] = &tasks[i];
            p.col[p.n++] = col;
        }
    par_run(par, p.n, task_chunk, &p);
}
