/*
 * bind_block.h - a blocking call for a script: it runs on the loop's thread pool while the script
 * waits. For files and password hashes; training and the like go to loop/pool.h, which may be busy
 * for minutes when a login should take a quarter of a second.
 *
 *     struct my_op { struct bind_block work; … };          first member
 *     op = mem_zero(1, sizeof *op); op->work.run = …, .finish = …, .release = …;
 *     return bind_block_wait(L, &op->work);                 the last act
 */
#ifndef BIND_BLOCK_H
#define BIND_BLOCK_H

#include <uv.h>

#include "bind/bind.h"

struct bind_block {
    struct wait wait;
    uv_work_t req;
    int (*run)(struct bind_block *w, struct err *e);         /* on a thread: 0, or -1 and e */
    int (*finish)(lua_State *L, struct bind_block *w);       /* run said 0: pushes the results */
    void (*release)(struct bind_block *w);                   /* frees what the operation owns */
    struct err e;
    int rc;
};

/*
 * Starts it and waits; the script gets what finish pushes, or nil, message, code. Takes `w` (from
 * mem_*): it is released and freed also when the run is cancelled, once the thread is done with it.
 * The caller has called run_check_can_wait before it made w.
 */
int bind_block_wait(lua_State *L, struct bind_block *w);

/* Releases and frees an operation that was never started. */
void bind_block_drop(struct bind_block *w);

#endif
