/*
 * tide_onnx.c - a TiDE as an ONNX file. See tide_onnx.h; the network is that of tide_tile.c.
 *
 * Blocks work on rows, so what has steps is reshaped to (rows, width) before and back behind them.
 */
#include "model/tide_onnx.h"

#include <stdio.h>

#include "base/mem.h"
#include "model/onnx.h"
#include "model/tide_layout.h"

#define NAME 96

struct maker {
    struct onnx o;
    const struct tide *t;
    struct tide_layout *l;
};

static void node(struct maker *m, const char *op, const char *in, const char *out)
{
    onnx_node(&m->o, op, in, out, NULL, 0);
}

/* out = in seen as `dims`, one of which may be -1: what is left. */
static void reshape(struct maker *m, const char *in, const char *out, const int64_t *dims, int n)
{
    char name[NAME], inputs[2 * NAME];

    snprintf(name, sizeof name, "%s.shape", out);
    snprintf(inputs, sizeof inputs, "%s %s", in, name);
    onnx_ints(&m->o, name, dims, n);
    node(m, "Reshape", inputs, out);
}

static void rows_of(struct maker *m, const char *in, const char *out, int64_t width)
{
    reshape(m, in, out, (const int64_t[]){-1, width}, 2);
}

/* out = in W' + b, W (O, I) as it lies in the parameter block. */
static void linear(struct maker *m, const char *in, const char *weight, const char *out)
{
    const struct onnx_attr turned = {.name = "transB", .kind = 'i', .i = 1};
    char inputs[4 * NAME];

    snprintf(inputs, sizeof inputs, "%s %s.weight %s.bias", in, weight, weight);
    onnx_node(&m->o, "Gemm", inputs, out, &turned, 1);
}

/* A residual block on rows; `name` is its name in the parameter block, its output's too. */
static void block(struct maker *m, const struct tide_block *b, const char *name, const char *in)
{
    char part[8][NAME], inputs[4 * NAME];
    static const char *const ends[8] = {"dense.0", "up", "relu", "dense.2",
                                        "down",    "skip", "pass", "sum"};

    for (int i = 0; i < 8; i++)
        snprintf(part[i], sizeof part[i], "%.40s.%s", name, ends[i]);
    linear(m, in, part[0], part[1]);
    node(m, "Relu", part[1], part[2]);
    linear(m, part[2], part[3], part[4]);
    linear(m, in, part[5], part[6]);
    snprintf(inputs, sizeof inputs, "%s %s", part[4], part[6]);
    node(m, "Add", inputs, b->norm ? part[7] : name);
    if (!b->norm)
        return;
    const struct onnx_attr how[] = {{.name = "axis", .kind = 'i', .i = -1},
                                    {.name = "epsilon", .kind = 'f', .f = TIDE_NORM_EPS}};
    snprintf(inputs, sizeof inputs, "%s %.40s.layer_norm.weight %.40s.layer_norm.bias", part[7],
             name, name);
    onnx_node(&m->o, "LayerNormalization", inputs, name, how, 2);
}

static void constants(struct maker *m)
{
    for (int i = 0; i < m->t->n_table; i++) {
        const struct tide_param *p = &m->t->table[i];
        onnx_floats(&m->o, p->name, m->t->params + p->at, p->rows, p->cols);
    }
}

static void scale_in(struct maker *m, enum tide_scale scale, double a, double b)
{
    if (scale == TIDE_SCALE_NONE) {
        node(m, "Identity", "lookback", "scaled");
        return;
    }
    onnx_number(&m->o, "scale.a", a);
    onnx_number(&m->o, "scale.b", b);
    if (scale == TIDE_SCALE_LOG_MINMAX) {
        onnx_number(&m->o, "one", 1);
        onnx_number(&m->o, "tiny", 1e-6);
        node(m, "Add", "lookback one", "scale.plus");
        node(m, "Log", "scale.plus", "scale.log");
    }
    node(m, "Sub", scale == TIDE_SCALE_STANDARD ? "lookback scale.a" : "scale.log scale.a",
         "scale.off");
    node(m, "Div", "scale.off scale.b", scale == TIDE_SCALE_STANDARD ? "scaled" : "scale.ratio");
    if (scale == TIDE_SCALE_LOG_MINMAX)
        node(m, "Add", "scale.ratio tiny", "scaled");
}

