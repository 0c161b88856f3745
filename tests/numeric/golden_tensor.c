/*
 * golden_tensor.c - every stored case of golden/tensor with kind "op": layers, losses, reductions,
 * optimizers, schedules; with each kernel table this CPU can run. Driven by index.json.
 *
 * Values are compared with the f64 results, within the f32 tolerance each case states. The model
 * cases (kind "tide") are in golden_tide.c.
 */
#include "check.h"
#include "golden.h"

#include "base/mem.h"
#include "model/loss.h"
#include "model/lr_schedule.h"
#include "model/nn.h"
#include "model/optim.h"
#include "tensor/act.h"
#include "tensor/kern.h"
#include "tensor/reduce.h"

#define OUTS 16

/* One case at work: what it gives, and what we computed. */
struct job {
    const char *id;
    const cJSON *params, *inputs, *outputs;
    struct {
        const char *name;
        const float *f;
        const double *d;
        size_t n;
    } outs[OUTS];
    int n_outs;
    void *blocks[64];
    int n_blocks;
};

static void *keep(struct job *j, void *p)
{
    if (p == NULL || j->n_blocks == 64)
        exit(1);
    return j->blocks[j->n_blocks++] = p;
}

static float *fresh(struct job *j, size_t n)
{
    return keep(j, calloc(n + 1, sizeof(float)));
}

static float *input(struct job *j, const char *name, size_t *n)
{
    const cJSON *in = cJSON_GetObjectItem(j->inputs, name);
    size_t count;

    if (in == NULL)
        return NULL;
    return keep(j, golden_floats(cJSON_GetObjectItem(in, "data"), n != NULL ? n : &count));
}

/* Dimension i of an input; counted from the end when negative. */
static int dim(struct job *j, const char *name, int i)
{
    const cJSON *shape = cJSON_GetObjectItem(cJSON_GetObjectItem(j->inputs, name), "shape");

    return cJSON_GetArrayItem(shape, i < 0 ? cJSON_GetArraySize(shape) + i : i)->valueint;
}

static double param(struct job *j, const char *name, double otherwise)
{
    const cJSON *p = cJSON_GetObjectItem(j->params, name);

    if (cJSON_IsBool(p))
        return cJSON_IsTrue(p);
    return p != NULL && !cJSON_IsNull(p) ? golden_number(p) : otherwise;
}

static void give(struct job *j, const char *name, const float *f, const double *d, size_t n)
{
    j->outs[j->n_outs].name = name;
    j->outs[j->n_outs].f = f;
    j->outs[j->n_outs].d = d;
    j->outs[j->n_outs++].n = n;
}

static void give_one(struct job *j, const char *name, double v)
{
    double *d = keep(j, malloc(sizeof *d));

    *d = v;
    give(j, name, NULL, d, 1);
}

/* --- one function per op --- */

static void op_matmul(struct job *j)
{
    struct err e;
    int m = dim(j, "A", 0), k = dim(j, "A", 1), n = dim(j, "B", 1);
    float *A = input(j, "A", NULL), *B = input(j, "B", NULL), *dC = input(j, "dC", NULL);
    size_t mn = (size_t)m * (size_t)n, mk = (size_t)m * (size_t)k, kn = (size_t)k * (size_t)n;
    float *C = fresh(j, mn), *dA = fresh(j, mk), *dB = fresh(j, kn);

    CHECK(matmul_fwd(C, A, B, m, n, k, &e) == 0);
    give(j, "C", C, NULL, mn);
    if (dC != NULL) {
        CHECK(matmul_bwd(dA, dB, dC, A, B, m, n, k, &e) == 0);
        give(j, "dA", dA, NULL, mk);
        give(j, "dB", dB, NULL, kn);
    }
}

