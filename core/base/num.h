/*
 * num.h - numbers as decimal text, exactly and fast. No locale, no allocation, any thread.
 *
 * "Shortest" is the decimal with the fewest digits that reads back as the same double, and of those
 * the nearest; it is what JSON, logs and pages show. Rounding to decimals starts from that text, so
 * 2.675 to two decimals is 2.68 as a person expects, not 2.67 as its binary neighbour would give.
 */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include <stddef.h>
#include <stdint.h>

#define NUM_INT_MAX 24    /* room that num_int may use */
#define NUM_DOUBLE_MAX 32 /* room that num_double may use */
#define NUM_FIXED_MAX 640 /* room that num_fixed may use */

/* The whole numbers every double-only reader keeps: -2^53 … 2^53. */
#define NUM_EXACT_MAX ((int64_t)1 << 53)

/* digits * 10^exp; no trailing zero in digits; zero is 0 * 10^0. At most 17 digits. */
struct num_decimal {
    uint64_t digits;
    int exp;
    int is_negative;
};

/* The shortest decimal of a finite double. */
void num_shortest(double v, struct num_decimal *out);

/* Text without a NUL; the length is returned. */
size_t num_int(char *out, int64_t v);

/* A finite double as 12.5, 3.0, 1e+20, 1.5e-07: always with a point or an exponent, so that it is
 * read back as a double. */
size_t num_double(char *out, double v);

/*
 * A finite double with exactly `decimals` (0 … 15) digits behind `point`, rounded half away from
 * zero from its shortest form; `group` (may be "") between thousands. "-0" is never written. Both
 * texts at most 3 bytes.
 */
size_t num_fixed(char *out, double v, int decimals, const char *group, const char *point);

/* v rounded half away from zero to `decimals` (0 … 30), again as a double. Not finite: as it is. */
double num_round(double v, int decimals);

/*
 * Rounding for people, as every answer of the API has it: to the third decimal, or when that digit
 * is zero to the second or first; numbers below 0.001 to their first digit.
 */
double num_tidy(double v);

/*
 * Reads a JSON number of exactly n bytes that the caller has checked by the grammar; the byte
 * behind it must be readable and no part of a number. Correctly rounded; infinite when too large.
 */
double num_parse(const char *s, size_t n);

#endif
