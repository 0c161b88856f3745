/*
 * tensor_op.c - arithmetic on whole tensors: map, zip, fold, sort. See tensor_op.h; products and
 * text are in tensor_calc.c.
 */
#include "tensor/tensor_op.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/act.h"
#include "tensor/reduce.h"

int tensor_map(struct tensor **out, const struct tensor *a, enum tensor_map op, struct err *e)
{
    if (tensor_copy(out, a, e) != 0)
        return -1;
    float *x = (*out)->data;
    size_t n = tensor_count(*out);

#define EACH(expr)                                                                                \
    for (size_t i = 0; i < n; i++)                                                                \
        x[i] = (expr);                                                                            \
    break
    switch (op) {
    case MAP_NEG: EACH(-x[i]);
    case MAP_ABS: EACH(fabsf(x[i]));
    case MAP_EXP: EACH((float)exp((double)x[i]));
    case MAP_LOG: EACH((float)log((double)x[i]));
    case MAP_LOG1P: EACH((float)log1p((double)x[i]));
    case MAP_EXPM1: EACH((float)expm1((double)x[i]));
    case MAP_SQRT: EACH(sqrtf(x[i]));
    case MAP_ROUND: EACH(roundf(x[i]));
    case MAP_FLOOR: EACH(floorf(x[i]));
    case MAP_CEIL: EACH(ceilf(x[i]));
    case MAP_SIGN: EACH(isnan(x[i]) ? x[i] : (float)((x[i] > 0) - (x[i] < 0)));
    case MAP_ISNAN: EACH(isnan(x[i]) ? 1.0f : 0.0f);
    case MAP_RELU: relu_fwd(x, x, n); break;
    case MAP_SIGMOID: sigmoid_fwd(x, x, n); break;
    case MAP_TANH: tanh_fwd(x, x, n); break;
    case MAP_SOFTPLUS: softplus_fwd(x, x, 1, 20, n); break;
    case MAP_GELU: gelu_fwd(x, x, 0, n); break;
    case MAP_COUNT: break;
    }
#undef EACH
    return 0;
}

static float zip_one(enum tensor_zip op, float x, float y)
{
    switch (op) {
    case ZIP_ADD: return x + y;
    case ZIP_SUB: return x - y;
    case ZIP_MUL: return x * y;
    case ZIP_DIV: return x / y;
    case ZIP_POW: return (float)pow((double)x, (double)y);
    case ZIP_MIN: return isnan(x) || isnan(y) ? NAN : x < y ? x : y;
    case ZIP_MAX: return isnan(x) || isnan(y) ? NAN : x > y ? x : y;
    case ZIP_LT: return x < y;
    case ZIP_LE: return x <= y;
    case ZIP_EQ: return x == y;
    case ZIP_FILL: return isnan(x) ? y : x;
    case ZIP_COUNT: break;
    }
    return NAN;
}

int tensor_zip(struct tensor **out, const struct tensor *a, const struct tensor *b,
               enum tensor_zip op, struct err *e)
{
    int n_dims = a->n_dims > b->n_dims ? a->n_dims : b->n_dims, rc = -1;
    ptrdiff_t shape[TENSOR_DIMS], at[TENSOR_DIMS] = {0};
    struct tensor *wa = NULL, *wb = NULL;

    *out = NULL;
    for (int i = 0; i < n_dims; i++) {
        int ia = i - (n_dims - a->n_dims), ib = i - (n_dims - b->n_dims);
        ptrdiff_t sa = ia >= 0 ? a->shape[ia] : 1, sb = ib >= 0 ? b->shape[ib] : 1;
        shape[i] = sa == 1 ? sb : sa;
    }
    if (tensor_spread(&wa, a, n_dims, shape, e) != 0 ||
        tensor_spread(&wb, b, n_dims, shape, e) != 0 || tensor_new(out, n_dims, shape, e) != 0)
        goto done;
    rc = 0;
    size_t n = tensor_count(*out);
    ptrdiff_t last = n_dims > 0 ? shape[n_dims - 1] : 1;
    ptrdiff_t ja = n_dims > 0 ? wa->step[n_dims - 1] : 0;
    ptrdiff_t jb = n_dims > 0 ? wb->step[n_dims - 1] : 0;
    const float *x = wa->data, *y = wb->data;
    float *o = (*out)->data;
    for (size_t done = 0; done < n;) {
        for (ptrdiff_t i = 0; i < last; i++)
            *o++ = zip_one(op, x[i * ja], y[i * jb]);
        done += (size_t)last;
        for (int d = n_dims - 2; d >= 0; d--) {
            x += wa->step[d];
            y += wb->step[d];
            if (++at[d] < shape[d])
                break;
            x -= wa->step[d] * shape[d];
            y -= wb->step[d] * shape[d];
            at[d] = 0;
        }
    }
done:
    tensor_free(wa);
    tensor_free(wb);
    return rc;
}

/* --- along one dimension --- */

