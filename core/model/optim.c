/*
 * optim.c - optimizer steps. See optim.h.
 */
#include "model/optim.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/kern.h"

void optim_conf_init(struct optim_conf *c)
{
    memset(c, 0, sizeof *c);
    c->kind = OPTIM_ADAM;
    c->beta1 = 0.9;
    c->beta2 = 0.999;
    c->eps = 1e-8;
}

int optim_kind_of(const char *name)
{
    static const char *const names[OPTIM_COUNT] = {"adam", "adamw", "sgd"};

    for (int i = 0; i < OPTIM_COUNT; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    return -1;
}

static int chunks_of(size_t n)
{
    return (int)((n + OPTIM_CHUNK - 1) / OPTIM_CHUNK);
}

int optim_init(struct optim *o, const struct optim_conf *conf, size_t n, struct err *e)
{
    size_t copies = conf->amsgrad ? 3 : 2;

    memset(o, 0, sizeof *o);
    o->conf = *conf;
    o->n = n;
    o->m = mem_aligned(copies * n * sizeof *o->m);
    o->part = mem_zero((size_t)chunks_of(n) + 1, sizeof *o->part);
    o->idle = mem_zero((size_t)chunks_of(n) + 1, sizeof *o->idle);
    if (o->m == NULL || o->part == NULL || o->idle == NULL) {
        optim_deinit(o);
        return err_set(e, ERR_NOMEM, "no memory for the optimizer of %zu parameters", n);
    }
    memset(o->m, 0, copies * n * sizeof *o->m);
    o->v = o->m + n;
    o->vmax = conf->amsgrad ? o->v + n : NULL;
    return 0;
}

void optim_deinit(struct optim *o)
{
    mem_free(o->m);
    mem_free(o->part);
    mem_free(o->idle);
    o->m = o->v = o->vmax = NULL;
    o->part = NULL;
    o->idle = NULL;
}

struct step {
    struct optim *o;
    float *p;
    const float *grad;
    struct optim_step s;
};

static void norm_chunk(void *ctx, int chunk, int lane)
{
    struct step *s = ctx;
    size_t at = (size_t)chunk * OPTIM_CHUNK, left = s->o->n - at;
    size_t n = left < OPTIM_CHUNK ? left : OPTIM_CHUNK;

    (void)lane;
    s->o->part[chunk] = kern()->dot(s->grad + at, s->grad + at, n);
}

static int all_zero(const float *x, size_t n)
{
    size_t i = 0;

    while (i < n && x[i] == 0)
        i++;
    return i == n;
}

static void move_chunk(void *ctx, int chunk, int lane)
{
    struct step *s = ctx;
    struct optim *o = s->o;
    size_t at = (size_t)chunk * OPTIM_CHUNK, left = o->n - at;
    size_t n = left < OPTIM_CHUNK ? left : OPTIM_CHUNK;

    (void)lane;
    if (o->part[chunk] == 0 && o->conf.weight_decay == 0) {
        if (!o->idle[chunk])
            o->idle[chunk] = all_zero(o->m + at, n) && all_zero(o->v + at, n);
        if (o->idle[chunk])
            return;
    }
    o->idle[chunk] = 0;
    if (o->conf.kind == OPTIM_SGD)
        kern()->sgd(s->p + at, s->grad + at, o->m + at, n, &s->s);
    else
        kern()->adam(s->p + at, s->grad + at, o->m + at, o->v + at,
                     o->vmax != NULL ? o->vmax + at : NULL, n, &s->s);
}

double optim_step(struct optim *o, float *p, const float *grad, double lr, struct par *par)
{
    const struct optim_conf *c = &o->conf;
    struct step s = {.o = o, .p = p, .grad = grad};
    int n_chunks = chunks_of(o->n);
    double norm = 0, clip = 1;

    par_run(par, n_chunks, norm_chunk, &s);
    for (int i = 0; i < n_chunks; i++)
        norm += o->part[i];
    norm = sqrt(norm);
    if (!isfinite(norm))
        return norm;
    if (c->clip_norm > 0)
        clip = fmin(1, c->clip_norm / (norm + 1e-6));
    o->step++;
    double t = (double)o->step;
    s.s = (struct optim_step){
        .lr = (float)lr,
        .beta1 = (float)c->beta1,
        .beta2 = (float)c->beta2,
        .rest1 = (float)(1 - c->beta1),
        .rest2 = (float)(1 - c->beta2),
        .eps = (float)c->eps,
        .correct1 = (float)(1 / (1 - pow(c->beta1, t))),
        .correct2 = (float)(1 / sqrt(1 - pow(c->beta2, t))),
        .l2 = c->kind == OPTIM_ADAMW ? 0 : (float)c->weight_decay,
        .shrink = c->kind == OPTIM_ADAMW ? (float)(1 - lr * c->weight_decay) : 1,
        .clip = (float)clip,
        .momentum = (float)c->momentum,
        .first = o->step == 1,
        .amsgrad = c->amsgrad,
    };
    par_run(par, n_chunks, move_chunk, &s);
    return norm;
}

void optim_average(float *avg, const float *p, size_t n, uint64_t n_before)
{
    double k = 1 / (double)(n_before + 1);

    for (size_t i = 0; i < n; i++)
        avg[i] = n_before == 0 ? p[i]
                               : (float)((double)avg[i] + ((double)p[i] - (double)avg[i]) * k);
}
