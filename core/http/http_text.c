/*
 * http_text.c - small questions about bytes. See http_text.h.
 */
#include "http/http_text.h"

#include <string.h>

static uint8_t kinds[256];

static void fill_kinds(void)
{
    for (int c = 0; c < 256; c++) {
        int low = c | 0x20, k = 0;
        int alnum = (c >= '0' && c <= '9') || (c < 128 && low >= 'a' && low <= 'z');
        if (alnum || (c && strchr("!#$%&'*+-.^_`|~", c)))
            k |= HTTP_TEXT_TOKEN;
        if ((c >= 0x20 && c != 0x7f) || c == '\t')
            k |= HTTP_TEXT_VALUE;
        if (alnum || (c && strchr("-._~!$&'()*+,;=:@/?%[]|{}", c)))
            k |= HTTP_TEXT_TARGET; /* RFC 3986, and four that browsers leave as they are */
        if (alnum || (c && strchr("-._~!$&'()*+,;=%", c)))
            k |= HTTP_TEXT_HOST;
        kinds[c] = (uint8_t)k;
    }
}

__attribute__((constructor)) static void start(void) { fill_kinds(); }

int http_text_all(const char *p, size_t n, enum http_text_kind kind)
{
    for (size_t i = 0; i < n; i++)
        if (!(kinds[(unsigned char)p[i]] & kind))
            return 0;
    return 1;
}

int http_text_is_token(const char *p, size_t n)
{
    return n > 0 && http_text_all(p, n, HTTP_TEXT_TOKEN);
}

int http_text_is_utf8(const char *text, size_t n)
{
    const unsigned char *p = (const unsigned char *)text;

    for (size_t i = 0; i < n;) {
        unsigned c = p[i];
        size_t len = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
        if (len == 0 || len > n - i)
            return 0;
        for (size_t k = 1; k < len; k++)
            if ((p[i + k] & 0xc0) != 0x80)
                return 0;
        if ((c == 0xe0 && p[i + 1] < 0xa0) || (c == 0xed && p[i + 1] > 0x9f) ||
            (c == 0xf0 && p[i + 1] < 0x90) || (c == 0xf4 && p[i + 1] > 0x8f))
            return 0;
        i += len;
    }
    return 1;
}

int http_text_same(const char *p, size_t n, const char *lower, size_t n_lower)
{
    if (n != n_lower)
        return 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c >= 'A' && c <= 'Z')
            c |= 0x20;
        if (c != (unsigned char)lower[i])
            return 0;
    }
    return 1;
}

struct http_text http_text_trim(const char *p, size_t n)
{
    while (n > 0 && (*p == ' ' || *p == '\t'))
        p++, n--;
    while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t'))
        n--;
    return (struct http_text){ p, n };
}

int http_text_in_list(const char *p, size_t n, const char *lower)
{
    size_t n_lower = strlen(lower);

    while (n > 0) {
        const char *comma = memchr(p, ',', n);
        size_t k = comma ? (size_t)(comma - p) : n;
        struct http_text t = http_text_trim(p, k);
        if (http_text_same(t.p, t.n, lower, n_lower))
            return 1;
        k += comma != NULL;
        p += k;
        n -= k;
    }
    return 0;
}

char *http_text_number(char *p, uint64_t v)
{
    char tmp[20];
    size_t n = 0;

    do
        tmp[n++] = (char)('0' + v % 10);
    while ((v /= 10) != 0);
    while (n > 0)
        *p++ = tmp[--n];
    return p;
}

int http_text_hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

long http_text_unescape(char *to, const char *p, size_t n, int plus)
{
    size_t k = 0;

    for (size_t i = 0; i < n; i++, k++) {
        char c = p[i];
        if (c == '%') {
            if (n - i < 3 || http_text_hex(p[i + 1]) < 0 || http_text_hex(p[i + 2]) < 0)
                return -1;
            c = (char)(http_text_hex(p[i + 1]) << 4 | http_text_hex(p[i + 2]));
            if (c == 0)
                return -1;
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        to[k] = c;
    }
    return (long)k;
}

