/*
 * golden_tide.c - every stored case of golden/tensor with kind "tide": output, what lies on the
 * way to it, loss, gradients, three steps of each optimizer, the long run and its average.
 *
 * Once per kernel table and number of threads; values must be within the f32 tolerances of the
 * case, and two threads must give the bits of one. Driven by index.json.
 */
#include "check.h"
#include "golden.h"

#include "base/mem.h"
#include "model/lr_schedule.h"
#include "model/optim.h"
#include "model/tide.h"
#include "tensor/kern.h"

#define LOSS_RTOL 1e-5  /* README of the cases, "A loss in float32" */
#define RUN_RTOL 1e-4   /* the same, train_run losses */
#define MAX_B 64

struct job {
    char dir[256];
    cJSON *root;
    const cJSON *conf_json;
    struct tide *t;
    struct tide_work *work;
    struct par *par;
    struct err e;
};

/* One batch: the arrays of the case, cut into what tide_batch wants. */
struct batch {
    struct tide_batch b;
    float *lookback, *past, *future, *fixed, *target, *weight;
    const float *p_look[MAX_B], *p_past[MAX_B], *p_future[MAX_B], *p_fixed[MAX_B],
        *p_target[MAX_B];
};

static double worst_share;

static int conf_int(const struct job *j, const char *name)
{
    const cJSON *v = cJSON_GetObjectItem(j->conf_json, name);

    return cJSON_IsBool(v) ? cJSON_IsTrue(v) : v != NULL && cJSON_IsNumber(v) ? v->valueint : 0;
}

static double conf_num(const struct job *j, const char *name)
{
    const cJSON *v = cJSON_GetObjectItem(j->conf_json, name);

    return v != NULL && cJSON_IsNumber(v) ? v->valuedouble : 0;
}

static double tolerance(const struct job *j, const char *name)
{
    return golden_number(cJSON_GetObjectItem(
        cJSON_GetObjectItem(cJSON_GetObjectItem(j->root, "tolerances"), name), "atol_f32"));
}

static int has_array(const struct job *j, const char *name)
{
    return cJSON_GetObjectItem(cJSON_GetObjectItem(j->root, "arrays"), name) != NULL;
}

static double *array(const struct job *j, const char *name, size_t *n)
{
    char path[512];

    snprintf(path, sizeof path, "%s/%s.npy", j->dir, name);
    return golden_npy(path, n);
}

static float *floats(const struct job *j, const char *name, size_t *n)
{
    double *d = array(j, name, n);
    float *f = malloc((*n + 1) * sizeof *f);

    if (f == NULL)
        exit(1);
    for (size_t i = 0; i < *n; i++)
        f[i] = (float)d[i];
    free(d);
    return f;
}

static void compare(const struct job *j, const char *name, const float *found)
{
    char file[64];
    size_t n;
    double worst = 0, atol = tolerance(j, name);

    snprintf(file, sizeof file, "%s_f64", name);
    double *expected = array(j, file, &n);
    for (size_t i = 0; i < n; i++) {
        double off = fabs((double)found[i] - expected[i]);
        if (!(off <= worst))
            worst = off;
    }
    if (worst / atol > worst_share)
        worst_share = worst / atol;
    CHECK(worst <= atol);
    if (!(worst <= atol))
        printf("  %s.%s (%s, %d threads): off by %.3g, at most %.3g\n", j->dir, name, kern()->name,
               par_threads(j->par), worst, atol);
    free(expected);
}

