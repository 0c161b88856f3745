/*
 * tide_paper_bench.c - the TiDE paper's table on every file of the ETT form in $BENCH_DATA/ett.
 *
 *   tide_paper_bench [file or horizon …]      TIDE_SEEDS=3, TIDE_EPOCHS=12 (5), TIDE_THREADS=2
 *
 * A file is said without ".csv", say ETTh1. Half an hour for ETTh1 and ETTm1 on two cores; a row is
 * printed when it is done.
 *
 * The official split, scaling, lookback, widths and metric (mean over all test windows, steps and
 * series of the squared error of z-scores). The learning rate, which falls to 0 over the epochs (12 of
 * hourly data, 5 of quarter-hourly), is chosen on the validation part, never on test. Beside each row: ridge regression on the
 * lookback in closed form, with and without instance norm, chosen on validation too. In the paper's
 * code layer norm also covers the temporal decoder's single output, which makes that part a
 * constant: so is it here (tide_fit leaves out what a constant does not need), and the figures are
 * those of a linear map; what the dense part is worth is shown by tide_fit_test.c.
 *
 * Source: Das et al. 2023, arXiv:2304.08424; scripts of google-research/tide.
 */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model/tide_fit.h"
#include "model/tide_predict.h"
#include "tensor/kern.h"
#include "tensor/tensor_op.h"

#define SERIES 7
#define FEATURES 7

struct set {
    char name[32];
    int T, train_end, val_end, test_end, minutes;
    float *y;     /* (SERIES, T) z-scored with the training part */
    float *clock; /* (T, FEATURES) */
};

/* Rows of the paper: mean squared error at 96, 192, 336, 720. */
static const struct {
    const char *name;
    double mse[4];
} paper[] = {{"ETTh1", {.375, .412, .435, .454}},
             {"ETTh2", {.270, .332, .360, .419}},
             {"ETTm1", {.306, .335, .364, .413}},
             {"ETTm2", {.161, .215, .267, .352}}};
static const int horizons[4] = {96, 192, 336, 720};

static struct err e;

static void must(int rc)
{
    if (rc < 0) {
        fprintf(stderr, "%s\n", e.text);
        exit(1);
    }
}

