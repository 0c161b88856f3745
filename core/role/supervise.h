/*
 * supervise.h - the insides of the supervisor, for its own files: children (supervise.c), reload in
 * two phases (supervise_reload.c), the control socket (supervise_control.c). Plain C, no Lua: a
 * broken script cannot reach this process.
 */
#ifndef ROLE_SUPERVISE_H
#define ROLE_SUPERVISE_H

#include <stdbool.h>

#include <uv.h>

#include "base/buf.h"
#include "loop/loop.h"
#include "loop/watch.h"
#include "role/listen.h"

#define CHILDREN_MAX 512
#define GENERATION_MAX 64
#define ASKERS_MAX 64
#define LINE_MAX_BYTES 8192

struct supervise;

enum child_state { CHILD_DOWN, CHILD_STARTING, CHILD_UP, CHILD_STOPPING };

enum vote { VOTE_NONE, VOTE_READY, VOTE_REFUSED };

struct child {
    struct supervise *sup;
    const char *kind;  /* "web", "work": the command it runs */
    int index;         /* of its kind, from 1 */
    int listen_fd;     /* -1: none */
    enum child_state state;
    uv_process_t *process; /* both owned until closed; NULL when there is none */
    uv_pipe_t *pipe;
    struct buf in;
    uv_timer_t restart;
    uint64_t started_at, heard_at; /* loop clock, ms */
    unsigned crashes;              /* in a row */
    enum vote vote;                /* on the reload under way */
    bool standing_still;           /* killed by us for that */
};

/* Who wants to hear how a reload went: a child and its number, or a control connection. */
struct asker {
    struct child *child;
    long number;
    uv_pipe_t *conn;
};

struct supervise {
    struct loop loop;
    uv_prepare_t flush;
    uv_timer_t tick, stop_timer;
    struct listen_set sockets;
    struct child children[CHILDREN_MAX];
    int n_children;
    int argc; /* settings given as flags, passed on to every child */
    char **argv;
    char exe[4096];
    int lock_fd;
    int old_pids[CHILDREN_MAX]; /* of the binary that this one replaced */
    int n_old;
    bool listening_told, stopping, upgrade;
    int code;
    char generation[GENERATION_MAX]; /* committed; "" before the first */
    struct watch *watch;
    uv_pipe_t control;
    bool has_control;
    /* supervise_reload.c */
    bool reloading, again;
    unsigned reload_id;
    uv_timer_t reload_timer;
    char next_generation[GENERATION_MAX];
    char refusal[LINE_MAX_BYTES / 2];
    struct asker askers[ASKERS_MAX], next_askers[ASKERS_MAX];
    int n_askers, n_next;
};

/* supervise.c */
int child_send(struct child *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void supervise_stop(struct supervise *s);

/* Passes "notify TOPIC" on to every process but the one it came from (NULL: to all). */
void supervise_notify(struct supervise *s, const struct child *from, const char *line);

/* supervise_reload.c: a reload is asked for; who may be zeros. Then what children say about it. */
void reload_ask(struct supervise *s, struct asker who);
void reload_line(struct child *c, const char *line); /* "ready …", "refused …", "done …" */
void reload_child_gone(struct child *c);
void reload_forget(struct supervise *s, uv_pipe_t *conn);

/* supervise_control.c */
int control_listen(struct supervise *s, struct err *e);
void control_answer(uv_pipe_t *conn, const char *text);
void control_shut(struct supervise *s);

#endif
