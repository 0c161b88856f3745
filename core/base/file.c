/*
 * file.c - confined file operations. See file.h.
 *
 * Everything begins with `place`: the open parent folder and the last name of a path. From there on
 * only the *at() calls are used, with that one name.
 */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

#define ROOTS_MAX 16
#define DEPTH_MAX 64
#define COPY_BYTES ((size_t)1 << 20)

struct root {
    char *path; /* real path, no slash at the end ("" for /) */
    int fd;
    int is_writable;
};

struct file_roots {
    struct root items[ROOTS_MAX];
    size_t n;
};

struct place {
    int dir;           /* parent folder, owned */
    char name[NAME_MAX + 1]; /* "." for a root itself */
    int is_writable;
};

struct file_roots *file_roots_new(void)
{
    return mem_zero(1, sizeof(struct file_roots));
}

void file_roots_free(struct file_roots *r)
{
    for (size_t i = 0; r != NULL && i < r->n; i++) {
        close(r->items[i].fd);
        mem_free(r->items[i].path);
    }
    mem_free(r);
}

int file_roots_add(struct file_roots *r, const char *folder, int is_writable, struct err *e)
{
    char real[PATH_MAX];
    struct root *to = &r->items[r->n];

    if (r->n == ROOTS_MAX)
        return err_set(e, ERR_LIMIT, "more than %d roots", ROOTS_MAX);
    if (realpath(folder, real) == NULL)
        return err_errno(e, errno, "folder %s", folder);
    to->fd = open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (to->fd < 0)
        return err_errno(e, errno, "folder %s", folder);
    to->path = mem_dup(strcmp(real, "/") == 0 ? "" : real);
    if (to->path == NULL) {
        close(to->fd);
        return err_set(e, ERR_NOMEM, "no memory for a path");
    }
    to->is_writable = is_writable;
    r->n++;
    return 0;
}

/* ---- finding the place of a path ---- */

/* The root that holds an absolute path, the longest one; *rest is what is below it. */
static const struct root *root_of(const struct file_roots *r, const char *path, const char **rest)
{
    const struct root *best = NULL;
    size_t longest = 0;

    for (size_t i = 0; i < r->n; i++) {
        size_t n = strlen(r->items[i].path);
        if (strncmp(path, r->items[i].path, n) == 0 && (path[n] == '/' || path[n] == '\0') &&
            (best == NULL || n > longest)) {
            best = &r->items[i];
            longest = n;
            *rest = path + n;
        }
    }
    return best;
}

/* Takes the next name of *path into name. 1, 0 at the end, -1 for a name that is refused. */
static int next_name(const char **path, char *name)
{
    for (;;) {
        const char *p = *path + strspn(*path, "/");
        size_t n = strcspn(p, "/");
        *path = p + n;
        if (n == 0)
            return 0;
        if (n > NAME_MAX || (n == 2 && memcmp(p, "..", 2) == 0))
            return -1;
        if (n == 1 && *p == '.')
            continue;
        memcpy(name, p, n);
        name[n] = '\0';
        return 1;
    }
}

static int place_open(struct place *at, const struct file_roots *r, const char *path, int for_write,
                      struct err *e)
{
    const char *rest = path;
    const struct root *root = r->n ? &r->items[0] : NULL;
    char next[NAME_MAX + 1];
    int more;

    if (strlen(path) > FILE_PATH_MAX)
        return err_set(e, ERR_INVALID, "a path of more than %d bytes", FILE_PATH_MAX);
    if (path[0] == '/')
        root = root_of(r, path, &rest);
    if (root == NULL)
        return err_set(e, ERR_AUTH, "path %.300s is outside the folders that may be used", path);
    if (for_write && !root->is_writable)
        return err_set(e, ERR_AUTH, "path %.300s may only be read", path);
    at->is_writable = root->is_writable;
    at->dir = fcntl(root->fd, F_DUPFD_CLOEXEC, 0);
    if (at->dir < 0)
        return err_errno(e, errno, "path %.300s", path);
    snprintf(at->name, sizeof at->name, ".");
    while ((more = next_name(&rest, next)) > 0) {
        if (strcmp(at->name, ".") != 0) {
            int fd = openat(at->dir, at->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            int why = errno;
            close(at->dir);
            if (fd < 0)
                return err_errno(e, why, "path %.300s", path);
            at->dir = fd;
        }
        memcpy(at->name, next, sizeof next);
    }
    if (more < 0) {
        close(at->dir);
        return err_set(e, ERR_INVALID, "path %.300s: \"..\" and names of more than %d bytes are refused",
                       path, NAME_MAX);
    }
    return 0;
}

/* As place_open, for a thing that must have a name: not a root itself. */
static int place_named(struct place *at, const struct file_roots *r, const char *path, struct err *e)
{
    if (place_open(at, r, path, 1, e) != 0)
        return -1;
    if (strcmp(at->name, ".") != 0)
        return 0;
    close(at->dir);
    return err_set(e, ERR_INVALID, "path \"%.300s\": a name in the folder expected", path);
}

/* ---- reading and writing ---- */

/* O_NONBLOCK: a pipe or device must not hold the thread; what is no plain file is refused then. */
static int open_plain(const struct place *at, int flags, const char *path, struct err *e)
{
    struct stat st;
    int fd = openat(at->dir, at->name, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);

    if (fd < 0)
        return err_errno(e, errno == ELOOP ? EACCES : errno, "file %.300s", path);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return err_set(e, ERR_INVALID, "%.300s is not a plain file", path);
    }
    return fd;
}