/* What to do with each run of `n` values along the dimension, `step` apart. */
struct along {
    int op;
    double q;
    float *room, *out;  /* out: where the results of runs go, out_step apart within a run */
    struct ranked *rank;
    ptrdiff_t out_step;
    size_t i;
};

struct ranked {
    float v;
    int at;
};

static float fold_run(int op, const float *x, ptrdiff_t step, ptrdiff_t n)
{
    float best = NAN;
    ptrdiff_t at = 0;
    size_t count = (size_t)n, there = 0;

    switch (op) {
    case FOLD_SUM: return (float)reduce_sum(x, step, count);
    case FOLD_MEAN: return (float)reduce_mean(x, step, count);
    case FOLD_VAR: return (float)reduce_var(x, step, count, 0);
    case FOLD_STD: return (float)sqrt(reduce_var(x, step, count, 0));
    case FOLD_NORM: return (float)reduce_norm(x, step, count);
    default: break;
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        float v = x[i * step];
        if (isnan(v))
            continue;
        there++;
        if (isnan(best) || (op == FOLD_MIN || op == FOLD_ARGMIN ? v < best : v > best)) {
            best = v;
            at = i + 1;
        }
    }
    if (op == FOLD_COUNT)
        return (float)there;
    return op == FOLD_ARGMIN || op == FOLD_ARGMAX ? (float)at : best;
}

/* A tensor whose last dimension is `dim` of a, and room for a run. */
static int turn(struct tensor **view, float **room, const struct tensor *a, int dim, struct err *e)
{
    *view = NULL;
    *room = NULL;
    if (dim < 0 || dim >= a->n_dims)
        return err_set(e, ERR_SHAPE, "dimension %d of a tensor of %d", dim + 1, a->n_dims);
    if (tensor_swap(view, a, dim, a->n_dims - 1, e) != 0)
        return -1;
    *room = mem_alloc(((size_t)a->shape[dim] + 1) * sizeof **room);
    if (*room == NULL) {
        tensor_free(*view);
        *view = NULL;
        return err_set(e, ERR_NOMEM, "no memory for %td values", a->shape[dim]);
    }
    return 0;
}

/* A new tensor with the last dimension cut off (or kept), its dimensions put back in order. */
static int turn_back(struct tensor **out, struct tensor *t, int dim, struct err *e)
{
    int last = t->n_dims - 1, rc;
    struct tensor *v;

    if (dim == last) {
        *out = t;
        return 0;
    }
    rc = tensor_swap(&v, t, dim, last, e);
    if (rc == 0) {
        rc = tensor_copy(out, v, e);
        tensor_free(v);
    }
    tensor_free(t);
    return rc;
}

static void fold_along(void *ctx, float *x, ptrdiff_t step, ptrdiff_t n)
{
    struct along *a = ctx;

    a->out[a->i++] = fold_run(a->op, x, step, n);
}

static void quantile_along(void *ctx, float *x, ptrdiff_t step, ptrdiff_t n)
{
    struct along *a = ctx;
    size_t there = 0;

    for (ptrdiff_t i = 0; i < n; i++)
        if (!isnan(x[i * step]))
            a->room[there++] = x[i * step];
    reduce_sort(a->room, there);
    a->out[a->i++] = there > 0 ? (float)reduce_quantile(a->room, there, a->q) : NAN;
}

/* Both folds: the dimension is kept as 1 while turning back, then dropped. */
static int fold_by(struct tensor **out, const struct tensor *a, int dim, struct along *how,
                   void (*fn)(void *, float *, ptrdiff_t, ptrdiff_t), struct err *e)
{
    struct tensor *v, *t;
    ptrdiff_t shape[TENSOR_DIMS];
    int rc = -1;

    *out = NULL;
    if (turn(&v, &how->room, a, dim, e) != 0)
        return -1;
    memcpy(shape, v->shape, sizeof shape);
    shape[v->n_dims - 1] = 1;
    if (v->shape[v->n_dims - 1] == 0) {
        err_set(e, ERR_SHAPE, "dimension %d has no values", dim + 1);
        goto done;
    }
    if (tensor_new(&t, v->n_dims, shape, e) != 0)
        goto done;
    how->out = t->data;
    tensor_walk(v, fn, how);
    if (turn_back(&t, t, dim, e) != 0)
        goto done;
    for (int i = dim; i + 1 < t->n_dims; i++) {
        t->shape[i] = t->shape[i + 1];
        t->step[i] = t->step[i + 1];
    }
    t->n_dims--;
    *out = t;
    rc = 0;
done:
    tensor_free(v);
    mem_free(how->room);
    return rc;
}

int tensor_fold(struct tensor **out, const struct tensor *a, int dim, enum tensor_fold op,
                struct err *e)
{
    struct along how = {.op = (int)op};
    ptrdiff_t flat[1] = {-1};
    struct tensor *t;
    int rc;

