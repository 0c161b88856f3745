/*
 * tensor_calc.c - products, linear systems and text. See tensor_op.h.
 */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/kern.h"
#include "tensor/tensor_op.h"

/* C (m, n) of one pair of matrices, given by strides. */
static void multiply(float *c, const float *a, ptrdiff_t a_row, ptrdiff_t a_col, const float *b,
                     ptrdiff_t b_row, ptrdiff_t b_col, int m, int n, int k, float *room)
{
    struct gemm g = {.c = c, .ldc = n, .a = a, .rs = a_row, .cs = a_col, .b = room, .m = m,
                     .n = n, .k = k};

    if (b_col == 1 || n == 1) {
        kern()->pack_rows(room, b, b_row, k, n);
    } else if (b_row == 1 || k == 1) {
        kern()->pack_cols(room, b, b_col, k, n);
    } else {
        for (int j0 = 0; j0 < n; j0 += PANEL)
            for (int i = 0; i < k; i++)
                for (int j = j0; j < j0 + PANEL; j++)
                    *room++ = j < n ? b[i * b_row + j * b_col] : 0;
    }
    kern()->gemm(&g);
}

int tensor_matmul(struct tensor **out, const struct tensor *a, const struct tensor *b,
                  struct err *e)
{
    int da = a->n_dims, db = b->n_dims, lead = da - 2, rc = -1;
    ptrdiff_t shape[TENSOR_DIMS];
    struct tensor *ca = NULL, *cb = NULL;
    float *room = NULL;
    char ta[96], tb[96];
    size_t batches = 1;

    *out = NULL;
    int fits = da >= 2 && (db == 2 || db == da) && a->shape[da - 1] == b->shape[db - 2];
    for (int i = 0; fits && db == da && i < lead; i++)
        fits = a->shape[i] == b->shape[i];
    if (!fits)
        return err_set(e, ERR_SHAPE, "%s times %s", tensor_shape_text(a, ta, sizeof ta),
                       tensor_shape_text(b, tb, sizeof tb));
    ptrdiff_t m = a->shape[da - 2], k = a->shape[da - 1], n = b->shape[db - 1];
    for (int i = 0; i < lead; i++)
        batches *= (size_t)a->shape[i];
    if (m > 1 << 30 || k > 1 << 30 || n > 1 << 30 ||
        (double)m * (double)k * (double)n * (double)batches > TENSOR_MATMUL_MAX)
        return err_set(e, ERR_LIMIT, "%s times %s is more than %g multiplications",
                       tensor_shape_text(a, ta, sizeof ta), tensor_shape_text(b, tb, sizeof tb),
                       TENSOR_MATMUL_MAX);
    memcpy(shape, a->shape, sizeof shape);
    shape[da - 1] = n;
    room = mem_aligned((kern_packed((int)k, (int)n) + 16) * sizeof *room);
    if (room == NULL) {
        err_set(e, ERR_NOMEM, "no memory to multiply");
        goto done;
    }
    /* batches are walked in a dense copy; a single pair is taken as it lies */
    if (lead > 0 && (tensor_copy(&ca, a, e) != 0 || (db > 2 && tensor_copy(&cb, b, e) != 0)))
        goto done;
    if (tensor_new(out, da, shape, e) != 0)
        goto done;
    const struct tensor *ua = ca != NULL ? ca : a, *ub = cb != NULL ? cb : b;
    for (size_t i = 0; i < batches; i++)
        multiply((*out)->data + i * (size_t)(m * n), ua->data + i * (size_t)(m * k),
                 ua->step[da - 2], ua->step[da - 1],
                 ub->data + (db > 2 ? i * (size_t)(k * n) : 0), ub->step[db - 2],
                 ub->step[db - 1], (int)m, (int)n, (int)k, room);
    rc = 0;
done:
    tensor_free(ca);
    tensor_free(cb);
    mem_free(room);
    return rc;
}

/* --- A X = B --- */

static void copy_doubles(void *ctx, float *x, ptrdiff_t step, ptrdiff_t n)
{
    double **to = ctx;

    for (ptrdiff_t i = 0; i < n; i++)
        *(*to)++ = (double)x[i * step];
}

