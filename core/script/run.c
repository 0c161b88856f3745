/*
 * run.c - one run of a script: begins, waits, wakes, ends. The only file that calls lua_resume
 * (but for coroutines that scripts make themselves: sandbox.c). Loop thread only.
 *
 * Start at run_start, then resume, then finish. Budgets are in limit.c.
 */
#include "script/run.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include "base/mem.h"
#include "script/host_state.h"

#define IDLE_MAX 256         /* ended runs whose coroutines are kept for reuse */
#define READY_PER_TURN 64    /* runs begun or woken between two looks at the sockets */
#define CLOSE_BUDGET_MS 100  /* for the __close of variables of a run that failed */
#define TRACE_MAX 4096

static void finish(struct run *r, int status, int n_results);

struct run *run_of(lua_State *L)
{
    struct run *r = *(struct run **)lua_getextraspace(L);

    return r->L == L ? r : NULL;
}

struct run *run_current(struct host *h)
{
    return h->current;
}

const char *run_name(const struct run *r)
{
    return r->name;
}

unsigned run_count(struct host *h)
{
    return h->n_alive;
}

uint64_t run_time_left(const struct run *r)
{
    uint64_t now = uv_now(r->host->loop);

    if (r->deadline_at == 0)
        return UINT64_MAX;
    return r->deadline_at > now ? r->deadline_at - now : 0;
}

/* ---- bursts ---- */

void burst_enter(struct host *h, struct burst *saved, struct run *r, uint32_t budget_ms)
{
    struct limit_time *t = &h->time;

    saved->current = h->current;
    saved->active = t->active;
    saved->burst = t->burst;
    saved->budget = t->budget_ticks;
    saved->killed = t->killed;
    t->active = NULL; /* the signal must not see a half-made change */
    t->killed = 0;
    t->where[0] = '\0';
    t->burst = saved->burst + 1;
    t->budget_ticks = (budget_ms + LIMIT_TICK_MS - 1) / LIMIT_TICK_MS;
    h->current = r;
    t->active = r->L;
}

void burst_leave(struct host *h, const struct burst *saved)
{
    struct limit_time *t = &h->time;

    t->active = NULL;
    t->killed = saved->killed;
    t->burst++; /* what is below gets a fresh count, not the time spent above it */
    t->budget_ticks = saved->budget;
    h->current = saved->current;
    t->active = saved->active;
}

/* ---- life ---- */

