/*
 * buf.h - growing bytes with a mandatory maximum.
 *
 * Passing the maximum is the `limit` error, never a bigger buffer. After a failed add the buffer
 * is as it was before it. Not shared between threads.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>

#include "base/err.h"

struct buf {
    char *data; /* NULL while empty; not NUL-terminated unless buf_text was asked */
    size_t len, cap, max;
};

void buf_init(struct buf *b, size_t max_bytes);
void buf_deinit(struct buf *b); /* may run twice */

/* Makes room for `bytes` more behind len. The pointer is valid until the next growth. */
char *buf_room(struct buf *b, size_t bytes, struct err *e);

/* Add to the end. 0, or -1 with `nomem` or `limit`. */
int buf_add(struct buf *b, const void *data, size_t bytes, struct err *e);
int buf_addc(struct buf *b, char c, struct err *e);
int buf_adds(struct buf *b, const char *text, struct err *e);
int buf_addf(struct buf *b, struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The content with a NUL behind it (not counted), or NULL. Borrowed from the buffer. */
const char *buf_text(struct buf *b, struct err *e);

/* Drops `bytes` from the front. */
void buf_eat(struct buf *b, size_t bytes);

static inline void buf_clear(struct buf *b) { b->len = 0; }

#endif
