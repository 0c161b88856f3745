/*
 * onnx.c - writes ONNX files. See onnx.h.
 *
 * A message inside a message needs its length first: it is built aside (part, small), then added.
 */
#include "model/onnx.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Readers refuse files of 2 GiB. */
#define MOST ((size_t)INT32_MAX - 4096)

enum { VARINT = 0, BYTES = 2, FIXED32 = 5 };

/* Field numbers of the messages. */
enum { MODEL_IR = 1, MODEL_PRODUCER = 2, MODEL_GRAPH = 7, MODEL_OPSET = 8 };
enum { GRAPH_NODE = 1, GRAPH_NAME = 2, GRAPH_CONSTANT = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12 };
enum { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_NAME = 3, NODE_OP = 4, NODE_ATTR = 5 };
enum { ATTR_NAME = 1, ATTR_F = 2, ATTR_I = 3, ATTR_INTS = 8, ATTR_TYPE = 20 };
enum { TENSOR_DIMS = 1, TENSOR_TYPE = 2, TENSOR_NAME = 8, TENSOR_RAW = 9 };
enum { TYPE_F32 = 1, TYPE_INT64 = 7 };

void onnx_init(struct onnx *o, const char *name)
{
    memset(o, 0, sizeof *o);
    buf_init(&o->graph, MOST);
    buf_init(&o->part, MOST);
    buf_init(&o->small, MOST);
    o->failed = buf_addf(&o->graph, &o->e, "%c%c%s", GRAPH_NAME << 3 | BYTES, (int)strlen(name),
                         name) != 0;
}

void onnx_deinit(struct onnx *o)
{
    buf_deinit(&o->graph);
    buf_deinit(&o->part);
    buf_deinit(&o->small);
}

/* --- the parts of a message --- */

static void add(struct onnx *o, struct buf *b, const void *data, size_t n)
{
    if (!o->failed && n > 0)
        o->failed = buf_add(b, data, n, &o->e) != 0;
}

static void varint(struct onnx *o, struct buf *b, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;

    do {
        bytes[n++] = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        v >>= 7;
    } while (v > 0);
    add(o, b, bytes, n);
}

static void number(struct onnx *o, struct buf *b, int field, int64_t v)
{
    varint(o, b, (uint64_t)(field << 3 | VARINT));
    varint(o, b, (uint64_t)v);
}

static void bytes(struct onnx *o, struct buf *b, int field, const void *data, size_t n)
{
    varint(o, b, (uint64_t)(field << 3 | BYTES));
    varint(o, b, n);
    add(o, b, data, n);
}

static void text(struct onnx *o, struct buf *b, int field, const char *s)
{
    bytes(o, b, field, s, strlen(s));
}

/* `from` becomes a field of `to`, and is empty again. */
static void fold(struct onnx *o, struct buf *to, int field, struct buf *from)
{
    bytes(o, to, field, from->data, from->len);
    buf_clear(from);
}

/* --- inputs, outputs, constants --- */

/* ValueInfoProto { name = 1, type = 2 { tensor_type = 1 { elem_type = 1, shape = 2 { dim = 1 {
 * dim_value = 1 | dim_param = 2 } } } } }, from the inside out. */
static void value(struct onnx *o, int field, const char *name, const int64_t *dims, int n)
{
    struct buf shape, dim;

    buf_init(&shape, 4096);
    buf_init(&dim, 4096);
    for (int i = 0; i < n; i++) {
        if (dims[i] < 0)
            text(o, &dim, 2, "series");
        else
            number(o, &dim, 1, dims[i]);
        fold(o, &shape, 1, &dim);
    }
    number(o, &o->small, 1, TYPE_F32);
    fold(o, &o->small, 2, &shape);
    fold(o, &dim, 1, &o->small);
    text(o, &o->part, 1, name);
    fold(o, &o->part, 2, &dim);
    fold(o, &o->graph, field, &o->part);
    buf_deinit(&shape);
    buf_deinit(&dim);
}

void onnx_input(struct onnx *o, const char *name, const int64_t *dims, int n)
{
    value(o, GRAPH_INPUT, name, dims, n);
}

void onnx_output(struct onnx *o, const char *name, const int64_t *dims, int n)
{
    value(o, GRAPH_OUTPUT, name, dims, n);
}

