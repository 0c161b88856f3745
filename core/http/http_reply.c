/*
 * http_reply.c - the answer. See http_reply.h. The hot path copies ready-made parts into one block.
 */
#include "http/http_reply.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "http/http_conn.h"
#include "http/http_date.h"
#include "http/http_gzip.h"
#include "http/http_server.h"
#include "http/http_text.h"

#define HEAD_ROOM 512 /* status line, Date, X-Request-Id and what is added at the end */
#define SCRATCH_KEEP (256 << 10)

static const struct {
    int status;
    const char *reason;
} REASONS[] = {
    { 200, "OK" }, { 201, "Created" }, { 202, "Accepted" },
    { 203, "Non-Authoritative Information" }, { 204, "No Content" }, { 205, "Reset Content" },
    { 206, "Partial Content" }, { 300, "Multiple Choices" }, { 301, "Moved Permanently" },
    { 302, "Found" }, { 303, "See Other" }, { 304, "Not Modified" },
    { 307, "Temporary Redirect" }, { 308, "Permanent Redirect" }, { 400, "Bad Request" },
    { 401, "Unauthorized" }, { 402, "Payment Required" }, { 403, "Forbidden" },
    { 404, "Not Found" }, { 405, "Method Not Allowed" }, { 406, "Not Acceptable" },
    { 408, "Request Timeout" }, { 409, "Conflict" }, { 410, "Gone" }, { 411, "Length Required" },
    { 412, "Precondition Failed" }, { 413, "Content Too Large" }, { 414, "URI Too Long" },
    { 415, "Unsupported Media Type" }, { 416, "Range Not Satisfiable" },
    { 417, "Expectation Failed" }, { 421, "Misdirected Request" },
    { 422, "Unprocessable Content" }, { 423, "Locked" }, { 424, "Failed Dependency" },
    { 425, "Too Early" }, { 426, "Upgrade Required" }, { 428, "Precondition Required" },
    { 429, "Too Many Requests" }, { 431, "Request Header Fields Too Large" },
    { 451, "Unavailable For Legal Reasons" }, { 500, "Internal Server Error" },
    { 501, "Not Implemented" }, { 502, "Bad Gateway" }, { 503, "Service Unavailable" },
    { 504, "Gateway Timeout" }, { 505, "HTTP Version Not Supported" },
    { 507, "Insufficient Storage" }, { 508, "Loop Detected" },
    { 511, "Network Authentication Required" },
};

const char *http_reply_reason(int status)
{
    for (size_t i = 0; i < sizeof REASONS / sizeof *REASONS; i++)
        if (REASONS[i].status == status)
            return REASONS[i].reason;
    return "";
}

static void said(struct http_conn *c, const char *end)
{
    c->out.len = (size_t)(end - c->out.data);
}

int http_reply_over(const struct http_req *r, struct err *e)
{
    if (r->is_gone)
        return err_set(e, ERR_CANCELLED, "the client is gone");
    return err_set(e, ERR_INVALID, "the request is answered already");
}

int http_reply_start(struct http_req *r, int status, struct err *e)
{
    struct http_conn *c = r->conn;

    if (c == NULL)
        return http_reply_over(r, e);
    if (r->wire != WIRE_NONE)
        return err_set(e, ERR_INVALID, "the answer has begun already");
    if (status < 200 || status > 599)
        return err_set(e, ERR_INVALID, "status %d is not between 200 and 599", status);
    char *p = http_conn_room(c, HEAD_ROOM);
    if (p == NULL)
        return err_set(e, ERR_NOMEM, "no memory for an answer");
    r->answer = (struct http_answer){ .mark = c->out.len };
    r->status = status;
    if (status == 200) {
        p = HTTP_TEXT_PUT(p, "HTTP/1.1 200 OK\r\nDate: ");
    } else {
        const char *reason = http_reply_reason(status);
        p = HTTP_TEXT_PUT(p, "HTTP/1.1 ");
        p = http_text_number(p, (uint64_t)status);
        *p++ = ' ';
        p = http_text_put(p, reason, strlen(reason));
        p = HTTP_TEXT_PUT(p, "\r\nDate: ");
    }
    p = http_text_put(p, http_date_now(), HTTP_DATE_BYTES);
    p = HTTP_TEXT_PUT(p, "\r\nX-Request-Id: ");
    p = http_text_put(p, r->id, r->n_id);
    p = HTTP_TEXT_PUT(p, "\r\n");
    said(c, p);
    r->wire = WIRE_HEAD;
    return 0;
}

