/*
 * http_reply.h - the answer: head, then a body known at once or a stream.
 *
 *     http_reply_start(r, 200);
 *     http_reply_header(r, "content-type", 12, "text/plain", 10, &e);
 *     http_reply_body(r, data, n);                    or http_reply_stream, _chunk …, _end
 *
 * Everything is written straight into the connection's output. Between start and body (or stream)
 * nothing else may happen to the request: one call of the app makes a head. Added by itself: Date,
 * X-Request-Id, Content-Length or Transfer-Encoding, Connection, Vary and Content-Encoding. A HEAD
 * request gets the head alone.
 */
#ifndef HTTP_REPLY_H
#define HTTP_REPLY_H

#include <stddef.h>

#include "http/http_req.h"

/* 0, or -1: `cancelled` client gone; `invalid` answered already, status not 200…599; `nomem` */
int http_reply_start(struct http_req *r, int status, struct err *e);

/*
 * -1 `invalid` for a name that is no token, a value with control bytes, or a header that is not the
 * app's to set (Content-Length, Transfer-Encoding, Date, X-Request-Id, Connection but `close`).
 */
int http_reply_header(struct http_req *r, const char *name, size_t n_name, const char *value,
                      size_t n_value, struct err *e);

/*
 * For headers that are the same in every answer: http_reply_line checks one and adds it to `out` as a
 * line (-1 also for a header that means something to this room, so must be given each time);
 * http_reply_lines puts what was so made into a head as it is.
 */
int http_reply_line(struct buf *out, const char *name, size_t n_name, const char *value,
                    size_t n_value, struct err *e);
int http_reply_lines(struct http_req *r, const char *lines, size_t n, struct err *e);

/* Another status for a head already begun. -1: no memory, the head is as it was. */
int http_reply_restatus(struct http_req *r, int status);

/* Takes a begun head back: the request is unanswered again. */
void http_reply_undo(struct http_req *r);

/* The whole body, copied; gzip when it pays and is allowed. The request is answered. */
int http_reply_body(struct http_req *r, const char *data, size_t n, struct err *e);

/* A body of exactly n_total bytes follows in http_reply_chunk calls (files). */
int http_reply_sized(struct http_req *r, uint64_t n_total, struct err *e);

/* A body of unknown length follows. */
int http_reply_stream(struct http_req *r, struct err *e);

/* The next piece; more than HTTP_BODY_HIGH unsent (http_reply_is_full): wait for r->on_room. */
int http_reply_chunk(struct http_req *r, const char *data, size_t n, struct err *e);
int http_reply_is_full(const struct http_req *r);

/* All is said. The request is answered. */
void http_reply_end(struct http_req *r);

/* For a request whose r->conn is NULL: why. Returns -1. */
int http_reply_over(const struct http_req *r, struct err *e);

/* Cuts the connection in the middle of an answer. */
void http_reply_cut(struct http_req *r);

/* The error envelope; `code` NULL means "http_<status>". Best effort. */
void http_reply_error(struct http_req *r, int status, const char *code, const char *message);

/* "OK" …; "" for an unknown one. */
const char *http_reply_reason(int status);

#endif
