/*
 * bind_work.h - computation on the pool that a script waits for.
 *
 * A work is the first member of the caller's operation, made with bind_work_new. `work` runs on a
 * pool thread and touches neither Lua nor uv; `finish` pushes the results on the loop (it is called
 * only when work returned 0); `free` releases what the operation owns, always, on the loop. A
 * refusal becomes a raised error object. When the run is cancelled the work is told
 * (pool_cancelled) and `free` is called once it has stopped.
 */
#ifndef BIND_BIND_WORK_H
#define BIND_BIND_WORK_H

#include "bind/bind.h"
#include "loop/pool.h"

struct bind_work {
    struct wait wait;
    struct pool_job job;
    int (*work)(struct bind_work *w, struct err *e);
    int (*finish)(lua_State *L, struct bind_work *w); /* NULL: no results */
    void (*ended)(struct bind_work *w); /* on the loop, before the script goes on; NULL is fine */
    void (*free)(struct bind_work *w);                /* NULL: nothing but the block */
    lua_State *L; /* the main state, for the reference */
    int ref;      /* keeps the Lua values alive that the work uses */
    int rc, gone;
    struct err e;
};

/*
 * A zeroed operation of `bytes`, whose first member is a bind_work; the values at stack indices
 * 1..n are kept alive until it ends. Raises when the run cannot wait here or memory is short; from
 * here to bind_work_start nothing may raise: bind_work_drop when something fails.
 */
void *bind_work_new(lua_State *L, size_t bytes, int n);
void bind_work_drop(struct bind_work *w);

/* Starts. Use as `return bind_work_start(L, w)`. */
int bind_work_start(lua_State *L, struct bind_work *w);

/* The compute pool of this process; made at the first call when nobody has. NULL with `e`. */
struct pool *bind_work_pool(lua_State *L, struct err *e);

#endif
