/*
 * bind_block.c - blocking calls on the thread pool. See bind_block.h.
 */
#include "bind/bind_block.h"

#include "base/mem.h"

void bind_block_drop(struct bind_block *w)
{
    if (w->release != NULL)
        w->release(w);
    mem_free(w);
}

static void on_work(uv_work_t *req)
{
    struct bind_block *w = req->data;

    w->rc = w->run(w, &w->e);
}

static void on_done(uv_work_t *req, int status)
{
    struct bind_block *w = req->data;

    if (status != 0) {
        w->rc = err_set(&w->e, ERR_CANCELLED, "the program is ending");
    }
    run_wake(&w->wait); /* nothing happens when the run has gone */
    bind_block_drop(w);
}

/* The run ended first: the thread goes on and on_done frees. What has not begun never will. */
static void on_cancel(struct wait *wait)
{
    uv_cancel((uv_req_t *)&((struct bind_block *)wait)->req);
}

static int on_finish(lua_State *L, struct wait *wait)
{
    struct bind_block *w = (struct bind_block *)wait;

    if (w->rc != 0)
        return bind_fail(L, &w->e);
    return w->finish(L, w);
}

int bind_block_wait(lua_State *L, struct bind_block *w)
{
    w->req.data = w;
    if (uv_queue_work(host_loop(L), &w->req, on_work, on_done) != 0) {
        bind_block_drop(w);
        return luaL_error(L, "the thread pool cannot be used");
    }
    return run_wait(L, &w->wait, on_cancel, on_finish);
}
