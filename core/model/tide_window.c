/*
 * tide_window.c - windows onto a block of series. See tide_window.h.
 */
#include "model/tide_window.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

/* Finite throughout; `per` values make a step, `T` steps a series. */
static int check_array(const char *name, const float *x, size_t n, size_t per, size_t T,
                       int nan_too, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]) && !(nan_too && isnan(x[i])))
            return err_set(e, ERR_NAN, "%s of series %zu, step %zu is %s", name,
                           i / per / T + 1, i / per % T + 1, isnan(x[i]) ? "NaN" : "infinite");
    return 0;
}

int tide_data_check(const struct tide_data *d, const struct tide_conf *c, struct err *e)
{
    size_t N = (size_t)d->N, T = (size_t)d->T, C = (size_t)c->n_targets;
    size_t P = (size_t)c->past_cov, F = (size_t)c->future_cov, Tf = (size_t)d->T_future;
    double sum = 0;

    if (d->N < 1 || d->T < 1 || d->y == NULL)
        return err_set(e, ERR_SHAPE, "no series: %d of %d steps", d->N, d->T);
    if (d->T < c->input_chunk)
        return err_set(e, ERR_SHAPE, "series of %d steps are shorter than the lookback of %d",
                       d->T, c->input_chunk);
    if ((P > 0) != (d->past != NULL) || (F > 0) != (d->future != NULL) ||
        (c->static_cov > 0) != (d->fixed != NULL))
        return err_set(e, ERR_SHAPE, "the model takes %zu past, %zu future and %d static "
                       "covariates, given are other ones", P, F, c->static_cov);
    if (F > 0 && d->T_future < d->T)
        return err_set(e, ERR_SHAPE, "future covariates of %d steps for series of %d",
                       d->T_future, d->T);
    if (check_array("the target", d->y, N * T * C, C, T, d->missing, e) != 0)
        return -1;
    if (P > 0 && check_array("a past covariate", d->past, (d->past_shared ? 1 : N) * T * P, P, T,
                             0, e) != 0)
        return -1;
    if (F > 0 && check_array("a future covariate", d->future,
                             (d->future_shared ? 1 : N) * Tf * F, F, Tf, 0, e) != 0)
        return -1;
    if (d->fixed != NULL && check_array("a static covariate", d->fixed,
                                        N * (size_t)c->static_cov, (size_t)c->static_cov, 1, 0,
                                        e) != 0)
        return -1;
    if (d->weight == NULL)
        return 0;
    if (check_array("the weight", d->weight, N * T, 1, T, 0, e) != 0)
        return -1;
    for (size_t i = 0; i < N * T; i++) {
        if (d->weight[i] < 0)
            return err_set(e, ERR_INVALID, "the weight of series %zu, step %zu is %g", i / T + 1,
                           i % T + 1, (double)d->weight[i]);
        sum += (double)d->weight[i];
    }
    return sum > 0 ? 0 : err_set(e, ERR_INVALID, "all weights are 0");
}

static int is_kept(const struct tide_windows *w, size_t all)
{
    int series = (int)(all / (size_t)w->n_starts), at = (int)(all % (size_t)w->n_starts);

    return w->d->keep[(size_t)series * (size_t)w->d->T +
                      (size_t)(w->first + at * w->stride)] != 0;
}

