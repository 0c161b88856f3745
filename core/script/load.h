/*
 * load.h - from text to a chunk in an environment of its own.
 *
 * Two kinds of environment over two read-only bases (sandbox.c): the framework's (lua/: may require
 * core.*) and the workflows' (its require is put in by lua/generation.lua). All these raise.
 */
#ifndef SCRIPT_LOAD_H
#define SCRIPT_LOAD_H

#include <stddef.h>

#include <lua.h>

/* Pushes a new environment: reading an unknown name or making a global is an error naming it. */
void load_env(lua_State *L, int framework);

/*
 * Compiles text (never bytecode); `name` as messages show it: "workflows/jobs/x.lua". Takes the
 * environment from the top of the stack and pushes the function: 0, or pushes the message: -1.
 */
int load_chunk(lua_State *L, const char *name, const char *text, size_t len);

/* Replaces the table on top by a read-only proxy of it. */
void load_lock(lua_State *L);

/*
 * The framework's require(name): C modules "core.x" that host_preload knows, then the file
 * lua/x.lua inside the binary. Each is run once. A circular require is an error.
 */
int load_require(lua_State *L);

#endif
