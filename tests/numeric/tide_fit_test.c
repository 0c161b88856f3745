/*
 * tide_fit_test.c - training: it learns what only the dense path can, stops, averages, resumes bit
 * for bit, gives the same bits for any number of threads, and refuses what it should.
 */
#include "check.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "model/tide_file.h"
#include "model/tide_fit.h"
#include "model/tide_predict.h"
#include "tensor/rng.h"

#define SERIES 40
#define STEPS 60
#define L 8
#define H 2

static float y[SERIES * STEPS], future[(STEPS + 8) * 2], own[SERIES * (STEPS + 8) * 2];
static float fixed[SERIES * 2];

/* What comes depends on a covariate through a product and a threshold: no linear map has it. */
static double truth(const float *x, int n, int t)
{
    double a = (double)x[0], b = (double)x[1];

    return 2 * a * b + (a > 0 ? 1 : 0) + 0.02 * rng_normal(1, 6, (uint64_t)(n * STEPS + t));
}

static void make_data(void)
{
    for (int t = 0; t < STEPS + 8; t++) {
        future[t * 2] = (float)(rng_uniform(1, 2, (uint64_t)t) * 2 - 1);
        future[t * 2 + 1] = (float)(rng_uniform(1, 3, (uint64_t)t) * 2 - 1);
    }
    for (int n = 0; n < SERIES; n++) {
        double level = rng_uniform(1, 4, (uint64_t)n);
        fixed[n * 2] = (float)level;
        fixed[n * 2 + 1] = (float)rng_uniform(1, 5, (uint64_t)n);
        for (int t = 0; t < STEPS; t++)
            y[n * STEPS + t] = (float)(level + truth(future + t * 2, n, t));
        memcpy(own + n * (STEPS + 8) * 2, future, sizeof future);
    }
}

static void conf_of(struct tide_conf *c)
{
    tide_conf_init(c);
    c->input_chunk = L;
    c->output_chunk = H;
    c->future_cov = 2;
    c->static_cov = 2;
    c->hidden = 32;
    c->decoder_out = 4;
    c->temporal_hidden_future = 16;
    c->dropout = 0.05;
}

static struct tide_data data_of(void)
{
    return (struct tide_data){.N = SERIES, .T = STEPS, .T_future = STEPS + 8, .y = y,
                              .future = future, .future_shared = 1, .fixed = fixed};
}

static struct tide_fit_conf fit_conf_of(int epochs)
{
    struct tide_fit_conf f;

    tide_fit_conf_init(&f);
    f.lr = 5e-3;
    f.batch = 50;
    f.epochs = epochs;
    f.schedule = TIDE_LR_COSINE;
    f.valid_from = 50;
    f.optim.clip_norm = 1;
    return f;
}

static struct err e;

/* Trains to the end; returns the last report's best loss. */
static double train(struct tide *t, const struct tide_data *d, const struct tide_fit_conf *c,
                    struct par *par, struct tide_report *last)
{
    struct tide_fit *f;
    int rc = tide_fit_new(&f, t, d, c, par, &e);

    CHECK(rc == 0);
    if (rc != 0) {
        printf("%s\n", e.text);
        return NAN;
    }
    while (!f->s.finished)
        if (tide_fit_step(f, NULL, &e) < 0) {
            printf("%s\n", e.text);
            CHECK(0);
            break;
        }
    double best = f->s.best_loss;
    if (last != NULL)
        *last = f->report;
    tide_fit_free(f);
    return best;
}

/* The best a linear map of lookback, covariates and constants can do here is the variance of the
 * product term (1/9 * 4) and of what is left of the step. */
static void learns(void)
{
    struct tide_conf c;
    struct tide_data d = data_of();
    struct tide_fit_conf f = fit_conf_of(40);
    struct tide *t;
    static float x[SERIES * (STEPS + 8) * 2], z[SERIES * STEPS];
    double linear = 4.0 / 9 + 1.0 / 16, loss;

    /* covariates of its own for each series */
    for (int i = 0; i < SERIES * (STEPS + 8) * 2; i++)
        x[i] = (float)(rng_uniform(2, 2, (uint64_t)i) * 2 - 1);
    for (int i = 0; i < SERIES * STEPS; i++)
        z[i] = (float)truth(x + (i / STEPS * (STEPS + 8) + i % STEPS) * 2, i / STEPS, i % STEPS);
    d.y = z;
    d.future = x;
    d.future_shared = 0;
    conf_of(&c);
    CHECK(tide_new(&t, &c, 3, &e) == 0);
    loss = train(t, &d, &f, NULL, NULL);
    printf("dense %.4f, linear at best about %.3f\n", loss, linear);
    CHECK(loss < linear / 5);
    tide_free(t);
}

