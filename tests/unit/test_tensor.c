/*
 * test_tensor.c - shapes, views, the cap, and failing allocations.
 */
#include "check.h"

#include <stdint.h>

#include "base/mem.h"
#include "tensor/tensor.h"

static struct tensor *range(int n_dims, const ptrdiff_t *shape)
{
    struct tensor *t;
    struct err e;

    CHECK(tensor_new(&t, n_dims, shape, &e) == 0);
    for (size_t i = 0; i < tensor_count(t); i++)
        t->data[i] = (float)i;
    return t;
}

static void views(void)
{
    ptrdiff_t shape[3] = {2, 3, 4}, flat[2] = {-1, 4}, wide[4] = {5, 2, 3, 4};
    struct tensor *t = range(3, shape), *s, *p, *w, *c;
    struct err e;
    char text[64];

    CHECK_STR(tensor_shape_text(t, text, sizeof text), "(2, 3, 4)");
    CHECK(tensor_slice(&s, t, 1, 1, 3, &e) == 0);
    CHECK_INT(tensor_count(s), 16);
    CHECK(!tensor_is_dense(s));
    tensor_free(t); /* the block lives on */
    CHECK(s->data[0] == 4);
    CHECK(tensor_pick(&p, s, 0, 1, &e) == 0);
    CHECK(p->n_dims == 2 && p->data[0] == 16);
    CHECK(tensor_swap(&w, p, 0, 1, &e) == 0);
    CHECK(tensor_copy(&c, w, &e) == 0);
    CHECK(c->data[0] == 16 && c->data[1] == 20 && c->data[2] == 17);
    tensor_free(c);
    CHECK(tensor_reshape(&c, s, 2, flat, &e) == 0);
    CHECK(c->shape[0] == 4 && c->data[4] == 8 && c->data[8] == 16);
    tensor_free(c);
    CHECK(tensor_reshape(&c, w, 2, wide, &e) == -1 && e.code == ERR_SHAPE && c == NULL);
    tensor_free(w);
    tensor_free(p);
    tensor_free(s);
    t = range(3, shape);
    CHECK(tensor_spread(&w, t, 4, wide, &e) == 0);
    CHECK_INT(tensor_count(w), 120);
    CHECK_INT(w->step[0], 0);
    tensor_free(w);
    wide[3] = 3;
    CHECK(tensor_spread(&w, t, 4, wide, &e) == -1 && e.code == ERR_SHAPE);
    CHECK(tensor_slice(&w, t, 3, 0, 1, &e) == -1 && e.code == ERR_SHAPE);
    CHECK(tensor_slice(&w, t, 0, 1, 3, &e) == -1 && e.code == ERR_SHAPE);
    CHECK(tensor_pick(&w, t, 0, 2, &e) == -1 && e.code == ERR_SHAPE);
    tensor_free(t);
    tensor_free(NULL);
}

static void limits(void)
{
    ptrdiff_t huge[4] = {PTRDIFF_MAX / 2, 8, 8, 8}, many[2] = {1000, 1000}, bad[1] = {-1};
    ptrdiff_t none[2] = {0, 5};
    struct tensor *t;
    struct err e;
    size_t live = mem_live(), used = tensor_bytes();

    CHECK(tensor_new(&t, 4, huge, &e) == -1 && e.code == ERR_LIMIT && t == NULL);
    CHECK(tensor_new(&t, 1, bad, &e) == -1 && e.code == ERR_SHAPE);
    CHECK(tensor_new(&t, 9, many, &e) == -1 && e.code == ERR_SHAPE);
    tensor_set_cap(1 << 20);
    CHECK(tensor_new(&t, 2, many, &e) == -1 && e.code == ERR_NOMEM);
    tensor_set_cap((size_t)1 << 32);
    CHECK(tensor_zero(&t, 2, many, &e) == 0 && t->data[999999] == 0);
    CHECK_INT(tensor_bytes() - used, 4000000);
    tensor_free(t);
    CHECK(tensor_new(&t, 2, none, &e) == 0 && tensor_count(t) == 0);
    tensor_free(t);
    for (size_t i = 1; i < 4; i++) {
        mem_fail_at(i);
        CHECK(tensor_new(&t, 2, many, &e) == -1 && e.code == ERR_NOMEM && t == NULL);
        mem_fail_at(0);
    }
    CHECK_INT(mem_live(), live);
    CHECK_INT(tensor_bytes(), used);
}

int main(void)
{
    views();
    limits();
    return check_done();
}
