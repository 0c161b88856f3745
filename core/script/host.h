/*
 * host.h - the Lua VM of this process, and what a script finds in it.
 *
 * One per process, on the loop thread only, never locked. Its parts: run.h (coroutines that wait),
 * limit.h (memory cap, time budgets), load.h (chunks, environments, require).
 */
#ifndef SCRIPT_HOST_H
#define SCRIPT_HOST_H

#include <stdint.h>

#include <lua.h>
#include <uv.h>

#include "base/err.h"

struct host;

struct host_opt {
    size_t memory_max_bytes; /* cap of the Lua heap; 0 = 256 MiB */
};

/*
 * Makes the VM with its locked libraries. The loop is borrowed and must outlive the host.
 * NULL with `nomem` or `exists` (there is one already).
 */
struct host *host_new(uv_loop_t *loop, const struct host_opt *opt, struct err *e);

/*
 * Cancels every run, closes the VM. Operations that were waited for end in later turns of the
 * loop: run it until it is empty, then close it. NULL is fine.
 */
void host_close(struct host *h);

/* Of any lua_State of the VM, also coroutines that scripts make. */
struct host *host_of(lua_State *L);
uv_loop_t *host_loop(lua_State *L);

/* The main state. Only to be used in a protected call: see host_protect. */
lua_State *host_lua(struct host *h);

/*
 * Calls fn(L) with `arg` as its light userdata argument 1, protected, on the main state, outside
 * of any run: for set-up. 0, or -1 with what was raised.
 */
int host_protect(struct host *h, lua_CFunction fn, void *arg, struct err *e);

/* Makes `name` ("core.x") known to the framework's require. The opener runs when first asked for. */
int host_preload(struct host *h, const char *name, lua_CFunction opener, struct err *e);

/* Bytes of the Lua heap now, its peak and its cap. */
void host_memory(struct host *h, size_t *now, size_t *peak, size_t *cap);

/* Bytes the scripts ever asked for: how much garbage they make. */
uint64_t host_allocated(struct host *h);

/* Puts a pointer for other rooms into the host (one slot each: see enum) and gets it back. */
enum host_slot { HOST_POOL, HOST_SERVER, HOST_DB, HOST_FETCH, HOST_CONTROL, HOST_SLOTS };
void host_set(struct host *h, enum host_slot slot, void *p);
void *host_get(struct host *h, enum host_slot slot);

/* Calls fn(arg) when the host closes, last added first, before the VM is closed. 0 or -1 `limit`. */
int host_at_close(struct host *h, void (*fn)(void *arg), void *arg);

/*
 * Fills `e` from the error object on top of L's stack: a string, or a table with `code` and
 * `message`, or anything else. Protected itself; does not pop. Adds no traceback.
 */
void host_error(lua_State *L, struct err *e);

#endif
