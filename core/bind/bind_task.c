/*
 * bind_task.c - core.task: sleeping and structured children.
 *
 *   sleep(seconds)
 *   spawn(fn, deadline_ms, ...) --> task     a child run: it ends when its parent ends
 *   wait(task) --> true, results             or false, error object; only by the parent, only once
 *   wait_any(tasks) --> index                of the first that has ended; does not take its results
 *   cancel(task)                             false when it had ended
 *   done(task) --> boolean
 *   limits(burst_ms, deadline_ms)            of the run that calls
 *
 * A task is a box with the run and, once that has ended, a table of its results. lua/task.lua is
 * the face: all, race, timeout.
 */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/mem.h"
#include "bind/bind.h"
#include "bind/bind_all.h"
#include "script/turn.h"

#define TYPE "core.task"
#define TASKS_MAX 10000 /* children alive in one process */
#define CHILD_BURST_MS 1000

/* ---- sleep ---- */

struct nap {
    struct wait wait;
    uv_timer_t timer; /* not used by a sleep of 0, which is one turn of the loop */
    struct turn turn;
    bool has_timer;
};

static void on_nap_closed(uv_handle_t *t)
{
    mem_free(t->data);
}

static void nap_end(struct wait *w) /* cancelled or done: the same way out */
{
    struct nap *nap = (struct nap *)w;

    if (nap->has_timer) {
        uv_close((uv_handle_t *)&nap->timer, on_nap_closed);
    } else {
        turn_remove(&nap->turn);
        mem_free(nap);
    }
}

static void on_nap(uv_timer_t *t)
{
    struct nap *nap = t->data;

    run_wake(&nap->wait);
    nap_end(&nap->wait);
}

static void on_nap_turn(struct turn *t)
{
    struct nap *nap = (struct nap *)((char *)t - offsetof(struct nap, turn));

    run_wake(&nap->wait);
    nap_end(&nap->wait);
}

static int nap_finish(lua_State *L, struct wait *w)
{
    (void)L;
    (void)w;
    return 0;
}

static int l_sleep(lua_State *L)
{
    lua_Number s = luaL_checknumber(L, 1);

    luaL_argcheck(L, s >= 0 && s <= 86400, 1, "0 to 86400 seconds expected");
    run_check_can_wait(L);
    struct nap *nap = mem_zero(1, sizeof *nap);
    if (nap == NULL)
        return luaL_error(L, "not enough memory");
    nap->has_timer = s > 0;
    if (nap->has_timer) {
        uv_timer_init(host_loop(L), &nap->timer);
        nap->timer.data = nap;
        uv_timer_start(&nap->timer, on_nap, turn_after(host_loop(L), (double)s), 0);
    } else {
        turn_add(host_of(L), &nap->turn, on_nap_turn);
    }
    return run_wait(L, &nap->wait, nap_end, nap_finish);
}

/* ---- children ---- */

/* Lives in the userdata. User value 1: function and arguments, later the results (a table). */
struct task {
    struct run *run;    /* NULL when it has ended */
    struct run *parent; /* who may wait; NULL when gone */
    struct any *waiter; /* the parent's wait, when it waits for this one */
    bool ok, taken;
    int self_ref;       /* keeps the box while the run is alive */
    struct host *host;
};

/* One wait for any of several tasks; lives in a userdata on the waiting coroutine's stack. */
struct any {
    struct wait wait;
    uv_idle_t *idle; /* wakes in the next turn of the loop */
    lua_Integer index;
    int n;
    struct task *tasks[];
};

static struct task *check_task(lua_State *L, int arg)
{
    return luaL_checkudata(L, arg, TYPE);
}

static int run_body(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    return lua_gettop(L) - (int)ctx;
}

static int task_body(lua_State *L) /* light userdata: task */
{
    struct task *t = lua_touserdata(L, 1);

    lua_settop(L, 0);
    lua_rawgeti(L, LUA_REGISTRYINDEX, t->self_ref); /* box */
    lua_getiuservalue(L, 1, 1);                     /* box args */
    lua_remove(L, 1);
    int n = (int)lua_rawlen(L, 1);
    luaL_checkstack(L, n + 2, "too many arguments");
    for (int i = 1; i <= n; i++)
        lua_rawgeti(L, 1, i);                       /* args fn ... */
    lua_callk(L, n - 1, LUA_MULTRET, 1, run_body);
    return lua_gettop(L) - 1;
}

