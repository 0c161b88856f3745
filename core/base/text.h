/*
 * text.h - bytes as text: UTF-8 and what HTML needs escaped. No allocation, any thread.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Offset of the first byte that is not valid UTF-8 (RFC 3629: no surrogates, no overlong forms, at
 * most U+10FFFF); n when all is well. */
size_t text_utf8_bad(const char *s, size_t n);

/* Puts ? in place of every byte of s that is not UTF-8, e.g. of a message that was cut. */
void text_utf8_fix(char *s);

/* Writes a code point as UTF-8 (1 to 4 bytes) and returns how many. */
size_t text_utf8_put(char *out, uint32_t code);

/* Adds s with & < > " ' escaped, for text and quoted attributes of HTML. */
int text_html(struct buf *out, const char *s, size_t n, struct err *e);

/* Adds s percent-encoded: all but A-Z a-z 0-9 - . _ ~ (RFC 3986 2.3). */
int text_url(struct buf *out, const char *s, size_t n, struct err *e);

/* Whether any of the 8 bytes of w is c; is below c (c <= 128); has its top bit set. */
#define TEXT_ONES 0x0101010101010101u
#define TEXT_TOPS 0x8080808080808080u
#define TEXT_HAS_ZERO(w) (((w) - TEXT_ONES) & ~(w) & TEXT_TOPS)
#define TEXT_HAS(w, c) TEXT_HAS_ZERO((w) ^ (TEXT_ONES * (uint64_t)(c)))
#define TEXT_BELOW(w, c) (((w) - TEXT_ONES * (uint64_t)(c)) & ~(w) & TEXT_TOPS)

#endif
