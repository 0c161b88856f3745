/*
 * http_cond.c - conditional and range requests. See http_cond.h.
 */
#include "http/http_cond.h"

#include <string.h>

#include "http/http_date.h"

static const struct http_field *find(const struct http_head *h, const char *name)
{
    int i = http_parse_find(h, name, strlen(name), 0);

    return i < 0 ? NULL : &h->fields[i];
}

/* Is the tag one of the list (all fields of that name), or the list "*"? */
static int has_tag(const struct http_head *h, const char *name, const char *etag, int strong)
{
    size_t n_etag = etag ? strlen(etag) : 0;

    if (strong && n_etag && etag[0] == 'W')
        etag = NULL;
    if (etag && etag[0] == 'W')
        etag += 2, n_etag -= 2;
    for (int i = -1; (i = http_parse_find(h, name, strlen(name), (uint32_t)(i + 1))) >= 0;) {
        const char *p = h->fields[i].value, *end = p + h->fields[i].n_value;
        if (end - p == 1 && *p == '*')
            return 1;
        while (p < end) {
            while (p < end && (*p == ' ' || *p == '\t' || *p == ','))
                p++;
            int weak = end - p > 2 && p[0] == 'W' && p[1] == '/';
            if (weak)
                p += 2;
            if (p >= end || *p != '"')
                break; /* malformed: matches nothing */
            const char *close = memchr(p + 1, '"', (size_t)(end - p - 1));
            if (close == NULL)
                break;
            size_t n = (size_t)(close + 1 - p);
            if (etag && !(strong && weak) && n == n_etag && memcmp(p, etag, n) == 0)
                return 1;
            p = close + 1;
        }
    }
    return 0;
}

static int read_number(const char **p, const char *end, uint64_t *v)
{
    const char *from = *p;

    for (*v = 0; *p < end && **p >= '0' && **p <= '9'; (*p)++) {
        if (*v > UINT64_MAX / 20)
            *v = UINT64_MAX / 20; /* larger than any content */
        else
            *v = *v * 10 + (uint64_t)(**p - '0');
    }
    return *p > from;
}

static enum http_cond_result check_range(const struct http_field *f, uint64_t bytes, uint64_t *from,
                                         uint64_t *to)
{
    const char *p = f->value, *end = p + f->n_value;
    uint64_t a, b;

    /* not understood, or several: the whole, as RFC 9110 14.2 allows */
    if (f->n_value < 7 || !http_text_same(p, 6, "bytes=", 6) || memchr(p, ',', f->n_value))
        return HTTP_COND_ALL;
    p += 6;
    int has_a = read_number(&p, end, &a);
    if (p == end || *p++ != '-')
        return HTTP_COND_ALL;
    int has_b = read_number(&p, end, &b);
    if (p != end || (!has_a && !has_b) || (has_a && has_b && a > b))
        return HTTP_COND_ALL;
    if (!has_a) { /* the last b bytes */
        if (b == 0 || bytes == 0)
            return HTTP_COND_NO_RANGE;
        *from = b < bytes ? bytes - b : 0;
        *to = bytes - 1;
        return HTTP_COND_PART;
    }
    if (a >= bytes)
        return HTTP_COND_NO_RANGE;
    *from = a;
    *to = has_b && b < bytes ? b : bytes - 1;
    return HTTP_COND_PART;
}

static int range_applies(const struct http_head *h, const struct http_content *c)
{
    const struct http_field *f = find(h, "if-range");

    if (f == NULL)
        return 1;
    if (f->n_value && (f->value[0] == '"' || f->value[0] == 'W'))
        return has_tag(h, "if-range", c->etag, 1);
    return c->modified >= 0 && http_date_read(f->value, f->n_value) == c->modified;
}

enum http_cond_result http_cond_check(const struct http_head *h, const struct http_content *c,
                                      uint64_t *from, uint64_t *to)
{
    int is_read = h->method == METHOD_GET || h->method == METHOD_HEAD;
    const struct http_field *f;

    if (find(h, "if-match") != NULL) {
        if (!has_tag(h, "if-match", c->etag, 1))
            return HTTP_COND_FAILED;
    } else if ((f = find(h, "if-unmodified-since")) != NULL && c->modified >= 0) {
        time_t t = http_date_read(f->value, f->n_value);
        if (t >= 0 && c->modified > t)
            return HTTP_COND_FAILED;
    }
    if (find(h, "if-none-match") != NULL) {
        if (has_tag(h, "if-none-match", c->etag, 0))
            return is_read ? HTTP_COND_SAME : HTTP_COND_FAILED;
    } else if (is_read && (f = find(h, "if-modified-since")) != NULL && c->modified >= 0) {
        time_t t = http_date_read(f->value, f->n_value);
        if (t >= 0 && c->modified <= t)
            return HTTP_COND_SAME;
    }
    if (h->method == METHOD_GET && (f = find(h, "range")) != NULL && range_applies(h, c))
        return check_range(f, c->bytes, from, to);
    return HTTP_COND_ALL;
}
