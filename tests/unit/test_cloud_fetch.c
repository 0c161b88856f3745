/* The HTTP client against a small server on the same loop that answers by path. */
#include "cloud/cloud_fetch.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "check.h"
#include "cloud/cloud_retry.h"

static uv_loop_t loop;
static uv_tcp_t server;
static int port, n_connections;
static struct cloud_fetch *fetcher;

/* ---- the server ---- */

struct peer {
    uv_tcp_t tcp;
    struct buf in;
    uv_write_t write;
    char *out;
};

static void on_peer_closed(uv_handle_t *h)
{
    struct peer *p = h->data;

    buf_deinit(&p->in);
    free(p->out);
    free(p);
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *b)
{
    static char room[65536];

    (void)h;
    (void)hint;
    *b = uv_buf_init(room, sizeof room);
}

static void on_sent(uv_write_t *w, int status)
{
    struct peer *p = w->data;

    (void)status;
    free(p->out);
    p->out = NULL;
}

static void answer(struct peer *p, const char *head, const char *body, size_t n)
{
    size_t h = strlen(head), room = h + n + 200;

    p->out = malloc(room);
    int at = snprintf(p->out, room, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n", head, n);
    memcpy(p->out + at, body, n);
    uv_buf_t b = uv_buf_init(p->out, (unsigned)((size_t)at + n));
    p->write.data = p;
    uv_write(&p->write, (uv_stream_t *)&p->tcp, &b, 1, on_sent);
}

static void respond(struct peer *p, const char *path, const char *body, size_t n)
{
    char text[200];

    if (strcmp(path, "/hello") == 0) {
        answer(p, "200 OK\r\nX-A: 1\r\nx-a: 2", "hello", 5);
    } else if (strcmp(path, "/echo") == 0) {
        answer(p, "200 OK", body, n);
    } else if (strcmp(path, "/head") == 0) {
        answer(p, "200 OK", p->in.data, strcspn(p->in.data, "\r"));
    } else if (strcmp(path, "/headers") == 0) {
        answer(p, "200 OK", p->in.data, p->in.len - n);
    } else if (strncmp(path, "/big/", 5) == 0) {
        size_t size = (size_t)atol(path + 5);
        char *big = malloc(size);
        for (size_t i = 0; i < size; i++)
            big[i] = (char)(i * 7 % 251);
        answer(p, "200 OK", big, size);
        free(big);
    } else if (strcmp(path, "/redirect") == 0) {
        answer(p, "302 Found\r\nLocation: /hello", "", 0);
    } else if (strcmp(path, "/elsewhere") == 0) {
        answer(p, "302 Found\r\nLocation: file:///etc/hostname", "", 0);
    } else if (strcmp(path, "/loop") == 0) {
        answer(p, "302 Found\r\nLocation: /loop", "", 0);
    } else if (strcmp(path, "/busy") == 0) {
        answer(p, "503 Busy\r\nRetry-After: 7", "later", 5);
    } else if (strcmp(path, "/cut") == 0) {
        uv_close((uv_handle_t *)&p->tcp, on_peer_closed);
    } else if (strcmp(path, "/wide") == 0) {
        char *wide = malloc(90000);
        memset(wide, 'x', 90000);
        memcpy(wide, "200 OK\r\nX: ", 11);
        wide[89999] = '\0';
        answer(p, wide, "", 0);
        free(wide);
    } else if (strcmp(path, "/slow") != 0) {
        snprintf(text, sizeof text, "no %s", path);
        answer(p, "404 Not Found", text, strlen(text));
    }
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct peer *p = s->data;
    struct err e;
    char path[100] = "";

    if (n < 0) {
        uv_close((uv_handle_t *)s, on_peer_closed);
        return;
    }
    buf_add(&p->in, b->base, (size_t)n, &e);
    const char *text = buf_text(&p->in, &e), *end = strstr(text, "\r\n\r\n");
    if (end == NULL)
        return;
    const char *length = strstr(text, "Content-Length: ");
    size_t body = length && length < end ? (size_t)atol(length + 16) : 0;
    size_t head = (size_t)(end + 4 - text);
    if (p->in.len < head + body)
        return;
    sscanf(text, "%*s %99s", path);
    respond(p, path, text + head, body);
    buf_clear(&p->in);
}

static void on_connect(uv_stream_t *s, int status)
{
    struct peer *p = calloc(1, sizeof *p);

    n_connections += status == 0;
    uv_tcp_init(&loop, &p->tcp);
    p->tcp.data = p;
    buf_init(&p->in, 1 << 26);
    uv_accept(s, (uv_stream_t *)&p->tcp);
    uv_read_start((uv_stream_t *)&p->tcp, on_alloc, on_read);
}

static void serve(void)
{
    struct sockaddr_in at;
    int n = sizeof at;

    uv_ip4_addr("127.0.0.1", 0, &at);
    uv_tcp_init(&loop, &server);
    uv_tcp_bind(&server, (struct sockaddr *)&at, 0);
    uv_listen((uv_stream_t *)&server, 16, on_connect);
    uv_tcp_getsockname(&server, (struct sockaddr *)&at, &n);
    port = ntohs(at.sin_port);
}

/* ---- the client ---- */

static struct cloud_reply got; /* moved out of the callback */
static int n_done;

static void on_done(struct cloud_reply *r, void *data)
{
    (void)data;
    buf_deinit(&got.headers);
    buf_deinit(&got.body);
    mem_free(got.url);
    got = *r;
    buf_init(&r->headers, 0);
    buf_init(&r->body, 0);
    r->url = NULL;
    n_done++;
}

static char url_text[300];

static struct cloud_request request(const char *method, const char *path)
{
    struct cloud_request r;

    cloud_request_init(&r);
    snprintf(url_text, sizeof url_text, "http://127.0.0.1:%d%s", port, path);
    r.method = method;
    r.url = url_text;
    r.on_done = on_done;
    r.timeout_ms = 5000;
    return r;
}

/* Starts and waits for the end. */
static int fetch(const struct cloud_request *r)
{
    struct err e = { 0 };
    int before = n_done;

    if (cloud_fetch_start(fetcher, r, &e) == NULL) {
        got.e = e;
        return -1;
    }
    CHECK_INT(n_done, before);
    while (n_done == before)
        uv_run(&loop, UV_RUN_ONCE);
    return got.e.code == ERR_NONE ? 0 : -1;
}

static const char *body(void)
{
    static struct err e;

    return got.body.len ? buf_text(&got.body, &e) : "";
}

static void plain(void)
{
    struct err e;
    struct cloud_request r = request("GET", "/hello");
    char value[32];

    CHECK_INT(fetch(&r), 0);
    CHECK_INT(got.status, 200);
    CHECK_STR(body(), "hello");
    CHECK(strstr(buf_text(&got.headers, &e), "X-A: 1\nx-a: 2\n") != NULL);
    CHECK(cloud_retry_header(&got.headers, "content-length", value, sizeof value));
    CHECK_STR(value, "5");
    CHECK(!cloud_retry_header(&got.headers, "Content", value, sizeof value));
    for (int i = 0; i < 5; i++)
        CHECK_INT(fetch(&r), 0);
    CHECK_INT(n_connections, 1); /* kept open */

    r = request("POST", "/echo");
    r.body = "some\0bytes";
    r.body_bytes = 10;
    CHECK_INT(fetch(&r), 0);
    CHECK_INT(got.body.len, 10);
    CHECK(memcmp(got.body.data, "some\0bytes", 10) == 0);
    r = request("PATCH", "/head");
    r.body = "x";
    r.body_bytes = 1;
    CHECK_INT(fetch(&r), 0);
    CHECK_STR(body(), "PATCH /head HTTP/1.1");
    r = request("HEAD", "/hello");
    CHECK_INT(fetch(&r), 0);
    CHECK_INT(got.body.len, 0);
    r = request("DELETE", "/head");
    CHECK_INT(fetch(&r), 0);
    CHECK_STR(body(), "DELETE /head HTTP/1.1");
    r = request("POST", "/headers");
    static const char *const headers[] = { "X-One: 1", "X-None:", NULL };
    r.headers = headers;
    CHECK_INT(fetch(&r), 0);
    CHECK(strstr(body(), "X-One: 1\r\n") != NULL && strstr(body(), "X-None:") != NULL);
    CHECK(strstr(body(), "Content-Type") == NULL && strstr(body(), "Expect") == NULL);
    r = request(NULL, "/nowhere");
    CHECK_INT(fetch(&r), 0);
    CHECK_INT(got.status, 404);
}

static void refused(void)
{
    static const char *const bad[][2] = {
        { "X: a\r\nY: b", NULL }, { "X: a\nb", NULL }, { "X Y: a", NULL }, { "no colon", NULL },
        { ": x", NULL }, { "Content-Length: 5", NULL }, { "transfer-encoding: chunked", NULL },
    };
    static const char *const urls[] = { "file:///etc/passwd", "ftp://x/", "http://a b/", "http://a/\r\nX: y",
                                        "", "gopher://x", "http://a/\x7f" };
    struct cloud_request r;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        r = request("GET", "/hello");
        r.headers = bad[i];
        CHECK_INT(fetch(&r), -1);
        CHECK_INT(got.e.code, ERR_INVALID);
    }
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        r = request("GET", "/hello");
        r.url = urls[i];
        CHECK_INT(fetch(&r), -1);
        CHECK_INT(got.e.code, ERR_INVALID);
    }
    r = request("GET / HTTP/1.1\r\nX:", "/hello");
    CHECK_INT(fetch(&r), -1);
    CHECK_INT(got.e.code, ERR_INVALID);
}