int http_reply_restatus(struct http_req *r, int status)
{
    struct http_conn *c = r->conn;
    size_t old = strlen(http_reply_reason(r->status)), n = strlen(http_reply_reason(status));

    assert(r->wire == WIRE_HEAD);
    if (http_conn_room(c, HEAD_ROOM) == NULL)
        return -1;
    char *at = c->out.data + r->answer.mark + 9; /* behind "HTTP/1.1 " */
    memmove(at + 4 + n, at + 4 + old, c->out.len - r->answer.mark - 9 - 4 - old);
    http_text_number(at, (uint64_t)status);
    memcpy(at + 4, http_reply_reason(status), n);
    c->out.len = c->out.len - old + n;
    if (r->answer.etag_at)
        r->answer.etag_at = r->answer.etag_at - old + n;
    r->status = status;
    return 0;
}

void http_reply_undo(struct http_req *r)
{
    if (r->conn == NULL || r->wire != WIRE_HEAD)
        return;
    r->conn->out.len = r->answer.mark;
    r->wire = WIRE_NONE;
    r->status = 0;
}

#define IS(text) http_text_same(name, n_name, text, sizeof text - 1)

/* What a header means to us. 1: leave it out; -1: not allowed. */
static int note_header(struct http_req *r, const char *name, size_t n_name, const char *value,
                       size_t n, struct err *e)
{
    struct http_answer *a = &r->answer;

    switch (n_name) {
    case 4:
        if (IS("date"))
            return err_set(e, ERR_INVALID, "the header Date is set by the server");
        if (IS("etag"))
            a->etag_at = 1;
        else if (IS("vary"))
            a->has_vary = (uint8_t)(a->has_vary ||
                                    http_text_in_list(value, n, "accept-encoding") ||
                                    (n == 1 && *value == '*'));
        break;
    case 10:
        if (IS("connection")) {
            if (!http_text_same(value, n, "close", 5))
                return err_set(e, ERR_INVALID, "the header Connection may only be \"close\"");
            r->close_after = 1;
            return 1;
        }
        break;
    case 12:
        if (IS("content-type")) {
            if (a->has_type)
                return err_set(e, ERR_INVALID, "Content-Type is set twice");
            a->has_type = 1;
            a->is_compressible = (uint8_t)http_gzip_is_type(value, n);
        } else if (IS("x-request-id")) {
            return err_set(e, ERR_INVALID, "the header X-Request-Id is set by the server");
        }
        break;
    case 13:
        if (IS("cache-control") && http_text_in_list(value, n, "no-transform"))
            a->no_transform = 1;
        else if (IS("content-range"))
            a->no_transform = 1;
        break;
    case 14:
        if (IS("content-length"))
            return err_set(e, ERR_INVALID, "the header Content-Length is set by the server");
        break;
    case 16:
        if (IS("content-encoding"))
            a->has_encoding = 1;
        break;
    case 17:
        if (IS("transfer-encoding"))
            return err_set(e, ERR_INVALID, "the header Transfer-Encoding is set by the server");
        break;
    default:
        break;
    }
    return 0;
}

static int check_header(const char *name, size_t n_name, const char *value, size_t n_value,
                        struct err *e)
{
    if (!http_text_is_token(name, n_name) || n_name > 128)
        return err_set(e, ERR_INVALID, "\"%.*s\" is not a header name",
                       (int)(n_name < 64 ? n_name : 64), name);
    for (size_t i = 0; i < n_value; i++) {
        unsigned char b = (unsigned char)value[i];
        if ((b < 0x20 && b != '\t') || b == 0x7f)
            return err_set(e, ERR_INVALID, "the header %.*s has a control byte", (int)n_name, name);
    }
    return 0;
}

int http_reply_header(struct http_req *r, const char *name, size_t n_name, const char *value,
                      size_t n_value, struct err *e)
{
    struct http_conn *c = r->conn;

    assert(c != NULL && r->wire == WIRE_HEAD);
    if (check_header(name, n_name, value, n_value, e) != 0)
        return -1;
    int k = note_header(r, name, n_name, value, n_value, e);
    if (k != 0)
        return k > 0 ? 0 : -1;
    char *p = http_conn_room(c, n_name + n_value + 4 + HEAD_ROOM);
    if (p == NULL)
        return err_set(e, ERR_NOMEM, "no memory for an answer");
    p = http_text_put(p, name, n_name);
    p = HTTP_TEXT_PUT(p, ": ");
    if (r->answer.etag_at == 1)
        r->answer.etag_at = (size_t)(p - c->out.data);
    p = http_text_put(p, value, n_value);
    p = HTTP_TEXT_PUT(p, "\r\n");
    said(c, p);
    return 0;
}

