/*
 * buf.c - growing bytes with a maximum. See buf.h.
 */
#include "base/buf.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define FIRST_BYTES 256

void buf_init(struct buf *b, size_t max_bytes)
{
    *b = (struct buf){ .max = max_bytes };
}

void buf_deinit(struct buf *b)
{
    mem_free(b->data);
    b->data = NULL;
    b->len = b->cap = 0;
}

char *buf_room(struct buf *b, size_t bytes, struct err *e)
{
    if (bytes <= b->cap - b->len)
        return b->data + b->len;
    if (bytes > b->max - b->len) {
        err_set(e, ERR_LIMIT, "%zu bytes and %zu more are over the limit of %zu bytes", b->len,
                bytes, b->max);
        return NULL;
    }
    size_t need = b->len + bytes;
    size_t cap = b->cap ? b->cap : FIRST_BYTES;
    while (cap < need)
        cap += cap / 2 + 64;
    if (cap > b->max)
        cap = b->max;
    char *p = mem_resize(b->data, cap);
    if (p == NULL) {
        err_set(e, ERR_NOMEM, "no memory for a buffer of %zu bytes", cap);
        return NULL;
    }
    b->data = p;
    b->cap = cap;
    return b->data + b->len;
}

int buf_add(struct buf *b, const void *data, size_t bytes, struct err *e)
{
    if (bytes == 0)
        return 0;
    char *to = buf_room(b, bytes, e);
    if (to == NULL)
        return -1;
    memcpy(to, data, bytes);
    b->len += bytes;
    return 0;
}

int buf_addc(struct buf *b, char c, struct err *e)
{
    return buf_add(b, &c, 1, e);
}

int buf_adds(struct buf *b, const char *text, struct err *e)
{
    return buf_add(b, text, strlen(text), e);
}

int buf_addf(struct buf *b, struct err *e, const char *fmt, ...)
{
    char small[512];
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    if (n < 0)
        return err_set(e, ERR_INVALID, "text cannot be formatted");
    if ((size_t)n < sizeof small)
        return buf_add(b, small, (size_t)n, e);
    char *to = buf_room(b, (size_t)n + 1, e);
    if (to == NULL)
        return -1;
    va_start(ap, fmt);
    vsnprintf(to, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
    return 0;
}

const char *buf_text(struct buf *b, struct err *e)
{
    char *end = buf_room(b, 1, e);

    if (end == NULL)
        return NULL;
    *end = '\0';
    return b->data;
}

void buf_eat(struct buf *b, size_t bytes)
{
    assert(bytes <= b->len);
    if (bytes < b->len)
        memmove(b->data, b->data + bytes, b->len - bytes);
    b->len -= bytes;
}
