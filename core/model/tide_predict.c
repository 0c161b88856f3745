/*
 * tide_predict.c - forecasts of a TiDE. See tide_predict.h.
 */
#include "model/tide_predict.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/reduce.h"
#include "tensor/rng.h"

#define STREAM_DROP ((uint64_t)1 << 42)
#define STREAM_DRAW ((uint64_t)1 << 43)

void tide_predict_conf_init(struct tide_predict_conf *c, const struct tide_data *d)
{
    memset(c, 0, sizeof *c);
    c->at = d->T;
    c->seed = 1;
    c->batch = 256;
}

int tide_predict_width(const struct tide *t, const struct tide_predict_conf *c)
{
    return c->samples > 0 && c->n_levels > 0 ? c->n_levels : t->Q;
}

static int check(const struct tide *t, const struct tide_data *d,
                 const struct tide_predict_conf *c, struct err *e)
{
    const struct tide_conf *m = &t->conf;

    if (c->at < m->input_chunk || c->at > d->T)
        return err_set(e, ERR_SHAPE, "forecast from step %d: the lookback of %d must lie in the "
                       "%d known steps", c->at + 1, m->input_chunk, d->T);
    if (m->future_cov > 0 && c->at + m->output_chunk > d->T_future)
        return err_set(e, ERR_SHAPE, "future covariates reach to step %d, %d are needed",
                       d->T_future, c->at + m->output_chunk);
    if (c->samples < 0 || c->samples > 100000 || c->batch < 1 || c->batch > 65536)
        return err_set(e, ERR_INVALID, "%d samples, batches of %d", c->samples, c->batch);
    if (c->samples > 0 && (c->n_levels < 1 || c->n_levels > LOSS_QUANTILES))
        return err_set(e, ERR_INVALID, "%d quantiles of the samples", c->n_levels);
    for (int i = 0; i < c->n_levels; i++)
        if (!(c->levels[i] >= 0 && c->levels[i] <= 1) ||
            (i > 0 && !(c->levels[i] > c->levels[i - 1])))
            return err_set(e, ERR_INVALID, "quantile %d is %g: rising values from 0 to 1", i + 1,
                           c->levels[i]);
    return tide_data_check(d, m, e);
}

/* Fills `cut` with series from `first` on. */
static void fill_cut(struct tide_cut *cut, const struct tide *t, const struct tide_data *d,
                     const struct tide_predict_conf *c, int first)
{
    tide_cut_clear(cut, d);
    for (int n = first; n < d->N && cut->b.B < c->batch; n++)
        tide_cut_add(cut, d, &t->conf, n, c->at - t->conf.input_chunk, 0);
}

static int direct(struct tide_work *w, const struct tide *t, struct tide_cut *cut, float *out,
                  const atomic_bool *stop, struct err *e)
{
    size_t rows = (size_t)cut->b.B * (size_t)t->conf.output_chunk * (size_t)t->conf.n_targets;

    if (tide_forward(w, &cut->b, NULL, out, stop, e) != 0)
        return -1;
    for (size_t i = 0; t->Q > 1 && i < rows; i++)
        reduce_sort(out + i * (size_t)t->Q, (size_t)t->Q);
    return 0;
}

/* draws (rows, samples); then out (rows, n_levels). `first` is the number of the first series, so
 * that a draw does not depend on how series fell into batches. */
static int sampled(struct tide_work *w, const struct tide *t, const struct tide_predict_conf *c,
                   struct tide_cut *cut, int first, float *pass, float *draws, float *out,
                   const atomic_bool *stop, struct err *e)
{
    const size_t per = (size_t)t->conf.output_chunk * (size_t)t->conf.n_targets;
    const size_t rows = (size_t)cut->b.B * per, S = (size_t)c->samples, Q = (size_t)t->Q;

    for (size_t s = 0; s < S; s++) {
        struct tide_noise noise = {TIDE_DROP_DRAW, c->seed,
                                   STREAM_DROP + (uint64_t)first / (uint64_t)c->batch * S + s};
        if (tide_forward(w, &cut->b, &noise, pass, stop, e) != 0)
            return -1;
        for (size_t i = 0; i < rows; i++) {
            float *q = pass + i * Q;
            if (Q > 1)
                reduce_sort(q, Q);
            double u = rng_uniform(c->seed, STREAM_DRAW + s, (uint64_t)first * per + i);
            draws[i * S + s] = Q > 1 ? (float)loss_quantile_draw(q, t->conf.loss.quantiles,
                                                                 (int)Q, u)
                                     : q[0];
        }
    }
    for (size_t i = 0; i < rows; i++) {
        reduce_sort(draws + i * S, S);
        for (int l = 0; l < c->n_levels; l++)
            out[i * (size_t)c->n_levels + (size_t)l] =
                (float)reduce_quantile(draws + i * S, S, c->levels[l]);
    }
    return 0;
}

int tide_predict(const struct tide *t, const struct tide_data *d, const struct tide_predict_conf *c,
                 float *out, struct par *par, const atomic_bool *stop, struct err *e)
{
    struct tide_work *w = NULL;
    struct tide_cut cut = {0};
    float *pass = NULL, *draws = NULL;
    size_t per = (size_t)t->conf.output_chunk * (size_t)t->conf.n_targets;
    size_t width = (size_t)tide_predict_width(t, c);
    int batch = d->N < c->batch ? d->N : c->batch, rc = -1;
    struct tide_predict_conf small = *c;

    if (check(t, d, c, e) != 0)
        return -1;
    small.batch = batch;
    if (tide_work_new(&w, t, batch, 0, par, e) != 0 || tide_cut_init(&cut, batch, e) != 0)
        goto done;
    tide_work_skip_constant(w);
    if (c->samples > 0) {
        pass = mem_aligned((size_t)batch * per * (size_t)t->Q * sizeof *pass);
        draws = mem_aligned((size_t)batch * per * (size_t)c->samples * sizeof *draws);
        if (pass == NULL || draws == NULL) {
            err_set(e, ERR_NOMEM, "no memory for %d samples", c->samples);
            goto done;
        }
    }
    for (int n = 0; n < d->N; n += batch) {
        float *to = out + (size_t)n * per * width;
        fill_cut(&cut, t, d, &small, n);
        if ((c->samples > 0 ? sampled(w, t, &small, &cut, n, pass, draws, to, stop, e)
                            : direct(w, t, &cut, to, stop, e)) != 0)
            goto done;
    }
    rc = 0;
done:
    mem_free(pass);
    mem_free(draws);
    tide_cut_deinit(&cut);
    tide_work_free(w);
    return rc;
}
