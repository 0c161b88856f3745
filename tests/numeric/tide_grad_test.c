/*
 * tide_grad_test.c - TiDE against itself written down plainly in f64: the output, and every
 * gradient against four-point differences, over random configurations.
 */
#include "check.h"

#include <stdlib.h>

#include "model/tide.h"
#include "tensor/kern.h"
#include "tensor/rng.h"

/* Output: f32 against f64, relative to the largest value. Measured: 6e-6, the same. */
#define OUT_MAX 1e-5
/* Gradients: ||g - d|| / ||d|| over all parameters. Measured: 2e-5 at worst,
 * where layer norm divides by little. */
#define GRAD_MAX 1e-4
#define STEP 1e-6 /* small, so that few steps cross a kink of relu or the loss */
#define B_MAX 4

static uint64_t draw_at;

static double uniform(void)
{
    return rng_uniform(99, 1, draw_at++);
}

static int between(int low, int high)
{
    return low + (int)(uniform() * (high - low + 1));
}

struct sample {
    const float *look, *past, *future, *fixed, *target;
    double weight;
    int b;
};

/* The masks of a block in the case at hand, or NULL. */
static struct tide_work *work;

static int keeps(const char *block, int row, int i)
{
    int words, n;
    const uint16_t *m = tide_work_mask(work, block, &words, &n);

    return m[row * words + i / 16] >> (i % 16) & 1;
}

/* Residual block with parameters from *p on. `flat` is where row begins within a masked line. */
static void block(const double **p, double *y, const double *x, int I, int D, int O, int norm,
                  double drop, const char *name, int line, int flat)
{
    const double *w1 = *p, *b1 = w1 + I * D, *w2 = b1 + D, *b2 = w2 + O * D, *ws = b2 + O,
                 *bs = ws + O * I, *gamma = bs + O, *beta = gamma + O;
    double h[64];

    for (int d = 0; d < D; d++) {
        h[d] = b1[d];
        for (int i = 0; i < I; i++)
            h[d] += w1[d * I + i] * x[i];
        h[d] = h[d] > 0 ? h[d] : 0;
    }
    for (int o = 0; o < O; o++) {
        double a = b2[o], s = bs[o];
        for (int d = 0; d < D; d++)
            a += w2[o * D + d] * h[d];
        for (int i = 0; i < I; i++)
            s += ws[o * I + i] * x[i];
        if (drop > 0)
            a = keeps(name, line, flat + o) ? a / (1 - drop) : 0;
        y[o] = a + s;
    }
    *p = gamma;
    if (norm) {
        double mean = 0, var = 0;
        for (int o = 0; o < O; o++)
            mean += y[o] / O;
        for (int o = 0; o < O; o++)
            var += (y[o] - mean) * (y[o] - mean) / O;
        for (int o = 0; o < O; o++)
            y[o] = (y[o] - mean) / sqrt(var + 1e-5) * gamma[o] + beta[o];
        *p = beta + O;
    }
}

