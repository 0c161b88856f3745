/*
 * supervise.c - plastinka serve: starts the processes, restarts those that crash, reloads them
 * together, stops them in order, replaces its own binary. One loop, no Lua.
 *
 * Sockets for listening are held here, one for each web process, so that connections wait in the
 * kernel while a process is replaced. Children hear us over a pipe (bind_control.c), line by line.
 * Start at role_serve, then child_start and on_child_exit.
 */
#include "role/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/conf.h"
#include "base/log.h"
#include "base/mem.h"
#include "role/boot.h"
#include "role/datadir.h"
#include "role/role.h"

#define TICK_MS 1000
#define STILL_MS 20000      /* no beat for so long: the loop of that process stands still */
#define STEADY_MS 30000     /* a process up for so long has no crashes in a row behind it */
#define FIRST_PAUSE_MS 50   /* doubles with each crash in a row */
#define LOOP_CRASHES 5      /* in a row: reported as a crash loop */
#define STOP_EXTRA_MS 5000  /* over the drain time, then SIGKILL */

/* What a new binary finds in its environment: the lock, the sockets, who is still draining. */
#define UPGRADE_ENV "PLASTINKA_UPGRADE"

extern char **environ;

static int child_start(struct child *c, struct err *e);
static void reap_old(struct supervise *s);

/* ---- speaking to children ---- */

struct message {
    uv_write_t req;
    char text[LINE_MAX_BYTES];
};

static void on_sent(uv_write_t *req, int status)
{
    (void)status;
    mem_free(req);
}

int child_send(struct child *c, const char *fmt, ...)
{
    struct message *m = c->pipe != NULL ? mem_alloc(sizeof *m) : NULL;
    va_list ap;

    if (m == NULL)
        return -1;
    va_start(ap, fmt);
    int n = vsnprintf(m->text, sizeof m->text - 1, fmt, ap);
    va_end(ap);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof m->text - 1 ? (size_t)n : sizeof m->text - 2;
    m->text[len++] = '\n';
    uv_buf_t b = uv_buf_init(m->text, (unsigned)len);
    if (uv_write(&m->req, (uv_stream_t *)c->pipe, &b, 1, on_sent) != 0) {
        mem_free(m);
        return -1;
    }
    return 0;
}

static void tell_listening(struct supervise *s)
{
    for (int i = 0; i < s->n_children; i++)
        if (s->children[i].state != CHILD_UP)
            return;
    if (s->listening_told)
        return;
    s->listening_told = true;
    printf("listening %s:%d\n", s->sockets.host, s->sockets.port);
    fflush(stdout);
    LOG(LOG_INFO, "serving", LOG_S("host", s->sockets.host), LOG_I("port", s->sockets.port),
        LOG_S("generation", s->generation));
}

void supervise_notify(struct supervise *s, const struct child *from, const char *line)
{
    for (int i = 0; i < s->n_children; i++)
        if (&s->children[i] != from && s->children[i].state == CHILD_UP)
            child_send(&s->children[i], "%s", line);
}

static void heard(struct child *c, const char *line)
{
    struct supervise *s = c->sup;

    c->heard_at = uv_now(&s->loop.uv);
    if (strcmp(line, "beat") == 0)
        return;
    if (strncmp(line, "up ", 3) == 0) {
        if (c->state == CHILD_STARTING)
            c->state = CHILD_UP;
        if (s->generation[0] == '\0')
            snprintf(s->generation, sizeof s->generation, "%.63s", line + 3);
        else if (strcmp(s->generation, line + 3) != 0)
            reload_ask(s, (struct asker){ 0 }); /* files changed while it started: all follow */
        tell_listening(s);
    } else if (strncmp(line, "notify ", 7) == 0) {
        supervise_notify(s, c, line);
    } else if (strncmp(line, "reload ", 7) == 0) {
        reload_ask(s, (struct asker){ .child = c, .number = strtol(line + 7, NULL, 10) });
    } else {
        reload_line(c, line);
    }
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *to)
{
    struct child *c = h->data;
    struct err e;

    (void)hint;
    to->base = buf_room(&c->in, 1024, &e);
    to->len = to->base != NULL ? 1024 : 0;
}

static void on_handle_closed(uv_handle_t *h)
{
    mem_free(h);
}

