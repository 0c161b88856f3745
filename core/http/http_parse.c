/*
 * http_parse.c - the head of a request. See http_parse.h. Sources: RFC 9110, RFC 9112, RFC 3986.
 *
 * Two readers must agree: http_parse_end and check_* look at the bytes of every line, llhttp gives
 * the fields. Start at http_parse_head.
 */
#include "http/http_parse.h"

#include <llhttp.h>
#include <string.h>
#include <strings.h>

void http_limits_default(struct http_limits *l)
{
    *l = (struct http_limits){ .header_bytes = 16 << 10,
                               .header_count = 100,
                               .target_bytes = 8 << 10,
                               .body_bytes = 10 << 20,
                               .connections = 10000,
                               .header_timeout_ms = 10000,
                               .body_idle_ms = 30000,
                               .body_min_rate = 256,
                               .keepalive_ms = 75000,
                               .write_idle_ms = 30000,
                               .requests_per_connection = 0 };
}

int http_parse_find(const struct http_head *h, const char *name, size_t n_name, uint32_t from)
{
    for (uint32_t i = from; i < h->n_fields; i++)
        if (http_text_same(h->fields[i].name, h->fields[i].n_name, name, n_name))
            return (int)i;
    return -1;
}

const char *http_parse_method(enum http_method m)
{
    static const char *const NAMES[METHODS] = { "GET",   "HEAD",   "POST",   "PUT",
                                                "PATCH", "DELETE", "OPTIONS" };
    return NAMES[m];
}

int http_parse_end(const char *p, size_t n, size_t *at, const struct http_limits *l)
{
    /* *at is the start of the first line not seen whole yet; the lines before it are good */
    size_t i = *at;

    if (n > 0 && (p[0] < 'A' || p[0] > 'Z'))
        return -400; /* a TLS hello or noise: it may never send a line feed */
    for (;;) {
        const char *nl = memchr(p + i, '\n', n - i);
        size_t end = nl ? (size_t)(nl - p) : n;
        if (i == 0 && end > l->target_bytes + 32)
            return -414;
        if (end > l->header_bytes)
            return -431;
        if (nl == NULL)
            break;
        if (end == 0 || p[end - 1] != '\r')
            return -400;
        if (i > 0 && (p[i] == ' ' || p[i] == '\t'))
            return -400;
        *at = end + 1;
        if (end - 1 == i)
            return (int)(end + 1);
        i = end + 1;
    }
    return 0;
}

/* --- the request line, from its bytes --- */

static int check_line(const char *p, size_t n, const struct http_limits *l, struct http_head *h,
                      const char **why)
{
    const char *sp = memchr(p, ' ', n);
    size_t n_method = sp ? (size_t)(sp - p) : n;

    *why = "the request line is malformed";
    if (sp == NULL || !http_text_is_token(p, n_method))
        return 400;
    p += n_method + 1;
    n -= n_method + 1;
    const char *sp2 = memchr(p, ' ', n);
    if (sp2 == NULL || sp2 == p)
        return 400; /* also HTTP/0.9 */
    h->target = (struct http_text){ p, (size_t)(sp2 - p) };
    const char *v = sp2 + 1;
    size_t n_v = n - h->target.n - 1;
    if (n_v != 8 || memcmp(v, "HTTP/", 5) != 0 || v[6] != '.' || v[5] < '0' || v[5] > '9' ||
        v[7] < '0' || v[7] > '9')
        return 400;
    if (v[5] != '1' || v[7] > '1') {
        *why = "only HTTP/1.0 and HTTP/1.1 are spoken here";
        return 505;
    }
    h->minor = v[7] - '0';
    if (h->target.n > l->target_bytes) {
        *why = "the request target is too long";
        return 414;
    }
    if (!http_text_all(h->target.p, h->target.n, HTTP_TEXT_TARGET)) {
        *why = "the request target has a byte that must be percent-encoded";
        return 400;
    }
    return 0;
}

static int has_dots(const char *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t k = i;
        while (k < n && p[k] != '/' && p[k] != '\\')
            k++;
        if ((k - i == 1 && p[i] == '.') || (k - i == 2 && p[i] == '.' && p[i + 1] == '.'))
            return 1;
        i = k + 1;
    }
    return 0;
}

