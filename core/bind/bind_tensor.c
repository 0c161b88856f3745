/*
 * bind_tensor.c - core.tensor: making tensors, looking into them, files.
 *
 *   new(shape [, value]) --> tensor          from(table) --> tensor, from nested tables of numbers
 *   random(shape, kind, seed) --> tensor     kind "normal" or "uniform"
 *   load(path) --> tensor                    .npy, or .csv and .txt; waits
 *   concat(tensors, dim) --> tensor          used() --> bytes
 * Methods: shape dims count get set slice pick swap reshape copy assign table save close, and those
 * of bind_tensor_op.c. Dimensions and indices count from 1 here, from 0 below. Methods raise error
 * objects. lua/tensor.lua documents them all.
 */
#include "bind/bind_tensor.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "bind/bind_all.h"
#include "bind/bind_work.h"
#include "tensor/npy.h"
#include "tensor/rng.h"
#include "tensor/tensor_op.h"

#define FILE_MAX_BYTES ((size_t)2 << 30)

struct box {
    struct tensor *t; /* NULL when closed */
};

struct tensor **bind_tensor_box(lua_State *L)
{
    struct box *b = lua_newuserdatauv(L, sizeof *b, 0);

    b->t = NULL;
    luaL_setmetatable(L, BIND_TENSOR);
    return &b->t;
}

struct tensor *bind_tensor_test(lua_State *L, int arg)
{
    struct box *b = luaL_testudata(L, arg, BIND_TENSOR);

    if (b != NULL && b->t == NULL)
        luaL_argerror(L, arg, "this tensor is closed");
    return b != NULL ? b->t : NULL;
}

struct tensor *bind_tensor_check(lua_State *L, int arg)
{
    luaL_checkudata(L, arg, BIND_TENSOR);
    return bind_tensor_test(L, arg);
}

static int l_close(lua_State *L) /* close, __close, __gc */
{
    struct box *b = luaL_checkudata(L, 1, BIND_TENSOR);

    tensor_free(b->t);
    b->t = NULL;
    return 0;
}

/* A shape in a table at `arg`; -1 entries only where `open`. */
static int check_shape(lua_State *L, int arg, ptrdiff_t *shape, int open)
{
    lua_Integer n;

    luaL_checktype(L, arg, LUA_TTABLE);
    n = luaL_len(L, arg);
    luaL_argcheck(L, n <= TENSOR_DIMS, arg, "too many dimensions");
    for (lua_Integer i = 1; i <= n; i++) {
        int is_int;
        lua_geti(L, arg, i);
        lua_Integer v = lua_tointegerx(L, -1, &is_int);
        luaL_argcheck(L, is_int && v >= (open ? -1 : 0) && v <= PTRDIFF_MAX / 8, arg,
                      "a list of whole numbers expected");
        shape[i - 1] = (ptrdiff_t)v;
        lua_pop(L, 1);
    }
    return (int)n;
}

static int check_dim(lua_State *L, int arg, const struct tensor *t)
{
    lua_Integer d = luaL_checkinteger(L, arg);

    if (d < 0)
        d += t->n_dims + 1;
    luaL_argcheck(L, d >= 1 && d <= t->n_dims, arg, "no such dimension");
    return (int)d - 1;
}

static int l_new(lua_State *L)
{
    ptrdiff_t shape[TENSOR_DIMS];
    int n = check_shape(L, 1, shape, 0);
    lua_Number v = luaL_optnumber(L, 2, 0);
    struct tensor **t = bind_tensor_box(L);
    struct err e;

    if (tensor_new(t, n, shape, &e) != 0)
        return bind_raise(L, &e);
    for (size_t i = 0; i < tensor_count(*t); i++)
        (*t)->data[i] = (float)v;
    return 1;
}

/* --- nested tables --- */

