/*
 * http_server.c - listen, accept, clock, drain. See http_server.h.
 */
#include "http/http_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/http_conn.h"
#include "http/http_gzip.h"
#include "http/http_req.h"
#include "http/http_tls.h"

#define BACKLOG 4096
#define LOG_DELAY_MS 10
#define FLUSH_ROUNDS 4

/* --- the end of everything: the last handle, connection or request frees the server --- */

void http_server_unref(struct http_server *s)
{
    assert(s->n_handles > 0);
    if (--s->n_handles > 0)
        return;
    http_req_free_spares(s);
    for (unsigned i = 0; i < s->n_spare_out; i++)
        buf_deinit(&s->spare_out[i]);
    buf_deinit(&s->scratch);
    buf_deinit(&s->json);
    http_gzip_free(s->gzip);
    http_tls_close(s->tls);
    http_stat_deinit(&s->stat);
    void (*on_closed)(void *) = s->on_closed;
    void *arg = s->on_closed_arg;
    mem_free(s);
    if (on_closed != NULL)
        on_closed(arg);
}

static void on_handle_closed(uv_handle_t *h)
{
    http_server_unref(h->data);
}

static void stop_listening(struct http_server *s)
{
    if (!s->is_listening)
        return;
    s->is_listening = 0;
    uv_close((uv_handle_t *)&s->listener, on_handle_closed);
}

void http_server_close(struct http_server *s, void (*on_closed)(void *arg), void *arg)
{
    if (s->closing)
        return;
    s->closing = 1;
    s->on_drained = NULL;
    s->on_closed = on_closed;
    s->on_closed_arg = arg;
    stop_listening(s);
    while (s->conns != NULL)
        http_conn_cut(s->conns);
    uv_close((uv_handle_t *)&s->sweep, on_handle_closed);
    uv_close((uv_handle_t *)&s->log_timer, on_handle_closed);
    uv_close((uv_handle_t *)&s->drain_timer, on_handle_closed);
    uv_close((uv_handle_t *)&s->prepare, on_handle_closed);
    uv_close((uv_handle_t *)&s->again, on_handle_closed);
}

/* --- drain --- */

static void drained(struct http_server *s)
{
    void (*fn)(struct http_server *, void *) = s->on_drained;

    s->on_drained = NULL;
    uv_timer_stop(&s->drain_timer);
    if (fn != NULL)
        fn(s, s->on_drained_arg);
}

void http_server_check_drained(struct http_server *s)
{
    if (s->draining && !s->closing && s->stat.connections == 0 && s->on_drained != NULL)
        drained(s);
}

static void on_drain_timer(uv_timer_t *t)
{
    struct http_server *s = t->data;

    while (s->conns != NULL)
        http_conn_cut(s->conns);
    if (s->on_drained != NULL && s->stat.connections == 0)
        drained(s);
}

static void adopt(struct http_server *s);

void http_server_drain(struct http_server *s, double seconds,
                       void (*on_drained)(struct http_server *s, void *arg), void *arg)
{
    if (s->draining || s->closing)
        return;
    /* who is connected already must not be turned away by the closing socket */
    if (s->is_listening) {
        uv_os_fd_t fd;
        if (uv_fileno((uv_handle_t *)&s->listener, &fd) == 0)
            for (int k; (k = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
                s->accepted_fd = k;
                adopt(s);
            }
    }
    s->draining = 1;
    s->on_drained = on_drained;
    s->on_drained_arg = arg;
    stop_listening(s);
    uint64_t ms = seconds > 0 ? (uint64_t)(seconds * 1000) : 0;
    /* never from inside this call: a server without connections is drained in the next turn */
    uv_timer_start(&s->drain_timer, on_drain_timer, s->stat.connections ? ms : 0, 0);
    s->sweep_ms = s->sweep_ms < 20 ? s->sweep_ms : 20;
    uv_timer_start(&s->sweep, s->on_sweep, s->sweep_ms, s->sweep_ms);
}

/* --- accepting --- */

static void on_orphan_closed(uv_handle_t *h)
{
    struct http_conn *c = (struct http_conn *)h;
    struct http_server *s = c->server;

    http_tls_free(c->tls);
    mem_free(c);
    http_server_unref(s);
}

/* More connections than allowed: say so and go, without reading. */
static void turn_away(struct http_conn *c)
{
    static const char TEXT[] = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"
                               "Retry-After: 1\r\nContent-Length: 0\r\n\r\n";
    uv_buf_t b = uv_buf_init((char *)(uintptr_t)TEXT, sizeof TEXT - 1);

    if (c->tls == NULL)
        uv_try_write((uv_stream_t *)&c->tcp, &b, 1);
    c->server->stat.refused++;
    uv_close((uv_handle_t *)&c->tcp, on_orphan_closed);
}

static void name_peer(struct http_conn *c)
{
    struct sockaddr_storage a;
    int n = sizeof a;

    memcpy(c->ip, "", 1);
    if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&a, &n) != 0)
        return;
    if (a.ss_family == AF_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)&a;
        uv_ip4_name(in, c->ip, sizeof c->ip);
        c->port = ntohs(in->sin_port);
    } else if (a.ss_family == AF_INET6) {
        struct sockaddr_in6 *in = (struct sockaddr_in6 *)&a;
        uv_ip6_name(in, c->ip, sizeof c->ip);
        c->port = ntohs(in->sin6_port);
        if (IN6_IS_ADDR_V4MAPPED(&in->sin6_addr))
            memmove(c->ip, c->ip + 7, strlen(c->ip + 7) + 1); /* "::ffff:" */
    }
}

