/*
 * num.c - shortest decimals, fixed decimals, reading decimals. See num.h.
 *
 * Short decimals (prices, counts) are found by trying one, two, three decimals in plain double
 * arithmetic: r / 10^d is correctly rounded while r < 2^53 and 10^d is exact, so equality proves the
 * text reads back, and at most 15 digits make it the only one of its length. All others take the
 * Schubfach algorithm (R. Giulietti, "The Schubfach way to render doubles", 2020) with 128-bit
 * powers of ten that are computed on first use.
 */
#include "base/num.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>

__extension__ typedef unsigned __int128 u128; /* the one name C11 lacks */

#define K_MIN (-292)
#define K_MAX 324
#define LIMBS 20

struct pow10 {
    uint64_t high, low;
};

static struct pow10 powers[K_MAX - K_MIN + 1]; /* ceil(10^k * 2^s), s such that it fills 128 bits */
static once_flag powers_once = ONCE_FLAG_INIT;

static const double EXACT10[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                  1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };

/* ---- the table ---- */

/* The 128 bits from the top bit of a (little-endian limbs) down, rounded up when `sticky` or when
 * anything below is set. */
static struct pow10 top_bits(const uint64_t *a, int sticky)
{
    int i = LIMBS - 1;

    while (a[i] == 0)
        i--;
    int shift = __builtin_clzll(a[i]);
    uint64_t w[3];
    for (int k = 0; k < 3; k++)
        w[k] = i - k >= 0 ? a[i - k] : 0;
    struct pow10 p = { w[0], w[1] };
    uint64_t rest = w[2];
    if (shift > 0) {
        p.high = w[0] << shift | w[1] >> (64 - shift);
        p.low = w[1] << shift | w[2] >> (64 - shift);
        rest = w[2] << shift;
    }
    for (int k = i - 3; k >= 0; k--)
        rest |= a[k];
    if (rest != 0 || sticky)
        p.high += ++p.low == 0;
    return p;
}

static void powers_fill(void)
{
    uint64_t a[LIMBS] = { 1 };

    for (int k = 0; k <= K_MAX; k++) { /* 10^k < 2^1077: exact in 20 limbs */
        powers[k - K_MIN] = top_bits(a, 0);
        u128 carry = 0;
        for (int i = 0; i < LIMBS; i++) {
            carry += (u128)a[i] * 10;
            a[i] = (uint64_t)carry;
            carry >>= 64;
        }
    }
    memset(a, 0, sizeof a);
    a[LIMBS - 1] = 1; /* 2^1216 / 10^292 still has 246 bits; the floor of a floor is the floor */
    for (int k = -1; k >= K_MIN; k--) {
        u128 rest = 0;
        for (int i = LIMBS - 1; i >= 0; i--) {
            rest = rest << 64 | a[i];
            a[i] = (uint64_t)(rest / 10);
            rest %= 10;
        }
        powers[k - K_MIN] = top_bits(a, 1);
    }
}

/* ---- shortest ---- */

static uint64_t round_to_odd(struct pow10 g, uint64_t cp)
{
    uint64_t x1 = (uint64_t)((u128)g.low * cp >> 64);
    u128 y = (u128)g.high * cp + x1;

    return (uint64_t)(y >> 64) | ((uint64_t)y > 1);
}

/* floor(log2(10^e)) and floor(log10(2^e)), the latter for 3/4 2^e when `is_closer` */
static int log2_pow10(int e)
{
    return (e * 1741647) >> 19;
}

static int log10_pow2(int e, int is_closer)
{
    return (e * 1262611 - (is_closer ? 524031 : 0)) >> 22;
}

static void schubfach(double v, struct num_decimal *out)
{
    uint64_t bits;

    call_once(&powers_once, powers_fill);
    memcpy(&bits, &v, 8);
    uint64_t frac = bits & (((uint64_t)1 << 52) - 1);
    int biased = (int)(bits >> 52 & 0x7ff);
    uint64_t c = biased ? frac | (uint64_t)1 << 52 : frac;
    int q = biased ? biased - 1075 : -1074;
    int is_closer = frac == 0 && biased > 1; /* the lower neighbour is half as far */
    int k = log10_pow2(q, is_closer);
    int h = q + log2_pow10(-k) + 1;
    struct pow10 g = powers[-k - K_MIN];
    uint64_t below = round_to_odd(g, (4 * c - 2 + (uint64_t)is_closer) << h);
    uint64_t mid = round_to_odd(g, 4 * c << h);
    uint64_t above = round_to_odd(g, (4 * c + 2) << h);
    uint64_t odd = c & 1;
    uint64_t lower = below + odd, upper = above - odd;
    uint64_t s = mid / 4;

    out->exp = k;
    if (s >= 10) {
        uint64_t s10 = s / 10;
        int down = lower <= 40 * s10, up = 40 * s10 + 40 <= upper;
        if (down != up) {
            out->digits = s10 + (uint64_t)up;
            out->exp = k + 1;
            return;
        }
    }
    int down = lower <= 4 * s, up = 4 * s + 4 <= upper;
    if (down != up)
        out->digits = s + (uint64_t)up;
    else
        out->digits = s + (mid > 4 * s + 2 || (mid == 4 * s + 2 && (s & 1)));
}