static int check_authority(const char *p, size_t n)
{
    size_t i = 0;

    if (n == 0 || n > 255)
        return -1;
    if (p[0] == '[') { /* IPv6 literal */
        const char *close = memchr(p, ']', n);
        if (close == NULL || close == p + 1)
            return -1;
        for (i = 1; p[i] != ']'; i++)
            if (http_text_hex(p[i]) < 0 && p[i] != ':' && p[i] != '.')
                return -1;
        i++;
    } else {
        while (i < n && p[i] != ':')
            i++;
        if (i == 0 || !http_text_all(p, i, HTTP_TEXT_HOST))
            return -1;
    }
    if (i == n)
        return 0;
    if (p[i++] != ':' || n - i > 5)
        return -1;
    for (; i < n; i++)
        if (p[i] < '0' || p[i] > '9')
            return -1;
    return 0;
}

/* Splits the target; an absolute one leaves its authority in *authority. */
static int check_target(struct http_head *h, char *room, struct http_text *authority,
                        const char **why)
{
    struct http_text t = h->target;

    *why = "the request target is malformed";
    if (t.n == 1 && t.p[0] == '*') {
        h->raw_path = h->path = t;
        return h->method == METHOD_OPTIONS ? 0 : 400;
    }
    if (t.p[0] != '/') {
        size_t skip = t.n > 7 && http_text_same(t.p, 7, "http://", 7)    ? 7
                      : t.n > 8 && http_text_same(t.p, 8, "https://", 8) ? 8
                                                                         : 0;
        if (skip == 0)
            return 400;
        t.p += skip;
        t.n -= skip;
        size_t k = 0;
        while (k < t.n && t.p[k] != '/' && t.p[k] != '?')
            k++;
        *authority = (struct http_text){ t.p, k };
        if (check_authority(t.p, k) != 0)
            return 400;
        t.p += k;
        t.n -= k;
    }
    const char *mark = memchr(t.p, '?', t.n);
    h->raw_path = (struct http_text){ t.p, mark ? (size_t)(mark - t.p) : t.n };
    if (mark)
        h->query = (struct http_text){ mark + 1, t.n - h->raw_path.n - 1 };
    if (h->raw_path.n == 0)
        h->raw_path = (struct http_text){ "/", 1 };
    h->path = h->raw_path;
    if (memchr(t.p, '%', t.n) != NULL) {
        long n = http_text_unescape(room, h->query.p, h->query.n, 0); /* only to see it is sound */
        if (n < 0)
            return 400;
        n = http_text_unescape(room, h->raw_path.p, h->raw_path.n, 0);
        if (n < 0)
            return 400;
        h->path = (struct http_text){ room, (size_t)n };
        for (long i = 0; i < n; i++)
            if ((unsigned char)room[i] < 0x20 || room[i] == 0x7f)
                return 400;
        if (!http_text_is_utf8(room, (size_t)n)) {
            *why = "the path is not UTF-8";
            return 400;
        }
    }
    if (memchr(h->path.p, '.', h->path.n) != NULL && has_dots(h->path.p, h->path.n)) {
        *why = "the path has a dot segment";
        return 400;
    }
    return 0;
}

/* --- fields: llhttp finds them, we check them --- */

struct scan {
    struct http_head *h;
    const char *end;
    const char *why;
    int status;
    uint32_t count_max;
    uint8_t n_host, n_length, n_coding, n_type, n_auth, n_expect;
};

static int refuse(struct scan *s, int status, const char *why)
{
    if (s->status == 0) {
        s->status = status;
        s->why = why;
    }
    return -1;
}

static int on_field(llhttp_t *parser, const char *p, size_t n)
{
    struct scan *s = parser->data;
    struct http_head *h = s->h;

    if (h->n_fields >= s->count_max)
        return refuse(s, 431, "too many header fields");
    if (p[n] != ':' || p[-1] != '\n' || !http_text_is_token(p, n))
        return refuse(s, 400, "a header name is malformed");
    h->fields[h->n_fields].name = p;
    h->fields[h->n_fields].n_name = (uint32_t)n;
    h->fields[h->n_fields].value = p + n + 1;
    h->fields[h->n_fields].n_value = 0;
    h->n_fields++;
    return 0;
}

static int take_length(struct scan *s, struct http_text v)
{
    int64_t n = 0;

    if (s->n_length++)
        return refuse(s, 400, "more than one Content-Length");
    if (v.n == 0 || v.n > 19)
        return refuse(s, v.n ? 413 : 400, "Content-Length is not a usable number");
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] < '0' || v.p[i] > '9')
            return refuse(s, 400, "Content-Length is not a number");
        if (n > HTTP_BODY_MAX)
            return refuse(s, 413, "Content-Length is too large");
        n = n * 10 + (v.p[i] - '0');
    }
    if (n > HTTP_BODY_MAX)
        return refuse(s, 413, "Content-Length is too large");
    s->h->content_length = n;
    return 0;
}