static void drop_pipe(struct child *c)
{
    if (c->pipe == NULL)
        return;
    uv_close((uv_handle_t *)c->pipe, on_handle_closed);
    c->pipe = NULL;
    buf_clear(&c->in);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
    struct child *c = stream->data;
    char *end, line[LINE_MAX_BYTES];

    (void)b;
    if (n < 0) {
        drop_pipe(c);
        return;
    }
    c->in.len += (size_t)n;
    while (c->in.len > 0 && (end = memchr(c->in.data, '\n', c->in.len)) != NULL) {
        size_t len = (size_t)(end - c->in.data);
        size_t kept = len < sizeof line ? len : sizeof line - 1;
        memcpy(line, c->in.data, kept);
        line[kept] = '\0';
        buf_eat(&c->in, len + 1);
        heard(c, line);
    }
}

/* ---- starting ---- */

static void set_fd_env(char **env, int *n, char *to, size_t size, const char *name, const char *text)
{
    snprintf(to, size, "%s=%s", name, text);
    env[(*n)++] = to;
}

/* The environment of a child: ours, and what it must know. `texts` holds the new entries. */
static char **child_env(const struct child *c, char texts[4][128])
{
    size_t n_old = 0;
    int n = 0;
    char number[16];

    while (environ[n_old] != NULL)
        n_old++;
    char **env = mem_alloc((n_old + 5) * sizeof *env);
    if (env == NULL)
        return NULL;
    set_fd_env(env, &n, texts[0], 128, "PLASTINKA_CONTROL_FD", "3");
    if (c->listen_fd >= 0)
        set_fd_env(env, &n, texts[1], 128, "PLASTINKA_LISTEN_FD", "4");
    snprintf(number, sizeof number, "%d", c->index);
    set_fd_env(env, &n, texts[2], 128, "PLASTINKA_PROCESS_INDEX", number);
    if (c->sup->generation[0] != '\0')
        set_fd_env(env, &n, texts[3], 128, "PLASTINKA_GENERATION", c->sup->generation);
    for (size_t i = 0; i < n_old; i++)
        if (strncmp(environ[i], UPGRADE_ENV "=", sizeof UPGRADE_ENV) != 0)
            env[n++] = environ[i];
    env[n] = NULL;
    return env;
}

static void on_restart(uv_timer_t *t)
{
    struct child *c = t->data;
    struct err e;

    if (c->sup->stopping || c->process != NULL)
        return;
    if (child_start(c, &e) != 0) {
        LOG(LOG_ERROR, "process cannot be started", LOG_S("kind", c->kind),
            LOG_I("index", c->index), LOG_S("why", e.text));
        uv_timer_start(&c->restart, on_restart, conf_ms("supervise_restart_max_seconds"), 0);
    }
}

static void finish_when_alone(struct supervise *s)
{
    for (int i = 0; i < s->n_children; i++)
        if (s->children[i].process != NULL)
            return;
    uv_stop(&s->loop.uv);
}

/* Workers go after the web processes: what those accepted is in the database by then. */
static void stop_kind(struct supervise *s, bool web)
{
    for (int i = 0; i < s->n_children; i++) {
        struct child *c = &s->children[i];
        uv_timer_stop(&c->restart);
        if ((c->listen_fd >= 0) != web || c->process == NULL || c->state == CHILD_STOPPING)
            continue;
        c->state = CHILD_STOPPING;
        uv_process_kill(c->process, SIGTERM);
    }
}

static bool web_left(const struct supervise *s)
{
    for (int i = 0; i < s->n_children; i++)
        if (s->children[i].listen_fd >= 0 && s->children[i].process != NULL)
            return true;
    return false;
}

static void plan_restart(struct child *c)
{
    uint64_t now = uv_now(&c->sup->loop.uv), most = conf_ms("supervise_restart_max_seconds");

    if (now - c->started_at > STEADY_MS)
        c->crashes = 0;
    c->crashes++;
    uint64_t pause = c->crashes == 1 ? 0 : FIRST_PAUSE_MS << (c->crashes < 16 ? c->crashes : 16);
    if (pause > most)
        pause = most;
    if (c->crashes >= LOOP_CRASHES)
        LOG(LOG_ERROR, "crash loop", LOG_S("kind", c->kind), LOG_I("index", c->index),
            LOG_I("crashes", c->crashes), LOG_I("restart_in_ms", pause));
    uv_timer_start(&c->restart, on_restart, pause, 0);
}

