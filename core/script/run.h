/*
 * run.h - one run of a script: a request, a job, a task, a command.
 *
 * A run is a coroutine plus what the loop must know about it: what it waits for, how long it may
 * compute, whom to tell when it ends. Loop thread only.
 *
 * The life of a wait, from a C function called by a script:
 *
 *     run_check_can_wait(L);              may raise: so before anything is allocated
 *     op = mem_alloc(sizeof *op);         first member: struct wait
 *     ... start it ...
 *     return run_wait(L, &op->wait, op_cancel, op_finish);      yields: nothing may follow
 *
 * then, from the loop, exactly one of
 *
 *     run_wake(&op->wait)      the operation is done. op_finish(L, w) runs on the coroutine,
 *                              protected, pushes the results and returns their number (or raises);
 *                              when run_wake returns, finish has been called or never will be,
 *                              and the operation may be freed.
 *     op_cancel(&op->wait)     the run ends without it. Must not call run_wake. The operation goes on
 *                              owning its memory and frees it when the loop has let go of it.
 */
#ifndef SCRIPT_RUN_H
#define SCRIPT_RUN_H

#include <stdint.h>

#include <lua.h>

#include "base/err.h"

struct host;
struct run;

struct wait {
    struct run *run; /* NULL when nobody waits: cancelled, or woken already */
    void (*cancel)(struct wait *w);
    int (*finish)(lua_State *L, struct wait *w);
    struct wait *next; /* queue of wakes that came while a run was on the stack */
};

/* How a run ended. `L` has the results on its stack (indices 1…n) and is only valid in on_end. */
struct run_end {
    enum err_code code; /* ERR_NONE: well; ERR_KILLED: over its burst; else code of the error */
    struct err error;   /* with code and message; traceback apart */
    const char *trace;  /* traceback or ""; borrowed */
    lua_State *L;
    int n_results;
};

struct run_opt {
    const char *name;     /* for logs; copied, cut at 63 bytes */
    uint32_t burst_ms;    /* CPU between two waits; 0 = no limit */
    uint64_t deadline_ms; /* wall clock for the whole run; 0 = none. Over it: `timeout` */
    void (*on_end)(struct run *r, const struct run_end *end, void *arg); /* or NULL: just logged */
    void *arg;
};

/*
 * Starts a coroutine at the C function `body`, called protected with the light userdata `arg` as
 * its only argument; what it returns (it may lua_callk) are the results. May have ended (and called
 * on_end) before this returns. When called while another run is on the stack it starts as soon as
 * that one waits or ends. -1 with `nomem`.
 */
int run_start(struct host *h, const struct run_opt *opt, lua_CFunction body, void *arg,
              struct run **out, struct err *e);

/* Raises in the script when it cannot wait here: not in a run, or in a coroutine of its own. */
void run_check_can_wait(lua_State *L);

/* See the top of this file. */
int run_wait(lua_State *L, struct wait *w, void (*cancel)(struct wait *),
             int (*finish)(lua_State *, struct wait *));
void run_wake(struct wait *w);

/*
 * Ends the run: at once when it waits, at its next instruction when it is on the stack. Its
 * children end first. `code` and `why` become its error (`cancelled`, `timeout`, …).
 */
void run_cancel(struct run *r, enum err_code code, const char *why);

/* The run a state belongs to, or NULL (main state, coroutine made by a script). */
struct run *run_of(lua_State *L);

/* The run now on the stack, or NULL. */
struct run *run_current(struct host *h);
const char *run_name(const struct run *r);

/* Milliseconds until the deadline, or UINT64_MAX. */
uint64_t run_time_left(const struct run *r);

/* Changes the deadline to `ms` from now (0 = none) and the burst from the next wait on. */
void run_set_limits(struct run *r, uint32_t burst_ms, uint64_t deadline_ms);

/* Makes `child` end when `parent` ends; done before the child can have started. */
void run_adopt(struct run *parent, struct run *child);

/*
 * Calls the function and its nargs arguments on top of L (as lua_call) in a run of its own that may
 * not wait, with its own burst. Pops them; 0 and pushes all results, or -1 with `e`, pushing the
 * error object. For loading chunks and rendering.
 */
int run_call(lua_State *L, int nargs, uint32_t burst_ms, int *n_results, struct err *e);

/* Runs alive, for tests and /metrics. */
unsigned run_count(struct host *h);

#endif
