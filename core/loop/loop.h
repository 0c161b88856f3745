/*
 * loop.h - the uv loop of a process, its signals, and its end.
 */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include <uv.h>

#include "base/err.h"

#define LOOP_SIGNALS 6

struct loop {
    uv_loop_t uv; /* loop.uv.data belongs to loop.c */
    struct loop_signal {
        uv_signal_t handle;
        void (*fn)(int signum, void *arg);
        void *arg;
    } signals[LOOP_SIGNALS];
    int n_signals;
};

/* Makes the loop; SIGPIPE and SIGXFSZ are ignored from now on. */
int loop_init(struct loop *l, struct err *e);

/* Calls fn on the loop when the signal comes. Does not keep the loop alive. */
int loop_on_signal(struct loop *l, int signum, void (*fn)(int signum, void *arg), void *arg,
                   struct err *e);

/* Runs until nothing is left to wait for. */
void loop_run(struct loop *l);

/*
 * Ends the signal handles, lets closing handles finish (at most `grace_ms`), closes the loop.
 * 0, or -1 `busy` naming the handles that were still open.
 */
int loop_close(struct loop *l, unsigned grace_ms, struct err *e);

#endif
