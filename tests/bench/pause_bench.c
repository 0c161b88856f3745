/*
 * pause_bench.c - how long the collector keeps a script waiting: the longest of many short bursts that
 * make garbage beside a live heap, in processor time of the thread, with the collector as the host sets
 * it and as Lua comes. About 10 s.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <lauxlib.h>
#include <lua.h>

#include "loop/loop.h"
#include "script/host.h"

#define BURSTS 60000
#define ROUNDS 3

static const char HEAP[] =
    "local live = {}\n"
    "for i = 1, 16000 do live[i] = { id = i, name = 'name' .. i, f = function() return i end, sub = { 1, 2 } } end\n"
    "local n = 0\n"
    "return function()\n"
    "  n = n + 1\n"
    "  for k = 1, 12 do\n"
    "    local t = { path = 'x' .. n % 97, a = k, q = {} }\n"
    "    t.z = function() return t, live end\n"
    "  end\n"
    "end\n";

static double thread_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

struct job {
    int as_it_comes;
    double *bursts, total;
};

static int measure(lua_State *L)
{
    struct job *j = lua_touserdata(L, 1);

    if (j->as_it_comes)
        lua_gc(L, LUA_GCINC, 200, 100, 13);
    if (luaL_loadstring(L, HEAP) != LUA_OK)
        return lua_error(L);
    lua_call(L, 0, 1);
    double begin = thread_us();
    for (int i = 0; i < BURSTS; i++) {
        double from = thread_us();
        lua_pushvalue(L, -1);
        lua_call(L, 0, 0);
        j->bursts[i] = thread_us() - from;
    }
    j->total = thread_us() - begin;
    qsort(j->bursts, BURSTS, sizeof *j->bursts, by_size);
    return 0;
}

static int run(struct loop *l, struct job *j)
{
    struct err e;
    struct host *h = host_new(&l->uv, NULL, &e);
    int rc = h != NULL ? host_protect(h, measure, j, &e) : -1;

    if (rc != 0)
        fprintf(stderr, "%s\n", e.text);
    host_close(h);
    return rc;
}

int main(void)
{
    static double bursts[BURSTS];
    double p999[2] = { 1e9, 1e9 }, total[2] = { 1e12, 1e12 }; /* the quietest round counts */
    struct loop l;
    struct err e;

    if (loop_init(&l, &e) != 0)
        return 1;
    for (int round = 0; round < ROUNDS; round++) {
        for (int k = 0; k < 2; k++) {
            struct job j = { .as_it_comes = k, .bursts = bursts };
            if (run(&l, &j) != 0)
                return 1;
            double p = bursts[BURSTS - BURSTS / 1000];
            if (p < p999[k])
                p999[k] = p;
            if (j.total < total[k])
                total[k] = j.total;
        }
    }
    printf("@figure\tscript pause of the collector, p99.9 us vs Lua's own settings\t%.0f\t%.0f\t0.5\tlower\n",
           p999[0], p999[1]);
    printf("@figure\tscript garbage, ms of processor vs Lua's own settings\t%.0f\t%.0f\t1.4\tlower\n",
           total[0] / 1e3, total[1] / 1e3);
    return loop_close(&l, 1000, &e) != 0;
}
