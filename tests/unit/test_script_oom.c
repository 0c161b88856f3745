/*
 * Memory runs out: of the program (each allocation fails in turn) and of the scripts (every cap from none to
 * enough). A host is not made or made whole; a run is refused, or ends with nomem, or ends well; nothing
 * is lost.
 */
#include <stdio.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>

#include "base/mem.h"
#include "check.h"
#include "loop/loop.h"
#include "script/host.h"
#include "script/run.h"

static struct loop loop;

static struct outcome {
    int n_ends, n_children;
    enum err_code code;
} seen;

/* ---- something to wait for ---- */

struct nap {
    struct wait wait;
    uv_timer_t timer;
};

static void on_closed(uv_handle_t *t)
{
    mem_free(t->data);
}

static void nap_end(struct wait *w)
{
    uv_close((uv_handle_t *)&((struct nap *)w)->timer, on_closed);
}

static void on_timer(uv_timer_t *t)
{
    struct nap *nap = t->data;

    run_wake(&nap->wait);
    nap_end(&nap->wait);
}

static int nap_finish(lua_State *L, struct wait *w)
{
    (void)w;
    lua_pushstring(L, "awake");
    return 1;
}

static int l_nap(lua_State *L)
{
    run_check_can_wait(L);
    struct nap *nap = mem_zero(1, sizeof *nap);
    if (nap == NULL)
        return luaL_error(L, "not enough memory");
    uv_timer_init(host_loop(L), &nap->timer);
    nap->timer.data = nap;
    uv_timer_start(&nap->timer, on_timer, 1, 0);
    return run_wait(L, &nap->wait, nap_end, nap_finish);
}

/* ---- runs ---- */

static void on_end(struct run *r, const struct run_end *end, void *arg)
{
    (void)r;
    (void)arg;
    seen.n_ends++;
    seen.code = end->code;
}

static void on_child_end(struct run *r, const struct run_end *end, void *arg)
{
    (void)r;
    (void)end;
    (void)arg;
    seen.n_children--;
}

static int child_body(lua_State *L)
{
    lua_pushcfunction(L, l_nap);
    lua_callk(L, 0, 0, 0, NULL);
    return 0;
}

static int l_child(lua_State *L)
{
    struct run_opt opt = { .name = "child", .on_end = on_child_end };
    struct run *child;
    struct err e;

    if (run_start(host_of(L), &opt, child_body, NULL, &child, &e) != 0)
        return luaL_error(L, "not enough memory");
    seen.n_children++;
    run_adopt(run_of(L), child);
    return 0;
}

static const char SCRIPT[] = "local nap, child, fails = ...\n"
                             "local kept <close> = setmetatable({}, { __close = function() end })\n"
                             "local t = {}\n"
                             "for i = 1, 40 do t[i] = { name = 'row ' .. i } end\n"
                             "child()\n"
                             "assert(nap() == 'awake')\n"
                             "if fails then error({ code = 'busy', message = ('x'):rep(300) }) end\n"
                             "return #t\n";

static int script_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)L;
    (void)status;
    (void)ctx;
    return 0;
}

static int body(lua_State *L)
{
    int fails = *(int *)lua_touserdata(L, 1);

    if (luaL_loadbufferx(L, SCRIPT, sizeof SCRIPT - 1, "=script", "t") != LUA_OK)
        return lua_error(L);
    lua_pushcfunction(L, l_nap);
    lua_pushcfunction(L, l_child);
    lua_pushboolean(L, fails);
    lua_callk(L, 3, 0, 0, script_done);
    return 0;
}

/* Runs the script; whether memory was missing anywhere. Whatever happens, each run ends once. */
static int run_once(struct host *h, int fails)
{
    struct run_opt opt = { .name = "script", .deadline_ms = 60000, .on_end = on_end };
    struct err e;

    memset(&seen, 0, sizeof seen);
    if (run_start(h, &opt, body, &fails, NULL, &e) != 0) {
        CHECK_INT(e.code, ERR_NOMEM);
        CHECK_INT(seen.n_ends, 0);
        return 1;
    }
    while (seen.n_ends == 0)
        uv_run(&loop.uv, UV_RUN_ONCE);
    CHECK_INT(seen.n_ends, 1);
    CHECK_INT(seen.n_children, 0);
    CHECK_INT(run_count(h), 0);
    if (seen.code == ERR_NOMEM)
        return 1;
    CHECK_INT(seen.code, fails ? ERR_BUSY : ERR_NONE);
    return 0;
}

