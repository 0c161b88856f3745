/*
 * bind.h - what every C module for scripts uses, and the list of them.
 *
 * Conventions of a core.* module: misuse raises (luaL_argerror); when the world says no the answer
 * is `nil, message, code`. Faces in lua/ turn the latter into raised error objects. A userdata is a
 * box that is made empty, gets its metatable at once, and is only then filled; its close function
 * serves close, __close and __gc, and may run twice.
 */
#ifndef BIND_BIND_H
#define BIND_BIND_H

#include <lauxlib.h>
#include <lua.h>

#include "base/err.h"
#include "script/host.h"
#include "script/run.h"

/* Pushes nil, message, code; returns 3. For the C function that was refused. */
int bind_fail(lua_State *L, const struct err *e);

/* Raises the error object { code =, message = } of `e`. Does not return. */
int bind_raise(lua_State *L, const struct err *e);

/*
 * Registers the userdata type `type` ("core.db") once: methods behind __index, metamethods, locked
 * __metatable, __name. Either list may be NULL. Pushes nothing.
 */
void bind_class(lua_State *L, const char *type, const luaL_Reg *methods, const luaL_Reg *meta);

/*
 * Fields of an option table at `index`: the default when absent, an argument error that names the
 * field when it is of the wrong type or outside low…high. Text stays on the stack's table: borrowed
 * while that table is.
 */
lua_Integer bind_opt_int(lua_State *L, int index, const char *field, lua_Integer def,
                         lua_Integer low, lua_Integer high);
lua_Number bind_opt_number(lua_State *L, int index, const char *field, lua_Number def,
                           lua_Number low, lua_Number high);
int bind_opt_bool(lua_State *L, int index, const char *field, int def);
const char *bind_opt_text(lua_State *L, int index, const char *field, const char *def);

/* Makes every core.* module known to the host. */
int bind_all(struct host *h, struct err *e);

#endif
