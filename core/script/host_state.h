/*
 * host_state.h - the insides of host and run, for the files of this room only.
 */
#ifndef SCRIPT_HOST_STATE_H
#define SCRIPT_HOST_STATE_H

#include <stdbool.h>

#include "script/host.h"
#include "script/limit.h"
#include "script/run.h"
#include "script/turn.h"

enum run_state {
    RUN_IDLE,    /* in the pool */
    RUN_READY,   /* made, not begun: in the ready queue */
    RUN_STACK,   /* executing, or below one that executes */
    RUN_WAITING, /* yielded into `wait` */
    RUN_ENDING   /* closing its variables, telling its owner */
};

struct run {
    struct host *host;
    lua_State *L; /* its coroutine, anchored in the registry; reused by later runs */
    int ref;
    enum run_state state;
    struct wait *wait;
    struct run *parent, *children, *sibling_next, *sibling_prev;
    struct run *next, *prev; /* in host.alive or host.idle */
    struct run *ready_next;
    uv_timer_t *timer; /* made at the first wait with a deadline; owned, freed when it has closed */
    bool timer_on;
    bool may_wait;
    uint64_t deadline_at; /* uv_now clock, ms; 0 = none */
    uint32_t burst_ms;
    enum err_code stop_code; /* why it must end, ERR_NONE when it need not */
    char stop_why[192];
    int failed;        /* status of the pcall below everything, LUA_OK while it is fine */
    struct err *error; /* filled when it failed; NULL unless it did */
    char *trace;       /* traceback of that, or NULL */
    void (*on_end)(struct run *r, const struct run_end *end, void *arg);
    void *arg;
    char name[64];
};

#define HOST_CLOSERS 32

struct host {
    uv_loop_t *loop;
    lua_State *L;
    struct run none; /* what states that belong to no run point at */
    struct run *current;
    struct run *alive, *idle;
    struct run *ready, *ready_last;
    unsigned n_alive, n_idle;
    uv_idle_t *turn; /* runs the ready queue, and what turn.h queues, once per turn of the loop */
    struct turn *soon, **soon_end;
    struct limit_memory memory;
    struct limit_time time;
    bool closing;
    void *slots[HOST_SLOTS];
    struct {
        void (*fn)(void *);
        void *arg;
    } closers[HOST_CLOSERS];
    int n_closers;
};

/* What is on the stack below a nested resume. */
struct burst {
    struct run *current;
    lua_State *active;
    uint32_t burst, budget;
    int killed;
};

void burst_enter(struct host *h, struct burst *saved, struct run *r, uint32_t budget_ms);
void burst_leave(struct host *h, const struct burst *saved);

/* sandbox.c: builds the read-only base and puts it into the registry under SANDBOX_BASE. */
#define SANDBOX_BASE "plastinka.base"
int sandbox_open(lua_State *L);

/* run_list.c */
void run_list_add(struct run **list, struct run *r);
void run_list_remove(struct run **list, struct run *r);
void run_ready_add(struct host *h, struct run *r);
void run_ready_remove(struct host *h, struct run *r);
void run_leave_parent(struct run *r);

/* turn.c */
void turn_run(struct host *h);

/* run.c */
void run_close_all(struct host *h);
void on_turn(uv_idle_t *idle);

#endif