static void strip_zeros(struct num_decimal *d)
{
    while (d->digits % 10 == 0) {
        d->digits /= 10;
        d->exp++;
    }
}

void num_shortest(double v, struct num_decimal *out)
{
    double a = fabs(v);

    *out = (struct num_decimal){ .is_negative = signbit(v) != 0 };
    if (a == 0)
        return;
    if (a < 1e12) {
        for (int d = 0; d <= 3; d++) {
            double r = (double)(int64_t)(a * EXACT10[d] + 0.5);
            if (r / EXACT10[d] == a) {
                out->digits = (uint64_t)r;
                out->exp = -d;
                strip_zeros(out);
                return;
            }
        }
    }
    schubfach(a, out);
    strip_zeros(out);
}

/* ---- writing ---- */

static const char PAIRS[] = "00010203040506070809101112131415161718192021222324252627282930313233"
                            "34353637383940414243444546474849505152535455565758596061626364656667"
                            "6869707172737475767778798081828384858687888990919293949596979899";

/* Digits of v into out[0 … n); returns n. */
static size_t put_digits(char *out, uint64_t v)
{
    char room[20];
    size_t at = sizeof room;

    if (v < 10) {
        *out = (char)('0' + v);
        return 1;
    }
    if (v < 100) {
        memcpy(out, PAIRS + v * 2, 2);
        return 2;
    }

    while (v >= 100) {
        at -= 2;
        memcpy(room + at, PAIRS + v % 100 * 2, 2);
        v /= 100;
    }
    if (v >= 10) {
        at -= 2;
        memcpy(room + at, PAIRS + v * 2, 2);
    } else {
        room[--at] = (char)('0' + v);
    }
    memcpy(out, room + at, sizeof room - at);
    return sizeof room - at;
}

size_t num_int(char *out, int64_t v)
{
    if (v >= 0)
        return put_digits(out, (uint64_t)v);
    *out = '-';
    return 1 + put_digits(out + 1, -(uint64_t)v);
}

size_t num_double(char *out, double v)
{
    struct num_decimal d;
    char digits[24], *p = out;

    num_shortest(v, &d);
    if (d.is_negative)
        *p++ = '-';
    size_t n = put_digits(digits, d.digits);
    int point = (int)n + d.exp; /* digits before the point */
    if (point > 16 || point < -3) {
        *p++ = digits[0];
        if (n > 1) {
            *p++ = '.';
            memcpy(p, digits + 1, n - 1);
            p += n - 1;
        }
        int e = point - 1;
        *p++ = 'e';
        *p++ = e < 0 ? '-' : '+';
        if (abs(e) < 10)
            *p++ = '0';
        p += put_digits(p, (uint64_t)abs(e));
    } else if (point <= 0) {
        memcpy(p, "0.000", 5);
        p += 2 - point;
        memcpy(p, digits, n);
        p += n;
    } else if ((size_t)point >= n) {
        memcpy(p, digits, n);
        memset(p + n, '0', (size_t)point - n);
        p += point;
        memcpy(p, ".0", 2);
        p += 2;
    } else {
        memcpy(p, digits, (size_t)point);
        p[point] = '.';
        memcpy(p + point + 1, digits + point, n - (size_t)point);
        p += n + 1;
    }
    return (size_t)(p - out);
}

/* Rounds d half away from zero so that it has no digit behind the given decimal. */
static void round_decimal(struct num_decimal *d, int decimals)
{
    int drop = -d->exp - decimals;

    if (drop <= 0)
        return;
    if (drop > 18) {
        *d = (struct num_decimal){ .is_negative = d->is_negative };
        return;
    }
    uint64_t unit = 1;
    for (int i = 0; i < drop; i++)
        unit *= 10;
    d->digits = d->digits / unit + (d->digits % unit >= (unit + 1) / 2);
    d->exp = -decimals;
    if (d->digits == 0)
        d->exp = 0;
}

