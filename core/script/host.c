/*
 * host.c - the Lua VM: made, filled, closed. See host.h.
 *
 * The extra space of every lua_State holds a struct run *: of the run it belongs to, or of
 * host.none for the main state and (Lua copies it from there) for coroutines that scripts make.
 */
#include "script/host.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "base/mem.h"
#include "script/host_state.h"

#define MEMORY_MAX_DEFAULT ((size_t)256 << 20)

/*
 * The collector's pace. As Lua comes (200, 100, 13) a step may do 51,200 units of work, which for a heap
 * like ours is half a collection: a millisecond in which every request waits. Here a unit of work goes
 * with 16 bytes of allocation, so a cycle takes about as many bytes as are alive, and no turn of the
 * loop pays for much of it; in return the next begins soon (tests/bench/pause_bench.c and the p99 of
 * http_bench.py). With 12 units a cycle was over in five turns of 64 requests, 4 ms each.
 */
#define GC_PAUSE 150  /* percent of what was alive at which the next cycle begins */
#define GC_STEPMUL 1
#define GC_STEP_LOG2 12 /* a step for each 4 KiB */

static struct run *run_at(lua_State *L)
{
    return *(struct run **)lua_getextraspace(L);
}

struct host *host_of(lua_State *L)
{
    return run_at(L)->host;
}

uv_loop_t *host_loop(lua_State *L)
{
    return host_of(L)->loop;
}

lua_State *host_lua(struct host *h)
{
    return h->L;
}

void host_memory(struct host *h, size_t *now, size_t *peak, size_t *cap)
{
    *now = h->memory.now;
    *peak = h->memory.peak;
    *cap = h->memory.cap;
}

uint64_t host_allocated(struct host *h)
{
    return h->memory.total;
}

void host_set(struct host *h, enum host_slot slot, void *p)
{
    h->slots[slot] = p;
}

void *host_get(struct host *h, enum host_slot slot)
{
    return h->slots[slot];
}

int host_at_close(struct host *h, void (*fn)(void *arg), void *arg)
{
    if (h->n_closers == HOST_CLOSERS)
        return -1;
    h->closers[h->n_closers].fn = fn;
    h->closers[h->n_closers++].arg = arg;
    return 0;
}

/* lua_tolstring of a number would allocate, so only true strings are read here */
static void copy_field(lua_State *L, int index, const char *field, char *to, size_t size)
{
    lua_getfield(L, index, field);
    if (lua_type(L, -1) == LUA_TSTRING) {
        size_t len;
        const char *s = lua_tolstring(L, -1, &len);
        if (len >= size)
            len = size - 1;
        memcpy(to, s, len);
        to[len] = '\0';
    }
    lua_pop(L, 1);
}

static int describe(lua_State *L) /* light userdata err, error object */
{
    struct err *e = lua_touserdata(L, 1);
    char code[32] = "";

    switch (lua_type(L, 2)) {
    case LUA_TSTRING:
        err_set(e, ERR_INVALID, "%s", lua_tostring(L, 2));
        break;
    case LUA_TTABLE:
        err_set(e, ERR_INVALID, "an error table without a message was raised");
        copy_field(L, 2, "message", e->text, sizeof e->text);
        copy_field(L, 2, "code", code, sizeof code);
        if (err_code_of(code) != ERR_NONE)
            e->code = err_code_of(code);
        break;
    default:
        if (luaL_callmeta(L, 2, "__tostring") && lua_type(L, -1) == LUA_TSTRING)
            err_set(e, ERR_INVALID, "%s", lua_tostring(L, -1));
        else
            err_set(e, ERR_INVALID, "an error object that is a %s was raised",
                    luaL_typename(L, 2));
    }
    return 0;
}

/* Lua's own words, and those of our bindings, which luaL_error puts behind the place of the call. */
static bool is_no_memory(lua_State *L)
{
    static const char words[] = "not enough memory";
    size_t len;
    const char *s = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;

    return s != NULL && len >= sizeof words - 1 &&
           strcmp(s + len - (sizeof words - 1), words) == 0;
}

