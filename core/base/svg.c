/*
 * svg.c - small drawings; see svg.h.
 */
#include "base/svg.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"

/* A coordinate with at most one decimal. */
static size_t put(char *to, double v)
{
    int64_t tenths = (int64_t)floor(v * 10 + 0.5);
    size_t n = 0;

    if (tenths < 0) {
        to[n++] = '-';
        tenths = -tenths;
    }
    n += num_int(to + n, tenths / 10);
    if (tenths % 10 != 0) {
        to[n++] = '.';
        to[n++] = (char)('0' + tenths % 10);
    }
    return n;
}

static int add(struct buf *out, double v, struct err *e)
{
    char text[NUM_INT_MAX + 4];

    return buf_add(out, text, put(text, v), e);
}

static int begin(struct buf *out, const char *class, int width, int height, struct err *e)
{
    return buf_addf(out, e, "<svg class=\"%s\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">", class,
                    width, height, width, height);
}

int svg_spark(struct buf *out, const double *v, size_t n, int width, int height, struct err *e)
{
    double low = 0, high = 0;

    for (size_t i = 0; i < n; i++) {
        if (!isfinite(v[i]))
            return err_set(e, ERR_NAN, "value %zu of a line is not finite", i + 1);
        low = v[i] < low ? v[i] : low;
        high = v[i] > high ? v[i] : high;
    }
    if (!isfinite(high - low))
        return err_set(e, ERR_NAN, "the values of a line are too far apart");
    double step = n > 1 ? (width - 4) / (double)(n - 1) : 0;
    double range = high > low ? high - low : 1, x = 2, y = height - 2;

    if (begin(out, "spark", width, height, e) != 0 || buf_adds(out, "<path d=\"", e) != 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        x = 2 + step * (double)i;
        y = height - 2 - (v[i] - low) / range * (height - 4);
        if (buf_addc(out, i == 0 ? 'M' : 'L', e) != 0 || add(out, x, e) != 0 ||
            buf_addc(out, ' ', e) != 0 || add(out, y, e) != 0)
            return -1;
    }
    if (buf_adds(out, "\"/><circle cx=\"", e) != 0 || add(out, x, e) != 0 ||
        buf_adds(out, "\" cy=\"", e) != 0 || add(out, y, e) != 0)
        return -1;
    return buf_adds(out, "\" r=\"1.6\"/></svg>", e);
}

static int bar(struct buf *out, const char *class, const double at[4], struct err *e)
{
    static const char *const NAMES[4] = { "\" x=\"", "\" y=\"", "\" width=\"", "\" height=\"" };

    if (buf_adds(out, "<rect class=\"", e) != 0 || buf_adds(out, class, e) != 0)
        return -1;
    for (int i = 0; i < 4; i++)
        if (buf_adds(out, NAMES[i], e) != 0 || add(out, at[i], e) != 0)
            return -1;
    return buf_adds(out, "\"/>", e);
}

int svg_interval(struct buf *out, const double q[5], double max, int width, int height,
                 struct err *e)
{
    double x[5], middle = height / 2.0;

    if (!(max > 0) || !isfinite(max))
        return err_set(e, ERR_NAN, "the end of the scale is not above 0");
    for (int i = 0; i < 5; i++) {
        if (!isfinite(q[i]))
            return err_set(e, ERR_NAN, "quantile %d is not finite", i + 1);
        double share = q[i] < 0 ? 0 : q[i] > max ? 1 : sqrt(q[i] / max);
        x[i] = 1 + share * (width - 3);
    }
    double thin[4] = { x[0], middle - 1, fmax(x[4] - x[0], 1), 2 };
    double thick[4] = { x[1], middle - 3, fmax(x[3] - x[1], 1), 6 };
    double mark[4] = { x[2] - 0.8, middle - 5, 1.6, 10 };

    if (begin(out, "interval", width, height, e) != 0 || bar(out, "q90", thin, e) != 0 ||
        bar(out, "q50", thick, e) != 0 || bar(out, "qmid", mark, e) != 0)
        return -1;
    return buf_adds(out, "</svg>", e);
}

int svg_numbers(const char *text, size_t bytes, double *v, int n_max, struct err *e)
{
    char one[NUM_DOUBLE_MAX + 2];
    size_t at = 0;
    int n = 0;

    while (at < bytes) {
        size_t len = 0;
        for (; at + len < bytes && text[at + len] != ' '; len++) {
            if (len == NUM_DOUBLE_MAX || memchr("0123456789+-.e", text[at + len], 14) == NULL)
                return err_set(e, ERR_PARSE, "byte %zu of a series is no part of a number", at + len + 1);
            one[len] = text[at + len];
        }
        one[len] = '\0';
        char *end = one;
        if (n == n_max)
            return err_set(e, ERR_LIMIT, "a series of more than %d numbers", n_max);
        v[n++] = strtod(one, &end);
        if (len == 0 || *end != '\0')
            return err_set(e, ERR_PARSE, "number %d of a series is '%s'", n, one);
        at += len + 1;
    }
    return n;
}