static void op_linear(struct job *j)
{
    struct err e;
    size_t nx, ny, nw;
    float *x = input(j, "x", &nx), *w = input(j, "W", &nw), *b = input(j, "b", NULL);
    float *dy = input(j, "dy", &ny);
    int I = dim(j, "W", 1), O = dim(j, "W", 0), B = (int)nx / I;
    float *y = fresh(j, ny), *dx = fresh(j, nx), *dw = fresh(j, nw), *db = fresh(j, (size_t)O);

    CHECK(linear_fwd(y, x, w, b, B, I, O, &e) == 0);
    CHECK(linear_bwd(dx, dw, b != NULL ? db : NULL, dy, x, w, B, I, O, &e) == 0);
    give(j, "y", y, NULL, ny);
    give(j, "dx", dx, NULL, nx);
    give(j, "dW", dw, NULL, nw);
    give(j, "db", db, NULL, (size_t)O);
}

static void op_layer_norm(struct job *j)
{
    size_t nx;
    float *x = input(j, "x", &nx), *gamma = input(j, "gamma", NULL);
    float *beta = input(j, "beta", NULL), *dy = input(j, "dy", NULL);
    int n = dim(j, "gamma", 0), rows = (int)nx / n;
    float *y = fresh(j, nx), *dx = fresh(j, nx), *mean = fresh(j, nx), *rstd = fresh(j, nx);
    float *dgamma = fresh(j, (size_t)n), *dbeta = fresh(j, (size_t)n), *dx2 = fresh(j, nx);

    layer_norm_fwd(y, mean, rstd, x, gamma, beta, (float)param(j, "eps", 1e-5), rows, n);
    layer_norm_bwd(dx, dgamma, dbeta, dy, x, mean, rstd, gamma, rows, n);
    give(j, "y", y, NULL, nx);
    give(j, "dx", dx, NULL, nx);
    give(j, "dgamma", dgamma, NULL, (size_t)n);
    give(j, "dbeta", dbeta, NULL, (size_t)n);
    kern()->norm_bwd(dx2, NULL, NULL, dy, x, mean, rstd, gamma, rows, n);
    give(j, "dx", dx2, NULL, nx);
}

static void op_act(struct job *j, const char *op)
{
    size_t n;
    float *x = input(j, "x", &n), *dy = input(j, "dy", NULL);
    float *y = fresh(j, n), *dx = fresh(j, n);
    const cJSON *how = cJSON_GetObjectItem(j->params, "approximate");
    int by_tanh = cJSON_IsString(how) && strcmp(how->valuestring, "tanh") == 0;
    double beta = param(j, "beta", 1), threshold = param(j, "threshold", 20);
    int log_of = param(j, "log", 0) != 0, cols = dim(j, "x", -1), rows = (int)n / cols;

    if (strcmp(op, "relu") == 0) {
        relu_fwd(y, x, n);
        relu_bwd(dx, dy, x, n);
    } else if (strcmp(op, "sigmoid") == 0) {
        sigmoid_fwd(y, x, n);
        sigmoid_bwd(dx, dy, x, n);
    } else if (strcmp(op, "softplus") == 0) {
        softplus_fwd(y, x, beta, threshold, n);
        softplus_bwd(dx, dy, x, beta, threshold, n);
    } else if (strcmp(op, "tanh") == 0) {
        tanh_fwd(y, x, n);
        tanh_bwd(dx, dy, x, n);
    } else if (strcmp(op, "gelu") == 0) {
        gelu_fwd(y, x, by_tanh, n);
        gelu_bwd(dx, dy, x, by_tanh, n);
    } else {
        softmax_fwd(y, x, log_of, rows, cols);
        softmax_bwd(dx, dy, x, log_of, rows, cols);
    }
    give(j, "y", y, NULL, n);
    give(j, "dx", dx, NULL, n);
}

