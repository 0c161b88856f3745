/*
 * loop.c - one uv loop: see loop.h.
 */
#include "loop/loop.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

int loop_init(struct loop *l, struct err *e)
{
    memset(l, 0, sizeof *l);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file size limit is an error of write, like a full disk */
    int status = uv_loop_init(&l->uv);
    if (status != 0)
        return err_set(e, ERR_IO, "cannot make an event loop: %s", uv_strerror(status));
    return 0;
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct loop_signal *s = handle->data;

    s->fn(signum, s->arg);
}

int loop_on_signal(struct loop *l, int signum, void (*fn)(int signum, void *arg), void *arg,
                   struct err *e)
{
    if (l->n_signals == LOOP_SIGNALS)
        return err_set(e, ERR_LIMIT, "more than %d signals", LOOP_SIGNALS);
    struct loop_signal *s = &l->signals[l->n_signals++];
    s->fn = fn;
    s->arg = arg;
    s->handle.data = s;
    uv_signal_init(&l->uv, &s->handle);
    int status = uv_signal_start(&s->handle, on_signal, signum);
    if (status != 0)
        return err_set(e, ERR_IO, "cannot listen to signal %d: %s", signum, uv_strerror(status));
    uv_unref((uv_handle_t *)&s->handle);
    return 0;
}

void loop_run(struct loop *l)
{
    uv_run(&l->uv, UV_RUN_DEFAULT);
}

static void on_grace(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

struct open_names {
    char text[256];
    size_t len;
};

static void add_name(uv_handle_t *h, void *arg)
{
    struct open_names *names = arg;

    if (uv_is_closing(h) || names->len > sizeof names->text - 32)
        return;
    names->len += (size_t)snprintf(names->text + names->len, sizeof names->text - names->len, " %s",
                                   uv_handle_type_name(h->type));
}

int loop_close(struct loop *l, unsigned grace_ms, struct err *e)
{
    uv_timer_t grace;
    struct open_names names = { .len = 0 };

    for (int i = 0; i < l->n_signals; i++)
        uv_close((uv_handle_t *)&l->signals[i].handle, NULL);
    l->n_signals = 0;
    uv_timer_init(&l->uv, &grace);
    uv_timer_start(&grace, on_grace, grace_ms, 0);
    uv_unref((uv_handle_t *)&grace);
    uv_run(&l->uv, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&grace, NULL);
    uv_run(&l->uv, UV_RUN_NOWAIT);
    if (uv_loop_close(&l->uv) == 0)
        return 0;
    uv_walk(&l->uv, add_name, &names);
    return err_set(e, ERR_BUSY, "the event loop still has open handles:%s", names.text);
}
