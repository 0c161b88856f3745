/*
 * tide.c - configuration and parameters of TiDE. See tide.h; the network is tide_net.c.
 */
#include "model/tide.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/tide_layout.h"
#include "tensor/rng.h"

#define MAX_SIZE 65536
#define MAX_BLOCKS 64
#define MAX_PARAMS ((size_t)1 << 30)

void tide_conf_init(struct tide_conf *c)
{
    memset(c, 0, sizeof *c);
    c->n_targets = 1;
    c->n_enc = c->n_dec = 1;
    c->decoder_out = 16;
    c->hidden = 128;
    c->temporal_width_past = c->temporal_width_future = 4;
    c->temporal_decoder_hidden = 32;
    c->rin_affine = 1;
    c->rin_eps = 1e-5;
    c->dropout = 0.1;
    c->loss.kind = LOSS_MSE;
    c->loss.delta = 1;
}

static int check_range(const char *name, int v, int low, int high, struct err *e)
{
    if (v < low || v > high)
        return err_set(e, ERR_INVALID, "%s is %d: %d to %d expected", name, v, low, high);
    return 0;
}

static int check_loss(const struct loss_conf *l, struct err *e)
{
    if (l->n_quantiles < 0 || l->n_quantiles > LOSS_QUANTILES)
        return err_set(e, ERR_INVALID, "%d quantiles: at most %d", l->n_quantiles, LOSS_QUANTILES);
    if ((l->kind == LOSS_PINBALL) != (l->n_quantiles > 0))
        return err_set(e, ERR_INVALID, "quantiles go with the pinball loss and only with it");
    for (int i = 0; i < l->n_quantiles; i++) {
        if (!(l->quantiles[i] > 0 && l->quantiles[i] < 1) ||
            (i > 0 && !(l->quantiles[i] > l->quantiles[i - 1])))
            return err_set(e, ERR_INVALID, "quantile %d is %g: rising values between 0 and 1 "
                           "expected", i + 1, l->quantiles[i]);
        if (!(l->q_weight[i] >= 0 && isfinite(l->q_weight[i])))
            return err_set(e, ERR_INVALID, "the weight of quantile %g is %g", l->quantiles[i],
                           l->q_weight[i]);
    }
    if ((int)l->kind < 0 || l->kind >= LOSS_COUNT || !(l->delta > 0))
        return err_set(e, ERR_INVALID, "loss of kind %d, delta %g", (int)l->kind, l->delta);
    return 0;
}

int tide_conf_check(const struct tide_conf *c, struct err *e)
{
    const struct {
        const char *name;
        int v, low, high;
    } all[] = {
        {"input_chunk", c->input_chunk, 1, MAX_SIZE},
        {"output_chunk", c->output_chunk, 1, MAX_SIZE},
        {"n_targets", c->n_targets, 1, MAX_SIZE},
        {"past_cov", c->past_cov, 0, MAX_SIZE},
        {"future_cov", c->future_cov, 0, MAX_SIZE},
        {"static_cov", c->static_cov, 0, MAX_SIZE},
        {"num_encoder_layers", c->n_enc, 1, MAX_BLOCKS},
        {"num_decoder_layers", c->n_dec, 1, MAX_BLOCKS},
        {"decoder_output_dim", c->decoder_out, 1, MAX_SIZE},
        {"hidden_size", c->hidden, 1, MAX_SIZE},
        {"temporal_width_past", c->temporal_width_past, 0, MAX_SIZE},
        {"temporal_width_future", c->temporal_width_future, 0, MAX_SIZE},
        {"temporal_hidden_size_past", c->temporal_hidden_past, 0, MAX_SIZE},
        {"temporal_hidden_size_future", c->temporal_hidden_future, 0, MAX_SIZE},
        {"temporal_decoder_hidden", c->temporal_decoder_hidden, 1, MAX_SIZE},
    };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (check_range(all[i].name, all[i].v, all[i].low, all[i].high, e) != 0)
            return -1;
    if (!(c->dropout >= 0 && c->dropout < 1))
        return err_set(e, ERR_INVALID, "dropout is %g: 0 to less than 1 expected", c->dropout);
    if (!(c->rin_eps > 0 && c->rin_eps < 1))
        return err_set(e, ERR_INVALID, "rin_eps is %g: more than 0, less than 1", c->rin_eps);
    if (check_loss(&c->loss, e) != 0)
        return -1;
    /* the widest layers, so that no product of sizes can pass an int further on */
    double Q = c->loss.n_quantiles > 0 ? c->loss.n_quantiles : 1, L = c->input_chunk,
           H = c->output_chunk;
    double wide = L * c->n_targets + L * (c->past_cov + c->temporal_width_past) +
                  (L + H) * (c->future_cov + c->temporal_width_future) + c->static_cov;
    double out = H * Q * (c->decoder_out > c->n_targets ? c->decoder_out : c->n_targets);
    if (wide > 4e6 || out > 4e6)
        return err_set(e, ERR_LIMIT, "the model would be %.0f wide at its input and %.0f at its "
                       "output: at most 4000000", wide, out);
    return 0;
}

