/*
 * tensor.c - shape, storage, views. See tensor.h.
 */
#include "tensor/tensor.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct tensor_block {
    atomic_int refs;
    size_t bytes;
    float *data;
};

static atomic_size_t cap_bytes = (size_t)4 << 30;
static atomic_size_t used_bytes;

void tensor_set_cap(size_t bytes)
{
    atomic_store(&cap_bytes, bytes);
}

size_t tensor_bytes(void)
{
    return atomic_load(&used_bytes);
}

static void block_drop(struct tensor_block *b)
{
    if (b == NULL || atomic_fetch_sub(&b->refs, 1) > 1)
        return;
    atomic_fetch_sub(&used_bytes, b->bytes);
    mem_free(b->data);
    mem_free(b);
}

static struct tensor_block *block_new(size_t bytes, int zero, struct err *e)
{
    struct tensor_block *b;

    if (atomic_fetch_add(&used_bytes, bytes) + bytes > atomic_load(&cap_bytes)) {
        atomic_fetch_sub(&used_bytes, bytes);
        err_set(e, ERR_NOMEM, "tensors may take %zu bytes, %zu are in use, %zu more wanted",
                atomic_load(&cap_bytes), tensor_bytes(), bytes);
        return NULL;
    }
    b = mem_zero(1, sizeof *b);
    if (b != NULL)
        b->data = mem_aligned(bytes);
    if (b == NULL || b->data == NULL) {
        atomic_fetch_sub(&used_bytes, bytes);
        mem_free(b);
        err_set(e, ERR_NOMEM, "no memory for a tensor of %zu bytes", bytes);
        return NULL;
    }
    if (zero)
        memset(b->data, 0, bytes);
    b->bytes = bytes;
    atomic_store(&b->refs, 1);
    return b;
}

