/*
 * http_conn.h - one connection: bytes in, requests one after the other, bytes out.
 *
 *     CONN_HEAD ──head whole──> CONN_REQUEST ──answered──> CONN_HEAD
 *         │                          └──answered, not to be kept──> CONN_LINGER ──> CONN_CLOSING
 *         └──refused──> CONN_LINGER
 *
 * Input that comes before its time (pipelining) waits in `in`; answers gather in `out` and leave
 * with one write when the input at hand is used up. An idle connection owns no buffer.
 * Only for the http room.
 */
#ifndef HTTP_CONN_H
#define HTTP_CONN_H

#include <uv.h>

#include "base/buf.h"
#include "base/err.h"

struct http_server;
struct http_req;
struct http_tls_conn;

enum conn_state { CONN_HEAD, CONN_REQUEST, CONN_LINGER, CONN_CLOSING };

struct http_conn {
    uv_tcp_t tcp; /* first */
    struct http_server *server;
    struct http_conn *prev, *next;
    struct http_conn *next_dirty;
    struct http_req *req;
    struct http_tls_conn *tls;
    struct buf in;      /* read and not yet used */
    struct buf out;     /* to be sent */
    struct buf flight;  /* being sent by libuv */
    uv_write_t write;
    size_t head_at;     /* see http_parse_end */
    uint64_t since_ms;  /* in this state, or since the first byte of this head */
    uint64_t seen_ms;   /* last byte read */
    uint64_t sent_ms;   /* last progress of a write */
    size_t last_queue;
    uint32_t n_requests;
    enum conn_state state;
    int port;
    char ip[46];
    uint8_t is_reading, is_writing, is_dirty, is_busy, has_head_bytes, n_skipped;
    uint8_t close_when_sent, is_eof, is_shut;
};

/* Takes over a connection just accepted into c->tcp (initialised, in the loop). */
void http_conn_start(struct http_conn *c);

/* Plain bytes that came in. */
void http_conn_feed(struct http_conn *c, const char *p, size_t n);

/* Room for `bytes` more of output, or NULL (no memory; the caller cuts the connection). */
char *http_conn_room(struct http_conn *c, size_t bytes);

/* Bytes not yet in the kernel's hands. */
size_t http_conn_unsent(const struct http_conn *c);

/* There is output: it is sent before the loop sleeps, or when the input at hand is used up. */
void http_conn_mark(struct http_conn *c);
void http_conn_flush(struct http_conn *c);

/* The answer of c->req is complete in `out`. Goes on with what waits. */
void http_conn_answered(struct http_conn *c);

/* Reads or stops reading, as the buffers say. */
void http_conn_pace(struct http_conn *c);

/* The connection ends now: without sending what waits. Tells the app. */
void http_conn_cut(struct http_conn *c);

/* Looks at the clock. */
void http_conn_tick(struct http_conn *c, uint64_t now_ms, uint64_t passed_ms);

#endif