static int take_coding(struct scan *s, struct http_text v)
{
    if (s->n_coding++)
        return refuse(s, 400, "more than one Transfer-Encoding");
    if (s->h->minor == 0)
        return refuse(s, 400, "Transfer-Encoding in an HTTP/1.0 request");
    if (!http_text_same(v.p, v.n, "chunked", 7)) {
        for (size_t i = 0; i < v.n; i++)
            if (!http_text_is_token(v.p + i, 1) && !strchr(", \t", v.p[i]))
                return refuse(s, 400, "Transfer-Encoding is malformed");
        return refuse(s, http_text_in_list(v.p, v.n, "chunked") ? 400 : 501,
                      "the only transfer coding understood is chunked, alone");
    }
    s->h->chunked = 1;
    return 0;
}

/* A q of 0 (q=0, q=0.0 …) switches a coding off. */
static int takes_gzip(const char *p, size_t n)
{
    while (n > 0) {
        const char *comma = memchr(p, ',', n);
        size_t k = comma ? (size_t)(comma - p) : n;
        struct http_text item = http_text_trim(p, k);
        const char *semi = memchr(item.p, ';', item.n);
        struct http_text word = http_text_trim(item.p, semi ? (size_t)(semi - item.p) : item.n);
        if (http_text_same(word.p, word.n, "gzip", 4)) {
            if (semi == NULL)
                return 1;
            struct http_text q = http_text_trim(semi + 1, item.n - (size_t)(semi + 1 - item.p));
            if (q.n < 3 || (q.p[0] | 0x20) != 'q' || q.p[1] != '=')
                return 0;
            for (size_t i = 2; i < q.n; i++)
                if (q.p[i] >= '1' && q.p[i] <= '9')
                    return 1;
            return 0;
        }
        k += comma != NULL;
        p += k;
        n -= k;
    }
    return 0;
}

#define IS(text) http_text_same(f->name, f->n_name, text, sizeof text - 1)

/* Called for each field once it is whole. */
static int take_field(struct scan *s, struct http_field *f)
{
    struct http_head *h = s->h;
    struct http_text v = http_text_trim(f->value, f->n_value);

    f->value = v.p;
    f->n_value = (uint32_t)v.n;
    if (!http_text_all(v.p, v.n, HTTP_TEXT_VALUE))
        return refuse(s, 400, "a header value has a control byte");
    switch (f->n_name) {
    case 4:
        if (IS("host")) {
            if (s->n_host++)
                return refuse(s, 400, "more than one Host");
            if (check_authority(v.p, v.n) != 0)
                return refuse(s, 400, "Host is malformed");
            h->host = v;
        }
        break;
    case 6:
        if (IS("expect")) {
            if (s->n_expect++ || !http_text_same(v.p, v.n, "100-continue", 12))
                return refuse(s, 417, "the only expectation met here is 100-continue");
            h->expect_continue = 1;
        }
        break;
    case 10:
        if (IS("connection")) {
            if (http_text_in_list(v.p, v.n, "close"))
                h->keep_alive = 0;
            else if (h->minor == 0 && http_text_in_list(v.p, v.n, "keep-alive"))
                h->keep_alive = 1;
        }
        break;
    case 12:
        if (IS("content-type") && s->n_type++)
            return refuse(s, 400, "more than one Content-Type");
        break;
    case 13:
        if (IS("authorization") && s->n_auth++)
            return refuse(s, 400, "more than one Authorization");
        break;
    case 14:
        if (IS("content-length"))
            return take_length(s, v);
        break;
    case 15:
        if (IS("accept-encoding"))
            h->accept_gzip = (uint8_t)takes_gzip(v.p, v.n);
        break;
    case 17:
        if (IS("transfer-encoding"))
            return take_coding(s, v);
        break;
    default:
        break;
    }
    return 0;
}

static int on_value(llhttp_t *parser, const char *p, size_t n)
{
    struct scan *s = parser->data;
    struct http_field *f = &s->h->fields[s->h->n_fields - 1]; /* never before its on_field */

    f->value = p;
    f->n_value = (uint32_t)n;
    return 0;
}