/* One connection from the listener, or s->accepted_fd. */
static void adopt(struct http_server *s)
{
    struct http_conn *c = mem_zero(1, sizeof *c);
    int fd = s->accepted_fd;

    s->accepted_fd = -1;
    if (c == NULL || uv_tcp_init(s->loop, &c->tcp) != 0) {
        mem_free(c);
        if (fd >= 0)
            close(fd);
        return; /* libuv keeps the connection for a later try */
    }
    c->server = s;
    c->tcp.data = c;
    s->n_handles++;
    int bad = fd >= 0 ? uv_tcp_open(&c->tcp, fd)
                      : uv_accept((uv_stream_t *)&s->listener, (uv_stream_t *)&c->tcp);
    if (bad) {
        if (fd >= 0)
            close(fd);
        uv_close((uv_handle_t *)&c->tcp, on_orphan_closed);
        return;
    }
    if (s->tls != NULL && (c->tls = http_tls_new(s->tls)) == NULL) {
        uv_close((uv_handle_t *)&c->tcp, on_orphan_closed);
        return;
    }
    if (s->stat.connections >= s->limits.connections) {
        turn_away(c);
        return;
    }
    uv_tcp_nodelay(&c->tcp, 1);
    name_peer(c);
    s->stat.accepted++;
    s->stat.connections++;
    c->next = s->conns;
    if (s->conns)
        s->conns->prev = c;
    s->conns = c;
    if (!uv_is_active((uv_handle_t *)&s->sweep))
        uv_timer_start(&s->sweep, s->on_sweep, s->sweep_ms, s->sweep_ms);
    http_conn_start(c);
}

static void on_connection(uv_stream_t *h, int status)
{
    struct http_server *s = h->data;

    if (status == 0) {
        adopt(s);
    } else if (s->accept_trouble_ms + 1000 < uv_now(s->loop) || s->accept_trouble_ms == 0) {
        /* out of descriptors: libuv closes one of the waiting; once a second is enough to know */
        s->accept_trouble_ms = uv_now(s->loop);
        LOG(LOG_WARN, "accept failed", LOG_S("reason", uv_strerror(status)),
            LOG_I("connections", s->stat.connections));
    }
}

/* --- clock and output --- */

static void on_sweep(uv_timer_t *t)
{
    struct http_server *s = t->data;
    uint64_t now = uv_now(s->loop), passed = now - s->swept_ms;

    if (passed > 2 * s->sweep_ms)
        passed = s->sweep_ms;
    s->swept_ms = now;
    for (struct http_conn *c = s->conns, *next; c != NULL; c = next) {
        /* a tick may end any connection, by way of the app: http_conn_cut moves sweep_next on */
        s->sweep_next = c->next;
        http_conn_tick(c, now, passed);
        next = s->sweep_next;
    }
    if (s->conns == NULL && !s->closing)
        uv_timer_stop(&s->sweep);
}

static void on_again(uv_idle_t *h)
{
    (void)h; /* keeps the loop from sleeping while there is output to push */
}

static void on_prepare(uv_prepare_t *h)
{
    struct http_server *s = h->data;

    for (int round = 0; round < FLUSH_ROUNDS && s->dirty != NULL; round++) {
        struct http_conn *c = s->dirty;
        s->dirty = NULL;
        while (c != NULL) {
            struct http_conn *next = c->next_dirty; /* one that is cut meanwhile stays in memory */
            c->is_dirty = 0;
            http_conn_flush(c);
            http_conn_pace(c);
            c = next;
        }
    }
    if (s->dirty != NULL)
        uv_idle_start(&s->again, on_again);
    else
        uv_idle_stop(&s->again);
}

static void on_log_timer(uv_timer_t *t)
{
    struct http_server *s = t->data;

    s->log_pending = 0;
    log_flush();
}

void http_server_log_soon(struct http_server *s)
{
    if (s->log_pending || s->closing)
        return;
    s->log_pending = 1;
    uv_timer_start(&s->log_timer, on_log_timer, LOG_DELAY_MS, 0);
}

/* --- opening --- */