static void scale_out(struct maker *m, enum tide_scale scale, const char *out)
{
    switch (scale) {
    case TIDE_SCALE_STANDARD:
        node(m, "Mul", "sorted scale.b", "unscale.wide");
        node(m, "Add", "unscale.wide scale.a", out);
        break;
    case TIDE_SCALE_LOG_MINMAX:
        node(m, "Sub", "sorted tiny", "unscale.less");
        node(m, "Mul", "unscale.less scale.b", "unscale.wide");
        node(m, "Add", "unscale.wide scale.a", "unscale.log");
        node(m, "Exp", "unscale.log", "unscale.exp");
        node(m, "Sub", "unscale.exp one", "unscale.raw");
        node(m, "Relu", "unscale.raw", out);
        break;
    default: node(m, "Identity", "sorted", out);
    }
}

/* scaled (N, L, C) to z, the lookback as the network sees it; rin.mean and rin.std (N, 1, C). */
static void normalise(struct maker *m)
{
    const struct tide_conf *c = &m->t->conf;
    const struct onnx_attr over = {.name = "axes", .kind = 'I', .list = {1}, .n = 1};

    if (!c->rin) {
        node(m, "Identity", "scaled", "z");
        return;
    }
    onnx_number(&m->o, "rin.eps", c->rin_eps);
    onnx_node(&m->o, "ReduceMean", "scaled", "rin.mean", &over, 1);
    node(m, "Sub", "scaled rin.mean", "rin.off");
    node(m, "Mul", "rin.off rin.off", "rin.square");
    onnx_node(&m->o, "ReduceMean", "rin.square", "rin.var", &over, 1);
    node(m, "Add", "rin.var rin.eps", "rin.var_eps");
    node(m, "Sqrt", "rin.var_eps", "rin.std");
    node(m, "Div", "rin.off rin.std", c->rin_affine ? "rin.ratio" : "z");
    if (c->rin_affine) {
        node(m, "Mul", "rin.ratio rin.affine_weight", "rin.wide");
        node(m, "Add", "rin.wide rin.affine_bias", "z");
    }
}

/* The way out: y.norm (N, H, C, Q) to y. */
static void restore(struct maker *m)
{
    const struct tide_conf *c = &m->t->conf;
    const int64_t steps[] = {-1, 1, c->n_targets, 1}, column[] = {c->n_targets, 1};

    if (!c->rin) {
        node(m, "Identity", "y.norm", "y");
        return;
    }
    if (c->rin_affine) {
        onnx_number(&m->o, "rin.eps2", c->rin_eps * c->rin_eps);
        node(m, "Add", "rin.affine_weight rin.eps2", "rin.divisor");
        reshape(m, "rin.divisor", "rin.divisor.column", column, 2);
        reshape(m, "rin.affine_bias", "rin.bias.column", column, 2);
        node(m, "Sub", "y.norm rin.bias.column", "y.off");
        node(m, "Div", "y.off rin.divisor.column", "y.plain");
    }
    reshape(m, "rin.std", "rin.std.steps", steps, 4);
    reshape(m, "rin.mean", "rin.mean.steps", steps, 4);
    node(m, "Mul", c->rin_affine ? "y.plain rin.std.steps" : "y.norm rin.std.steps", "y.wide");
    node(m, "Add", "y.wide rin.mean.steps", "y");
}

/* Covariates `name` of `steps` steps to NAME.rows (N * steps, width) and NAME.flat (N, …). */
static void covariates(struct maker *m, const char *name, const struct tide_block *b, int used,
                       int raw, int64_t steps, int64_t width)
{
    char rows[NAME], seen[NAME], flat[NAME];

    snprintf(rows, sizeof rows, "%s.raw", name);
    snprintf(seen, sizeof seen, "%s_cov_projection", name);
    snprintf(flat, sizeof flat, "%s.flat", name);
    rows_of(m, name, rows, raw);
    if (used)
        block(m, b, seen, rows);
    rows_of(m, used ? seen : rows, flat, steps * width);
}

/* z to skip (N, H, C, Q). */
static void skip(struct maker *m)
{
    const struct tide_conf *c = &m->t->conf;
    const int64_t H = c->output_chunk, C = c->n_targets, Q = m->t->Q, L = c->input_chunk;
    const struct onnx_attr turn = {.name = "perm", .kind = 'I', .list = {0, 2, 1}, .n = 3};

    if (C == 1) {
        linear(m, "z.flat", "lookback_skip", "skip.turned");
    } else { /* (C, H Q) is turned and read as (H, C Q): darts' order */
        onnx_node(&m->o, "Transpose", "z", "skip.z", &turn, 1);
        rows_of(m, "skip.z", "skip.rows", L);
        linear(m, "skip.rows", "lookback_skip", "skip.out");
        reshape(m, "skip.out", "skip.by_target", (const int64_t[]){-1, C, H * Q}, 3);
        onnx_node(&m->o, "Transpose", "skip.by_target", "skip.turned", &turn, 1);
    }
    reshape(m, "skip.turned", "skip.y", (const int64_t[]){-1, H, C, Q}, 4);
}