static void batch_read(const struct job *j, struct batch *out, int k)
{
    const struct tide_conf *c = &j->t->conf;
    int L = c->input_chunk, H = c->output_chunk, C = c->n_targets, P = c->past_cov;
    int F = c->future_cov, S = c->static_cov, W = C + P + F;
    char name[64];
    size_t n;

    memset(out, 0, sizeof *out);
    snprintf(name, sizeof name, "b%d_x_past", k);
    float *x = floats(j, name, &n), *ahead = NULL;
    int B = (int)n / (L * W);
    CHECK(B > 0 && B <= MAX_B);
    snprintf(name, sizeof name, "b%d_x_future", k);
    if (has_array(j, name))
        ahead = floats(j, name, &n);
    snprintf(name, sizeof name, "b%d_x_static", k);
    if (has_array(j, name))
        out->fixed = floats(j, name, &n);
    snprintf(name, sizeof name, "b%d_sample_weight", k);
    if (has_array(j, name)) {
        out->weight = floats(j, name, &n);
        CHECK_INT(n, B * H * C); /* one a sample, as H and C are 1 where there are weights */
    }
    snprintf(name, sizeof name, "b%d_target", k);
    out->target = floats(j, name, &n);
    size_t rows = (size_t)B * (size_t)(L + H);
    out->lookback = calloc(rows * (size_t)C + 1, sizeof(float));
    out->past = calloc(rows * (size_t)P + 1, sizeof(float));
    out->future = calloc(rows * (size_t)F + 1, sizeof(float));
    if (out->lookback == NULL || out->past == NULL || out->future == NULL)
        exit(1);
    for (int b = 0; b < B; b++) {
        out->p_look[b] = out->lookback + b * L * C;
        out->p_past[b] = out->past + b * L * P;
        out->p_future[b] = out->future + b * (L + H) * F;
        out->p_fixed[b] = out->fixed + b * S;
        out->p_target[b] = out->target + b * H * C;
        for (int t = 0; t < L + H; t++)
            for (int i = 0; i < W; i++) {
                float v = t < L ? x[(b * L + t) * W + i] : 0;
                if (t < L && i < C)
                    out->lookback[(b * L + t) * C + i] = v;
                else if (t < L && i < C + P)
                    out->past[(b * L + t) * P + i - C] = v;
                else if (i >= C + P)
                    out->future[(b * (L + H) + t) * F + i - C - P] =
                        t < L ? v : ahead[(b * H + t - L) * F + i - C - P];
            }
    }
    out->b = (struct tide_batch){.B = B,
                                 .lookback = out->p_look,
                                 .past = out->p_past,
                                 .future = out->p_future,
                                 .fixed = out->p_fixed,
                                 .target = out->p_target,
                                 .weight = out->weight};
    free(x);
    free(ahead);
}

static void batch_free(struct batch *b)
{
    free(b->lookback);
    free(b->past);
    free(b->future);
    free(b->fixed);
    free(b->target);
    free(b->weight);
}

static void read_conf(struct job *j, struct tide_conf *c)
{
    const cJSON *q = cJSON_GetObjectItem(j->conf_json, "quantiles");
    const char *loss = cJSON_GetObjectItem(j->conf_json, "loss")->valuestring;
    size_t n;

    tide_conf_init(c);
    c->input_chunk = conf_int(j, "input_chunk");
    c->output_chunk = conf_int(j, "output_chunk");
    c->n_targets = conf_int(j, "n_targets");
    c->past_cov = conf_int(j, "past_cov");
    c->future_cov = conf_int(j, "future_cov");
    c->static_cov = conf_int(j, "static_cov");
    c->n_enc = conf_int(j, "n_enc");
    c->n_dec = conf_int(j, "n_dec");
    c->decoder_out = conf_int(j, "decoder_out");
    c->hidden = conf_int(j, "hidden");
    c->temporal_width_past = conf_int(j, "temporal_width_past");
    c->temporal_width_future = conf_int(j, "temporal_width_future");
    c->temporal_hidden_past = conf_int(j, "temporal_hidden_past");
    c->temporal_hidden_future = conf_int(j, "temporal_hidden_future");
    c->temporal_decoder_hidden = conf_int(j, "temporal_decoder_hidden");
    c->layer_norm = c->layer_norm_temporal = conf_int(j, "layer_norm");
    c->rin = conf_int(j, "rin");
    c->rin_affine = conf_int(j, "rin_affine");
    c->rin_eps = conf_num(j, "rin_eps");
    c->dropout = conf_num(j, "dropout");
    if (cJSON_IsArray(q)) {
        double *v = golden_list(q, &n);
        CHECK(n <= LOSS_QUANTILES);
        c->loss.kind = LOSS_PINBALL;
        c->loss.n_quantiles = (int)n;
        memcpy(c->loss.quantiles, v, n * sizeof *v);
        for (size_t i = 0; i < n; i++)
            c->loss.q_weight[i] = 1;
        if (strcmp(loss, "wpinball") == 0)
            loss_quantile_weights(c->loss.q_weight, v, (int)n, conf_num(j, "sigma_left"),
                                  conf_num(j, "sigma_right"), 0.5, 1);
        free(v);
    } else {
        c->loss.kind = (enum loss_kind)loss_kind_of(loss);
    }
}

