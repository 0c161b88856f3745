/*
 * http_conn.c - one connection. See http_conn.h. Start at on_read, then http_conn_feed.
 *
 * Anything that calls the app may end the connection: what is touched after such a call is looked
 * at again (state CONN_CLOSING). The memory stays until libuv has closed the handle.
 */
#include "http/http_conn.h"

#include <assert.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/http_body.h"
#include "http/http_reply.h"
#include "http/http_req.h"
#include "http/http_server.h"
#include "http/http_tls.h"

#define IN_HIGH (64 << 10)  /* pipelined bytes kept before the socket is left alone */
#define OUT_MAX (256 << 20) /* one answer that a script gives as a string */
#define SPARE_OUT_BYTES (32 << 10)
#define LINGER_MS 2000
#define LINGER_IDLE_MS 500

static void linger(struct http_conn *c);

/* --- output --- */

char *http_conn_room(struct http_conn *c, size_t bytes)
{
    struct http_server *s = c->server;

    if (c->out.data == NULL) {
        if (s->n_spare_out > 0)
            c->out = s->spare_out[--s->n_spare_out];
        else
            buf_init(&c->out, OUT_MAX);
    }
    return buf_room(&c->out, bytes, NULL);
}

static void drop_out(struct http_conn *c, struct buf *b)
{
    struct http_server *s = c->server;

    if (b->data == NULL)
        return;
    if (b->cap <= SPARE_OUT_BYTES && s->n_spare_out < HTTP_SPARES && !s->closing) {
        b->len = 0;
        s->spare_out[s->n_spare_out++] = *b;
        buf_init(b, OUT_MAX);
    } else {
        buf_deinit(b);
    }
}

size_t http_conn_unsent(const struct http_conn *c)
{
    return c->out.len + (c->is_writing ? c->tcp.write_queue_size : 0);
}

void http_conn_mark(struct http_conn *c)
{
    if (c->is_dirty || c->is_busy || c->state == CONN_CLOSING)
        return;
    c->is_dirty = 1;
    c->next_dirty = c->server->dirty;
    c->server->dirty = c;
}

static void sent_all(struct http_conn *c)
{
    struct http_req *r = c->req;

    if (c->close_when_sent) {
        linger(c);
        return;
    }
    if (r != NULL && r->on_room != NULL && r->wire == WIRE_BODY)
        r->on_room(r, r->on_room_arg);
}

static void on_written(uv_write_t *w, int status)
{
    struct http_conn *c = w->data;

    c->is_writing = 0;
    drop_out(c, &c->flight);
    if (c->state == CONN_CLOSING)
        return;
    if (status != 0) {
        http_conn_cut(c);
        return;
    }
    c->sent_ms = uv_now(c->server->loop);
    if (c->out.len > 0) {
        http_conn_flush(c);
        struct http_req *r = c->req;
        if (c->state != CONN_CLOSING && c->is_writing && r != NULL && r->on_room != NULL &&
            r->wire == WIRE_BODY && http_conn_unsent(c) < HTTP_BODY_HIGH)
            r->on_room(r, r->on_room_arg);
    } else {
        sent_all(c);
        http_conn_pace(c);
    }
}

void http_conn_flush(struct http_conn *c)
{
    if (c->state == CONN_CLOSING || c->is_writing)
        return;
    if (c->tls != NULL && http_tls_seal(c) != 0) {
        http_conn_cut(c);
        return;
    }
    if (c->out.len == 0) {
        drop_out(c, &c->out);
        return;
    }
    uv_buf_t b = uv_buf_init(c->out.data, (unsigned)c->out.len);
    int k = uv_try_write((uv_stream_t *)&c->tcp, &b, 1);
    if (k < 0 && k != UV_EAGAIN) {
        http_conn_cut(c);
        return;
    }
    size_t sent = k > 0 ? (size_t)k : 0;
    c->server->stat.bytes_out += c->out.len;
    c->sent_ms = uv_now(c->server->loop);
    if (sent == c->out.len) {
        drop_out(c, &c->out);
        sent_all(c);
        return;
    }
    c->flight = c->out;
    buf_init(&c->out, OUT_MAX);
    b = uv_buf_init(c->flight.data + sent, (unsigned)(c->flight.len - sent));
    c->write.data = c;
    c->is_writing = 1;
    if (uv_write(&c->write, (uv_stream_t *)&c->tcp, &b, 1, on_written) != 0) {
        c->is_writing = 0;
        http_conn_cut(c);
        return;
    }
    c->last_queue = c->tcp.write_queue_size;
}