static void same_bits(void)
{
    struct tide_conf c;
    struct tide_data d = data_of();
    struct tide_fit_conf f = fit_conf_of(4);
    struct tide *one = NULL, *two = NULL, *apart;
    struct par *par;

    f.swa_start = 2;
    f.patience = 3;
    conf_of(&c);
    CHECK(par_new(&par, 3, &e) == 0);
    CHECK(tide_new(&one, &c, 3, &e) == 0 && tide_new(&two, &c, 3, &e) == 0);
    train(one, &d, &f, NULL, NULL);
    train(two, &d, &f, par, NULL);
    CHECK(memcmp(one->params, two->params, one->n_params * sizeof(float)) == 0);
    /* covariates of its own for each series, with the same values: the same up to rounding */
    CHECK(tide_new(&apart, &c, 3, &e) == 0);
    d.future_shared = 0;
    d.future = own;
    train(apart, &d, &f, par, NULL);
    double off = 0, all = 0;
    for (size_t i = 0; i < one->n_params; i++) {
        off += pow((double)(one->params[i] - apart->params[i]), 2);
        all += pow((double)one->params[i], 2);
    }
    CHECK(off < 1e-6 * all); /* measured 1e-12 */
    tide_free(one);
    tide_free(two);
    tide_free(apart);
    par_free(par);
}

/* Every kind of fit: written down in the middle of an epoch, read into a new one, carried on. */
static void resumes(const struct tide_fit_conf *f, int stop_at)
{
    struct tide_conf c;
    struct tide_data d = data_of();
    struct tide *whole = NULL, *half = NULL, *again = NULL;
    struct tide_fit *a, *b;
    char path[64];

    snprintf(path, sizeof path, "/tmp/tide_fit_test.%d", (int)getpid());
    conf_of(&c);
    CHECK(tide_new(&whole, &c, 3, &e) == 0 && tide_new(&half, &c, 3, &e) == 0 &&
          tide_new(&again, &c, 99, &e) == 0);
    train(whole, &d, f, NULL, NULL);
    CHECK(tide_fit_new(&a, half, &d, f, NULL, &e) == 0);
    for (int i = 0; i < stop_at && !a->s.finished; i++)
        CHECK(tide_fit_step(a, NULL, &e) >= 0);
    CHECK(tide_fit_save(a, path, &e) == 0);
    tide_fit_free(a);
    CHECK(tide_fit_new(&b, again, &d, f, NULL, &e) == 0);
    CHECK(tide_fit_load(b, path, &e) == 0);
    while (!b->s.finished)
        CHECK(tide_fit_step(b, NULL, &e) >= 0);
    CHECK(memcmp(whole->params, again->params, whole->n_params * sizeof(float)) == 0);
    tide_fit_free(b);
    /* a checkpoint of another model does not fit */
    struct tide *other;
    c.hidden = 16;
    CHECK(tide_new(&other, &c, 1, &e) == 0);
    CHECK(tide_fit_new(&b, other, &d, f, NULL, &e) == 0);
    CHECK(tide_fit_load(b, path, &e) == -1 && e.code == ERR_SHAPE);
    tide_fit_free(b);
    tide_free(other);
    unlink(path);
    tide_free(whole);
    tide_free(half);
    tide_free(again);
}

static void cancels(void)
{
    struct tide_conf c;
    struct tide_data d = data_of();
    struct tide_fit_conf f = fit_conf_of(2);
    struct tide *whole = NULL, *t = NULL;
    struct tide_fit *a;
    atomic_bool stop = 0;
    int n = 0;

    conf_of(&c);
    CHECK(tide_new(&whole, &c, 3, &e) == 0 && tide_new(&t, &c, 3, &e) == 0);
    train(whole, &d, &f, NULL, NULL);
    CHECK(tide_fit_new(&a, t, &d, &f, NULL, &e) == 0);
    while (!a->s.finished) {
        atomic_store(&stop, n++ % 3 == 0);
        if (tide_fit_step(a, &stop, &e) < 0)
            CHECK(e.code == ERR_CANCELLED);
        CHECK(n < 1000);
    }
    CHECK(memcmp(whole->params, t->params, t->n_params * sizeof(float)) == 0);
    tide_fit_free(a);
    tide_free(whole);
    tide_free(t);
}