/* --- the table of parameters --- */

struct maker {
    struct tide *t; /* table NULL: only count */
    int n;
    size_t at;
};

static size_t param(struct maker *m, const char *block, const char *part, int rows, int cols)
{
    size_t n = (size_t)rows * (size_t)(cols > 0 ? cols : 1), at = m->at;

    if (m->t->table != NULL) {
        struct tide_param *p = &m->t->table[m->n];
        snprintf(p->name, sizeof p->name, "%s.%s", block, part);
        p->rows = rows;
        p->cols = cols;
        p->at = at;
        p->n = n;
    }
    m->n++;
    m->at += n;
    return at;
}

static void block(struct maker *m, struct tide_block *b, const char *name, int I, int D, int O,
                  int norm)
{
    memset(b, 0, sizeof *b);
    b->I = I;
    b->D = D;
    b->O = O;
    b->norm = norm;
    b->has_drop = m->t->conf.dropout > 0;
    b->at.w1 = param(m, name, "dense.0.weight", D, I);
    b->at.b1 = param(m, name, "dense.0.bias", D, 0);
    b->at.w2 = param(m, name, "dense.2.weight", O, D);
    b->at.b2 = param(m, name, "dense.2.bias", O, 0);
    b->at.ws = param(m, name, "skip.weight", O, I);
    b->at.bs = param(m, name, "skip.bias", O, 0);
    if (norm) {
        b->at.gamma = param(m, name, "layer_norm.weight", O, 0);
        b->at.beta = param(m, name, "layer_norm.bias", O, 0);
    }
}

/* Walks the network once; the order is the order of the parameter block. */
static void walk(struct maker *m, struct tide_layout *l)
{
    const struct tide_conf *c = &m->t->conf;
    int L = c->input_chunk, H = c->output_chunk, C = c->n_targets, Q = m->t->Q;
    char name[TIDE_NAME / 2];

    l->has_past = c->past_cov > 0 && c->temporal_width_past > 0;
    l->has_future = c->future_cov > 0 && c->temporal_width_future > 0;
    l->past_width = l->has_past ? c->temporal_width_past : c->past_cov;
    l->future_width = l->has_future ? c->temporal_width_future : c->future_cov;
    l->past_at = L * C;
    l->future_at = l->past_at + L * l->past_width;
    l->fixed_at = l->future_at + (L + H) * l->future_width;
    l->in_width = l->fixed_at + c->static_cov;
    if (c->rin && c->rin_affine) {
        l->rin_w = param(m, "rin", "affine_weight", C, 0);
        l->rin_b = param(m, "rin", "affine_bias", C, 0);
    }
    if (l->has_past)
        block(m, &l->past, "past_cov_projection", c->past_cov,
              c->temporal_hidden_past > 0 ? c->temporal_hidden_past : c->hidden,
              c->temporal_width_past, c->layer_norm);
    if (l->has_future)
        block(m, &l->future, "future_cov_projection", c->future_cov,
              c->temporal_hidden_future > 0 ? c->temporal_hidden_future : c->hidden,
              c->temporal_width_future, c->layer_norm);
    for (int i = 0; i < c->n_enc; i++) {
        snprintf(name, sizeof name, "encoders.%d", i);
        block(m, &l->chain[i], name, i == 0 ? l->in_width : c->hidden, c->hidden, c->hidden,
              c->layer_norm);
        l->chain[i].x1 = i == 0 ? 0 : c->hidden;
    }
    /* of the input only these columns lead to parameters */
    struct tide_block *first = &l->chain[0];
    first->x0 = c->rin && c->rin_affine ? 0 : l->has_past ? l->past_at : l->future_at;
    first->x1 = l->has_future ? l->fixed_at : l->has_past ? l->future_at : l->past_at;
    if (!(c->rin && c->rin_affine) && !l->has_past && !l->has_future)
        first->x0 = first->x1 = 0;
    for (int i = 0; i < c->n_dec; i++) {
        struct tide_block *b = &l->chain[c->n_enc + i];
        snprintf(name, sizeof name, "decoders.%d", i);
        block(m, b, name, c->hidden, c->hidden,
              i + 1 < c->n_dec ? c->hidden : c->decoder_out * H * Q, c->layer_norm);
        b->x1 = c->hidden;
    }
    l->n_chain = c->n_enc + c->n_dec;
    block(m, &l->temporal, "temporal_decoder", c->decoder_out * Q + l->future_width,
          c->temporal_decoder_hidden, C * Q, c->layer_norm_temporal);
    l->temporal.x1 = c->decoder_out * Q + (l->has_future ? l->future_width : 0);
    l->skip_w = param(m, "lookback_skip", "weight", H * Q, L);
    l->skip_b = param(m, "lookback_skip", "bias", H * Q, 0);
}

