/*
 * typed.c - see typed.h. Case folding covers the alphabets of which both cases have the same length
 * in UTF-8: Latin, Greek, Cyrillic, Armenian, full width.
 */
#include "base/typed.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "base/text.h"

size_t typed_char(const char *p, size_t n, uint32_t *cp)
{
    const unsigned char *s = (const unsigned char *)p;
    uint32_t c;
    size_t len;

    if (n == 0)
        return 0;
    if (s[0] < 0x80) {
        *cp = s[0];
        return 1;
    }
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (n < len)
        return 0;
    c = s[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3fu);
    }
    if ((len == 3 && (c < 0x800 || (c >= 0xd800 && c < 0xe000))) ||
        (len == 4 && (c < 0x10000 || c > 0x10ffff)))
        return 0;
    *cp = c;
    return len;
}

/* Bytes from p that are ASCII, eight at a time. */
static size_t ascii_prefix(const char *p, size_t n)
{
    size_t i = 0;

    for (; i + 8 <= n; i += 8) {
        uint64_t w;
        memcpy(&w, p + i, 8);
        if (w & 0x8080808080808080u)
            break;
    }
    while (i < n && (signed char)p[i] >= 0)
        i++;
    return i;
}

size_t typed_utf8_prefix(const char *p, size_t n, int *is_cut)
{
    size_t i = 0, len;
    uint32_t cp;

    *is_cut = 0;
    while (i < n) {
        i += ascii_prefix(p + i, n - i);
        if (i == n)
            break;
        len = typed_char(p + i, n - i, &cp);
        if (len == 0) {
            /* cut, if some bytes behind could make it whole */
            char whole[4];
            unsigned char lead = (unsigned char)p[i];
            size_t need = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4, have = n - i;
            if (have < need) {
                static const char ends[] = { (char)0x80, (char)0xbf };
                for (size_t k = 0; k < 2 && !*is_cut; k++) {
                    memset(whole, ends[k], sizeof whole);
                    memcpy(whole, p + i, have);
                    *is_cut = typed_char(whole, need, &cp) != 0;
                }
            }
            return i;
        }
        i += len;
    }
    return i;
}

int typed_is_space(uint32_t cp)
{
    if (cp < 0x80)
        return cp == ' ' || (cp >= 9 && cp <= 13);
    return cp == 0x85 || cp == 0xa0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) ||
           cp == 0x2028 || cp == 0x2029 || cp == 0x202f || cp == 0x205f || cp == 0x3000;
}

/* Bytes of the blank at p, or 0 when there is none. */
static size_t blank_at(const char *p, size_t n)
{
    uint32_t cp;
    size_t len = typed_char(p, n, &cp);

    return len > 0 && typed_is_space(cp) ? len : 0;
}

/* Bytes of the blank that ends at p + n, or 0. */
static size_t blank_before(const char *p, size_t n)
{
    for (size_t k = 1; k <= 3 && k <= n; k++)
        if (blank_at(p + n - k, k) == k)
            return k;
    return 0;
}

void typed_trim(const char **p, size_t *n)
{
    size_t len;

    while ((len = blank_at(*p, *n)) > 0) {
        *p += len;
        *n -= len;
    }
    while ((len = blank_before(*p, *n)) > 0)
        *n -= len;
}

int typed_is_blank(const char *p, size_t n)
{
    size_t len, i = 0;

    while ((len = blank_at(p + i, n - i)) > 0)
        i += len;
    return i == n;
}

size_t typed_clean(char *to, const char *p, size_t n)
{
    size_t len, out = 0;

    typed_trim(&p, &n);
    for (size_t i = 0; i < n; i += len) {
        len = blank_at(p + i, n - i);
        if (len == 0) {
            to[out++] = p[i];
            len = 1;
            continue;
        }
        for (size_t more; (more = blank_at(p + i + len, n - i - len)) > 0;)
            len += more;
        to[out++] = ' ';
    }
    return out;
}

size_t typed_squeeze(char *to, const char *p, size_t n)
{
    size_t len, out = 0;

    for (size_t i = 0; i < n; i += len) {
        len = blank_at(p + i, n - i);
        if (len == 0) {
            to[out++] = p[i];
            len = 1;
        }
    }
    return out;
}

