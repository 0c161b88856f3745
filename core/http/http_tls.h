/*
 * http_tls.h - TLS 1.2 and 1.3 by OpenSSL over memory buffers; the sockets stay libuv's.
 *
 * The certificate can be read again at any time: connections keep what they began with.
 */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

#include <stddef.h>

#include "base/err.h"

struct http_conn;
struct http_tls;
struct http_tls_conn;

/* Reads a PEM chain and its key; copies the paths for http_tls_reload. NULL: `io`, `invalid`. */
struct http_tls *http_tls_open(const char *cert, const char *key, struct err *e);
int http_tls_reload(struct http_tls *t, struct err *e);
void http_tls_close(struct http_tls *t);

/* NULL: no memory. */
struct http_tls_conn *http_tls_new(struct http_tls *t);
void http_tls_free(struct http_tls_conn *t);

/* Is the handshake over? */
int http_tls_is_ready(const struct http_tls_conn *t);

/* Bytes from the socket: decrypts, feeds the connection. -1: the connection must be cut. */
int http_tls_open_sealed(struct http_conn *c, const char *p, size_t n);

/* Replaces c->out by its sealed form (and what the handshake has to say). -1: cut. */
int http_tls_seal(struct http_conn *c);

/* Says that no more will come, if the socket takes it. */
void http_tls_goodbye(struct http_conn *c);

#endif
