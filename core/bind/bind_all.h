/*
 * bind_all.h - the openers of all C modules for scripts, in the order of bind_all.c.
 */
#ifndef BIND_BIND_ALL_H
#define BIND_BIND_ALL_H

#include <lua.h>

int luaopen_core_auth(lua_State *L);
int luaopen_core_baseline(lua_State *L);
int luaopen_core_chart(lua_State *L);
int luaopen_core_control(lua_State *L);
int luaopen_core_crypto(lua_State *L);
int luaopen_core_db(lua_State *L);
int luaopen_core_fs(lua_State *L);
int luaopen_core_http(lua_State *L);
int luaopen_core_json(lua_State *L);
int luaopen_core_load(lua_State *L);
int luaopen_core_log(lua_State *L);
int luaopen_core_metrics(lua_State *L);
int luaopen_core_numbers(lua_State *L);
int luaopen_core_process(lua_State *L);
int luaopen_core_server(lua_State *L);
int luaopen_core_sheet(lua_State *L);
int luaopen_core_settings(lua_State *L);
int luaopen_core_signal(lua_State *L);
int luaopen_core_task(lua_State *L);
int luaopen_core_tensor(lua_State *L);
int luaopen_core_tide(lua_State *L);
int luaopen_core_text(lua_State *L);
int luaopen_core_time(lua_State *L);
int luaopen_core_trees(lua_State *L);
int luaopen_core_calibrate(lua_State *L);

#endif