/* --- the end --- */

static void on_closed(uv_handle_t *h)
{
    struct http_conn *c = h->data;
    struct http_server *s = c->server;

    http_tls_free(c->tls);
    buf_deinit(&c->in);
    buf_deinit(&c->out);
    buf_deinit(&c->flight);
    mem_free(c);
    s->stat.connections--;
    http_server_check_drained(s);
    http_server_unref(s);
}

void http_conn_cut(struct http_conn *c)
{
    struct http_server *s = c->server;
    struct http_req *r = c->req;

    if (c->state == CONN_CLOSING)
        return;
    c->state = CONN_CLOSING;
    if (c->is_dirty) {
        for (struct http_conn **p = &s->dirty; *p != NULL; p = &(*p)->next_dirty)
            if (*p == c) {
                *p = c->next_dirty;
                break;
            }
        c->is_dirty = 0;
    }
    if (s->sweep_next == c)
        s->sweep_next = c->next;
    if (c->prev)
        c->prev->next = c->next;
    else
        s->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    uv_close((uv_handle_t *)&c->tcp, on_closed);
    if (r != NULL) {
        c->req = NULL;
        r->conn = NULL;
        r->is_gone = 1;
        s->stat.in_flight--;
        if (r->status == 0)
            r->status = 499; /* as nginx logs a client that left */
        http_req_account(r);
        if (r->on_cut != NULL)
            r->on_cut(r->on_cut_arg);
        /* first the app: a run that is over has no one left to wake for the body */
        if (!r->is_done)
            s->app.on_gone(r, s->app.arg);
        http_body_fail(r, ERR_CANCELLED, 0, "the client is gone");
        http_req_unref(r);
    }
}

static void on_shut(uv_shutdown_t *q, int status)
{
    (void)status;
    mem_free(q);
}

/*
 * Everything is sent and the connection is to end: first our half, so that a client still sending
 * can read the answer (a close with unread input would reset it away).
 */
static void linger(struct http_conn *c)
{
    if (c->is_shut || c->state == CONN_CLOSING)
        return;
    if (c->tls != NULL)
        http_tls_goodbye(c);
    uv_shutdown_t *q = c->is_eof ? NULL : mem_alloc(sizeof *q);
    if (q == NULL || uv_shutdown(q, (uv_stream_t *)&c->tcp, on_shut) != 0) {
        mem_free(q);
        http_conn_cut(c);
        return;
    }
    c->is_shut = 1;
    c->state = CONN_LINGER;
    c->since_ms = c->seen_ms = uv_now(c->server->loop);
    buf_deinit(&c->in);
    http_conn_pace(c);
}

/* --- requests --- */

static struct http_req *begin(struct http_conn *c, const char *p, size_t n)
{
    struct http_req *r = http_req_new(c->server);

    if (r == NULL)
        return NULL;
    if (r->cap_bytes < 2 * n) { /* a decoded path is not longer than the head */
        size_t cap = 2 * n < 1024 ? 1024 : 2 * n;
        char *bytes = mem_resize(r->bytes, cap);
        if (bytes == NULL) {
            http_req_unref(r);
            return NULL;
        }
        r->bytes = bytes;
        r->cap_bytes = cap;
    }
    if (n > 0)
        memcpy(r->bytes, p, n);
    r->conn = c;
    memcpy(r->ip, c->ip, sizeof r->ip);
    r->port = c->port;
    c->req = r;
    c->state = CONN_REQUEST;
    c->n_requests++;
    c->server->stat.in_flight++;
    return r;
}

/* A head that is no request: one answer, then the end. `p` is what of it may be shown in a log. */
static void refuse(struct http_conn *c, int status, const char *why)
{
    struct http_server *s = c->server;
    struct http_req *r = begin(c, "", 0);

    s->stat.malformed++;
    if (r == NULL) {
        http_conn_cut(c);
        return;
    }
    memset(&r->head, 0, offsetof(struct http_head, fields));
    r->head.path = (struct http_text){ "", 0 };
    http_req_identify(r);
    r->is_done = 1;
    r->close_after = 1;
    http_reply_error(r, status, NULL, why);
}

