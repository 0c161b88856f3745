/*
 * tree.h - all files of a folder and the folders below it, read at once: a snapshot of workflows.
 *
 * Hidden files, editors' leftovers (x~, x.swp, #x#) and anything that is not a regular file are
 * passed by. Blocks on the disk: for a pool thread or the start of a process.
 */
#ifndef BASE_TREE_H
#define BASE_TREE_H

#include <stddef.h>

#include "base/err.h"

#define TREE_FILES_MAX 4096
#define TREE_BYTES_MAX ((size_t)32 << 20)
#define TREE_DEPTH_MAX 8

struct tree_file {
    char *path; /* below the folder, with / between: "routes/jobs.lua" */
    char *data; /* a NUL stands behind it, not counted */
    size_t bytes;
};

struct tree {
    struct tree_file *files; /* sorted by path */
    size_t n_files, bytes;
};

/* Fills *t; 0, or -1 with `notfound`, `io`, `limit`, `nomem` and *t empty. Free it with tree_free. */
int tree_read(const char *dir, struct tree *t, struct err *e);
void tree_free(struct tree *t);

#endif