static void measure(lua_State *L, ptrdiff_t *shape, int *n_dims)
{
    luaL_checkstack(L, 2 * TENSOR_DIMS + 8, "too deep");
    *n_dims = 0;
    lua_pushvalue(L, 1);
    while (lua_istable(L, -1)) {
        if (*n_dims == TENSOR_DIMS)
            luaL_argerror(L, 1, "too many dimensions");
        shape[(*n_dims)++] = (ptrdiff_t)lua_rawlen(L, -1);
        lua_rawgeti(L, -1, 1);
    }
    lua_settop(L, 1);
}

static float *read_level(lua_State *L, const struct tensor *t, int dim, float *to)
{
    if (!lua_istable(L, -1) || (ptrdiff_t)lua_rawlen(L, -1) != t->shape[dim])
        luaL_argerror(L, 1, "tables of the same length expected at each level");
    for (ptrdiff_t i = 1; i <= t->shape[dim]; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i);
        if (dim + 1 < t->n_dims) {
            to = read_level(L, t, dim + 1, to);
        } else {
            int is_number;
            lua_Number v = lua_tonumberx(L, -1, &is_number);
            if (!is_number)
                luaL_argerror(L, 1, "numbers expected");
            *to++ = (float)v;
        }
        lua_pop(L, 1);
    }
    return to;
}

static int l_from(lua_State *L)
{
    ptrdiff_t shape[TENSOR_DIMS];
    struct err e;
    int n;

    if (lua_isnumber(L, 1))
        n = 0;
    else
        measure(L, shape, &n);
    luaL_argcheck(L, n > 0 || lua_isnumber(L, 1), 1, "a table of numbers expected");
    struct tensor **t = bind_tensor_box(L);
    if (tensor_new(t, n, shape, &e) != 0)
        return bind_raise(L, &e);
    if (n == 0) {
        (*t)->data[0] = (float)lua_tonumber(L, 1);
    } else {
        lua_pushvalue(L, 1);
        read_level(L, *t, 0, (*t)->data);
        lua_pop(L, 1);
    }
    return 1;
}

static const float *push_level(lua_State *L, const struct tensor *t, int dim, const float *x)
{
    lua_createtable(L, (int)(t->shape[dim] < INT32_MAX ? t->shape[dim] : 0), 0);
    for (ptrdiff_t i = 0; i < t->shape[dim]; i++) {
        if (dim + 1 < t->n_dims)
            push_level(L, t, dim + 1, x);
        else
            lua_pushnumber(L, (lua_Number)*x);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
        x += t->step[dim];
    }
    return x;
}

static int l_table(lua_State *L)
{
    const struct tensor *t = bind_tensor_check(L, 1);

    luaL_checkstack(L, 2 * TENSOR_DIMS + 8, "too deep");
    if (t->n_dims == 0)
        lua_pushnumber(L, (lua_Number)t->data[0]);
    else
        push_level(L, t, 0, t->data);
    return 1;
}

static int l_random(lua_State *L)
{
    static const char *const kinds[] = {"normal", "uniform", NULL};
    ptrdiff_t shape[TENSOR_DIMS];
    int n = check_shape(L, 1, shape, 0), kind = luaL_checkoption(L, 2, "normal", kinds);
    uint64_t seed = (uint64_t)luaL_optinteger(L, 3, 1);
    struct tensor **t = bind_tensor_box(L);
    struct err e;

    if (tensor_new(t, n, shape, &e) != 0)
        return bind_raise(L, &e);
    for (size_t i = 0; i < tensor_count(*t); i++)
        (*t)->data[i] = (float)(kind == 0 ? rng_normal(seed, 0, i) : rng_uniform(seed, 0, i));
    return 1;
}