/* Eliminates in place; a (n, n), b (n, m). -1 when a pivot is lost in rounding. */
static int eliminate(double *a, double *b, ptrdiff_t n, ptrdiff_t m)
{
    double largest = 0;

    for (ptrdiff_t i = 0; i < n * n; i++)
        largest = fmax(largest, fabs(a[i]));
    for (ptrdiff_t c = 0; c < n; c++) {
        ptrdiff_t p = c;
        for (ptrdiff_t i = c + 1; i < n; i++)
            if (fabs(a[i * n + c]) > fabs(a[p * n + c]))
                p = i;
        if (!(fabs(a[p * n + c]) > largest * 1e-13 * (double)n))
            return -1;
        for (ptrdiff_t j = 0; p != c && j < n; j++) {
            double t = a[c * n + j];
            a[c * n + j] = a[p * n + j];
            a[p * n + j] = t;
        }
        for (ptrdiff_t j = 0; p != c && j < m; j++) {
            double t = b[c * m + j];
            b[c * m + j] = b[p * m + j];
            b[p * m + j] = t;
        }
        for (ptrdiff_t i = c + 1; i < n; i++) {
            double f = a[i * n + c] / a[c * n + c];
            if (f == 0)
                continue;
            for (ptrdiff_t j = c + 1; j < n; j++)
                a[i * n + j] -= f * a[c * n + j];
            for (ptrdiff_t j = 0; j < m; j++)
                b[i * m + j] -= f * b[c * m + j];
        }
    }
    for (ptrdiff_t i = n - 1; i >= 0; i--)
        for (ptrdiff_t j = 0; j < m; j++) {
            for (ptrdiff_t q = i + 1; q < n; q++)
                b[i * m + j] -= a[i * n + q] * b[q * m + j];
            b[i * m + j] /= a[i * n + i];
        }
    return 0;
}

int tensor_solve(struct tensor **out, const struct tensor *a, const struct tensor *b,
                 struct err *e)
{
    char ta[96], tb[96];
    ptrdiff_t n = a->n_dims == 2 ? a->shape[0] : -1, m = b->n_dims == 2 ? b->shape[1] : 1;
    double *wa, *wb, *to;
    int rc = -1;

    *out = NULL;
    if (n < 0 || a->shape[1] != n || b->n_dims < 1 || b->n_dims > 2 || b->shape[0] != n)
        return err_set(e, ERR_SHAPE, "a system of %s and %s", tensor_shape_text(a, ta, sizeof ta),
                       tensor_shape_text(b, tb, sizeof tb));
    if ((double)n * (double)n * (double)(n + m) > TENSOR_MATMUL_MAX)
        return err_set(e, ERR_LIMIT, "a system of %td unknowns is too large", n);
    wa = mem_alloc((size_t)(n * n + 1) * sizeof *wa);
    wb = mem_alloc((size_t)(n * m + 1) * sizeof *wb);
    if (wa == NULL || wb == NULL) {
        err_set(e, ERR_NOMEM, "no memory for a system of %td unknowns", n);
        goto done;
    }
    to = wa;
    tensor_walk(a, copy_doubles, &to);
    to = wb;
    tensor_walk(b, copy_doubles, &to);
    if (eliminate(wa, wb, n, m) != 0) {
        err_set(e, ERR_INVALID, "the system of %td unknowns has no single solution", n);
        goto done;
    }
    if (tensor_new(out, b->n_dims, b->shape, e) != 0)
        goto done;
    for (ptrdiff_t i = 0; i < n * m; i++)
        (*out)->data[i] = (float)wb[i];
    rc = 0;
done:
    mem_free(wa);
    mem_free(wb);
    return rc;
}

/* --- text --- */

#define FIELD_MAX 64