static void redirects(void)
{
    struct cloud_request r = request("GET", "/redirect");

    CHECK_INT(fetch(&r), 0);
    CHECK_INT(got.status, 302);
    r.redirects = 3;
    CHECK_INT(fetch(&r), 0);
    CHECK_INT(got.status, 200);
    CHECK_STR(body(), "hello");
    CHECK(strstr(got.url, "/hello") != NULL);
    r = request("GET", "/loop");
    r.redirects = 3;
    CHECK_INT(fetch(&r), -1);
    CHECK_INT(got.e.code, ERR_LIMIT);
    r = request("GET", "/elsewhere");
    r.redirects = 3;
    CHECK_INT(fetch(&r), -1);
    CHECK_INT(got.e.code, ERR_INVALID);
}

static void trouble(void)
{
    struct cloud_request r = request("GET", "/slow");

    r.timeout_ms = 50;
    CHECK_INT(fetch(&r), -1);
    CHECK_INT(got.e.code, ERR_TIMEOUT);
    CHECK(cloud_retry_allowed("GET", &got));
    CHECK(!cloud_retry_allowed("POST", &got));
    r = request("GET", "/big/100000");
    r.max_bytes = 99999;
    CHECK_INT(fetch(&r), -1);
    CHECK_INT(got.e.code, ERR_LIMIT);
    r.max_bytes = 100000;
    CHECK_INT(fetch(&r), 0);
    CHECK_INT(got.body.len, 100000);
    r = request("GET", "/wide");
    CHECK_INT(fetch(&r), -1);
    CHECK_INT(got.e.code, ERR_LIMIT);
    r = request("GET", "/cut");
    CHECK_INT(fetch(&r), -1);
    CHECK_INT(got.e.code, ERR_REMOTE);
    r = request("GET", "/hello");
    r.url = "http://127.0.0.1:1/";
    CHECK_INT(fetch(&r), -1);
    CHECK_INT(got.e.code, ERR_REMOTE);
    CHECK(cloud_retry_allowed("POST", &got)); /* nothing was sent */
    r.url = "http://no-such-host.invalid/";
    CHECK_INT(fetch(&r), -1);
    CHECK(got.e.code == ERR_REMOTE || got.e.code == ERR_TIMEOUT);
}