static int l_concat(lua_State *L)
{
    const struct tensor *all[256];
    lua_Integer n, dim = luaL_optinteger(L, 2, 1);
    struct err e;

    luaL_checktype(L, 1, LUA_TTABLE);
    n = luaL_len(L, 1);
    luaL_argcheck(L, n >= 1 && n <= 256, 1, "1 to 256 tensors expected");
    luaL_argcheck(L, dim >= 1 && dim <= TENSOR_DIMS, 2, "no such dimension");
    for (lua_Integer i = 1; i <= n; i++) {
        lua_geti(L, 1, i);
        all[i - 1] = bind_tensor_check(L, -1);
        lua_pop(L, 1); /* the table keeps it */
    }
    struct tensor **t = bind_tensor_box(L);
    if (tensor_concat(t, all, (int)n, (int)dim - 1, &e) != 0)
        return bind_raise(L, &e);
    return 1;
}

/* --- looking --- */

static int l_shape(lua_State *L)
{
    const struct tensor *t = bind_tensor_check(L, 1);

    lua_createtable(L, t->n_dims, 0);
    for (int i = 0; i < t->n_dims; i++) {
        lua_pushinteger(L, (lua_Integer)t->shape[i]);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

static int l_dims(lua_State *L)
{
    lua_pushinteger(L, bind_tensor_check(L, 1)->n_dims);
    return 1;
}

static int l_count(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)tensor_count(bind_tensor_check(L, 1)));
    return 1;
}

/* Where the indices at `arg`.. point. */
static float *check_place(lua_State *L, const struct tensor *t, int arg)
{
    float *x = t->data;

    for (int i = 0; i < t->n_dims; i++) {
        lua_Integer at = luaL_checkinteger(L, arg + i);
        if (at < 0)
            at += (lua_Integer)t->shape[i] + 1;
        luaL_argcheck(L, at >= 1 && at <= (lua_Integer)t->shape[i], arg + i,
                      "index outside of the tensor");
        x += (ptrdiff_t)(at - 1) * t->step[i];
    }
    return x;
}

static int l_get(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)*check_place(L, bind_tensor_check(L, 1), 2));
    return 1;
}

static int l_set(lua_State *L)
{
    const struct tensor *t = bind_tensor_check(L, 1);
    lua_Number v = luaL_checknumber(L, 2);

    *check_place(L, t, 3) = (float)v;
    lua_settop(L, 1);
    return 1;
}

static int l_slice(lua_State *L)
{
    const struct tensor *t = bind_tensor_check(L, 1);
    int dim = check_dim(L, 2, t);
    lua_Integer n = (lua_Integer)t->shape[dim];
    lua_Integer from = luaL_optinteger(L, 3, 1), to = luaL_optinteger(L, 4, n);
    struct err e;

    from += from < 0 ? n + 1 : 0;
    to += to < 0 ? n + 1 : 0;
    luaL_argcheck(L, from >= 1 && to <= n && to >= from - 1, 3, "slice outside of the tensor");
    struct tensor **v = bind_tensor_box(L);
    if (tensor_slice(v, t, dim, (ptrdiff_t)from - 1, (ptrdiff_t)to, &e) != 0)
        return bind_raise(L, &e);
    return 1;
}

static int l_pick(lua_State *L)
{
    const struct tensor *t = bind_tensor_check(L, 1);
    int dim = check_dim(L, 2, t);
    lua_Integer at = luaL_checkinteger(L, 3);
    struct err e;

    at += at < 0 ? (lua_Integer)t->shape[dim] + 1 : 0;
    luaL_argcheck(L, at >= 1 && at <= (lua_Integer)t->shape[dim], 3,
                  "index outside of the tensor");
    struct tensor **v = bind_tensor_box(L);
    if (tensor_pick(v, t, dim, (ptrdiff_t)at - 1, &e) != 0)
        return bind_raise(L, &e);
    return 1;
}

static int l_swap(lua_State *L)
{
    const struct tensor *t = bind_tensor_check(L, 1);
    int a = lua_isnoneornil(L, 2) ? t->n_dims - 2 : check_dim(L, 2, t);
    int b = lua_isnoneornil(L, 3) ? t->n_dims - 1 : check_dim(L, 3, t);
    struct err e;

    luaL_argcheck(L, a >= 0, 1, "a tensor of at least two dimensions expected");
    struct tensor **v = bind_tensor_box(L);
    if (tensor_swap(v, t, a, b, &e) != 0)
        return bind_raise(L, &e);
    return 1;
}

