/*
 * http_parse.h - the head of a request: bytes to fields, and everything that makes it refused.
 *
 * llhttp reads the head; around it this file is stricter than llhttp wherever two servers could
 * read the same bytes differently (RFC 9112): every line ends in CR LF, no folded lines, no space
 * before a colon, no control bytes, one Host, one length, `chunked` alone and only in HTTP/1.1.
 * Everything returned points into the bytes given, which must stay where they are.
 */
#ifndef HTTP_PARSE_H
#define HTTP_PARSE_H

#include <stddef.h>
#include <stdint.h>

#include "http/http_text.h"

#define HTTP_FIELDS_MAX 200
#define HTTP_BODY_MAX ((int64_t)1 << 50) /* a Content-Length above it is 413 at once */

enum http_method {
    METHOD_GET, METHOD_HEAD, METHOD_POST, METHOD_PUT, METHOD_PATCH, METHOD_DELETE, METHOD_OPTIONS,
    METHODS
};

/* Of one server. http_limits_default fills them all. */
struct http_limits {
    uint32_t header_bytes;       /* whole head; more is 431 */
    uint32_t header_count;       /* at most HTTP_FIELDS_MAX; more is 431 */
    uint32_t target_bytes;       /* more is 414 */
    uint64_t body_bytes;         /* what a script gets that names no maximum */
    uint32_t connections;        /* more get 503 */
    uint32_t header_timeout_ms;  /* first byte to last byte of a head, and a TLS handshake */
    uint32_t body_idle_ms;       /* between two bytes of a body that is waited for */
    uint32_t body_min_rate;      /* bytes/s, after the first header_timeout_ms; 0 = no minimum */
    uint32_t keepalive_ms;       /* an idle connection */
    uint32_t write_idle_ms;      /* a client that takes nothing */
    uint32_t requests_per_connection; /* 0 = no limit */
};

void http_limits_default(struct http_limits *l);

struct http_field {
    const char *name, *value; /* name as sent; value without blanks around it */
    uint32_t n_name, n_value;
};

struct http_head {
    enum http_method method;
    int minor;                /* HTTP/1.minor: 0 or 1 */
    struct http_text target;  /* as sent */
    struct http_text raw_path, path; /* path: decoded, begins with '/' ("*" for OPTIONS *) */
    struct http_text query;   /* as sent, without '?' */
    struct http_text host;    /* empty when a 1.0 request has none */
    int64_t content_length;   /* -1: none given */
    uint8_t chunked, keep_alive, expect_continue, accept_gzip;
    uint32_t n_fields;
    struct http_field fields[HTTP_FIELDS_MAX];
};

/*
 * Looks for the end of a head in p[0…n). `*at` is where to go on, 0 at first, kept by the caller
 * between calls. The length of the head with its empty line; 0: more is needed; or minus the status
 * of the refusal.
 */
int http_parse_end(const char *p, size_t n, size_t *at, const struct http_limits *l);

/*
 * Reads a whole head as found by http_parse_end. `room` has n bytes for the decoded path. 0, or
 * the status (400, 413, 414, 417, 431, 501, 505) with `*why` a static sentence.
 */
int http_parse_head(const char *p, size_t n, char *room, const struct http_limits *l,
                    struct http_head *h, const char **why);

/* The field of that lower-case name from index `from` on, or -1. */
int http_parse_find(const struct http_head *h, const char *name, size_t n_name, uint32_t from);

/* "GET" … */
const char *http_parse_method(enum http_method m);

#endif
