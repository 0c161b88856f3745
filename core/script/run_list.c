/*
 * run_list.c - where runs stand: among all that are alive, in the queue of those ready to begin,
 * below the run that started them. No Lua here.
 */
#include "script/host_state.h"

void run_list_add(struct run **list, struct run *r)
{
    r->prev = NULL;
    r->next = *list;
    if (r->next != NULL)
        r->next->prev = r;
    *list = r;
}

void run_list_remove(struct run **list, struct run *r)
{
    if (r->prev != NULL)
        r->prev->next = r->next;
    else
        *list = r->next;
    if (r->next != NULL)
        r->next->prev = r->prev;
    r->next = r->prev = NULL;
}

void run_ready_add(struct host *h, struct run *r)
{
    r->ready_next = NULL;
    if (h->ready_last != NULL)
        h->ready_last->ready_next = r;
    else
        h->ready = r;
    h->ready_last = r;
    uv_idle_start(h->turn, on_turn);
}

void run_ready_remove(struct host *h, struct run *r)
{
    struct run *before = NULL;

    for (struct run *q = h->ready; q != NULL; before = q, q = q->ready_next) {
        if (q != r)
            continue;
        if (before != NULL)
            before->ready_next = q->ready_next;
        else
            h->ready = q->ready_next;
        if (h->ready_last == q)
            h->ready_last = before;
        return;
    }
}

void run_adopt(struct run *parent, struct run *child)
{
    child->parent = parent;
    child->sibling_prev = NULL;
    child->sibling_next = parent->children;
    if (child->sibling_next != NULL)
        child->sibling_next->sibling_prev = child;
    parent->children = child;
}

void run_leave_parent(struct run *r)
{
    if (r->parent == NULL)
        return;
    if (r->sibling_prev != NULL)
        r->sibling_prev->sibling_next = r->sibling_next;
    else
        r->parent->children = r->sibling_next;
    if (r->sibling_next != NULL)
        r->sibling_next->sibling_prev = r->sibling_prev;
    r->parent = r->sibling_next = r->sibling_prev = NULL;
}
