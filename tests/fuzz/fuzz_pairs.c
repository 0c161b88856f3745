/*
 * A query or a form. Its pairs lie in the text, in order; names and values hold no '&', names no '='; put
 * together again they are the text but for empty pairs; what is decoded is not longer than what was sent.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http/http_pairs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct http_text t, const char *p, size_t n)
{
    if (t.p < p || t.p + t.n > p + n || (t.n > 0 && memchr(t.p, '&', t.n) != NULL))
        abort();
}

static void decode(struct http_text t)
{
    char *room = malloc(t.n + 1);
    long k = http_text_unescape(room, t.p, t.n, 1);

    if (k > (long)t.n || (k > 0 && memchr(room, '\0', (size_t)k) != NULL && memchr(t.p, '\0', t.n) == NULL))
        abort();
    free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1); /* exactly as large: the sanitizer sees a byte too many */
    char *again = malloc(size + 1);
    struct http_pairs it;
    struct http_text name, value;
    struct err e;
    size_t n = 0, bytes = 0;
    int more, count = 0;

    for (size_t i = 0; i < size; i++) /* without empty pairs */
        if (data[i] != '&' || (bytes > 0 && again[bytes - 1] != '&'))
            again[bytes++] = (char)data[i];
    if (bytes > 0 && again[bytes - 1] == '&')
        bytes--;
    memcpy(text, data, size);
    http_pairs_init(&it, text, size);
    while ((more = http_pairs_next(&it, &name, &value, &e)) == 1) {
        count++;
        inside(name, text, size);
        inside(value, text, size);
        if (name.n > 0 && memchr(name.p, '=', name.n) != NULL)
            abort();
        if (n > 0 && again[n++] != '&')
            abort();
        if (memcmp(again + n, name.p, name.n) != 0)
            abort();
        n += name.n;
        if (n < bytes && again[n] == '=')
            n++;
        if (memcmp(again + n, value.p, value.n) != 0)
            abort();
        n += value.n;
        decode(name);
        decode(value);
    }
    if (more == 0 ? n != bytes : count != HTTP_PAIRS_MAX)
        abort();
    free(text);
    free(again);
    return 0;
}
