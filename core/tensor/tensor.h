/*
 * tensor.h - a dense block of f32 with a shape; slices and transposes are views of the same block.
 *
 * The block is counted: it lives as long as any tensor that looks into it. All blocks together are
 * held under one cap, since memory outside the Lua heap is invisible to its collector. Data may be
 * read by any thread; shape and life are the business of one.
 */
#ifndef TENSOR_TENSOR_H
#define TENSOR_TENSOR_H

#include <stddef.h>

#include "base/err.h"

#define TENSOR_DIMS 6

struct tensor_block;

struct tensor {
    float *data;                  /* element (0, 0, …) */
    int n_dims;                   /* 0..TENSOR_DIMS; 0 is one value */
    ptrdiff_t shape[TENSOR_DIMS]; /* any may be 0 */
    ptrdiff_t step[TENSOR_DIMS];  /* floats from one index to the next */
    struct tensor_block *block;   /* shared by views */
};

/* A new tensor, not filled in (tensor_zero: filled with 0). Row-major. Owned by the caller. */
int tensor_new(struct tensor **out, int n_dims, const ptrdiff_t *shape, struct err *e);
int tensor_zero(struct tensor **out, int n_dims, const ptrdiff_t *shape, struct err *e);
void tensor_free(struct tensor *t); /* NULL is fine */

size_t tensor_count(const struct tensor *t);  /* elements */
int tensor_is_dense(const struct tensor *t);  /* row-major without gaps */
int tensor_same_shape(const struct tensor *a, const struct tensor *b);

/* Views. Indices count from 0, `to` is not included. -1 with `shape` or `nomem`. */
int tensor_slice(struct tensor **out, const struct tensor *t, int dim, ptrdiff_t from,
                 ptrdiff_t to, struct err *e);
int tensor_pick(struct tensor **out, const struct tensor *t, int dim, ptrdiff_t at, struct err *e);
int tensor_swap(struct tensor **out, const struct tensor *t, int dim_a, int dim_b, struct err *e);
/* A view when t is dense, else a copy. One entry of `shape` may be -1: what is left. */
int tensor_reshape(struct tensor **out, const struct tensor *t, int n_dims, const ptrdiff_t *shape,
                   struct err *e);
/* As `shape` by repeating dimensions of 1 (and missing leading ones), as a view. */
int tensor_spread(struct tensor **out, const struct tensor *t, int n_dims, const ptrdiff_t *shape,
                  struct err *e);

/* A dense copy with a block of its own. */
int tensor_copy(struct tensor **out, const struct tensor *t, struct err *e);

/* Writes b, spread to the shape of `to`, into the values `to` looks at. */
int tensor_assign(struct tensor *to, const struct tensor *b, struct err *e);

/* Calls fn for each run of the last dimension, in index order: `n` values `step` apart. */
void tensor_walk(const struct tensor *t,
                 void (*fn)(void *ctx, float *x, ptrdiff_t step, ptrdiff_t n), void *ctx);

/* Writes "(2, 3)" into text. */
const char *tensor_shape_text(const struct tensor *t, char *text, size_t bytes);

/* The cap on all blocks together, in bytes, and how much is in use. Default: 4 GiB. */
void tensor_set_cap(size_t bytes);
size_t tensor_bytes(void);

#endif
