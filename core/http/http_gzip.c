/*
 * http_gzip.c - gzip for whole answers, by libdeflate. See http_gzip.h.
 */
#include "http/http_gzip.h"

#include <libdeflate.h>
#include <string.h>

#include "base/mem.h"
#include "http/http_parse.h"

#define SMALL_BYTES (64 << 10) /* up to here about a millisecond at the thorough level */
#define LEVEL_SMALL 6
#define LEVEL_LARGE 1

struct http_gzip {
    struct libdeflate_compressor *small, *large;
};

void http_gzip_free(struct http_gzip *g)
{
    if (g == NULL)
        return;
    libdeflate_free_compressor(g->small);
    libdeflate_free_compressor(g->large);
    mem_free(g);
}

int http_gzip_pack(struct http_gzip **g, struct buf *to, const char *data, size_t n)
{
    if (*g == NULL && (*g = mem_zero(1, sizeof **g)) == NULL)
        return -1;
    int is_small = n <= SMALL_BYTES;
    struct libdeflate_compressor **c = is_small ? &(*g)->small : &(*g)->large;
    if (*c == NULL)
        *c = libdeflate_alloc_compressor(is_small ? LEVEL_SMALL : LEVEL_LARGE);
    if (*c == NULL)
        return -1;
    buf_clear(to);
    char *room = buf_room(to, n, NULL);
    if (room == NULL)
        return -1;
    size_t k = libdeflate_gzip_compress(*c, data, n, room, n - n / 16);
    if (k == 0)
        return -1;
    to->len = k;
    return 0;
}

static int ends(const char *p, size_t n, const char *lower)
{
    size_t k = strlen(lower);

    return n >= k && http_text_same(p + n - k, k, lower, k);
}

int http_gzip_is_type(const char *p, size_t n)
{
    static const char *const NAMES[] = { "application/json",       "application/javascript",
                                         "application/xml",        "application/x-ndjson",
                                         "application/manifest+json", "image/svg+xml" };
    const char *semi = memchr(p, ';', n);

    if (semi != NULL)
        n = (size_t)(semi - p);
    while (n > 0 && p[n - 1] == ' ')
        n--;
    if (n > 5 && http_text_same(p, 5, "text/", 5))
        return !http_text_same(p, n, "text/event-stream", 17);
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        if (http_text_same(p, n, NAMES[i], strlen(NAMES[i])))
            return 1;
    return ends(p, n, "+json") || ends(p, n, "+xml");
}