static void op_dropout(struct job *j)
{
    size_t n;
    float *x = input(j, "x", &n), *mask = input(j, "mask", NULL), *dy = input(j, "dy", NULL);
    int cols = dim(j, "x", -1), rows = (int)n / cols, words = kern_words(cols);
    double p = param(j, "p", 0);
    float *y = fresh(j, n), *dx = fresh(j, n), *y2 = fresh(j, n);
    uint16_t *bits = keep(j, calloc((size_t)rows * (size_t)words, sizeof *bits));

    dropout_apply(y, x, mask, p, n);
    dropout_apply(dx, dy, mask, p, n);
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < cols; c++)
            if (mask[r * cols + c] > 0)
                bits[r * words + c / 16] |= (uint16_t)(1u << (c % 16));
    kern()->drop(y2, x, bits, words, (float)(1 / (1 - p)), rows, cols);
    give(j, "y", y, NULL, n);
    give(j, "y", y2, NULL, n);
    give(j, "dx", dx, NULL, n);
    give(j, "y_eval", x, NULL, n);
}

static void op_loss(struct job *j, const char *op)
{
    size_t n;
    float *pred = input(j, "pred", &n), *target = input(j, "target", NULL);
    float *dpred = fresh(j, n);
    double *each = keep(j, calloc(n + 1, sizeof *each)), loss;

    if (strcmp(op, "mse") == 0)
        loss = loss_mse(dpred, pred, target, n);
    else if (strcmp(op, "mae") == 0)
        loss = loss_mae(dpred, pred, target, n);
    else if (strcmp(op, "huber") == 0)
        loss = loss_huber(dpred, pred, target, param(j, "delta", 1), n);
    else if (strcmp(op, "bce_logits") == 0)
        loss = loss_logits(dpred, pred, target, param(j, "pos_weight", 1), n);
    else
        loss = loss_bce(dpred, each, pred, target, n);
    give_one(j, "loss", loss);
    give(j, "dpred", dpred, NULL, n);
    give(j, "per_element", NULL, each, n);
}

static void op_pinball(struct job *j)
{
    size_t n, rows, Q, nw;
    float *pred = input(j, "pred", &n), *target = input(j, "target", &rows);
    float *weight = input(j, "sample_weight", NULL), *dpred = fresh(j, n);
    const cJSON *jw = cJSON_GetObjectItem(j->params, "q_weights");
    double *q = keep(j, golden_list(cJSON_GetObjectItem(j->params, "quantiles"), &Q));
    double *w = cJSON_IsArray(jw) ? keep(j, golden_list(jw, &nw)) : NULL;

    give_one(j, "loss", loss_pinball(dpred, pred, target, q, w, weight, (int)Q, rows));
    give(j, "dpred", dpred, NULL, n);
}

static void op_rinorm(struct job *j)
{
    size_t nx, ny;
    float *x = input(j, "x", &nx), *y = input(j, "y", &ny), *dz = input(j, "dz", NULL);
    float *dyi = input(j, "dyi", NULL), *w = input(j, "w", NULL), *b = input(j, "b", NULL);
    int B = dim(j, "x", 0), L = dim(j, "x", 1), C = dim(j, "x", 2);
    int H = dim(j, "y", 1), Q = dim(j, "y", 3);
    size_t bc = (size_t)B * (size_t)C;
    double eps = param(j, "eps", 1e-5);
    float *z = fresh(j, nx), *mean = fresh(j, bc), *std = fresh(j, bc), *dx = fresh(j, nx);
    float *out = fresh(j, ny), *dy = fresh(j, ny);
    float *dw = fresh(j, (size_t)C), *db = fresh(j, (size_t)C);

    rin_fwd(z, mean, std, x, w, b, eps, B, L, C);
    rin_out_fwd(out, y, mean, std, w, b, eps, B, H, C, Q);
    rin_bwd(dx, w != NULL ? dw : NULL, db, dz, x, mean, std, w, B, L, C);
    rin_out_bwd(dy, w != NULL ? dw : NULL, db, dyi, y, std, w, b, eps, B, H, C, Q);
    give(j, "mean", mean, NULL, bc);
    give(j, "std", std, NULL, bc);
    give(j, "z", z, NULL, nx);
    give(j, "yinv", out, NULL, ny);
    give(j, "dx", dx, NULL, nx);
    give(j, "dy", dy, NULL, ny);
    give(j, "dw", dw, NULL, (size_t)C);
    give(j, "db", db, NULL, (size_t)C);
}

