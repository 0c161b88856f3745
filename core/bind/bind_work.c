/*
 * bind_work.c - computation on the pool that a script waits for. See bind_work.h.
 */
#include "bind/bind_work.h"

#include <stddef.h>

#include "base/mem.h"

static struct bind_work *work_of(struct pool_job *job)
{
    return (struct bind_work *)((char *)job - offsetof(struct bind_work, job));
}

void *bind_work_new(lua_State *L, size_t bytes, int n)
{
    struct bind_work *w;
    int ref;

    run_check_can_wait(L);
    lua_createtable(L, n, 0);
    for (int i = 1; i <= n; i++) {
        lua_pushvalue(L, i);
        lua_rawseti(L, -2, i);
    }
    ref = luaL_ref(L, LUA_REGISTRYINDEX);
    luaL_checkstack(L, 4, "too many values");
    w = mem_zero(1, bytes);
    if (w == NULL) {
        luaL_unref(L, LUA_REGISTRYINDEX, ref);
        luaL_error(L, "not enough memory");
        return NULL;
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    w->L = lua_tothread(L, -1);
    lua_pop(L, 1);
    w->ref = ref;
    return w;
}

void bind_work_drop(struct bind_work *w)
{
    if (w->ref != LUA_NOREF)
        luaL_unref(w->L, LUA_REGISTRYINDEX, w->ref);
    if (w->free != NULL)
        w->free(w);
    mem_free(w);
}

static void on_work(struct pool_job *job)
{
    struct bind_work *w = work_of(job);

    w->rc = w->work(w, &w->e);
}

static void on_done(struct pool_job *job)
{
    struct bind_work *w = work_of(job);

    if (w->ended != NULL)
        w->ended(w);
    if (!w->gone)
        run_wake(&w->wait);
    bind_work_drop(w);
}

static void on_cancel(struct wait *wait)
{
    struct bind_work *w = (struct bind_work *)wait;

    w->gone = 1;
    pool_cancel(&w->job);
}

static int on_finish(lua_State *L, struct wait *wait)
{
    struct bind_work *w = (struct bind_work *)wait;

    if (w->rc != 0)
        return bind_raise(L, &w->e);
    return w->finish != NULL ? w->finish(L, w) : 0;
}

static void close_pool(void *pool)
{
    pool_close(pool);
}

struct pool *bind_work_pool(lua_State *L, struct err *e)
{
    struct host *h = host_of(L);
    struct pool *p = host_get(h, HOST_POOL);

    if (p != NULL)
        return p;
    p = pool_new(host_loop(L), 0, e);
    if (p == NULL)
        return NULL;
    if (host_at_close(h, close_pool, p) != 0) {
        pool_close(p);
        err_set(e, ERR_LIMIT, "no place left to close the compute pool from");
        return NULL;
    }
    host_set(h, HOST_POOL, p);
    return p;
}

int bind_work_start(lua_State *L, struct bind_work *w)
{
    struct err e;
    struct pool *pool = bind_work_pool(L, &e);

    w->job.work = on_work;
    w->job.done = on_done;
    w->rc = -1;
    err_set(&w->e, ERR_CANCELLED, "cancelled");
    if (pool == NULL || pool_submit(pool, &w->job, &e) != 0) {
        if (w->ended != NULL)
            w->ended(w);
        bind_work_drop(w);
        return bind_raise(L, &e);
    }
    return run_wait(L, &w->wait, on_cancel, on_finish);
}
