/*
 * golden_lightgbm_train.c - our training on LightGBM's fixtures: metrics within the bands the
 * fixtures state, the same model for any number of threads, and a file that re-reads to the same
 * predictions.
 */
#include "base/mem.h"
#include "check.h"
#include "golden_table.h"
#include "model/gbt_predict.h"
#include "model/gbt_text.h"
#include "model/gbt_train.h"

#define SET "lightgbm"
/* the fixtures' own tolerances, their README part 2 */
#define FINAL_TRAIN 0.05
#define FINAL_TRAIN_ERROR 0.01 /* multi_error, absolute */
#define BAND_VALID 0.02
#define BAND_VALID_AUC 0.01
#define NO_BAND_VALID 0.05
#define NO_BAND_VALID_AUC 0.02
#define CURVE 0.02
#define CURVE_LOGLOSS 0.05

struct set {
    struct table t;
    double *x, *label, *weight;
    char **names;
    struct gbt_rows rows;
};

static const char *conf_value(const cJSON *conf, const char *name, char *out, size_t size)
{
    const cJSON *v = cJSON_GetObjectItem(conf, name);

    if (cJSON_IsString(v))
        snprintf(out, size, "%s", v->valuestring);
    else
        snprintf(out, size, "%.17g", v->valuedouble);
    return out;
}

static struct set load(const cJSON *meta, const char *data, const char *part)
{
    const cJSON *names = cJSON_GetObjectItem(meta, "feature_names");
    const cJSON *weight = cJSON_GetObjectItem(meta, "weight");
    const char *label = cJSON_GetStringValue(cJSON_GetObjectItem(meta, "label"));
    struct set s = { .weight = NULL };
    char path[4096], file[256];
    int n = cJSON_GetArraySize(names), y;

    snprintf(file, sizeof file, "%s_%s.csv", data, part);
    s.t = table_read(golden_path(path, sizeof path, SET, "data", file), 1);
    s.names = calloc((size_t)n, sizeof *s.names);
    s.x = malloc((size_t)s.t.n_rows * (size_t)n * sizeof *s.x);
    s.label = malloc((size_t)s.t.n_rows * sizeof *s.label);
    y = table_col(&s.t, label);
    for (int r = 0; r < s.t.n_rows; r++)
        s.label[r] = s.t.cells[r * s.t.n_cols + y];
    if (cJSON_IsString(weight)) {
        int w = table_col(&s.t, weight->valuestring);

        s.weight = malloc((size_t)s.t.n_rows * sizeof *s.weight);
        for (int r = 0; r < s.t.n_rows; r++)
            s.weight[r] = s.t.cells[r * s.t.n_cols + w];
    }
    for (int f = 0; f < n; f++) {
        int c;

        s.names[f] = cJSON_GetArrayItem(names, f)->valuestring;
        c = table_col(&s.t, s.names[f]);
        for (int r = 0; r < s.t.n_rows; r++)
            s.x[r * n + f] = s.t.cells[r * s.t.n_cols + c];
    }
    s.rows = (struct gbt_rows){ { s.x, 0, (size_t)s.t.n_rows, n, n, 1 }, s.label, s.weight };
    return s;
}

static void unload(struct set *s)
{
    table_free(&s->t);
    free(s->x);
    free(s->label);
    free(s->weight);
    free(s->names);
}

/* Parameters of the run; its label, weight and ignored columns are useless features of the model. */
static void params(struct gbt_param *p, const cJSON *meta)
{
    const cJSON *conf = cJSON_GetObjectItem(meta, "config"), *v, *cat;
    const cJSON *names = cJSON_GetObjectItem(meta, "feature_names");
    static const char *const ours[] = { "header", "force_row_wise", "num_threads", "deterministic",
        "precise_float_parser", "is_provide_training_metric", "metric_freq", "boosting", NULL };
    char text[256];
    struct err e;

    gbt_param_init(p);
    cJSON_ArrayForEach(v, conf) {
        int known = 1;

        for (int i = 0; ours[i] != NULL; i++)
            known = known && strcmp(v->string, ours[i]) != 0;
        e.text[0] = '\0';
        if (known && gbt_param_set(p, v->string, conf_value(conf, v->string, text, sizeof text), &e) != 0) {
            printf("%s\n", e.text);
            CHECK(0 && "parameter known");
        }
    }
    cJSON_ArrayForEach(cat, cJSON_GetObjectItem(meta, "categorical")) {
        int at = 0;

        while (strcmp(cJSON_GetArrayItem(names, at)->valuestring, cat->valuestring) != 0)
            at++;
        p->categorical[p->n_categorical++] = at;
    }
}

/* Columns the run ignored stand in feature_names with info "none": they must not be used. */
static void hide_unused(struct set *s, const char *model_text)
{
    const char *at = strstr(model_text, "feature_infos=") + strlen("feature_infos=");
    int n = s->rows.x.n_cols;

    for (int f = 0; f < n; f++) {
        size_t len = strcspn(at, " \n");

        if (len == 4 && strncmp(at, "none", 4) == 0)
            for (int r = 0; r < s->t.n_rows; r++)
                s->x[r * n + f] = 0;
        at += len + 1;
    }
}