static void check_table(const struct job *j)
{
    const cJSON *layout = cJSON_GetObjectItem(j->root, "param_layout"), *p;
    int i = 0;

    CHECK_INT(cJSON_GetArraySize(layout), j->t->n_table);
    CHECK_INT(j->t->n_params, cJSON_GetObjectItem(j->root, "n_params")->valueint);
    cJSON_ArrayForEach(p, layout)
    {
        if (i >= j->t->n_table)
            return;
        const struct tide_param *q = &j->t->table[i++];
        CHECK_STR(q->name, cJSON_GetObjectItem(p, "name")->valuestring);
        CHECK_INT(q->at, cJSON_GetObjectItem(p, "offset")->valueint);
        CHECK_INT(q->n, cJSON_GetObjectItem(p, "size")->valueint);
    }
}

static void set_params(struct job *j)
{
    size_t n;
    float *p = floats(j, "params", &n);

    CHECK_INT(n, j->t->n_params);
    memcpy(j->t->params, p, n * sizeof *p);
    tide_work_stale(j->work);
    free(p);
}

/* The masks of the case, put where the network looks for them. Returns whether there are any. */
static int set_masks(struct job *j, int B)
{
    const cJSON *arrays = cJSON_GetObjectItem(j->root, "arrays"), *a;
    int found = 0;

    cJSON_ArrayForEach(a, arrays)
    {
        int words, n;
        size_t count;
        if (strncmp(a->string, "mask_", 5) != 0)
            continue;
        uint16_t *bits = tide_work_mask(j->work, a->string + 5, &words, &n);
        CHECK(bits != NULL);
        if (bits == NULL)
            continue;
        float *mask = floats(j, a->string, &count);
        int rows = (int)count / n;
        CHECK(rows % B == 0);
        memset(bits, 0, (size_t)(rows * words) * sizeof *bits);
        for (int r = 0; r < rows; r++)
            for (int i = 0; i < n; i++)
                if (mask[r * n + i] > 0)
                    bits[r * words + i / 16] |= (uint16_t)(1u << (i % 16));
        free(mask);
        found = 1;
    }
    return found;
}

static void check_eval(struct job *j, const struct batch *b)
{
    static const char *const on_the_way[] = {"encoder_in", "encoder_out", "decoder_out",
                                             "temporal_in", "temporal_out"};
    size_t width, rows = (size_t)b->b.B, n;
    float *out;

    tide_work_look(j->work, "y", &width);
    n = rows * width;
    out = malloc((n + 1) * sizeof *out);
    if (out == NULL)
        exit(1);
    CHECK(tide_forward(j->work, &b->b, NULL, out, NULL, &j->e) == 0);
    compare(j, "y_eval", out);
    for (size_t i = 0; i < sizeof on_the_way / sizeof *on_the_way; i++)
        compare(j, on_the_way[i], tide_work_look(j->work, on_the_way[i], &width));
    const float *yn = tide_work_look(j->work, "y_norm", &width);
    const float *temporal = tide_work_look(j->work, "temporal_out", &width);
    for (size_t i = 0; i < n; i++)
        out[i] = yn[i] - temporal[i];
    compare(j, "skip_out", out);

    /* a work made for inference, and smaller batches, give the same bits */
    struct tide_work *lean = NULL;
    float *again = calloc(n + 1, sizeof *again);
    CHECK(again != NULL && tide_work_new(&lean, j->t, b->b.B, 0, j->par, &j->e) == 0);
    CHECK(tide_forward(j->work, &b->b, NULL, out, NULL, &j->e) == 0);
    CHECK(tide_forward(lean, &b->b, NULL, again, NULL, &j->e) == 0);
    CHECK(memcmp(out, again, n * sizeof *out) == 0);
    tide_work_free(lean);
    free(again);
    free(out);
}

