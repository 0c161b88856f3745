/*
 * http_form.c - a multipart body. See http_form.h. Start at http_form_start, then pump.
 *
 * One sink at a time: the next part waits until the file before it is written.
 */
#include "http/http_form.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/mem.h"
#include "http/http_body.h"
#include "http/http_server.h"

static void stop_reading(struct http_form *f)
{
    struct http_req *r = f->r;

    f->r = NULL;
    http_sink_free(f->sink);
    f->sink = NULL;
    mem_free(f->m);
    f->m = NULL;
    mem_free(f->dir);
    f->dir = NULL;
    if (r == NULL)
        return;
    if (r->on_body_arg == f)
        http_body_watch(r, NULL, NULL);
    http_req_unref(r);
}

void http_form_free(struct http_form *f)
{
    if (f == NULL)
        return;
    stop_reading(f);
    for (unsigned i = 0; i < f->n_parts; i++) {
        struct http_form_part *p = &f->parts[i];
        if (p->path != NULL && p->hash[0] && !p->is_kept)
            unlink(p->path);
        mem_free(p->name);
        mem_free(p->type);
        mem_free(p->filename);
        mem_free(p->path);
        buf_deinit(&p->value);
    }
    mem_free(f->parts);
    mem_free(f);
}

static void finish(struct http_form *f, int failed, const struct err *e)
{
    f->is_done = 1;
    stop_reading(f);
    f->done(f, failed, e, f->arg);
}

static void on_ready(void *arg);

static char *make_path(const char *dir)
{
    static const char HEX[] = "0123456789abcdef";
    unsigned char random[16];
    size_t n = strlen(dir);
    char *path = mem_alloc(n + 1 + 32 + 7 + 1);

    if (path == NULL || getrandom(random, sizeof random, 0) != sizeof random) {
        mem_free(path);
        return NULL;
    }
    memcpy(path, dir, n);
    path[n++] = '/';
    for (size_t i = 0; i < sizeof random; i++) {
        path[n++] = HEX[random[i] >> 4];
        path[n++] = HEX[random[i] & 15];
    }
    memcpy(path + n, ".upload", 8);
    return path;
}