int http_reply_line(struct buf *out, const char *name, size_t n_name, const char *value,
                    size_t n_value, struct err *e)
{
    static const char *const MEANT[] = { "date", "etag", "vary", "connection", "content-type",
                                         "x-request-id", "content-range", "content-length",
                                         "content-encoding", "transfer-encoding" };

    if (check_header(name, n_name, value, n_value, e) != 0)
        return -1;
    for (size_t i = 0; i < sizeof MEANT / sizeof *MEANT; i++)
        if (http_text_same(name, n_name, MEANT[i], strlen(MEANT[i])))
            return err_set(e, ERR_INVALID, "the header %s cannot be the same in every answer",
                           MEANT[i]);
    if (IS("cache-control") && http_text_in_list(value, n_value, "no-transform"))
        return err_set(e, ERR_INVALID, "no-transform cannot be the same in every answer");
    return buf_add(out, name, n_name, e) != 0 || buf_add(out, ": ", 2, e) != 0 ||
                   buf_add(out, value, n_value, e) != 0 || buf_add(out, "\r\n", 2, e) != 0
               ? -1
               : 0;
}

int http_reply_lines(struct http_req *r, const char *lines, size_t n, struct err *e)
{
    struct http_conn *c = r->conn;

    assert(c != NULL && r->wire == WIRE_HEAD);
    char *p = http_conn_room(c, n + HEAD_ROOM);
    if (p == NULL)
        return err_set(e, ERR_NOMEM, "no memory for an answer");
    said(c, http_text_put(p, lines, n));
    return 0;
}

/* Does this status never have a body? */
static int is_bare(int status)
{
    return status == 204 || status == 304;
}

static char *put_connection(struct http_req *r, char *p)
{
    /* a body not yet here whole would have to be read to reach the next request: close instead */
    if (r->body_state == BODY_MORE || r->body_state == BODY_FAILED || r->server->draining)
        r->close_after = 1;
    if (r->close_after)
        return HTTP_TEXT_PUT(p, "Connection: close\r\n");
    return r->head.minor == 0 ? HTTP_TEXT_PUT(p, "Connection: keep-alive\r\n") : p;
}

/* The same content in another coding is not the same bytes: the tag becomes a weak one. */
static int weaken(struct http_req *r)
{
    struct http_conn *c = r->conn;
    size_t at = r->answer.etag_at;

    if (at == 0 || c->out.data[at] != '"')
        return 0;
    if (http_conn_room(c, 2) == NULL)
        return -1;
    memmove(c->out.data + at + 2, c->out.data + at, c->out.len - at);
    memcpy(c->out.data + at, "W/", 2);
    c->out.len += 2;
    return 0;
}

static int no_memory(struct http_req *r, struct err *e)
{
    http_reply_undo(r);
    return err_set(e, ERR_NOMEM, "no memory for an answer");
}

int http_reply_body(struct http_req *r, const char *data, size_t n, struct err *e)
{
    struct http_conn *c = r->conn;
    struct http_server *s = r->server;
    struct http_answer *a = &r->answer;

    assert(c != NULL && r->wire == WIRE_HEAD);
    int may_pack = a->is_compressible && !a->no_transform && !a->has_encoding &&
                   n >= HTTP_GZIP_MIN && n <= HTTP_GZIP_MAX && r->status != 206;
    int packed = may_pack && r->head.accept_gzip && weaken(r) == 0 &&
                 http_gzip_pack(&s->gzip, &s->scratch, data, n) == 0;
    if (packed) {
        data = s->scratch.data;
        n = s->scratch.len;
    }
    int is_head = r->head.method == METHOD_HEAD;
    size_t n_body = is_head || is_bare(r->status) ? 0 : n;
    char *p = http_conn_room(c, HEAD_ROOM + n_body);
    if (p == NULL)
        return no_memory(r, e);
    if (packed)
        p = HTTP_TEXT_PUT(p, "Content-Encoding: gzip\r\n");
    if (may_pack && !a->has_vary)
        p = HTTP_TEXT_PUT(p, "Vary: Accept-Encoding\r\n");
    p = put_connection(r, p);
    if (!is_bare(r->status)) {
        p = HTTP_TEXT_PUT(p, "Content-Length: ");
        p = http_text_number(p, n);
        p = HTTP_TEXT_PUT(p, "\r\n");
    }
    p = HTTP_TEXT_PUT(p, "\r\n");
    if (n_body)
        p = http_text_put(p, data, n_body);
    said(c, p);
    r->bytes_out = n_body;
    if (s->scratch.cap > SCRATCH_KEEP)
        buf_deinit(&s->scratch);
    http_conn_answered(c);
    return 0;
}