static void stops_early(void)
{
    struct tide_conf c;
    struct tide_data d = data_of();
    struct tide_fit_conf f = fit_conf_of(60);
    struct tide_report last;
    struct tide_fit *again;
    struct tide *t;
    double best, loss;

    f.lr = 0.1; /* too fast: the loss jumps about */
    f.schedule = TIDE_LR_PLATEAU;
    f.patience = 4;
    f.min_delta = 0.001;
    conf_of(&c);
    CHECK(tide_new(&t, &c, 3, &e) == 0);
    best = train(t, &d, &f, NULL, &last);
    CHECK(last.epoch < 60 && last.epoch == last.best_epoch + 4);
    /* the model is that of the best epoch, not of the last */
    CHECK(tide_fit_new(&again, t, &d, &f, NULL, &e) == 0);
    CHECK(tide_fit_score(again, &again->valid, &loss, NULL, &e) == 0);
    CHECK_NEAR(loss, best, 1e-12, 0);
    tide_fit_free(again);
    /* two phases */
    f = fit_conf_of(8);
    f.patience = 3;
    f.refit = 1;
    train(t, &d, &f, NULL, &last);
    CHECK_INT(last.phase, 2);
    CHECK_INT(last.epochs, (int)fmax(1, floor(1.1 * (last.best_epoch - 1))));
    CHECK_INT(last.epoch, last.epochs);
    tide_free(t);
}

static void refuses(void)
{
    struct tide_conf c;
    struct tide_fit_conf f = fit_conf_of(3);
    struct tide *t;
    struct tide_fit *a;
    static float bad[SERIES * STEPS], zero[SERIES * STEPS];

    conf_of(&c);
    CHECK(tide_new(&t, &c, 3, &e) == 0);
#define REFUSED(change, expected)                                                                 \
    do {                                                                                          \
        struct tide_data d = data_of();                                                           \
        f = fit_conf_of(3);                                                                       \
        change;                                                                                   \
        CHECK(tide_fit_new(&a, t, &d, &f, NULL, &e) == -1 && a == NULL);                          \
        CHECK_STR(err_name(e.code), expected);                                                    \
    } while (0)
    memcpy(bad, y, sizeof y);
    bad[17] = NAN;
    REFUSED(d.y = bad, "nan");
    bad[17] = INFINITY;
    REFUSED(d.y = bad; d.missing = 1, "nan");
    REFUSED(d.T = L - 1, "shape");
    REFUSED(d.T = L + 1, "invalid");
    REFUSED(d.fixed = NULL, "shape");
    REFUSED(d.past = y, "shape");
    REFUSED(d.T_future = STEPS - 1, "shape");
    REFUSED(d.weight = zero, "invalid");
    REFUSED(f.valid_from = STEPS + 5, "invalid");
    REFUSED(f.valid_from = STEPS - 1; f.valid_to = STEPS, "invalid");
    REFUSED(f.lr = NAN, "invalid");
    REFUSED(f.batch = 0, "invalid");
    REFUSED(f.refit = 1; f.valid_from = 0, "invalid");
    REFUSED(d.N = 0, "shape");

    /* a rate that runs away: the error says so, the best weights so far are kept and finite */
    struct tide_data d = data_of();
    f = fit_conf_of(50);
    f.lr = 1e5;
    f.schedule = TIDE_LR_CONST;
    f.optim.kind = OPTIM_SGD;
    f.optim.clip_norm = 0;
    int rc = 0;
    CHECK(tide_fit_new(&a, t, &d, &f, NULL, &e) == 0);
    while (rc >= 0 && !a->s.finished)
        rc = tide_fit_step(a, NULL, &e);
    CHECK(rc == -1 && e.code == ERR_DIVERGED);
    CHECK(strstr(e.text, "epoch") != NULL);
    for (size_t i = 0; i < t->n_params; i++)
        CHECK(isfinite(t->params[i]));
    tide_fit_free(a);
    tide_free(t);
}

