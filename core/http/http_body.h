/*
 * http_body.h - the body of a request, taken piece by piece by one consumer.
 *
 * Bytes that come in wait in the request, at most HTTP_BODY_HIGH and one read; then the socket is
 * left alone until the consumer has eaten. `Expect: 100-continue` is answered when somebody first
 * asks for the body.
 */
#ifndef HTTP_BODY_H
#define HTTP_BODY_H

#include <stddef.h>

#include "http/http_req.h"

/*
 * Asks for the body: fn is called from the loop when there are new bytes, at its end, and when it
 * fails; never from inside this call, so look first. NULL: nobody waits any more.
 */
void http_body_watch(struct http_req *r, void (*fn)(struct http_req *r, void *arg), void *arg);

/* The bytes at hand: their number and where. Valid until the loop is entered or http_body_eat. */
size_t http_body_ready(const struct http_req *r, const char **p);
void http_body_eat(struct http_req *r, size_t n);

/* Is the body at most that large, as far as is known by now? 0, or -1 `limit`. */
int http_body_fits(struct http_req *r, size_t max_bytes, struct err *e);

/* Fills `e` with why the body failed. Returns -1. */
int http_body_error(const struct http_req *r, struct err *e);

/* --- for the room --- */

void http_body_begin(struct http_req *r); /* after the head */
size_t http_body_feed(struct http_req *r, const char *p, size_t n);
/* Ends an unfinished body; `status` is what the client deserves if it is still there, or 0. */
void http_body_fail(struct http_req *r, enum err_code code, int status, const char *why);

#endif
