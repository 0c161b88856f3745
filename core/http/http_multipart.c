/*
 * http_multipart.c - reads multipart/form-data. See http_multipart.h.
 *
 * A delimiter can only begin with CR, and CR stands nowhere else in it: what matched its first
 * bytes and then did not is data, and the search goes on with the byte at hand.
 */
#include "http/http_multipart.h"

#include <string.h>

#include "http/http_text.h"

enum { PREAMBLE, AFTER, DASH, BLANKS, LINE_END, HEAD, BODY, OVER };

/*
 * The next `; name=value` of p[0…n). The value is unquoted into `to` (`cap` bytes with its NUL).
 * How many bytes it took; 0 at the end; -1 malformed or too long.
 */
static long parameter(const char *p, size_t n, struct http_text *name, char *to, size_t cap)
{
    size_t i = 0, k = 0;

    while (i < n && (p[i] == ' ' || p[i] == '\t'))
        i++;
    if (i == n)
        return 0;
    if (p[i++] != ';')
        return -1;
    const char *eq = memchr(p + i, '=', n - i);
    if (eq == NULL)
        return http_text_trim(p + i, n - i).n == 0 ? 0 : -1;
    *name = http_text_trim(p + i, (size_t)(eq - p) - i);
    if (!http_text_is_token(name->p, name->n))
        return -1;
    i = (size_t)(eq - p) + 1;
    if (i < n && p[i] == '"') {
        for (i++; i < n && p[i] != '"'; i++) {
            if (p[i] == '\\' && i + 1 < n && (p[i + 1] == '"' || p[i + 1] == '\\'))
                i++; /* a lone backslash is one: old browsers send Windows paths */
            if (k + 1 >= cap)
                return -1;
            to[k++] = p[i];
        }
        if (i++ >= n)
            return -1;
    } else {
        while (i < n && p[i] != ';' && p[i] != ' ' && p[i] != '\t') {
            if (k + 1 >= cap)
                return -1;
            to[k++] = p[i++];
        }
    }
    to[k] = 0;
    return memchr(to, 0, k) == NULL ? (long)i : -1;
}

int http_multipart_init(struct http_multipart *m, const char *type, size_t n, struct err *e)
{
    char boundary[HTTP_MULTIPART_BOUNDARY + 1], other[HTTP_MULTIPART_NAME];
    struct http_text name;
    size_t at = 19, n_boundary = 0;
    long k;

    if (n < at || !http_text_same(type, at, "multipart/form-data", at))
        return err_set(e, ERR_INVALID, "the request is not multipart/form-data");
    for (;; at += (size_t)k) {
        const char *semi = memchr(type + at, ';', n - at);
        size_t lead = semi ? (size_t)(semi - (type + at)) : 0;
        int is_it = semi && n - at > lead + 9 &&
                    http_text_same(http_text_trim(semi + 1, 10).p, 9, "boundary=", 9);
        k = parameter(type + at, n - at, &name, is_it ? boundary : other,
                      is_it ? sizeof boundary : sizeof other);
        if (k < 0 || (is_it && n_boundary))
            return err_set(e, ERR_INVALID, "the multipart Content-Type is malformed");
        if (k == 0)
            break;
        if (is_it)
            n_boundary = strlen(boundary);
        if (is_it && n_boundary == 0)
            break;
    }
    for (size_t i = 0; i < n_boundary; i++)
        if ((unsigned char)boundary[i] < 0x20 || (unsigned char)boundary[i] > 0x7e)
            n_boundary = 0;
    if (n_boundary == 0 || boundary[n_boundary - 1] == ' ')
        return err_set(e, ERR_INVALID, "the multipart Content-Type has no usable boundary");
    memset(m, 0, offsetof(struct http_multipart, head));
    memcpy(m->delim, "\r\n--", 4);
    memcpy(m->delim + 4, boundary, n_boundary);
    m->n_delim = n_boundary + 4;
    m->state = PREAMBLE;
    m->matched = 2; /* the first delimiter may stand at the very beginning */
    m->why = "the multipart body is malformed";
    return 0;
}

#define IS(text) http_text_same(name.p, name.n, text, sizeof text - 1)

static int read_disposition(struct http_multipart *m, struct http_text v, int *has_name)
{
    char value[HTTP_MULTIPART_NAME];
    struct http_text name;
    size_t at = 9;
    long k;

    if (v.n < at || !http_text_same(v.p, at, "form-data", at))
        return -1;
    while ((k = parameter(v.p + at, v.n - at, &name, value, sizeof value)) > 0) {
        at += (size_t)k;
        if (IS("name") && !(*has_name)++)
            memcpy(m->name, value, strlen(value) + 1);
        else if (IS("filename") && !m->has_filename++)
            memcpy(m->filename, value, strlen(value) + 1);
        else if (IS("name") || IS("filename"))
            return -1;
    }
    return k < 0 ? -1 : 0;
}