static void op_instnorm(struct job *j)
{
    size_t nx, ny;
    float *x = input(j, "x", &nx), *y = input(j, "y", &ny);
    float *w = input(j, "w", NULL), *b = input(j, "b", NULL);
    int N = dim(j, "x", 0), L = dim(j, "x", 1), H = dim(j, "y", 1);
    float *z = fresh(j, nx), *out = fresh(j, ny), *mean = fresh(j, nx), *std = fresh(j, nx);

    paper_norm_fwd(z, mean, std, x, w[0], b[0], N, L);
    paper_norm_out(out, y, mean, std, w[0], b[0], N, H);
    give(j, "z", z, NULL, nx);
    give(j, "yinv", out, NULL, ny);
}

static void op_reduce(struct job *j)
{
    size_t n;
    float *x = input(j, "x", &n);

    give_one(j, "sum", reduce_sum(x, 1, n));
    give_one(j, "mean", reduce_mean(x, 1, n));
    give_one(j, "var_biased", reduce_var(x, 1, n, 0));
    give_one(j, "norm2", reduce_norm(x, 1, n));
}

static void op_quantile(struct job *j)
{
    size_t n;
    float *x = input(j, "x", &n);
    int cols = dim(j, "x", -1), rows = (int)n / cols;
    const cJSON *out;

    for (int r = 0; r < rows; r++)
        reduce_sort(x + r * cols, (size_t)cols);
    cJSON_ArrayForEach(out, j->outputs)
    {
        double *d = keep(j, calloc((size_t)rows, sizeof *d));
        for (int r = 0; r < rows; r++)
            d[r] = reduce_quantile(x + r * cols, (size_t)cols, strtod(out->string + 1, NULL));
        give(j, out->string, NULL, d, (size_t)rows);
    }
}

static void op_quantile_sample(struct job *j)
{
    size_t n, Q;
    float *pred = input(j, "pred", NULL);
    double *u = keep(j, golden_list(cJSON_GetObjectItem(cJSON_GetObjectItem(j->inputs, "u"),
                                                        "data"), &n));
    double *q = keep(j, golden_list(cJSON_GetObjectItem(j->params, "quantiles"), &Q));
    double *d = keep(j, calloc(n + 1, sizeof *d));

    for (size_t i = 0; i < n; i++)
        d[i] = loss_quantile_draw(pred + i * Q, q, (int)Q, u[i]);
    give(j, "sample", NULL, d, n);
}

/* --- comparing --- */

static double worst_share; /* of the tolerance, over all comparisons */

static void compare(const char *what, const float *f, const double *d, const double *expected,
                    size_t n, double atol)
{
    double worst = 0;

    for (size_t i = 0; i < n; i++) {
        double found = f != NULL ? (double)f[i] : d[i];
        double off = found == expected[i] ? 0 : fabs(found - expected[i]);
        if (!(off <= worst))
            worst = off;
    }
    if (atol > 0 && worst / atol > worst_share)
        worst_share = worst / atol;
    CHECK(worst <= atol);
    if (!(worst <= atol))
        printf("  %s (%s): off by %.3g, at most %.3g\n", what, kern()->name, worst, atol);
}

static void check_case(struct job *j)
{
    const cJSON *out;

    cJSON_ArrayForEach(out, j->outputs)
    {
        int found = 0;
        char what[160];
        size_t n;
        double *expected = golden_list(cJSON_GetObjectItem(out, "f64"), &n);
        double atol = golden_number(cJSON_GetObjectItem(out, "atol_f32"));
        snprintf(what, sizeof what, "%s.%s", j->id, out->string);
        for (int i = 0; i < j->n_outs; i++)
            if (strcmp(j->outs[i].name, out->string) == 0) {
                found = 1;
                CHECK_INT(j->outs[i].n, n);
                if (j->outs[i].n == n)
                    compare(what, j->outs[i].f, j->outs[i].d, expected, n, atol);
            }
        if (!found)
            printf("%s: not computed\n", what);
        CHECK(found);
        free(expected);
    }
    for (int i = 0; i < j->n_blocks; i++)
        free(j->blocks[i]);
}