static void on_child_exit(uv_process_t *p, int64_t status, int signum)
{
    struct child *c = p->data;
    struct supervise *s = c->sup;
    enum child_state was = c->state;

    LOG(was == CHILD_STOPPING ? LOG_INFO : LOG_ERROR,
        was == CHILD_STOPPING ? "process stopped" : "process ended", LOG_S("kind", c->kind),
        LOG_I("index", c->index), LOG_I("pid", p->pid), LOG_I("exit_code", status),
        LOG_S("signal", signum ? strsignal(signum) : NULL),
        LOG_S("why", c->standing_still ? "its event loop stood still" : NULL));
    uv_close((uv_handle_t *)p, on_handle_closed);
    c->process = NULL;
    drop_pipe(c);
    c->state = CHILD_DOWN;
    c->standing_still = false;
    reload_child_gone(c);
    if (s->stopping) {
        if (!web_left(s))
            stop_kind(s, false);
        finish_when_alone(s);
        return;
    }
    if (!s->listening_told && was == CHILD_STARTING) { /* it said why; trying again will not help */
        s->code = status != 0 ? (int)status : 1;
        supervise_stop(s);
        return;
    }
    plan_restart(c);
}

static int child_start(struct child *c, struct err *e)
{
    struct supervise *s = c->sup;
    char texts[4][128];
    uv_stdio_container_t io[5];
    char *argv[64];
    int n = 0;
    char **env = child_env(c, texts);

    c->process = mem_zero(1, sizeof *c->process);
    c->pipe = mem_zero(1, sizeof *c->pipe);
    if (env == NULL || c->process == NULL || c->pipe == NULL) {
        mem_free(env);
        mem_free(c->process);
        mem_free(c->pipe);
        c->process = NULL;
        c->pipe = NULL;
        return err_set(e, ERR_NOMEM, "no memory for a process");
    }
    argv[n++] = s->exe;
    argv[n++] = (char *)c->kind;
    for (int i = 0; i < s->argc && n < 63; i++)
        argv[n++] = s->argv[i];
    argv[n] = NULL;
    uv_pipe_init(&s->loop.uv, c->pipe, 0);
    c->pipe->data = c->process->data = c;
    io[0] = (uv_stdio_container_t){ .flags = UV_IGNORE };
    for (int i = 1; i <= 2; i++)
        io[i] = (uv_stdio_container_t){ .flags = UV_INHERIT_FD, .data.fd = i };
    io[3] = (uv_stdio_container_t){ .flags = UV_CREATE_PIPE | UV_READABLE_PIPE | UV_WRITABLE_PIPE,
                                    .data.stream = (uv_stream_t *)c->pipe };
    io[4] = (uv_stdio_container_t){ .flags = UV_INHERIT_FD, .data.fd = c->listen_fd };
    uv_process_options_t opt = { .exit_cb = on_child_exit, .file = s->exe, .args = argv, .env = env,
                                 .stdio = io, .stdio_count = c->listen_fd >= 0 ? 5 : 4 };
    int status = uv_spawn(&s->loop.uv, c->process, &opt);
    mem_free(env);
    if (status != 0) {
        uv_close((uv_handle_t *)c->process, on_handle_closed);
        c->process = NULL;
        drop_pipe(c);
        return err_set(e, ERR_IO, "cannot start %s %s: %s", s->exe, c->kind, uv_strerror(status));
    }
    uv_read_start((uv_stream_t *)c->pipe, on_alloc, on_read);
    c->state = CHILD_STARTING;
    c->started_at = c->heard_at = uv_now(&s->loop.uv);
    return 0;
}

/* ---- watching over them, stopping ---- */

static void on_tick(uv_timer_t *t)
{
    struct supervise *s = t->data;
    uint64_t now = uv_now(&s->loop.uv);

    reap_old(s);
    for (int i = 0; i < s->n_children; i++) {
        struct child *c = &s->children[i];
        if (c->process == NULL || c->state == CHILD_STOPPING || now - c->heard_at < STILL_MS)
            continue;
        c->standing_still = true;
        uv_process_kill(c->process, SIGKILL);
    }
}

static void on_stop_timeout(uv_timer_t *t)
{
    struct supervise *s = t->data;

    for (int i = 0; i < s->n_children; i++)
        if (s->children[i].process != NULL)
            uv_process_kill(s->children[i].process, SIGKILL);
}

