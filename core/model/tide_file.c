/*
 * tide_file.c - a TiDE in a model file, and the state of its training. See tide_file.h.
 */
#include "model/tide_file.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "base/mem.h"
#include "model/tide_fit.h"

#define CONFIG_MAX 16384
#define FIT_SECTIONS 6

#define MEMBER(name, field, kind) {name, offsetof(struct tide_conf, field), kind}
const struct tide_member tide_members[] = {
    MEMBER("input_chunk", input_chunk, 'i'),
    MEMBER("output_chunk", output_chunk, 'i'),
    MEMBER("n_targets", n_targets, 'i'),
    MEMBER("past_cov", past_cov, 'i'),
    MEMBER("future_cov", future_cov, 'i'),
    MEMBER("static_cov", static_cov, 'i'),
    MEMBER("num_encoder_layers", n_enc, 'i'),
    MEMBER("num_decoder_layers", n_dec, 'i'),
    MEMBER("decoder_output_dim", decoder_out, 'i'),
    MEMBER("hidden_size", hidden, 'i'),
    MEMBER("temporal_width_past", temporal_width_past, 'i'),
    MEMBER("temporal_width_future", temporal_width_future, 'i'),
    MEMBER("temporal_hidden_size_past", temporal_hidden_past, 'i'),
    MEMBER("temporal_hidden_size_future", temporal_hidden_future, 'i'),
    MEMBER("temporal_decoder_hidden", temporal_decoder_hidden, 'i'),
    MEMBER("use_layer_norm", layer_norm, 'b'),
    MEMBER("use_layer_norm_temporal", layer_norm_temporal, 'b'),
    MEMBER("use_reversible_instance_norm", rin, 'b'),
    MEMBER("rin_affine", rin_affine, 'b'),
    MEMBER("rin_eps", rin_eps, 'd'),
    MEMBER("dropout", dropout, 'd'),
    MEMBER("huber_delta", loss.delta, 'd'),
    {NULL, 0, 0},
};

static const char *const LOSSES[LOSS_COUNT] = {"mse", "mae", "huber", "pinball"};

static int *int_at(const struct tide_conf *c, const struct tide_member *m)
{
    return (int *)((char *)c + m->at);
}

static double *double_at(const struct tide_conf *c, const struct tide_member *m)
{
    return (double *)((char *)c + m->at);
}

int tide_conf_write(struct buf *out, const struct tide_conf *c, struct err *e)
{
    const struct loss_conf *l = &c->loss;

    if (buf_addc(out, '{', e) != 0)
        return -1;
    for (const struct tide_member *m = tide_members; m->name != NULL; m++)
        if ((m->kind == 'd' ? buf_addf(out, e, "\"%s\":%.17g,", m->name, *double_at(c, m))
                            : buf_addf(out, e, "\"%s\":%d,", m->name, *int_at(c, m))) != 0)
            return -1;
    if (buf_addf(out, e, "\"loss\":\"%s\",\"quantiles\":[", LOSSES[l->kind]) != 0)
        return -1;
    for (int i = 0; i < l->n_quantiles; i++)
        if (buf_addf(out, e, "%s%.17g", i > 0 ? "," : "", l->quantiles[i]) != 0)
            return -1;
    if (buf_adds(out, "],\"quantile_weights\":[", e) != 0)
        return -1;
    for (int i = 0; i < l->n_quantiles; i++)
        if (buf_addf(out, e, "%s%.17g", i > 0 ? "," : "", l->q_weight[i]) != 0)
            return -1;
    return buf_adds(out, "]}", e);
}

static int read_list(double *out, int *n, const cJSON *list)
{
    const cJSON *v;

    *n = 0;
    if (!cJSON_IsArray(list))
        return -1;
    cJSON_ArrayForEach(v, list)
    {
        if (*n == LOSS_QUANTILES || !cJSON_IsNumber(v))
            return -1;
        out[(*n)++] = v->valuedouble;
    }
    return 0;
}

int tide_conf_parse(struct tide_conf *c, const char *text, size_t bytes, struct err *e)
{
    cJSON *root = bytes <= CONFIG_MAX ? cJSON_ParseWithLength(text, bytes) : NULL;
    const cJSON *loss;
    int rc = -1, n_weights;

    memset(c, 0, sizeof *c);
    if (!cJSON_IsObject(root)) {
        err_set(e, ERR_CORRUPT, "the model's configuration is not a JSON object");
        goto done;
    }
    for (const struct tide_member *m = tide_members; m->name != NULL; m++) {
        const cJSON *v = cJSON_GetObjectItemCaseSensitive(root, m->name);
        if (!cJSON_IsNumber(v) || (m->kind != 'd' && (v->valuedouble < -1e9 ||
                                                      v->valuedouble > 1e9))) {
            err_set(e, ERR_CORRUPT, "the model's configuration lacks %s", m->name);
            goto done;
        }
        if (m->kind == 'd')
            *double_at(c, m) = v->valuedouble;
        else
            *int_at(c, m) = m->kind == 'b' ? v->valuedouble != 0 : (int)v->valuedouble;
    }
    loss = cJSON_GetObjectItemCaseSensitive(root, "loss");
    int kind = cJSON_IsString(loss) ? loss_kind_of(loss->valuestring) : -1;
    if (kind < 0 ||
        read_list(c->loss.quantiles, &c->loss.n_quantiles,
                  cJSON_GetObjectItemCaseSensitive(root, "quantiles")) != 0 ||
        read_list(c->loss.q_weight, &n_weights,
                  cJSON_GetObjectItemCaseSensitive(root, "quantile_weights")) != 0 ||
        n_weights != c->loss.n_quantiles) {
        err_set(e, ERR_CORRUPT, "the loss in the model's configuration is damaged");
        goto done;
    }
    c->loss.kind = (enum loss_kind)kind;
    rc = tide_conf_check(c, e);
done:
    cJSON_Delete(root);
    return rc;
}