static int listen_fd(const struct http_server_opt *opt, struct err *e)
{
    struct sockaddr_storage a = { 0 };
    const char *host = opt->host ? opt->host : "127.0.0.1";
    socklen_t n = sizeof(struct sockaddr_in);
    int one = 1;

    if (opt->port < 0 || opt->port > 65535)
        return err_set(e, ERR_INVALID, "port %d is not between 0 and 65535", opt->port);
    if (uv_ip4_addr(host, opt->port, (struct sockaddr_in *)&a) != 0) {
        if (uv_ip6_addr(host, opt->port, (struct sockaddr_in6 *)&a) != 0)
            return err_set(e, ERR_INVALID, "\"%s\" is not an IP address to listen on", host);
        n = sizeof(struct sockaddr_in6);
    }
    int fd = socket(a.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_errno(e, errno, "a socket for %s", host);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (opt->reuse_port)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&a, n) != 0 || listen(fd, BACKLOG) != 0) {
        int why = errno;
        close(fd);
        err_errno(e, why, "listening on %s port %d", host, opt->port);
        if (why == EADDRINUSE && e != NULL)
            e->code = ERR_BUSY;
        return -1;
    }
    return fd;
}

static uint64_t shorter(uint64_t a, uint64_t b) { return a < b ? a : b; }

static void pick_sweep(struct http_server *s)
{
    const struct http_limits *l = &s->limits;
    uint64_t ms = shorter(shorter(l->header_timeout_ms, l->body_idle_ms),
                          shorter(l->keepalive_ms, l->write_idle_ms)) / 4;

    s->sweep_ms = ms < 10 ? 10 : ms > 1000 ? 1000 : ms;
    s->on_sweep = on_sweep;
}

struct http_server *http_server_open(uv_loop_t *loop, const struct http_server_opt *opt,
                                     struct err *e)
{
    struct http_server *s = mem_zero(1, sizeof *s);
    int fd = opt->fd, bad;

    if (s == NULL) {
        err_set(e, ERR_NOMEM, "no memory for a server");
        return NULL;
    }
    s->loop = loop;
    s->limits = opt->limits;
    s->app = opt->app;
    s->accepted_fd = -1;
    buf_init(&s->scratch, 64 << 20);
    buf_init(&s->json, 256 << 20);
    pick_sweep(s);
    if (getrandom(s->random, sizeof s->random, 0) != sizeof s->random)
        s->random[0] = uv_hrtime() | 1;
    if (opt->cert != NULL && (s->tls = http_tls_open(opt->cert, opt->key, e)) == NULL) {
        mem_free(s);
        return NULL;
    }
    if (fd < 0 && (fd = listen_fd(opt, e)) < 0) {
        http_tls_close(s->tls);
        mem_free(s);
        return NULL;
    }
    uv_timer_init(loop, &s->sweep);
    uv_timer_init(loop, &s->log_timer);
    uv_timer_init(loop, &s->drain_timer);
    uv_prepare_init(loop, &s->prepare);
    uv_idle_init(loop, &s->again);
    s->sweep.data = s->log_timer.data = s->drain_timer.data = s->prepare.data = s->again.data = s;
    s->n_handles = 5;
    uv_prepare_start(&s->prepare, on_prepare);
    uv_unref((uv_handle_t *)&s->prepare);
    uv_unref((uv_handle_t *)&s->sweep);
    uv_unref((uv_handle_t *)&s->log_timer);
    if ((bad = uv_tcp_init(loop, &s->listener)) == 0) {
        s->listener.data = s;
        s->n_handles++;
        s->is_listening = 1;
        if ((bad = uv_tcp_open(&s->listener, fd)) != 0)
            close(fd);
        else
            bad = uv_listen((uv_stream_t *)&s->listener, BACKLOG, on_connection);
    } else {
        close(fd);
    }
    if (bad) {
        err_set(e, ERR_IO, "listening: %s", uv_strerror(bad));
        http_server_close(s, NULL, NULL);
        return NULL;
    }
    return s;
}

int http_server_address(struct http_server *s, char *host, size_t n_host, int *port, struct err *e)
{
    struct sockaddr_storage a;
    int n = sizeof a;

    if (!s->is_listening || uv_tcp_getsockname(&s->listener, (struct sockaddr *)&a, &n) != 0)
        return err_set(e, ERR_IO, "the server does not listen");
    if (a.ss_family == AF_INET6) {
        uv_ip6_name((struct sockaddr_in6 *)&a, host, n_host);
        *port = ntohs(((struct sockaddr_in6 *)&a)->sin6_port);
    } else {
        uv_ip4_name((struct sockaddr_in *)&a, host, n_host);
        *port = ntohs(((struct sockaddr_in *)&a)->sin_port);
    }
    return 0;
}

int http_server_reload_tls(struct http_server *s, struct err *e)
{
    if (s->tls == NULL)
        return err_set(e, ERR_INVALID, "this server speaks no TLS");
    return http_tls_reload(s->tls, e);
}
