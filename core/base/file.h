/*
 * file.h - files inside given folders, and nowhere else.
 *
 * A path is absolute and beneath a root, or relative to the first root. ".." is refused, and below
 * a root no symbolic link is followed: each folder on the way is opened by itself (O_NOFOLLOW), so
 * nobody can swap one in between. All calls block: off the loop, please. Roots are set up before
 * other threads use them; after that any thread.
 *
 * Errors besides those of the system: `auth` outside the roots or read-only there, `invalid` for a
 * path or kind of file that will not do, `limit` for what is larger than allowed.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define FILE_PATH_MAX 4096
#define FILE_LIST_MAX 100000 /* entries of one folder */

struct file_roots;

struct file_info {
    char kind;      /* 'f' file, 'd' folder, 'l' link, '?' something else */
    uint64_t bytes; /* of a file */
    double mtime;   /* seconds since 1970 */
    unsigned mode;  /* permission bits */
};

struct file_entry {
    char *name; /* part of the entry's block */
    struct file_info info;
};

struct file_list {
    struct file_entry *items; /* by name, in byte order */
    size_t n;
};

struct file_roots *file_roots_new(void); /* NULL: no memory */
void file_roots_free(struct file_roots *r);

/* Adds a folder, which must exist. The first added is the base of relative paths. */
int file_roots_add(struct file_roots *r, const char *folder, int is_writable, struct err *e);

/* open(2) with O_CLOEXEC | O_NOFOLLOW; only plain files. New files get mode 0640. The caller closes. */
int file_open(const struct file_roots *r, const char *path, int flags, struct err *e);

/* Adds the whole file to out; more than max_bytes is `limit`. */
int file_read(const struct file_roots *r, const char *path, size_t max_bytes, struct buf *out,
              struct err *e);

/* All or nothing: a new file beside it, synced, then renamed over it. With is_new, `exists` when
 * there is one. */
int file_write(const struct file_roots *r, const char *path, const void *data, size_t bytes,
               int is_new, struct err *e);

/* To the end, in one write; the file is made when missing. */
int file_append(const struct file_roots *r, const char *path, const void *data, size_t bytes,
                struct err *e);

int file_stat(const struct file_roots *r, const char *path, struct file_info *info, struct err *e);
int file_list(const struct file_roots *r, const char *path, struct file_list *out, struct err *e);
void file_list_free(struct file_list *l);

/* Makes the folder and those above it; one that is there is fine. */
int file_mkdir(const struct file_roots *r, const char *path, struct err *e);

/* Removes a file or an empty folder; with is_deep also a full one. */
int file_remove(const struct file_roots *r, const char *path, int is_deep, struct err *e);

/* Replaces what is at `to`. Not across file systems. */
int file_rename(const struct file_roots *r, const char *from, const char *to, struct err *e);

/* All or nothing, like file_write. The number of bytes into *bytes. */
int file_copy(const struct file_roots *r, const char *from, const char *to, uint64_t *bytes,
              struct err *e);

/* A new empty file of a random name in `folder`; its name (no folder) is put into out. */
int file_temp(const struct file_roots *r, const char *folder, const char *prefix, char *out,
              size_t bytes, struct err *e);

#endif