static void retries(void)
{
    struct cloud_request r = request("GET", "/busy");

    CHECK_INT(fetch(&r), 0);
    CHECK(cloud_retry_allowed("GET", &got));
    CHECK(!cloud_retry_allowed("POST", &got));
    CHECK_INT(cloud_retry_delay(&got, 1, 10, 1000), 7000);
    CHECK_INT(cloud_retry_delay(&got, 1, 10, 100), -1);
    struct cloud_reply none = { 0 };
    for (int n = 1; n < 70; n++) {
        int64_t ms = cloud_retry_delay(&none, n, 1000, 10000);
        double full = n == 1 ? 1000 : n == 2 ? 2000 : n == 3 ? 4000 : n == 4 ? 8000 : 10000;
        CHECK((double)ms >= 0.75 * full - 1 && (double)ms <= 1.25 * full + 1);
    }
    none.status = 429;
    CHECK(cloud_retry_allowed("POST", &none));
    none.status = 404;
    CHECK(!cloud_retry_allowed("GET", &none));
}

static void files(void)
{
    char from[] = "/tmp/fetch_test_XXXXXX", to[] = "/tmp/fetch_test_XXXXXX";
    enum { BYTES = 5000001 };
    int in = mkstemp(from), out = mkstemp(to);
    char *data = malloc(BYTES), *back = malloc(BYTES + 1);

    for (int i = 0; i < BYTES; i++)
        data[i] = (char)(i * 7 % 251);
    CHECK_INT(write(in, data, BYTES), BYTES);
    struct cloud_request r = request("PUT", "/echo");
    r.in_fd = in;
    r.in_bytes = BYTES;
    CHECK_INT(fetch(&r), 0);
    CHECK_INT(got.body.len, BYTES);
    CHECK(got.body.len == BYTES && memcmp(got.body.data, data, BYTES) == 0);

    r = request("GET", "/big/5000001");
    r.out_fd = out;
    CHECK_INT(fetch(&r), 0);
    CHECK_INT(got.body.len, 0);
    CHECK_INT(got.bytes, BYTES);
    out = open(to, O_RDWR);
    CHECK_INT(read(out, back, BYTES + 1), BYTES);
    CHECK(memcmp(back, data, BYTES) == 0);
    r = request("GET", "/nowhere"); /* an error page does not belong into the file */
    r.out_fd = out;
    CHECK_INT(fetch(&r), 0);
    CHECK_STR(body(), "no /nowhere");
    in = open(from, O_RDONLY); /* shorter than promised */
    r = request("PUT", "/echo");
    r.in_fd = in;
    r.in_bytes = BYTES + 10;
    CHECK_INT(fetch(&r), -1);
    CHECK_INT(got.e.code, ERR_IO);
    r = request("GET", "/big/5000001");
    r.out_fd = open("/dev/full", O_WRONLY);
    CHECK_INT(fetch(&r), -1);
    CHECK_INT(got.e.code, ERR_FULL);
    unlink(from);
    unlink(to);
    free(data);
    free(back);
}

