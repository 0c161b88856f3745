/*
 * http_server.h - listens, accepts, watches the clock, drains. HTTP/1.1 without Lua.
 *
 * The room from outside: make a server with an http_app; each request is handed over in on_request
 * and answered with http_reply.h (http_file.h, http_gzip.h), its body is read with http_body.h
 * (http_save.h, http_form.h). Connections and requests belong to the server. Loop thread only.
 *
 * Time is kept by one timer that looks at all connections a few times a second: no timer is started
 * or stopped per request.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <uv.h>

#include "base/buf.h"
#include "base/err.h"
#include "http/http_parse.h"
#include "http/http_stat.h"

struct http_conn;
struct http_req;
struct http_gzip;
struct http_tls;

struct http_app {
    /*
     * A request with its whole head. It stays valid until http_req_done(r), which the app must call
     * exactly once for each, also after on_gone.
     */
    void (*on_request)(struct http_req *r, void *arg);
    /* The client has left before its answer was complete. Nothing more can be sent. */
    void (*on_gone)(struct http_req *r, void *arg);
    void *arg;
};

struct http_server_opt {
    const char *host;  /* address, no name; NULL = 127.0.0.1 */
    int port;          /* 0 = any free one */
    int fd;            /* a listening socket to take over, or -1 */
    int reuse_port;    /* several processes listen on one port */
    const char *cert, *key; /* PEM files: TLS; or NULL */
    struct http_limits limits;
    struct http_app app;
};

#define HTTP_READ_BYTES (64 << 10)
#define HTTP_SPARES 64

struct http_server {
    uv_loop_t *loop;
    uv_tcp_t listener;
    uv_timer_t sweep, log_timer, drain_timer;
    uv_prepare_t prepare;
    uv_idle_t again;             /* active while output is left for the next turn of the loop */
    int n_handles;               /* not yet closed */
    struct http_limits limits;
    struct http_app app;
    struct http_conn *conns;     /* all, doubly linked */
    struct http_conn *dirty;     /* with bytes to send, flushed before the loop sleeps */
    struct http_req *spare_reqs;
    unsigned n_spare_reqs;
    struct buf spare_out[HTTP_SPARES];
    unsigned n_spare_out;
    char read_buf[HTTP_READ_BYTES]; /* all connections read into it: nothing is kept there */
    struct buf scratch;          /* of one call into the room, never across two */
    struct buf json;             /* the same, for who makes bodies outside of the room */
    struct http_gzip *gzip;
    struct http_tls *tls;
    struct http_stat stat;
    uint64_t random[4];          /* state of the request id generator */
    uint64_t sweep_ms, swept_ms, accept_trouble_ms;
    uv_timer_cb on_sweep;
    int accepted_fd;             /* on its way into adopt, or -1 */
    struct http_conn *sweep_next; /* where the walk goes on, if that one ends meanwhile */
    uint8_t is_listening, draining, closing, log_pending;
    void (*on_drained)(struct http_server *s, void *arg);
    void *on_drained_arg;
    void (*on_closed)(void *arg);
    void *on_closed_arg;
};

/* Listens. NULL with `io`, `busy` (port taken), `invalid`, `nomem`. */
struct http_server *http_server_open(uv_loop_t *loop, const struct http_server_opt *opt,
                                     struct err *e);

/* Where it listens. -1 `io`. */
int http_server_address(struct http_server *s, char *host, size_t n_host, int *port,
                        struct err *e);

/*
 * Takes what waits to be accepted, then stops listening; running requests are finished, each
 * connection is closed after its answer. on_drained comes when no connection is left, or after
 * `seconds`, when the rest is cut. Once; also after http_server_close it comes no more.
 */
void http_server_drain(struct http_server *s, double seconds,
                       void (*on_drained)(struct http_server *s, void *arg), void *arg);

/*
 * Cuts everything (on_gone for what runs). The memory goes when the loop has let go of the handles
 * and every request was http_req_done; then on_closed (NULL is fine).
 */
void http_server_close(struct http_server *s, void (*on_closed)(void *arg), void *arg);

/* Reads certificate and key again; on failure the old ones stay. -1 `io`, `invalid`. */
int http_server_reload_tls(struct http_server *s, struct err *e);

/* --- for the room --- */

void http_server_check_drained(struct http_server *s);
void http_server_unref(struct http_server *s); /* one handle or request less */
void http_server_log_soon(struct http_server *s);

#endif
