/*
 * bind.c - helpers of all C modules for scripts. See bind.h.
 */
#include "bind/bind.h"

#include <string.h>

int bind_fail(lua_State *L, const struct err *e)
{
    lua_pushnil(L);
    lua_pushstring(L, e->text);
    lua_pushstring(L, err_name(e->code));
    return 3;
}

int bind_raise(lua_State *L, const struct err *e)
{
    lua_createtable(L, 0, 2);
    lua_pushstring(L, err_name(e->code));
    lua_setfield(L, -2, "code");
    lua_pushstring(L, e->text);
    lua_setfield(L, -2, "message");
    return lua_error(L);
}

void bind_class(lua_State *L, const char *type, const luaL_Reg *methods, const luaL_Reg *meta)
{
    if (luaL_newmetatable(L, type)) {
        if (meta != NULL)
            luaL_setfuncs(L, meta, 0);
        if (methods != NULL) {
            lua_newtable(L);
            luaL_setfuncs(L, methods, 0);
            lua_setfield(L, -2, "__index");
        }
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
    }
    lua_pop(L, 1);
}

/* Pushes the field; its type, or LUA_TNIL when the table or the field is not there. */
static int get_field(lua_State *L, int index, const char *field)
{
    if (lua_isnoneornil(L, index)) {
        lua_pushnil(L);
        return LUA_TNIL;
    }
    luaL_checktype(L, index, LUA_TTABLE);
    return lua_getfield(L, index, field);
}

/* `at` is the stack index of the value that was found */
static int bad_field(lua_State *L, int index, int at, const char *field, const char *expected)
{
    const char *found = luaL_tolstring(L, at, NULL);

    return luaL_argerror(L, index, lua_pushfstring(L, "%s is %s, expected %s", field, found,
                                                   expected));
}

lua_Integer bind_opt_int(lua_State *L, int index, const char *field, lua_Integer def,
                         lua_Integer low, lua_Integer high)
{
    int is_int, type = get_field(L, index, field);
    lua_Integer value = lua_tointegerx(L, -1, &is_int);

    if (type == LUA_TNIL)
        value = def;
    else if (type != LUA_TNUMBER || !is_int || value < low || value > high)
        bad_field(L, index, lua_gettop(L), field, lua_pushfstring(L, "a whole number from %I to %I",
                                                   (LUAI_UACINT)low, (LUAI_UACINT)high));
    lua_pop(L, 1);
    return value;
}

lua_Number bind_opt_number(lua_State *L, int index, const char *field, lua_Number def,
                           lua_Number low, lua_Number high)
{
    int type = get_field(L, index, field);
    lua_Number value = type == LUA_TNIL ? def : lua_tonumber(L, -1);

    if (type != LUA_TNIL && (type != LUA_TNUMBER || !(value >= low && value <= high)))
        bad_field(L, index, lua_gettop(L), field, lua_pushfstring(L, "a number from %f to %f", low, high));
    lua_pop(L, 1);
    return value;
}

int bind_opt_bool(lua_State *L, int index, const char *field, int def)
{
    int type = get_field(L, index, field);
    int value = type == LUA_TNIL ? def : lua_toboolean(L, -1);

    if (type != LUA_TNIL && type != LUA_TBOOLEAN)
        bad_field(L, index, lua_gettop(L), field, "true or false");
    lua_pop(L, 1);
    return value;
}

const char *bind_opt_text(lua_State *L, int index, const char *field, const char *def)
{
    int type = get_field(L, index, field);
    const char *value = type == LUA_TNIL ? def : lua_tostring(L, -1);

    if (type != LUA_TNIL && type != LUA_TSTRING)
        bad_field(L, index, lua_gettop(L), field, "text");
    if (type != LUA_TNIL && strlen(value) != lua_rawlen(L, -1))
        bad_field(L, index, lua_gettop(L), field, "text without a zero byte");
    lua_pop(L, 1);
    return value;
}
