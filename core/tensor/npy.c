/*
 * npy.c - NumPy's .npy files. See npy.h.
 */
#include "tensor/npy.h"

#include <ctype.h>
#include <string.h>

#define MAGIC "\x93NUMPY"
#define MAGIC_BYTES 6
#define HEAD_MAX 512

/* A cursor over the text of the header, a Python dict. */
struct cursor {
    const char *p, *end;
};

static void skip_space(struct cursor *c)
{
    while (c->p < c->end && isspace((unsigned char)*c->p))
        c->p++;
}

static int take(struct cursor *c, char ch)
{
    skip_space(c);
    if (c->p >= c->end || *c->p != ch)
        return 0;
    c->p++;
    return 1;
}

/* 'text' between quotes, at most `max` - 1 characters. */
static int take_text(struct cursor *c, char *out, size_t max)
{
    size_t n = 0;
    char quote;

    skip_space(c);
    if (c->p >= c->end || (*c->p != '\'' && *c->p != '"'))
        return 0;
    quote = *c->p++;
    while (c->p < c->end && *c->p != quote) {
        if (n + 1 >= max)
            return 0;
        out[n++] = *c->p++;
    }
    out[n] = '\0';
    return take(c, quote);
}

static int take_word(struct cursor *c, const char *word)
{
    size_t n = strlen(word);

    skip_space(c);
    if ((size_t)(c->end - c->p) < n || memcmp(c->p, word, n) != 0)
        return 0;
    c->p += n;
    return 1;
}

static int take_shape(struct cursor *c, struct npy *h, struct err *e)
{
    h->n_dims = 0;
    if (!take(c, '('))
        return err_set(e, ERR_PARSE, "npy: shape is not a list");
    while (!take(c, ')')) {
        ptrdiff_t v = 0;
        skip_space(c);
        if (c->p >= c->end || !isdigit((unsigned char)*c->p))
            return err_set(e, ERR_PARSE, "npy: shape holds something that is not a number");
        for (; c->p < c->end && isdigit((unsigned char)*c->p); c->p++) {
            if (v > PTRDIFF_MAX / 16)
                return err_set(e, ERR_LIMIT, "npy: a dimension is too large");
            v = v * 10 + (*c->p - '0');
        }
        if (h->n_dims == TENSOR_DIMS)
            return err_set(e, ERR_LIMIT, "npy: more than %d dimensions", TENSOR_DIMS);
        h->shape[h->n_dims++] = v;
        if (!take(c, ',') && !(skip_space(c), c->p < c->end && *c->p == ')'))
            return err_set(e, ERR_PARSE, "npy: shape is not a list");
    }
    return 0;
}

static int take_descr(struct cursor *c, struct npy *h, struct err *e)
{
    char text[16];

    if (!take_text(c, text, sizeof text))
        return err_set(e, ERR_UNSUPPORTED, "npy: only arrays of plain numbers are read");
    if (strlen(text) != 3 || strchr("<|=", text[0]) == NULL || strchr("biuf", text[1]) == NULL ||
        !isdigit((unsigned char)text[2]))
        return err_set(e, ERR_UNSUPPORTED, "npy: numbers of kind \"%s\" are not read", text);
    h->kind = text[1];
    h->item_bytes = text[2] - '0';
    int ok = h->kind == 'b'   ? h->item_bytes == 1
             : h->kind == 'f' ? h->item_bytes == 4 || h->item_bytes == 8
                              : h->item_bytes == 1 || h->item_bytes == 2 || h->item_bytes == 4 ||
                                    h->item_bytes == 8;
    if (!ok)
        return err_set(e, ERR_UNSUPPORTED, "npy: numbers of kind \"%s\" are not read", text);
    return 0;
}

static int parse_dict(struct cursor *c, struct npy *h, struct err *e)
{
    int seen = 0;

    if (!take(c, '{'))
        return err_set(e, ERR_PARSE, "npy: the header is not a dict");
    while (!take(c, '}')) {
        char key[32];
        if (!take_text(c, key, sizeof key) || !take(c, ':'))
            return err_set(e, ERR_PARSE, "npy: the header is not a dict");
        if (strcmp(key, "descr") == 0) {
            seen |= 1;
            if (take_descr(c, h, e) != 0)
                return -1;
        } else if (strcmp(key, "fortran_order") == 0) {
            seen |= 2;
            h->fortran = take_word(c, "True");
            if (!h->fortran && !take_word(c, "False"))
                return err_set(e, ERR_PARSE, "npy: fortran_order is neither True nor False");
        } else if (strcmp(key, "shape") == 0) {
            seen |= 4;
            if (take_shape(c, h, e) != 0)
                return -1;
        } else {
            return err_set(e, ERR_PARSE, "npy: unknown key \"%s\" in the header", key);
        }
        take(c, ',');
    }
    if (seen != 7)
        return err_set(e, ERR_PARSE, "npy: the header lacks descr, fortran_order or shape");
    return 0;
}

