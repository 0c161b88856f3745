/*
 * typed.h - UTF-8 text as people type it: blanks, case, numbers.
 *
 * Pure functions, no allocation, any thread. A blank is a character of Unicode's White_Space, the
 * no-break spaces among them. Bytes that are not UTF-8 count as characters of their own and are
 * never blanks. Outputs never grow: where a function writes to `to`, `n` bytes of room are enough.
 */
#ifndef BASE_TYPED_H
#define BASE_TYPED_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the character at p (1 … 4), its code point in *cp; 0 when it is not UTF-8, or n is 0. */
size_t typed_char(const char *p, size_t n, uint32_t *cp);

/*
 * Bytes from p that are whole UTF-8 characters: n when all are. What follows is wrong, or the
 * beginning of a character that n cuts: then *is_cut is 1.
 */
size_t typed_utf8_prefix(const char *p, size_t n, int *is_cut);

int typed_is_space(uint32_t cp);
int typed_is_blank(const char *p, size_t n); /* nothing but blanks, or nothing */

/* Moves both ends inwards, past the blanks. */
void typed_trim(const char **p, size_t *n);

/* Each writes at most n bytes to `to` (which may be p) and returns how many. */
size_t typed_clean(char *to, const char *p, size_t n);   /* trimmed, inner blanks to one space */
size_t typed_squeeze(char *to, const char *p, size_t n); /* without any blank */
size_t typed_fold(char *to, const char *p, size_t n);    /* trimmed, for comparing without case */

/*
 * A number as people type it: blanks are dropped, then sign, digits, at most one point or comma.
 * No exponent, no currency, no "inf". 0, or -1 when it is something else or too large for a double.
 */
int typed_number(const char *p, size_t n, double *x);

/* A number as programs write it: "-12.5e-3"; nothing before or behind. 0, or -1. */
int typed_float(const char *p, size_t n, double *x);

/*
 * Shortest text that reads back as x: whole numbers as digits, others as "0.1", "1e-07".
 * Not finite: "inf", "-inf", "nan". Returns the length; a NUL follows.
 */
#define TYPED_FLOAT_MAX 336
size_t typed_of_float(char to[TYPED_FLOAT_MAX], double x);

#endif
