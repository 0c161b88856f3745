/*
 * bind_settings.c - core.settings: the settings of this process, to read (base/conf.h).
 *
 *   get(name) --> value        boolean, integer, float (seconds), text or array; nil: no such name,
 *                              or a secret
 *   secret(name) --> text      for faces that sign in somewhere; "" when not set
 *   list() --> array of { name, type, value (secrets masked), origin, unit, doc, env }
 */
#include <string.h>

#include "base/conf.h"
#include "bind/bind.h"
#include "bind/bind_all.h"
#include "bind/bind_json.h"

static const char *const TYPES[] = { "bool", "int", "number", "size", "seconds", "text", "choice",
                                     "secret", "list", "path" };

static void push_value(lua_State *L, const struct conf_def *d)
{
    size_t n;
    const char *const *items;

    switch (d->type) {
    case CONF_BOOL:
        lua_pushboolean(L, conf_bool(d->name));
        break;
    case CONF_INT:
        lua_pushinteger(L, conf_int(d->name));
        break;
    case CONF_SIZE:
        lua_pushinteger(L, (lua_Integer)conf_size(d->name));
        break;
    case CONF_NUMBER:
        lua_pushnumber(L, conf_number(d->name));
        break;
    case CONF_SECONDS:
        lua_pushnumber(L, conf_seconds(d->name));
        break;
    case CONF_LIST:
        items = conf_list(d->name, &n);
        lua_createtable(L, (int)n, 0);
        bind_json_array(L, -1);
        for (size_t i = 0; i < n; i++) {
            lua_pushstring(L, items[i]);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        break;
    default:
        lua_pushstring(L, conf_text(d->name));
    }
}

static int l_get(lua_State *L)
{
    const struct conf_def *d = conf_find(luaL_checkstring(L, 1));

    if (d == NULL || d->type == CONF_SECRET)
        lua_pushnil(L);
    else
        push_value(L, d);
    return 1;
}

static int l_secret(lua_State *L)
{
    const struct conf_def *d = conf_find(luaL_checkstring(L, 1));

    luaL_argcheck(L, d != NULL && d->type == CONF_SECRET, 1, "the name of a secret setting expected");
    lua_pushstring(L, conf_text(d->name));
    return 1;
}

static void set_text(lua_State *L, const char *field, const char *value)
{
    lua_pushstring(L, value);
    lua_setfield(L, -2, field);
}

static int l_list(lua_State *L)
{
    char env[128];

    lua_createtable(L, (int)conf_count(), 0);
    for (size_t i = 0; i < conf_count(); i++) {
        const struct conf_def *d = conf_at(i);
        lua_createtable(L, 0, 7);
        set_text(L, "name", d->name);
        set_text(L, "type", TYPES[d->type]);
        if (d->type == CONF_SECRET)
            set_text(L, "value", *conf_value(d) ? "********" : "");
        else {
            push_value(L, d);
            lua_setfield(L, -2, "value");
        }
        set_text(L, "origin", conf_where(d));
        set_text(L, "unit", d->unit);
        set_text(L, "doc", d->doc);
        conf_env_name(d, env, sizeof env);
        set_text(L, "env", env);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static const luaL_Reg FUNCTIONS[] = {
    { "get", l_get },
    { "secret", l_secret },
    { "list", l_list },
    { NULL, NULL },
};

int luaopen_core_settings(lua_State *L)
{
    luaL_newlib(L, FUNCTIONS);
    return 1;
}
