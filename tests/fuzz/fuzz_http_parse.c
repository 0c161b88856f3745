/*
 * Bytes of a connection: heads one after the other, each with its body. Cut anywhere, a head must
 * be found at the same place and mean the same; everything returned must lie inside the bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http/http_chunk.h"
#include "http/http_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(const char *p, size_t n, const char *from, size_t n_from)
{
    if (n > 0 && (p < from || p + n > from + n_from))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http_head h;
    const char *p = (const char *)data, *why;
    struct http_limits l;
    size_t at = 0;

    http_limits_default(&l);
    while (at < size) {
        size_t found = 0, stepped = 0;
        int len = http_parse_end(p + at, size - at, &found, &l), step = 0;
        size_t most = size - at < 2000 ? size - at : 2000;
        for (size_t k = 1; k <= most && step == 0; k++)
            step = http_parse_end(p + at, k, &stepped, &l);
        if (len > 0 && (size_t)len <= most && step != len)
            abort();
        if (len <= 0)
            return 0;
        size_t n = (size_t)len;
        char *head = malloc(n), *room = malloc(n);
        memcpy(head, p + at, n);
        int status = http_parse_head(head, n, room, &l, &h, &why);
        if (status == 0) {
            for (uint32_t i = 0; i < h.n_fields; i++) {
                inside(h.fields[i].name, h.fields[i].n_name, head, n);
                inside(h.fields[i].value, h.fields[i].n_value, head, n);
                if (memchr(h.fields[i].value, '\n', h.fields[i].n_value) != NULL)
                    abort();
            }
            inside(h.query.p, h.query.n, head, n);
            if (h.path.n == 0 || (h.path.p[0] != '/' && h.path.p[0] != '*') ||
                (h.chunked && h.content_length >= 0))
                abort();
        }
        int chunked = h.chunked;
        int64_t length = h.content_length;
        free(head);
        free(room);
        if (status != 0)
            return 0;
        at += n;
        if (chunked) {
            struct http_chunk c;
            enum http_chunk_got got;
            http_chunk_init(&c);
            do {
                size_t used, n_data;
                const char *d;
                got = http_chunk_next(&c, p + at, size - at, &used, &d, &n_data);
                if (got == HTTP_CHUNK_DATA)
                    inside(d, n_data, p + at, size - at);
                at += used;
            } while (got == HTTP_CHUNK_DATA);
            if (got != HTTP_CHUNK_END)
                return 0;
        } else if (length > 0) {
            at = (uint64_t)length < size - at ? at + (size_t)length : size;
        }
    }
    return 0;
}
