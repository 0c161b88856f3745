/*
 * bind_tensor_op.c - arithmetic on tensors, for core.tensor: see bind_tensor.h and lua/tensor.lua.
 *
 * One function for each name of the lists in tensor_op.h. Where two tensors are asked for, a number
 * will do. Everything is computed at once on the loop: large products are refused (`limit`).
 */
#include "bind/bind.h"
#include "bind/bind_tensor.h"
#include "tensor/tensor_op.h"

/* The tensor at `arg`; a number becomes a tensor of its own, left on the stack. */
static const struct tensor *operand(lua_State *L, int arg)
{
    const struct tensor *t = bind_tensor_test(L, arg);
    struct err e;

    if (t != NULL)
        return t;
    lua_Number v = luaL_checknumber(L, arg);
    struct tensor **one = bind_tensor_box(L);
    if (tensor_new(one, 0, NULL, &e) != 0)
        bind_raise(L, &e);
    else
        (*one)->data[0] = (float)v;
    return *one;
}

/* Dimension at `arg`, from 1, from the end when negative; `none` when absent. */
static int dim_at(lua_State *L, int arg, const struct tensor *t, int none)
{
    lua_Integer d;

    if (lua_isnoneornil(L, arg))
        return none;
    d = luaL_checkinteger(L, arg);
    if (d < 0)
        d += t->n_dims + 1;
    luaL_argcheck(L, d >= 1 && d <= t->n_dims, arg, "no such dimension");
    return (int)d - 1;
}

static int map(lua_State *L, enum tensor_map op)
{
    const struct tensor *a = operand(L, 1);
    struct tensor **out = bind_tensor_box(L);
    struct err e;

    if (tensor_map(out, a, op, &e) != 0)
        return bind_raise(L, &e);
    return 1;
}

static int zip(lua_State *L, enum tensor_zip op)
{
    const struct tensor *a = operand(L, 1), *b = operand(L, 2);
    struct tensor **out = bind_tensor_box(L);
    struct err e;

    if (tensor_zip(out, a, b, op, &e) != 0)
        return bind_raise(L, &e);
    return 1;
}

/* Over all values: a number; along a dimension: a tensor. */
static int fold(lua_State *L, enum tensor_fold op)
{
    const struct tensor *a = bind_tensor_check(L, 1);
    int dim = dim_at(L, 2, a, -1);
    struct tensor **out = bind_tensor_box(L);
    struct err e;

    if (tensor_fold(out, a, dim, op, &e) != 0)
        return bind_raise(L, &e);
    if (dim < 0)
        lua_pushnumber(L, (lua_Number)(*out)->data[0]);
    return 1;
}

#define MAP(constant, name) \
    static int l_##constant(lua_State *L) { return map(L, constant); }
TENSOR_MAPS(MAP)
#define ZIP(constant, name) \
    static int l_##constant(lua_State *L) { return zip(L, constant); }
TENSOR_ZIPS(ZIP)
#define FOLD(constant, name) \
    static int l_##constant(lua_State *L) { return fold(L, constant); }
TENSOR_FOLDS(FOLD)

static int sorted(lua_State *L, int order)
{
    const struct tensor *a = bind_tensor_check(L, 1);
    int dim = dim_at(L, 2, a, a->n_dims - 1);
    struct tensor **out = bind_tensor_box(L);
    struct err e;

    if (tensor_sort(out, a, dim, order, &e) != 0)
        return bind_raise(L, &e);
    return 1;
}

static int l_sort(lua_State *L)
{
    return sorted(L, 0);
}

static int l_order(lua_State *L)
{
    return sorted(L, 1);
}

static int l_cumsum(lua_State *L)
{
    const struct tensor *a = bind_tensor_check(L, 1);
    int dim = dim_at(L, 2, a, a->n_dims - 1);
    struct tensor **out = bind_tensor_box(L);
    struct err e;

    if (tensor_cumsum(out, a, dim, &e) != 0)
        return bind_raise(L, &e);
    return 1;
}

static int l_quantile(lua_State *L)
{
    const struct tensor *a = bind_tensor_check(L, 1);
    lua_Number q = luaL_checknumber(L, 2);
    int dim = dim_at(L, 3, a, a->n_dims - 1);
    struct tensor **out = bind_tensor_box(L);
    struct err e;

    if (tensor_quantile(out, a, dim, q, &e) != 0)
        return bind_raise(L, &e);
    return 1;
}

static int l_softmax(lua_State *L)
{
    const struct tensor *a = bind_tensor_check(L, 1);
    struct tensor **out = bind_tensor_box(L);
    struct err e;

    if (tensor_softmax(out, a, &e) != 0)
        return bind_raise(L, &e);
    return 1;
}

static int pair(lua_State *L, int (*fn)(struct tensor **, const struct tensor *,
                                        const struct tensor *, struct err *))
{
    const struct tensor *a = bind_tensor_check(L, 1), *b = bind_tensor_check(L, 2);
    struct tensor **out = bind_tensor_box(L);
    struct err e;

    if (fn(out, a, b, &e) != 0)
        return bind_raise(L, &e);
    return 1;
}

static int l_matmul(lua_State *L)
{
    return pair(L, tensor_matmul);
}

static int l_solve(lua_State *L)
{
    return pair(L, tensor_solve);
}

#define REG(constant, name) {name, l_##constant},
const luaL_Reg bind_tensor_ops[] = {
    TENSOR_MAPS(REG) TENSOR_ZIPS(REG) TENSOR_FOLDS(REG) {"sort", l_sort},
    {"order", l_order},       {"cumsum", l_cumsum}, {"quantile", l_quantile},
    {"softmax", l_softmax},   {"matmul", l_matmul}, {"solve", l_solve},
    {NULL, NULL},
};

const luaL_Reg bind_tensor_meta[] = {
    {"__add", l_ZIP_ADD}, {"__sub", l_ZIP_SUB}, {"__mul", l_ZIP_MUL}, {"__div", l_ZIP_DIV},
    {"__pow", l_ZIP_POW}, {"__unm", l_MAP_NEG}, {NULL, NULL},
};