static void serve(struct http_conn *c, const char *p, size_t n)
{
    struct http_server *s = c->server;
    struct http_req *r = begin(c, p, n);
    const char *why;

    if (r == NULL) {
        http_conn_cut(c);
        return;
    }
    int status = http_parse_head(r->bytes, n, r->bytes + n, &s->limits, &r->head, &why);
    if (status != 0) {
        s->stat.malformed++;
        r->head.n_fields = 0;
        r->head.path = (struct http_text){ "", 0 };
        r->head.keep_alive = 0;
        http_req_identify(r);
        r->is_done = 1;
        r->close_after = 1;
        http_reply_error(r, status, NULL, why);
        return;
    }
    http_req_identify(r);
    if (!r->head.keep_alive || s->draining ||
        (s->limits.requests_per_connection && c->n_requests >= s->limits.requests_per_connection))
        r->close_after = 1;
    http_body_begin(r);
}

static const char *head_trouble(int status)
{
    switch (status) {
    case 414: return "the request target is too long";
    case 431: return "the request head is too large";
    default: return "the request head is malformed";
    }
}

/* Uses what it can of p[0…n); how much. */
static size_t advance(struct http_conn *c, const char *p, size_t n)
{
    size_t at = 0;

    for (;;) {
        if (c->state == CONN_HEAD) {
            /* an empty line or two before a request is forgiven, RFC 9112 2.2 */
            while (!c->head_at && c->n_skipped < 2 && n - at >= 2 && p[at] == '\r' &&
                   p[at + 1] == '\n') {
                at += 2;
                c->n_skipped++;
            }
            if (at == n || (!c->head_at && c->n_skipped < 2 && n - at == 1 && p[at] == '\r'))
                return at;
            int len = http_parse_end(p + at, n - at, &c->head_at, &c->server->limits);
            if (len == 0) {
                if (!c->has_head_bytes) {
                    c->has_head_bytes = 1;
                    c->since_ms = uv_now(c->server->loop);
                }
                return at;
            }
            c->head_at = 0;
            c->has_head_bytes = 0;
            c->n_skipped = 0;
            if (len < 0) {
                refuse(c, -len, head_trouble(-len));
                return n;
            }
            serve(c, p + at, (size_t)len);
            at += (size_t)len;
            struct http_req *r = c->req;
            if (c->state != CONN_REQUEST || r == NULL || r->is_done)
                continue;
            /* what of the body is here already comes first: most bodies never wait */
            http_req_ref(r);
            http_req_ref(r);
            if (r->body_state == BODY_MORE)
                at += http_body_feed(r, p + at, n - at);
            if (r->body_state == BODY_FAILED) {
                r->close_after = 1;
                http_req_done(r); /* answers with what the body deserves */
            } else {
                c->server->app.on_request(r, c->server->app.arg);
            }
            http_req_unref(r);
        } else if (c->state == CONN_REQUEST) {
            struct http_req *r = c->req;
            if (r == NULL)
                return n; /* answered, and the last one: the rest is not for us */
            if (r->body_state != BODY_MORE || at == n)
                return at;
            http_req_ref(r);
            at += http_body_feed(r, p + at, n - at);
            http_req_unref(r);
        } else {
            return n;
        }
    }
}

void http_conn_feed(struct http_conn *c, const char *p, size_t n)
{
    struct http_server *s = c->server;

    c->is_busy = 1;
    if (c->in.len > 0) {
        if (n > 0 && buf_add(&c->in, p, n, NULL) != 0) {
            c->is_busy = 0;
            http_conn_cut(c);
            return;
        }
        size_t used = advance(c, c->in.data, c->in.len);
        buf_eat(&c->in, used < c->in.len ? used : c->in.len);
    } else if (n > 0) {
        size_t used = advance(c, p, n);
        if (used < n && c->state != CONN_CLOSING) {
            c->in.max = (size_t)s->limits.header_bytes + IN_HIGH + 2 * HTTP_READ_BYTES;
            if (buf_add(&c->in, p + used, n - used, NULL) != 0) {
                c->is_busy = 0;
                http_conn_cut(c);
                return;
            }
        }
    }
    c->is_busy = 0;
    if (c->in.len == 0)
        buf_deinit(&c->in);
    http_conn_flush(c);
    http_conn_pace(c);
}

void http_conn_answered(struct http_conn *c)
{
    struct http_req *r = c->req;
    struct http_server *s = c->server;

    c->req = NULL;
    r->conn = NULL;
    r->wire = WIRE_DONE;
    s->stat.in_flight--;
    http_req_account(r);
    if (r->close_after || r->body_state == BODY_MORE || r->body_state == BODY_FAILED) {
        c->close_when_sent = 1;
    } else {
        c->state = CONN_HEAD;
        c->since_ms = uv_now(s->loop);
    }
    http_body_fail(r, ERR_CANCELLED, 0, "the request is answered");
    http_req_unref(r);
    if (c->is_busy) /* called from advance: it goes on by itself */
        return;
    if (c->in.len > 0)
        http_conn_feed(c, NULL, 0);
    else
        http_conn_mark(c);
}