void host_error(lua_State *L, struct err *e)
{
    lua_State *M = host_of(L)->L; /* a coroutine that failed cannot be used for calls */
    int top = lua_gettop(M);

    err_set(e, ERR_NOMEM, "not enough memory to describe an error");
    if (!lua_checkstack(M, 4) || !lua_checkstack(L, 1))
        return;
    bool no_memory = is_no_memory(L);
    lua_pushcfunction(M, describe);
    lua_pushlightuserdata(M, e);
    if (L == M) {
        lua_pushvalue(M, top);
    } else {
        lua_pushvalue(L, -1);
        lua_xmove(L, M, 1);
    }
    lua_pcall(M, 2, 0, 0); /* its own failure leaves the message above */
    lua_settop(M, top);
    if (no_memory)
        e->code = ERR_NOMEM;
}

int host_protect(struct host *h, lua_CFunction fn, void *arg, struct err *e)
{
    lua_State *L = h->L;
    int top = lua_gettop(L);

    lua_pushcfunction(L, fn);
    lua_pushlightuserdata(L, arg);
    int status = lua_pcall(L, 1, 0, 0);
    if (status != LUA_OK && e != NULL)
        host_error(L, e);
    lua_settop(L, top);
    return status == LUA_OK ? 0 : -1;
}

struct preload {
    const char *name;
    lua_CFunction opener;
};

static int add_preload(lua_State *L)
{
    struct preload *p = lua_touserdata(L, 1);

    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, p->opener);
    lua_setfield(L, -2, p->name);
    return 0;
}

int host_preload(struct host *h, const char *name, lua_CFunction opener, struct err *e)
{
    struct preload p = { name, opener };

    return host_protect(h, add_preload, &p, e);
}

static int open_all(lua_State *L)
{
    lua_gc(L, LUA_GCINC, GC_PAUSE, GC_STEPMUL, GC_STEP_LOG2);
    if (getenv("PLASTINKA_GC_STRESS") != NULL)
        lua_gc(L, LUA_GCINC, 100, 1000, 10); /* for tests: a cycle never rests */
    return sandbox_open(L);
}

/* Reached only by an error outside of any protected call, which would be our own bug. */
static int on_panic(lua_State *L)
{
    (void)L;
    assert(0 && "a Lua error outside of a protected call");
    return 0;
}

static void on_turn_closed(uv_handle_t *turn)
{
    mem_free(turn);
}

struct host *host_new(uv_loop_t *loop, const struct host_opt *opt, struct err *e)
{
    struct host *h = mem_zero(1, sizeof *h);

    if (h == NULL) {
        err_set(e, ERR_NOMEM, "no memory for a script host");
        return NULL;
    }
    h->loop = loop;
    h->memory.cap = opt != NULL && opt->memory_max_bytes ? opt->memory_max_bytes
                                                         : MEMORY_MAX_DEFAULT;
    h->none.host = h;
    h->soon_end = &h->soon;
    h->turn = mem_alloc(sizeof *h->turn);
    h->L = h->turn != NULL ? lua_newstate(limit_alloc, &h->memory) : NULL;
    if (h->L == NULL) {
        err_set(e, ERR_NOMEM, "no memory for a script host");
        goto fail;
    }
    lua_atpanic(h->L, on_panic);
    *(struct run **)lua_getextraspace(h->L) = &h->none;
    if (host_protect(h, open_all, NULL, e) != 0 || limit_start(&h->time, e) != 0)
        goto fail;
    uv_idle_init(loop, h->turn);
    h->turn->data = h;
    return h;
fail:
    if (h->L != NULL)
        lua_close(h->L);
    limit_memory_free(&h->memory);
    mem_free(h->turn);
    mem_free(h);
    return NULL;
}

void host_close(struct host *h)
{
    if (h == NULL)
        return;
    h->closing = true;
    run_close_all(h);
    while (h->n_closers > 0) {
        h->n_closers--;
        h->closers[h->n_closers].fn(h->closers[h->n_closers].arg);
    }
    limit_stop(&h->time);
    lua_close(h->L);
    limit_memory_free(&h->memory);
    uv_close((uv_handle_t *)h->turn, on_turn_closed);
    mem_free(h);
}