static int on_value_end(llhttp_t *parser)
{
    struct scan *s = parser->data;
    struct http_field *f = &s->h->fields[s->h->n_fields - 1];
    const char *from = f->name + f->n_name + 1;
    const char *nl = memchr(from, '\n', (size_t)(s->end - from));

    if (nl == NULL)
        return refuse(s, 400, "a header is malformed");
    /* the line break is looked up, not believed: llhttp may end a value elsewhere */
    struct http_text mine = http_text_trim(from, (size_t)(nl - 1 - from));
    struct http_text its = http_text_trim(f->value, f->n_value);
    if (mine.n != its.n || (mine.n && mine.p != its.p))
        return refuse(s, 400, "a header value is malformed");
    return take_field(s, f);
}

static int on_head_end(llhttp_t *parser)
{
    (void)parser;
    return 0;
}

static const llhttp_settings_t *settings(void)
{
    static llhttp_settings_t made;
    static int is_made;

    if (!is_made) {
        llhttp_settings_init(&made);
        made.on_header_field = on_field;
        made.on_header_value = on_value;
        made.on_header_value_complete = on_value_end;
        made.on_headers_complete = on_head_end;
        is_made = 1;
    }
    return &made;
}

static int method_of(uint8_t llhttp_name)
{
    switch (llhttp_name) {
    case HTTP_GET: return METHOD_GET;
    case HTTP_HEAD: return METHOD_HEAD;
    case HTTP_POST: return METHOD_POST;
    case HTTP_PUT: return METHOD_PUT;
    case HTTP_PATCH: return METHOD_PATCH;
    case HTTP_DELETE: return METHOD_DELETE;
    case HTTP_OPTIONS: return METHOD_OPTIONS;
    default: return -1;
    }
}

static int check_whole(struct scan *s, struct http_text authority, const char **why)
{
    struct http_head *h = s->h;

    if (h->chunked && s->n_length) {
        *why = "both Content-Length and Transfer-Encoding";
        return 400;
    }
    if (h->minor == 1 && !s->n_host) {
        *why = "HTTP/1.1 without Host";
        return 400;
    }
    if (authority.p && s->n_host &&
        (authority.n != h->host.n || strncasecmp(authority.p, h->host.p, authority.n) != 0)) {
        *why = "Host and request target disagree";
        return 400;
    }
    if (h->minor == 0) {
        h->expect_continue = 0;
        if ((h->method == METHOD_POST || h->method == METHOD_PUT || h->method == METHOD_PATCH) &&
            !s->n_length) {
            *why = "HTTP/1.0 body without Content-Length";
            return 411;
        }
    }
    if (!h->chunked && h->content_length <= 0)
        h->expect_continue = 0; /* nothing to wait for */
    return 0;
}

int http_parse_head(const char *p, size_t n, char *room, const struct http_limits *l,
                    struct http_head *h, const char **why)
{
    struct scan s = { .h = h, .end = p + n, .count_max = l->header_count };
    struct http_text authority = { NULL, 0 };
    llhttp_t parser;

    if (s.count_max > HTTP_FIELDS_MAX)
        s.count_max = HTTP_FIELDS_MAX;
    memset(h, 0, offsetof(struct http_head, fields));
    h->content_length = -1;
    const char *nl = memchr(p, '\n', n);
    *why = "the request is malformed";
    if (nl == NULL || n < 4)
        return 400;
    int status = check_line(p, (size_t)(nl - 1 - p), l, h, why);
    if (status != 0)
        return status;
    h->keep_alive = h->minor == 1;

    llhttp_init(&parser, HTTP_REQUEST, settings());
    parser.data = &s;
    llhttp_errno_t bad = llhttp_execute(&parser, p, n);
    int method = method_of(parser.method);
    if (bad == HPE_INVALID_METHOD || (method < 0 && s.status == 0)) {
        *why = "this method is not served here";
        return 501;
    }
    if (s.status != 0) {
        *why = s.why;
        return s.status;
    }
    if (bad == HPE_PAUSED_UPGRADE)
        bad = HPE_OK; /* an upgrade may always be ignored */
    if (bad == HPE_INVALID_CONTENT_LENGTH && parser.content_length > (uint64_t)HTTP_BODY_MAX) {
        *why = "Content-Length is too large";
        return 413; /* digits, but more than llhttp's 64 bits hold */
    }
    if (bad != HPE_OK) {
        *why = "the request head is malformed";
        return bad == HPE_INVALID_VERSION ? 505 : 400;
    }
    h->method = (enum http_method)method;
    if (parser.http_major != 1 || parser.http_minor != h->minor)
        return 400;
    status = check_target(h, room, &authority, why);
    return status ? status : check_whole(&s, authority, why);
}
