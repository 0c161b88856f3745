/*
 * npy.h - NumPy's .npy files: reading numbers of any usual kind into f32, writing f32.
 *
 * Source: NumPy Enhancement Proposal 1, "A simple file format for NumPy arrays". Versions 1 to 3,
 * C and Fortran order, little-endian, b1 i1 u1 i2 u2 i4 u4 i8 u8 f4 f8.
 */
#ifndef TENSOR_NPY_H
#define TENSOR_NPY_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "tensor/tensor.h"

/* What the header says. */
struct npy {
    char kind;       /* 'b', 'i', 'u' or 'f' */
    int item_bytes;
    int fortran;     /* first index runs fastest */
    int n_dims;
    ptrdiff_t shape[TENSOR_DIMS];
    size_t at;       /* where the numbers begin */
    size_t n;        /* how many */
};

/* Reads the header of a whole file in memory and checks that the numbers are all there. -1 with
 * `parse`, `unsupported` or `limit`. */
int npy_head(struct npy *h, const uint8_t *data, size_t bytes, struct err *e);

/* Number i (in file order), as a double. */
double npy_value(const struct npy *h, const uint8_t *data, size_t i);

/* The file in memory as a tensor of f32; owned by the caller. */
int npy_parse(struct tensor **out, const uint8_t *data, size_t bytes, struct err *e);

/* Adds t as a version 1 file of <f4 in C order. */
int npy_write(struct buf *out, const struct tensor *t, struct err *e);

#endif
