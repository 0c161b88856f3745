/*
 * tree.c - reads a folder of small files. See tree.h.
 */
#include "base/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

static int is_leftover(const char *name)
{
    size_t len = strlen(name);

    return name[0] == '.' || name[0] == '#' || name[len - 1] == '~' ||
           (len > 4 && (strcmp(name + len - 4, ".swp") == 0 || strcmp(name + len - 4, ".tmp") == 0));
}

static int read_all(int fd, struct tree_file *f, size_t bytes)
{
    f->data = mem_alloc(bytes + 1);
    if (f->data == NULL)
        return -1;
    while (f->bytes < bytes) {
        ssize_t n = read(fd, f->data + f->bytes, bytes - f->bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break; /* became shorter while we read: the watcher will call again */
        f->bytes += (size_t)n;
    }
    f->data[f->bytes] = '\0';
    return 0;
}

static int add_file(struct tree *t, int dir_fd, const char *name, const char *path, struct err *e)
{
    struct stat st;
    int status = -1;
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return errno == ENOENT ? 0 : err_errno(e, errno, "cannot read %s", path);
    if (fstat(fd, &st) != 0) {
        err_errno(e, errno, "cannot read %s", path);
        goto done;
    }
    if (!S_ISREG(st.st_mode)) {
        status = 0;
        goto done;
    }
    if (t->n_files == TREE_FILES_MAX) {
        err_set(e, ERR_LIMIT, "more than %d files", TREE_FILES_MAX);
        goto done;
    }
    if ((size_t)st.st_size > TREE_BYTES_MAX - t->bytes) {
        err_set(e, ERR_LIMIT, "%s: all files together are over %zu bytes", path, TREE_BYTES_MAX);
        goto done;
    }
    struct tree_file *files = mem_resize(t->files, (t->n_files + 1) * sizeof *files);
    if (files == NULL) {
        err_set(e, ERR_NOMEM, "no memory for %s", path);
        goto done;
    }
    t->files = files;
    struct tree_file *f = &files[t->n_files++];
    *f = (struct tree_file){ .path = mem_dup(path) };
    errno = ENOMEM;
    if (f->path == NULL || read_all(fd, f, (size_t)st.st_size) != 0) {
        err_errno(e, errno, "cannot read %s", path);
        goto done;
    }
    t->bytes += f->bytes;
    status = 0;
done:
    close(fd);
    return status;
}

static int add_dir(struct tree *t, int fd, const char *prefix, int depth, struct err *e)
{
    DIR *dir = fdopendir(fd);
    char path[1024];
    int status = -1;

    if (dir == NULL) {
        err_errno(e, errno, "cannot read folder %s", prefix);
        close(fd);
        return -1;
    }
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        if (is_leftover(d->d_name))
            continue;
        int n = snprintf(path, sizeof path, "%s%s", prefix, d->d_name);
        if (n < 0 || (size_t)n >= sizeof path - 1) {
            err_set(e, ERR_LIMIT, "%s: the path is longer than %zu bytes", path, sizeof path - 2);
            goto done;
        }
        int sub = openat(fd, d->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (sub < 0) {
            if (add_file(t, fd, d->d_name, path, e) != 0)
                goto done;
            continue;
        }
        if (depth == TREE_DEPTH_MAX) {
            close(sub);
            err_set(e, ERR_LIMIT, "%s: folders are nested deeper than %d", path, TREE_DEPTH_MAX);
            goto done;
        }
        path[n] = '/';
        path[n + 1] = '\0';
        if (add_dir(t, sub, path, depth + 1, e) != 0)
            goto done;
    }
    status = 0;
done:
    closedir(dir);
    return status;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct tree_file *)a)->path, ((const struct tree_file *)b)->path);
}

int tree_read(const char *dir, struct tree *t, struct err *e)
{
    *t = (struct tree){ 0 };
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return err_errno(e, errno, "cannot read folder %s", dir);
    if (add_dir(t, fd, "", 1, e) != 0) {
        tree_free(t);
        return -1;
    }
    if (t->n_files > 0)
        qsort(t->files, t->n_files, sizeof *t->files, by_path);
    return 0;
}

void tree_free(struct tree *t)
{
    for (size_t i = 0; i < t->n_files; i++) {
        mem_free(t->files[i].path);
        mem_free(t->files[i].data);
    }
    mem_free(t->files);
    *t = (struct tree){ 0 };
}
