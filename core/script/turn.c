/*
 * turn.c - what is to be done in the next turn of the loop. See turn.h.
 */
#include "script/turn.h"

#include <stddef.h>

#include "script/host_state.h"

void turn_add(struct host *h, struct turn *t, void (*fn)(struct turn *t))
{
    turn_remove(t);
    t->fn = fn;
    t->next = NULL;
    t->link = h->soon_end;
    *h->soon_end = t;
    h->soon_end = &t->next;
    t->host = h;
    uv_idle_start(h->turn, on_turn);
}

void turn_remove(struct turn *t)
{
    if (t->link == NULL)
        return;
    *t->link = t->next;
    if (t->next != NULL)
        t->next->link = t->link;
    else if (t->host->soon_end == &t->next)
        t->host->soon_end = t->link;
    t->link = NULL;
}

/* What is added while they are done waits for the next turn. */
void turn_run(struct host *h)
{
    struct turn *now = h->soon;

    h->soon = NULL;
    h->soon_end = &h->soon;
    if (now != NULL)
        now->link = &now;
    while (now != NULL) {
        struct turn *t = now;
        turn_remove(t);
        t->fn(t);
    }
}

uint64_t turn_after(uv_loop_t *loop, double seconds)
{
    uint64_t now = uv_hrtime() / 1000000, then = uv_now(loop);
    uint64_t ms = (uint64_t)(seconds * 1000 + 0.5) + (now > then ? now - then : 0);

    return ms > 0 ? ms : 1;
}