void tide_layout_make(struct tide_layout *l, const struct tide *t)
{
    struct tide copy = *t;
    struct maker m = {.t = &copy};

    copy.table = NULL;
    memset(l, 0, sizeof *l);
    walk(&m, l);
}

static int is_bias(const char *name)
{
    const char *dot = strrchr(name, '.');

    return dot != NULL && strcmp(dot, ".bias") == 0;
}

/* Weights and biases of a linear layer lie next to each other: the bias takes the inputs' number
 * from the weight before it. */
void tide_draw(struct tide *t, uint64_t seed)
{
    int inputs = 1;

    for (int i = 0; i < t->n_table; i++) {
        const struct tide_param *p = &t->table[i];
        float *v = t->params + p->at;
        if (p->cols > 0)
            inputs = p->cols;
        int plain = strstr(p->name, "layer_norm.") != NULL || strncmp(p->name, "rin.", 4) == 0;
        for (size_t j = 0; j < p->n; j++) {
            if (plain)
                v[j] = is_bias(p->name) || strcmp(p->name, "rin.affine_bias") == 0 ? 0 : 1;
            else
                v[j] = (float)((2 * rng_uniform(seed, (uint64_t)i, j) - 1) / sqrt(inputs));
        }
    }
}

/* The model without its parameters. */
static int make(struct tide **out, const struct tide_conf *c, struct err *e)
{
    struct tide *t = NULL;
    struct tide_layout *l = NULL;
    struct maker m = {0};

    *out = NULL;
    if (tide_conf_check(c, e) != 0)
        return -1;
    t = mem_zero(1, sizeof *t);
    l = mem_zero(1, sizeof *l);
    if (t == NULL || l == NULL)
        goto nomem;
    t->conf = *c;
    t->Q = c->loss.n_quantiles > 0 ? c->loss.n_quantiles : 1;
    m.t = t;
    walk(&m, l);
    if (m.at > MAX_PARAMS) {
        err_set(e, ERR_LIMIT, "a model of %zu parameters: at most %zu", m.at, MAX_PARAMS);
        goto fail;
    }
    t->n_table = m.n;
    t->n_params = m.at;
    t->table = mem_zero((size_t)m.n, sizeof *t->table);
    if (t->table == NULL)
        goto nomem;
    m = (struct maker){.t = t};
    walk(&m, l);
    mem_free(l);
    *out = t;
    return 0;
nomem:
    err_set(e, ERR_NOMEM, "no memory for the model");
fail:
    mem_free(l);
    tide_free(t);
    return -1;
}

int tide_new(struct tide **out, const struct tide_conf *c, uint64_t seed, struct err *e)
{
    if (make(out, c, e) != 0)
        return -1;
    (*out)->params = mem_aligned(((*out)->n_params + 16) * sizeof *(*out)->params);
    if ((*out)->params == NULL) {
        tide_free(*out);
        *out = NULL;
        return err_set(e, ERR_NOMEM, "no memory for the model's parameters");
    }
    tide_draw(*out, seed);
    return 0;
}

int tide_wrap(struct tide **out, const struct tide_conf *c, const float *params, size_t n,
              struct err *e)
{
    struct tide *t;

    if (make(&t, c, e) != 0)
        return -1;
    *out = NULL;
    if (t->n_params != n) {
        err_set(e, ERR_CORRUPT, "%zu parameters for a model of %zu", n, t->n_params);
        tide_free(t);
        return -1;
    }
    for (size_t i = 0; i < n; i++)
        if (!isfinite(params[i])) {
            tide_free(t);
            return err_set(e, ERR_NAN, "parameter %zu is not a finite number", i);
        }
    t->params = (float *)(uintptr_t)params;
    t->borrowed = 1;
    *out = t;
    return 0;
}

int tide_own(struct tide *t, struct err *e)
{
    float *copy;

    if (!t->borrowed)
        return 0;
    copy = mem_aligned((t->n_params + 16) * sizeof *copy);
    if (copy == NULL)
        return err_set(e, ERR_NOMEM, "no memory for the model's parameters");
    memcpy(copy, t->params, t->n_params * sizeof *copy);
    t->params = copy;
    t->borrowed = 0;
    return 0;
}

void tide_free(struct tide *t)
{
    if (t == NULL)
        return;
    mem_free(t->table);
    if (!t->borrowed)
        mem_free(t->params);
    mem_free(t);
}
