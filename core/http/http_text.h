/*
 * http_text.h - small questions about bytes that are part of HTTP: tokens, lists, escapes, UTF-8.
 */
#ifndef HTTP_TEXT_H
#define HTTP_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct http_text {
    const char *p; /* not NUL-terminated */
    size_t n;
};

/* What a byte may be part of. */
enum http_text_kind {
    HTTP_TEXT_TOKEN = 1,
    HTTP_TEXT_VALUE = 2,  /* of a header */
    HTTP_TEXT_TARGET = 4, /* of a request, without '#' */
    HTTP_TEXT_HOST = 8    /* a name, not an IPv6 literal */
};

/* Are all bytes of that kind? True for none. */
int http_text_all(const char *p, size_t n, enum http_text_kind kind);

/* A token of at least one byte? */
int http_text_is_token(const char *p, size_t n);
int http_text_is_utf8(const char *p, size_t n);

/* Compares without case; `lower` is lower-case and n_lower long. */
int http_text_same(const char *p, size_t n, const char *lower, size_t n_lower);

/* Is the word one of the comma-separated list? */
int http_text_in_list(const char *p, size_t n, const char *lower);

/* Without blanks and tabs around it. */
struct http_text http_text_trim(const char *p, size_t n);

/* Copies, and says where it ended; of a literal the compiler knows the length. */
static inline char *http_text_put(char *p, const char *s, size_t n) { return (char *)memcpy(p, s, n) + n; }
#define HTTP_TEXT_PUT(p, literal) http_text_put((p), "" literal, sizeof(literal) - 1)

/* Writes v in decimal, at most 20 bytes and no NUL; where it ended. */
char *http_text_number(char *p, uint64_t v);

/* The value of a hexadecimal digit, or -1. */
int http_text_hex(char c);

/*
 * Decodes %XX (and '+' as a blank when `plus`). Writes at most n bytes, `to` may be `p`. The
 * length, or -1 for a broken escape or a zero byte.
 */
long http_text_unescape(char *to, const char *p, size_t n, int plus);

#endif