static int l_reshape(lua_State *L)
{
    const struct tensor *t = bind_tensor_check(L, 1);
    ptrdiff_t shape[TENSOR_DIMS];
    int n = check_shape(L, 2, shape, 1);
    struct tensor **v = bind_tensor_box(L);
    struct err e;

    if (tensor_reshape(v, t, n, shape, &e) != 0)
        return bind_raise(L, &e);
    return 1;
}

static int l_copy(lua_State *L)
{
    const struct tensor *t = bind_tensor_check(L, 1);
    struct tensor **v = bind_tensor_box(L);
    struct err e;

    if (tensor_copy(v, t, &e) != 0)
        return bind_raise(L, &e);
    return 1;
}

static int l_assign(lua_State *L)
{
    struct tensor *t = bind_tensor_check(L, 1), *b = bind_tensor_test(L, 2);
    struct err e;

    if (b == NULL) {
        lua_Number v = luaL_checknumber(L, 2);
        struct tensor **one = bind_tensor_box(L);
        if (tensor_new(one, 0, NULL, &e) != 0)
            return bind_raise(L, &e);
        (*one)->data[0] = (float)v;
        b = *one;
    }
    if (tensor_assign(t, b, &e) != 0)
        return bind_raise(L, &e);
    lua_settop(L, 1);
    return 1;
}

/* --- files --- */

struct file {
    struct bind_work work;
    char *path;
    struct tensor *t;
};

static int is_npy(const char *path)
{
    size_t n = strlen(path);

    return n >= 4 && strcmp(path + n - 4, ".npy") == 0;
}

static int load_work(struct bind_work *w, struct err *e)
{
    struct file *f = (struct file *)w;
    FILE *in = fopen(f->path, "rb");
    struct stat st;
    char *data = NULL;
    int rc = -1;

    if (in == NULL || fstat(fileno(in), &st) != 0) {
        err_errno(e, errno, "%s", f->path);
        goto done;
    }
    if (!S_ISREG(st.st_mode) || (size_t)st.st_size > FILE_MAX_BYTES) {
        err_set(e, ERR_LIMIT, "%s is not a file of at most %zu bytes", f->path, FILE_MAX_BYTES);
        goto done;
    }
    data = mem_alloc((size_t)st.st_size);
    if (data == NULL) {
        err_set(e, ERR_NOMEM, "no memory for %s", f->path);
        goto done;
    }
    size_t n = fread(data, 1, (size_t)st.st_size, in);
    rc = is_npy(f->path) ? npy_parse(&f->t, (const uint8_t *)data, n, e)
                         : tensor_csv_parse(&f->t, data, n, e);
    if (rc != 0)
        err_wrap(e, "%s", f->path);
done:
    if (in != NULL)
        fclose(in);
    mem_free(data);
    return rc;
}

static int load_finish(lua_State *L, struct bind_work *w)
{
    struct file *f = (struct file *)w;
    struct tensor **t = bind_tensor_box(L);

    *t = f->t;
    f->t = NULL;
    return 1;
}

static void file_free(struct bind_work *w)
{
    struct file *f = (struct file *)w;

    mem_free(f->path);
    tensor_free(f->t);
}

static int save_work(struct bind_work *w, struct err *e)
{
    struct file *f = (struct file *)w;
    char aside[4096];
    struct buf b;
    FILE *out = NULL;
    int rc = -1;

    buf_init(&b, FILE_MAX_BYTES);
    if (snprintf(aside, sizeof aside, "%s.part", f->path) >= (int)sizeof aside) {
        err_set(e, ERR_INVALID, "a path of %zu bytes", strlen(f->path));
        goto done;
    }
    if ((is_npy(f->path) ? npy_write(&b, f->t, e) : tensor_csv_write(&b, f->t, e)) != 0)
        goto done;
    out = fopen(aside, "wb");
    if (out == NULL || fwrite(b.data, 1, b.len, out) != b.len || fflush(out) != 0 ||
        fsync(fileno(out)) != 0 || rename(aside, f->path) != 0) {
        err_errno(e, errno, "%s", f->path);
        if (out != NULL)
            unlink(aside);
        goto done;
    }
    rc = 0;
done:
    if (out != NULL)
        fclose(out);
    buf_deinit(&b);
    return rc;
}

