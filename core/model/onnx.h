/*
 * onnx.h - writes a computation as an ONNX file (opset 17), for other people's programs to run.
 *
 * Only what a network of ours needs: f32 inputs and outputs, f32 and int64 constants, nodes. Calls
 * come in the order of the computation; the first failure is kept and all later calls do nothing,
 * so that only onnx_save is asked. Protocol buffers are written by hand: lengths, tags, bytes.
 * Source: onnx/onnx.proto3 and the operators' pages at onnx.ai.
 */
#ifndef MODEL_ONNX_H
#define MODEL_ONNX_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define ONNX_DIMS 4

struct onnx {
    struct buf graph, part, small; /* GraphProto so far; a message of it; a part of that */
    int failed;
    struct err e;
};

/* Kind 'i' one whole number, 'f' one f32, 'I' a list of `n`. */
struct onnx_attr {
    const char *name;
    char kind;
    int64_t i;
    float f;
    int64_t list[ONNX_DIMS];
    int n;
};

void onnx_init(struct onnx *o, const char *name);
void onnx_deinit(struct onnx *o); /* may run twice */

/* f32 (dims); a dimension below 0 is any number, called "series". */
void onnx_input(struct onnx *o, const char *name, const int64_t *dims, int n);
void onnx_output(struct onnx *o, const char *name, const int64_t *dims, int n);

/* A constant: f32 (rows, cols), or (rows) when cols is 0; int64 (n). Copied. */
void onnx_floats(struct onnx *o, const char *name, const float *data, int64_t rows, int64_t cols);
void onnx_number(struct onnx *o, const char *name, double v);
void onnx_ints(struct onnx *o, const char *name, const int64_t *v, int n);

/* A node; names of inputs and outputs apart by spaces. */
void onnx_node(struct onnx *o, const char *op, const char *inputs, const char *outputs,
               const struct onnx_attr *attrs, int n_attrs);

/* Writes the file aside and renames it. Fails with what failed first, or with io, full. */
int onnx_save(struct onnx *o, const char *path, struct err *e);

#endif
