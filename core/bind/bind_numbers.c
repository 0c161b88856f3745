/*
 * bind_numbers.c - numbers from scripts and back (bind_numbers.h), and core.numbers:
 *
 *   cut(array, from, to, dim) --> array         entries from + 1 to `to` along dim, of the same kind
 *   shape(array) --> sizes, one value each
 *   mean(list of arrays of one shape) --> their mean, of the same kind
 */
#include "bind/bind_numbers.h"

#include <string.h>

#include "bind/bind_all.h"
#include "bind/bind_tensor.h"

#define COUNT_MAX 100000000 /* numbers in one table */

/* The shape of the table at `index`, from its first elements; `arg` is for the message. */
static void table_shape(lua_State *L, int index, int arg, struct numbers *out)
{
    size_t total = 1;

    out->n_dims = 0;
    lua_pushvalue(L, index);
    for (;;) {
        if (out->n_dims == NUMBERS_DIMS)
            luaL_argerror(L, arg, "a table of numbers is at most four deep");
        out->shape[out->n_dims] = lua_rawlen(L, -1);
        total *= out->shape[out->n_dims++];
        luaL_argcheck(L, total <= COUNT_MAX, arg, "too many numbers for a table, use a tensor");
        lua_rawgeti(L, -1, 1);
        lua_remove(L, -2);
        if (lua_type(L, -1) != LUA_TTABLE)
            break;
    }
    lua_pop(L, 1);
    out->v.n = total;
}

/* Copies the table on top of the stack to `at`, `left` levels deep; the place behind. */
static double *table_copy(lua_State *L, int arg, const struct numbers *n, int depth, double *at)
{
    size_t count = n->shape[depth];

    if (lua_type(L, -1) != LUA_TTABLE || lua_rawlen(L, -1) != count)
        luaL_argerror(L, arg, "a list of numbers, or of equally long lists of them, expected");
    for (size_t i = 1; i <= count; i++) {
        int is_number;

        lua_rawgeti(L, -1, (lua_Integer)i);
        if (depth + 1 < n->n_dims) {
            at = table_copy(L, arg, n, depth + 1, at);
        } else {
            *at++ = lua_tonumberx(L, -1, &is_number);
            if (!is_number || lua_type(L, -1) != LUA_TNUMBER)
                luaL_argerror(L, arg, lua_pushfstring(L, "value %I is %s, a number expected",
                                                      (LUAI_UACINT)i, luaL_typename(L, -1)));
        }
        lua_pop(L, 1);
    }
    return at;
}

static void copy_run(void *ctx, float *x, ptrdiff_t step, ptrdiff_t n)
{
    float **to = ctx;

    for (ptrdiff_t i = 0; i < n; i++)
        *(*to)++ = x[i * step];
}

/* A dense tensor is looked into, a view with gaps is copied. */
static void get_tensor(lua_State *L, int index, int arg, const struct tensor *t,
                       struct numbers *out)
{
    luaL_argcheck(L, t->n_dims >= 1 && t->n_dims <= NUMBERS_DIMS, arg,
                  "a tensor of one to four dimensions expected");
    out->is_tensor = 1;
    out->n_dims = t->n_dims;
    for (int i = 0; i < t->n_dims; i++)
        out->shape[i] = (size_t)t->shape[i];
    out->v.n = tensor_count(t);
    if (tensor_is_dense(t)) {
        lua_pushvalue(L, index);
        out->v.f = t->data;
    } else {
        float *to = lua_newuserdatauv(L, (out->v.n + 1) * sizeof *to, 0);

        out->v.f = to;
        tensor_walk(t, copy_run, &to);
    }
}

static void get(lua_State *L, int index, int arg, struct numbers *out)
{
    const struct tensor *t;
    double *to;

    index = lua_absindex(L, index);
    memset(out, 0, sizeof *out);
    t = bind_tensor_test(L, index);
    if (t != NULL) {
        get_tensor(L, index, arg, t, out);
        return;
    }
    luaL_argexpected(L, lua_type(L, index) == LUA_TTABLE, arg, "tensor or table of numbers");
    luaL_checkstack(L, NUMBERS_DIMS + 4, NULL);
    table_shape(L, index, arg, out);
    to = lua_newuserdatauv(L, (out->v.n + 1) * sizeof *to, 0);
    lua_pushvalue(L, index);
    table_copy(L, arg, out, 0, to);
    lua_pop(L, 1);
    out->v.d = to;
}

void bind_numbers_get(lua_State *L, int index, struct numbers *out)
{
    get(L, index, index, out);
}

int bind_numbers_field(lua_State *L, int index, const char *name, struct numbers *out)
{
    memset(out, 0, sizeof *out);
    if (lua_isnoneornil(L, index)) {
        lua_pushnil(L);
        return 0;
    }
    luaL_checktype(L, index, LUA_TTABLE);
    if (lua_getfield(L, index, name) == LUA_TNIL)
        return 0;
    get(L, -1, index, out);
    lua_remove(L, -2);
    return 1;
}