static int begin_part(struct http_form *f, struct err *e)
{
    struct http_multipart *m = f->m;

    if (f->n_parts == f->limits.parts_max)
        return err_set(e, ERR_LIMIT, "the form has more than %u parts", f->limits.parts_max);
    void *grown = mem_resize(f->parts, (f->n_parts + 1) * sizeof *f->parts);
    if (grown == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a form");
    f->parts = grown;
    struct http_form_part *p = &f->parts[f->n_parts++];
    memset(p, 0, sizeof *p);
    buf_init(&p->value, f->limits.value_max);
    p->name = mem_dup(m->name);
    p->type = m->type[0] ? mem_dup(m->type) : NULL;
    f->part_ended = 0;
    if (p->name == NULL || (m->type[0] && p->type == NULL))
        return err_set(e, ERR_NOMEM, "no memory for a form");
    if (!m->has_filename)
        return 0;
    p->filename = mem_dup(m->filename);
    p->path = make_path(f->dir);
    if (p->filename == NULL || p->path == NULL ||
        (f->sink = http_sink_new(f->r->server->loop, p->path, on_ready, f)) == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a form");
    return 0;
}

/* Takes data of the part at hand; how much, less when the disk does not keep up. -1 with `e`. */
static long take(struct http_form *f, const char *data, size_t n, struct err *e)
{
    struct http_form_part *p = &f->parts[f->n_parts - 1];

    if (p->path == NULL) {
        if (buf_add(&p->value, data, n, e) != 0)
            return e->code == ERR_LIMIT
                       ? err_set(e, ERR_LIMIT, "the value of \"%s\" is larger than %zu bytes",
                                 p->name, f->limits.value_max)
                       : -1;
        return (long)n;
    }
    if (n > f->limits.part_max - p->bytes)
        return err_set(e, ERR_LIMIT, "the file in \"%s\" is larger than %llu bytes", p->name,
                       (unsigned long long)f->limits.part_max);
    size_t k = http_sink_put(f->sink, data, n);
    p->bytes += k;
    return http_sink_state(f->sink, e) < 0 ? -1 : (long)k;
}

/* The file of the last part, if there is one, is written: 1; not yet: 0; failed: -1. */
static int settle(struct http_form *f, struct err *e)
{
    if (f->sink == NULL)
        return 1;
    int state = http_sink_state(f->sink, e);
    if (state > 0) {
        struct http_form_part *p = &f->parts[f->n_parts - 1];
        http_sink_take(f->sink, &p->bytes, p->hash);
        http_sink_free(f->sink);
        f->sink = NULL;
    }
    return state;
}

/*
 * Uses what is at hand. 1: the form is complete; 0: more must come; -1 with `e`.
 * Data that was found but not taken stays in the body and is found again. What the tokeniser gives
 * out of its own delimiter cannot stay, so there is always room for that much.
 */
static int pump(struct http_form *f, struct err *e)
{
    struct http_req *r = f->r;
    const char *p, *data;
    size_t n, used, n_data;

    for (;;) {
        if (f->part_ended || f->is_over) {
            int state = settle(f, e);
            if (state <= 0)
                return state;
            f->part_ended = 0;
        }
        n = http_body_ready(r, &p);
        if (f->is_over) { /* an epilogue may follow; it is for nobody */
            f->total += n;
            if (f->total > f->limits.total_max)
                return err_set(e, ERR_LIMIT, "the form is larger than allowed");
            http_body_eat(r, n);
            return r->body_state == BODY_FAILED ? http_body_error(r, e) : r->body_state == BODY_END;
        }
        if (n == 0)
            break;
        if (f->sink != NULL && http_sink_room(f->sink) < sizeof f->m->delim)
            return 0; /* on_ready goes on */
        enum http_multipart_got got = http_multipart_next(f->m, p, n, &used, &data, &n_data);
        if (got == HTTP_MULTIPART_DATA) {
            long k = take(f, data, n_data, e);
            if (k < 0)
                return -1;
            if ((size_t)k < n_data && data >= p && data < p + n) {
                used = (size_t)(data - p) + (size_t)k;
                f->total += used;
                http_body_eat(r, used);
                return 0; /* on_ready goes on */
            }
        }
        f->total += used;
        if (f->total > f->limits.total_max)
            return err_set(e, ERR_LIMIT, "the form is larger than %llu bytes",
                           (unsigned long long)f->limits.total_max);
        http_body_eat(r, used);
        if (got == HTTP_MULTIPART_BAD)
            return err_set(e, ERR_PARSE, "%s", f->m->why);
        if (got == HTTP_MULTIPART_PART && begin_part(f, e) != 0)
            return -1;
        if (got == HTTP_MULTIPART_PART_END) {
            struct http_form_part *part = &f->parts[f->n_parts - 1];
            f->part_ended = 1;
            if (f->sink != NULL)
                http_sink_end(f->sink);
            else
                part->bytes = part->value.len;
        }
        if (got == HTTP_MULTIPART_END)
            f->is_over = 1;
    }
    if (f->sink != NULL && http_sink_state(f->sink, e) < 0)
        return -1;
    if (r->body_state == BODY_FAILED)
        return http_body_error(r, e);
    if (r->body_state == BODY_END)
        return err_set(e, ERR_PARSE, "the multipart body ends in the middle");
    return 0;
}

static void go_on(struct http_form *f)
{
    struct err e;

    if (f->in_pump || f->is_done)
        return;
    f->in_pump = 1;
    int k = pump(f, &e);
    f->in_pump = 0;
    if (k != 0)
        finish(f, k < 0, &e);
}

static void on_body(struct http_req *r, void *arg)
{
    (void)r;
    go_on(arg);
}

static void on_ready(void *arg)
{
    go_on(arg);
}

struct http_form *http_form_start(struct http_req *r, const struct http_form_limits *l,
                                  void (*done)(struct http_form *f, int failed,
                                               const struct err *e, void *arg),
                                  void *arg, struct err *e)
{
    int i = http_parse_find(&r->head, "content-type", 12, 0);

    if (r->head.content_length > 0 && (uint64_t)r->head.content_length > l->total_max) {
        err_set(e, ERR_LIMIT, "the form is larger than %llu bytes",
                (unsigned long long)l->total_max);
        return NULL;
    }
    struct http_form *f = mem_zero(1, sizeof *f);
    if (f == NULL || (f->m = mem_alloc(sizeof *f->m)) == NULL ||
        (f->dir = mem_dup(l->dir)) == NULL) {
        err_set(e, ERR_NOMEM, "no memory for a form");
        goto fail;
    }
    if (http_multipart_init(f->m, i < 0 ? "" : r->head.fields[i].value,
                            i < 0 ? 0 : r->head.fields[i].n_value, e) != 0)
        goto fail;
    f->limits = *l;
    f->limits.dir = NULL;
    f->done = done;
    f->arg = arg;
    f->r = r;
    http_req_ref(r);
    http_body_watch(r, on_body, f);
    f->in_pump = 1;
    int k = pump(f, e);
    f->in_pump = 0;
    if (k < 0)
        goto fail;
    if (k > 0) {
        f->is_done = 1;
        stop_reading(f);
    }
    return f;
fail:
    http_form_free(f);
    return NULL;
}