/* Constant series, one series, gaps, weights, windows that are not kept: all train. */
static void odd_data(void)
{
    static float flat[SERIES * STEPS], gaps[SERIES * STEPS], weight[SERIES * STEPS];
    static uint8_t keep[SERIES * STEPS];
    struct tide_conf c;
    struct tide_fit_conf f = fit_conf_of(2);
    struct tide *t;

    conf_of(&c);
    c.rin = 1;
    for (int i = 0; i < SERIES * STEPS; i++) {
        flat[i] = 3;
        gaps[i] = i % 7 == 0 || (i / STEPS == 3 && i % STEPS < 30) ? NAN : y[i];
        weight[i] = (float)(i % 3);
        keep[i] = i / STEPS % 2 == 0;
    }
    for (int i = 0; i < 4; i++) {
        struct tide_data d = data_of();
        struct tide_report last;
        if (i == 0)
            d.y = flat;
        if (i == 1)
            d.N = 1;
        if (i == 2) {
            d.y = gaps;
            d.missing = 1;
        }
        if (i == 3) {
            d.weight = weight;
            d.keep = keep;
            d.weight_lookback = 1;
        }
        CHECK(tide_new(&t, &c, 3, &e) == 0);
        train(t, &d, &f, NULL, &last);
        CHECK(isfinite(last.train_loss) && isfinite(last.valid_loss));
        tide_free(t);
    }
}

static void predicts(void)
{
    struct tide_conf c;
    struct tide_data d = data_of();
    struct tide_fit_conf f = fit_conf_of(3);
    struct tide_predict_conf p;
    struct model_file file;
    struct tide *t, *back;
    static float out[SERIES * H * 5], again[SERIES * H * 5];
    char path[64];

    conf_of(&c);
    c.loss.kind = LOSS_PINBALL;
    c.loss.n_quantiles = 5;
    for (int i = 0; i < 5; i++) {
        c.loss.quantiles[i] = 0.1 + 0.2 * i;
        c.loss.q_weight[i] = 1;
    }
    CHECK(tide_new(&t, &c, 3, &e) == 0);
    train(t, &d, &f, NULL, NULL);
    tide_predict_conf_init(&p, &d);
    CHECK(tide_predict(t, &d, &p, out, NULL, NULL, &e) == 0);
    p.batch = 7;
    CHECK(tide_predict(t, &d, &p, again, NULL, NULL, &e) == 0);
    CHECK(memcmp(out, again, sizeof out) == 0);
    for (int i = 0; i < SERIES * H * 5; i++)
        CHECK(isfinite(out[i]) && (i % 5 == 0 || out[i] >= out[i - 1]));

    /* through a file */
    snprintf(path, sizeof path, "/tmp/tide_fit_test.%d", (int)getpid());
    CHECK(tide_save(t, path, "{\"note\":1}", 10, &e) == 0);
    CHECK(model_file_open(&file, path, &e) == 0);
    CHECK(tide_open(&back, &file, &e) == 0);
    CHECK_INT(model_file_find(&file, "meta")->bytes, 10);
    CHECK(tide_predict(back, &d, &p, again, NULL, NULL, &e) == 0);
    CHECK(memcmp(out, again, sizeof out) == 0);
    struct tide_fit *a;
    CHECK(tide_fit_new(&a, back, &d, &f, NULL, &e) == -1 && e.code == ERR_INVALID);
    CHECK(tide_own(back, &e) == 0);
    model_file_close(&file);
    CHECK(memcmp(back->params, t->params, t->n_params * sizeof(float)) == 0);
    CHECK(tide_fit_new(&a, back, &d, &f, NULL, &e) == 0);
    CHECK(tide_fit_step(a, NULL, &e) >= 0);
    tide_fit_free(a);
    tide_free(back);
    unlink(path);

    /* by samples */
    p.samples = 50;
    p.n_levels = 3;
    p.levels[0] = 0.05;
    p.levels[1] = 0.5;
    p.levels[2] = 0.95;
    CHECK(tide_predict(t, &d, &p, out, NULL, NULL, &e) == 0);
    for (int i = 0; i < SERIES * H * 3; i++)
        CHECK(isfinite(out[i]) && (i % 3 == 0 || out[i] >= out[i - 1]));
    p.at = L - 1;
    CHECK(tide_predict(t, &d, &p, out, NULL, NULL, &e) == -1 && e.code == ERR_SHAPE);
    p.at = STEPS + 1;
    CHECK(tide_predict(t, &d, &p, out, NULL, NULL, &e) == -1 && e.code == ERR_SHAPE);
    tide_free(t);
}