static void constant(struct onnx *o, const char *name, int type, const void *data, size_t size,
                     int64_t rows, int64_t cols)
{
    size_t n = (size_t)rows * (size_t)(cols > 0 ? cols : 1);

    number(o, &o->part, TENSOR_DIMS, rows);
    if (cols > 0)
        number(o, &o->part, TENSOR_DIMS, cols);
    number(o, &o->part, TENSOR_TYPE, type);
    text(o, &o->part, TENSOR_NAME, name);
    bytes(o, &o->part, TENSOR_RAW, data, n * size); /* little-endian, as the CPUs we run on */
    fold(o, &o->graph, GRAPH_CONSTANT, &o->part);
}

void onnx_floats(struct onnx *o, const char *name, const float *data, int64_t rows, int64_t cols)
{
    constant(o, name, TYPE_F32, data, sizeof *data, rows, cols);
}

void onnx_number(struct onnx *o, const char *name, double v)
{
    float f = (float)v;

    onnx_floats(o, name, &f, 1, 0);
}

void onnx_ints(struct onnx *o, const char *name, const int64_t *v, int n)
{
    constant(o, name, TYPE_INT64, v, sizeof *v, n, 0);
}

/* --- nodes --- */

static void names(struct onnx *o, int field, const char *list)
{
    while (*list != '\0') {
        size_t n = strcspn(list, " ");
        bytes(o, &o->part, field, list, n);
        list += n + (list[n] == ' ');
    }
}

static void attribute(struct onnx *o, const struct onnx_attr *a)
{
    struct buf *b = &o->small;

    text(o, b, ATTR_NAME, a->name);
    if (a->kind == 'f') {
        varint(o, b, ATTR_F << 3 | FIXED32);
        add(o, b, &a->f, sizeof a->f);
    } else if (a->kind == 'i') {
        number(o, b, ATTR_I, a->i);
    } else {
        for (int i = 0; i < a->n; i++)
            number(o, b, ATTR_INTS, a->list[i]);
    }
    number(o, b, ATTR_TYPE, a->kind == 'f' ? 1 : a->kind == 'i' ? 2 : 7);
    fold(o, &o->part, NODE_ATTR, b);
}

void onnx_node(struct onnx *o, const char *op, const char *inputs, const char *outputs,
               const struct onnx_attr *attrs, int n_attrs)
{
    names(o, NODE_INPUT, inputs);
    names(o, NODE_OUTPUT, outputs);
    text(o, &o->part, NODE_OP, op);
    for (int i = 0; i < n_attrs; i++)
        attribute(o, &attrs[i]);
    fold(o, &o->graph, GRAPH_NODE, &o->part);
}

/* --- the file --- */

static int write_two(FILE *out, const struct buf *head, const struct buf *body)
{
    return fwrite(head->data, 1, head->len, out) == head->len &&
           fwrite(body->data, 1, body->len, out) == body->len && fflush(out) == 0 &&
           fsync(fileno(out)) == 0;
}

int onnx_save(struct onnx *o, const char *path, struct err *e)
{
    char aside[4096];
    FILE *out;
    int ok, errnum;

    buf_clear(&o->part);
    buf_clear(&o->small);
    number(o, &o->part, MODEL_IR, 8);
    text(o, &o->part, MODEL_PRODUCER, "plastinka");
    number(o, &o->small, 2, 17); /* OperatorSetIdProto: version; the domain is the standard's */
    fold(o, &o->part, MODEL_OPSET, &o->small);
    varint(o, &o->part, MODEL_GRAPH << 3 | BYTES);
    varint(o, &o->part, o->graph.len);
    if (o->failed) {
        if (e != NULL)
            *e = o->e;
        return -1;
    }
    if (snprintf(aside, sizeof aside, "%s.part", path) >= (int)sizeof aside)
        return err_set(e, ERR_INVALID, "a path of %zu bytes", strlen(path));
    out = fopen(aside, "wb");
    if (out == NULL)
        return err_errno(e, errno, "%s", aside);
    ok = write_two(out, &o->part, &o->graph);
    errnum = errno;
    if (fclose(out) != 0 && ok) {
        ok = 0;
        errnum = errno;
    }
    if (ok && rename(aside, path) != 0) {
        ok = 0;
        errnum = errno;
    }
    if (ok)
        return 0;
    unlink(aside);
    return err_errno(e, errnum, "%s", path);
}