int tide_windows_init(struct tide_windows *w, const struct tide_data *d,
                      const struct tide_conf *c, int from, int to, int stride, struct err *e)
{
    int L = c->input_chunk, H = c->output_chunk, last;
    size_t all, n = 0;

    memset(w, 0, sizeof *w);
    w->d = d;
    w->L = L;
    w->H = H;
    w->stride = stride > 0 ? stride : 1;
    w->first = from > L ? from - L : 0;
    last = (to < d->T ? to : d->T) - L - H;
    if (last < w->first)
        return 0;
    w->n_starts = (last - w->first) / w->stride + 1;
    w->n = all = (size_t)d->N * (size_t)w->n_starts;
    if (d->keep == NULL)
        return 0;
    if (all > UINT32_MAX)
        return err_set(e, ERR_LIMIT, "%zu windows to choose from", all);
    for (size_t i = 0; i < all; i++)
        n += (size_t)is_kept(w, i);
    w->list = mem_alloc((n + 1) * sizeof *w->list);
    if (w->list == NULL)
        return err_set(e, ERR_NOMEM, "no memory for %zu windows", n);
    n = 0;
    for (size_t i = 0; i < all; i++)
        if (is_kept(w, i))
            w->list[n++] = (uint32_t)i;
    w->n = n;
    return 0;
}

void tide_windows_deinit(struct tide_windows *w)
{
    mem_free(w->list);
    w->list = NULL;
    w->n = 0;
}

void tide_windows_at(const struct tide_windows *w, size_t i, int *series, int *start)
{
    size_t all = w->list != NULL ? w->list[i] : i;

    *series = (int)(all / (size_t)w->n_starts);
    *start = w->first + (int)(all % (size_t)w->n_starts) * w->stride;
}

int tide_cut_init(struct tide_cut *c, int room, struct err *e)
{
    memset(c, 0, sizeof *c);
    c->room = room;
    c->pointers = mem_zero(5 * (size_t)room, sizeof *c->pointers);
    c->weight = mem_zero((size_t)room, sizeof *c->weight);
    if (c->pointers == NULL || c->weight == NULL) {
        tide_cut_deinit(c);
        return err_set(e, ERR_NOMEM, "no memory for a batch of %d", room);
    }
    return 0;
}

void tide_cut_deinit(struct tide_cut *c)
{
    mem_free(c->pointers);
    mem_free(c->weight);
    c->pointers = NULL;
    c->weight = NULL;
}

void tide_cut_clear(struct tide_cut *c, const struct tide_data *d)
{
    c->b = (struct tide_batch){.B = 0,
                               .lookback = c->pointers,
                               .past = c->pointers + c->room,
                               .future = c->pointers + 2 * c->room,
                               .fixed = c->pointers + 3 * c->room,
                               .target = c->pointers + 4 * c->room,
                               .weight = d->weight != NULL ? c->weight : NULL,
                               .past_base = d->past_shared ? d->past : NULL,
                               .past_rows = (size_t)d->T,
                               .future_base = d->future_shared ? d->future : NULL,
                               .future_rows = (size_t)d->T_future};
}

void tide_cut_add(struct tide_cut *c, const struct tide_data *d, const struct tide_conf *conf,
                  int series, int start, int has_target)
{
    const size_t n = (size_t)series, s = (size_t)start, T = (size_t)d->T;
    const size_t C = (size_t)conf->n_targets, P = (size_t)conf->past_cov;
    const size_t F = (size_t)conf->future_cov, L = (size_t)conf->input_chunk;
    const float **p = c->pointers + c->b.B;
    int room = c->room;

    p[0] = d->y + (n * T + s) * C;
    if (P > 0)
        p[room] = d->past + ((d->past_shared ? 0 : n * T) + s) * P;
    if (F > 0)
        p[2 * room] = d->future + ((d->future_shared ? 0 : n * (size_t)d->T_future) + s) * F;
    if (d->fixed != NULL)
        p[3 * room] = d->fixed + n * (size_t)conf->static_cov;
    if (has_target)
        p[4 * room] = d->y + (n * T + s + L) * C;
    if (d->weight != NULL) {
        int from = start + (d->weight_lookback ? 0 : conf->input_chunk);
        int len = d->weight_lookback ? conf->input_chunk : conf->output_chunk;
        double sum = 0;
        for (int t = from; t < from + len && t < d->T; t++)
            sum += (double)d->weight[n * T + (size_t)t];
        c->weight[c->b.B] = (float)(sum / len);
    }
    c->b.B++;
}
