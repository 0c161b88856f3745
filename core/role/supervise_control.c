/*
 * supervise_control.c - the local socket DATA_ROOT_DIR/control.sock (0600): one line in, one line
 * out, for `plastinka reload` and the like. Commands: reload, status, notify TOPIC, stop,
 * upgrade.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "role/datadir.h"
#include "role/supervise.h"

struct conn {
    uv_pipe_t pipe; /* first */
    struct supervise *sup;
    char line[128];
    size_t len;
};

struct answer {
    uv_write_t req;
    char text[LINE_MAX_BYTES];
};

static void on_closed(uv_handle_t *h)
{
    mem_free(h);
}

static void conn_close(struct conn *c)
{
    reload_forget(c->sup, &c->pipe);
    if (!uv_is_closing((uv_handle_t *)&c->pipe))
        uv_close((uv_handle_t *)&c->pipe, on_closed);
}

static void on_written(uv_write_t *req, int status)
{
    struct conn *c = (struct conn *)req->handle;

    (void)status;
    mem_free(req);
    conn_close(c);
}

void control_answer(uv_pipe_t *conn, const char *text)
{
    struct answer *a = mem_alloc(sizeof *a);

    if (a == NULL) {
        conn_close((struct conn *)conn);
        return;
    }
    int n = snprintf(a->text, sizeof a->text, "%s", text);
    uv_buf_t b = uv_buf_init(a->text, n < (int)sizeof a->text ? (unsigned)n : sizeof a->text - 1);
    if (uv_write(&a->req, (uv_stream_t *)conn, &b, 1, on_written) != 0) {
        mem_free(a);
        conn_close((struct conn *)conn);
    }
}

static void answer_status(struct conn *c)
{
    char text[LINE_MAX_BYTES];
    size_t len = (size_t)snprintf(text, sizeof text, "ok generation=%s", c->sup->generation);

    for (int i = 0; i < c->sup->n_children && len < sizeof text - 128; i++) {
        struct child *k = &c->sup->children[i];
        len += (size_t)snprintf(text + len, sizeof text - len, " %s/%d=%s:%d", k->kind, k->index,
                                k->state == CHILD_UP ? "up" : "down",
                                k->process != NULL ? k->process->pid : 0);
    }
    snprintf(text + len, sizeof text - len, "\n");
    control_answer(&c->pipe, text);
}

static void obey(struct conn *c)
{
    if (strcmp(c->line, "reload") == 0) {
        reload_ask(c->sup, (struct asker){ .conn = &c->pipe });
    } else if (strcmp(c->line, "status") == 0) {
        answer_status(c);
    } else if (strncmp(c->line, "notify ", 7) == 0) {
        supervise_notify(c->sup, NULL, c->line);
        control_answer(&c->pipe, "ok\n");
    } else if (strcmp(c->line, "stop") == 0 || strcmp(c->line, "upgrade") == 0) {
        struct supervise *s = c->sup;
        s->upgrade = c->line[0] == 'u';
        control_answer(&c->pipe, "ok\n");
        supervise_stop(s);
    } else {
        control_answer(&c->pipe, "failed unknown command\n");
    }
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *to)
{
    struct conn *c = (struct conn *)h;

    (void)hint;
    to->base = c->line + c->len;
    to->len = sizeof c->line - 1 - c->len;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
    struct conn *c = (struct conn *)stream;

    (void)b;
    if (n < 0) { /* also a line that is too long: its buffer is full */
        conn_close(c);
        return;
    }
    c->len += (size_t)n;
    c->line[c->len] = '\0';
    char *end = strchr(c->line, '\n');
    if (end == NULL)
        return;
    *end = '\0';
    uv_read_stop(stream);
    obey(c);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct supervise *s = server->data;

    if (status != 0)
        return;
    struct conn *c = mem_zero(1, sizeof *c);
    if (c == NULL)
        return;
    c->sup = s;
    uv_pipe_init(&s->loop.uv, &c->pipe, 0);
    if (uv_accept(server, (uv_stream_t *)&c->pipe) != 0 ||
        uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read) != 0)
        conn_close(c);
}

int control_listen(struct supervise *s, struct err *e)
{
    char path[108]; /* what a local socket's address holds */

    if (datadir_path(path, sizeof path, "control.sock", e) != 0)
        return -1;
    unlink(path); /* left by one that was killed: the lock says there is no other */
    uv_pipe_init(&s->loop.uv, &s->control, 0);
    s->control.data = s;
    s->has_control = true;
    mode_t mask = umask(0177);
    int status = uv_pipe_bind(&s->control, path);
    umask(mask);
    if (status == 0)
        status = uv_listen((uv_stream_t *)&s->control, 16, on_connection);
    if (status != 0)
        return err_set(e, ERR_IO, "cannot listen at %s: %s", path, uv_strerror(status));
    uv_unref((uv_handle_t *)&s->control);
    return 0;
}

void control_shut(struct supervise *s)
{
    char path[108];
    struct err e;

    if (!s->has_control)
        return;
    s->has_control = false;
    uv_close((uv_handle_t *)&s->control, NULL);
    if (datadir_path(path, sizeof path, "control.sock", &e) == 0)
        unlink(path);
}
