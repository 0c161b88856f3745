/*
 * A Content-Type up to the first line feed, then a body. Read whole and in pieces it must give the
 * same events and the same bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http/http_multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    unsigned parts, ends;
    int last;
    size_t bytes;
    uint64_t sum; /* of the data with its place */
};

static struct http_multipart m;

static int read_in(struct seen *s, const char *type, size_t n_type, const char *p, size_t n,
                   size_t step)
{
    struct err e;

    memset(s, 0, sizeof *s);
    if (http_multipart_init(&m, type, n_type, &e) != 0)
        return -1;
    for (size_t at = 0; at < n;) {
        size_t k = n - at < step ? n - at : step, used, n_data;
        const char *d;
        char *copy = malloc(k);
        memcpy(copy, p + at, k);
        s->last = (int)http_multipart_next(&m, copy, k, &used, &d, &n_data);
        if (used > k)
            abort();
        if (s->last == HTTP_MULTIPART_DATA) {
            for (size_t i = 0; i < n_data; i++)
                s->sum = s->sum * 31 + (unsigned char)d[i];
            s->bytes += n_data;
            if (s->parts == 0 || s->parts == s->ends)
                abort(); /* data outside of a part */
        }
        if (s->last == HTTP_MULTIPART_PART) {
            s->parts++;
            if (memchr(m.name, 0, sizeof m.name) == NULL)
                abort();
        }
        s->ends += s->last == HTTP_MULTIPART_PART_END;
        free(copy);
        if (s->last == HTTP_MULTIPART_BAD || s->last == HTTP_MULTIPART_END)
            break;
        at += used;
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t STEPS[] = { 1, 3, 7, 64 };
    const char *p = (const char *)data, *nl = memchr(p, '\n', size);
    struct seen whole, cut;

    if (nl == NULL)
        return 0;
    size_t n_type = (size_t)(nl - p), n = size - n_type - 1;
    if (read_in(&whole, p, n_type, nl + 1, n, n ? n : 1) != 0)
        return 0;
    for (size_t i = 0; i < sizeof STEPS / sizeof *STEPS; i++) {
        read_in(&cut, p, n_type, nl + 1, n, STEPS[i]);
        if (cut.parts != whole.parts || cut.ends != whole.ends || cut.bytes != whole.bytes ||
            cut.sum != whole.sum)
            abort();
        if ((cut.last == HTTP_MULTIPART_END) != (whole.last == HTTP_MULTIPART_END))
            abort();
    }
    return 0;
}
