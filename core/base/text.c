/*
 * text.c - UTF-8, HTML and URL text. See text.h.
 */
#include "base/text.h"

#include <string.h>

/* Length of the valid sequence at s, 0 when there is none; `left` bytes may be read. */
static size_t sequence(const unsigned char *s, size_t left)
{
    unsigned c = s[0], low = 0x80, high = 0xBF;
    size_t n;

    if (c < 0x80)
        return 1;
    if (c < 0xC2 || c > 0xF4)
        return 0;
    n = c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    if (c == 0xE0)
        low = 0xA0; /* overlong below */
    else if (c == 0xED)
        high = 0x9F; /* surrogates above */
    else if (c == 0xF0)
        low = 0x90;
    else if (c == 0xF4)
        high = 0x8F; /* over U+10FFFF above */
    if (n > left || s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    return n;
}

size_t text_utf8_bad(const char *s, size_t n)
{
    size_t i = 0;

    while (i < n) {
        uint64_t w;
        while (n - i >= 8) {
            memcpy(&w, s + i, 8);
            if (w & TEXT_TOPS)
                break;
            i += 8;
        }
        /* a word with something else in it, or the tail: one character at a time */
        size_t stop = n - i >= 8 ? i + 8 : n;
        while (i < stop) {
            size_t step = sequence((const unsigned char *)s + i, n - i);
            if (step == 0)
                return i;
            i += step;
        }
    }
    return n;
}

void text_utf8_fix(char *s)
{
    size_t n = strlen(s), bad = 0;

    while ((bad += text_utf8_bad(s + bad, n - bad)) < n)
        s[bad++] = '?';
}

size_t text_utf8_put(char *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}

static const char *entity(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&#34;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

/* Bytes from s that need nothing done. */
static size_t html_plain(const char *s, size_t n)
{
    size_t i = 0;
    uint64_t w;

    for (; n - i >= 8; i += 8) {
        memcpy(&w, s + i, 8);
        if (TEXT_HAS(w, '&') | TEXT_HAS(w, '<') | TEXT_HAS(w, '>') | TEXT_HAS(w, '"') |
            TEXT_HAS(w, '\''))
            break;
    }
    while (i < n && entity(s[i]) == NULL)
        i++;
    return i;
}

int text_html(struct buf *out, const char *s, size_t n, struct err *e)
{
    for (size_t i = 0;;) {
        size_t plain = html_plain(s + i, n - i);
        if (buf_add(out, s + i, plain, e) != 0)
            return -1;
        i += plain;
        if (i == n)
            return 0;
        if (buf_adds(out, entity(s[i++]), e) != 0)
            return -1;
    }
}

int text_url(struct buf *out, const char *s, size_t n, struct err *e)
{
    static const char HEX[] = "0123456789ABCDEF";

    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        int is_plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
        char room[3] = { '%', HEX[c >> 4], HEX[c & 15] };
        if (buf_add(out, is_plain ? s + i : room, is_plain ? 1 : 3, e) != 0)
            return -1;
    }
    return 0;
}