static void run_case(const char *op, struct job *j)
{
    static const char *const acts[] = {"relu", "sigmoid", "softplus", "tanh", "gelu", "softmax"};
    static const char *const losses[] = {"mse", "mae", "huber", "bce_logits", "bce"};
    static const struct {
        const char *op;
        void (*run)(struct job *);
    } ops[] = {{"matmul", op_matmul},     {"linear", op_linear},
               {"layer_norm", op_layer_norm}, {"dropout", op_dropout},
               {"pinball", op_pinball},   {"rinorm", op_rinorm},
               {"instnorm_paper", op_instnorm}, {"reduce", op_reduce},
               {"quantile", op_quantile}, {"quantile_sample", op_quantile_sample}};
    int known = 0;

    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        if (strcmp(op, acts[i]) == 0) {
            op_act(j, op);
            known = 1;
        }
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++)
        if (strcmp(op, losses[i]) == 0) {
            op_loss(j, op);
            known = 1;
        }
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (strcmp(op, ops[i].op) == 0) {
            ops[i].run(j);
            known = 1;
        }
    if (!known)
        printf("op \"%s\" is not known\n", op);
    CHECK(known);
    check_case(j);
}

/* --- files with a layout of their own --- */

static void matmul_npy(const char *path, const cJSON *root)
{
    char file[512], dir[256];
    size_t na, nb, nc;
    struct err e;
    const char *slash = strrchr(path, '/');
    int m, k, n;

    snprintf(dir, sizeof dir, "%.*s", (int)(slash - path), path);
    const char *name[3] = {
        cJSON_GetArrayItem(cJSON_GetObjectItem(root, "inputs"), 0)->valuestring,
        cJSON_GetArrayItem(cJSON_GetObjectItem(root, "inputs"), 1)->valuestring,
        cJSON_GetObjectItem(root, "output")->valuestring};
    double *v[3];
    size_t *count[3] = {&na, &nb, &nc};
    for (int i = 0; i < 3; i++) {
        snprintf(file, sizeof file, "%s/%s", dir, name[i]);
        v[i] = golden_npy(file, count[i]);
    }
    /* m k, k n and m n give the three */
    m = (int)lrint(sqrt((double)na * (double)nc / (double)nb));
    k = (int)na / m;
    n = (int)nc / m;
    float *A = malloc(na * sizeof *A), *B = malloc(nb * sizeof *B), *C = malloc(nc * sizeof *C);
    if (A == NULL || B == NULL || C == NULL)
        exit(1);
    for (size_t i = 0; i < na; i++)
        A[i] = (float)v[0][i];
    for (size_t i = 0; i < nb; i++)
        B[i] = (float)v[1][i];
    CHECK(matmul_fwd(C, A, B, m, n, k, &e) == 0);
    compare(path, C, NULL, v[2], nc, golden_number(cJSON_GetObjectItem(root, "atol_f32")));
    free(A);
    free(B);
    free(C);
    for (int i = 0; i < 3; i++)
        free(v[i]);
}

static void quantile_weights(const cJSON *root)
{
    const cJSON *c;

    cJSON_ArrayForEach(c, cJSON_GetObjectItem(root, "cases"))
    {
        size_t n, nw;
        const cJSON *left = cJSON_GetObjectItem(c, "sigma_left_factor");
        const cJSON *right = cJSON_GetObjectItem(c, "sigma_right_factor");
        double *q = golden_list(cJSON_GetObjectItem(c, "quantiles"), &n);
        double *w = golden_list(cJSON_GetObjectItem(c, "weights"), &nw), out[64];
        int given = cJSON_IsNumber(left) && cJSON_IsNumber(right);
        CHECK(n == nw && n < 64);
        loss_quantile_weights(out, q, (int)n, given ? left->valuedouble : 0,
                              given ? right->valuedouble : 0,
                              given ? golden_number(cJSON_GetObjectItem(c, "peak_location")) : 0.5,
                              given ? golden_number(cJSON_GetObjectItem(c, "peak_base")) : 1);
        compare("quantile_weights", NULL, out, w, n,
                golden_number(cJSON_GetObjectItem(root, "atol_f64")));
        free(q);
        free(w);
    }
}

