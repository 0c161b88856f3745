/*
 * bind_db_value.c - values between Lua and the database; see bind_db.h.
 */
#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include "bind/bind.h"
#include "bind/bind_db.h"
#include "bind/bind_json.h"

#define BLOB_TYPE "core.db.blob"
#define ARGS_MAX 32766

/* ---- arguments ---- */

/* Fills v from the value on top. */
static void to_value(lua_State *L, struct db_value *v, const char *which)
{
    size_t bytes = 0;

    memset(v, 0, sizeof *v);
    switch (lua_type(L, -1)) {
    case LUA_TNUMBER:
        if (lua_isinteger(L, -1)) {
            v->type = DB_INT;
            v->u.i = lua_tointeger(L, -1);
        } else {
            v->type = DB_REAL;
            v->u.f = lua_tonumber(L, -1);
        }
        return;
    case LUA_TBOOLEAN:
        v->type = DB_INT;
        v->u.i = lua_toboolean(L, -1);
        return;
    case LUA_TSTRING:
        v->type = DB_TEXT;
        v->u.text = lua_tolstring(L, -1, &bytes);
        break;
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, -1) == NULL)
            return; /* null */
        luaL_error(L, "argument %s is a light userdata, which no database can hold", which);
        return;
    case LUA_TUSERDATA:
        if (luaL_testudata(L, -1, BLOB_TYPE) != NULL) {
            v->type = DB_BLOB;
            lua_getiuservalue(L, -1, 1); /* stays alive in the blob */
            v->u.text = lua_tolstring(L, -1, &bytes);
            lua_pop(L, 1);
            break;
        }
        /* fall through */
    default:
        luaL_error(L, "argument %s is a %s; pass numbers, text, true, false, db.null or "
                      "db.blob(bytes)%s", which, luaL_typename(L, -1),
                   lua_istable(L, -1) ? ", or a table as json.encode(t)" : "");
    }
    if (bytes > UINT32_MAX)
        luaL_error(L, "argument %s is longer than 4 GiB", which);
    v->bytes = (uint32_t)bytes;
}

/* An array for n values, and names behind them if asked for; pushed. */
static struct db_value *new_values(lua_State *L, size_t n, const char ***names)
{
    struct db_value *v;

    luaL_argcheck(L, n <= ARGS_MAX, 3, "too many arguments for a statement");
    v = lua_newuserdatauv(L, n * (sizeof *v + sizeof **names), 0);
    *names = (const char **)(v + n);
    return v;
}

static void named(lua_State *L, int index, struct db_args *args)
{
    size_t n = 0, i = 0;
    const char **names;
    struct db_value *v;

    lua_pushnil(L);
    while (lua_next(L, index)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "the arguments of a statement are an array or a table of names, not both");
        lua_pop(L, 1);
        n++;
    }
    v = new_values(L, n, &names);
    lua_pushnil(L);
    for (; lua_next(L, index); i++) {
        names[i] = lua_tostring(L, -2);
        to_value(L, &v[i], names[i]);
        lua_pop(L, 1);
    }
    args->values = v;
    args->names = n > 0 ? names : NULL;
    args->n = (int)n;
}

void bind_db_args(lua_State *L, int index, struct db_args *args)
{
    size_t n;
    const char **names;
    struct db_value *v;

    memset(args, 0, sizeof *args);
    if (lua_isnoneornil(L, index)) {
        lua_pushnil(L);
        return;
    }
    if (!lua_istable(L, index))
        luaL_argerror(L, index, lua_pushfstring(L, "the arguments of a statement are a table, not a "
                                                "%s", luaL_typename(L, index)));
    n = lua_rawlen(L, index);
    if (n == 0) {
        named(L, index, args);
        return;
    }
    v = new_values(L, n, &names);
    for (size_t i = 0; i < n; i++) {
        char which[24];
        snprintf(which, sizeof which, "%zu", i + 1);
        if (lua_rawgeti(L, index, (lua_Integer)i + 1) == LUA_TNIL)
            luaL_error(L, "argument %s is nil; pass db.null", which);
        to_value(L, &v[i], which);
        lua_pop(L, 1);
    }
    lua_pushnil(L);
    for (size_t i = 0; lua_next(L, index); lua_pop(L, 1))
        if (++i > n)
            luaL_error(L, "the arguments of a statement are an array or a table of names, not both");
    args->values = v;
    args->n = (int)n;
}

int bind_db_bad(lua_State *L, const struct db_args *args)
{
    struct err e;

    for (int i = 0; i < args->n; i++)
        if (db_value_check(&args->values[i], i + 1, &e) != 0) {
            if (args->names != NULL)
                err_wrap(&e, "%.64s", args->names[i]);
            return bind_fail(L, &e);
        }
    return 0;
}

/* ---- rows ---- */

void bind_db_cell(lua_State *L, const struct db_value *v)
{
    switch (v->type) {
    case DB_INT:
        lua_pushinteger(L, v->u.i);
        break;
    case DB_REAL:
        lua_pushnumber(L, v->u.f);
        break;
    case DB_TEXT:
    case DB_BLOB:
        lua_pushlstring(L, v->u.text, v->bytes);
        break;
    default:
        lua_pushnil(L);
    }
}

/* The names of the columns, pushed one after the other: first + i is column i. */
static int push_names(lua_State *L, const struct db_rows *rows)
{
    luaL_checkstack(L, rows->n_cols + 6, "too many columns");
    for (int i = 0; i < rows->n_cols; i++)
        lua_pushstring(L, rows->names[i]);
    return lua_gettop(L) - rows->n_cols + 1;
}

static void push_row(lua_State *L, const struct db_rows *rows, size_t i, int first)
{
    const struct db_value *cell = rows->cells + i * (size_t)rows->n_cols;

    lua_createtable(L, 0, rows->n_cols);
    for (int k = 0; k < rows->n_cols; k++)
        if (cell[k].type != DB_NULL) {
            lua_pushvalue(L, first + k);
            bind_db_cell(L, &cell[k]);
            lua_rawset(L, -3);
        }
}

void bind_db_row(lua_State *L, const struct db_rows *rows, size_t i)
{
    const struct db_value *cell = rows->cells + i * (size_t)rows->n_cols;

    lua_createtable(L, 0, rows->n_cols);
    for (int k = 0; k < rows->n_cols; k++)
        if (cell[k].type != DB_NULL) {
            bind_db_cell(L, &cell[k]);
            lua_setfield(L, -2, rows->names[k]);
        }
}

void bind_db_rows(lua_State *L, const struct db_rows *rows)
{
    int first = push_names(L, rows);

    lua_createtable(L, rows->n_rows > INT32_MAX ? 0 : (int)rows->n_rows, 0);
    for (size_t i = 0; i < rows->n_rows; i++) {
        push_row(L, rows, i, first);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    bind_json_array(L, -1); /* [] when there is none */
    if (rows->n_cols > 0) {
        lua_replace(L, first);
        lua_settop(L, first);
    }
}

/* ---- blobs ---- */

/* blob(bytes): bytes as an argument that need not be text */
int bind_db_blob(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TSTRING);
    lua_newuserdatauv(L, 0, 1);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    luaL_setmetatable(L, BLOB_TYPE);
    return 1;
}

void bind_db_blob_class(lua_State *L)
{
    bind_class(L, BLOB_TYPE, NULL, NULL);
}