struct outcome {
    struct task *task;
    const struct run_end *end;
};

static int keep_outcome(lua_State *L) /* light userdata: outcome; on the main state */
{
    struct outcome *o = lua_touserdata(L, 1);
    const struct run_end *end = o->end;

    lua_rawgeti(L, LUA_REGISTRYINDEX, o->task->self_ref);
    luaL_unref(L, LUA_REGISTRYINDEX, o->task->self_ref);
    o->task->self_ref = LUA_NOREF;
    if (end->code == ERR_NONE) {
        lua_createtable(L, end->n_results, 1);
        luaL_checkstack(L, end->n_results + 1, "too many results");
        lua_xmove(end->L, L, end->n_results);
        for (int i = end->n_results; i >= 1; i--)
            lua_rawseti(L, 3, i);
        lua_pushinteger(L, end->n_results);
        lua_setfield(L, 3, "n");
    } else {
        lua_createtable(L, 0, 3);
        lua_pushstring(L, err_name(end->code));
        lua_setfield(L, 3, "code");
        lua_pushstring(L, end->error.text);
        lua_setfield(L, 3, "message");
        lua_pushstring(L, end->trace);
        lua_setfield(L, 3, "trace");
    }
    lua_setiuservalue(L, 2, 1);
    return 0;
}

static void on_idle_closed(uv_handle_t *idle)
{
    mem_free(idle);
}

static void any_forget(struct any *any)
{
    for (int i = 0; i < any->n; i++)
        if (any->tasks[i]->waiter == any)
            any->tasks[i]->waiter = NULL;
    uv_close((uv_handle_t *)any->idle, on_idle_closed);
    any->idle = NULL;
}

static void any_cancel(struct wait *w)
{
    any_forget((struct any *)w);
}

static int any_finish(lua_State *L, struct wait *w)
{
    lua_pushinteger(L, ((struct any *)w)->index);
    return 1;
}

static void on_any(uv_idle_t *idle)
{
    struct any *any = idle->data;

    any_forget(any);
    run_wake(&any->wait); /* `any` lives on the coroutine's stack: gone now, perhaps */
}

static void on_task_end(struct run *r, const struct run_end *end, void *arg)
{
    struct task *t = arg;
    struct outcome o = { t, end };
    struct any *any = t->waiter;

    (void)r;
    t->run = NULL;
    t->ok = end->code == ERR_NONE;
    if (host_protect(t->host, keep_outcome, &o, NULL) != 0)
        t->ok = false; /* no memory for the results: the waiter finds no outcome and raises nomem */
    if (any == NULL)
        return;
    for (int i = 0; i < any->n; i++)
        if (any->tasks[i] == t)
            any->index = i + 1;
    t->waiter = NULL;
    uv_idle_start(any->idle, on_any);
}

static int l_spawn(lua_State *L)
{
    lua_Integer deadline_ms;
    struct host *h = host_of(L);
    struct run *parent = run_of(L);
    struct err e;
    int n = lua_gettop(L);

    luaL_checktype(L, 1, LUA_TFUNCTION);
    deadline_ms = luaL_optinteger(L, 2, 0);
    luaL_argcheck(L, deadline_ms >= 0, 2, "0 or more milliseconds expected");
    if (parent == NULL)
        return luaL_error(L, "a task can only be started by a run, not by a coroutine of its own");
    if (run_count(h) > TASKS_MAX)
        return luaL_error(L, "more than %d tasks", TASKS_MAX);
    struct task *t = lua_newuserdatauv(L, sizeof *t, 1);
    memset(t, 0, sizeof *t);
    t->self_ref = LUA_NOREF;
    t->host = h;
    luaL_setmetatable(L, TYPE);
    lua_createtable(L, n, 0); /* function, arguments */
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 1);
    for (int i = 3; i <= n; i++) {
        lua_pushvalue(L, i);
        lua_rawseti(L, -2, i - 1);
    }
    lua_setiuservalue(L, -2, 1);
    lua_pushvalue(L, -1);
    t->self_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    struct run_opt opt = { .name = run_name(parent), .burst_ms = CHILD_BURST_MS,
                           .deadline_ms = (uint64_t)deadline_ms, .on_end = on_task_end,
                           .arg = t };
    if (run_start(h, &opt, task_body, t, &t->run, &e) != 0) {
        luaL_unref(L, LUA_REGISTRYINDEX, t->self_ref);
        return bind_raise(L, &e);
    }
    t->parent = parent;
    run_adopt(parent, t->run); /* a run is on the stack, so the child has not begun */
    return 1;
}