void supervise_stop(struct supervise *s)
{
    if (s->upgrade) { /* the children hear the end of their pipes and drain; the new binary reaps them */
        uv_stop(&s->loop.uv);
        return;
    }
    if (s->stopping) /* asked twice: do not wait for requests in flight */
        on_stop_timeout(&s->stop_timer);
    s->stopping = true;
    listen_close(&s->sockets); /* refused from when the last process lets go of its own */
    watch_close(s->watch);
    s->watch = NULL;
    stop_kind(s, true);
    if (!web_left(s))
        stop_kind(s, false);
    s->stop_timer.data = s;
    uv_timer_start(&s->stop_timer, on_stop_timeout,
                   conf_ms("http_drain_seconds") + STOP_EXTRA_MS, 0);
    finish_when_alone(s);
}

static void on_signal(int signum, void *arg)
{
    struct supervise *s = arg;

    if (signum == SIGHUP) {
        reload_ask(s, (struct asker){ 0 });
        return;
    }
    s->upgrade = signum == SIGUSR2 && !s->stopping;
    supervise_stop(s);
}

static void on_change(void *arg)
{
    reload_ask(arg, (struct asker){ 0 });
}

static void on_prepare(uv_prepare_t *p)
{
    (void)p;
    log_flush();
}

/* ---- a new binary ---- */

/* "LOCK HOST PORT N FD … PID …" */
static int inherit(struct supervise *s)
{
    const char *text = getenv(UPGRADE_ENV);
    int at = 0, n, value;

    if (text == NULL ||
        sscanf(text, "%d %63s %d %d %n", &s->lock_fd, s->sockets.host, &s->sockets.port, &n, &at) != 4)
        return 0;
    for (text += at; sscanf(text, "%d%n", &value, &at) == 1; text += at) {
        if (s->sockets.n < n && s->sockets.n < LISTEN_MAX) {
            fcntl(value, F_SETFD, FD_CLOEXEC);
            s->sockets.fds[s->sockets.n++] = value;
        } else if (s->n_old < CHILDREN_MAX) {
            s->old_pids[s->n_old++] = value;
        }
    }
    fcntl(s->lock_fd, F_SETFD, FD_CLOEXEC);
    unsetenv(UPGRADE_ENV);
    return s->sockets.n > 0;
}

static void replace_binary(struct supervise *s)
{
    static char text[(LISTEN_MAX + CHILDREN_MAX) * 12 + 128];
    char *argv[64];
    int n = 0;
    size_t len = (size_t)snprintf(text, sizeof text, "%d %s %d %d", s->lock_fd, s->sockets.host,
                                  s->sockets.port, s->sockets.n);

    fcntl(s->lock_fd, F_SETFD, 0);
    for (int i = 0; i < s->sockets.n; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len, " %d", s->sockets.fds[i]);
        fcntl(s->sockets.fds[i], F_SETFD, 0);
    }
    for (int i = 0; i < s->n_children; i++)
        if (s->children[i].process != NULL)
            len += (size_t)snprintf(text + len, sizeof text - len, " %d",
                                    s->children[i].process->pid);
    setenv(UPGRADE_ENV, text, 1);
    argv[n++] = s->exe;
    argv[n++] = "serve";
    for (int i = 0; i < s->argc && n < 63; i++)
        argv[n++] = s->argv[i];
    argv[n] = NULL;
    LOG(LOG_INFO, "replacing the binary", LOG_S("file", s->exe));
    log_close();
    execv(s->exe, argv);
    fprintf(stderr, "plastinka: cannot execute %s: %s\n", s->exe, strerror(errno));
    s->code = 1;
}

/* Processes of the binary before this one, still draining: nobody else waits for them. */
static void reap_old(struct supervise *s)
{
    for (int i = 0; i < s->n_old;) {
        if (waitpid(s->old_pids[i], NULL, WNOHANG) == 0)
            i++;
        else
            s->old_pids[i] = s->old_pids[--s->n_old];
    }
}

/* ---- the role ---- */

static void add_children(struct supervise *s, const char *kind, int n, const struct listen_set *set)
{
    for (int i = 0; i < n && s->n_children < CHILDREN_MAX; i++) {
        struct child *c = &s->children[s->n_children++];
        c->sup = s;
        c->kind = kind;
        c->index = i + 1;
        c->listen_fd = set != NULL ? set->fds[i] : -1;
        buf_init(&c->in, LINE_MAX_BYTES * 2);
        uv_timer_init(&s->loop.uv, &c->restart);
        c->restart.data = c;
    }
}