static int make_thread(lua_State *L) /* light userdata: run */
{
    struct run *r = lua_touserdata(L, 1);

    r->L = lua_newthread(L);
    *(struct run **)lua_getextraspace(r->L) = r;
    r->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static struct run *run_get(struct host *h, struct err *e)
{
    struct run *r = h->idle;

    if (r != NULL) {
        run_list_remove(&h->idle, r);
        h->n_idle--;
        return r;
    }
    r = mem_zero(1, sizeof *r);
    if (r == NULL) {
        err_set(e, ERR_NOMEM, "no memory for a run");
        return NULL;
    }
    r->host = h;
    if (host_protect(h, make_thread, r, e) != 0) {
        mem_free(r);
        return NULL;
    }
    return r;
}

static void on_timer_closed(uv_handle_t *timer)
{
    mem_free(timer);
}

static int drop_thread(lua_State *L)
{
    struct run *r = lua_touserdata(L, 1);

    *(struct run **)lua_getextraspace(r->L) = &r->host->none;
    luaL_unref(L, LUA_REGISTRYINDEX, r->ref);
    return 0;
}

static void run_free(struct run *r)
{
    if (r->timer != NULL)
        uv_close((uv_handle_t *)r->timer, on_timer_closed);
    host_protect(r->host, drop_thread, r, NULL);
    mem_free(r);
}

static void run_put(struct run *r)
{
    struct host *h = r->host;

    lua_settop(r->L, 0);
    r->state = RUN_IDLE;
    r->wait = NULL;
    r->on_end = NULL;
    r->arg = NULL;
    r->deadline_at = 0;
    r->stop_code = ERR_NONE;
    r->failed = LUA_OK;
    mem_free(r->error);
    mem_free(r->trace);
    r->error = NULL;
    r->trace = NULL;
    if (h->n_idle >= IDLE_MAX || h->closing) {
        run_free(r);
        return;
    }
    run_list_add(&h->idle, r);
    h->n_idle++;
}

/* ---- the bottom of every run ---- */

/*
 * Everything runs below one pcall. Not for the error's sake, which lua_resume would report as well,
 * but because an error out of a hook leaves the hooks of a coroutine off (lua_State.allowhook), and
 * only a pcall turns them on again: without it neither a closing variable nor the next run on this
 * coroutine could be stopped.
 */
static int on_error(lua_State *L) /* error object -- same; keeps the traceback */
{
    struct run *r = *(struct run **)lua_getextraspace(L);

    if (r->trace == NULL && (r->trace = mem_alloc(TRACE_MAX)) != NULL) {
        r->trace[0] = '\0';
        luaL_traceback(L, L, NULL, 1);
        snprintf(r->trace, TRACE_MAX, "%s", lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    return 1;
}

static int bottom_end(lua_State *L, int status, lua_KContext ctx)
{
    struct run *r = *(struct run **)lua_getextraspace(L);

    (void)ctx;
    if (status == LUA_OK || status == LUA_YIELD)
        return lua_gettop(L) - 1;
    r->failed = status;
    r->error = mem_alloc(sizeof *r->error);
    if (r->error != NULL)
        host_error(L, r->error);
    return 1;
}

static int bottom(lua_State *L) /* function, arguments */
{
    int n = lua_gettop(L) - 1;

    lua_pushcfunction(L, on_error);
    lua_insert(L, 1);
    return bottom_end(L, lua_pcallk(L, n, LUA_MULTRET, 1, 0, bottom_end), 0);
}

/* What went wrong in r; status is that of its coroutine. ERR_NONE when nothing did. */
static void run_error(struct run *r, int status, struct err *e)
{
    if (r->stop_code != ERR_NONE && (status != LUA_OK || r->failed != LUA_OK))
        err_set(e, r->stop_code, "%s", r->stop_why);
    else if (status == LUA_YIELD)
        err_set(e, ERR_INVALID, "yielded without anything to wait for");
    else if (status != LUA_OK)
        host_error(r->L, e);
    else if (r->failed == LUA_OK)
        e->code = ERR_NONE;
    else if (r->error != NULL)
        *e = *r->error;
    else
        err_set(e, ERR_NOMEM, "not enough memory");
    if (e->code != ERR_NONE && r->stop_code == ERR_NONE &&
        (status == LUA_ERRMEM || r->failed == LUA_ERRMEM))
        e->code = ERR_NOMEM;
}

static int collect(lua_State *L)
{
    lua_gc(L, LUA_GCCOLLECT);
    return 0;
}

/*
 * The collection that Lua makes when the cap is met calls no finalizers, so what they hold stays, and
 * it leaves the next ordinary one for when the heap has doubled, which is beyond the cap. A whole one
 * between two bursts puts both right.
 */
static void relieve(struct host *h)
{
    if (!h->memory.pressed || h->current != NULL)
        return;
    h->memory.pressed = 0;
    host_protect(h, collect, NULL, NULL);
}

/* Continues the coroutine with n values on its stack, until it waits or ends. */
static void resume(struct run *r, int n)
{
    struct host *h = r->host;
    struct burst saved;
    int n_results = 0;

    r->state = RUN_STACK;
    burst_enter(h, &saved, r, r->burst_ms);
    int status = lua_resume(r->L, saved.active, n, &n_results);
    int killed = h->time.killed;
    burst_leave(h, &saved);
    if (killed && (status != LUA_OK || r->failed != LUA_OK) && r->stop_code == ERR_NONE) {
        r->stop_code = ERR_KILLED;
        snprintf(r->stop_why, sizeof r->stop_why,
                 "%sthe script computed for more than %" PRIu32 " ms without a wait", h->time.where,
                 r->burst_ms);
    }
    if (status == LUA_YIELD && r->stop_code == ERR_NONE && r->wait != NULL) {
        r->state = RUN_WAITING;
        relieve(h);
        return;
    }
    finish(r, status, n_results);
    relieve(h);
}

/* The coroutine is stopped where it stands: closes its variables, leaves it ready for the next run. */
static void unwind(struct run *r)
{
    struct burst saved;

    limit_release(r->L);
    burst_enter(r->host, &saved, r, CLOSE_BUDGET_MS);
    r->may_wait = false;
    lua_resetthread(r->L);
    burst_leave(r->host, &saved);
}

static void finish(struct run *r, int status, int n_results)
{
    struct host *h = r->host;
    struct run_end end = { .L = r->L, .error.code = ERR_NONE };

    r->state = RUN_ENDING;
    if (r->wait != NULL) { /* nobody will listen any more */
        struct wait *w = r->wait;
        r->wait = NULL;
        w->run = NULL;
        w->cancel(w);
    }
    while (r->children != NULL)
        run_cancel(r->children, ERR_CANCELLED, "its parent ended");
    if (r->timer_on) {
        uv_timer_stop(r->timer);
        r->timer_on = false;
    }
    run_error(r, status, &end.error);
    end.code = end.error.code;
    end.trace = r->trace != NULL ? r->trace : "";
    if (end.code == ERR_NONE)
        end.n_results = n_results;
    if (status != LUA_OK)
        unwind(r);
    limit_release(r->L);
    run_leave_parent(r);
    run_list_remove(&h->alive, r);
    h->n_alive--;
    if (r->on_end != NULL)
        r->on_end(r, &end, r->arg);
    run_put(r);
}

int run_start(struct host *h, const struct run_opt *opt, lua_CFunction body, void *arg,
              struct run **out, struct err *e)
{
    struct run *r;

    if (h->closing)
        return err_set(e, ERR_CANCELLED, "the process is stopping");
    if ((r = run_get(h, e)) == NULL)
        return -1;
    size_t len = opt->name != NULL ? strnlen(opt->name, sizeof r->name - 1) : 0;
    memcpy(r->name, opt->name != NULL ? opt->name : "", len);
    r->name[len] = '\0';
    r->burst_ms = opt->burst_ms;
    r->deadline_at = opt->deadline_ms ? uv_now(h->loop) + opt->deadline_ms : 0;
    r->on_end = opt->on_end;
    r->arg = opt->arg;
    r->may_wait = true;
    run_list_add(&h->alive, r);
    h->n_alive++;
    lua_pushcfunction(r->L, bottom);
    lua_pushcfunction(r->L, body);
    lua_pushlightuserdata(r->L, arg);
    if (out != NULL)
        *out = r;
    if (h->current != NULL) {
        r->state = RUN_READY;
        run_ready_add(h, r);
    } else {
        resume(r, 2);
    }
    return 0;
}

void on_turn(uv_idle_t *idle)
{
    struct host *h = idle->data;

    for (int i = 0; i < READY_PER_TURN && h->ready != NULL; i++) {
        struct run *r = h->ready;
        h->ready = r->ready_next;
        if (h->ready == NULL)
            h->ready_last = NULL;
        resume(r, 2);
    }
    turn_run(h);
    if (h->ready == NULL && h->soon == NULL)
        uv_idle_stop(h->turn);
}

/* ---- waiting ---- */

void run_check_can_wait(lua_State *L)
{
    struct run *r = run_of(L);

    if (r == NULL)
        luaL_error(L, "waiting is not possible here: only in the run itself, not in a coroutine "
                      "of its own or while a file loads");
    if (!r->may_wait || !lua_isyieldable(L))
        luaL_error(L, "waiting is not possible here: inside a metamethod, an iterator, a sort or "
                      "another call from C");
    if (r->stop_code != ERR_NONE)
        luaL_error(L, "%s", r->stop_why);
}

static void on_deadline(uv_timer_t *timer)
{
    run_cancel(timer->data, ERR_TIMEOUT, "the deadline passed");
}

static void deadline_arm(struct run *r)
{
    if (r->timer == NULL) {
        r->timer = mem_alloc(sizeof *r->timer);
        if (r->timer == NULL)
            return; /* no memory: the wait goes on without a deadline rather than fail */
        uv_timer_init(r->host->loop, r->timer);
        uv_unref((uv_handle_t *)r->timer);
    }
    r->timer->data = r;
    uv_timer_start(r->timer, on_deadline, turn_after(r->host->loop, (double)run_time_left(r) / 1e3), 0);
    r->timer_on = true;
}

static int continued(lua_State *L, int status, lua_KContext ctx)
{
    struct wait *w = (struct wait *)ctx;

    (void)status;
    return w->finish(L, w);
}

int run_wait(lua_State *L, struct wait *w, void (*cancel)(struct wait *),
             int (*finish_fn)(lua_State *, struct wait *))
{
    struct run *r = run_of(L);

    assert(r != NULL && r->wait == NULL);
    w->run = r;
    w->cancel = cancel;
    w->finish = finish_fn;
    r->wait = w;
    if (r->deadline_at != 0 && !r->timer_on)
        deadline_arm(r);
    return lua_yieldk(L, 0, (lua_KContext)w, continued);
}

void run_wake(struct wait *w)
{
    struct run *r = w->run;

    if (r == NULL)
        return;
    w->run = NULL;
    r->wait = NULL;
    resume(r, 0);
}

void run_cancel(struct run *r, enum err_code code, const char *why)
{
    struct host *h = r->host;

    if (r->state == RUN_ENDING || r->state == RUN_IDLE)
        return;
    if (r->stop_code == ERR_NONE) {
        r->stop_code = code;
        snprintf(r->stop_why, sizeof r->stop_why, "%s", why);
    }
    if (r->state == RUN_STACK) {
        limit_kill(r->L);
        if (h->current == r && h->time.active != NULL) {
            h->time.killed = 1;
            limit_kill(h->time.active);
        }
        return;
    }
    if (r->state == RUN_READY)
        run_ready_remove(h, r);
    finish(r, LUA_YIELD, 0);
}

void run_set_limits(struct run *r, uint32_t burst_ms, uint64_t deadline_ms)
{
    r->burst_ms = burst_ms;
    if (r->host->current == r)
        r->host->time.budget_ticks = (burst_ms + LIMIT_TICK_MS - 1) / LIMIT_TICK_MS;
    r->deadline_at = deadline_ms ? uv_now(r->host->loop) + deadline_ms : 0;
    if (r->timer_on) {
        uv_timer_stop(r->timer);
        r->timer_on = false;
    }
}

void run_close_all(struct host *h)
{
    while (h->alive != NULL)
        run_cancel(h->alive, ERR_CANCELLED, "the process is stopping");
    while (h->idle != NULL) {
        struct run *r = h->idle;
        run_list_remove(&h->idle, r);
        run_free(r);
    }
}

/* ---- a call that may not wait ---- */

int run_call(lua_State *L, int nargs, uint32_t burst_ms, int *n_results, struct err *e)
{
    struct host *h = host_of(L);
    struct run *r = run_get(h, e);
    struct burst saved;

    if (r == NULL) {
        lua_pop(L, nargs + 1);
        lua_pushnil(L);
        return -1;
    }
    snprintf(r->name, sizeof r->name, "call");
    r->burst_ms = burst_ms;
    r->may_wait = false;
    r->state = RUN_STACK;
    run_list_add(&h->alive, r);
    h->n_alive++;
    int n = 0, status = LUA_ERRMEM;
    if (lua_checkstack(r->L, nargs + 2)) {
        lua_pushcfunction(r->L, bottom);
        lua_xmove(L, r->L, nargs + 1);
        burst_enter(h, &saved, r, burst_ms);
        status = lua_resume(r->L, L, nargs + 1, &n);
        if (h->time.killed && r->stop_code == ERR_NONE) {
            r->stop_code = ERR_KILLED;
            snprintf(r->stop_why, sizeof r->stop_why, "computed for more than %" PRIu32 " ms",
                     burst_ms);
        }
        burst_leave(h, &saved);
    } else {
        lua_pop(L, nargs + 1);
    }
    if (status == LUA_OK && r->failed == LUA_OK && !lua_checkstack(L, n))
        status = LUA_ERRMEM;
    struct err why;
    run_error(r, status, &why);
    int ok = why.code == ERR_NONE;
    if (ok) {
        lua_xmove(r->L, L, n);
        *n_results = n;
    } else {
        *e = why;
        if (status == LUA_OK && r->stop_code == ERR_NONE)
            lua_xmove(r->L, L, 1); /* the error object that bottom_end left */
        else
            lua_pushnil(L);
        if (status != LUA_OK)
            unwind(r);
    }
    limit_release(r->L);
    run_list_remove(&h->alive, r);
    h->n_alive--;
    run_put(r);
    return ok ? 0 : -1;
}