static void close_host(struct host *h)
{
    host_close(h);
    uv_run(&loop.uv, UV_RUN_DEFAULT);
}

/* ---- the program's memory ---- */

static void test_program(void)
{
    size_t live = mem_live();
    struct host *h = NULL;
    struct err e;
    size_t n;

    for (n = 1; h == NULL && n < 1000; n++) {
        mem_fail_at(n);
        h = host_new(&loop.uv, NULL, &e);
        mem_fail_at(0);
        if (h == NULL) {
            CHECK_INT(e.code, ERR_NOMEM);
            uv_run(&loop.uv, UV_RUN_DEFAULT);
            CHECK_INT(mem_live(), live);
        }
    }
    CHECK(n > 2 && h != NULL);
    close_host(h);
    for (int fails = 0; fails < 2; fails++) {
        int missing = 1, n_clean = 0;
        /* what fails early may keep later ones from being asked for: until three go well in a row */
        for (n = 1; n_clean < 3 && n < 1000; n++) {
            h = host_new(&loop.uv, NULL, &e); /* its own each time: coroutines are kept for reuse */
            CHECK(h != NULL);
            mem_fail_at(n);
            missing = run_once(h, fails);
            mem_fail_at(0);
            n_clean = missing ? 0 : n_clean + 1;
            CHECK_INT(run_once(h, fails), 0); /* the next one finds all as it was */
            close_host(h);
            CHECK_INT(mem_live(), live);
        }
        CHECK_INT(n_clean, 3);
        CHECK(n > 4);
    }
}

/* ---- the scripts' memory ---- */

static void test_cap(void)
{
    struct host_opt opt = { .memory_max_bytes = 512 };
    size_t live = mem_live(), now, peak, cap;
    struct host *h;
    struct err e;
    int n_refused = 0, n_missing = 0, n_fine = 0;

    while ((h = host_new(&loop.uv, &opt, &e)) == NULL && opt.memory_max_bytes < (8 << 20)) {
        CHECK_INT(e.code, ERR_NOMEM);
        uv_run(&loop.uv, UV_RUN_DEFAULT);
        CHECK_INT(mem_live(), live);
        n_refused++;
        opt.memory_max_bytes += 97;
    }
    CHECK(h != NULL && n_refused > 10);
    close_host(h);
    for (; n_fine < 5 && opt.memory_max_bytes < (8 << 20); opt.memory_max_bytes += 61) {
        h = host_new(&loop.uv, &opt, &e);
        CHECK(h != NULL);
        if (h == NULL)
            return;
        if (run_once(h, n_missing % 2))
            n_missing++, n_fine = 0;
        else
            n_fine++;
        host_memory(h, &now, &peak, &cap);
        CHECK(cap == opt.memory_max_bytes && peak <= cap && now <= peak);
        close_host(h);
        CHECK_INT(mem_live(), live);
    }
    CHECK(n_missing > 10 && n_fine == 5);
}

/* A bomb in one run: it ends with nomem, below the cap; the next run has all the memory again. */
static int bomb(lua_State *L)
{
    (void)lua_touserdata(L, 1);
    luaL_dostring(L, "local t = {}\n"
                     "while true do\n"
                     "  t[#t + 1] = ('x'):rep(100000) .. #t\n"
                     "end");
    return lua_error(L);
}

static void test_bomb(void)
{
    struct host_opt opt = { .memory_max_bytes = 16 << 20 };
    struct run_opt run = { .name = "bomb", .on_end = on_end };
    size_t now, peak, cap;
    struct err e;
    struct host *h = host_new(&loop.uv, &opt, &e);

    CHECK(h != NULL);
    for (int i = 0; i < 5; i++) {
        memset(&seen, 0, sizeof seen);
        CHECK_INT(run_start(h, &run, bomb, NULL, NULL, &e), 0);
        CHECK_INT(seen.n_ends, 1);
        CHECK_INT(seen.code, ERR_NOMEM);
        CHECK_INT(run_once(h, 0), 0);
    }
    host_memory(h, &now, &peak, &cap);
    CHECK(peak <= cap && peak > cap / 2 && now < cap / 2);
    close_host(h);
}

int main(void)
{
    struct err e;

    if (loop_init(&loop, &e) != 0)
        return 1;
    test_program();
    test_cap();
    test_bomb();
    CHECK_INT(loop_close(&loop, 1000, &e), 0);
    return check_done();
}
