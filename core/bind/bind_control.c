/*
 * bind_control.c - core.control: what a process hears from its supervisor and from signals.
 *
 *   receive() --> line          waits. From the supervisor: "prepare ID", "commit ID", "abort ID why",
 *                               "stop", "reloaded N ok|failed text", "notify TOPIC" (said by another process). From signals: "stop" (SIGTERM,
 *                               SIGINT), "reload" (SIGHUP). From control_post: any.
 *   send(line) --> boolean      to the supervisor; false when there is none
 *   supervised() --> boolean
 *   listen_fd() --> integer|nil the socket inherited for listening
 *   index() --> integer         which of its kind this process is, from 1
 *   generation() --> id|nil     the one to start with
 *   watch(dir, quiet_ms)        receive() says "reload" when a file in the folder has changed
 *
 * When the supervisor is gone the process hears "stop". Once a second it says "beat", so that the
 * supervisor can end one whose loop stands still.
 */
#include "bind/bind_control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "bind/bind.h"
#include "bind/bind_all.h"
#include "loop/watch.h"

#define LINE_MAX_BYTES 8192
#define QUEUE_MAX 256
#define BEAT_MS 1000

struct line {
    struct line *next;
    char text[];
};

struct control {
    struct host *host;
    uv_pipe_t *pipe; /* NULL: nobody above us */
    uv_timer_t *beat;
    struct buf in;
    struct line *first, *last;
    int n_lines;
    struct wait *waiting;
    struct watch *watch;
};

struct receive {
    struct wait wait; /* first */
    struct control *control;
};

static void on_handle_closed(uv_handle_t *h)
{
    mem_free(h);
}

static struct control *control_of(struct host *h)
{
    return host_get(h, HOST_CONTROL);
}

int control_post(struct host *h, const char *text)
{
    struct control *c = control_of(h);
    size_t len = strnlen(text, LINE_MAX_BYTES);

    if (c == NULL || c->n_lines == QUEUE_MAX)
        return -1;
    struct line *line = mem_alloc(sizeof *line + len + 1);
    if (line == NULL)
        return -1;
    memcpy(line->text, text, len);
    line->text[len] = '\0';
    line->next = NULL;
    if (c->last != NULL)
        c->last->next = line;
    else
        c->first = line;
    c->last = line;
    c->n_lines++;
    struct wait *w = c->waiting;
    if (w != NULL) {
        c->waiting = NULL;
        run_wake(w);
        mem_free(w);
    }
    return 0;
}

static int push_first(lua_State *L, struct control *c)
{
    struct line *line = c->first;

    lua_pushstring(L, line->text);
    c->first = line->next;
    if (c->first == NULL)
        c->last = NULL;
    c->n_lines--;
    mem_free(line);
    return 1;
}

static void receive_cancel(struct wait *w)
{
    struct receive *op = (struct receive *)w;

    op->control->waiting = NULL;
    mem_free(op);
}

static int receive_finish(lua_State *L, struct wait *w)
{
    (void)w;
    return push_first(L, control_of(host_of(L)));
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *to)
{
    struct control *c = h->data;
    struct err e;

    (void)hint;
    to->base = buf_room(&c->in, 1024, &e);
    to->len = to->base != NULL ? 1024 : 0;
}

static void gone(struct control *c)
{
    if (c->pipe == NULL)
        return;
    uv_close((uv_handle_t *)c->pipe, on_handle_closed);
    c->pipe = NULL;
    if (c->beat != NULL)
        uv_timer_stop(c->beat);
    control_post(c->host, "stop");
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct control *c = s->data;
    char *end;

    (void)b;
    if (n < 0) {
        gone(c);
        return;
    }
    c->in.len += (size_t)n;
    while (c->in.len > 0 && (end = memchr(c->in.data, '\n', c->in.len)) != NULL) {
        *end = '\0';
        control_post(c->host, c->in.data);
        buf_eat(&c->in, (size_t)(end - c->in.data) + 1);
    }
}

struct sent {
    uv_write_t req;
    char text[];
};

static void on_sent(uv_write_t *req, int status)
{
    (void)status;
    mem_free(req);
}

static int control_send(struct control *c, const char *text)
{
    size_t len = strlen(text);
    struct sent *s = c->pipe != NULL ? mem_alloc(sizeof *s + len + 1) : NULL;

    if (s == NULL)
        return -1;
    memcpy(s->text, text, len);
    s->text[len] = '\n';
    uv_buf_t b = uv_buf_init(s->text, (unsigned)len + 1);
    if (uv_write(&s->req, (uv_stream_t *)c->pipe, &b, 1, on_sent) != 0) {
        mem_free(s);
        return -1;
    }
    return 0;
}

static void on_beat(uv_timer_t *t)
{
    control_send(t->data, "beat");
}

static void control_close(void *arg)
{
    struct control *c = arg;

    if (c->pipe != NULL)
        uv_close((uv_handle_t *)c->pipe, on_handle_closed);
    if (c->beat != NULL)
        uv_close((uv_handle_t *)c->beat, on_handle_closed);
    while (c->first != NULL) {
        struct line *line = c->first;
        c->first = line->next;
        mem_free(line);
    }
    watch_close(c->watch);
    buf_deinit(&c->in);
    host_set(c->host, HOST_CONTROL, NULL);
    mem_free(c);
}