/* Everything from z to y.norm. */
static void network(struct maker *m)
{
    const struct tide_conf *c = &m->t->conf;
    const struct tide_layout *l = m->l;
    const int64_t L = c->input_chunk, H = c->output_chunk, C = c->n_targets, Q = m->t->Q;
    const struct onnx_attr columns = {.name = "axis", .kind = 'i', .i = 1};
    char name[NAME], before[NAME] = "encoder_in", inputs[4 * NAME];

    rows_of(m, "z", "z.flat", L * C);
    if (c->past_cov > 0)
        covariates(m, "past", &l->past, l->has_past, c->past_cov, L, l->past_width);
    if (c->future_cov > 0)
        covariates(m, "future", &l->future, l->has_future, c->future_cov, L + H, l->future_width);
    snprintf(inputs, sizeof inputs, "z.flat%s%s%s", c->past_cov > 0 ? " past.flat" : "",
             c->future_cov > 0 ? " future.flat" : "", c->static_cov > 0 ? " static" : "");
    onnx_node(&m->o, "Concat", inputs, before, &columns, 1);
    for (int i = 0; i < l->n_chain; i++) {
        snprintf(name, sizeof name, "%s.%d", i < c->n_enc ? "encoders" : "decoders",
                 i < c->n_enc ? i : i - c->n_enc);
        block(m, &l->chain[i], name, before);
        snprintf(before, sizeof before, "%s", name);
    }
    rows_of(m, before, "decoded", c->decoder_out * Q);
    if (c->future_cov > 0) { /* beside each step to come what is known of it */
        const int64_t from = L * l->future_width, to = (L + H) * l->future_width, axis = 1;
        onnx_ints(&m->o, "ahead.from", &from, 1);
        onnx_ints(&m->o, "ahead.to", &to, 1);
        onnx_ints(&m->o, "ahead.axis", &axis, 1);
        node(m, "Slice", "future.flat ahead.from ahead.to ahead.axis", "ahead");
        rows_of(m, "ahead", "ahead.rows", l->future_width);
        onnx_node(&m->o, "Concat", "decoded ahead.rows", "temporal_in", &columns, 1);
    }
    block(m, &l->temporal, "temporal_decoder", c->future_cov > 0 ? "temporal_in" : "decoded");
    reshape(m, "temporal_decoder", "temporal.y", (const int64_t[]){-1, H, C, Q}, 4);
    skip(m);
    node(m, "Add", "temporal.y skip.y", "y.norm");
}

static void build(struct maker *m, enum tide_scale scale, double a, double b)
{
    const struct tide_conf *c = &m->t->conf;
    const int64_t L = c->input_chunk, H = c->output_chunk, C = c->n_targets, Q = m->t->Q;
    const struct onnx_attr rising = {.name = "largest", .kind = 'i', .i = 0};

    onnx_input(&m->o, "lookback", (const int64_t[]){-1, L, C}, 3);
    if (c->past_cov > 0)
        onnx_input(&m->o, "past", (const int64_t[]){-1, L, c->past_cov}, 3);
    if (c->future_cov > 0)
        onnx_input(&m->o, "future", (const int64_t[]){-1, L + H, c->future_cov}, 3);
    if (c->static_cov > 0)
        onnx_input(&m->o, "static", (const int64_t[]){-1, c->static_cov}, 2);
    onnx_output(&m->o, "forecast", (const int64_t[]){-1, H, C, Q}, Q > 1 ? 4 : 3);
    constants(m);
    scale_in(m, scale, a, b);
    normalise(m);
    network(m);
    restore(m);
    if (Q > 1) {
        onnx_ints(&m->o, "levels", &Q, 1);
        onnx_node(&m->o, "TopK", "y levels", "sorted sorted.places", &rising, 1);
    } else {
        reshape(m, "y", "sorted", (const int64_t[]){-1, H, C}, 3);
    }
    scale_out(m, scale, "forecast");
}

int tide_onnx_save(const struct tide *t, enum tide_scale scale, double a, double b,
                   const char *path, struct err *e)
{
    struct maker m = {.t = t};
    int rc;

    m.l = mem_zero(1, sizeof *m.l);
    if (m.l == NULL)
        return err_set(e, ERR_NOMEM, "no memory to write %s", path);
    tide_layout_make(m.l, t);
    onnx_init(&m.o, "tide");
    build(&m, scale, a, b);
    rc = onnx_save(&m.o, path, e);
    onnx_deinit(&m.o);
    mem_free(m.l);
    return rc;
}