/* y (H, C, Q) of one sample. */
static void plain(const struct tide_conf *c, const double *p, const struct sample *s, double *y,
                  double drop)
{
    const int L = c->input_chunk, H = c->output_chunk, C = c->n_targets;
    const int Q = c->loss.n_quantiles > 0 ? c->loss.n_quantiles : 1;
    const int pw = c->past_cov > 0 && c->temporal_width_past > 0 ? c->temporal_width_past
                                                                 : c->past_cov;
    const int fw = c->future_cov > 0 && c->temporal_width_future > 0 ? c->temporal_width_future
                                                                     : c->future_cov;
    const double *rw = p, *rb = p + C, *before;
    double in[2048], mean[8] = {0}, std[8], v[512], u[512], x[64];
    int n = 0;
    char name[32];

    if (c->rin && c->rin_affine)
        p += 2 * C;
    for (int i = 0; i < C; i++) {
        double q = 0;
        for (int t = 0; t < L; t++)
            mean[i] += (double)s->look[t * C + i] / L;
        for (int t = 0; t < L; t++)
            q += pow((double)s->look[t * C + i] - mean[i], 2) / L;
        std[i] = sqrt(q + c->rin_eps);
    }
    for (int t = 0; t < L; t++)
        for (int i = 0; i < C; i++) {
            in[n] = (double)s->look[t * C + i];
            if (c->rin)
                in[n] = (in[n] - mean[i]) / std[i];
            if (c->rin && c->rin_affine)
                in[n] = in[n] * rw[i] + rb[i];
            n++;
        }
    for (int part = 0; part < 2; part++) {
        int F = part == 0 ? c->past_cov : c->future_cov, w = part == 0 ? pw : fw;
        int T = part == 0 ? L : L + H;
        int width = part == 0 ? c->temporal_width_past : c->temporal_width_future;
        int D = part == 0 ? c->temporal_hidden_past : c->temporal_hidden_future;
        const float *from = part == 0 ? s->past : s->future;
        before = p;
        for (int t = 0; F > 0 && t < T; t++) {
            for (int i = 0; i < F; i++)
                x[i] = (double)from[t * F + i];
            if (width == 0) {
                memcpy(in + n, x, (size_t)F * sizeof *x);
            } else {
                p = before;
                block(&p, in + n, x, F, D > 0 ? D : c->hidden, w, c->layer_norm, drop,
                      part == 0 ? "past_cov_projection" : "future_cov_projection", s->b, t * w);
            }
            n += w;
        }
    }
    const double *future = in + n - (L + H) * fw;
    for (int i = 0; i < c->static_cov; i++)
        in[n++] = (double)s->fixed[i];
    const double *from = in;
    for (int i = 0; i < c->n_enc + c->n_dec; i++) {
        int enc = i < c->n_enc, last = i + 1 == c->n_enc + c->n_dec;
        snprintf(name, sizeof name, "%s.%d", enc ? "encoders" : "decoders",
                 enc ? i : i - c->n_enc);
        block(&p, u, from, i == 0 ? n : c->hidden, c->hidden,
              last ? c->decoder_out * H * Q : c->hidden, c->layer_norm, drop, name, s->b, 0);
        memcpy(v, u, sizeof v);
        from = v;
    }
    before = p;
    for (int h = 0; h < H; h++) {
        int D = c->decoder_out * Q;
        memcpy(x, v + h * D, (size_t)D * sizeof *x);
        memcpy(x + D, future + (L + h) * fw, (size_t)fw * sizeof *x);
        p = before;
        block(&p, y + h * C * Q, x, D + fw, c->temporal_decoder_hidden, C * Q,
              c->layer_norm_temporal, drop, "temporal_decoder", s->b * H + h, 0);
    }
    for (int q = 0; q < H * Q; q++)
        for (int i = 0; i < C; i++) {
            y[q * C + i] += p[H * Q * L + q];
            for (int t = 0; t < L; t++)
                y[q * C + i] += p[q * L + t] * in[t * C + i];
        }
    for (int h = 0; c->rin && h < H; h++)
        for (int i = 0; i < C; i++)
            for (int q = 0; q < Q; q++) {
                double *o = &y[(h * C + i) * Q + q];
                if (c->rin_affine)
                    *o = (*o - rb[i]) / (rw[i] + c->rin_eps * c->rin_eps);
                *o = *o * std[i] + mean[i];
            }
}

static double plain_loss(const struct tide_conf *c, const double *p, const struct sample *s, int B,
                         double drop)
{
    const int Q = c->loss.n_quantiles > 0 ? c->loss.n_quantiles : 1;
    const int n = c->output_chunk * c->n_targets;
    double y[512], sum = 0;

    for (int b = 0; b < B; b++) {
        plain(c, p, &s[b], y, drop);
        for (int i = 0; i < n * Q; i++) {
            double e = (double)s[b].target[i / Q] - y[i], a = fabs(e), v;
            double q = c->loss.quantiles[i % Q], d = c->loss.delta;
            switch (c->loss.kind) {
            case LOSS_MSE: v = e * e; break;
            case LOSS_MAE: v = a; break;
            case LOSS_HUBER: v = a <= d ? e * e / 2 : d * (a - d / 2); break;
            default: v = c->loss.q_weight[i % Q] * fmax(q * e, (q - 1) * e);
            }
            sum += v * s[b].weight;
        }
    }
    return sum / (B * n);
}

static float *noise(size_t n)
{
    float *x = malloc((n + 1) * sizeof *x);

    if (x == NULL)
        exit(1);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(uniform() * 4 - 2);
    return x;
}

static double worst_out, worst_grad;