static void three_steps(struct job *j, const struct batch *b, const struct tide_noise *noise,
                        float *grads)
{
    static const struct {
        const char *name;
        enum optim_kind kind;
        double decay;
    } all[] = {{"adam", OPTIM_ADAM, 0}, {"adam_l2", OPTIM_ADAM, 1e-2},
               {"adamw", OPTIM_ADAMW, 1e-2}};
    double loss;

    for (int i = 0; i < 3; i++) {
        const cJSON *trace = cJSON_GetObjectItem(
            cJSON_GetObjectItem(cJSON_GetObjectItem(j->root, "optimizers"), all[i].name),
            "trace_f64");
        struct optim_conf conf;
        struct optim o;
        char name[64];
        float *avg = calloc(j->t->n_params, sizeof *avg);
        optim_conf_init(&conf);
        conf.kind = all[i].kind;
        conf.weight_decay = all[i].decay;
        conf.clip_norm = cJSON_GetObjectItem(j->root, "clip_norm")->valuedouble;
        CHECK(avg != NULL && optim_init(&o, &conf, j->t->n_params, &j->e) == 0);
        set_params(j);
        for (int s = 0; s < 3; s++) {
            const cJSON *at = cJSON_GetArrayItem(trace, s);
            CHECK(tide_backward(j->work, &b->b, noise, grads, &loss, NULL, &j->e) == 0);
            CHECK_NEAR(loss, golden_number(cJSON_GetObjectItem(at, "loss")), LOSS_RTOL, 0);
            double norm = optim_step(&o, j->t->params, grads, 1e-3, j->par);
            CHECK_NEAR(norm, golden_number(cJSON_GetObjectItem(at, "grad_norm")), LOSS_RTOL, 0);
            tide_work_stale(j->work);
            optim_average(avg, j->t->params, j->t->n_params, (uint64_t)s);
        }
        snprintf(name, sizeof name, "p3_%s", all[i].name);
        compare(j, name, j->t->params);
        if (strcmp(all[i].name, "adamw") == 0)
            compare(j, "swa3_adamw", avg);
        optim_deinit(&o);
        free(avg);
    }
}

static void long_run(struct job *j, float *grads)
{
    const cJSON *run = cJSON_GetObjectItem(j->root, "train_run");
    const cJSON *trace = cJSON_GetObjectItem(run, "trace_f64"), *at;
    const cJSON *sched = cJSON_GetObjectItem(run, "schedule");
    struct batch b[3];
    struct optim_conf conf;
    struct optim o;
    int steps, k = 0, n_avg = 0;
    float *avg = calloc(j->t->n_params, sizeof *avg);

    if (run == NULL) {
        free(avg);
        return;
    }
    steps = cJSON_GetObjectItem(run, "steps")->valueint;
    for (int i = 0; i < 3; i++)
        batch_read(j, &b[i], i);
    optim_conf_init(&conf);
    conf.weight_decay = cJSON_GetObjectItem(run, "weight_decay")->valuedouble;
    conf.clip_norm = cJSON_GetObjectItem(run, "clip_norm")->valuedouble;
    CHECK(avg != NULL && optim_init(&o, &conf, j->t->n_params, &j->e) == 0);
    set_params(j);
    cJSON_ArrayForEach(at, trace)
    {
        double lr = lr_warm_restarts(cJSON_GetObjectItem(run, "lr")->valuedouble,
                                     cJSON_GetObjectItem(sched, "eta_min")->valuedouble,
                                     cJSON_GetObjectItem(sched, "T_0")->valuedouble,
                                     cJSON_GetObjectItem(sched, "T_mult")->valueint, k);
        double loss;
        CHECK_NEAR(lr, golden_number(cJSON_GetObjectItem(at, "lr")), 1e-12, 0);
        CHECK(tide_backward(j->work, &b[k % 3].b, NULL, grads, &loss, NULL, &j->e) == 0);
        CHECK_NEAR(loss, golden_number(cJSON_GetObjectItem(at, "loss")), RUN_RTOL, 0);
        double norm = optim_step(&o, j->t->params, grads, lr, j->par);
        CHECK_NEAR(norm, golden_number(cJSON_GetObjectItem(at, "grad_norm")), RUN_RTOL, 0);
        tide_work_stale(j->work);
        k++;
        if (k % 3 == 0 && k / 3 > steps / 3 / 2)
            optim_average(avg, j->t->params, j->t->n_params, (uint64_t)n_avg++);
    }
    CHECK_INT(k, steps);
    CHECK_INT(n_avg, cJSON_GetObjectItem(run, "swa_snapshots")->valueint);
    compare(j, "train_params", j->t->params);
    compare(j, "train_swa", avg);
    optim_deinit(&o);
    free(avg);
    for (int i = 0; i < 3; i++)
        batch_free(&b[i]);
}

