/*
 * The HTTP room without Lua: a server, a client on the same loop, answers by callbacks; every
 * allocation fails in turn.
 */
#include <stdlib.h>
#include <uv.h>

#include "base/log.h"
#include "base/mem.h"
#include "check.h"
#include "http/http_body.h"
#include "http/http_date.h"
#include "http/http_file.h"
#include "http/http_reply.h"
#include "http/http_server.h"

static struct {
    uv_loop_t loop;
    struct http_server *server;
    uv_tcp_t client;
    uv_connect_t connect;
    uv_write_t write;
    uv_timer_t limit;
    char got[1 << 16];
    size_t n_got;
    int gone, answered, closed;
} t;

static void on_all(struct http_req *r, void *arg)
{
    const char *p;
    struct err e;

    (void)arg;
    if (r->body_state == BODY_MORE)
        return;
    size_t n = http_body_ready(r, &p);
    if (http_reply_start(r, 200, &e) == 0 &&
        http_reply_header(r, "content-type", 12, "text/plain", 10, &e) == 0)
        http_reply_body(r, p, n, &e);
    t.answered++;
    http_req_done(r);
}

static void on_request(struct http_req *r, void *arg)
{
    struct err e;

    (void)arg;
    if (r->head.path.n == 7 && memcmp(r->head.path.p, "/stream", 7) == 0) {
        if (http_reply_start(r, 200, &e) == 0 && http_reply_stream(r, &e) == 0 &&
            http_reply_chunk(r, "part", 4, &e) == 0)
            http_reply_end(r);
        http_req_done(r);
    } else if (r->head.path.n == 6 && memcmp(r->head.path.p, "/bytes", 6) == 0) {
        if (http_reply_start(r, 200, &e) == 0)
            http_file_bytes(r, "0123456789", 10, "\"x\"", &e);
        http_req_done(r);
    } else if (r->head.path.n == 5 && memcmp(r->head.path.p, "/none", 5) == 0) {
        http_req_done(r);
    } else if (r->body_state == BODY_MORE) {
        http_body_watch(r, on_all, NULL);
    } else {
        on_all(r, NULL);
    }
}

static void on_gone(struct http_req *r, void *arg)
{
    (void)arg;
    t.gone++;
    http_req_done(r);
}

static void on_server_closed(void *arg)
{
    (void)arg;
    t.closed++;
}

static void stop(void)
{
    if (!uv_is_closing((uv_handle_t *)&t.client))
        uv_close((uv_handle_t *)&t.client, NULL);
    uv_close((uv_handle_t *)&t.limit, NULL);
    http_server_close(t.server, on_server_closed, NULL);
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *b)
{
    (void)h, (void)hint;
    *b = uv_buf_init(t.got + t.n_got, (unsigned)(sizeof t.got - 1 - t.n_got));
}

static void on_read(uv_stream_t *h, ssize_t n, const uv_buf_t *b)
{
    (void)h, (void)b;
    if (n > 0)
        t.n_got += (size_t)n;
    if (n < 0 && !uv_is_closing((uv_handle_t *)&t.limit))
        stop();
}

static void on_written(uv_write_t *w, int status)
{
    (void)w, (void)status;
}

static void on_connect(uv_connect_t *c, int status)
{
    const char *text = c->data;
    uv_buf_t b = uv_buf_init((char *)(uintptr_t)text, (unsigned)strlen(text));

    if (status != 0)
        return;
    uv_read_start((uv_stream_t *)&t.client, on_alloc, on_read);
    uv_write(&t.write, (uv_stream_t *)&t.client, &b, 1, on_written);
}

static void on_limit(uv_timer_t *timer)
{
    (void)timer;
    stop();
}

/* Sends `text`, gathers what comes until the server closes. Allocation number `fail_at` fails. */
static int talk(const char *text, size_t fail_at)
{
    struct http_server_opt opt = { .fd = -1, .app = { on_request, on_gone, NULL } };
    struct sockaddr_in a;
    char host[64];
    struct err e;
    int port = 0;

    memset(&t, 0, sizeof t);
    uv_loop_init(&t.loop);
    http_limits_default(&opt.limits);
    mem_fail_at(fail_at);
    t.server = http_server_open(&t.loop, &opt, &e);
    if (t.server == NULL) {
        CHECK_INT(e.code, ERR_NOMEM);
        mem_fail_at(0);
        uv_run(&t.loop, UV_RUN_DEFAULT);
        CHECK_INT(uv_loop_close(&t.loop), 0);
        return -1;
    }
    CHECK_INT(http_server_address(t.server, host, sizeof host, &port, &e), 0);
    uv_ip4_addr(host, port, &a);
    uv_tcp_init(&t.loop, &t.client);
    uv_timer_init(&t.loop, &t.limit);
    uv_timer_start(&t.limit, on_limit, 700, 0);
    t.connect.data = (void *)(uintptr_t)text;
    uv_tcp_connect(&t.connect, &t.client, (struct sockaddr *)&a, on_connect);
    uv_run(&t.loop, UV_RUN_DEFAULT);
    mem_fail_at(0);
    t.got[t.n_got] = 0;
    CHECK_INT(t.closed, 1);
    CHECK_INT(uv_loop_close(&t.loop), 0);
    CHECK_INT(mem_live(), 0);
    return 0;
}

#define POST                                                                                       \
    "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"  \
    "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n"                                                      \
    "GET /bytes HTTP/1.1\r\nHost: a\r\nRange: bytes=2-3\r\n\r\n"                                   \
    "GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

static int count(const char *what)
{
    int n = 0;

    for (const char *p = t.got; (p = strstr(p, what)) != NULL; p++)
        n++;
    return n;
}

static void dates(void)
{
    char text[HTTP_DATE_BYTES + 1] = { 0 };

    http_date_write(text, 784111777);
    CHECK_STR(text, "Sun, 06 Nov 1994 08:49:37 GMT");
    CHECK_INT(http_date_read(text, HTTP_DATE_BYTES), 784111777);
    CHECK_INT(http_date_read("Sunday, 06-Nov-94 08:49:37 GMT", 30), -1);
    CHECK_INT(http_date_read("Sun, 06 Nov 1994 08:49:37 UTC", 29), -1);
    CHECK_INT(http_date_read("Sun, 06 Foo 1994 08:49:37 GMT", 29), -1);
}

int main(void)
{
    log_set_level(LOG_OFF);
    dates();
    CHECK_INT(talk(POST, 0), 0);
    CHECK_INT(count("HTTP/1.1 200 OK"), 2);
    CHECK_INT(count("HTTP/1.1 206 Partial Content"), 1);
    CHECK_INT(count("Content-Range: bytes 2-3/10"), 1);
    CHECK_INT(count("HTTP/1.1 500 Internal Server Error"), 1);
    CHECK_INT(count("\r\n\r\nhello"), 1);
    CHECK_INT(count("4\r\npart\r\n0\r\n\r\n"), 1);
    for (size_t i = 1; i < 40; i++) /* a failure ends at most the connection, and loses nothing */
        talk(POST, i);
    return check_done();
}