/* Pushes the sub-table at depth, eating numbers from *at. */
static void push_table(lua_State *L, const double *d, const float *f, size_t *at, int depth,
                       int n_dims, const size_t *shape)
{
    lua_createtable(L, (int)shape[depth], 0);
    for (size_t i = 1; i <= shape[depth]; i++) {
        if (depth + 1 < n_dims) {
            push_table(L, d, f, at, depth + 1, n_dims, shape);
        } else {
            lua_pushnumber(L, d != NULL ? d[*at] : (double)f[*at]);
            ++*at;
        }
        lua_rawseti(L, -2, (lua_Integer)i);
    }
}

static int push_tensor(lua_State *L, const double *d, const float *f, int n_dims,
                       const size_t *shape, struct err *e)
{
    struct tensor **t = bind_tensor_box(L);
    ptrdiff_t dims[NUMBERS_DIMS];
    size_t n = 1;

    for (int i = 0; i < n_dims; i++) {
        dims[i] = (ptrdiff_t)shape[i];
        n *= shape[i];
    }
    if (tensor_new(t, n_dims, dims, e) != 0) {
        lua_pop(L, 1);
        return -1;
    }
    for (size_t i = 0; i < n; i++)
        (*t)->data[i] = d != NULL ? (float)d[i] : f[i];
    return 0;
}

int bind_numbers_push(lua_State *L, const double *d, const float *f, int n_dims,
                      const size_t *shape, int as_tensor, struct err *e)
{
    size_t at = 0;

    luaL_checkstack(L, NUMBERS_DIMS + 2, NULL);
    if (as_tensor)
        return push_tensor(L, d, f, n_dims, shape, e);
    push_table(L, d, f, &at, 0, n_dims, shape);
    return 0;
}

/* ---- core.numbers ---- */

static int l_cut(lua_State *L)
{
    lua_Integer from = luaL_checkinteger(L, 2), to = luaL_checkinteger(L, 3);
    lua_Integer dim = luaL_optinteger(L, 4, 2);
    size_t shape[NUMBERS_DIMS], rows = 1, step = 1, width;
    struct numbers n;
    const char *data;
    char *copy;
    struct err e;

    lua_settop(L, 4);
    bind_numbers_get(L, 1, &n);
    luaL_argcheck(L, dim >= 1 && dim <= n.n_dims, 4, "no such dimension");
    luaL_argcheck(L, from >= 0 && from < to && (size_t)to <= n.shape[dim - 1], 2,
                  "a part of the array expected");
    memcpy(shape, n.shape, sizeof shape);
    shape[dim - 1] = (size_t)(to - from);
    for (int i = 0; i < n.n_dims; i++)
        *(i < dim - 1 ? &rows : &step) *= i == dim - 1 ? 1 : n.shape[i];
    width = step * (n.v.d != NULL ? sizeof(double) : sizeof(float));
    data = n.v.d != NULL ? (const char *)n.v.d : (const char *)n.v.f;
    copy = lua_newuserdatauv(L, rows * shape[dim - 1] * width + 1, 0);
    for (size_t i = 0; i < rows; i++)
        memcpy(copy + i * shape[dim - 1] * width,
               data + (i * n.shape[dim - 1] + (size_t)from) * width, shape[dim - 1] * width);
    if (bind_numbers_push(L, n.v.d != NULL ? (double *)(void *)copy : NULL,
                          n.v.d != NULL ? NULL : (float *)(void *)copy, n.n_dims, shape,
                          n.is_tensor, &e) != 0)
        return bind_fail(L, &e);
    return 1;
}

static int l_shape(lua_State *L)
{
    struct numbers n;

    lua_settop(L, 1);
    bind_numbers_get(L, 1, &n);
    for (int i = 0; i < n.n_dims; i++)
        lua_pushinteger(L, (lua_Integer)n.shape[i]);
    return n.n_dims;
}

static int l_mean(lua_State *L)
{
    struct numbers first, n;
    double *sum;
    lua_Integer count;
    struct err e;

    luaL_checktype(L, 1, LUA_TTABLE);
    count = (lua_Integer)lua_rawlen(L, 1);
    luaL_argcheck(L, count >= 1 && count <= 1000, 1, "1 to 1000 arrays expected");
    lua_settop(L, 1);
    lua_rawgeti(L, 1, 1);
    bind_numbers_get(L, 2, &first);
    sum = lua_newuserdatauv(L, (first.v.n + 1) * sizeof *sum, 0);
    memset(sum, 0, first.v.n * sizeof *sum);
    for (lua_Integer k = 1; k <= count; k++) {
        lua_rawgeti(L, 1, k);
        bind_numbers_get(L, 5, &n);
        luaL_argcheck(L, n.n_dims == first.n_dims &&
                         memcmp(n.shape, first.shape, sizeof n.shape) == 0, 1,
                      "arrays of one shape expected");
        for (size_t i = 0; i < n.v.n; i++)
            sum[i] += metric_at(&n.v, i) / (double)count;
        lua_settop(L, 4);
    }
    if (bind_numbers_push(L, sum, NULL, first.n_dims, first.shape, first.is_tensor, &e) != 0)
        return bind_fail(L, &e);
    return 1;
}

static const luaL_Reg FUNCTIONS[] = {
    {"cut", l_cut}, {"shape", l_shape}, {"mean", l_mean}, {NULL, NULL}};

int luaopen_core_numbers(lua_State *L)
{
    luaL_newlib(L, FUNCTIONS);
    return 1;
}
