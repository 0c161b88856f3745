/*
 * tide_fit.c - training a TiDE. See tide_fit.h; checkpoints are in tide_file.c.
 */
#include "model/tide_fit.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "tensor/rng.h"

/* Streams of the seed: weights use their own numbers below 2^32, see tide.c. */
#define STREAM_ORDER ((uint64_t)1 << 40)
#define STREAM_DROP ((uint64_t)1 << 41)

void tide_fit_conf_init(struct tide_fit_conf *c)
{
    memset(c, 0, sizeof *c);
    optim_conf_init(&c->optim);
    c->lr = 1e-3;
    c->T0 = 100;
    c->T_mult = 1;
    c->cycle_div = 25;
    c->cycle_final = 1e4;
    c->cycle_warm = 0.3;
    c->plateau_factor = 0.5;
    c->plateau_patience = 5;
    c->batch = 32;
    c->epochs = 100;
    c->seed = 1;
    c->stride = 1;
    c->swa_start = -1;
    c->swa_lr = 1e-4;
    c->swa_anneal = 10;
    c->refit_factor = 1.1;
}

int tide_schedule_of(const char *name)
{
    static const char *const names[TIDE_LR_COUNT] = {"const", "cosine", "restarts", "one_cycle",
                                                     "plateau"};

    for (int i = 0; i < TIDE_LR_COUNT; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    return -1;
}

int tide_fit_conf_check(const struct tide_fit_conf *c, struct err *e)
{
    if (!(c->lr > 0 && c->lr < 1e6) || !(c->lr_floor >= 0 && c->lr_floor <= c->lr))
        return err_set(e, ERR_INVALID, "learning rate %g, floor %g", c->lr, c->lr_floor);
    if (c->batch < 1 || c->batch > 65536 || c->epochs < 1 || c->epochs > 1000000)
        return err_set(e, ERR_INVALID, "batches of %d, %d epochs", c->batch, c->epochs);
    if (!(c->T0 > 0) || c->T_mult < 1 || c->T_mult > 1000)
        return err_set(e, ERR_INVALID, "warm restarts after %g steps, times %d", c->T0, c->T_mult);
    if (!(c->cycle_div >= 1) || !(c->cycle_final >= 1) ||
        !(c->cycle_warm >= 0 && c->cycle_warm < 1))
        return err_set(e, ERR_INVALID, "one cycle of div %g, final %g, warm %g", c->cycle_div,
                       c->cycle_final, c->cycle_warm);
    if (!(c->plateau_factor > 0 && c->plateau_factor < 1) || c->plateau_patience < 0)
        return err_set(e, ERR_INVALID, "plateau factor %g, patience %d", c->plateau_factor,
                       c->plateau_patience);
    if (c->stride < 1 || c->max_steps < 0 || c->patience < 0 || !(c->min_delta >= 0))
        return err_set(e, ERR_INVALID, "stride %d, max_steps %d, patience %d, min_delta %g",
                       c->stride, c->max_steps, c->patience, c->min_delta);
    if (!(c->optim.weight_decay >= 0) || !(c->optim.clip_norm >= 0) ||
        !(c->optim.beta1 >= 0 && c->optim.beta1 < 1) ||
        !(c->optim.beta2 >= 0 && c->optim.beta2 < 1) || !(c->optim.eps > 0) ||
        !(c->optim.momentum >= 0 && c->optim.momentum < 1))
        return err_set(e, ERR_INVALID, "optimizer: decay %g, clip %g, betas %g %g, eps %g, "
                       "momentum %g", c->optim.weight_decay, c->optim.clip_norm, c->optim.beta1,
                       c->optim.beta2, c->optim.eps, c->optim.momentum);
    if (c->swa_start >= 0 && (!(c->swa_lr > 0) || c->swa_anneal < 0))
        return err_set(e, ERR_INVALID, "averaging: rate %g, %d epochs to it", c->swa_lr,
                       c->swa_anneal);
    if (c->refit && (c->valid_from <= 0 || !(c->refit_factor > 0 && c->refit_factor < 100)))
        return err_set(e, ERR_INVALID, "a second fit needs a validation range and a factor, "
                       "found %g", c->refit_factor);
    return 0;
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The windows of a phase; 2 trains on what 1 trained and validated on. */
int tide_fit_set_phase(struct tide_fit *f, int phase, struct err *e)
{
    const struct tide_fit_conf *c = &f->conf;
    int end = c->valid_to > 0 ? c->valid_to : f->data->T;
    int split = phase == 1 && c->valid_from > 0 ? c->valid_from : end;
    size_t batches;

    tide_windows_deinit(&f->train);
    tide_windows_deinit(&f->valid);
    if (tide_windows_init(&f->train, f->data, &f->t->conf, c->train_from, split, c->stride, e) != 0)
        return -1;
    if (split < end &&
        tide_windows_init(&f->valid, f->data, &f->t->conf, split, end, 1, e) != 0)
        return -1;
    if (f->train.n == 0)
        return err_set(e, ERR_INVALID, "no training window of %d + %d steps between %d and %d",
                       f->t->conf.input_chunk, f->t->conf.output_chunk, c->train_from, split);
    if (phase == 1 && c->valid_from > 0 && f->valid.n == 0)
        return err_set(e, ERR_INVALID, "no validation window of %d steps between %d and %d",
                       f->t->conf.output_chunk, c->valid_from, end);
    batches = (f->train.n + (size_t)c->batch - 1) / (size_t)c->batch;
    if (c->max_steps > 0 && batches > (size_t)c->max_steps)
        batches = (size_t)c->max_steps;
    if (batches > INT32_MAX)
        return err_set(e, ERR_LIMIT, "%zu batches an epoch", batches);
    f->s.phase = phase;
    f->s.n_batches = (int32_t)batches;
    return 0;
}

int tide_fit_new(struct tide_fit **out, struct tide *t, const struct tide_data *data,
                 const struct tide_fit_conf *conf, struct par *par, struct err *e)
{
    struct tide_fit *f;
    size_t n = t->n_params;
    size_t width = (size_t)t->conf.output_chunk * (size_t)t->conf.n_targets * (size_t)t->Q;

    *out = NULL;
    if (t->borrowed)
        return err_set(e, ERR_INVALID, "the model's parameters belong to a file: tide_own first");
    if (tide_fit_conf_check(conf, e) != 0 || tide_data_check(data, &t->conf, e) != 0)
        return -1;
    f = mem_zero(1, sizeof *f);
    if (f == NULL)
        return err_set(e, ERR_NOMEM, "no memory to train");
    f->t = t;
    f->data = data;
    f->conf = *conf;
    f->par = par;
    f->s.epochs = conf->epochs;
    f->s.best_loss = INFINITY;
    f->s.last_lr = conf->lr;
    lr_plateau_init(&f->s.plateau, conf->plateau_factor, conf->plateau_patience, conf->min_delta);
    f->grads = mem_aligned((n + 16) * sizeof(float));
    f->best = mem_aligned((n + 16) * sizeof(float));
    f->avg = mem_aligned((n + 16) * sizeof(float));
    f->out = mem_aligned(((size_t)conf->batch * width + 16) * sizeof(float));
    if (f->grads == NULL || f->best == NULL || f->avg == NULL || f->out == NULL) {
        err_set(e, ERR_NOMEM, "no memory to train %zu parameters", n);
        goto fail;
    }
    memcpy(f->best, t->params, n * sizeof(float));
    memset(f->avg, 0, n * sizeof(float));
    if (conf->refit && conf->warm) {
        f->first = mem_aligned((n + 16) * sizeof(float));
        if (f->first == NULL) {
            err_set(e, ERR_NOMEM, "no memory to train %zu parameters", n);
            goto fail;
        }
        memcpy(f->first, t->params, n * sizeof(float));
    }
    if (tide_fit_set_phase(f, 1, e) != 0 || tide_cut_init(&f->cut, conf->batch, e) != 0 ||
        optim_init(&f->optim, &conf->optim, n, e) != 0 ||
        tide_work_new(&f->work, t, conf->batch, 1, par, e) != 0)
        goto fail;
    tide_work_skip_constant(f->work);
    if (conf->valid_from > 0) {
        if (tide_work_new(&f->lean, t, conf->batch, 0, par, e) != 0)
            goto fail;
        tide_work_skip_constant(f->lean);
    }
    f->epoch_began = now();
    *out = f;
    return 0;
fail:
    tide_fit_free(f);
    return -1;
}

void tide_fit_free(struct tide_fit *f)
{
    if (f == NULL)
        return;
    tide_windows_deinit(&f->train);
    tide_windows_deinit(&f->valid);
    tide_cut_deinit(&f->cut);
    tide_work_free(f->work);
    tide_work_free(f->lean);
    optim_deinit(&f->optim);
    mem_free(f->grads);
    mem_free(f->best);
    mem_free(f->avg);
    mem_free(f->first);
    mem_free(f->out);
    mem_free(f);
}

static int is_averaging(const struct tide_fit *f)
{
    return f->conf.swa_start >= 0 && f->s.epoch >= f->conf.swa_start;
}

static double rate(const struct tide_fit *f)
{
    const struct tide_fit_conf *c = &f->conf;
    double step = (double)f->s.epoch * f->s.n_batches + f->s.at;
    double all = (double)f->s.epochs * f->s.n_batches;

    if (is_averaging(f))
        return lr_swa(f->s.swa_from, c->swa_lr, c->swa_anneal, 0,
                      (double)(f->s.epoch - c->swa_start));
    switch (c->schedule) {
    case TIDE_LR_COSINE: return lr_cosine(c->lr, c->lr_floor, all, step);
    case TIDE_LR_RESTARTS: return lr_warm_restarts(c->lr, c->lr_floor, c->T0, c->T_mult, step);
    case TIDE_LR_ONE_CYCLE:
        return lr_one_cycle(c->lr, c->cycle_div, c->cycle_final, c->cycle_warm, all, step);
    case TIDE_LR_PLATEAU: return fmax(c->lr * f->s.plateau.scale, c->lr_floor);
    default: return c->lr;
    }
}

int tide_fit_score(struct tide_fit *f, const struct tide_windows *w, double *loss,
                   const atomic_bool *stop, struct err *e)
{
    const struct tide_conf *c = &f->t->conf;
    int n = c->output_chunk * c->n_targets, Q = f->t->Q;
    double sum = 0, count = 0;
    struct tide_work *work = f->lean != NULL ? f->lean : f->work;

    tide_work_stale(work);
    for (size_t at = 0; at < w->n; at += (size_t)f->conf.batch) {
        tide_cut_clear(&f->cut, f->data);
        for (size_t i = at; i < w->n && f->cut.b.B < f->conf.batch; i++) {
            int series, start;
            tide_windows_at(w, i, &series, &start);
            tide_cut_add(&f->cut, f->data, c, series, start, 1);
        }
        if (tide_forward(work, &f->cut.b, NULL, f->out, stop, e) != 0)
            return -1;
        for (int b = 0; b < f->cut.b.B; b++) {
            const float *y = f->cut.b.target[b];
            sum += loss_sample(&c->loss, NULL, f->out + (size_t)b * (size_t)(n * Q), y, n, Q,
                               f->cut.b.weight != NULL ? (double)f->cut.b.weight[b] : 1, 0);
            for (int i = 0; i < n; i++)
                count += !isnan(y[i]);
        }
    }
    *loss = count > 0 ? sum / count : NAN;
    return 0;
}

/* Starts over on everything, for as many epochs as phase 1 found best. */
static int start_refit(struct tide_fit *f, struct err *e)
{
    int32_t best = f->s.best_epoch - 1; /* from 0, as the reference counts */
    double want = floor(f->conf.refit_factor * best);
    uint64_t steps = f->s.steps;

    if (tide_fit_set_phase(f, 2, e) != 0)
        return -1;
    if (f->first != NULL)
        memcpy(f->t->params, f->first, f->t->n_params * sizeof(float));
    else
        tide_draw(f->t, f->conf.seed);
    memset(f->optim.m, 0, (f->optim.vmax != NULL ? 3 : 2) * f->optim.n * sizeof(float));
    f->optim.step = 0;
    f->s.epochs = want > 1 ? (int32_t)want : 1;
    f->s.epoch = 0;
    f->s.bad_epochs = 0;
    f->s.swa_n = 0;
    f->s.steps = steps;
    lr_plateau_init(&f->s.plateau, f->conf.plateau_factor, f->conf.plateau_patience,
                    f->conf.min_delta);
    tide_work_stale(f->work);
    return 0;
}

/* The model this phase ends with. */
static void install(struct tide_fit *f)
{
    size_t bytes = f->t->n_params * sizeof(float);

    if (f->s.swa_n > 0)
        memcpy(f->t->params, f->avg, bytes);
    else if (f->s.phase == 1 && f->valid.n > 0)
        memcpy(f->t->params, f->best, bytes);
    tide_work_stale(f->work);
}

static int end_epoch(struct tide_fit *f, const atomic_bool *stop, struct err *e)
{
    struct tide_fit_state *s = &f->s;
    double valid = NAN;
    int watch = s->phase == 1 && f->valid.n > 0;

    if (watch && tide_fit_score(f, &f->valid, &valid, stop, e) != 0)
        return -1;
    if (is_averaging(f))
        optim_average(f->avg, f->t->params, f->t->n_params, s->swa_n++);
    s->epoch++;
    if (watch) {
        if (valid < s->best_loss - (s->best_epoch > 0 ? f->conf.min_delta : 0)) {
            s->best_loss = valid;
            s->best_epoch = s->epoch;
            s->bad_epochs = 0;
            memcpy(f->best, f->t->params, f->t->n_params * sizeof(float));
        } else {
            s->bad_epochs++;
        }
    } else if (s->phase == 1) {
        memcpy(f->best, f->t->params, f->t->n_params * sizeof(float));
    }
    double loss = s->loss_n > 0 ? s->loss_sum / s->loss_n : NAN;
    lr_plateau_step(&s->plateau, watch ? valid : loss);
    f->report = (struct tide_report){.phase = s->phase,
                                     .epoch = s->epoch,
                                     .epochs = s->epochs,
                                     .train_loss = loss,
                                     .valid_loss = valid,
                                     .best_loss = s->best_loss,
                                     .best_epoch = s->best_epoch,
                                     .lr = s->last_lr,
                                     .grad_norm = s->last_norm,
                                     .seconds = now() - f->epoch_began,
                                     .steps = s->steps};
    f->epoch_began = now();
    s->at = 0;
    s->loss_sum = s->loss_n = 0;
    if (is_averaging(f) && s->epoch == f->conf.swa_start)
        s->swa_from = s->last_lr;
    if (s->epoch < s->epochs &&
        !(watch && f->conf.patience > 0 && s->bad_epochs >= f->conf.patience))
        return 1;
    install(f);
    if (s->phase == 1 && f->conf.refit)
        return start_refit(f, e) == 0 ? 1 : -1;
    s->finished = 1;
    return 1;
}

static int diverged(struct tide_fit *f, const char *what, double v, struct err *e)
{
    memcpy(f->t->params, f->best, f->t->n_params * sizeof(float));
    tide_work_stale(f->work);
    f->s.finished = 1;
    return err_set(e, ERR_DIVERGED, "epoch %d, batch %d: %s is %g; a smaller learning rate than %g "
                   "may help", (int)f->s.epoch + 1, (int)f->s.at + 1, what, v, f->s.last_lr);
}

int tide_fit_step(struct tide_fit *f, const atomic_bool *stop, struct err *e)
{
    struct tide_fit_state *s = &f->s;
    struct tide_noise noise = {TIDE_DROP_DRAW, f->conf.seed,
                               STREAM_DROP + ((uint64_t)s->phase << 36) +
                                   (uint64_t)s->epoch * (uint64_t)s->n_batches + (uint64_t)s->at};
    double loss, norm;

    if (s->finished)
        return err_set(e, ERR_INVALID, "this fit has ended");
    if (s->at == s->n_batches) /* cancelled while validating: do that again */
        return end_epoch(f, stop, e);
    if (s->epoch == 0 && s->at == 0 && f->conf.swa_start == 0)
        s->swa_from = f->conf.lr;
    tide_cut_clear(&f->cut, f->data);
    for (size_t i = (size_t)s->at * (size_t)f->conf.batch;
         i < f->train.n && f->cut.b.B < f->conf.batch; i++) {
        int series, start;
        uint64_t stream = STREAM_ORDER + ((uint64_t)s->phase << 36) + (uint64_t)s->epoch;
        tide_windows_at(&f->train, rng_shuffled(f->conf.seed, stream, i, f->train.n), &series,
                        &start);
        tide_cut_add(&f->cut, f->data, &f->t->conf, series, start, 1);
    }
    s->last_lr = rate(f);
    if (tide_backward(f->work, &f->cut.b, &noise, f->grads, &loss, stop, e) != 0) {
        if (e == NULL || e->code != ERR_NAN)
            return -1;
        loss = 0; /* not one known target in this batch: nothing to learn from it */
    } else {
        if (!isfinite(loss))
            return diverged(f, "the loss", loss, e);
        norm = optim_step(&f->optim, f->t->params, f->grads, s->last_lr, f->par);
        if (!isfinite(norm))
            return diverged(f, "the gradient's norm", norm, e);
        tide_work_stale(f->work);
        s->last_norm = norm;
        s->loss_sum += loss * f->cut.b.B;
        s->loss_n += f->cut.b.B;
        s->steps++;
    }
    s->at++;
    return s->at == s->n_batches ? end_epoch(f, stop, e) : 0;
}