int file_open(const struct file_roots *r, const char *path, int flags, struct err *e)
{
    struct place at;

    if (place_open(&at, r, path, (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)), e) != 0)
        return -1;
    int fd = open_plain(&at, flags, path, e);
    close(at.dir);
    return fd;
}

int file_read(const struct file_roots *r, const char *path, size_t max_bytes, struct buf *out,
              struct err *e)
{
    size_t before = out->len;
    int rc = -1, fd = file_open(r, path, O_RDONLY, e);
    struct stat st;

    if (fd < 0)
        return -1;
    if (fstat(fd, &st) == 0 && (uint64_t)st.st_size > max_bytes) {
        err_set(e, ERR_LIMIT, "file %.300s has %llu bytes; at most %zu expected", path,
                (unsigned long long)st.st_size, max_bytes);
        goto done;
    }
    for (;;) { /* it may grow meanwhile, or be of those that have no size */
        size_t want = (size_t)st.st_size > out->len - before ? (size_t)st.st_size - (out->len - before) : 4096;
        char *room = buf_room(out, want, e);
        if (room == NULL)
            goto done;
        ssize_t n = read(fd, room, want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            err_errno(e, errno, "file %.300s", path);
            goto done;
        }
        if (n == 0)
            break;
        out->len += (size_t)n;
        if (out->len - before > max_bytes) {
            err_set(e, ERR_LIMIT, "file %.300s has more than %zu bytes", path, max_bytes);
            goto done;
        }
    }
    rc = 0;
done:
    if (rc != 0)
        out->len = before;
    close(fd);
    return rc;
}

static int write_all(int fd, const char *data, size_t bytes, const char *path, struct err *e)
{
    while (bytes > 0) {
        ssize_t n = write(fd, data, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, errno, "file %.300s", path);
        data += n;
        bytes -= (size_t)n;
    }
    return 0;
}

static void random_name(char *out, size_t bytes, const char *prefix, const char *suffix)
{
    unsigned char dice[12] = { 0 };
    char hex[25];

    while (getrandom(dice, sizeof dice, 0) < 0 && errno == EINTR)
        ;
    for (size_t i = 0; i < sizeof dice; i++)
        snprintf(hex + 2 * i, 3, "%02x", dice[i]);
    snprintf(out, bytes, "%.64s%.24s%.16s", prefix, hex, suffix);
}

