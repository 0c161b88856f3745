/*
 * init.c - plastinka init DIR: writes the workflows that travel inside the program to a folder, for
 * editing. A file that is there already is never touched.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/embed.h"
#include "base/err.h"
#include "role/role.h"

#define PREFIX "workflows/"

/* Makes the folders on the way to a file. */
static int make_parents(char *path, struct err *e)
{
    for (char *at = strchr(path + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        int status = mkdir(path, 0777);
        if (status != 0 && errno != EEXIST)
            return err_errno(e, errno, "cannot make folder %s", path);
        *at = '/';
    }
    return 0;
}

/* 1 written, 0 there already, -1. */
static int write_file(char *path, const struct embed_file *f, struct err *e)
{
    if (make_parents(path, e) != 0)
        return -1;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return errno == EEXIST ? 0 : err_errno(e, errno, "cannot write %s", path);
    for (size_t at = 0; at < f->bytes;) {
        ssize_t n = write(fd, f->data + at, f->bytes - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            err_errno(e, errno, "cannot write %s", path);
            close(fd);
            unlink(path);
            return -1;
        }
        at += (size_t)n;
    }
    if (close(fd) != 0)
        return err_errno(e, errno, "cannot write %s", path);
    return 1;
}

int role_init(int argc, char **argv)
{
    const struct embed_file *f;
    char path[4096];
    struct err e;
    int n_written = 0, n_kept = 0;

    if (argc != 1 || argv[0][0] == '-') {
        int help = argc > 0 && strcmp(argv[0], "--help") == 0;
        fputs("usage: plastinka init DIR\n\n"
              "Writes the default workflows to DIR, for editing. Files that are there are kept.\n"
              "Then: plastinka serve --workflows DIR\n",
              help ? stdout : stderr);
        return help ? 0 : 2;
    }
    for (size_t at = 0; (f = embed_next(PREFIX, &at)) != NULL;) {
        int n = snprintf(path, sizeof path, "%s/%s", argv[0], f->name + strlen(PREFIX));
        if (n < 0 || (size_t)n >= sizeof path) {
            fprintf(stderr, "plastinka init: %s: the path is too long\n", argv[0]);
            return 1;
        }
        int status = write_file(path, f, &e);
        if (status < 0) {
            fprintf(stderr, "plastinka init: %s\n", e.text);
            return 1;
        }
        printf("%s %s\n", status ? "wrote" : "kept ", path);
        n_written += status;
        n_kept += !status;
    }
    printf("%d files written, %d kept. Serve them with: plastinka serve --workflows %s\n",
           n_written, n_kept, argv[0]);
    return 0;
}