static int make(struct tensor **out, int n_dims, const ptrdiff_t *shape, int zero, struct err *e)
{
    struct tensor *t;
    size_t n = 1;

    *out = NULL;
    if (n_dims < 0 || n_dims > TENSOR_DIMS)
        return err_set(e, ERR_SHAPE, "a tensor of %d dimensions: at most %d", n_dims, TENSOR_DIMS);
    for (int i = 0; i < n_dims; i++) {
        if (shape[i] < 0)
            return err_set(e, ERR_SHAPE, "dimension %d of a tensor is %td", i + 1, shape[i]);
        if (shape[i] > 0 && n > SIZE_MAX / sizeof(float) / 2 / (size_t)shape[i])
            return err_set(e, ERR_LIMIT, "a tensor larger than the address space");
        n *= (size_t)shape[i];
    }
    t = mem_zero(1, sizeof *t);
    if (t == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a tensor");
    t->block = block_new(n * sizeof(float), zero, e);
    if (t->block == NULL) {
        mem_free(t);
        return -1;
    }
    t->data = t->block->data;
    t->n_dims = n_dims;
    ptrdiff_t step = 1;
    for (int i = n_dims - 1; i >= 0; i--) {
        t->shape[i] = shape[i];
        t->step[i] = step;
        step *= shape[i] > 0 ? shape[i] : 1;
    }
    *out = t;
    return 0;
}

int tensor_new(struct tensor **out, int n_dims, const ptrdiff_t *shape, struct err *e)
{
    return make(out, n_dims, shape, 0, e);
}

int tensor_zero(struct tensor **out, int n_dims, const ptrdiff_t *shape, struct err *e)
{
    return make(out, n_dims, shape, 1, e);
}

void tensor_free(struct tensor *t)
{
    if (t == NULL)
        return;
    block_drop(t->block);
    mem_free(t);
}

size_t tensor_count(const struct tensor *t)
{
    size_t n = 1;

    for (int i = 0; i < t->n_dims; i++)
        n *= (size_t)t->shape[i];
    return n;
}

int tensor_is_dense(const struct tensor *t)
{
    ptrdiff_t step = 1;

    for (int i = t->n_dims - 1; i >= 0; i--) {
        if (t->shape[i] > 1 && t->step[i] != step)
            return 0;
        step *= t->shape[i];
    }
    return 1;
}

int tensor_same_shape(const struct tensor *a, const struct tensor *b)
{
    return a->n_dims == b->n_dims &&
           memcmp(a->shape, b->shape, (size_t)a->n_dims * sizeof *a->shape) == 0;
}

/* A tensor that looks where t looks; the caller changes its shape. */
static struct tensor *view(const struct tensor *t, struct err *e)
{
    struct tensor *v = mem_alloc(sizeof *v);

    if (v == NULL) {
        err_set(e, ERR_NOMEM, "no memory for a view");
        return NULL;
    }
    *v = *t;
    atomic_fetch_add(&v->block->refs, 1);
    return v;
}

static int check_dim(const struct tensor *t, int dim, struct err *e)
{
    if (dim < 0 || dim >= t->n_dims)
        return err_set(e, ERR_SHAPE, "dimension %d of a tensor of %d", dim + 1, t->n_dims);
    return 0;
}

int tensor_slice(struct tensor **out, const struct tensor *t, int dim, ptrdiff_t from,
                 ptrdiff_t to, struct err *e)
{
    *out = NULL;
    if (check_dim(t, dim, e) != 0)
        return -1;
    if (from < 0 || to < from || to > t->shape[dim])
        return err_set(e, ERR_SHAPE, "slice %td to %td of dimension %d, which has %td", from, to,
                       dim + 1, t->shape[dim]);
    if ((*out = view(t, e)) == NULL)
        return -1;
    if (to > from)
        (*out)->data += from * t->step[dim];
    (*out)->shape[dim] = to - from;
    return 0;
}

int tensor_pick(struct tensor **out, const struct tensor *t, int dim, ptrdiff_t at, struct err *e)
{
    *out = NULL;
    if (check_dim(t, dim, e) != 0)
        return -1;
    if (at < 0 || at >= t->shape[dim])
        return err_set(e, ERR_SHAPE, "index %td of dimension %d, which has %td", at, dim + 1,
                       t->shape[dim]);
    if ((*out = view(t, e)) == NULL)
        return -1;
    (*out)->data += at * t->step[dim];
    (*out)->n_dims--;
    for (int i = dim; i < (*out)->n_dims; i++) {
        (*out)->shape[i] = t->shape[i + 1];
        (*out)->step[i] = t->step[i + 1];
    }
    return 0;
}

int tensor_swap(struct tensor **out, const struct tensor *t, int dim_a, int dim_b, struct err *e)
{
    *out = NULL;
    if (check_dim(t, dim_a, e) != 0 || check_dim(t, dim_b, e) != 0)
        return -1;
    if ((*out = view(t, e)) == NULL)
        return -1;
    (*out)->shape[dim_a] = t->shape[dim_b];
    (*out)->step[dim_a] = t->step[dim_b];
    (*out)->shape[dim_b] = t->shape[dim_a];
    (*out)->step[dim_b] = t->step[dim_a];
    return 0;
}

int tensor_reshape(struct tensor **out, const struct tensor *t, int n_dims, const ptrdiff_t *shape,
                   struct err *e)
{
    ptrdiff_t full[TENSOR_DIMS], step = 1;
    size_t n = 1, have = tensor_count(t);
    int open = -1;
    char text[96];

    *out = NULL;
    if (n_dims < 0 || n_dims > TENSOR_DIMS)
        return err_set(e, ERR_SHAPE, "%d dimensions: at most %d", n_dims, TENSOR_DIMS);
    for (int i = 0; i < n_dims; i++) {
        full[i] = shape[i];
        if (shape[i] == -1 && open < 0) {
            open = i;
        } else if (shape[i] < 0) {
            return err_set(e, ERR_SHAPE, "dimension %d is %td", i + 1, shape[i]);
        } else if (__builtin_mul_overflow(n, (size_t)shape[i], &n)) {
            return err_set(e, ERR_SHAPE, "a shape larger than the address space");
        }
    }
    if (open >= 0 && n > 0 && have % n == 0) {
        full[open] = (ptrdiff_t)(have / n);
        n = have;
    }
    if (n != have || (open >= 0 && full[open] < 0))
        return err_set(e, ERR_SHAPE, "%s has %zu elements, which do not fit the new shape",
                       tensor_shape_text(t, text, sizeof text), have);
    if (!tensor_is_dense(t)) {
        if (tensor_copy(out, t, e) != 0)
            return -1;
    } else if ((*out = view(t, e)) == NULL) {
        return -1;
    }
    (*out)->n_dims = n_dims;
    for (int i = n_dims - 1; i >= 0; i--) {
        (*out)->shape[i] = full[i];
        (*out)->step[i] = step;
        step *= full[i] > 0 ? full[i] : 1;
    }
    return 0;
}

int tensor_spread(struct tensor **out, const struct tensor *t, int n_dims, const ptrdiff_t *shape,
                  struct err *e)
{
    int lead = n_dims - t->n_dims;
    char text[96];

    *out = NULL;
    if (lead < 0 || n_dims > TENSOR_DIMS)
        return err_set(e, ERR_SHAPE, "%s cannot be spread to %d dimensions",
                       tensor_shape_text(t, text, sizeof text), n_dims);
    for (int i = 0; i < t->n_dims; i++)
        if (t->shape[i] != 1 && t->shape[i] != shape[i + lead])
            return err_set(e, ERR_SHAPE, "%s does not fit %td in dimension %d",
                           tensor_shape_text(t, text, sizeof text), shape[i + lead], i + lead + 1);
    if ((*out = view(t, e)) == NULL)
        return -1;
    (*out)->n_dims = n_dims;
    for (int i = 0; i < n_dims; i++) {
        (*out)->step[i] = i < lead || t->shape[i - lead] == 1 ? 0 : t->step[i - lead];
        (*out)->shape[i] = shape[i];
    }
    return 0;
}

void tensor_walk(const struct tensor *t,
                 void (*fn)(void *ctx, float *x, ptrdiff_t step, ptrdiff_t n), void *ctx)
{
    ptrdiff_t at[TENSOR_DIMS] = {0};
    int last = t->n_dims - 1;
    float *x = t->data;

    if (tensor_count(t) == 0)
        return;
    if (last < 0) {
        fn(ctx, x, 1, 1);
        return;
    }
    for (;;) {
        fn(ctx, x, t->step[last], t->shape[last]);
        int d = last - 1;
        for (; d >= 0; d--) {
            x += t->step[d];
            if (++at[d] < t->shape[d])
                break;
            x -= t->step[d] * t->shape[d];
            at[d] = 0;
        }
        if (d < 0)
            return;
    }
}

static void copy_run(void *ctx, float *x, ptrdiff_t step, ptrdiff_t n)
{
    float **to = ctx;

    for (ptrdiff_t i = 0; i < n; i++)
        *(*to)++ = x[i * step];
}

int tensor_copy(struct tensor **out, const struct tensor *t, struct err *e)
{
    float *to;

    if (tensor_new(out, t->n_dims, t->shape, e) != 0)
        return -1;
    to = (*out)->data;
    tensor_walk(t, copy_run, &to);
    return 0;
}

int tensor_assign(struct tensor *to, const struct tensor *b, struct err *e)
{
    struct tensor *from, *dense;
    ptrdiff_t at[TENSOR_DIMS] = {0};
    size_t n = tensor_count(to);
    float *x = to->data;

    if (tensor_spread(&from, b, to->n_dims, to->shape, e) != 0)
        return -1;
    int rc = tensor_copy(&dense, from, e); /* also when both look at the same block */
    tensor_free(from);
    if (rc != 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        *x = dense->data[i];
        for (int d = to->n_dims - 1; d >= 0; d--) {
            x += to->step[d];
            if (++at[d] < to->shape[d])
                break;
            x -= to->step[d] * to->shape[d];
            at[d] = 0;
        }
    }
    tensor_free(dense);
    return 0;
}

const char *tensor_shape_text(const struct tensor *t, char *text, size_t bytes)
{
    size_t len = 0;

    text[0] = '\0';
    for (int i = 0; i < t->n_dims && len < bytes; i++) {
        int n = snprintf(text + len, bytes - len, "%s%td", i == 0 ? "(" : ", ", t->shape[i]);
        len += n > 0 ? (size_t)n : 0;
    }
    if (len < bytes)
        snprintf(text + len, bytes - len, "%s", t->n_dims == 0 ? "()" : ")");
    return text;
}
