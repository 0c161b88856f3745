/*
 * golden_lightgbm.c - model files written by LightGBM 4.6: read, predict, explain, write again.
 * Training against the same fixtures is golden_lightgbm_train.c.
 */
#include "base/mem.h"
#include "check.h"
#include "golden_table.h"
#include "model/gbt_flat.h"
#include "model/gbt_predict.h"
#include "model/gbt_shap.h"
#include "model/gbt_text.h"
#include "tensor/kern.h"

#define SET "lightgbm"
#define PREDICT_TOLERANCE 1e-12 /* measured: 0 raw, 4e-16 transformed */
#define SHAP_TOLERANCE 1e-9     /* measured: see the line printed at the end */
#define GAIN_TOLERANCE 1e-4     /* the file prints gains with 6 digits */

static double worst_shap;

/* Feature f of the model is column cols[f] of the table. */
static int *columns(const struct gbt_model *m, const struct table *x)
{
    int *cols = malloc((size_t)m->n_features * sizeof *cols);

    for (int f = 0; f < m->n_features; f++)
        cols[f] = table_col(x, m->feature_names[f]);
    return cols;
}

static void pick_row(double *row, const struct gbt_model *m, const struct table *x, const int *cols,
                     int r)
{
    for (int f = 0; f < m->n_features; f++)
        row[f] = x->cells[(size_t)r * (size_t)x->n_cols + (size_t)cols[f]];
}

static void check_predictions(const struct gbt_model *m, const struct table *x,
                              const struct table *want)
{
    int *cols = columns(m, x), k = m->n_per_iter;
    double row[512], score[64];

    CHECK_INT(want->n_rows, x->n_rows);
    CHECK_INT(want->n_cols, 2 * k);
    for (int r = 0; r < x->n_rows && r < want->n_rows; r++) {
        const double *w = want->cells + (size_t)r * (size_t)want->n_cols;

        pick_row(row, m, x, cols, r);
        gbt_predict_raw(m, row, 0, score);
        for (int c = 0; c < k; c++)
            CHECK_NEAR(score[c], w[c], PREDICT_TOLERANCE, 1);
        gbt_predict_link(m, score);
        for (int c = 0; c < k; c++)
            CHECK_NEAR(score[c], w[k + c], PREDICT_TOLERANCE, 1);
    }
    free(cols);
}

/* Every kernel of the fast layout gives the bits of the walk, many rows and one. */
static void check_flat(const struct gbt_model *m, const struct table *x)
{
    static const char *const kernels[] = { "ref", "avx2", "avx512", "best" };
    int *cols = columns(m, x), k = m->n_per_iter, n = x->n_rows, wrong = 0;
    double *rows = malloc((size_t)n * (size_t)m->n_features * sizeof *rows);
    double *out = malloc((size_t)n * (size_t)k * sizeof *out), walk[64], one[64];
    struct gbt_matrix all = { rows, 0, (size_t)n, m->n_features, m->n_features, 1 };
    struct gbt_flat *flat;
    struct err e;

    for (int r = 0; r < n; r++)
        pick_row(rows + (size_t)r * (size_t)m->n_features, m, x, cols, r);
    CHECK_INT(gbt_flat_new(&flat, m, 0, &e), 0);
    for (int i = 0; i < 4; i++) {
        if (kern_use(kernels[i]) != 0)
            continue; /* not this CPU's */
        CHECK_INT(gbt_flat_predict(flat, &all, 0, out, NULL, &e), 0);
        for (int r = 0; r < n; r++) {
            const double *row = rows + (size_t)r * (size_t)m->n_features;

            gbt_predict_raw(m, row, 0, walk);
            gbt_flat_row(flat, row, one);
            wrong += memcmp(walk, out + (size_t)r * (size_t)k, (size_t)k * sizeof *walk) != 0;
            wrong += memcmp(walk, one, (size_t)k * sizeof *walk) != 0;
        }
    }
    CHECK_INT(wrong, 0);
    all.n_cols++;
    CHECK_INT(gbt_flat_predict(flat, &all, 0, out, NULL, &e), -1);
    CHECK_INT(e.code, ERR_SHAPE);
    gbt_flat_free(flat);
    free(rows);
    free(out);
    free(cols);
}

static void check_leaves(const struct gbt_model *m, const struct table *x, const struct table *want)
{
    int *cols = columns(m, x), *leaves = malloc((size_t)m->n_trees * sizeof *leaves), wrong = 0;
    double row[512];

    CHECK_INT(want->n_cols, m->n_trees);
    for (int r = 0; r < want->n_rows; r++) {
        pick_row(row, m, x, cols, r);
        gbt_predict_leaves(m, row, 0, leaves);
        for (int i = 0; i < m->n_trees; i++)
            wrong += leaves[i] != (int)want->cells[r * want->n_cols + i];
    }
    CHECK_INT(wrong, 0);
    free(leaves);
    free(cols);
}

static void check_contributions(const struct gbt_model *m, const struct table *x,
                                const struct table *want)
{
    int *cols = columns(m, x), width = m->n_features + 1;
    double row[512], phi[512];
    struct gbt_shap *s;
    struct err e;

    CHECK_INT(gbt_shap_new(&s, m, &e), 0);
    CHECK_INT(want->n_cols, width);
    for (int r = 0; r < want->n_rows; r++) {
        pick_row(row, m, x, cols, r);
        gbt_shap_row(s, row, 0, phi);
        for (int f = 0; f < width; f++) {
            double w = want->cells[r * width + f];

            CHECK(fabs(phi[f] - w) <= SHAP_TOLERANCE);
            worst_shap = fmax(worst_shap, fabs(phi[f] - w));
        }
    }
    gbt_shap_free(s);
    free(cols);
}

