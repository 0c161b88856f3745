/*
 * tide_darts_bench.c - a task for which darts' users report 15 to 18 minutes of training and 29 s of
 * prediction, with a desktop GPU (RTX 4070): unit8co/darts, issue 2559.
 *
 * 3,000 series of 300 points, lookback 26, horizon 2, 4 past covariates, 3 of the calendar, hidden
 * size 8, 3 quantiles, instance norm, batches of 256, early stopping; prediction of all series by
 * 100 samples. The data are made up here (theirs are not public): levels, a yearly season, and what
 * the covariates move. Two threads; asked for: at most 60 s. About that long.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "model/tide_fit.h"
#include "model/tide_predict.h"
#include "tensor/rng.h"

enum { SERIES = 3000, STEPS = 300, L = 26, H = 2, P = 4, F = 3 };

static struct err e;

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void must(int rc)
{
    if (rc < 0) {
        fprintf(stderr, "%s\n", e.text);
        exit(1);
    }
}

static float *room(size_t n)
{
    float *p = malloc(n * sizeof *p);

    if (p == NULL)
        exit(1);
    return p;
}

/* Each value follows the one before, its season and what its covariates were a week ago. */
static void make(float *y, float *past, float *future)
{
    for (int t = 0; t < STEPS + H; t++) {
        future[t * F] = (float)(t / 13 % 4) / 3 - 0.5f;
        future[t * F + 1] = (float)sin(t * 2 * 3.14159265 / 52);
        future[t * F + 2] = (float)cos(t * 2 * 3.14159265 / 52);
    }
    for (int n = 0; n < SERIES; n++) {
        double level = rng_normal(1, 1, (uint64_t)n), x = level;
        double swing = rng_uniform(1, 2, (uint64_t)n);
        for (int t = 0; t < STEPS; t++) {
            size_t i = (size_t)n * STEPS + (size_t)t;
            for (int p = 0; p < P; p++)
                past[i * P + (size_t)p] = (float)rng_normal(2, (uint64_t)p, i);
            double push = t > 0 ? (double)past[(i - 1) * P] * (double)past[(i - 1) * P + 1] : 0;
            x = 0.7 * x + 0.3 * level + 0.3 * push + 0.2 * rng_normal(3, 0, i);
            y[i] = (float)(x + swing * (double)future[t * F + 1]);
        }
    }
}

int main(void)
{
    float *y = room((size_t)SERIES * STEPS), *past = room((size_t)SERIES * STEPS * P);
    float *future = room((STEPS + H) * F);
    float *out = room((size_t)SERIES * H * 3);
    struct tide_data d = {.N = SERIES, .T = STEPS, .T_future = STEPS + H, .y = y, .past = past,
                          .future = future, .future_shared = 1};
    struct tide_conf c;
    struct tide_fit_conf f;
    struct tide_predict_conf p;
    struct tide *t;
    struct tide_fit *fit;
    struct par *par;

    make(y, past, future);
    tide_conf_init(&c);
    c.input_chunk = L;
    c.output_chunk = H;
    c.past_cov = P;
    c.future_cov = F;
    c.hidden = 8;
    c.rin = 1;
    c.loss.kind = LOSS_PINBALL;
    c.loss.n_quantiles = 3;
    for (int i = 0; i < 3; i++) {
        c.loss.quantiles[i] = 0.1 + 0.4 * i;
        c.loss.q_weight[i] = 1;
    }
    tide_fit_conf_init(&f);
    f.batch = 256;
    f.epochs = 100;
    f.patience = 3;
    f.min_delta = 1e-3;
    f.valid_from = STEPS - 26;
    f.schedule = TIDE_LR_PLATEAU;
    f.plateau_patience = 1;
    must(par_new(&par, 2, &e));
    must(tide_new(&t, &c, 1, &e));
    double began = now();
    must(tide_fit_new(&fit, t, &d, &f, par, &e));
    while (!fit->s.finished) {
        int rc = tide_fit_step(fit, NULL, &e);
        must(rc);
        if (rc == 1)
            printf("epoch %d: %.2f s, train %.4f, validation %.4f\n", fit->report.epoch,
                   fit->report.seconds, fit->report.train_loss, fit->report.valid_loss);
        fflush(stdout);
    }
    double took = now() - began;
    printf("%zu windows, %d epochs: %.1f s\n", fit->train.n, fit->report.epoch, took);
    tide_fit_free(fit);
    tide_predict_conf_init(&p, &d);
    p.samples = 100;
    p.n_levels = 3;
    for (int i = 0; i < 3; i++)
        p.levels[i] = 0.1 + 0.4 * i;
    began = now();
    must(tide_predict(t, &d, &p, out, par, NULL, &e));
    printf("@figure\ttide darts task, training s\t%.6g\t60\t1\tlower\n", took);
    printf("@figure\ttide darts task, prediction with 100 samples s\t%.6g\t29\t0.1\tlower\n",
           now() - began);
    tide_free(t);
    par_free(par);
    free(y);
    free(past);
    free(future);
    free(out);
    return 0;
}