static void check_conf(const struct tide_conf *c, int B)
{
    struct err e;
    struct tide *t;
    struct sample s[B_MAX];
    const float *look[B_MAX], *past[B_MAX], *future[B_MAX], *fixed[B_MAX], *target[B_MAX];
    float weight[B_MAX], *held[B_MAX * 5];
    struct tide_noise noise_of = {c->dropout > 0 ? TIDE_DROP_DRAW : TIDE_DROP_OFF, 7, draw_at};
    size_t width;
    double loss, y[512], off = 0, top = 0, diff = 0, all = 0;

    CHECK(tide_new(&t, c, draw_at, &e) == 0);
    CHECK(tide_work_new(&work, t, B, 1, NULL, &e) == 0);
    for (size_t i = 0; i < t->n_params; i++) /* also what starts as 0 or 1 */
        t->params[i] += (float)(uniform() - 0.5) * 0.2f;
    const int L = c->input_chunk, H = c->output_chunk;
    for (int b = 0; b < B; b++) {
        look[b] = held[b * 5] = noise((size_t)(L * c->n_targets));
        past[b] = held[b * 5 + 1] = noise((size_t)(L * c->past_cov));
        future[b] = held[b * 5 + 2] = noise((size_t)((L + H) * c->future_cov));
        fixed[b] = held[b * 5 + 3] = noise((size_t)c->static_cov);
        target[b] = held[b * 5 + 4] = noise((size_t)(H * c->n_targets));
        weight[b] = (float)(0.5 + uniform());
        s[b] = (struct sample){look[b], past[b], future[b], fixed[b], target[b],
                               (double)weight[b], b};
    }
    struct tide_batch batch = {.B = B, .lookback = look, .past = past, .future = future,
                               .fixed = fixed, .target = target, .weight = weight};
    float *grads = malloc(t->n_params * sizeof *grads);
    double *p = malloc(t->n_params * sizeof *p);
    if (grads == NULL || p == NULL)
        exit(1);
    for (size_t i = 0; i < t->n_params; i++)
        p[i] = (double)t->params[i];
    CHECK(tide_backward(work, &batch, &noise_of, grads, &loss, NULL, &e) == 0);
    const float *out = tide_work_look(work, "y", &width);
    for (int b = 0; b < B; b++) {
        plain(c, p, &s[b], y, c->dropout);
        for (size_t i = 0; i < width; i++) {
            off = fmax(off, fabs(y[i] - (double)out[(size_t)b * width + i]));
            top = fmax(top, fabs(y[i]));
        }
    }
    CHECK(off <= OUT_MAX * top);
    CHECK_NEAR(loss, plain_loss(c, p, s, B, c->dropout), OUT_MAX, 0.1);
    worst_out = fmax(worst_out, off / top);
    for (size_t i = 0; i < t->n_params; i++) {
        static const double at[4] = {-2, -1, 1, 2}, by[4] = {1, -8, 8, -1};
        double was = p[i], d = 0;
        for (int k = 0; k < 4; k++) {
            p[i] = was + at[k] * STEP;
            d += by[k] * plain_loss(c, p, s, B, c->dropout);
        }
        p[i] = was;
        d /= 12 * STEP;
        diff += (d - (double)grads[i]) * (d - (double)grads[i]);
        all += d * d;
    }
    CHECK(sqrt(diff) <= GRAD_MAX * sqrt(all));
    worst_grad = fmax(worst_grad, sqrt(diff / all));
    for (int i = 0; i < B * 5; i++)
        free(held[i]);
    free(grads);
    free(p);
    tide_work_free(work);
    tide_free(t);
}

int main(void)
{
    for (int k = 0; kern_at(k) != NULL; k++) {
        CHECK(kern_use(kern_at(k)->name) == 0);
        draw_at = 1000 * (uint64_t)k;
        worst_out = worst_grad = 0;
        for (int turn = 0; turn < 10; turn++) {
            struct tide_conf c;
            tide_conf_init(&c);
            c.input_chunk = between(2, 9);
            c.output_chunk = between(1, 4);
            c.n_targets = between(1, 3);
            c.past_cov = between(0, 3);
            c.future_cov = between(0, 3);
            c.static_cov = between(0, 4);
            c.n_enc = between(1, 3);
            c.n_dec = between(1, 3);
            c.decoder_out = between(1, 4);
            c.hidden = between(3, 12);
            c.temporal_width_past = between(0, 4);
            c.temporal_width_future = between(0, 4);
            c.temporal_hidden_past = between(0, 9);
            c.temporal_hidden_future = between(0, 9);
            c.temporal_decoder_hidden = between(2, 9);
            c.layer_norm = between(0, 1);
            c.layer_norm_temporal = between(0, 2) == 2;
            c.rin = between(0, 1);
            c.rin_affine = between(0, 1);
            c.rin_eps = 1e-3;
            c.dropout = turn % 2 == 0 ? 0 : 0.3;
            c.loss.kind = (enum loss_kind)(turn % LOSS_COUNT);
            c.loss.delta = 0.7;
            if (c.loss.kind == LOSS_PINBALL) {
                c.loss.n_quantiles = between(1, 3);
                for (int q = 0; q < c.loss.n_quantiles; q++) {
                    c.loss.quantiles[q] = (q + 1.0) / (c.loss.n_quantiles + 1);
                    c.loss.q_weight[q] = 0.5 + uniform();
                }
            }
            check_conf(&c, between(1, B_MAX));
        }
        printf("%s: output off by %.2g, gradients by %.2g\n", kern()->name, worst_out, worst_grad);
    }
    return check_done();
}