/* --- reading --- */

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *b)
{
    struct http_conn *c = h->data;

    (void)hint;
    *b = uv_buf_init(c->server->read_buf, HTTP_READ_BYTES);
}

static void on_read(uv_stream_t *h, ssize_t n, const uv_buf_t *b)
{
    struct http_conn *c = h->data;

    if (n == 0 || c->state == CONN_CLOSING)
        return;
    if (n < 0) {
        c->is_eof = 1;
        /* answers to earlier requests may still be on their way out */
        if (n == UV_EOF && c->req == NULL && http_conn_unsent(c) > 0 && !c->is_shut) {
            c->close_when_sent = 1;
            http_conn_pace(c);
        } else {
            http_conn_cut(c);
        }
        return;
    }
    c->seen_ms = uv_now(c->server->loop);
    if (c->tls != NULL) {
        if (http_tls_open_sealed(c, b->base, (size_t)n) != 0)
            http_conn_cut(c);
    } else if (c->state != CONN_LINGER) {
        http_conn_feed(c, b->base, (size_t)n);
    }
}

void http_conn_pace(struct http_conn *c)
{
    struct http_req *r = c->req;

    if (c->state == CONN_CLOSING)
        return;
    int want = !c->is_eof && c->in.len < IN_HIGH &&
               !(r != NULL && r->body.len - r->body_at >= HTTP_BODY_HIGH) &&
               !(c->is_writing && c->flight.len + c->out.len > 4 * HTTP_BODY_HIGH && r == NULL);
    if (want == c->is_reading)
        return;
    c->is_reading = (uint8_t)want;
    if (want && uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0)
        http_conn_cut(c);
    else if (!want)
        uv_read_stop((uv_stream_t *)&c->tcp);
}

void http_conn_start(struct http_conn *c)
{
    c->since_ms = c->seen_ms = c->sent_ms = uv_now(c->server->loop);
    c->state = CONN_HEAD;
    http_conn_pace(c);
}

/* --- the clock --- */

static void tick_body(struct http_conn *c, struct http_req *r, uint64_t now, uint64_t passed)
{
    const struct http_limits *l = &c->server->limits;

    r->body_clock_ms += passed;
    uint64_t got = r->body_bytes - r->body_clock_bytes;
    int slow = l->body_min_rate && r->body_clock_ms > l->header_timeout_ms &&
               got * 1000 < (uint64_t)l->body_min_rate * r->body_clock_ms;
    if (slow || now - c->seen_ms > l->body_idle_ms) {
        http_body_fail(r, ERR_TIMEOUT, 408, "the request body came too slowly");
        http_conn_pace(c);
    }
}

void http_conn_tick(struct http_conn *c, uint64_t now, uint64_t passed)
{
    const struct http_limits *l = &c->server->limits;
    struct http_req *r = c->req;

    if (c->is_writing) {
        if (c->tcp.write_queue_size != c->last_queue) {
            c->last_queue = c->tcp.write_queue_size;
            c->sent_ms = now;
        } else if (now - c->sent_ms > l->write_idle_ms) {
            http_conn_cut(c);
            return;
        }
    }
    switch (c->state) {
    case CONN_HEAD:
        if (c->tls != NULL && !http_tls_is_ready(c->tls)) {
            if (now - c->since_ms > l->header_timeout_ms)
                http_conn_cut(c);
        } else if (c->has_head_bytes && now - c->since_ms > l->header_timeout_ms) {
            c->has_head_bytes = 0;
            refuse(c, 408, "the request head came too slowly");
            http_conn_flush(c);
        } else if (!c->has_head_bytes && !c->is_writing) {
            uint64_t idle = now - c->since_ms;
            /* a keep-alive client may be sending right now: on drain give it a moment */
            if (idle > l->keepalive_ms || (c->server->draining && idle > 200))
                http_conn_cut(c);
        }
        break;
    case CONN_REQUEST:
        if (r != NULL && r->body_state == BODY_MORE && r->on_body != NULL && c->is_reading)
            tick_body(c, r, now, passed);
        break;
    case CONN_LINGER:
        if (now - c->since_ms > LINGER_MS || now - c->seen_ms > LINGER_IDLE_MS)
            http_conn_cut(c);
        break;
    case CONN_CLOSING:
        break;
    }
}