static void check_mine(lua_State *L, struct task *t, int arg)
{
    if (t->parent != run_of(L))
        luaL_argerror(L, arg, "only the run that started a task may wait for it");
}

static int l_wait_any(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    int n = (int)lua_rawlen(L, 1);
    luaL_argcheck(L, n > 0, 1, "at least one task expected");
    run_check_can_wait(L);
    struct any *any = lua_newuserdatauv(L, sizeof *any + sizeof(struct task *) * (size_t)n, 0);
    memset(any, 0, sizeof *any);
    any->n = n;
    for (int i = 0; i < n; i++) {
        lua_rawgeti(L, 1, i + 1);
        any->tasks[i] = check_task(L, -1);
        lua_pop(L, 1); /* the table at index 1 keeps it */
        check_mine(L, any->tasks[i], 1);
        if (any->tasks[i]->run == NULL) {
            lua_pushinteger(L, i + 1);
            return 1;
        }
    }
    any->idle = mem_alloc(sizeof *any->idle);
    if (any->idle == NULL)
        return luaL_error(L, "not enough memory");
    uv_idle_init(host_loop(L), any->idle);
    any->idle->data = any;
    for (int i = 0; i < n; i++)
        any->tasks[i]->waiter = any;
    return run_wait(L, &any->wait, any_cancel, any_finish);
}

/* The outcome of an ended task: true, results… or false, error object. */
static int l_take(lua_State *L)
{
    struct task *t = check_task(L, 1);

    check_mine(L, t, 1);
    luaL_argcheck(L, t->run == NULL, 1, "the task has not ended");
    luaL_argcheck(L, !t->taken, 1, "the results of this task were taken already");
    t->taken = true;
    lua_settop(L, 1);
    if (lua_getiuservalue(L, 1, 1) != LUA_TTABLE || t->self_ref != LUA_NOREF)
        return luaL_error(L, "not enough memory");
    lua_pushnil(L);
    lua_setiuservalue(L, 1, 1);
    lua_pushboolean(L, t->ok); /* box outcome ok */
    if (!t->ok) {
        lua_insert(L, -2);
        return 2;
    }
    lua_getfield(L, 2, "n");
    int n = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    luaL_checkstack(L, n, "too many results");
    for (int i = 1; i <= n; i++)
        lua_rawgeti(L, 2, i);
    return n + 1;
}

static int l_cancel(lua_State *L)
{
    struct task *t = check_task(L, 1);
    const char *why = luaL_optstring(L, 2, "the task was cancelled");
    bool alive = t->run != NULL;

    if (alive)
        run_cancel(t->run, ERR_CANCELLED, why);
    lua_pushboolean(L, alive);
    return 1;
}

static int l_done(lua_State *L)
{
    lua_pushboolean(L, check_task(L, 1)->run == NULL);
    return 1;
}

/* Changes what the calling run may use: burst in ms, deadline in ms from now; 0 = no limit. */
static int l_limits(lua_State *L)
{
    struct run *r = run_of(L);
    lua_Integer burst_ms = luaL_checkinteger(L, 1), deadline_ms = luaL_checkinteger(L, 2);

    luaL_argcheck(L, burst_ms >= 0 && burst_ms <= 86400000, 1, "0 to 86400000 ms expected");
    luaL_argcheck(L, deadline_ms >= 0, 2, "0 or more ms expected");
    if (r == NULL)
        return luaL_error(L, "only a run has limits");
    run_set_limits(r, (uint32_t)burst_ms, (uint64_t)deadline_ms);
    return 0;
}

static const luaL_Reg FUNCTIONS[] = {
    { "sleep", l_sleep },   { "spawn", l_spawn }, { "wait_any", l_wait_any }, { "take", l_take },
    { "cancel", l_cancel }, { "done", l_done },   { "limits", l_limits },     { NULL, NULL },
};

int luaopen_core_task(lua_State *L)
{
    bind_class(L, TYPE, NULL, NULL);
    luaL_newlib(L, FUNCTIONS);
    return 1;
}
