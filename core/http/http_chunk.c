/*
 * http_chunk.c - the chunked coding of a body. See http_chunk.h. Source: RFC 9112, section 7.1.
 */
#include "http/http_chunk.h"

enum {
    SIZE, EXTENSION, SIZE_LF, DATA, DATA_CR, DATA_LF, LINE, NAME, VALUE, VALUE_LF, LAST_LF, OVER
};

void http_chunk_init(struct http_chunk *c)
{
    *c = (struct http_chunk){ .state = SIZE };
}

static int hex(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int is_token_char(unsigned char c)
{
    static const char OTHER[] = "!#$%&'*+-.^_`|~";
    unsigned char low = c | 0x20;

    if ((c >= '0' && c <= '9') || (low >= 'a' && low <= 'z'))
        return 1;
    for (const char *o = OTHER; *o; o++)
        if ((unsigned char)*o == c)
            return 1;
    return 0;
}

static int is_text(unsigned char c)
{
    return (c >= 0x20 && c != 0x7f) || c == '\t';
}

/* One byte outside of data. 0 or -1. */
static int step(struct http_chunk *c, unsigned char b)
{
    switch (c->state) {
    case SIZE:
        if (hex(b) >= 0) {
            if (++c->digits > 15) /* 60 bits: no overflow, and nobody sends such a chunk */
                return -1;
            c->left = c->left << 4 | (uint64_t)hex(b);
            return 0;
        }
        if (c->digits == 0)
            return -1;
        c->line = 0;
        c->state = b == '\r' ? SIZE_LF : EXTENSION;
        return b == '\r' || b == ';' ? 0 : -1;
    case EXTENSION:
        if (b == '\r') {
            c->state = SIZE_LF;
            return 0;
        }
        if (++c->line > HTTP_CHUNK_LINE_MAX || ++c->extensions > HTTP_CHUNK_EXTENSIONS_MAX)
            return -1;
        return is_text(b) ? 0 : -1;
    case SIZE_LF:
        c->state = c->left ? DATA : LINE;
        return b == '\n' ? 0 : -1;
    case DATA_CR:
        c->state = DATA_LF;
        return b == '\r' ? 0 : -1;
    case DATA_LF:
        c->state = SIZE;
        c->digits = 0;
        return b == '\n' ? 0 : -1;
    case LINE:
        if (b == '\r') {
            c->state = LAST_LF;
            return 0;
        }
        c->state = NAME;
        c->trailer++;
        return is_token_char(b) && c->trailer <= HTTP_CHUNK_TRAILER_MAX ? 0 : -1;
    case NAME:
        if (b == ':')
            c->state = VALUE;
        c->trailer++;
        return (b == ':' || is_token_char(b)) && c->trailer <= HTTP_CHUNK_TRAILER_MAX ? 0 : -1;
    case VALUE:
        c->trailer++;
        if (b == '\r') {
            c->state = VALUE_LF;
            return 0;
        }
        return is_text(b) && c->trailer <= HTTP_CHUNK_TRAILER_MAX ? 0 : -1;
    case VALUE_LF:
        c->state = LINE;
        return b == '\n' ? 0 : -1;
    case LAST_LF:
        c->state = OVER;
        return b == '\n' ? 0 : -1;
    default:
        return -1;
    }
}

enum http_chunk_got http_chunk_next(struct http_chunk *c, const char *p, size_t n, size_t *used,
                                    const char **data, size_t *n_data)
{
    for (size_t i = 0; i < n; i++) {
        if (c->state == DATA) {
            size_t k = n - i < c->left ? n - i : (size_t)c->left;
            *data = p + i;
            *n_data = k;
            *used = i + k;
            c->left -= k;
            if (c->left == 0)
                c->state = DATA_CR;
            return HTTP_CHUNK_DATA;
        }
        if (step(c, (unsigned char)p[i]) != 0) {
            *used = i;
            return HTTP_CHUNK_BAD;
        }
        if (c->state == OVER) {
            *used = i + 1;
            return HTTP_CHUNK_END;
        }
    }
    *used = n;
    return HTTP_CHUNK_MORE;
}
