/*
 * supervise_reload.c - all processes change their generation together, or none does.
 *
 *   prepare ID  ->  every process builds the new generation aside
 *               <-  ready ID HASH   or   refused ID file:line: why
 *   commit ID   ->  when all are ready with one HASH; else  abort ID why
 *
 * One at a time; a reload asked for meanwhile follows it. A process that dies while it is asked is
 * left out: it starts again with the generation that is committed then.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "role/supervise.h"

#define RELOAD_MS 15000

static void start(struct supervise *s);

static void answer_all(struct supervise *s, bool ok, const char *text)
{
    char line[LINE_MAX_BYTES];

    for (int i = 0; i < s->n_askers; i++) {
        struct asker *a = &s->askers[i];
        if (a->child != NULL && a->number > 0)
            child_send(a->child, "reloaded %ld %s %.4000s", a->number, ok ? "ok" : "failed", text);
        if (a->conn != NULL) {
            snprintf(line, sizeof line, "%s %s\n", ok ? "ok" : "failed", text);
            control_answer(a->conn, line);
        }
    }
    s->n_askers = 0;
}

static void end(struct supervise *s, bool ok, const char *text)
{
    s->reloading = false;
    uv_timer_stop(&s->reload_timer);
    answer_all(s, ok, text);
    for (int i = 0; i < s->n_children; i++)
        s->children[i].vote = VOTE_NONE;
    if (s->again) {
        s->again = false;
        memcpy(s->askers, s->next_askers, sizeof s->askers);
        s->n_askers = s->n_next;
        s->n_next = 0;
        start(s);
    }
}

static void abort_all(struct supervise *s, const char *why)
{
    LOG(LOG_ERROR, "reload refused", LOG_S("why", why), LOG_S("generation", s->generation));
    for (int i = 0; i < s->n_children; i++)
        if (s->children[i].state == CHILD_UP)
            child_send(&s->children[i], "abort %u %.4000s", s->reload_id, why);
    end(s, false, why);
}

/* Decides when nobody's vote is missing. */
static void count(struct supervise *s)
{
    int ready = 0;

    if (!s->reloading)
        return;
    for (int i = 0; i < s->n_children; i++) {
        struct child *c = &s->children[i];
        if (c->state == CHILD_UP && c->vote == VOTE_NONE)
            return;
        ready += c->vote == VOTE_READY;
    }
    if (s->refusal[0] != '\0') {
        abort_all(s, s->refusal);
        return;
    }
    if (ready == 0) {
        abort_all(s, "no process is up");
        return;
    }
    for (int i = 0; i < s->n_children; i++)
        if (s->children[i].vote == VOTE_READY)
            child_send(&s->children[i], "commit %u", s->reload_id);
    if (strcmp(s->generation, s->next_generation) != 0)
        LOG(LOG_INFO, "generation committed", LOG_S("generation", s->next_generation),
            LOG_S("before", s->generation), LOG_I("processes", ready));
    memcpy(s->generation, s->next_generation, sizeof s->generation);
    end(s, true, s->generation);
}

static void on_timeout(uv_timer_t *t)
{
    abort_all(t->data, "a process did not answer within 15 s");
}

static void start(struct supervise *s)
{
    s->reloading = true;
    s->reload_id++;
    s->refusal[0] = s->next_generation[0] = '\0';
    for (int i = 0; i < s->n_children; i++) {
        s->children[i].vote = VOTE_NONE;
        if (s->children[i].state == CHILD_UP)
            child_send(&s->children[i], "prepare %u", s->reload_id);
    }
    s->reload_timer.data = s;
    uv_timer_start(&s->reload_timer, on_timeout, RELOAD_MS, 0);
    count(s);
}

void reload_ask(struct supervise *s, struct asker who)
{
    struct asker *list = s->reloading ? s->next_askers : s->askers;
    int *n = s->reloading ? &s->n_next : &s->n_askers;

    if (s->stopping)
        return;
    if ((who.child != NULL || who.conn != NULL) && *n < ASKERS_MAX)
        list[(*n)++] = who;
    if (s->reloading)
        s->again = true;
    else
        start(s);
}

void reload_line(struct child *c, const char *line)
{
    struct supervise *s = c->sup;
    unsigned id;
    int at = 0;

    if (sscanf(line, "ready %u %n", &id, &at) == 1 && at > 0) {
        if (!s->reloading || id != s->reload_id)
            return;
        c->vote = VOTE_READY;
        if (s->next_generation[0] == '\0')
            snprintf(s->next_generation, sizeof s->next_generation, "%.63s", line + at);
        else if (strcmp(s->next_generation, line + at) != 0 && s->refusal[0] == '\0')
            snprintf(s->refusal, sizeof s->refusal,
                     "the files changed while the processes were reading them");
    } else if (sscanf(line, "refused %u %n", &id, &at) == 1 && at > 0) {
        if (!s->reloading || id != s->reload_id)
            return;
        c->vote = VOTE_REFUSED;
        if (s->refusal[0] == '\0')
            snprintf(s->refusal, sizeof s->refusal, "%.4000s", line + at);
    } else {
        return;
    }
    count(s);
}

void reload_child_gone(struct child *c)
{
    for (int i = 0; i < c->sup->n_askers; i++)
        if (c->sup->askers[i].child == c)
            c->sup->askers[i].child = NULL;
    for (int i = 0; i < c->sup->n_next; i++)
        if (c->sup->next_askers[i].child == c)
            c->sup->next_askers[i].child = NULL;
    c->vote = VOTE_NONE;
    count(c->sup);
}

void reload_forget(struct supervise *s, uv_pipe_t *conn)
{
    for (int i = 0; i < s->n_askers; i++)
        if (s->askers[i].conn == conn)
            s->askers[i].conn = NULL;
    for (int i = 0; i < s->n_next; i++)
        if (s->next_askers[i].conn == conn)
            s->next_askers[i].conn = NULL;
}