/* One field up to sep or end of line, as a number. 0 fine, 1 not a number. */
static int field(const char *p, size_t n, float *out)
{
    char text[FIELD_MAX], *end;

    while (n > 0 && isspace((unsigned char)*p)) {
        p++;
        n--;
    }
    while (n > 0 && isspace((unsigned char)p[n - 1]))
        n--;
    if (n >= 2 && p[0] == '"' && p[n - 1] == '"') {
        p++;
        n -= 2;
    }
    *out = NAN;
    if (n == 0)
        return 0;
    if (n >= FIELD_MAX || isspace((unsigned char)*p))
        return 1;
    memcpy(text, p, n);
    text[n] = '\0';
    double v = strtod(text, &end);
    *out = (float)v;
    return *end != '\0' || strpbrk(text, "xX") != NULL;
}

static char find_separator(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes && text[i] != '\n'; i++)
        if (text[i] == ',' || text[i] == ';' || text[i] == '\t')
            return text[i];
    return ',';
}

/* One line at p; fills row (max values) and n. Returns how many fields are not numbers. */
static int line_of(const char *p, size_t n, char sep, float *row, size_t max, size_t *n_fields)
{
    int bad = 0;
    size_t from = 0;

    *n_fields = 0;
    for (size_t i = 0; i <= n; i++)
        if (i == n || p[i] == sep) {
            float v;
            bad += field(p + from, i - from, &v);
            if (*n_fields < max)
                row[*n_fields] = v;
            (*n_fields)++;
            from = i + 1;
        }
    return bad;
}

static size_t line_bytes(const char *p, const char *end)
{
    const char *nl = memchr(p, '\n', (size_t)(end - p));

    return nl != NULL ? (size_t)(nl - p) : (size_t)(end - p);
}

int tensor_csv_parse(struct tensor **out, const char *text, size_t bytes, struct err *e)
{
    const char *end;
    size_t cols = 0, n = 0;
    struct tensor *t = NULL;

    *out = NULL;
    if (bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        bytes -= 3;
    }
    end = text + bytes;
    char sep = find_separator(text, bytes);
    /* twice over the text: the first time to count, the second to fill in */
    for (int pass = 0; pass < 2; pass++) {
        size_t at = 0, number = 1;
        for (const char *p = text; p < end; number++) {
            size_t len = line_bytes(p, end), w = len;
            float *row = pass == 1 ? t->data + at * cols : NULL;
            while (w > 0 && (p[w - 1] == '\r' || p[w - 1] == ' '))
                w--;
            int bad = w > 0 ? line_of(p, w, sep, row, pass == 1 ? cols : 0, &n) : 0;
            int is_header = number == 1 && bad > 0 && bad == (int)n;
            if (w > 0 && !is_header) {
                if (bad > 0 || (cols > 0 && n != cols)) {
                    tensor_free(t);
                    return bad > 0 ? err_set(e, ERR_PARSE, "line %zu: not a number", number)
                                   : err_set(e, ERR_PARSE, "line %zu: %zu values, %zu before",
                                             number, n, cols);
                }
                cols = n;
                at++;
            }
            p += len + 1;
        }
        if (pass == 0) {
            ptrdiff_t shape[2] = {(ptrdiff_t)at, (ptrdiff_t)cols};
            if (tensor_new(&t, 2, shape, e) != 0)
                return -1;
        }
    }
    *out = t;
    return 0;
}

struct writer {
    struct buf *out;
    struct err *e;
    int failed;
};

static void write_line(void *ctx, float *x, ptrdiff_t step, ptrdiff_t n)
{
    struct writer *w = ctx;

    for (ptrdiff_t i = 0; i < n && !w->failed; i++) {
        const char *between = i + 1 < n ? "," : "\n";
        w->failed = isnan(x[i * step])
                        ? buf_adds(w->out, between, w->e) != 0
                        : buf_addf(w->out, w->e, "%.9g%s", (double)x[i * step], between) != 0;
    }
}

int tensor_csv_write(struct buf *out, const struct tensor *a, struct err *e)
{
    struct writer w = {out, e, 0};

    if (a->n_dims > 2)
        return err_set(e, ERR_SHAPE, "a tensor of %d dimensions does not fit a table", a->n_dims);
    tensor_walk(a, write_line, &w);
    return w.failed ? -1 : 0;
}