static int open_all(struct supervise *s, struct err *e)
{
    size_t size = sizeof s->exe;
    int web = (int)conf_int("web_processes");
    static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR2 };

    if (uv_exepath(s->exe, &size) != 0)
        return err_set(e, ERR_IO, "cannot find the path of this program");
    if (datadir_make(e) != 0)
        return -1;
    if (!inherit(s) &&
        (datadir_lock(&s->lock_fd, e) != 0 ||
         listen_open(&s->sockets, conf_text("http_host"), (int)conf_int("http_port"), web, e) != 0))
        return -1;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (loop_on_signal(&s->loop, signals[i], on_signal, s, e) != 0)
            return -1;
    if (control_listen(s, e) != 0) /* without it only `plastinka reload` is missed */
        LOG(LOG_WARN, "no control socket", LOG_S("why", e->text));
    add_children(s, "web", s->sockets.n, &s->sockets);
    add_children(s, "work", (int)conf_int("work_processes"), NULL);
    for (int i = 0; i < s->n_children; i++)
        if (child_start(&s->children[i], e) != 0)
            return -1;
    if (conf_text("workflows_dir")[0] != '\0' && conf_bool("reload_watch"))
        s->watch = watch_open(&s->loop.uv, conf_text("workflows_dir"),
                              (unsigned)conf_ms("reload_debounce_seconds"), on_change, s, e);
    return conf_text("workflows_dir")[0] != '\0' && conf_bool("reload_watch") && s->watch == NULL
               ? -1
               : 0;
}

static void close_all(struct supervise *s)
{
    struct err e;

    watch_close(s->watch);
    s->watch = NULL;
    control_shut(s);
    uv_close((uv_handle_t *)&s->tick, NULL);
    uv_close((uv_handle_t *)&s->stop_timer, NULL);
    uv_close((uv_handle_t *)&s->reload_timer, NULL);
    uv_close((uv_handle_t *)&s->flush, NULL);
    for (int i = 0; i < s->n_children; i++) {
        uv_close((uv_handle_t *)&s->children[i].restart, NULL);
        drop_pipe(&s->children[i]);
        buf_deinit(&s->children[i].in);
    }
    if (loop_close(&s->loop, 1000, &e) != 0)
        LOG(LOG_WARN, "unclean end", LOG_S("why", e.text));
}

static int usage(FILE *to, int code)
{
    fputs("usage: plastinka serve [--port N] [--host ADDRESS] [--data DIR] [--workflows DIR]\n"
          "                       [--web N] [--workers N] [--config FILE] [--SETTING VALUE ...]\n\n"
          "Serves until SIGTERM. SIGHUP loads the workflows again, SIGUSR2 replaces the binary\n"
          "without refusing a connection. `plastinka check --settings` lists every setting.\n", to);
    return code;
}

int role_serve(int argc, char **argv)
{
    static struct supervise s; /* large, one per process */
    char *flags[64];
    struct err e;

    if (argc > 0 && strcmp(argv[0], "--help") == 0)
        return usage(stdout, 0);
    s.lock_fd = -1;
    for (s.argc = 0; s.argc < argc && s.argc < 60; s.argc++)
        flags[s.argc] = argv[s.argc];
    s.argv = flags;
    if (boot_settings(&argc, argv, &e) != 0) {
        fprintf(stderr, "plastinka: %s\n", e.text);
        return 2;
    }
    if (argc > 0) {
        fprintf(stderr, "plastinka serve: unknown argument %s\n", argv[0]);
        return usage(stderr, 2);
    }
    if (loop_init(&s.loop, &e) != 0) {
        fprintf(stderr, "plastinka: %s\n", e.text);
        return 1;
    }
    uv_timer_init(&s.loop.uv, &s.tick);
    uv_timer_init(&s.loop.uv, &s.stop_timer);
    uv_timer_init(&s.loop.uv, &s.reload_timer);
    uv_prepare_init(&s.loop.uv, &s.flush);
    uv_prepare_start(&s.flush, on_prepare);
    s.tick.data = &s;
    uv_timer_start(&s.tick, on_tick, TICK_MS, TICK_MS);
    if (open_all(&s, &e) != 0) {
        fprintf(stderr, "plastinka: %s\n", e.text);
        s.code = 1;
        supervise_stop(&s);
    }
    loop_run(&s.loop);
    if (s.upgrade) {
        control_shut(&s);
        replace_binary(&s);
    }
    close_all(&s);
    log_close();
    listen_close(&s.sockets);
    return s.code;
}
