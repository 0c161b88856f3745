/*
 * limit.c - memory cap and time budgets of the VM. See limit.h for how and why.
 */
#include "script/limit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <lauxlib.h>

#define TICK_SIGNAL (SIGRTMIN + 3)
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static struct limit_time *volatile watched;

#define SLAB_BYTES 32768
/* the sanitizer sees misuse of blocks only when each is malloc's own */
#ifdef __SANITIZE_ADDRESS__
#define IS_SMALL(bytes) ((void)(bytes), 0)
#else
#define IS_SMALL(bytes) ((bytes) <= LIMIT_SMALL_MAX)
#endif

static void *small_get(struct limit_memory *m, size_t bytes)
{
    size_t class = (bytes - 1) / LIMIT_GRAIN, rounded = (class + 1) * LIMIT_GRAIN;
    struct limit_block *b = m->free[class];

    if (b != NULL) {
        m->free[class] = b->next;
        return b;
    }
    if ((size_t)(m->fresh_end - m->fresh) < rounded) {
        struct limit_slab *slab = malloc(SLAB_BYTES);
        if (slab == NULL)
            return NULL;
        slab->next = m->slabs;
        m->slabs = slab;
        m->fresh = (char *)slab + LIMIT_GRAIN; /* keeps the alignment of malloc */
        m->fresh_end = (char *)slab + SLAB_BYTES;
    }
    char *p = m->fresh;
    m->fresh += rounded;
    return p;
}

static void block_free(struct limit_memory *m, void *block, size_t bytes)
{
    if (!IS_SMALL(bytes)) {
        free(block);
        return;
    }
    struct limit_block *b = block;
    size_t class = (bytes - 1) / LIMIT_GRAIN;
    b->next = m->free[class];
    m->free[class] = b;
}

static void *block_resize(struct limit_memory *m, void *block, size_t old_bytes, size_t new_bytes)
{
    if (block == NULL)
        return IS_SMALL(new_bytes) ? small_get(m, new_bytes) : malloc(new_bytes);
    if (!IS_SMALL(old_bytes) && !IS_SMALL(new_bytes))
        return realloc(block, new_bytes);
    if (IS_SMALL(old_bytes) && IS_SMALL(new_bytes) &&
        (old_bytes - 1) / LIMIT_GRAIN == (new_bytes - 1) / LIMIT_GRAIN)
        return block;
    void *p = IS_SMALL(new_bytes) ? small_get(m, new_bytes) : malloc(new_bytes);
    if (p == NULL)
        return NULL;
    memcpy(p, block, old_bytes < new_bytes ? old_bytes : new_bytes);
    block_free(m, block, old_bytes);
    return p;
}

void *limit_alloc(void *ud, void *block, size_t old_bytes, size_t new_bytes)
{
    struct limit_memory *m = ud;
    size_t held = block != NULL ? old_bytes : 0; /* without a block, old_bytes is a type tag */

    if (new_bytes == 0) {
        if (block != NULL)
            block_free(m, block, held);
        m->now -= held;
        return NULL;
    }
    if (new_bytes > held && new_bytes - held > m->cap - m->now) {
        m->pressed = 1;
        return NULL;
    }
    void *p = block_resize(m, block, held, new_bytes);
    if (p == NULL && new_bytes > held)
        return NULL;
    if (p == NULL)
        p = block; /* Lua counts on a block becoming smaller: it stays where it is */
    if (new_bytes > held)
        m->total += new_bytes - held;
    m->now = m->now - held + new_bytes;
    if (m->now > m->peak)
        m->peak = m->now;
    return p;
}

void limit_memory_free(struct limit_memory *m)
{
    while (m->slabs != NULL) {
        struct limit_slab *slab = m->slabs;
        m->slabs = slab->next;
        free(slab);
    }
    memset(m->free, 0, sizeof m->free);
    m->fresh = m->fresh_end = NULL;
}

/* The place in a script that a message can name: the innermost function with lines. */
static void note_place(lua_State *L, struct limit_time *t)
{
    lua_Debug ar;

    for (int level = 0; lua_getstack(L, level, &ar); level++) {
        if (lua_getinfo(L, "Sl", &ar) != 0 && ar.currentline > 0) {
            snprintf(t->where, sizeof t->where, "%s:%d: ", ar.short_src, ar.currentline);
            return;
        }
    }
}

static void on_instruction(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    if (watched != NULL && watched->where[0] == '\0')
        note_place(L, watched);
    luaL_error(L, "stopped: the script was over its time budget or cancelled");
}

void limit_kill(lua_State *L)
{
    lua_sethook(L, on_instruction, LUA_MASKCOUNT, 1);
}

void limit_release(lua_State *L)
{
    lua_sethook(L, NULL, 0, 0);
}

/* Runs inside a signal: only plain memory, and lua_sethook. */
static void on_tick(int signum)
{
    struct limit_time *t = watched;
    lua_State *L = t != NULL ? t->active : NULL;

    (void)signum;
    if (L == NULL || t->budget_ticks == 0)
        return;
    if (t->seen_burst != t->burst) {
        t->seen_burst = t->burst;
        t->ticks = 0;
    }
    if (++t->ticks <= t->budget_ticks)
        return;
    t->killed = 1;
    limit_kill(L);
}

int limit_start(struct limit_time *t, struct err *e)
{
    struct sigaction act = { .sa_handler = on_tick, .sa_flags = SA_RESTART };
    struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = TICK_SIGNAL };
    struct itimerspec every = { .it_interval = { .tv_nsec = LIMIT_TICK_MS * 1000000L },
                                .it_value = { .tv_nsec = LIMIT_TICK_MS * 1000000L } };

    if (watched != NULL)
        return err_set(e, ERR_EXISTS, "this process has a script host already");
    sigemptyset(&act.sa_mask);
    ev.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
    if (sigaction(TICK_SIGNAL, &act, NULL) != 0 ||
        timer_create(CLOCK_THREAD_CPUTIME_ID, &ev, &t->timer) != 0)
        return err_errno(e, errno, "cannot make the time budget's timer");
    t->has_timer = 1;
    watched = t;
    if (timer_settime(t->timer, 0, &every, NULL) != 0) {
        int errnum = errno;
        limit_stop(t);
        return err_errno(e, errnum, "cannot start the time budget's timer");
    }
    return 0;
}

void limit_stop(struct limit_time *t)
{
    if (!t->has_timer)
        return;
    timer_delete(t->timer);
    t->has_timer = 0;
    watched = NULL;
    /* a tick may still be on its way to this thread: let it find nobody rather than end us */
    signal(TICK_SIGNAL, SIG_IGN);
}
