/*
 * limit.h - what a script may use: memory of the VM, processor time between two waits.
 *
 * Memory: one allocator with a cap; an allocation beyond it ends the run that asked.
 *
 * Time: a timer on the processor time of the loop thread ticks every LIMIT_TICK_MS of work (never
 * when idle). Its signal counts ticks of one burst; over the budget it sets a hook on the coroutine
 * that is executing, which then raises at every instruction until the run is gone: neither pcall
 * nor another coroutine escapes. A hook that is always set (as Lua hosts often do) would make Lua
 * 5.4 take its slow path on every instruction; this costs a run nothing. lua_sethook is made to be
 * called from a signal (manual 5.4, 4.7; lua.c does).
 *
 * A C function cannot be stopped: no pattern with more than one open repeat against outside text.
 * The supervisor ends a process whose loop stands still.
 */
#ifndef SCRIPT_LIMIT_H
#define SCRIPT_LIMIT_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <lua.h>

#include "base/err.h"

#define LIMIT_TICK_MS 10

/*
 * Small blocks come out of slabs, a list of free ones for each size: Lua says the size when it frees,
 * so they need no header, and a request's few hundred blocks cost a few instructions each. Slabs go
 * back when the VM is closed.
 */
#define LIMIT_SMALL_MAX 256 /* bytes; larger blocks are malloc's */
#define LIMIT_GRAIN 16
#define LIMIT_CLASSES (LIMIT_SMALL_MAX / LIMIT_GRAIN)

struct limit_memory {
    size_t now, peak, cap; /* bytes the VM holds */
    uint64_t total;        /* bytes it ever asked for */
    int pressed;           /* the cap was met since this was last set to 0 */
    struct limit_block { struct limit_block *next; } *free[LIMIT_CLASSES];
    struct limit_slab { struct limit_slab *next; } *slabs;
    char *fresh, *fresh_end; /* what is left of the newest slab */
};

/* A lua_Alloc; ud is a struct limit_memory, zeroed but for cap. */
void *limit_alloc(void *ud, void *block, size_t old_bytes, size_t new_bytes);

/* After lua_close: gives the slabs back. */
void limit_memory_free(struct limit_memory *m);

struct limit_time {
    lua_State *volatile active;        /* the coroutine that executes, NULL when none does */
    volatile sig_atomic_t killed;      /* the run on the stack must end */
    volatile uint32_t burst;           /* number of the burst on the stack; changes at each resume */
    volatile uint32_t budget_ticks;    /* of that burst; 0 = no limit */
    uint32_t seen_burst, ticks;        /* the signal's own */
    char where[96];                    /* "file:line: " of the first instruction that was refused */
    timer_t timer;
    int has_timer;
};

/* Starts and ends the ticking for the calling thread. One per process. */
int limit_start(struct limit_time *t, struct err *e);
void limit_stop(struct limit_time *t);

/* From now on L raises at every instruction, until limit_release. */
void limit_kill(lua_State *L);
void limit_release(lua_State *L);

#endif
