/*
 * fuzz_gbt_text.c - the model file reader: whatever it accepts must predict, explain, write and
 * re-read without trouble.
 */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
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
    struct gbt_shap *s;
    struct err e;

    for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
        for (int f = 0; f < m->n_features; f++)
            row[f] = values[(v + (size_t)f) % 6];
        gbt_predict_raw(m, row, 0, score);
        gbt_predict_link(m, score);
    }
    if (gbt_shap_new(&s, m, &e) == 0)
        gbt_shap_row(s, row, 0, phi);
    gbt_shap_free(s);
    free(row);
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