static int open_body(struct http_req *r, int is_chunked, uint64_t n_total, struct err *e)
{
    struct http_conn *c = r->conn;

    assert(c != NULL && r->wire == WIRE_HEAD);
    char *p = http_conn_room(c, HEAD_ROOM);
    if (p == NULL)
        return no_memory(r, e);
    r->no_body_out = r->head.method == METHOD_HEAD || is_bare(r->status);
    r->is_chunked_out = is_chunked && r->head.minor == 1 && !r->no_body_out;
    if (is_chunked && r->head.minor == 0)
        r->close_after = 1; /* the end of the connection is the end of the body */
    p = put_connection(r, p);
    if (is_chunked && r->head.minor == 1 && !is_bare(r->status)) {
        p = HTTP_TEXT_PUT(p, "Transfer-Encoding: chunked\r\n");
    } else if (!is_chunked && !is_bare(r->status)) {
        p = HTTP_TEXT_PUT(p, "Content-Length: ");
        p = http_text_number(p, n_total);
        p = HTTP_TEXT_PUT(p, "\r\n");
    }
    p = HTTP_TEXT_PUT(p, "\r\n");
    said(c, p);
    r->wire = WIRE_BODY;
    http_conn_mark(c);
    return 0;
}

int http_reply_sized(struct http_req *r, uint64_t n_total, struct err *e)
{
    return open_body(r, 0, n_total, e);
}

int http_reply_stream(struct http_req *r, struct err *e)
{
    return open_body(r, 1, 0, e);
}

int http_reply_chunk(struct http_req *r, const char *data, size_t n, struct err *e)
{
    struct http_conn *c = r->conn;

    if (c == NULL)
        return http_reply_over(r, e);
    assert(r->wire == WIRE_BODY);
    if (n == 0 || r->no_body_out)
        return 0; /* an empty chunk would end the body */
    char *p = http_conn_room(c, n + 32);
    if (p == NULL)
        return err_set(e, ERR_NOMEM, "no memory for an answer");
    if (r->is_chunked_out) {
        p += snprintf(p, 24, "%zx\r\n", n);
        p = http_text_put(p, data, n);
        p = HTTP_TEXT_PUT(p, "\r\n");
    } else {
        p = http_text_put(p, data, n);
    }
    said(c, p);
    r->bytes_out += n;
    http_conn_mark(c);
    return 0;
}

int http_reply_is_full(const struct http_req *r)
{
    return r->conn != NULL && http_conn_unsent(r->conn) >= HTTP_BODY_HIGH;
}

void http_reply_end(struct http_req *r)
{
    struct http_conn *c = r->conn;

    if (c == NULL)
        return;
    assert(r->wire == WIRE_BODY);
    if (r->is_chunked_out) {
        char *p = http_conn_room(c, 5);
        if (p == NULL) {
            http_conn_cut(c);
            return;
        }
        said(c, HTTP_TEXT_PUT(p, "0\r\n\r\n"));
    }
    http_conn_answered(c);
}

void http_reply_cut(struct http_req *r)
{
    if (r->conn != NULL)
        http_conn_cut(r->conn);
}

void http_reply_error(struct http_req *r, int status, const char *code, const char *message)
{
    char body[4096], by_status[16];
    size_t n_message = strnlen(message, 500);
    struct err e;

    if (r->conn == NULL)
        return;
    http_reply_undo(r);
    snprintf(by_status, sizeof by_status, "http_%d", status);
    if (code == NULL)
        code = by_status;
    char *p = HTTP_TEXT_PUT(body, "{\"error\":{\"code\":\"");
    p += log_escape(p, code, strnlen(code, 64));
    p = HTTP_TEXT_PUT(p, "\",\"message\":\"");
    p += log_escape(p, message, n_message);
    p = HTTP_TEXT_PUT(p, "\",\"request_id\":\"");
    p = http_text_put(p, r->id, r->n_id);
    p = HTTP_TEXT_PUT(p, "\",\"details\":{}}}");
    if (http_reply_start(r, status, &e) != 0 ||
        http_reply_header(r, "Content-Type", 12, "application/json", 16, &e) != 0 ||
        http_reply_body(r, body, (size_t)(p - body), &e) != 0)
        http_reply_cut(r);
}