/* Returns the gradients and the trained parameters, to be compared over threads. */
static float *run_case(const char *path, int n_threads, size_t *n)
{
    struct job j = {0};
    struct tide_conf c;
    struct batch b;
    struct tide_noise noise = {TIDE_DROP_OFF, 0, 0};
    double loss;

    snprintf(j.dir, sizeof j.dir, "%.*s", (int)(strrchr(path, '/') - path), path);
    j.root = golden_json(path);
    j.conf_json = cJSON_GetObjectItem(j.root, "config");
    read_conf(&j, &c);
    CHECK(tide_new(&j.t, &c, 1, &j.e) == 0);
    CHECK(par_new(&j.par, n_threads, &j.e) == 0);
    CHECK(tide_work_new(&j.work, j.t, MAX_B, 1, j.par, &j.e) == 0);
    check_table(&j);
    set_params(&j);
    batch_read(&j, &b, 0);
    check_eval(&j, &b);
    float *grads = calloc(2 * j.t->n_params, sizeof *grads);
    if (grads == NULL)
        exit(1);
    if (c.dropout > 0) {
        noise.mode = TIDE_DROP_KEEP;
        CHECK(set_masks(&j, b.b.B));
    }
    CHECK(tide_backward(j.work, &b.b, &noise, grads, &loss, NULL, &j.e) == 0);
    CHECK_NEAR(loss, golden_number(cJSON_GetObjectItem(cJSON_GetObjectItem(j.root, "loss_train"),
                                                       "f64")), LOSS_RTOL, 0);
    size_t width;
    compare(&j, "dy", tide_work_look(j.work, "dy", &width));
    if (has_array(&j, "y_train_f64"))
        compare(&j, "y_train", tide_work_look(j.work, "y", &width));
    compare(&j, "grads", grads);
    memcpy(grads + j.t->n_params, grads, j.t->n_params * sizeof *grads);
    three_steps(&j, &b, &noise, grads);
    long_run(&j, grads);
    memcpy(grads, j.t->params, j.t->n_params * sizeof *grads);
    *n = 2 * j.t->n_params;
    batch_free(&b);
    tide_work_free(j.work);
    par_free(j.par);
    tide_free(j.t);
    cJSON_Delete(j.root);
    return grads;
}

int main(void)
{
    cJSON *index;
    const cJSON *entry;
    int n_cases = 0;
    size_t live;

    golden_open("tensor");
    index = golden_json("index.json");
    live = mem_live();
    for (int i = 0; kern_at(i) != NULL; i++) {
        CHECK(kern_use(kern_at(i)->name) == 0);
        worst_share = 0;
        cJSON_ArrayForEach(entry, cJSON_GetObjectItem(index, "entries"))
        {
            size_t n1, n2;
            if (strcmp(cJSON_GetObjectItem(entry, "kind")->valuestring, "tide") != 0)
                continue;
            const char *path = cJSON_GetObjectItem(entry, "path")->valuestring;
            float *one = run_case(path, 1, &n1), *two = run_case(path, 2, &n2);
            CHECK(n1 == n2 && memcmp(one, two, n1 * sizeof *one) == 0);
            free(one);
            free(two);
            n_cases++;
        }
        printf("%s: worst error is %.2f of its tolerance\n", kern()->name, worst_share);
    }
    cJSON_Delete(index);
    CHECK(n_cases > 0);
    CHECK_INT(mem_live(), live);
    return check_done();
}