static void *need(void *p)
{
    if (p == NULL) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    return p;
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Minute, hour, day, weekday, day of year, month, week: each about -0.5 to 0.5. */
static void clock_features(float *f, const char *stamp)
{
    struct tm tm = {0};

    if (sscanf(stamp, "%d-%d-%d %d:%d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
               &tm.tm_min) != 5) {
        fprintf(stderr, "%.20s is not a time\n", stamp);
        exit(1);
    }
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    time_t t = timegm(&tm);
    gmtime_r(&t, &tm);
    f[0] = (float)(tm.tm_min / 59.0 - 0.5);
    f[1] = (float)(tm.tm_hour / 23.0 - 0.5);
    f[2] = (float)(tm.tm_mday / 30.0 - 0.5);
    f[3] = (float)((tm.tm_wday + 6) % 7 / 6.0 - 0.5);
    f[4] = (float)((tm.tm_yday + 1) / 364.0 - 0.5);
    f[5] = (float)((tm.tm_mon + 1) / 11.0 - 0.5);
    f[6] = (float)((tm.tm_yday + 7 - tm.tm_wday) / 7 / 51.0 - 0.5);
}

static int read_set(struct set *s, const char *dir, const char *file)
{
    char path[1024], line[1024];
    int n = 0, room = 80000;

    memset(s, 0, sizeof *s);
    snprintf(s->name, sizeof s->name, "%.*s", (int)(strlen(file) - 4), file);
    snprintf(path, sizeof path, "%s/%s", dir, file);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return -1;
    float *raw = need(malloc((size_t)room * SERIES * sizeof *raw));
    s->clock = need(malloc((size_t)room * FEATURES * sizeof *s->clock));
    if (fgets(line, sizeof line, f) == NULL)
        exit(1);
    while (n < room && fgets(line, sizeof line, f) != NULL) {
        char *p = strchr(line, ',');
        if (p == NULL)
            break;
        clock_features(s->clock + n * FEATURES, line);
        for (int i = 0; i < SERIES && p != NULL; i++, p = strchr(p + 1, ','))
            raw[n * SERIES + i] = strtof(p + 1, NULL);
        n++;
    }
    fclose(f);
    int hourly = n < 20000, month = hourly ? 720 : 2880;
    s->train_end = 12 * month;
    s->val_end = 16 * month;
    s->test_end = 20 * month < n ? 20 * month : n;
    s->T = s->test_end;
    s->y = need(malloc((size_t)s->T * SERIES * sizeof *s->y));
    for (int i = 0; i < SERIES; i++) {
        double mean = 0, var = 0;
        for (int t = 0; t < s->train_end; t++)
            mean += (double)raw[t * SERIES + i] / s->train_end;
        for (int t = 0; t < s->train_end; t++)
            var += pow((double)raw[t * SERIES + i] - mean, 2) / s->train_end;
        for (int t = 0; t < s->T; t++)
            s->y[i * s->T + t] = (float)(((double)raw[t * SERIES + i] - mean) / sqrt(var));
    }
    free(raw);
    return n > 0 ? 0 : -1;
}

/* --- ridge: y(H) = [x (L) or x - mean; 1 or std] W, normal equations --- */

#define ROWS 512

struct ridge {
    int L, H, revin;
    float *w; /* (L + 1, H) */
};

/* Windows whose target starts in from..to-H, in blocks of ROWS: x (ROWS, W), y (ROWS, H) of
 * the un-normalised error. Returns the number of rows, 0 at the end. */
static int block(const struct set *s, const struct ridge *r, int from, int to, int *at, float *x,
                 float *y)
{
    const int L = r->L, H = r->H, W = L + 1, revin = r->revin;
    int n = 0, per = to - H - from + 1;

    for (; n < ROWS && *at < per * SERIES; n++, (*at)++) {
        const float *v = s->y + *at / per * s->T + from + *at % per - L;
        double mean = 0, var = 0;
        for (int t = 0; t < L; t++)
            mean += (double)v[t] / L;
        for (int t = 0; t < L; t++)
            var += pow((double)v[t] - mean, 2) / L;
        if (!revin)
            mean = 0;
        for (int t = 0; t < L; t++)
            x[n * W + t] = (float)((double)v[t] - mean);
        x[n * W + L] = revin ? (float)sqrt(var) : 1;
        for (int h = 0; h < H; h++)
            y[n * H + h] = (float)((double)v[L + h] - mean);
    }
    return n;
}

static void ridge_fit(struct ridge *r, const struct set *s)
{
    const struct kern *k = kern();
    const int W = r->L + 1;
    int at = 0, n;
    float *x = need(malloc((size_t)ROWS * (size_t)W * sizeof *x));
    float *y = need(malloc((size_t)ROWS * (size_t)r->H * sizeof *y));
    float *px = need(aligned_alloc(64, kern_packed(ROWS, W) * sizeof *px));
    float *py = need(aligned_alloc(64, (kern_packed(ROWS, r->H) * sizeof *py + 63) / 64 * 64));
    float *g1 = need(malloc((size_t)W * (size_t)W * sizeof *g1));
    float *c1 = need(malloc((size_t)W * (size_t)r->H * sizeof *c1));
    double *g = need(calloc((size_t)W * (size_t)W, sizeof *g));
    double *c = need(calloc((size_t)W * (size_t)r->H, sizeof *c)), trace = 0;
    ptrdiff_t square[2] = {W, W}, tall[2] = {W, r->H};
    struct tensor *A, *B, *X;

    while ((n = block(s, r, r->L, s->train_end, &at, x, y)) > 0) {
        struct gemm m = {.c = g1, .ldc = W, .a = x, .rs = 1, .cs = W, .b = px, .m = W,
                         .n = W, .k = n};
        k->pack_rows(px, x, W, n, W);
        k->gemm(&m);
        k->pack_rows(py, y, r->H, n, r->H);
        m.c = c1;
        m.ldc = m.n = r->H;
        m.b = py;
        k->gemm(&m);
        for (int i = 0; i < W * W; i++)
            g[i] += (double)g1[i];
        for (int i = 0; i < W * r->H; i++)
            c[i] += (double)c1[i];
    }
    for (int i = 0; i < W; i++)
        trace += g[i * W + i];
    must(tensor_new(&A, 2, square, &e));
    must(tensor_new(&B, 2, tall, &e));
    for (int i = 0; i < W * W; i++)
        A->data[i] = (float)((g[i] + (i % (W + 1) == 0 ? 1e-3 * trace / W : 0)) / trace);
    for (int i = 0; i < W * r->H; i++)
        B->data[i] = (float)(c[i] / trace);
    must(tensor_solve(&X, A, B, &e));
    memcpy(r->w, X->data, (size_t)W * (size_t)r->H * sizeof *r->w);
    tensor_free(A);
    tensor_free(B);
    tensor_free(X);
    free(x);
    free(y);
    free(px);
    free(py);
    free(g1);
    free(c1);
    free(g);
    free(c);
}

static double ridge_mse(const struct ridge *r, const struct set *s, int from, int to)
{
    const struct kern *k = kern();
    const int W = r->L + 1;
    float *x = need(malloc((size_t)ROWS * (size_t)W * sizeof *x));
    float *y = need(malloc((size_t)ROWS * (size_t)r->H * sizeof *y));
    float *p = need(aligned_alloc(64, (kern_packed(W, r->H) * sizeof *p + 63) / 64 * 64));
    float *out = need(malloc((size_t)ROWS * (size_t)r->H * sizeof *out));
    double sum = 0, count = 0;
    int at = 0, n;

    k->pack_rows(p, r->w, r->H, W, r->H);
    while ((n = block(s, r, from, to, &at, x, y)) > 0) {
        struct gemm m = {.c = out, .ldc = r->H, .a = x, .rs = W, .cs = 1, .b = p, .m = n,
                         .n = r->H, .k = W};
        k->gemm(&m);
        for (int i = 0; i < n * r->H; i++)
            sum += pow((double)out[i] - (double)y[i], 2);
        count += n * r->H;
    }
    free(x);
    free(y);
    free(p);
    free(out);
    return sum / count;
}

static double ridge_row(const struct set *s, int L, int H)
{
    struct ridge r[2] = {{.L = L, .H = H}, {.L = L, .H = H, .revin = 1}};
    double val[2], test[2];

    for (int i = 0; i < 2; i++) {
        r[i].w = need(malloc((size_t)(L + 1) * (size_t)H * sizeof *r[i].w));
        ridge_fit(&r[i], s);
        val[i] = ridge_mse(&r[i], s, s->train_end, s->val_end);
        test[i] = ridge_mse(&r[i], s, s->val_end, s->test_end);
        free(r[i].w);
    }
    return test[val[1] < val[0]];
}

/* --- TiDE --- */

/* The script of ETTh1 asks for 720 steps and then, for long horizons, for 336 again. */
static int lookback(const struct set *s, int H)
{
    return strcmp(s->name, "ETTh1") == 0 && H >= 336 ? 336 : 720;
}

/* The official scripts, by file. */
static void paper_conf(struct tide_conf *c, const struct set *s, int H)
{
    int m1 = strcmp(s->name, "ETTm1") == 0, m2 = strcmp(s->name, "ETTm2") == 0;
    int h2 = strcmp(s->name, "ETTh2") == 0, late = H >= 336;

    tide_conf_init(c);
    c->input_chunk = lookback(s, H);
    c->output_chunk = H;
    c->future_cov = FEATURES;
    c->temporal_hidden_future = 64;
    c->temporal_width_future = 4;
    c->layer_norm = c->layer_norm_temporal = 1;
    c->rin = !m1;
    c->n_enc = c->n_dec = 1;
    if (m1) {
        c->hidden = 1024;
        c->decoder_out = 8;
        c->temporal_decoder_hidden = 128;
        c->dropout = 0.5;
    } else if (m2) {
        c->hidden = 512;
        c->decoder_out = 16;
        c->temporal_decoder_hidden = 128;
        c->dropout = 0;
    } else if (h2) {
        c->hidden = 512;
        c->decoder_out = 32;
        c->temporal_decoder_hidden = 16;
        c->dropout = 0.2;
    } else {
        c->hidden = late ? 256 : 512;
        c->decoder_out = late ? 8 : 32;
        c->temporal_decoder_hidden = late ? 128 : 16;
        c->dropout = late ? 0.3 : 0.5;
    }
}

/* Over the windows whose targets lie in from..to-1. */
static double score(const struct tide *t, const struct set *s, int from, int to, struct par *par,
                    double *mae)
{
    const int H = t->conf.output_chunk, B = 512;
    struct tide_data d = {.N = SERIES, .T = s->T, .T_future = s->T, .y = s->y,
                          .future = s->clock, .future_shared = 1};
    struct tide_windows w;
    struct tide_cut cut;
    struct tide_work *work;
    float *out = need(malloc((size_t)B * (size_t)H * sizeof *out));
    double sum = 0, abs_sum = 0, count = 0;

    must(tide_windows_init(&w, &d, &t->conf, from, to, 1, &e));
    must(tide_cut_init(&cut, B, &e));
    must(tide_work_new(&work, t, B, 0, par, &e));
    tide_work_skip_constant(work);
    for (size_t at = 0; at < w.n; at += (size_t)B) {
        tide_cut_clear(&cut, &d);
        for (size_t i = at; i < w.n && cut.b.B < B; i++) {
            int series, start;
            tide_windows_at(&w, i, &series, &start);
            tide_cut_add(&cut, &d, &t->conf, series, start, 1);
        }
        must(tide_forward(work, &cut.b, NULL, out, NULL, &e));
        for (int b = 0; b < cut.b.B; b++)
            for (int h = 0; h < H; h++) {
                double off = (double)out[b * H + h] - (double)cut.b.target[b][h];
                sum += off * off;
                abs_sum += fabs(off);
                count++;
            }
    }
    tide_work_free(work);
    tide_cut_deinit(&cut);
    tide_windows_deinit(&w);
    free(out);
    *mae = abs_sum / count;
    return sum / count;
}

struct result {
    double valid, mse, mae;
};

static struct result train(const struct set *s, int H, double lr, uint64_t seed, struct par *par)
{
    const char *most = getenv("TIDE_EPOCHS");
    struct tide_data d = {.N = SERIES, .T = s->T, .T_future = s->T, .y = s->y,
                          .future = s->clock, .future_shared = 1};
    struct tide_conf c;
    struct tide_fit_conf f;
    struct tide *t;
    struct tide_fit *fit;
    struct result r;

    tide_fit_conf_init(&f);
    paper_conf(&c, s, H);
    f.lr = lr;
    f.batch = 512;
    f.epochs = most != NULL ? (int)strtol(most, NULL, 10) : s->train_end > 20000 ? 5 : 12;
    f.seed = seed;
    f.valid_to = s->train_end; /* the rate falls to 0: the last weights are the quiet ones */
    f.schedule = TIDE_LR_COSINE;
    must(tide_new(&t, &c, seed, &e));
    must(tide_fit_new(&fit, t, &d, &f, par, &e));
    while (!fit->s.finished)
        must(tide_fit_step(fit, NULL, &e));
    tide_fit_free(fit);
    r.valid = score(t, s, s->train_end, s->val_end, par, &r.mae);
    r.mse = score(t, s, s->val_end, s->test_end, par, &r.mae);
    tide_free(t);
    return r;
}

/* Their batches are 7 series at one time, ours 512 windows: other rates suit. Which does is seen
 * on the validation part. */
static const double rates[] = {3e-4, 1e-3, 3e-3};
#define RATES (sizeof rates / sizeof *rates)

static void row(const struct set *s, int H, struct par *par)
{
    const char *n_seeds = getenv("TIDE_SEEDS");
    int seeds = n_seeds != NULL ? (int)strtol(n_seeds, NULL, 10) : 3;
    double mse = 0, mae = 0, target = NAN, began = now(), ridge = ridge_row(s, lookback(s, H), H);
    struct result r, best = {.valid = INFINITY};
    size_t rate = 0;

    for (size_t i = 0; i < sizeof paper / sizeof *paper; i++)
        for (int h = 0; h < 4; h++)
            if (strcmp(paper[i].name, s->name) == 0 && horizons[h] == H)
                target = paper[i].mse[h];
    for (size_t i = 0; i < RATES; i++) {
        r = train(s, H, rates[i], 1, par);
        if (r.valid < best.valid) {
            best = r;
            rate = i;
        }
    }
    printf("%s %3d: rate %g is best on validation, %.4f; seeds", s->name, H, rates[rate],
           best.valid);
    for (int i = 0; i < seeds; i++) {
        r = i == 0 ? best : train(s, H, rates[rate], (uint64_t)i + 1, par);
        printf(" %.4f", r.mse);
        fflush(stdout);
        mse += r.mse / seeds;
        mae += r.mae / seeds;
    }
    printf("\n%s %3d: mse %.4f mae %.4f, paper %.3f (%+.1f %%), ridge %.4f; %.0f s\n", s->name, H,
           mse, mae, target, (mse / target - 1) * 100, ridge, now() - began);
    if (!isnan(target))
        printf("@figure\ttide-paper %s %d mse\t%.5f\t%.3f\t1.03\tlower\n", s->name, H, mse,
               target);
    fflush(stdout);
}

/* Arguments pick by horizon and by file; those of a kind are alternatives. */
static int is_wanted(int argc, char **argv, const char *name, int H)
{
    int numbers = 0, names = 0, number_ok = 0, name_ok = 0;

    for (int a = 1; a < argc; a++) {
        long n = strtol(argv[a], NULL, 10);
        numbers += n > 0;
        names += n <= 0;
        number_ok |= n == H;
        name_ok |= strcmp(argv[a], name) == 0;
    }
    return (numbers == 0 || number_ok) && (names == 0 || name_ok);
}

int main(int argc, char **argv)
{
    const char *root = getenv("BENCH_DATA"), *threads = getenv("TIDE_THREADS");
    char dir[512];
    struct dirent **files;
    struct par *par;
    int n;

    snprintf(dir, sizeof dir, "%s/ett", root != NULL ? root : "../shared/data");
    n = scandir(dir, &files, NULL, alphasort);
    if (n < 0) {
        fprintf(stderr, "%s cannot be read\n", dir);
        return 1;
    }
    must(par_new(&par, threads != NULL ? (int)strtol(threads, NULL, 10) : 2, &e));
    for (int i = 0; i < n; i++) {
        size_t len = strlen(files[i]->d_name);
        struct set s;
        if (len > 4 && strcmp(files[i]->d_name + len - 4, ".csv") == 0 &&
            read_set(&s, dir, files[i]->d_name) == 0) {
            for (int h = 0; h < 4; h++)
                if (is_wanted(argc, argv, s.name, horizons[h]))
                    row(&s, horizons[h], par);
            free(s.y);
            free(s.clock);
        }
        free(files[i]);
    }
    free(files);
    par_free(par);
    return 0;
}
