/*
 * fuzz_gbt_text.c - the model file reader: whatever it accepts must predict (fast as by walking),
 * explain, write and re-read without trouble.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/gbt_flat.h"
#include "model/gbt_predict.h"
#include "model/gbt_shap.h"
#include "model/gbt_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct gbt_model *m)
{
    double *row = calloc((size_t)m->n_features + 1, sizeof *row);
    double *score = calloc((size_t)m->n_per_iter, sizeof *score);
    double *phi = calloc((size_t)m->n_per_iter * ((size_t)m->n_features + 1), sizeof *phi);
    static const double values[] = { 0, 1, -1, 1e300, NAN, 4294967296.0 };
    double *fast = calloc((size_t)m->n_per_iter, sizeof *fast);
    double *one = calloc((size_t)m->n_per_iter, sizeof *one);
    struct gbt_matrix x = { row, 0, 1, m->n_features, m->n_features, 1 };
    struct gbt_flat *flat;
    struct gbt_shap *s;
    struct err e;

    if (gbt_flat_new(&flat, m, 0, &e) != 0)
        flat = NULL;
    for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
        for (int f = 0; f < m->n_features; f++)
            row[f] = values[(v + (size_t)f) % 6];
        gbt_predict_raw(m, row, 0, score);
        if (flat != NULL) {
            size_t bytes = (size_t)m->n_per_iter * sizeof *score;

            gbt_flat_row(flat, row, one);
            if (gbt_flat_predict(flat, &x, 0, fast, NULL, &e) != 0 ||
                memcmp(fast, score, bytes) != 0 || memcmp(one, score, bytes) != 0)
                __builtin_trap();
        }
        gbt_predict_link(m, score);
    }
    gbt_flat_free(flat);
    if (gbt_shap_new(&s, m, &e) == 0)
        gbt_shap_row(s, row, 0, phi);
    gbt_shap_free(s);
    free(row);
    free(fast);
    free(one);
    free(score);
    free(phi);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gbt_model *m, *again;
    struct buf b;
    struct err e;

    if (gbt_text_read(&m, (const char *)data, size, &e) != 0)
        return 0;
    if ((double)m->n_features * m->n_per_iter < 1e6)
        use(m);
    buf_init(&b, 1 << 24);
    if (gbt_text_write(m, 0, &b, &e) == 0) {
        if (gbt_text_read(&again, b.data, b.len, &e) != 0)
            __builtin_trap(); /* what we write we must read */
        gbt_model_free(again);
    }
    buf_deinit(&b);
    gbt_model_free(m);
    return 0;
}