/* Each allocation fails in turn: an error, no leak. */
static void no_memory(void)
{
    struct tide_conf c;
    struct tide_data d = data_of();
    struct tide_fit_conf f = fit_conf_of(1);
    size_t live = mem_live();
    int failures = 0;

    f.max_steps = 1;
    conf_of(&c);
    for (size_t at = 1; at < 400; at++) {
        struct tide *t = NULL;
        struct tide_fit *a = NULL;
        int rc;
        mem_fail_at(at);
        rc = tide_new(&t, &c, 3, &e);
        if (rc == 0)
            rc = tide_fit_new(&a, t, &d, &f, NULL, &e);
        while (rc >= 0 && a != NULL && !a->s.finished)
            rc = tide_fit_step(a, NULL, &e);
        mem_fail_at(0);
        failures += rc < 0;
        if (rc < 0)
            CHECK_STR(err_name(e.code), "nomem");
        tide_fit_free(a);
        tide_free(t);
        CHECK_INT(mem_live(), live);
        if (rc >= 0)
            break;
    }
    CHECK(failures > 30 && failures < 390);
}

/* A dense part that is a constant may be left out: the same bits come out, there and back. */
static void constant_part(int rin, int affine)
{
    struct tide_conf c;
    struct tide_data d = data_of();
    struct tide_cut cut;
    struct tide *t;
    struct tide_work *all, *lean;
    struct tide_noise noise = {TIDE_DROP_DRAW, 1, 2};
    static float a[40 * H], b[40 * H];
    double loss[2];

    conf_of(&c);
    c.layer_norm = c.layer_norm_temporal = 1;
    c.rin = rin;
    c.rin_affine = affine;
    CHECK(tide_new(&t, &c, 3, &e) == 0 && tide_cut_init(&cut, 40, &e) == 0);
    CHECK(tide_work_new(&all, t, 40, 1, NULL, &e) == 0);
    CHECK(tide_work_new(&lean, t, 40, 1, NULL, &e) == 0);
    tide_work_skip_constant(lean);
    float *ga = calloc(t->n_params, sizeof *ga), *gb = calloc(t->n_params, sizeof *gb);
    tide_cut_clear(&cut, &d);
    for (int i = 0; i < 40; i++)
        tide_cut_add(&cut, &d, &c, i, i % 30, 1);
    for (int step = 0; step < 3; step++) {
        noise.stream = (uint64_t)step;
        CHECK(tide_backward(all, &cut.b, &noise, ga, &loss[0], NULL, &e) == 0);
        CHECK(tide_backward(lean, &cut.b, &noise, gb, &loss[1], NULL, &e) == 0);
        CHECK(loss[1] == loss[0]);
        int off = 0;
        for (size_t i = 0; i < t->n_params; i++) {
            off += ga[i] != gb[i];
            t->params[i] -= 0.05f * ga[i];
        }
        CHECK_INT(off, 0);
        tide_work_stale(all);
        tide_work_stale(lean);
        CHECK(tide_forward(all, &cut.b, NULL, a, NULL, &e) == 0);
        CHECK(tide_forward(lean, &cut.b, NULL, b, NULL, &e) == 0);
        CHECK(memcmp(a, b, sizeof a) == 0);
    }
    free(ga);
    free(gb);
    tide_work_free(all);
    tide_work_free(lean);
    tide_cut_deinit(&cut);
    tide_free(t);
}

int main(void)
{
    struct tide_fit_conf f;
    size_t live = mem_live();

    make_data();
    learns();
    same_bits();
    f = fit_conf_of(3);
    resumes(&f, 5);
    f.schedule = TIDE_LR_RESTARTS;
    f.T0 = 7;
    f.swa_start = 1;
    f.optim.amsgrad = 1;
    resumes(&f, 45);
    f = fit_conf_of(4);
    f.refit = 1;
    f.schedule = TIDE_LR_ONE_CYCLE;
    f.optim.kind = OPTIM_ADAMW;
    f.optim.weight_decay = 1e-3;
    resumes(&f, 140);
    f.warm = 1;
    resumes(&f, 140);
    cancels();
    stops_early();
    refuses();
    odd_data();
    predicts();
    constant_part(0, 0);
    constant_part(1, 0);
    constant_part(1, 1);
    no_memory();
    CHECK_INT(mem_live(), live);
    return check_done();
}
