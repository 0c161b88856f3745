/*
 * http_sink.h - writes a new file off the loop and takes its SHA-256 on the way.
 *
 * Two buffers: one is filled on the loop while a worker of libuv's pool writes and hashes the
 * other.
 * The file is made by the first write (O_EXCL, 0600) and removed unless http_sink_take says that it
 * is good. Loop thread only.
 */
#ifndef HTTP_SINK_H
#define HTTP_SINK_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"

#define HTTP_SINK_HASH 65 /* hexadecimal and NUL */

struct http_sink;

/*
 * on_ready comes from the loop, never from inside a call: there is room again, or it failed, or all
 * is written. NULL: no memory. Nothing is touched on disk before the first byte or the end.
 */
struct http_sink *http_sink_new(uv_loop_t *loop, const char *path, void (*on_ready)(void *arg),
                                void *arg);

/* Takes what fits of p[0…n); less than n: wait for on_ready. */
size_t http_sink_put(struct http_sink *k, const char *p, size_t n);

/* What http_sink_put would take now; while it is less than HTTP_SINK_WRITE, on_ready will come. */
#define HTTP_SINK_WRITE (256 << 10)
size_t http_sink_room(const struct http_sink *k);

/* No more bytes will come. */
void http_sink_end(struct http_sink *k);

/* 1: all is written; 0: not yet; -1: failed, `e` says why (`exists`, `full`, `io`, `nomem` …). */
int http_sink_state(const struct http_sink *k, struct err *e);

/* After state 1: bytes and hash; the file stays and belongs to the caller. */
void http_sink_take(struct http_sink *k, uint64_t *bytes, char hash[HTTP_SINK_HASH]);

/* Ends it in any state, later if a worker is busy; a file not taken is removed. NULL is fine. */
void http_sink_free(struct http_sink *k);

/* The same; on_gone comes when no file is left: at once when there was none, else from the loop. */
void http_sink_free_then(struct http_sink *k, void (*on_gone)(void *arg), void *arg);

#endif
