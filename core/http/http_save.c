/*
 * http_save.c - a body into a file: joins http_body to http_sink. See http_save.h.
 */
#include "http/http_save.h"

#include "base/mem.h"
#include "http/http_body.h"
#include "http/http_server.h"

struct http_save {
    struct http_req *r;
    struct http_sink *sink;
    uint64_t left; /* bytes still allowed */
    uint8_t ended;
    void (*done)(const struct http_save_end *end, void *arg);
    void *arg;
};

void http_save_cancel(struct http_save *s)
{
    struct http_req *r = s->r;

    if (r->on_body_arg == s)
        http_body_watch(r, NULL, NULL);
    http_sink_free(s->sink);
    mem_free(s);
    http_req_unref(r);
}

static void finish(struct http_save *s, const struct http_save_end *end)
{
    void (*done)(const struct http_save_end *, void *) = s->done;
    void *arg = s->arg;

    http_save_cancel(s);
    done(end, arg);
}

static void fail(struct http_save *s, const struct err *e)
{
    struct http_save_end end = { .failed = 1, .err = *e };

    finish(s, &end);
}

/* Moves what can be moved. 0, or -1 with `e`. */
static int pump(struct http_save *s, struct err *e)
{
    struct http_req *r = s->r;
    const char *p;
    size_t n, k;

    while ((n = http_body_ready(r, &p)) > 0) {
        if (n > s->left)
            return err_set(e, ERR_LIMIT, "the request body is larger than allowed");
        k = http_sink_put(s->sink, p, n);
        s->left -= k;
        http_body_eat(r, k);
        if (k < n)
            break; /* on_ready goes on */
    }
    if (http_sink_state(s->sink, e) < 0)
        return -1;
    if (r->body_state == BODY_FAILED)
        return http_body_error(r, e);
    if (r->body_state == BODY_END && http_body_ready(r, &p) == 0 && !s->ended) {
        s->ended = 1;
        http_sink_end(s->sink);
    }
    return http_sink_state(s->sink, e) < 0 ? -1 : 0;
}

static void on_body(struct http_req *r, void *arg)
{
    struct http_save *s = arg;
    struct err e;

    (void)r;
    if (pump(s, &e) != 0)
        fail(s, &e);
}

static void on_ready(void *arg)
{
    struct http_save *s = arg;
    struct http_save_end end = { 0 };

    int state = http_sink_state(s->sink, &end.err);
    if (state > 0) {
        http_sink_take(s->sink, &end.bytes, end.hash);
        finish(s, &end);
    } else if (state < 0 || pump(s, &end.err) != 0) {
        end.failed = 1;
        finish(s, &end);
    }
}

struct http_save *http_save_start(struct http_req *r, const char *path, uint64_t max_bytes,
                                  void (*done)(const struct http_save_end *end, void *arg),
                                  void *arg, struct err *e)
{
    if (r->head.content_length > 0 && (uint64_t)r->head.content_length > max_bytes) {
        err_set(e, ERR_LIMIT, "the request body is larger than allowed");
        return NULL;
    }
    struct http_save *s = mem_zero(1, sizeof *s);
    if (s == NULL || (s->sink = http_sink_new(r->server->loop, path, on_ready, s)) == NULL) {
        mem_free(s);
        err_set(e, ERR_NOMEM, "no memory to save %s", path);
        return NULL;
    }
    s->r = r;
    s->left = max_bytes;
    s->done = done;
    s->arg = arg;
    http_req_ref(r);
    http_body_watch(r, on_body, s);
    if (pump(s, e) != 0) {
        http_save_cancel(s);
        return NULL;
    }
    return s;
}