static uint32_t fold_char(uint32_t c)
{
    if (c < 0x80)
        return c >= 'A' && c <= 'Z' ? c + 32 : c;
    if (c <= 0xde)
        return c >= 0xc0 && c != 0xd7 ? c + 32 : c;
    if (c < 0x100)
        return c;
    if (c < 0x180) { /* pairs; which of the two is the capital changes twice */
        if (c == 0x130 || c == 0x131 || c == 0x138 || c == 0x149 || c == 0x17f)
            return c;
        if (c == 0x178)
            return 0xff;
        if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e))
            return c & 1 ? c + 1 : c;
        return c | 1;
    }
    if (c >= 0x386 && c <= 0x3ab) {
        if (c == 0x386)
            return 0x3ac;
        if (c >= 0x388 && c <= 0x38a)
            return c + 37;
        if (c == 0x38c)
            return 0x3cc;
        if (c == 0x38e || c == 0x38f)
            return c + 63;
        return c >= 0x391 && c != 0x3a2 ? c + 32 : c;
    }
    if (c == 0x3c2) /* final sigma */
        return 0x3c3;
    if (c >= 0x400 && c < 0x530) {
        if (c < 0x410)
            return c + 80;
        if (c < 0x430)
            return c + 32;
        if (c < 0x460 || (c >= 0x482 && c < 0x48a))
            return c;
        if (c == 0x4c0)
            return 0x4cf;
        if (c > 0x4c0 && c < 0x4cf)
            return c & 1 ? c + 1 : c;
        return c == 0x4cf ? c : c | 1;
    }
    if (c >= 0x531 && c <= 0x556)
        return c + 48;
    if (c >= 0x1e00 && c < 0x1f00)
        return (c >= 0x1e96 && c < 0x1ea0) ? c : c | 1;
    if (c >= 0xff21 && c <= 0xff3a)
        return c + 32;
    return c;
}

size_t typed_fold(char *to, const char *p, size_t n)
{
    size_t len, out = 0;
    uint32_t cp;

    typed_trim(&p, &n);
    for (size_t i = 0; i < n; i += len) {
        len = typed_char(p + i, n - i, &cp);
        if (len == 0) {
            to[out++] = p[i];
            len = 1;
        } else {
            out += text_utf8_put(to + out, fold_char(cp));
        }
    }
    return out;
}

/* Powers of ten that a double holds exactly. */
static const double TEN[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                              1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                              1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };

/* strtod on a copy of bounded length; the text is known to be a number. */
static int float_slow(const char *p, size_t n, double *x)
{
    char copy[1100]; /* no more digits than this can change a double (767 significant, and zeros) */

    if (n >= sizeof copy)
        return -1;
    memcpy(copy, p, n);
    copy[n] = '\0';
    *x = strtod(copy, NULL);
    return isfinite(*x) ? 0 : -1;
}

int typed_float(const char *p, size_t n, double *x)
{
    const char *s = p, *end = p + n;
    uint64_t m = 0;
    int n_digits = 0, n_used = 0, scale = 0, exp = 0, is_neg = 0, exp_neg = 0;

    if (s < end && (*s == '-' || *s == '+'))
        is_neg = *s++ == '-';
    for (; s < end && *s >= '0' && *s <= '9'; s++, n_digits++) {
        m = m * 10 + (uint64_t)(*s - '0');
        n_used += m != 0;
    }
    if (s < end && *s == '.') {
        for (s++; s < end && *s >= '0' && *s <= '9'; s++, n_digits++, scale--) {
            m = m * 10 + (uint64_t)(*s - '0');
            n_used += m != 0;
        }
    }
    if (n_digits == 0)
        return -1;
    if (s < end && (*s == 'e' || *s == 'E')) {
        s++;
        if (s < end && (*s == '-' || *s == '+'))
            exp_neg = *s++ == '-';
        if (s == end)
            return -1;
        for (; s < end && *s >= '0' && *s <= '9'; s++)
            exp = exp < 100000 ? exp * 10 + (*s - '0') : exp;
        scale += exp_neg ? -exp : exp;
    }
    if (s != end)
        return -1;
    if (n_used > 19 || m > (1ull << 53) || scale < -22 || scale > 22)
        return float_slow(p, n, x);
    /* both sides are exact: one rounding */
    *x = scale < 0 ? (double)m / TEN[-scale] : (double)m * TEN[scale];
    if (is_neg)
        *x = -*x;
    return 0;
}

int typed_number(const char *p, size_t n, double *x)
{
    char digits[512];
    size_t len = 0, blank;
    int n_points = 0;

    for (size_t i = 0; i < n; i++) {
        char c = p[i];
        if ((blank = blank_at(p + i, n - i)) > 0) {
            i += blank - 1;
            continue;
        }
        if (c == ',')
            c = '.';
        if (c == '.' && ++n_points > 1)
            return -1;
        if (!((c >= '0' && c <= '9') || c == '.' || ((c == '-' || c == '+') && len == 0)))
            return -1;
        if (len == sizeof digits) /* larger than any double, or beyond all precision */
            return -1;
        digits[len++] = c;
    }
    return typed_float(digits, len, x);
}

size_t typed_of_float(char to[TYPED_FLOAT_MAX], double x)
{
    size_t len;

    if (isnan(x))
        return (size_t)snprintf(to, TYPED_FLOAT_MAX, "nan");
    if (isinf(x))
        return (size_t)snprintf(to, TYPED_FLOAT_MAX, x < 0 ? "-inf" : "inf");
    if (x == 0)
        x = 0; /* no "-0" */
    if (x == floor(x))
        return (size_t)snprintf(to, TYPED_FLOAT_MAX, "%.0f", x);
    len = num_double(to, x);
    to[len] = '\0';
    return len;
}
