/*
 * The HTTP room without Lua: a server, a client on the same loop, answers by callbacks; every
 * allocation fails in turn.
 */
#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "base/log.h"
#include "base/mem.h"
#include "check.h"
#include "http/http_body.h"
#include "http/http_date.h"
#include "http/http_file.h"
#include "http/http_form.h"
#include "http/http_reply.h"
#include "http/http_save.h"
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

static char dir[] = "/tmp/test_http_server.XXXXXX", path[64];

/* What works for a request: one at a time here. */
static struct {
    struct http_req *r;
    struct http_save *save;
    struct http_form *form;
    struct http_file *file;
} job;

static void say(struct http_req *r, const char *text)
{
    struct err e;

    memset(&job, 0, sizeof job);
    if (http_reply_start(r, 200, &e) == 0)
        http_reply_body(r, text, strlen(text), &e);
    http_req_done(r);
}

static void on_saved(const struct http_save_end *end, void *arg)
{
    say(arg, end->failed ? "not saved" : end->hash);
}

static void form_over(struct http_req *r, struct http_form *f, int failed)
{
    char text[200] = "no form";

    if (!failed)
        snprintf(text, sizeof text, "%u parts, %.5s, %.8s", f->n_parts, f->parts[0].value.data,
                 f->parts[1].hash);
    http_form_free(f);
    say(r, text);
}

static void on_form(struct http_form *f, int failed, const struct err *e, void *arg)
{
    (void)e;
    form_over(arg, f, failed);
}

static void on_file(int failed, const struct err *e, void *arg)
{
    (void)e;
    if (failed) {
        say(arg, "no file");
    } else {
        memset(&job, 0, sizeof job);
        http_req_done(arg);
    }
}

static int is(const struct http_req *r, const char *text)
{
    return r->head.path.n == strlen(text) && memcmp(r->head.path.p, text, r->head.path.n) == 0;
}

static int start_job(struct http_req *r)
{
    struct http_form_limits l = { dir, 10000, 10000, 1000, 5 };
    struct http_file_opt opt = { 0 };
    struct err e;

    job.r = r;
    if (is(r, "/save")) {
        job.save = http_save_start(r, path, 10000, on_saved, r, &e);
    } else if (is(r, "/form")) {
        job.form = http_form_start(r, &l, on_form, r, &e);
        if (job.form != NULL && job.form->is_done)
            form_over(r, job.form, 0);
        else if (job.form == NULL)
            say(r, "no form");
        return 1;
    } else if (is(r, "/file")) {
        job.file = http_file_send(r, path, &opt, on_file, r, &e);
    } else {
        return 0;
    }
    if (job.save == NULL && job.file == NULL)
        say(r, "not begun");
    return 1;
}

static void on_request(struct http_req *r, void *arg)
{
    struct err e;

    (void)arg;
    if (start_job(r))
        return;
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
    if (job.r == r) {
        if (job.save != NULL)
            http_save_cancel(job.save);
        if (job.file != NULL)
            http_file_cancel(job.file);
        http_form_free(job.form);
        memset(&job, 0, sizeof job);
    }
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

#define JOBS                                                                                       \
    "PUT /save HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"                                 \
    "GET /file HTTP/1.1\r\nHost: a\r\n\r\n"                                                          \
    "POST /form HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n"            \
    "Content-Length: 133\r\n\r\n"                                                                  \
    "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\nvalue\r\n"                             \
    "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"n\"\r\n\r\nhello\r\n--b--\r\n"     \
    "GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

/* Files in the folder; removes the one that may stay. */
static int n_files(void)
{
    DIR *d = opendir(dir);
    int n = 0;

    unlink(path);
    for (struct dirent *f; (f = readdir(d)) != NULL;)
        n += f->d_name[0] != '.';
    closedir(d);
    return n;
}

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
    CHECK(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/saved", dir);
    CHECK_INT(talk(JOBS, 0), 0);
    CHECK_INT(count("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"), 1);
    CHECK_INT(count("\r\n\r\nhello"), 1);
    CHECK_INT(count("2 parts, value, 2cf24dba"), 1);
    CHECK_INT(count("HTTP/1.1 500"), 1);
    CHECK_INT(n_files(), 0);
    for (size_t i = 1; i < 60; i++) {
        talk(JOBS, i);
        CHECK_INT(n_files(), 0);
    }
    rmdir(dir);
    return check_done();
}
