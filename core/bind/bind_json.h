/*
 * bind_json.h - JSON (RFC 8259) straight between bytes and Lua values.
 *
 * Why not through cJSON: it takes what is no JSON ("01", control characters, text behind the end,
 * bytes that are not UTF-8), cannot tell 2^53 + 1 from 2^53, and is slow because every value is a
 * block and every number a sprintf. tests/bench/json_bench.c measures both; cJSON is the oracle of
 * the tests. The reader is bind_json_in.c, the writer bind_json_out.c.
 *
 * Lua and JSON:
 *   nil, json.null    null (in tables only json.null: a light userdata, never nil)
 *   integer           digits only; beyond 2^53 refused in both directions
 *   float             always with a point or an exponent, shortest form that reads back
 *   string            valid UTF-8 only
 *   table             {…} when its keys are strings, […] when they are 1 … n; both or holes: refused.
 *                     An empty table is {} unless marked by json.array; arrays that were read are
 *                     marked, so they stay arrays when emptied. An empty table with __index is
 *                     refused: a read-only proxy would silently be {}.
 *
 * Loop thread only. Also opens `core.json`; the face is lua/json.lua.
 */
#ifndef BIND_JSON_H
#define BIND_JSON_H

#include <lua.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

#define BIND_JSON_DEPTH 64      /* nesting that is taken where nobody says otherwise */
#define BIND_JSON_DEPTH_MAX 512 /* and the most one may ask for */

enum {
    BIND_JSON_SORTED = 1, /* keys in byte order */
    BIND_JSON_HTML = 2,   /* < > & and U+2028, U+2029 escaped: may stand inside <script> */
    BIND_JSON_TIDY = 4    /* floats rounded for people: num_tidy of base/num.h */
};

/*
 * Adds the value at `index` to out. 0, or -1 with out as it was and e: `invalid` (names the path of
 * the value: "items[3].price: …"), `nan`, `limit` (depth, size), `nomem`. Does not run metamethods
 * and leaves the Lua stack as it was. May raise only when the VM is out of memory.
 */
int bind_json_encode(lua_State *L, int index, unsigned flags, struct buf *out, struct err *e);

/*
 * Reads exactly one value, blanks around it allowed, and pushes it. -1 and e (`parse` with line and
 * column, `nan` for a number beyond the doubles, `limit` for depth), nothing pushed then. Raises
 * only when the VM is out of memory. The bytes need no NUL behind them and are not kept.
 */
int bind_json_decode(lua_State *L, const char *s, size_t n, int depth_max, struct err *e);

/* Marks the table at `index` as an array, so that it is [] when empty. */
void bind_json_array(lua_State *L, int index);

/* Pushes the metatable that marks arrays; json.null. */
void bind_json_mark(lua_State *L);
void bind_json_null(lua_State *L);

int luaopen_core_json(lua_State *L);

#endif