    if (dim >= 0)
        return fold_by(out, a, dim, &how, fold_along, e);
    flat[0] = (ptrdiff_t)tensor_count(a);
    if (tensor_reshape(&t, a, 1, flat, e) != 0)
        return -1;
    rc = tensor_new(out, 0, flat, e);
    if (rc == 0)
        (*out)->data[0] = fold_run((int)op, t->data, 1, flat[0]);
    tensor_free(t);
    return rc;
}

int tensor_quantile(struct tensor **out, const struct tensor *a, int dim, double q,
                    struct err *e)
{
    struct along how = {.q = q};

    if (!(q >= 0 && q <= 1))
        return err_set(e, ERR_INVALID, "quantile %g: 0 to 1 expected", q);
    return fold_by(out, a, dim, &how, quantile_along, e);
}

static int by_value(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    if (isnan(x->v) || isnan(y->v)) {
        int d = (isnan(x->v) != 0) - (isnan(y->v) != 0);
        return d != 0 ? d : (x->at > y->at) - (x->at < y->at);
    }
    return x->v != y->v ? (x->v > y->v) - (x->v < y->v) : (x->at > y->at) - (x->at < y->at);
}

static void sort_along(void *ctx, float *x, ptrdiff_t step, ptrdiff_t n)
{
    struct along *a = ctx;
    float *out = a->out + a->i;

    for (ptrdiff_t i = 0; i < n; i++)
        a->rank[i] = (struct ranked){x[i * step], (int)i + 1};
    if (n > 1)
        qsort(a->rank, (size_t)n, sizeof *a->rank, by_value);
    for (ptrdiff_t i = 0; i < n; i++)
        out[i] = a->op ? (float)a->rank[i].at : a->rank[i].v;
    a->i += (size_t)n;
}

static void cumsum_along(void *ctx, float *x, ptrdiff_t step, ptrdiff_t n)
{
    struct along *a = ctx;
    double s = 0;

    for (ptrdiff_t i = 0; i < n; i++) {
        s += (double)x[i * step];
        a->out[a->i++] = (float)s;
    }
}

static int scan_by(struct tensor **out, const struct tensor *a, int dim, struct along *how,
                   void (*fn)(void *, float *, ptrdiff_t, ptrdiff_t), struct err *e)
{
    struct tensor *v, *t = NULL;
    int rc = -1;

    *out = NULL;
    if (turn(&v, &how->room, a, dim, e) != 0)
        return -1;
    how->rank = mem_alloc(((size_t)a->shape[dim] + 1) * sizeof *how->rank);
    if (how->rank == NULL) {
        err_set(e, ERR_NOMEM, "no memory for %td values", a->shape[dim]);
        goto done;
    }
    if (tensor_new(&t, v->n_dims, v->shape, e) != 0)
        goto done;
    how->out = t->data;
    tensor_walk(v, fn, how);
    rc = turn_back(out, t, dim, e);
done:
    tensor_free(v);
    mem_free(how->room);
    mem_free(how->rank);
    return rc;
}

int tensor_sort(struct tensor **out, const struct tensor *a, int dim, int order, struct err *e)
{
    struct along how = {.op = order};

    return scan_by(out, a, dim, &how, sort_along, e);
}

int tensor_cumsum(struct tensor **out, const struct tensor *a, int dim, struct err *e)
{
    struct along how = {0};

    return scan_by(out, a, dim, &how, cumsum_along, e);
}

int tensor_softmax(struct tensor **out, const struct tensor *a, struct err *e)
{
    int n = a->n_dims > 0 ? (int)a->shape[a->n_dims - 1] : 1;

    if (tensor_copy(out, a, e) != 0)
        return -1;
    if (n > 0)
        softmax_fwd((*out)->data, (*out)->data, 0, (int)(tensor_count(a) / (size_t)n), n);
    return 0;
}

int tensor_concat(struct tensor **out, const struct tensor *const *all, int n, int dim,
                  struct err *e)
{
    ptrdiff_t shape[TENSOR_DIMS], at = 0;
    struct tensor *t, *part;

    *out = NULL;
    if (n < 1 || dim < 0 || dim >= all[0]->n_dims)
        return err_set(e, ERR_SHAPE, "dimension %d of %d tensors", dim + 1, n);
    memcpy(shape, all[0]->shape, sizeof shape);
    for (int i = 1; i < n; i++) {
        int same = all[i]->n_dims == all[0]->n_dims;
        for (int d = 0; same && d < all[0]->n_dims; d++)
            same = d == dim || all[i]->shape[d] == shape[d];
        if (!same)
            return err_set(e, ERR_SHAPE, "tensor %d does not have the shape of the first", i + 1);
        shape[dim] += all[i]->shape[dim];
    }
    if (tensor_new(&t, all[0]->n_dims, shape, e) != 0)
        return -1;
    for (int i = 0; i < n; i++) {
        if (tensor_slice(&part, t, dim, at, at + all[i]->shape[dim], e) != 0 ||
            tensor_assign(part, all[i], e) != 0) {
            tensor_free(part);
            tensor_free(t);
            return -1;
        }
        at += all[i]->shape[dim];
        tensor_free(part);
    }
    *out = t;
    return 0;
}
