/*
 * tide_rate_bench.c - speed of training and prediction on two shapes: a record store's months and
 * ETTh1.
 *
 *   tide_rate_bench [store|ett] [threads] [seconds]
 *
 * Prints one JSON line a shape: samples/s of training and of prediction in batches of 512, time of
 * one sample, bytes in use, GFLOP/s of this core's peak (FMA on registers), of a dense layer of 512 x
 * 256 x 256 and of all products of a training step. The same network for PyTorch is tide_bench.py, which also runs this
 * and prints both. Steps are timed one by one; the rate is that of the middle step.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "model/optim.h"
#include "model/tide.h"
#include "tensor/kern.h"
#include "tensor/rng.h"

#define BATCH 512
#define STEPS_MAX 100000

#if defined(__x86_64__)
#include <immintrin.h>

#define CHAINS 20 /* of FMAs that do not wait for each other: more than latency x ports */
#define PEAK(name, isa, type, lanes, set, fma)                                                    \
    __attribute__((target(isa))) static double name(long n)                                       \
    {                                                                                             \
        type s[CHAINS], a = set(0.999f), b = set(1e-3f);                                          \
        for (int i = 0; i < CHAINS; i++)                                                          \
            s[i] = set((float)i);                                                                 \
        for (long k = 0; k < n; k++) {                                                            \
            _Pragma("GCC unroll 20") for (int i = 0; i < CHAINS; i++) s[i] = fma(s[i], a, b);     \
            __asm__ volatile("" ::"v"(s[0]), "v"(s[CHAINS - 1]));                                 \
        }                                                                                         \
        for (int i = 0; i < CHAINS; i++)                                                          \
            __asm__ volatile("" ::"v"(s[i]));                                                     \
        return 2.0 * CHAINS * lanes * (double)n;                                                  \
    }
PEAK(peak512, "avx512f", __m512, 16, _mm512_set1_ps, _mm512_fmadd_ps)
PEAK(peak256, "avx2,fma", __m256, 8, _mm256_set1_ps, _mm256_fmadd_ps)
#endif

static int use_cpu; /* BENCH_CPU=1: processor time, for one thread on a busy machine */