static void optim_cases(const cJSON *root)
{
    const cJSON *c;
    size_t n, n_steps = (size_t)cJSON_GetArraySize(cJSON_GetObjectItem(root, "grads"));
    float *p0 = golden_floats(cJSON_GetObjectItem(root, "params0"), &n);

    cJSON_ArrayForEach(c, cJSON_GetObjectItem(root, "cases"))
    {
        const cJSON *hyper = cJSON_GetObjectItem(c, "hyper");
        const cJSON *clip = cJSON_GetObjectItem(c, "clip_norm");
        const cJSON *after = cJSON_GetObjectItem(c, "params_after_each_step_f64");
        const char *kind = cJSON_GetObjectItem(c, "optimizer")->valuestring;
        struct optim_conf conf;
        struct optim o;
        struct err e;
        float p[256];
        CHECK(n <= 256);
        optim_conf_init(&conf);
        conf.kind = strncmp(kind, "sgd", 3) == 0  ? OPTIM_SGD
                    : strcmp(kind, "adamw") == 0 ? OPTIM_ADAMW
                                                 : OPTIM_ADAM;
        conf.amsgrad = cJSON_IsTrue(cJSON_GetObjectItem(hyper, "amsgrad"));
        if (cJSON_GetObjectItem(hyper, "weight_decay") != NULL)
            conf.weight_decay = cJSON_GetObjectItem(hyper, "weight_decay")->valuedouble;
        if (cJSON_GetObjectItem(hyper, "momentum") != NULL)
            conf.momentum = cJSON_GetObjectItem(hyper, "momentum")->valuedouble;
        if (cJSON_GetObjectItem(hyper, "eps") != NULL)
            conf.eps = cJSON_GetObjectItem(hyper, "eps")->valuedouble;
        if (cJSON_GetObjectItem(hyper, "betas") != NULL) {
            conf.beta1 = cJSON_GetArrayItem(cJSON_GetObjectItem(hyper, "betas"), 0)->valuedouble;
            conf.beta2 = cJSON_GetArrayItem(cJSON_GetObjectItem(hyper, "betas"), 1)->valuedouble;
        }
        conf.clip_norm = cJSON_IsNumber(clip) ? clip->valuedouble : 0;
        CHECK(optim_init(&o, &conf, n, &e) == 0);
        memcpy(p, p0, n * sizeof *p);
        CHECK_INT(cJSON_GetArraySize(after), n_steps);
        for (size_t s = 0; s < n_steps; s++) {
            size_t ng, na;
            float *g = golden_floats(cJSON_GetArrayItem(cJSON_GetObjectItem(root, "grads"),
                                                        (int)s), &ng);
            double *expected = golden_list(cJSON_GetArrayItem(after, (int)s), &na);
            CHECK(ng == n && na == n);
            optim_step(&o, p, g, cJSON_GetObjectItem(hyper, "lr")->valuedouble, NULL);
            compare(cJSON_GetObjectItem(c, "id")->valuestring, p, NULL, expected, n,
                    golden_number(cJSON_GetObjectItem(c, "atol_f32")));
            free(g);
            free(expected);
        }
        optim_deinit(&o);
    }
    free(p0);
}

static void swa(const cJSON *root)
{
    const cJSON *snap = cJSON_GetObjectItem(root, "snapshots");
    float avg[256];

    for (int s = 0; s < cJSON_GetArraySize(snap); s++) {
        size_t n, na;
        float *p = golden_floats(cJSON_GetArrayItem(snap, s), &n);
        double *expected = golden_list(
            cJSON_GetArrayItem(cJSON_GetObjectItem(root, "average_f64"), s), &na);
        CHECK(n == na && n <= 256);
        optim_average(avg, p, n, (uint64_t)s);
        compare("swa", avg, NULL, expected, n,
                golden_number(cJSON_GetObjectItem(root, "atol_f32")));
        free(p);
        free(expected);
    }
}

