/*
 * bind_signal.c - core.signal: runs of one process that wait for each other's word.
 *
 *   new() --> signal
 *   count(signal) --> integer            how often it was fired
 *   fire(signal)                         wakes all who wait, in the next turn of the loop
 *   wait(signal, seen, seconds) --> boolean
 *                                        until the count is not `seen` any more (true), or for so
 *                                        many seconds (false)
 *
 * Nothing is missed between looking and waiting: take the count first, look, then wait with it.
 * lua/notify.lua is what uses it.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"
#include "bind/bind.h"
#include "bind/bind_all.h"
#include "script/turn.h"

#define TYPE "core.signal"

struct waiter;

struct signal { /* lives in the userdata, which the stack of each waiting coroutine holds */
    struct waiter *first;
    lua_Integer count;
};

struct waiter {
    struct wait wait; /* first */
    uv_timer_t timer; /* the patience */
    struct turn turn; /* once fired */
    struct signal *signal; /* NULL when off its list */
    struct waiter *next, **link;
    bool is_fired;
};

static void unlist(struct waiter *w)
{
    if (w->signal == NULL)
        return;
    *w->link = w->next;
    if (w->next != NULL)
        w->next->link = w->link;
    w->signal = NULL;
}

static void on_closed(uv_handle_t *t)
{
    mem_free(t->data);
}

static void waiter_end(struct wait *wait) /* cancelled or done: the same way out */
{
    struct waiter *w = (struct waiter *)wait;

    unlist(w);
    turn_remove(&w->turn);
    uv_close((uv_handle_t *)&w->timer, on_closed);
}

static void on_timer(uv_timer_t *t)
{
    struct waiter *w = t->data;

    unlist(w);
    run_wake(&w->wait);
    waiter_end(&w->wait);
}

static void on_fired(struct turn *t)
{
    struct waiter *w = (struct waiter *)((char *)t - offsetof(struct waiter, turn));

    run_wake(&w->wait);
    waiter_end(&w->wait);
}

static int wait_finish(lua_State *L, struct wait *wait)
{
    lua_pushboolean(L, ((struct waiter *)wait)->is_fired);
    return 1;
}

static int l_new(lua_State *L)
{
    struct signal *s = lua_newuserdatauv(L, sizeof *s, 0);

    s->first = NULL;
    s->count = 0;
    luaL_setmetatable(L, TYPE);
    return 1;
}

static int l_count(lua_State *L)
{
    lua_pushinteger(L, ((struct signal *)luaL_checkudata(L, 1, TYPE))->count);
    return 1;
}

static int l_fire(lua_State *L)
{
    struct signal *s = luaL_checkudata(L, 1, TYPE);
    struct waiter *next;

    s->count++;
    for (struct waiter *w = s->first; w != NULL; w = next) {
        next = w->next;
        unlist(w);
        w->is_fired = true;
        uv_timer_stop(&w->timer);
        turn_add(host_of(L), &w->turn, on_fired);
    }
    return 0;
}

static int l_wait(lua_State *L)
{
    struct signal *s = luaL_checkudata(L, 1, TYPE);
    lua_Integer seen = luaL_checkinteger(L, 2);
    lua_Number seconds = luaL_checknumber(L, 3);

    luaL_argcheck(L, seconds >= 0 && seconds <= 86400, 3, "0 to 86400 seconds expected");
    if (s->count != seen) {
        lua_pushboolean(L, 1);
        return 1;
    }
    run_check_can_wait(L);
    struct waiter *w = mem_zero(1, sizeof *w);
    if (w == NULL)
        return luaL_error(L, "not enough memory");
    w->signal = s;
    w->next = s->first;
    w->link = &s->first;
    if (s->first != NULL)
        s->first->link = &w->next;
    s->first = w;
    uv_timer_init(host_loop(L), &w->timer);
    w->timer.data = w;
    uv_timer_start(&w->timer, on_timer, turn_after(host_loop(L), (double)seconds), 0);
    return run_wait(L, &w->wait, waiter_end, wait_finish);
}

static const luaL_Reg FUNCTIONS[] = {
    { "new", l_new }, { "count", l_count }, { "fire", l_fire }, { "wait", l_wait }, { NULL, NULL },
};

int luaopen_core_signal(lua_State *L)
{
    bind_class(L, TYPE, NULL, NULL);
    luaL_newlib(L, FUNCTIONS);
    return 1;
}