static void check_importance(const struct gbt_model *m, const cJSON *meta)
{
    double out[512];

    for (int gain = 0; gain < 2; gain++) {
        const cJSON *want = cJSON_GetObjectItem(meta, gain ? "importance_gain" : "importance_split");

        gbt_model_importance(m, gain, 0, out);
        CHECK(want != NULL);
        for (int f = 0; f < m->n_features; f++) {
            double w = golden_number(want, m->feature_names[f], 0);

            if (gain)
                CHECK_NEAR(out[f], w, GAIN_TOLERANCE, 1);
            else
                CHECK_INT(out[f], w);
        }
    }
}

/* Written and read again: the same bytes, so the same bits. */
static void check_round_trip(const struct gbt_model *m, const char *text, size_t len)
{
    struct gbt_model *again;
    struct buf b, c;
    struct err e;

    buf_init(&b, GBT_TEXT_MAX);
    buf_init(&c, GBT_TEXT_MAX);
    CHECK_INT(gbt_text_write(m, 0, &b, &e), 0);
    CHECK_INT(gbt_text_read(&again, b.data, b.len, &e), 0);
    CHECK_INT(again->n_trees, m->n_trees);
    for (int i = 0; i < m->n_trees; i++) {
        const struct gbt_tree *t = m->trees[i], *u = again->trees[i];

        CHECK_INT(u->n_leaves, t->n_leaves);
        CHECK(memcmp(u->leaf_value, t->leaf_value, (size_t)t->n_leaves * sizeof(double)) == 0);
        CHECK(memcmp(u->threshold, t->threshold, (size_t)(t->n_leaves - 1) * sizeof(double)) == 0);
    }
    CHECK_INT(gbt_text_write(again, 0, &c, &e), 0);
    CHECK(b.len == c.len && memcmp(b.data, c.data, b.len) == 0);
    CHECK_INT(b.len, len);
    CHECK(b.len == len && memcmp(b.data, text, len) == 0);
    gbt_model_free(again);
    buf_deinit(&b);
    buf_deinit(&c);
}

static int exists(const char *path)
{
    FILE *f = fopen(path, "rb");

    if (f != NULL)
        fclose(f);
    return f != NULL;
}

static void check_run(const cJSON *run)
{
    const char *dir = cJSON_GetStringValue(cJSON_GetObjectItem(run, "dir"));
    const char *data = cJSON_GetStringValue(cJSON_GetObjectItem(run, "data"));
    char path[4096], name[256];
    struct table x, want;
    struct gbt_model *m;
    struct err e;
    size_t len;
    char *text;
    cJSON *meta;

    golden_need(dir != NULL && data != NULL, "index.json: dir and data expected");
    text = golden_text(golden_path(path, sizeof path, SET, dir, "model.txt"), &len);
    if (gbt_text_read(&m, text, len, &e) != 0)
        printf("%s: %s\n", path, e.text);
    CHECK(m != NULL);
    if (m == NULL)
        return;
    meta = golden_json(golden_path(path, sizeof path, SET, dir, "meta.json"));
    CHECK_INT(m->n_trees, golden_number(meta, "num_trees", -1));
    check_importance(m, meta);
    check_round_trip(m, text, len);

    snprintf(name, sizeof name, "%s_test.csv", data);
    x = table_read(golden_path(path, sizeof path, SET, "data", name), 1);
    want = table_read(golden_path(path, sizeof path, SET, dir, "predictions_test.csv"), 1);
    check_predictions(m, &x, &want);
    check_flat(m, &x);
    table_free(&want);
    if (exists(golden_path(path, sizeof path, SET, dir, "leaf_index_first100.csv"))) {
        want = table_read(path, 0);
        check_leaves(m, &x, &want);
        table_free(&want);
    }
    if (exists(golden_path(path, sizeof path, SET, dir, "contrib_first60.csv"))) {
        want = table_read(path, 1);
        check_contributions(m, &x, &want);
        table_free(&want);
    }
    table_free(&x);
    if (exists(golden_path(path, sizeof path, SET, dir, "predictions_odd.csv"))) {
        want = table_read(path, 1);
        snprintf(name, sizeof name, "%s_odd.csv", data);
        x = table_read(golden_path(path, sizeof path, SET, "data", name), 1);
        check_predictions(m, &x, &want);
        check_flat(m, &x);
        table_free(&x);
        table_free(&want);
    }
    cJSON_Delete(meta);
    gbt_model_free(m);
    free(text);
}

int main(void)
{
    char path[4096];
    cJSON *index = golden_json(golden_path(path, sizeof path, SET, "index.json", ""));
    const cJSON *runs = cJSON_GetObjectItem(index, "runs"), *run;
    int n = 0;

    cJSON_ArrayForEach(run, runs) {
        check_run(run);
        n++;
    }
    CHECK(n > 0);
    CHECK_INT(mem_live(), 0);
    printf("%d models, contributions off by at most %.2g\n", n, worst_shap);
    cJSON_Delete(index);
    return check_done();
}