static void check_metric(const cJSON *meta, const char *name, int i, const struct gbt_report *r)
{
    const cJSON *final = cJSON_GetObjectItem(meta, "final");
    const cJSON *band = cJSON_GetObjectItem(meta, "band_over_max_bin");
    const cJSON *curve = cJSON_GetObjectItem(cJSON_GetObjectItem(
        cJSON_GetObjectItem(meta, "metrics_per_round"), "train"), name);
    double train = golden_number(cJSON_GetObjectItem(final, "train"), name, NAN);
    double valid = golden_number(cJSON_GetObjectItem(final, "valid"), name, NAN), worse;
    const cJSON *ends = cJSON_GetObjectItem(cJSON_GetObjectItem(band, "valid"), name);
    int auc = strcmp(name, "auc") == 0, error = strcmp(name, "multi_error") == 0;
    int logloss = strcmp(name, "binary_logloss") == 0, last = r->n_iter - 1;
    double ours_train = r->train[last * r->n_metrics + i];
    double ours_valid = r->valid[last * r->n_metrics + i];
    static const int rounds[] = { 1, 5, 10 };

    printf("  %-15s train %.6f (theirs %.6f)  valid %.6f (theirs %.6f)\n", name, ours_train, train,
           ours_valid, valid);
    if (error)
        CHECK(fabs(ours_train - train) <= FINAL_TRAIN_ERROR);
    else
        CHECK_NEAR(ours_train, train, FINAL_TRAIN, 0);
    if (cJSON_IsArray(ends)) {
        double a = cJSON_GetArrayItem(ends, 0)->valuedouble, b = cJSON_GetArrayItem(ends, 1)->valuedouble;

        worse = auc ? fmin(a, b) - BAND_VALID_AUC : fmax(a, b) * (1 + BAND_VALID);
    } else {
        worse = auc ? valid - NO_BAND_VALID_AUC : valid * (1 + NO_BAND_VALID);
    }
    CHECK(auc ? ours_valid >= worse : ours_valid <= worse);
    for (int k = 0; k < 3 && !auc && !error; k++)
        if (cJSON_GetArraySize(curve) >= rounds[k])
            CHECK_NEAR(r->train[(rounds[k] - 1) * r->n_metrics + i],
                       cJSON_GetArrayItem(curve, rounds[k] - 1)->valuedouble,
                       logloss ? CURVE_LOGLOSS : CURVE, 0);
}

static struct buf model_text(const struct gbt_model *m)
{
    struct buf b;
    struct err e;

    buf_init(&b, GBT_TEXT_MAX);
    CHECK_INT(gbt_text_write(m, 0, &b, &e), 0);
    return b;
}

static void check_reread(const struct gbt_model *m, const struct buf *text, const struct set *s)
{
    struct gbt_model *again;
    struct err e;
    double a[64], b[64];
    int wrong = 0;

    CHECK_INT(gbt_text_read(&again, text->data, text->len, &e), 0);
    for (int r = 0; r < s->t.n_rows; r++) {
        const double *row = s->x + r * s->rows.x.n_cols;

        gbt_predict_raw(m, row, 0, a);
        gbt_predict_raw(again, row, 0, b);
        wrong += memcmp(a, b, (size_t)m->n_per_iter * sizeof *a) != 0;
    }
    CHECK_INT(wrong, 0);
    gbt_model_free(again);
}

static void check_run(const cJSON *run)
{
    const char *dir = cJSON_GetStringValue(cJSON_GetObjectItem(run, "dir"));
    const char *data = cJSON_GetStringValue(cJSON_GetObjectItem(run, "data"));
    char path[4096], *theirs;
    cJSON *meta = golden_json(golden_path(path, sizeof path, SET, dir, "meta.json"));
    struct set train = load(meta, data, "train"), test = load(meta, data, "test");
    struct gbt_watch watch = { .train_metric = 1 };
    struct gbt_param p;
    struct gbt_report r, r2;
    struct gbt_model *m, *m2;
    struct par *par;
    struct err e;

    printf("%s\n", dir);
    params(&p, meta);
    theirs = golden_text(golden_path(path, sizeof path, SET, dir, "model.txt"), NULL);
    hide_unused(&train, theirs);
    hide_unused(&test, theirs);
    if (gbt_train(&m, &p, &train.rows, &test.rows, (const char *const *)train.names, &watch, &r,
                  NULL, &e) != 0) {
        printf("%s: %s\n", dir, e.text);
        CHECK(0 && "trained");
        return;
    }
    CHECK_INT(m->n_trees, golden_number(meta, "num_trees", -1));
    for (int i = 0; i < r.n_metrics; i++)
        check_metric(meta, gbt_param_metric_name(r.metrics[i]), i, &r);
    CHECK_INT(par_new(&par, 3, &e), 0);
    CHECK_INT(gbt_train(&m2, &p, &train.rows, &test.rows, (const char *const *)train.names, &watch,
                        &r2, par, &e), 0);
    par_free(par);
    struct buf a = model_text(m), b = model_text(m2);
    CHECK(a.len == b.len && memcmp(a.data, b.data, a.len) == 0);
    check_reread(m, &a, &test);
    buf_deinit(&a);
    buf_deinit(&b);
    gbt_report_deinit(&r);
    gbt_report_deinit(&r2);
    gbt_model_free(m);
    gbt_model_free(m2);
    unload(&train);
    unload(&test);
    free(theirs);
    cJSON_Delete(meta);
}

int main(void)
{
    char path[4096];
    cJSON *index = golden_json(golden_path(path, sizeof path, SET, "index.json", ""));
    const cJSON *run;
    int n = 0;

    cJSON_ArrayForEach(run, cJSON_GetObjectItem(index, "runs")) {
        check_run(run);
        n++;
    }
    CHECK(n > 0);
    CHECK_INT(mem_live(), 0);
    cJSON_Delete(index);
    return check_done();
}
