/*
 * turn.h - what is to be done in the next turn of the loop, after it has looked at the sockets.
 *
 * A timer of 0 ms is no turn: libuv goes on with timers as long as one is due, so two runs that wake each
 * other by such timers would keep the loop from everything else. For the same reason a timer that a run
 * starts is set by turn_after: the loop's clock, which decides what is due, stands still meanwhile.
 */
#ifndef SCRIPT_TURN_H
#define SCRIPT_TURN_H

#include <stdint.h>

#include <uv.h>

struct host;

/* A member of the operation that waits; zeroed before its first use. */
struct turn {
    struct turn *next, **link; /* link is NULL when it is not queued */
    void (*fn)(struct turn *t);
    struct host *host;
};

/* fn(t) in the next turn. It may free what t is part of. */
void turn_add(struct host *h, struct turn *t, void (*fn)(struct turn *t));

/* Not any more; nothing happens when it was not queued. */
void turn_remove(struct turn *t);

/*
 * For uv_timer_start: so many ms from now, counted from the loop's clock, which may be behind by what was
 * computed since it was last set. At least 1.
 */
uint64_t turn_after(uv_loop_t *loop, double seconds);

#endif
