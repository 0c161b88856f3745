/*
 * http_body.c - the body of a request. See http_body.h.
 */
#include "http/http_body.h"

#include <string.h>

#include "http/http_conn.h"
#include "http/http_server.h"

void http_body_begin(struct http_req *r)
{
    if (r->head.chunked) {
        http_chunk_init(&r->chunk);
        r->body_state = BODY_MORE;
    } else if (r->head.content_length > 0) {
        r->body_left = r->head.content_length;
        r->body_state = BODY_MORE;
    } else {
        r->body_state = BODY_END;
    }
}

static void tell(struct http_req *r)
{
    if (r->on_body != NULL)
        r->on_body(r, r->on_body_arg);
}

void http_body_fail(struct http_req *r, enum err_code code, int status, const char *why)
{
    if (r->body_state != BODY_MORE)
        return;
    r->body_state = BODY_FAILED;
    r->body_status = status;
    r->close_after = 1;
    err_set(&r->body_err, code, "%s", why);
    http_req_ref(r);
    tell(r);
    r->on_body = NULL;
    http_req_unref(r);
}

static int keep(struct http_req *r, const char *p, size_t n)
{
    if (r->body_at > 0 && n > r->body.max - r->body.len) { /* what was eaten is still in front */
        buf_eat(&r->body, r->body_at);
        r->body_at = 0;
    }
    if (buf_add(&r->body, p, n, NULL) != 0) {
        http_body_fail(r, ERR_NOMEM, 503, "no memory for the request body");
        return -1;
    }
    r->body_bytes += n;
    return 0;
}

size_t http_body_feed(struct http_req *r, const char *p, size_t n)
{
    size_t at = 0, had = r->body.len;

    if (!r->head.chunked) {
        at = (int64_t)n < r->body_left ? n : (size_t)r->body_left;
        if (keep(r, p, at) != 0)
            return n;
        r->body_left -= (int64_t)at;
        if (r->body_left == 0)
            r->body_state = BODY_END;
        tell(r);
        return at;
    }
    while (at < n && r->body_state == BODY_MORE) {
        const char *data;
        size_t used, n_data;
        switch (http_chunk_next(&r->chunk, p + at, n - at, &used, &data, &n_data)) {
        case HTTP_CHUNK_MORE:
            at = n;
            break;
        case HTTP_CHUNK_DATA:
            if (keep(r, data, n_data) != 0)
                return n;
            at += used;
            break;
        case HTTP_CHUNK_END:
            at += used;
            r->body_state = BODY_END;
            break;
        case HTTP_CHUNK_BAD:
            http_body_fail(r, ERR_PARSE, 400, "the chunked body is malformed");
            return n;
        }
    }
    if (r->body.len > had || r->body_state == BODY_END)
        tell(r);
    return at;
}

void http_body_watch(struct http_req *r, void (*fn)(struct http_req *r, void *arg), void *arg)
{
    struct http_conn *c = r->conn;

    r->on_body = fn;
    r->on_body_arg = arg;
    if (fn == NULL || c == NULL || r->body_state != BODY_MORE)
        return;
    c->seen_ms = uv_now(c->server->loop); /* the clock for slow bodies runs from the question */
    if (r->head.expect_continue && !r->continued && r->body_bytes == 0 && r->wire == WIRE_NONE) {
        static const char TEXT[] = "HTTP/1.1 100 Continue\r\n\r\n";
        char *p = http_conn_room(c, sizeof TEXT - 1);
        r->continued = 1;
        if (p == NULL)
            return;
        memcpy(p, TEXT, sizeof TEXT - 1);
        c->out.len += sizeof TEXT - 1;
        http_conn_mark(c);
    }
}

size_t http_body_ready(const struct http_req *r, const char **p)
{
    *p = r->body.data + r->body_at;
    return r->body.len - r->body_at;
}

void http_body_eat(struct http_req *r, size_t n)
{
    r->body_at += n;
    if (r->body_at == r->body.len) {
        r->body_at = r->body.len = 0;
        if (r->body_state != BODY_MORE)
            buf_deinit(&r->body);
    } else if (r->body_at >= HTTP_BODY_HIGH) {
        buf_eat(&r->body, r->body_at);
        r->body_at = 0;
    }
    if (r->conn != NULL && !r->conn->is_busy)
        http_conn_pace(r->conn);
}

int http_body_fits(struct http_req *r, size_t max_bytes, struct err *e)
{
    if (r->head.content_length > (int64_t)max_bytes || r->body.len - r->body_at > max_bytes)
        return err_set(e, ERR_LIMIT, "the request body is larger than %zu bytes", max_bytes);
    return 0;
}

int http_body_error(const struct http_req *r, struct err *e)
{
    *e = r->body_err;
    return -1;
}