static double now(void)
{
    struct timespec t;

    clock_gettime(use_cpu ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int upward(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double middle(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, upward);
    return v[n / 2];
}

/* GFLOP/s of FMAs on registers; 0 where there is no way to tell. */
static double peak(void)
{
    double best = 0;

#if defined(__x86_64__)
    for (int i = 0; i < 9; i++) {
        double t0 = now(), n = strcmp(kern()->name, "avx512") == 0 ? peak512(300000)
                               : strcmp(kern()->name, "avx2") == 0 ? peak256(300000)
                                                                   : 0;
        double rate = n / (now() - t0) * 1e-9;
        best = rate > best ? rate : best;
    }
#endif
    return best;
}

static float *noise(size_t n, uint64_t stream);

/* GFLOP/s of a dense layer with bias and relu, weights packed once. */
static double dense(void)
{
    enum { M = 512, N = 256, K = 256 };
    float *a = noise(M * K, 1), *w = noise(N * K, 2), *bias = noise(N, 3), *c = noise(M * N, 4);
    float *b = aligned_alloc(64, kern_packed(K, N) * sizeof *b);
    struct gemm g = {.c = c, .ldc = N, .a = a, .rs = K, .cs = 1, .b = b, .m = M, .n = N, .k = K,
                     .bias = bias, .relu = 1};
    double best = 0;

    if (b == NULL)
        exit(1);
    kern()->pack_cols(b, w, K, K, N);
    for (int i = 0; i < 40; i++) {
        double t0 = now();
        for (int j = 0; j < 10; j++)
            kern()->gemm(&g);
        double rate = 10 * 2.0 * M * N * K / (now() - t0) * 1e-9;
        best = rate > best ? rate : best;
    }
    free(a);
    free(b);
    free(c);
    free(w);
    free(bias);
    return best;
}

/* GFLOP of the products of one training sample: forward, gradients of weights, gradients of inputs
 * but for those of the data. What is shared by samples is not counted. */
static double work_of(const struct tide_conf *c, int shared)
{
    double L = c->input_chunk, H = c->output_chunk, hid = c->hidden, th = c->temporal_hidden_future;
    double Q = c->loss.n_quantiles > 0 ? c->loss.n_quantiles : 1, F = c->future_cov;
    double cov = (L + H) * c->temporal_width_future, in = L + cov + c->static_cov;
    double out = c->decoder_out * H * Q, td = c->temporal_decoder_hidden;
    double ti = c->decoder_out * Q + c->temporal_width_future;
    double inner = (c->n_enc + c->n_dec - 2) * 3 * hid * hid + hid * hid + 2 * hid * out;
    double temporal = H * (ti * td + td * Q + ti * Q);
    double project = shared ? 0 : (L + H) * (F * th + th * 4 + F * 4);
    double first = 2 * in * hid + hid * hid, all = first + inner + temporal + project + L * H * Q;

    return 2e-9 * (2 * all + inner + temporal + hid * hid + 2 * cov * hid + project / 2);
}

/* N series of T steps and covariates: all of them own ones (store) or one calendar (ett). */
struct data {
    int N, T, shared;
    float *y, *future, *fixed;
};

static void shape_of(struct tide_conf *c, struct data *d, const char *name)
{
    static const double q[5] = {0.05, 0.25, 0.5, 0.75, 0.95};

    tide_conf_init(c);
    c->hidden = 256;
    c->n_enc = c->n_dec = 2;
    c->decoder_out = 8;
    c->temporal_decoder_hidden = 128;
    c->temporal_hidden_future = 64;
    c->dropout = 0.1;
    if (strcmp(name, "store") == 0) {
        c->input_chunk = 24;
        c->output_chunk = 1;
        c->future_cov = 6;
        c->static_cov = 20;
        c->loss.kind = LOSS_PINBALL;
        c->loss.n_quantiles = 5;
        for (int i = 0; i < 5; i++) {
            c->loss.quantiles[i] = q[i];
            c->loss.q_weight[i] = 1;
        }
        *d = (struct data){.N = 5000, .T = 60};
    } else {
        c->input_chunk = 720;
        c->output_chunk = 96;
        c->future_cov = 4;
        *d = (struct data){.N = 7, .T = 8640, .shared = 1};
    }
}

static float *noise(size_t n, uint64_t stream)
{
    float *x = malloc(n * sizeof *x);

    if (x == NULL)
        exit(1);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(rng_uniform(1, stream, i) * 2 - 1);
    return x;
}

static const float *look[BATCH], *fut[BATCH], *fix[BATCH], *tgt[BATCH];

static void cut(const struct tide_conf *c, const struct data *d, struct tide_batch *b, int step)
{
    int L = c->input_chunk, H = c->output_chunk, n_starts = d->T - L - H + 1;

    for (int i = 0; i < BATCH; i++) {
        uint64_t r = rng_bits(3, (uint64_t)step, (uint64_t)i);
        int n = (int)(r % (uint64_t)d->N), s = (int)(r / 7919 % (uint64_t)n_starts);
        look[i] = d->y + (size_t)n * (size_t)d->T + s;
        tgt[i] = look[i] + L;
        fut[i] = d->future + ((d->shared ? 0 : (size_t)n * (size_t)d->T) + (size_t)s) *
                                 (size_t)c->future_cov;
        fix[i] = d->fixed + (size_t)n * (size_t)c->static_cov;
    }
    *b = (struct tide_batch){.B = BATCH, .lookback = look, .future = fut, .fixed = fix,
                             .target = tgt,
                             .future_base = d->shared ? d->future : NULL,
                             .future_rows = (size_t)d->T};
}

static void run(const char *name, int n_threads, double seconds)
{
    struct tide_conf c;
    struct data d;
    struct tide *t;
    struct tide_work *w, *lean;
    struct par *par;
    struct optim_conf oc;
    struct optim o;
    struct err e;
    struct rusage use;
    static double took[STEPS_MAX];
    double loss = 0, train, infer, one, first = 0;
    int n = 0;

    shape_of(&c, &d, name);
    d.y = noise((size_t)d.N * (size_t)d.T, 1);
    d.future = noise((d.shared ? 1 : (size_t)d.N) * (size_t)d.T * (size_t)c.future_cov, 2);
    d.fixed = noise((size_t)d.N * 20, 3);
    optim_conf_init(&oc);
    oc.kind = OPTIM_ADAMW;
    oc.weight_decay = 1e-2;
    if (par_new(&par, n_threads, &e) != 0 || tide_new(&t, &c, 1, &e) != 0 ||
        tide_work_new(&w, t, BATCH, 1, par, &e) != 0 ||
        tide_work_new(&lean, t, BATCH, 0, par, &e) != 0 ||
        optim_init(&o, &oc, t->n_params, &e) != 0) {
        printf("%s\n", e.text);
        exit(1);
    }
    float *grads = malloc(t->n_params * sizeof *grads);
    float *out = malloc(BATCH * 512 * sizeof *out);
    struct tide_batch b;
    for (double end = now() + seconds; n < 5 || (now() < end && n < STEPS_MAX); n++) {
        struct tide_noise drop = {TIDE_DROP_DRAW, 5, (uint64_t)n};
        double t0 = now();
        cut(&c, &d, &b, n);
        if (tide_backward(w, &b, &drop, grads, &loss, NULL, &e) != 0)
            exit(1);
        optim_step(&o, t->params, grads, 1e-3, par);
        tide_work_stale(w);
        took[n] = now() - t0;
        if (n == 0)
            first = loss;
    }
    train = middle(took, n);
    n = 0;
    for (double end = now() + seconds / 3; n < 5 || (now() < end && n < STEPS_MAX); n++) {
        double t0 = now();
        cut(&c, &d, &b, n);
        tide_forward(lean, &b, NULL, out, NULL, &e);
        took[n] = now() - t0;
    }
    infer = middle(took, n);
    double top = peak(), layer = dense(), work = work_of(&c, d.shared);
    b.B = 1;
    n = 0;
    for (double end = now() + seconds / 6; n < 5 || (now() < end && n < STEPS_MAX); n++) {
        double t0 = now();
        tide_forward(lean, &b, NULL, out, NULL, &e);
        took[n] = now() - t0;
    }
    one = middle(took, n);
    getrusage(RUSAGE_SELF, &use);
    printf("{\"shape\":\"%s\",\"kernels\":\"%s\",\"threads\":%d,\"params\":%zu,"
           "\"train_per_s\":%.0f,\"infer_per_s\":%.0f,\"one_us\":%.1f,\"rss_mib\":%ld,"
           "\"loss\":[%.4f,%.4f],\"peak\":%.1f,\"dense\":%.1f,\"step\":%.1f}\n",
           name, kern()->name, n_threads, t->n_params, BATCH / train, BATCH / infer, one * 1e6,
           use.ru_maxrss / 1024, first, loss, top, layer, BATCH / train * work);
    fflush(stdout);
    tide_work_free(w);
    tide_work_free(lean);
    tide_free(t);
    optim_deinit(&o);
    par_free(par);
    free(grads);
    free(out);
    free(d.y);
    free(d.future);
    free(d.fixed);
}

int main(int argc, char **argv)
{
    use_cpu = getenv("BENCH_CPU") != NULL;
    int n_threads = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 1;
    double seconds = argc > 3 ? strtod(argv[3], NULL) : 3;

    if (argc > 1) {
        run(argv[1], n_threads, seconds);
        return 0;
    }
    run("store", n_threads, seconds);
    run("ett", n_threads, seconds);
    return 0;
}