static size_t put_text(char *out, const char *text)
{
    size_t n = 0;

    for (; text[n]; n++)
        out[n] = text[n];
    return n;
}

size_t num_fixed(char *out, double v, int decimals, const char *group, const char *point)
{
    struct num_decimal d;
    char digits[360], *p = out;

    num_shortest(v, &d);
    round_decimal(&d, decimals);
    size_t n = put_digits(digits, d.digits);
    if (d.is_negative && d.digits != 0)
        *p++ = '-';
    /* digits of the whole number with `decimals` decimals: pad behind, then in front */
    size_t behind = d.digits ? (size_t)(d.exp + decimals) : 0;
    memset(digits + n, '0', behind);
    n += behind;
    if (n <= (size_t)decimals) {
        size_t pad = (size_t)decimals + 1 - n;
        memmove(digits + pad, digits, n);
        memset(digits, '0', pad);
        n += pad;
    }
    size_t whole = n - (size_t)decimals;
    for (size_t i = 0; i < whole; i++) {
        if (i > 0 && (whole - i) % 3 == 0)
            p += put_text(p, group);
        *p++ = digits[i];
    }
    if (decimals > 0) {
        p += put_text(p, point);
        memcpy(p, digits + whole, (size_t)decimals);
        p += decimals;
    }
    return (size_t)(p - out);
}

static double to_double(const struct num_decimal *d)
{
    char text[NUM_DOUBLE_MAX], *p = text;

    if (d->digits <= (uint64_t)NUM_EXACT_MAX && d->exp <= 0 && d->exp >= -22)
        return (d->is_negative ? -1.0 : 1.0) * ((double)d->digits / EXACT10[-d->exp]);
    if (d->is_negative)
        *p++ = '-';
    p += put_digits(p, d->digits);
    *p++ = 'e';
    p += num_int(p, d->exp);
    *p = '\0';
    return strtod(text, NULL);
}

double num_round(double v, int decimals)
{
    struct num_decimal d;

    if (!isfinite(v) || v == 0)
        return v;
    num_shortest(v, &d);
    round_decimal(&d, decimals);
    return to_double(&d);
}

/* The digit of d at decimal place p (1 = tenths). */
static int digit_at(const struct num_decimal *d, int p)
{
    int skip = -d->exp - p;
    uint64_t v = d->digits;

    if (skip < 0)
        return 0;
    for (; skip > 0 && v > 0; skip--)
        v /= 10;
    return (int)(v % 10);
}

double num_tidy(double v)
{
    struct num_decimal d;
    int decimals = 0;

    if (!isfinite(v) || v == 0)
        return v;
    num_shortest(v, &d);
    if (d.exp >= 0)
        return v;
    for (int p = 3; p >= 1 && decimals == 0; p--)
        decimals = digit_at(&d, p) != 0 ? p : 0;
    for (int p = 4; p <= 27 && decimals == 0; p++)
        decimals = digit_at(&d, p) != 0 ? p : 0;
    round_decimal(&d, decimals);
    return to_double(&d);
}

/* ---- reading ---- */

double num_parse(const char *s, size_t n)
{
    const char *p = s, *end = s + n;
    uint64_t digits = 0;
    int exp = 0, is_negative = 0, n_digits = 0;

    if (p < end && *p == '-') {
        is_negative = 1;
        p++;
    }
    for (; p < end && *p >= '0' && *p <= '9'; p++) {
        digits = digits * 10 + (uint64_t)(*p - '0');
        n_digits += digits != 0;
        if (n_digits > 18)
            return strtod(s, NULL);
    }
    if (p < end && *p == '.') {
        for (p++; p < end && *p >= '0' && *p <= '9'; p++, exp--) {
            digits = digits * 10 + (uint64_t)(*p - '0');
            n_digits += digits != 0;
            if (n_digits > 18)
                return strtod(s, NULL);
        }
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        int e = 0, minus = 0;
        p++;
        if (p < end && (*p == '-' || *p == '+'))
            minus = *p++ == '-';
        for (; p < end; p++) {
            e = e * 10 + (*p - '0');
            if (e > 9999)
                return strtod(s, NULL);
        }
        exp += minus ? -e : e;
    }
    double v = (double)digits;
    if (digits > (uint64_t)NUM_EXACT_MAX || exp < -22 || exp > 22)
        return digits ? strtod(s, NULL) : is_negative ? -0.0 : 0.0;
    v = exp < 0 ? v / EXACT10[-exp] : v * EXACT10[exp];
    return is_negative ? -v : v;
}