/* A new file beside `at`, to be renamed over it. */
static int draft_open(const struct place *at, char *name, size_t bytes, const char *path, struct err *e)
{
    random_name(name, bytes, ".", ".part");
    int fd = openat(at->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
    return fd < 0 ? err_errno(e, errno, "file %.300s", path) : fd;
}

/* Makes the draft the file: after this returns 0, a power cut cannot take it back. Closes fd. */
static int draft_publish(const struct place *at, int fd, const char *draft, int is_new,
                         const char *path, struct err *e)
{
    int rc = fsync(fd), why = errno;

    if (close(fd) != 0 && rc == 0) {
        rc = -1;
        why = errno;
    }
    if (rc == 0) {
        rc = is_new ? linkat(at->dir, draft, at->dir, at->name, 0)
                    : renameat(at->dir, draft, at->dir, at->name);
        why = errno;
    }
    if (rc != 0 || is_new)
        unlinkat(at->dir, draft, 0);
    if (rc != 0)
        return err_errno(e, why, "file %.300s", path);
    int dir = openat(at->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0) {
        fsync(dir);
        close(dir);
    }
    return 0;
}

int file_write(const struct file_roots *r, const char *path, const void *data, size_t bytes,
               int is_new, struct err *e)
{
    struct place at;
    char draft[64];
    int rc = -1;

    if (place_named(&at, r, path, e) != 0)
        return -1;
    int fd = draft_open(&at, draft, sizeof draft, path, e);
    if (fd >= 0) {
        if (write_all(fd, data, bytes, path, e) == 0) {
            rc = draft_publish(&at, fd, draft, is_new, path, e);
        } else {
            close(fd);
            unlinkat(at.dir, draft, 0);
        }
    }
    close(at.dir);
    return rc;
}

int file_append(const struct file_roots *r, const char *path, const void *data, size_t bytes,
                struct err *e)
{
    int fd = file_open(r, path, O_WRONLY | O_CREAT | O_APPEND, e);

    if (fd < 0)
        return -1;
    int rc = write_all(fd, data, bytes, path, e);
    if (close(fd) != 0 && rc == 0)
        rc = err_errno(e, errno, "file %.300s", path);
    return rc;
}

/* ---- looking ---- */

static void info_fill(struct file_info *info, const struct stat *st)
{
    info->kind = S_ISREG(st->st_mode) ? 'f' : S_ISDIR(st->st_mode) ? 'd' : S_ISLNK(st->st_mode) ? 'l' : '?';
    info->bytes = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
    info->mtime = (double)st->st_mtim.tv_sec + (double)st->st_mtim.tv_nsec * 1e-9;
    info->mode = st->st_mode & 07777;
}

int file_stat(const struct file_roots *r, const char *path, struct file_info *info, struct err *e)
{
    struct place at;
    struct stat st;

    if (place_open(&at, r, path, 0, e) != 0)
        return -1;
    int rc = fstatat(at.dir, at.name, &st, AT_SYMLINK_NOFOLLOW), why = errno;
    close(at.dir);
    if (rc != 0)
        return err_errno(e, why, "%.300s", path);
    info_fill(info, &st);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct file_entry *)a)->name, ((const struct file_entry *)b)->name);
}

void file_list_free(struct file_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        mem_free(l->items[i].name);
    mem_free(l->items);
    *l = (struct file_list){ 0 };
}

static int list_add(struct file_list *l, size_t *cap, int dir, const char *name, struct err *e)
{
    struct stat st;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return 0; /* gone meanwhile */
    if (l->n == FILE_LIST_MAX)
        return err_set(e, ERR_LIMIT, "a folder with more than %d entries", FILE_LIST_MAX);
    if (l->n == *cap) {
        size_t more = *cap ? 2 * *cap : 64;
        struct file_entry *p = mem_resize(l->items, more * sizeof *p);
        if (p == NULL)
            return err_set(e, ERR_NOMEM, "no memory for a list of files");
        l->items = p;
        *cap = more;
    }
    struct file_entry *to = &l->items[l->n];
    to->name = mem_dup(name);
    if (to->name == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a list of files");
    info_fill(&to->info, &st);
    l->n++;
    return 0;
}

int file_list(const struct file_roots *r, const char *path, struct file_list *out, struct err *e)
{
    struct place at;
    size_t cap = 0;
    int rc = 0;

    *out = (struct file_list){ 0 };
    if (place_open(&at, r, path, 0, e) != 0)
        return -1;
    int fd = openat(at.dir, at.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), why = errno;
    close(at.dir);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        if (fd >= 0)
            close(fd);
        return err_errno(e, why, "folder %.300s", path);
    }
    for (struct dirent *d; rc == 0 && (d = readdir(dir)) != NULL;)
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
            rc = list_add(out, &cap, fd, d->d_name, e);
    closedir(dir);
    if (rc != 0)
        file_list_free(out);
    else if (out->n > 1)
        qsort(out->items, out->n, sizeof *out->items, by_name);
    return rc;
}

/* ---- changing the tree ---- */

int file_mkdir(const struct file_roots *r, const char *path, struct err *e)
{
    char part[FILE_PATH_MAX + 1];
    struct place at;
    size_t n = strlen(path);

    if (n > FILE_PATH_MAX)
        return err_set(e, ERR_INVALID, "a path of more than %d bytes", FILE_PATH_MAX);
    /* from the front: each prefix that is a path beneath a root */
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        const char *rest;
        if (part[0] == '/' && root_of(r, part, &rest) == NULL && i < n)
            continue; /* still above the root */
        if (place_open(&at, r, part, 1, e) != 0)
            return -1;
        int rc = strcmp(at.name, ".") == 0 ? 0 : mkdirat(at.dir, at.name, 0750), why = errno;
        struct stat st;
        if (rc != 0 && why == EEXIST && fstatat(at.dir, at.name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISDIR(st.st_mode))
            rc = 0;
        close(at.dir);
        if (rc != 0)
            return err_errno(e, why, "folder %.300s", part);
    }
    return 0;
}