int npy_head(struct npy *h, const uint8_t *data, size_t bytes, struct err *e)
{
    size_t head, text;

    memset(h, 0, sizeof *h);
    if (bytes < MAGIC_BYTES + 4 || memcmp(data, MAGIC, MAGIC_BYTES) != 0)
        return err_set(e, ERR_PARSE, "not an npy file");
    if (data[6] < 1 || data[6] > 3)
        return err_set(e, ERR_UNSUPPORTED, "npy: version %d", data[6]);
    head = (size_t)data[8] | (size_t)data[9] << 8;
    text = MAGIC_BYTES + 4;
    if (data[6] > 1) {
        if (bytes < MAGIC_BYTES + 6)
            return err_set(e, ERR_PARSE, "npy: cut off in the header");
        head |= (size_t)data[10] << 16 | (size_t)data[11] << 24;
        text += 2;
    }
    if (head > bytes - text)
        return err_set(e, ERR_PARSE, "npy: cut off in the header");
    struct cursor c = {(const char *)data + text, (const char *)data + text + head};
    if (parse_dict(&c, h, e) != 0)
        return -1;
    h->at = text + head;
    h->n = 1;
    for (int i = 0; i < h->n_dims; i++)
        if (__builtin_mul_overflow(h->n, (size_t)h->shape[i], &h->n))
            return err_set(e, ERR_LIMIT, "npy: more numbers than an address space holds");
    if (h->n > (bytes - h->at) / (size_t)h->item_bytes)
        return err_set(e, ERR_PARSE, "npy: %zu numbers announced, %zu are there", h->n,
                       (bytes - h->at) / (size_t)h->item_bytes);
    return 0;
}

double npy_value(const struct npy *h, const uint8_t *data, size_t i)
{
    const uint8_t *p = data + h->at + i * (size_t)h->item_bytes;
    uint64_t u = 0;
    double d;
    float f;

    memcpy(&u, p, (size_t)h->item_bytes); /* both sides are little-endian */
    if (h->kind == 'f' && h->item_bytes == 8) {
        memcpy(&d, p, sizeof d);
        return d;
    }
    if (h->kind == 'f') {
        memcpy(&f, p, sizeof f);
        return (double)f;
    }
    if (h->kind != 'i')
        return (double)u;
    switch (h->item_bytes) {
    case 1: return (int8_t)u;
    case 2: return (int16_t)u;
    case 4: return (int32_t)u;
    default: return (double)(int64_t)u;
    }
}

int npy_parse(struct tensor **out, const uint8_t *data, size_t bytes, struct err *e)
{
    struct npy h;
    struct tensor *t;

    *out = NULL;
    if (npy_head(&h, data, bytes, e) != 0)
        return -1;
    if (tensor_new(&t, h.n_dims, h.shape, e) != 0)
        return -1;
    if (!h.fortran || h.n_dims < 2) {
        for (size_t i = 0; i < h.n; i++)
            t->data[i] = (float)npy_value(&h, data, i);
    } else {
        for (size_t i = 0; i < h.n; i++) {
            size_t left = i;
            ptrdiff_t at = 0;
            for (int d = 0; d < h.n_dims; d++) {
                at += (ptrdiff_t)(left % (size_t)h.shape[d]) * t->step[d];
                left /= (size_t)h.shape[d];
            }
            t->data[at] = (float)npy_value(&h, data, i);
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

static void write_run(void *ctx, float *x, ptrdiff_t step, ptrdiff_t n)
{
    struct writer *w = ctx;

    for (ptrdiff_t i = 0; i < n && !w->failed; i++)
        w->failed = buf_add(w->out, &x[i * step], sizeof *x, w->e) != 0;
}

int npy_write(struct buf *out, const struct tensor *t, struct err *e)
{
    struct writer w = {out, e, 0};
    struct buf h;
    int rc = -1;

    buf_init(&h, HEAD_MAX);
    if (buf_adds(&h, "{'descr': '<f4', 'fortran_order': False, 'shape': (", e) != 0)
        goto done;
    for (int i = 0; i < t->n_dims; i++)
        if (buf_addf(&h, e, "%td,%s", t->shape[i], i + 1 < t->n_dims ? " " : "") != 0)
            goto done;
    if (buf_adds(&h, "), }", e) != 0)
        goto done;
    while ((MAGIC_BYTES + 4 + h.len + 1) % 64 != 0)
        if (buf_addc(&h, ' ', e) != 0)
            goto done;
    uint8_t start[4] = {1, 0, (uint8_t)((h.len + 1) & 255), (uint8_t)((h.len + 1) >> 8)};
    if (buf_add(out, MAGIC, MAGIC_BYTES, e) != 0 || buf_add(out, start, 4, e) != 0 ||
        buf_add(out, h.data, h.len, e) != 0 || buf_addc(out, '\n', e) != 0)
        goto done;
    tensor_walk(t, write_run, &w);
    rc = w.failed ? -1 : 0;
done:
    buf_deinit(&h);
    return rc;
}