static void on_tick(uv_timer_t *t)
{
    (void)t;
}

/* Cancelled at every stage: no callback, nothing left behind. */
static void cancels(void)
{
    static const char *const paths[] = { "/slow", "/big/3000000", "/hello" };
    static uv_timer_t tick; /* closes after this function */

    uv_timer_init(&loop, &tick);
    uv_timer_start(&tick, on_tick, 1, 1);
    for (int i = 0; i < 60; i++) {
        struct err e;
        struct cloud_request r = request("GET", paths[i % 3]);
        int done = n_done;
        if (i % 2)
            r.out_fd = open("/dev/null", O_WRONLY);
        struct cloud_transfer *t = cloud_fetch_start(fetcher, &r, &e);
        CHECK(t != NULL);
        for (int k = 0; k < i / 3 && n_done == done; k++)
            uv_run(&loop, UV_RUN_ONCE);
        if (n_done == done) {
            cloud_fetch_cancel(t);
            for (int k = 0; k < 3; k++)
                uv_run(&loop, UV_RUN_ONCE);
            CHECK_INT(n_done, done);
        }
        CHECK_INT(cloud_fetch_active(fetcher), 0);
    }
    uv_close((uv_handle_t *)&tick, NULL);
}

static void out_of_memory(void)
{
    for (size_t n = 1; n < 30; n++) {
        struct cloud_request r = request("POST", "/echo");
        r.body = "abc";
        r.body_bytes = 3;
        int before = n_done;
        struct err e;
        mem_fail_at(n);
        if (cloud_fetch_start(fetcher, &r, &e) != NULL)
            while (n_done == before)
                uv_run(&loop, UV_RUN_ONCE);
        mem_fail_at(0);
    }
    CHECK_INT(cloud_fetch_active(fetcher), 0);
}

int main(void)
{
    struct err e;

    uv_loop_init(&loop);
    serve();
    fetcher = cloud_fetch_new(&loop, &e);
    plain();
    refused();
    redirects();
    trouble();
    retries();
    files();
    cancels();
    out_of_memory();
    struct cloud_request r = request("GET", "/slow");
    CHECK(cloud_fetch_start(fetcher, &r, &e) != NULL);
    r.out_fd = open("/dev/null", O_WRONLY);
    CHECK(cloud_fetch_start(fetcher, &r, &e) != NULL);
    int done = n_done;
    cloud_fetch_free(fetcher); /* with transfers under way */
    uv_close((uv_handle_t *)&server, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK_INT(n_done, done);
    CHECK_INT(uv_loop_close(&loop), 0);
    buf_deinit(&got.headers);
    buf_deinit(&got.body);
    mem_free(got.url);
    CHECK_INT(mem_live(), 0);
    return check_done();
}