static int remove_deep(int dir, const char *name, int depth)
{
    int rc = 0;

    if (unlinkat(dir, name, 0) == 0)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -1;
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    DIR *d = depth < DEPTH_MAX ? fdopendir(fd) : NULL;
    if (d == NULL) {
        close(fd);
        errno = depth < DEPTH_MAX ? errno : EFBIG;
        return -1;
    }
    for (struct dirent *x; rc == 0 && (x = readdir(d)) != NULL;)
        if (strcmp(x->d_name, ".") != 0 && strcmp(x->d_name, "..") != 0)
            rc = remove_deep(fd, x->d_name, depth + 1);
    int why = errno;
    closedir(d);
    errno = why;
    return rc != 0 ? rc : unlinkat(dir, name, AT_REMOVEDIR);
}

int file_remove(const struct file_roots *r, const char *path, int is_deep, struct err *e)
{
    struct place at;

    if (place_named(&at, r, path, e) != 0)
        return -1;
    int rc = is_deep ? remove_deep(at.dir, at.name, 0) : unlinkat(at.dir, at.name, 0);
    if (rc != 0 && !is_deep && (errno == EISDIR || errno == EPERM))
        rc = unlinkat(at.dir, at.name, AT_REMOVEDIR);
    int why = errno == ENOTEMPTY ? EEXIST : errno;
    close(at.dir);
    return rc == 0 ? 0 : err_errno(e, why, "removing %.300s", path);
}

int file_rename(const struct file_roots *r, const char *from, const char *to, struct err *e)
{
    struct place a, b;

    if (place_named(&a, r, from, e) != 0)
        return -1;
    if (place_named(&b, r, to, e) != 0) {
        close(a.dir);
        return -1;
    }
    int rc = renameat(a.dir, a.name, b.dir, b.name), why = errno;
    close(a.dir);
    close(b.dir);
    return rc == 0 ? 0 : err_errno(e, why, "renaming %.200s to %.200s", from, to);
}

static int copy_bytes(int from, int to, uint64_t *bytes, const char *path, struct err *e)
{
    char *room = NULL;
    int rc = 0;

    *bytes = 0;
    for (;;) { /* inside the kernel where the file systems can */
        ssize_t n = copy_file_range(from, NULL, to, NULL, (size_t)1 << 30, 0);
        if (n > 0)
            *bytes += (uint64_t)n;
        else if (n == 0)
            return 0;
        else
            break;
    }
    if ((room = mem_alloc(COPY_BYTES)) == NULL)
        return err_set(e, ERR_NOMEM, "no memory to copy a file");
    for (ssize_t n; rc == 0 && (n = read(from, room, COPY_BYTES)) != 0;) {
        if (n < 0 && errno == EINTR)
            continue;
        rc = n < 0 ? err_errno(e, errno, "copying %.300s", path) : write_all(to, room, (size_t)n, path, e);
        *bytes += n > 0 ? (uint64_t)n : 0;
    }
    mem_free(room);
    return rc;
}

int file_copy(const struct file_roots *r, const char *from, const char *to, uint64_t *bytes,
              struct err *e)
{
    struct place at;
    char draft[64];
    int rc = -1, in = file_open(r, from, O_RDONLY, e);

    if (in < 0)
        return -1;
    if (place_named(&at, r, to, e) != 0) {
        close(in);
        return -1;
    }
    int out = draft_open(&at, draft, sizeof draft, to, e);
    if (out >= 0) {
        if (copy_bytes(in, out, bytes, from, e) == 0) {
            rc = draft_publish(&at, out, draft, 0, to, e);
        } else {
            close(out);
            unlinkat(at.dir, draft, 0);
        }
    }
    close(in);
    close(at.dir);
    return rc;
}

int file_temp(const struct file_roots *r, const char *folder, const char *prefix, char *out,
              size_t bytes, struct err *e)
{
    char path[FILE_PATH_MAX + 1];

    if (strchr(prefix, '/') != NULL || strlen(prefix) > 64)
        return err_set(e, ERR_INVALID, "prefix \"%.80s\": at most 64 bytes without / expected", prefix);
    random_name(out, bytes, prefix, "");
    if ((size_t)snprintf(path, sizeof path, "%s/%s", *folder ? folder : ".", out) >= sizeof path)
        return err_set(e, ERR_INVALID, "a path of more than %d bytes", FILE_PATH_MAX);
    int fd = file_open(r, path, O_WRONLY | O_CREAT | O_EXCL, e);
    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}
