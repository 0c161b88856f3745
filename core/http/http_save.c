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
    uint8_t ended, is_failing;
    struct http_save_end end;
    void (*done)(const struct http_save_end *end, void *arg);
    void *arg;
};

static void stop(struct http_save *s)
{
    if (s->r->on_body_arg == s)
        http_body_watch(s->r, NULL, NULL);
}

void http_save_cancel(struct http_save *s)
{
    stop(s);
    s->done = NULL;
    if (s->is_failing) /* on_gone ends it */
        return;
    http_sink_free(s->sink);
    http_req_unref(s->r);
    mem_free(s);
}

static void on_gone(void *arg)
{
    struct http_save *s = arg;
    void (*done)(const struct http_save_end *, void *) = s->done;
    struct http_save_end end = s->end;
    void *done_arg = s->arg;

    http_req_unref(s->r);
    mem_free(s);
    if (done != NULL)
        done(&end, done_arg);
}

/* Says so when no part of the file is left. */
static void fail(struct http_save *s, const struct err *e)
{
    stop(s);
    s->is_failing = 1;
    s->end = (struct http_save_end){ .failed = 1, .err = *e };
    http_sink_free_then(s->sink, on_gone, s);
}

static void succeed(struct http_save *s)
{
    stop(s);
    http_sink_take(s->sink, &s->end.bytes, s->end.hash);
    http_sink_free_then(s->sink, on_gone, s);
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
    struct err e;

    int state = http_sink_state(s->sink, &e);
    if (state > 0)
        succeed(s);
    else if (state < 0 || pump(s, &e) != 0)
        fail(s, &e);
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