/* m->head has all lines of a part, each ended by CR LF, without the empty one. */
static int read_head(struct http_multipart *m)
{
    int n_dispositions = 0, has_name = 0;
    const char *p = m->head, *end = m->head + m->n_head;

    m->has_filename = 0;
    m->name[0] = m->filename[0] = m->type[0] = 0;
    while (p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        if (nl == NULL || nl == p || nl[-1] != '\r')
            return -1;
        const char *colon = memchr(p, ':', (size_t)(nl - p));
        if (colon == NULL || !http_text_is_token(p, (size_t)(colon - p)))
            return -1;
        struct http_text name = { p, (size_t)(colon - p) };
        struct http_text v = http_text_trim(colon + 1, (size_t)(nl - 1 - (colon + 1)));
        for (size_t i = 0; i < v.n; i++)
            if ((unsigned char)v.p[i] < 0x20 && v.p[i] != '\t')
                return -1;
        if (IS("content-disposition")) {
            if (n_dispositions++ || read_disposition(m, v, &has_name) != 0)
                return -1;
        } else if (IS("content-type")) {
            if (v.n >= sizeof m->type)
                return -1;
            memcpy(m->type, v.p, v.n);
            m->type[v.n] = 0;
        } else if (IS("content-transfer-encoding")) {
            if (!http_text_same(v.p, v.n, "binary", 6) && !http_text_same(v.p, v.n, "8bit", 4) &&
                !http_text_same(v.p, v.n, "7bit", 4))
                return -1; /* RFC 7578 4.7: not to be used, and nobody does */
        }
        p = nl + 1;
    }
    if (!has_name || !http_text_is_utf8(m->name, strlen(m->name)) ||
        !http_text_is_utf8(m->filename, strlen(m->filename)))
        return -1;
    return 0;
}

static enum http_multipart_got bad(struct http_multipart *m, const char *why)
{
    m->state = OVER;
    m->why = why;
    return HTTP_MULTIPART_BAD;
}

/* Inside a part or the preamble: data up to where a delimiter may begin. */
static enum http_multipart_got body(struct http_multipart *m, const char *p, size_t n, size_t *used,
                                    const char **data, size_t *n_data)
{
    size_t i = 0;

    while (i < n) {
        if (m->matched == 0) {
            const char *cr = memchr(p + i, '\r', n - i);
            size_t k = cr ? (size_t)(cr - p) : n;
            if (k > i) {
                *data = p + i;
                *n_data = k - i;
                *used = k;
                return HTTP_MULTIPART_DATA;
            }
        }
        if (p[i] == m->delim[m->matched]) {
            i++;
            if (++m->matched == m->n_delim) {
                enum http_multipart_got got =
                    m->state == PREAMBLE ? HTTP_MULTIPART_MORE : HTTP_MULTIPART_PART_END;
                m->matched = 0;
                m->state = AFTER;
                *used = i;
                return got;
            }
            continue;
        }
        /* so far like a delimiter, but none: these bytes were data */
        size_t k = m->matched;
        m->matched = 0;
        *data = m->delim;
        *n_data = k;
        *used = i;
        return HTTP_MULTIPART_DATA;
    }
    *used = n;
    return HTTP_MULTIPART_MORE;
}

enum http_multipart_got http_multipart_next(struct http_multipart *m, const char *p, size_t n,
                                            size_t *used, const char **data, size_t *n_data)
{
    size_t i = 0, k;

    *used = n;
    while (i < n) {
        char c = p[i];
        switch (m->state) {
        case PREAMBLE:
        case BODY: {
            int was_preamble = m->state == PREAMBLE;
            enum http_multipart_got got = body(m, p + i, n - i, &k, data, n_data);
            i += k;
            *used = i;
            if (got == HTTP_MULTIPART_MORE || (was_preamble && got == HTTP_MULTIPART_DATA))
                continue; /* a preamble is for nobody */
            return got;
        }
        case AFTER:
            m->n_head = 0;
            if (c == '-')
                m->state = DASH;
            else if (c == '\r')
                m->state = LINE_END;
            else if (c == ' ' || c == '\t')
                m->state = BLANKS;
            else
                return bad(m, "a multipart delimiter is malformed");
            i++;
            continue;
        case DASH:
            if (c != '-')
                return bad(m, "a multipart delimiter is malformed");
            m->state = OVER;
            *used = i + 1;
            return HTTP_MULTIPART_END;
        case BLANKS:
            if (++m->n_head > 64)
                return bad(m, "a multipart delimiter is malformed");
            if (c == '\r')
                m->state = LINE_END;
            else if (c != ' ' && c != '\t')
                return bad(m, "a multipart delimiter is malformed");
            i++;
            continue;
        case LINE_END:
            if (c != '\n')
                return bad(m, "a multipart delimiter is malformed");
            m->state = HEAD;
            m->n_head = 0;
            i++;
            continue;
        case HEAD:
            if (m->n_head == sizeof m->head)
                return bad(m, "the head of a multipart part is too large");
            m->head[m->n_head++] = c;
            i++;
            if (c != '\n')
                continue;
            if (m->n_head < 2 || m->head[m->n_head - 2] != '\r')
                return bad(m, "a line of a multipart head does not end in CR LF");
            if (m->n_head > 2 && m->head[m->n_head - 3] != '\n')
                continue;
            m->n_head -= 2;
            if (read_head(m) != 0)
                return bad(m, "the head of a multipart part is malformed");
            m->state = BODY;
            m->matched = 0;
            *used = i;
            return HTTP_MULTIPART_PART;
        default:
            return HTTP_MULTIPART_END;
        }
    }
    *used = n;
    return HTTP_MULTIPART_MORE;
}
