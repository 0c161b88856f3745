/*
 * tensor_op.h - arithmetic on whole tensors: what a script needs to compute without a loop.
 *
 * Each function makes a new dense tensor, owned by the caller; inputs may be views. -1 with `shape`
 * when sizes do not fit, `nomem`, `limit` or `invalid`. Dimensions count from 0. Sums run in f64.
 */
#ifndef TENSOR_OP_H
#define TENSOR_OP_H

#include "base/buf.h"
#include "tensor/tensor.h"

/* Value by value. X(constant, name) */
#define TENSOR_MAPS(X)                                                                            \
    X(MAP_NEG, "neg") X(MAP_ABS, "abs") X(MAP_EXP, "exp") X(MAP_LOG, "log")                       \
    X(MAP_LOG1P, "log1p") X(MAP_EXPM1, "expm1") X(MAP_SQRT, "sqrt") X(MAP_ROUND, "round")         \
    X(MAP_FLOOR, "floor") X(MAP_CEIL, "ceil") X(MAP_SIGN, "sign") X(MAP_RELU, "relu")             \
    X(MAP_SIGMOID, "sigmoid") X(MAP_TANH, "tanh") X(MAP_ISNAN, "isnan")                           \
    X(MAP_SOFTPLUS, "softplus") X(MAP_GELU, "gelu")

/* Two tensors, spread to a common shape; comparisons give 0 or 1. */
#define TENSOR_ZIPS(X)                                                                            \
    X(ZIP_ADD, "add") X(ZIP_SUB, "sub") X(ZIP_MUL, "mul") X(ZIP_DIV, "div") X(ZIP_POW, "pow")     \
    X(ZIP_MIN, "minimum") X(ZIP_MAX, "maximum") X(ZIP_LT, "lt") X(ZIP_LE, "le")                   \
    X(ZIP_EQ, "eq") X(ZIP_FILL, "fill_nan")

/* A dimension to one value. var and std divide by n; count counts what is not NaN. */
#define TENSOR_FOLDS(X)                                                                           \
    X(FOLD_SUM, "sum") X(FOLD_MEAN, "mean") X(FOLD_MIN, "min") X(FOLD_MAX, "max")                 \
    X(FOLD_VAR, "var") X(FOLD_STD, "std") X(FOLD_NORM, "norm") X(FOLD_COUNT, "count")             \
    X(FOLD_ARGMIN, "argmin") X(FOLD_ARGMAX, "argmax")

#define TENSOR_ENUM(constant, name) constant,
enum tensor_map { TENSOR_MAPS(TENSOR_ENUM) MAP_COUNT };
enum tensor_zip { TENSOR_ZIPS(TENSOR_ENUM) ZIP_COUNT };
enum tensor_fold { TENSOR_FOLDS(TENSOR_ENUM) FOLD_COUNT_ALL };
#undef TENSOR_ENUM

int tensor_map(struct tensor **out, const struct tensor *a, enum tensor_map op, struct err *e);

/* fill_nan: a where it is a number, else b. */
int tensor_zip(struct tensor **out, const struct tensor *a, const struct tensor *b,
               enum tensor_zip op, struct err *e);

/* dim -1: over everything, giving one value. Indices (argmin, argmax) count from 1; NaN is skipped
 * by them, by min and by max. */
int tensor_fold(struct tensor **out, const struct tensor *a, int dim, enum tensor_fold op,
                struct err *e);

/* Sorted along a dimension, upward, NaN last; or the order (from 1) that sorts it, stable. */
int tensor_sort(struct tensor **out, const struct tensor *a, int dim, int order, struct err *e);

/* The q-quantile along a dimension, linear between neighbours; NaN are left out. */
int tensor_quantile(struct tensor **out, const struct tensor *a, int dim, double q,
                    struct err *e);

/* Sums along a dimension so far. */
int tensor_cumsum(struct tensor **out, const struct tensor *a, int dim, struct err *e);

/* Softmax over the last dimension. */
int tensor_softmax(struct tensor **out, const struct tensor *a, struct err *e);

/* (m, k) (k, n); or with the same leading dimensions on both, or on a only. At most
 * TENSOR_MATMUL_MAX multiplications, since it runs where it is called. */
#define TENSOR_MATMUL_MAX 2e10
int tensor_matmul(struct tensor **out, const struct tensor *a, const struct tensor *b,
                  struct err *e);

/* X of A X = B, A (n, n), B (n) or (n, m): LU with row exchange in f64. `invalid` when A is
 * singular to working precision. */
int tensor_solve(struct tensor **out, const struct tensor *a, const struct tensor *b,
                 struct err *e);

/* Tensors of the same shape but for `dim`, one after the other along it. */
int tensor_concat(struct tensor **out, const struct tensor *const *all, int n, int dim,
                  struct err *e);

/*
 * Numbers in lines, between `,` `;` or tab, whichever comes first in the text: (lines, columns).
 * An empty field or "nan" is NaN; a first line without any number is a header and skipped. `parse`
 * names the line.
 */
int tensor_csv_parse(struct tensor **out, const char *text, size_t bytes, struct err *e);
int tensor_csv_write(struct buf *out, const struct tensor *a, struct err *e);

#endif