static void lr_schedules(const cJSON *root)
{
    double rtol = golden_number(cJSON_GetObjectItem(root, "rtol_f64"));
    const cJSON *c;

#define NUM(name) golden_number(cJSON_GetObjectItem(c, name))
    cJSON_ArrayForEach(c, cJSON_GetObjectItem(root, "cases"))
    {
        const char *kind = cJSON_GetObjectItem(c, "schedule")->valuestring;
        size_t n, nat = 0;
        double *lr = golden_list(cJSON_GetObjectItem(c, "lr"), &n), *at = NULL;
        if (cJSON_GetObjectItem(c, "epoch") != NULL)
            at = golden_list(cJSON_GetObjectItem(c, "epoch"), &nat);
        for (size_t i = 0; i < n; i++) {
            double v = NAN;
            if (strncmp(kind, "cosine_warm_restarts", 20) == 0) {
                v = lr_warm_restarts(NUM("base_lr"), NUM("eta_min"), NUM("T_0"),
                                     (int)NUM("T_mult"), at != NULL ? at[i] : (double)i);
            } else if (strcmp(kind, "swalr") == 0) {
                const char *how = cJSON_GetObjectItem(c, "anneal_strategy")->valuestring;
                v = lr_swa(NUM("start_lr"), NUM("swa_lr"), NUM("anneal_epochs"),
                           strcmp(how, "linear") == 0, (double)i);
            }
            CHECK_NEAR(v, lr[i], rtol, 0);
        }
        free(lr);
        free(at);
    }
#undef NUM
}

static void run_file(const char *op, const char *path)
{
    cJSON *root = golden_json(path);
    const cJSON *c;

    if (cJSON_GetObjectItem(root, "cases") == NULL && strcmp(op, "matmul") == 0) {
        matmul_npy(path, root);
    } else if (strcmp(op, "quantile_weights") == 0) {
        quantile_weights(root);
    } else if (strcmp(op, "optim") == 0) {
        optim_cases(root);
    } else if (strcmp(op, "swa") == 0) {
        swa(root);
    } else if (strcmp(op, "lr_schedule") == 0) {
        lr_schedules(root);
    } else {
        CHECK(cJSON_GetArraySize(cJSON_GetObjectItem(root, "cases")) > 0);
        cJSON_ArrayForEach(c, cJSON_GetObjectItem(root, "cases"))
        {
            struct job j = {.id = cJSON_GetObjectItem(c, "id")->valuestring,
                            .params = cJSON_GetObjectItem(c, "params"),
                            .inputs = cJSON_GetObjectItem(c, "inputs"),
                            .outputs = cJSON_GetObjectItem(c, "outputs")};
            run_case(op, &j);
        }
    }
    cJSON_Delete(root);
}

int main(void)
{
    cJSON *index;
    const cJSON *entry;
    int n_files = 0;

    golden_open("tensor");
    index = golden_json("index.json");
    for (int i = 0; kern_at(i) != NULL; i++) {
        CHECK(kern_use(kern_at(i)->name) == 0);
        worst_share = 0;
        cJSON_ArrayForEach(entry, cJSON_GetObjectItem(index, "entries"))
        {
            if (strcmp(cJSON_GetObjectItem(entry, "kind")->valuestring, "op") != 0)
                continue;
            run_file(cJSON_GetObjectItem(entry, "op")->valuestring,
                     cJSON_GetObjectItem(entry, "path")->valuestring);
            n_files++;
        }
        printf("%s: worst error is %.2f of its tolerance\n", kern()->name, worst_share);
    }
    cJSON_Delete(index);
    CHECK(n_files > 0);
    return check_done();
}
