/*
 * bind_numbers.h - numbers from scripts and back: a tensor, or plain tables for small things.
 *
 * A table is a list of numbers, or of equally long lists, up to four deep; NaN is a missing value
 * where the caller allows it. What is answered has the kind of what was given.
 */
#ifndef BIND_BIND_NUMBERS_H
#define BIND_BIND_NUMBERS_H

#include "bind/bind.h"
#include "model/metric.h"

#define NUMBERS_DIMS 4

struct numbers {
    struct metric_vec v; /* all of them, row-major */
    int n_dims;          /* 1 to NUMBERS_DIMS */
    size_t shape[NUMBERS_DIMS];
    int is_tensor;
};

/*
 * Reads the argument at `index`; a wrong one raises. The numbers are borrowed: from the tensor, or
 * from a userdata this pushes (always exactly one value is pushed) that must stay on the stack.
 */
void bind_numbers_get(lua_State *L, int index, struct numbers *out);

/* As above for field `name` of the table at `index`; 0 when it is absent (a nil is pushed). */
int bind_numbers_field(lua_State *L, int index, const char *name, struct numbers *out);

/* Pushes a tensor, or tables, of these numbers (f64 or f32). 0, or -1 (then nothing is pushed). */
int bind_numbers_push(lua_State *L, const double *d, const float *f, int n_dims,
                      const size_t *shape, int as_tensor, struct err *e);

#endif
