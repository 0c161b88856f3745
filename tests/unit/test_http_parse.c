#include "http/http_chunk.h"
#include "http/http_parse.h"

#include <stdlib.h>

#include "check.h"

#define H "Host: a\r\n"

/* A head and the status it gets; 0 = read. Lengths are of the literal: zero bytes may be inside. */
static const struct {
    const char *bytes;
    size_t n;
    int status;
} HEADS[] = {
#define HEAD(status, text) { text, sizeof text - 1, status }
    HEAD(0, "GET / HTTP/1.1\r\n" H "\r\n"),
    HEAD(0, "GET / HTTP/1.0\r\n\r\n"),
    HEAD(0, "GET http://a/x?y HTTP/1.1\r\n" H "\r\n"),
    HEAD(0, "GET HTTP://A HTTP/1.1\r\n" H "\r\n"),
    HEAD(0, "OPTIONS * HTTP/1.1\r\n" H "\r\n"),
    HEAD(0, "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"),
    HEAD(0, "GET /%d0%b6?q=%20 HTTP/1.1\r\n" H "\r\n"),
    HEAD(0, "GET / HTTP/1.1\r\n" H "X:\r\nY: \r\nZ:a \t\r\n\r\n"),
    HEAD(0, "GET / HTTP/1.1\r\n" H "X: \xd0\xb6\r\n\r\n"),
    HEAD(0, "POST / HTTP/1.1\r\n" H "Content-Length: 007\r\n\r\n"),
    HEAD(0, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: Chunked\r\n\r\n"),
    HEAD(0, "POST / HTTP/1.1\r\n" H "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n"),
    HEAD(0, "GET / HTTP/1.1\r\n" H "Connection: upgrade\r\nUpgrade: h2c\r\n\r\n"),
    /* request line */
    HEAD(400, "GET /\r\n\r\n"),
    HEAD(400, "GET  / HTTP/1.1\r\n" H "\r\n"),
    HEAD(400, "GET /  HTTP/1.1\r\n" H "\r\n"),
    HEAD(400, "GET / HTTP/1.1 \r\n" H "\r\n"),
    HEAD(400, "GET\t/ HTTP/1.1\r\n" H "\r\n"),
    HEAD(400, "GET / HTTP/1.1x\r\n" H "\r\n"),
    HEAD(400, "GET / http/1.1\r\n" H "\r\n"),
    HEAD(400, "GET / HTTP/11\r\n" H "\r\n"),
    HEAD(400, "GET / HTTP/1.11\r\n" H "\r\n"),
    HEAD(400, "GET /a b HTTP/1.1\r\n" H "\r\n"),
    HEAD(400, "GET /a\x01 HTTP/1.1\r\n" H "\r\n"),
    HEAD(400, "GET /\0 HTTP/1.1\r\n" H "\r\n"),
    HEAD(400, "GET /\xd0\xb6 HTTP/1.1\r\n" H "\r\n"),
    HEAD(400, "GET /a#b HTTP/1.1\r\n" H "\r\n"),
    HEAD(400, "GET /%zz HTTP/1.1\r\n" H "\r\n"),
    HEAD(400, "GET /%4 HTTP/1.1\r\n" H "\r\n"),
    HEAD(400, "GET /%00 HTTP/1.1\r\n" H "\r\n"),
    HEAD(400, "GET /%0a HTTP/1.1\r\n" H "\r\n"),
    HEAD(400, "GET /?a=%zz HTTP/1.1\r\n" H "\r\n"),
    HEAD(400, "GET /%ff HTTP/1.1\r\n" H "\r\n"),
    HEAD(400, "GET /../x HTTP/1.1\r\n" H "\r\n"),
    HEAD(400, "GET /a/%2e%2E/x HTTP/1.1\r\n" H "\r\n"),
    HEAD(400, "GET /a/..%2fx HTTP/1.1\r\n" H "\r\n"),
    HEAD(400, "GET /a/..%5cx HTTP/1.1\r\n" H "\r\n"),
    HEAD(400, "GET /a/. HTTP/1.1\r\n" H "\r\n"),
    HEAD(400, "GET x HTTP/1.1\r\n" H "\r\n"),
    HEAD(400, "GET * HTTP/1.1\r\n" H "\r\n"),
    HEAD(400, "GET a:80 HTTP/1.1\r\n" H "\r\n"),
    HEAD(400, "GET ftp://a/ HTTP/1.1\r\n" H "\r\n"),
    HEAD(400, "GET http://b/ HTTP/1.1\r\n" H "\r\n"),
    HEAD(400, "GET http:///x HTTP/1.1\r\n" H "\r\n"),
    HEAD(400, "GET http://u@a/ HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    HEAD(505, "GET / HTTP/1.2\r\n" H "\r\n"),
    HEAD(505, "GET / HTTP/2.0\r\n" H "\r\n"),
    HEAD(505, "GET / HTTP/0.9\r\n" H "\r\n"),
    HEAD(505, "PRI * HTTP/2.0\r\n\r\n"),
    HEAD(501, "CONNECT a:80 HTTP/1.1\r\n" H "\r\n"),
    HEAD(501, "TRACE / HTTP/1.1\r\n" H "\r\n"),
    HEAD(501, "BREW / HTTP/1.1\r\n" H "\r\n"),
    HEAD(501, "PROPFIND / HTTP/1.1\r\n" H "\r\n"),
    HEAD(501, "GETT / HTTP/1.1\r\n" H "\r\n"),
    HEAD(501, "Get / HTTP/1.1\r\n" H "\r\n"),
    /* lines */
    HEAD(400, "GET / HTTP/1.1\n" H "\r\n"),
    HEAD(400, "GET / HTTP/1.1\r\nHost: a\n\r\n"),
    HEAD(400, "GET / HTTP/1.1\r\n" H "X: a\n\r\n"),
    HEAD(400, "GET / HTTP/1.1\r\n" H "\n"),
    HEAD(400, "GET / HTTP/1.1\r\n" H "X: a\r\r\n\r\n"),
    HEAD(400, "GET / HTTP/1.1\r\n" H "X: a\rY: b\r\n\r\n"),
    HEAD(400, "GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n"),
    HEAD(400, "GET / HTTP/1.1\r\n" H "X: a\r\n\tb\r\n\r\n"),
    HEAD(400, "GET / HTTP/1.1\r\n " H "\r\n"),
    HEAD(400, "GET / HTTP/1.1\r\n" H "X : a\r\n\r\n"),
    HEAD(400, "GET / HTTP/1.1\r\n" H "X\t: a\r\n\r\n"),
    HEAD(400, "GET / HTTP/1.1\r\n" H ": a\r\n\r\n"),
    HEAD(400, "GET / HTTP/1.1\r\n" H "X\r\n\r\n"),
    HEAD(400, "GET / HTTP/1.1\r\n" H "X(: a\r\n\r\n"),
    HEAD(400, "GET / HTTP/1.1\r\n" H "X\xd0: a\r\n\r\n"),
    HEAD(400, "GET / HTTP/1.1\r\n" H "X\0: a\r\n\r\n"),
    HEAD(400, "GET / HTTP/1.1\r\n" H "X: a\0b\r\n\r\n"),
    HEAD(400, "GET / HTTP/1.1\r\n" H "X: a\x01\r\n\r\n"),
    HEAD(400, "GET / HTTP/1.1\r\n" H "X: a\x7f\r\n\r\n"),
    HEAD(400, "GET / HTTP/1.1\r\n" H "X: a\x0b\r\n\r\n"),
    HEAD(400, "\x16\x03\x01\x02"),
    HEAD(400, "get / HTTP/1.1\r\n" H "\r\n"),
    /* Host */
    HEAD(400, "GET / HTTP/1.1\r\n\r\n"),
    HEAD(400, "GET / HTTP/1.1\r\n" H H "\r\n"),
    HEAD(400, "GET / HTTP/1.0\r\n" H H "\r\n"),
    HEAD(400, "GET / HTTP/1.1\r\n" H "hOST: b\r\n\r\n"),
    HEAD(400, "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    HEAD(400, "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    HEAD(400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    HEAD(400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    HEAD(400, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    HEAD(400, "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"),
    HEAD(400, "GET / HTTP/1.1\r\nHost: a:123456\r\n\r\n"),
    HEAD(400, "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"),
    /* lengths */
    HEAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"),
    HEAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"),
    HEAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: 5, 5\r\n\r\n"),
    HEAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: +5\r\n\r\n"),
    HEAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: -5\r\n\r\n"),
    HEAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: 0x5\r\n\r\n"),
    HEAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: 5 5\r\n\r\n"),
    HEAD(400, "POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n"),
    HEAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: 5\x0b\r\n\r\n"),
    HEAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: five\r\n\r\n"),
    HEAD(413, "POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775808\r\n\r\n"),
    HEAD(413, "POST / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999999\r\n\r\n"),
    HEAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
    HEAD(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n"),
    HEAD(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n"),
    HEAD(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
    HEAD(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"),
    HEAD(501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n"),
    HEAD(501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n"),
    HEAD(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: \"chunked\"\r\n\r\n"),
    HEAD(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked;q=1\r\n\r\n"),
    HEAD(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: \x0b""chunked\r\n\r\n"),
    HEAD(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n chunked\r\n\r\n"),
    HEAD(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding : chunked\r\n\r\n"),
    HEAD(400, "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n"),
    HEAD(411, "POST / HTTP/1.0\r\n" H "\r\n"),
    HEAD(417, "POST / HTTP/1.1\r\n" H "Expect: 200-ok\r\nContent-Length: 1\r\n\r\n"),
    HEAD(400, "GET / HTTP/1.1\r\n" H "Authorization: a\r\nAuthorization: b\r\n\r\n"),
    HEAD(400, "GET / HTTP/1.1\r\n" H "Content-Type: a/b\r\nContent-Type: c/d\r\n\r\n"),
};

static struct http_head head;

/* Whole, then byte by byte: both must say the same. */
static int status_of(const char *bytes, size_t n, const struct http_limits *l)
{
    char *copy = malloc(n ? n : 1), *room = malloc(n ? n : 1);
    const char *why = NULL;
    size_t at = 0, at2 = 0;
    int step = 0, status;

    memcpy(copy, bytes, n);
    int len = http_parse_end(copy, n, &at, l);
    for (size_t k = 1; k <= n && step == 0; k++)
        step = http_parse_end(copy, k, &at2, l);
    CHECK_INT(step, len);
    if (len <= 0) {
        status = -len;
    } else {
        CHECK_INT(len, n);
        status = http_parse_head(copy, (size_t)len, room, l, &head, &why);
        CHECK(status == 0 || (why != NULL && why[0]));
    }
    free(copy);
    free(room);
    return status;
}

static void heads(void)
{
    struct http_limits l;

    http_limits_default(&l);
    for (size_t i = 0; i < sizeof HEADS / sizeof *HEADS; i++) {
        int before = check_failed;
        CHECK_INT(status_of(HEADS[i].bytes, HEADS[i].n, &l), HEADS[i].status);
        if (check_failed != before)
            printf("  head %zu: %s\n", i, HEADS[i].bytes);
    }
}

static void fields(void)
{
    static const char TEXT[] = "POST /a%20b/%d0%b6?x=1&y=%2b HTTP/1.1\r\nHost: a:80\r\nX-One:  v 1 \t\r\n"
                               "Accept-Encoding: br, gzip;q=0.5\r\nConnection: close\r\n"
                               "Content-Length: 12\r\nExpect: 100-continue\r\n\r\n";
    char room[sizeof TEXT];
    struct http_limits l;
    const char *why;

    http_limits_default(&l);
    CHECK_INT(http_parse_head(TEXT, sizeof TEXT - 1, room, &l, &head, &why), 0);
    CHECK_INT(head.method, METHOD_POST);
    CHECK_INT(head.n_fields, 6);
    CHECK(head.path.n == 7 && memcmp(head.path.p, "/a b/\xd0\xb6", 7) == 0);
    CHECK(head.query.n == 9 && memcmp(head.query.p, "x=1&y=%2b", 9) == 0);
    CHECK_INT(head.content_length, 12);
    CHECK(head.accept_gzip && head.expect_continue && !head.keep_alive && !head.chunked);
    int i = http_parse_find(&head, "x-one", 5, 0);
    CHECK_INT(i, 1);
    CHECK(head.fields[1].n_value == 3 && memcmp(head.fields[1].value, "v 1", 3) == 0);
    CHECK_INT(http_parse_find(&head, "x-two", 5, 0), -1);
}

static void limits(void)
{
    static char big[40000];
    struct http_limits l;
    size_t n;

    http_limits_default(&l);
    n = (size_t)snprintf(big, sizeof big, "GET /%08200d HTTP/1.1\r\n" H "\r\n", 0);
    CHECK_INT(status_of(big, n, &l), 414);
    n = (size_t)snprintf(big, sizeof big, "GET /%08190d HTTP/1.1\r\n" H "\r\n", 0);
    CHECK_INT(status_of(big, n, &l), 0);
    n = (size_t)snprintf(big, sizeof big, "GET / HTTP/1.1\r\n" H "X: %016400d\r\n\r\n", 0);
    CHECK_INT(status_of(big, n, &l), 431);
    n = (size_t)snprintf(big, sizeof big, "GET / HTTP/1.1\r\n" H);
    for (int i = 0; i < 100; i++)
        n += (size_t)snprintf(big + n, sizeof big - n, "X-%d: y\r\n", i);
    memcpy(big + n, "\r\n", 2);
    CHECK_INT(status_of(big, n + 2, &l), 431);
}

/* Decodes in pieces of `step` bytes. The text, "END" behind it, or "BAD". */
static const char *unchunk(const char *text, size_t n, size_t step)
{
    static char out[65536];
    struct http_chunk c;
    size_t at = 0, k = 0;

    http_chunk_init(&c);
    while (at < n) {
        size_t m = n - at < step ? n - at : step, used, n_data;
        const char *data;
        switch (http_chunk_next(&c, text + at, m, &used, &data, &n_data)) {
        case HTTP_CHUNK_DATA:
            memcpy(out + k, data, n_data);
            k += n_data;
            break;
        case HTTP_CHUNK_END:
            memcpy(out + k, "END", 4);
            return out;
        case HTTP_CHUNK_BAD:
            return "BAD";
        case HTTP_CHUNK_MORE:
            break;
        }
        at += used;
    }
    return "MORE";
}

static void chunks(void)
{
    static const struct {
        const char *text, *found;
    } CASES[] = {
        { "0\r\n\r\n", "END" },
        { "5\r\nhello\r\n0\r\n\r\n", "helloEND" },
        { "5\r\nhello\r\nA\r\n0123456789\r\n00\r\n\r\n", "hello0123456789END" },
        { "5;a=b; c=\"d\"\r\nhello\r\n0\r\nX-T: 1\r\n\r\n", "helloEND" },
        { "5\r\nhello\r\n", "MORE" },
        { "5 \r\nhello\r\n0\r\n\r\n", "BAD" },
        { " 5\r\nhello\r\n0\r\n\r\n", "BAD" },
        { "0x5\r\nhello\r\n0\r\n\r\n", "BAD" },
        { "-5\r\nhello\r\n0\r\n\r\n", "BAD" },
        { "5\nhello\r\n0\r\n\r\n", "BAD" },
        { "5\r\nhello\n0\r\n\r\n", "BAD" },
        { "5\r\nhelloo\r\n0\r\n\r\n", "BAD" },
        { "5\r\nhello0\r\n\r\n", "BAD" },
        { "\r\n\r\n", "BAD" },
        { ";a\r\n\r\n", "BAD" },
        { "5;a\nb\r\nhello\r\n0\r\n\r\n", "BAD" },
        { "5;\x01\r\nhello\r\n0\r\n\r\n", "BAD" },
        { "10000000000000000\r\nx\r\n", "BAD" },
        { "0000000000000005\r\nhello\r\n0\r\n\r\n", "BAD" },
        { "0\r\nX : 1\r\n\r\n", "BAD" },
        { "0\r\n X: 1\r\n\r\n", "BAD" },
        { "0\r\nX: 1\n\r\n", "BAD" },
        { "0\r\nX: 1\r\n folded\r\n\r\n", "BAD" },
        { "0\r\nX\r\n\r\n", "BAD" },
    };
    static char big[20000];

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        for (size_t step = 1; step < 40; step++)
            CHECK_STR(unchunk(CASES[i].text, strlen(CASES[i].text), step), CASES[i].found);
    int n = snprintf(big, sizeof big, "1;%0300d\r\nx\r\n0\r\n\r\n", 0);
    CHECK_STR(unchunk(big, (size_t)n, 100), "BAD");
    n = snprintf(big, sizeof big, "0\r\nX: %09000d\r\n\r\n", 0);
    CHECK_STR(unchunk(big, (size_t)n, 100), "BAD");
}

int main(void)
{
    heads();
    fields();
    limits();
    chunks();
    return check_done();
}
