/*
 * watch.c - one uv_fs_event for each folder of a tree, one timer for the quiet. See watch.h.
 */
#include "loop/watch.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

#define DIRS_MAX 512
#define DEPTH_MAX 8

struct dir {
    uv_fs_event_t event;
    struct watch *watch;
    struct dir *next;
    char path[];
};

struct watch {
    uv_loop_t *loop;
    uv_timer_t timer;
    unsigned quiet_ms;
    void (*fn)(void *arg);
    void *arg;
    struct dir *dirs;
    int n_dirs;
    char root[];
};

static void on_dir_closed(uv_handle_t *h)
{
    mem_free(h->data);
}

static void on_timer_closed(uv_handle_t *h)
{
    mem_free(h->data);
}

static void on_event(uv_fs_event_t *event, const char *name, int events, int status);

static int is_watched(const struct watch *w, const char *path)
{
    for (const struct dir *d = w->dirs; d != NULL; d = d->next)
        if (strcmp(d->path, path) == 0)
            return 1;
    return 0;
}

static int add_dir(struct watch *w, const char *path)
{
    size_t len = strlen(path);

    if (w->n_dirs == DIRS_MAX)
        return -1;
    struct dir *d = mem_alloc(sizeof *d + len + 1);
    if (d == NULL)
        return -1;
    memcpy(d->path, path, len + 1);
    d->watch = w;
    uv_fs_event_init(w->loop, &d->event);
    d->event.data = d;
    if (uv_fs_event_start(&d->event, on_event, path, 0) != 0) {
        uv_close((uv_handle_t *)&d->event, on_dir_closed);
        return -1;
    }
    uv_unref((uv_handle_t *)&d->event);
    d->next = w->dirs;
    w->dirs = d;
    w->n_dirs++;
    return 0;
}

static void add_below(struct watch *w, const char *path, int depth)
{
    DIR *dir = depth < DEPTH_MAX ? opendir(path) : NULL;
    char sub[4096];
    struct stat st;

    if (dir == NULL)
        return;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        int n = snprintf(sub, sizeof sub, "%s/%s", path, e->d_name);
        if (e->d_name[0] == '.' || n < 0 || (size_t)n >= sizeof sub || stat(sub, &st) != 0 ||
            !S_ISDIR(st.st_mode))
            continue;
        if (!is_watched(w, sub) && add_dir(w, sub) != 0)
            continue;
        add_below(w, sub, depth + 1);
    }
    closedir(dir);
}

/* Lets go of folders that are gone, so that one of the same name is watched anew. */
static void drop_gone(struct watch *w)
{
    struct stat st;

    for (struct dir **at = &w->dirs; *at != NULL;) {
        struct dir *d = *at;
        if (stat(d->path, &st) == 0 && S_ISDIR(st.st_mode)) {
            at = &d->next;
            continue;
        }
        *at = d->next;
        w->n_dirs--;
        uv_close((uv_handle_t *)&d->event, on_dir_closed);
    }
}

static void on_quiet(uv_timer_t *timer)
{
    struct watch *w = timer->data;

    drop_gone(w);
    if (!is_watched(w, w->root) && add_dir(w, w->root) != 0) {
        uv_timer_start(timer, on_quiet, 1000, 0); /* the folder itself is gone: until it is back */
        return;
    }
    add_below(w, w->root, 0);
    w->fn(w->arg);
}

static void on_event(uv_fs_event_t *event, const char *name, int events, int status)
{
    struct watch *w = ((struct dir *)event->data)->watch;

    (void)name;
    (void)events;
    (void)status;
    uv_timer_start(&w->timer, on_quiet, w->quiet_ms, 0);
}

struct watch *watch_open(uv_loop_t *loop, const char *dir, unsigned quiet_ms,
                         void (*fn)(void *arg), void *arg, struct err *e)
{
    size_t len = strlen(dir);
    struct watch *w = mem_zero(1, sizeof *w + len + 1);

    if (w == NULL) {
        err_set(e, ERR_NOMEM, "no memory to watch %s", dir);
        return NULL;
    }
    memcpy(w->root, dir, len + 1);
    w->loop = loop;
    w->quiet_ms = quiet_ms;
    w->fn = fn;
    w->arg = arg;
    uv_timer_init(loop, &w->timer);
    w->timer.data = w;
    if (add_dir(w, dir) != 0) {
        err_set(e, ERR_IO, "cannot watch folder %s for changes", dir);
        uv_close((uv_handle_t *)&w->timer, on_timer_closed);
        return NULL;
    }
    add_below(w, dir, 0);
    return w;
}

void watch_close(struct watch *w)
{
    if (w == NULL)
        return;
    while (w->dirs != NULL) {
        struct dir *d = w->dirs;
        w->dirs = d->next;
        uv_close((uv_handle_t *)&d->event, on_dir_closed);
    }
    uv_close((uv_handle_t *)&w->timer, on_timer_closed);
}