static void section(struct model_section *s, const char *name, const void *data, size_t bytes)
{
    memset(s->name, 0, sizeof s->name);
    memcpy(s->name, name, strnlen(name, MODEL_FILE_NAME - 1));
    s->data = data;
    s->bytes = bytes;
}

int tide_save(const struct tide *t, const char *path, const char *meta, size_t meta_bytes,
              struct err *e)
{
    struct model_section s[3];
    struct buf conf;
    int rc;

    buf_init(&conf, CONFIG_MAX);
    rc = tide_conf_write(&conf, &t->conf, e);
    if (rc == 0) {
        section(&s[0], "config", conf.data, conf.len);
        section(&s[1], "params", t->params, t->n_params * sizeof(float));
        section(&s[2], "meta", meta != NULL ? meta : "", meta != NULL ? meta_bytes : 0);
        rc = model_file_save(path, s, 3, e);
    }
    buf_deinit(&conf);
    return rc;
}

int tide_open(struct tide **out, const struct model_file *file, struct err *e)
{
    const struct model_section *conf = model_file_find(file, "config");
    const struct model_section *params = model_file_find(file, "params");
    struct tide_conf c;

    *out = NULL;
    if (conf == NULL || params == NULL)
        return err_set(e, ERR_CORRUPT, "this file holds no model of this kind");
    if (tide_conf_parse(&c, conf->data, conf->bytes, e) != 0)
        return -1;
    return tide_wrap(out, &c, params->data, params->bytes / sizeof(float), e);
}

/* --- checkpoints --- */

int tide_fit_save(const struct tide_fit *f, const char *path, struct err *e)
{
    struct model_section s[3 + FIT_SECTIONS];
    struct tide_fit_state state = f->s;
    size_t bytes = f->t->n_params * sizeof(float);
    struct buf conf;
    int rc;

    state.optim_step = f->optim.step;
    buf_init(&conf, CONFIG_MAX);
    rc = tide_conf_write(&conf, &f->t->conf, e);
    if (rc == 0) {
        section(&s[0], "config", conf.data, conf.len);
        section(&s[1], "params", f->t->params, bytes);
        section(&s[2], "meta", "", 0);
        section(&s[3], "fit", &state, sizeof state);
        section(&s[4], "best", f->best, bytes);
        section(&s[5], "average", f->avg, bytes);
        section(&s[6], "optimizer", f->optim.m, bytes * (f->optim.vmax != NULL ? 3 : 2));
        section(&s[7], "first", f->first, bytes);
        rc = model_file_save(path, s, f->first != NULL ? 8 : 7, e);
    }
    buf_deinit(&conf);
    return rc;
}

static int take(const struct model_file *file, const char *name, void *to, size_t bytes,
                struct err *e)
{
    const struct model_section *s = model_file_find(file, name);

    if (s == NULL || s->bytes != bytes)
        return err_set(e, ERR_SHAPE, "the checkpoint's \"%s\" does not fit this model", name);
    memcpy(to, s->data, bytes);
    return 0;
}

int tide_fit_load(struct tide_fit *f, const char *path, struct err *e)
{
    size_t bytes = f->t->n_params * sizeof(float);
    struct model_file file;
    struct tide_fit_state s;
    struct buf conf;
    const struct model_section *c;
    int rc = -1;

    if (model_file_open(&file, path, e) != 0)
        return -1;
    buf_init(&conf, CONFIG_MAX);
    c = model_file_find(&file, "config");
    if (tide_conf_write(&conf, &f->t->conf, e) != 0)
        goto done;
    if (c == NULL || c->bytes != conf.len || memcmp(c->data, conf.data, conf.len) != 0) {
        err_set(e, ERR_SHAPE, "%s was made by a model of another configuration", path);
        goto done;
    }
    if (take(&file, "fit", &s, sizeof s, e) != 0)
        goto done;
    if (s.phase < 1 || s.phase > 2 || s.epoch < 0 || s.at < 0 || s.at > s.n_batches ||
        s.epochs < 1 || s.epoch > s.epochs || s.best_epoch < 0) {
        err_set(e, ERR_CORRUPT, "the checkpoint's state makes no sense");
        goto done;
    }
    if (tide_fit_set_phase(f, s.phase, e) != 0)
        goto done;
    if (f->s.n_batches != s.n_batches) {
        err_set(e, ERR_SHAPE, "the checkpoint was made on data of %d batches, these give %d",
                (int)s.n_batches, (int)f->s.n_batches);
        goto done;
    }
    if (take(&file, "params", f->t->params, bytes, e) != 0 ||
        take(&file, "best", f->best, bytes, e) != 0 ||
        take(&file, "average", f->avg, bytes, e) != 0 ||
        (f->first != NULL && take(&file, "first", f->first, bytes, e) != 0) ||
        take(&file, "optimizer", f->optim.m, bytes * (f->optim.vmax != NULL ? 3 : 2), e) != 0)
        goto done;
    f->s = s;
    memset(f->optim.idle, 0, ((f->optim.n + OPTIM_CHUNK - 1) / OPTIM_CHUNK));
    f->optim.step = s.optim_step;
    tide_work_stale(f->work);
    rc = 0;
done:
    buf_deinit(&conf);
    model_file_close(&file);
    return rc;
}