static int start_file(lua_State *L, const char *path, struct tensor *t,
                      int (*work)(struct bind_work *, struct err *))
{
    struct file *f = bind_work_new(L, sizeof *f, lua_gettop(L));
    struct err e;

    f->work.work = work;
    f->work.finish = t == NULL ? load_finish : NULL;
    f->work.free = file_free;
    f->path = mem_dup(path);
    if (f->path == NULL) {
        err_set(&e, ERR_NOMEM, "no memory");
        bind_work_drop(&f->work);
        return bind_raise(L, &e);
    }
    /* a view of its own: the script may close the tensor while it is written */
    if (t != NULL && tensor_reshape(&f->t, t, t->n_dims, t->shape, &e) != 0) {
        bind_work_drop(&f->work);
        return bind_raise(L, &e);
    }
    return bind_work_start(L, &f->work);
}

static int l_load(lua_State *L)
{
    return start_file(L, luaL_checkstring(L, 1), NULL, load_work);
}

static int l_save(lua_State *L)
{
    struct tensor *t = bind_tensor_check(L, 1);

    return start_file(L, luaL_checkstring(L, 2), t, save_work);
}

static int l_used(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)tensor_bytes());
    return 1;
}

/* tensor(2, 3) with its first values */
static int l_tostring(lua_State *L)
{
    struct box *b = luaL_checkudata(L, 1, BIND_TENSOR);
    char text[96];

    if (b->t == NULL)
        lua_pushliteral(L, "tensor (closed)");
    else if (b->t->n_dims == 0)
        lua_pushfstring(L, "tensor %f", (lua_Number)b->t->data[0]);
    else
        lua_pushfstring(L, "tensor %s", tensor_shape_text(b->t, text, sizeof text));
    return 1;
}

static int l_len(lua_State *L)
{
    const struct tensor *t = bind_tensor_check(L, 1);

    lua_pushinteger(L, t->n_dims > 0 ? (lua_Integer)t->shape[0] : 1);
    return 1;
}

static const luaL_Reg FUNCTIONS[] = {
    {"new", l_new},       {"from", l_from},     {"random", l_random}, {"load", l_load},
    {"concat", l_concat}, {"used", l_used},     {NULL, NULL},
};

static const luaL_Reg METHODS[] = {
    {"shape", l_shape},   {"dims", l_dims},       {"count", l_count}, {"get", l_get},
    {"set", l_set},       {"slice", l_slice},     {"pick", l_pick},   {"swap", l_swap},
    {"reshape", l_reshape}, {"copy", l_copy},     {"assign", l_assign}, {"table", l_table},
    {"save", l_save},     {"close", l_close},     {NULL, NULL},
};

static const luaL_Reg META[] = {
    {"__gc", l_close}, {"__close", l_close}, {"__tostring", l_tostring}, {"__len", l_len},
    {NULL, NULL},
};

int luaopen_core_tensor(lua_State *L)
{
    if (luaL_newmetatable(L, BIND_TENSOR)) {
        luaL_setfuncs(L, META, 0);
        luaL_setfuncs(L, bind_tensor_meta, 0);
        lua_newtable(L);
        luaL_setfuncs(L, METHODS, 0);
        luaL_setfuncs(L, bind_tensor_ops, 0);
        lua_setfield(L, -2, "__index");
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
    }
    lua_pop(L, 1);
    luaL_newlib(L, FUNCTIONS);
    return 1;
}