static int open_pipe(struct control *c, int fd, struct err *e)
{
    uv_loop_t *loop = host_loop(host_lua(c->host));

    c->pipe = mem_alloc(sizeof *c->pipe);
    c->beat = mem_alloc(sizeof *c->beat);
    if (c->pipe == NULL || c->beat == NULL) {
        mem_free(c->pipe);
        mem_free(c->beat);
        c->pipe = NULL;
        c->beat = NULL;
        return err_set(e, ERR_NOMEM, "no memory for the control channel");
    }
    uv_pipe_init(loop, c->pipe, 0);
    uv_timer_init(loop, c->beat);
    c->pipe->data = c->beat->data = c;
    if (uv_pipe_open(c->pipe, fd) != 0 ||
        uv_read_start((uv_stream_t *)c->pipe, on_alloc, on_read) != 0)
        return err_set(e, ERR_IO, "the control channel (descriptor %d) cannot be opened", fd);
    uv_timer_start(c->beat, on_beat, BEAT_MS, BEAT_MS);
    uv_unref((uv_handle_t *)c->pipe);
    uv_unref((uv_handle_t *)c->beat);
    return 0;
}

/* A small whole number out of the environment, or -1. */
static int env_number(const char *name)
{
    const char *text = getenv(name);
    char *end;

    if (text == NULL || text[0] == '\0')
        return -1;
    long n = strtol(text, &end, 10);
    return *end == '\0' && n >= 0 && n < 100000 ? (int)n : -1;
}

int control_open(struct host *h, struct err *e)
{
    struct control *c = mem_zero(1, sizeof *c);
    int fd = env_number(CONTROL_FD_ENV);

    if (c == NULL)
        return err_set(e, ERR_NOMEM, "no memory for the control channel");
    c->host = h;
    buf_init(&c->in, LINE_MAX_BYTES * 2);
    host_set(h, HOST_CONTROL, c);
    host_at_close(h, control_close, c);
    return fd >= 0 ? open_pipe(c, fd, e) : 0;
}

static int l_receive(lua_State *L)
{
    struct control *c = control_of(host_of(L));

    if (c == NULL)
        return luaL_error(L, "this process has no control channel");
    if (c->first != NULL)
        return push_first(L, c);
    run_check_can_wait(L);
    if (c->waiting != NULL)
        return luaL_error(L, "another run listens to the control channel");
    struct receive *op = mem_zero(1, sizeof *op);
    if (op == NULL)
        return luaL_error(L, "not enough memory");
    op->control = c;
    c->waiting = &op->wait;
    return run_wait(L, &op->wait, receive_cancel, receive_finish);
}

static int l_send(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    struct control *c = control_of(host_of(L));

    luaL_argcheck(L, len < LINE_MAX_BYTES && strlen(text) == len && strchr(text, '\n') == NULL, 1,
                  "one line of less than 8192 bytes expected");
    lua_pushboolean(L, c != NULL && control_send(c, text) == 0);
    return 1;
}

static int l_supervised(lua_State *L)
{
    struct control *c = control_of(host_of(L));

    lua_pushboolean(L, c != NULL && c->pipe != NULL);
    return 1;
}

static int l_listen_fd(lua_State *L)
{
    int fd = env_number(CONTROL_LISTEN_ENV);

    if (fd < 0)
        return 0;
    lua_pushinteger(L, fd);
    return 1;
}

static int l_index(lua_State *L)
{
    int n = env_number(CONTROL_INDEX_ENV);

    lua_pushinteger(L, n < 0 ? 1 : n);
    return 1;
}

static int l_generation(lua_State *L)
{
    const char *id = getenv(CONTROL_GENERATION_ENV);

    if (id == NULL || id[0] == '\0')
        return 0;
    lua_pushstring(L, id);
    return 1;
}

static void on_change(void *arg)
{
    control_post(((struct control *)arg)->host, "reload");
}

static int l_watch(lua_State *L)
{
    const char *dir = luaL_checkstring(L, 1);
    lua_Integer quiet_ms = luaL_checkinteger(L, 2);
    struct control *c = control_of(host_of(L));
    struct err e;

    luaL_argcheck(L, quiet_ms >= 0 && quiet_ms <= 60000, 2, "0 to 60000 ms expected");
    if (c == NULL || c->watch != NULL)
        return luaL_error(L, c == NULL ? "this process has no control channel"
                                       : "a folder is watched already");
    c->watch = watch_open(host_loop(L), dir, (unsigned)quiet_ms, on_change, c, &e);
    if (c->watch == NULL)
        return bind_fail(L, &e);
    lua_pushboolean(L, 1);
    return 1;
}

static const luaL_Reg FUNCTIONS[] = {
    { "generation", l_generation }, { "watch", l_watch },
    { "receive", l_receive },     { "send", l_send },   { "supervised", l_supervised },
    { "listen_fd", l_listen_fd }, { "index", l_index }, { NULL, NULL },
};

int luaopen_core_control(lua_State *L)
{
    luaL_newlib(L, FUNCTIONS);
    return 1;
}
