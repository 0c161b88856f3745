/*
 * datadir.c - the data folder. See datadir.h.
 */
#include "role/datadir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/conf.h"

#define ASK_SECONDS 30

int datadir_path(char *to, size_t size, const char *name, struct err *e)
{
    int n = snprintf(to, size, "%s/%s", conf_text("data_root_dir"), name);

    if (n < 0 || (size_t)n >= size)
        return err_set(e, ERR_LIMIT, "%s/%s: the path is longer than %zu bytes",
                       conf_text("data_root_dir"), name, size - 1);
    return 0;
}

/* As mkdir -p, each new folder for its owner only. */
static int make_all(char *path, struct err *e)
{
    for (char *at = path + 1;; at++) {
        char was = *at;
        if (was != '/' && was != '\0')
            continue;
        *at = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            return err_errno(e, errno, "cannot make folder %s", path);
        *at = was;
        if (was == '\0')
            return 0;
    }
}

int datadir_make(struct err *e)
{
    static const char *const below[] = { "database", "models",  "predictions", "reports",
                                         "uploads",  "scratch", "logs" };
    char path[4096];

    for (size_t i = 0; i < sizeof below / sizeof *below; i++)
        if (datadir_path(path, sizeof path, below[i], e) != 0 || make_all(path, e) != 0)
            return -1;
    return 0;
}

int datadir_lock(int *fd, struct err *e)
{
    char path[4096], text[32];

    if (datadir_path(path, sizeof path, "serve.lock", e) != 0)
        return -1;
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0)
        return err_errno(e, errno, "cannot open %s", path);
    if (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
        ssize_t n = pread(*fd, text, sizeof text - 1, 0);
        text[n > 0 ? n : 0] = '\0';
        text[strcspn(text, "\n")] = '\0';
        close(*fd);
        return err_set(e, ERR_BUSY, "the data folder %s is served by process %s already",
                       conf_text("data_root_dir"), text[0] ? text : "(unknown)");
    }
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (ftruncate(*fd, 0) != 0 || pwrite(*fd, text, (size_t)n, 0) != n)
        return err_errno(e, errno, "cannot write %s", path);
    return 0;
}

int datadir_use(int *fd, int is_alone, struct err *e)
{
    char path[4096];

    if (datadir_path(path, sizeof path, "database/use.lock", e) != 0)
        return -1;
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0)
        return err_errno(e, errno, "cannot open %s", path);
    if (flock(*fd, (is_alone ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0)
        return 0;
    close(*fd);
    *fd = -1;
    if (is_alone)
        return err_set(e, ERR_BUSY, "the database in %s is used by another process (plastinka web, work or a "
                       "command): stop it first", conf_text("data_root_dir"));
    return err_set(e, ERR_BUSY, "the database in %s is being restored", conf_text("data_root_dir"));
}

int datadir_ask(const char *line, char *answer, size_t size, struct err *e)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    struct timeval patience = { .tv_sec = ASK_SECONDS };
    size_t got = 0;
    int status = -1;

    if (datadir_path(to.sun_path, sizeof to.sun_path, "control.sock", e) != 0)
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_errno(e, errno, "cannot make a socket");
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        err_set(e, ERR_NOTFOUND, "no server is running on the data folder %s",
                conf_text("data_root_dir"));
        goto done;
    }
    if (send(fd, line, strlen(line), MSG_NOSIGNAL) < 0 || send(fd, "\n", 1, MSG_NOSIGNAL) < 0) {
        err_errno(e, errno, "cannot speak to the server");
        goto done;
    }
    while (got < size - 1 && (got == 0 || answer[got - 1] != '\n')) {
        ssize_t n = recv(fd, answer + got, size - 1 - got, 0);
        if (n <= 0) {
            err_set(e, ERR_TIMEOUT, "the server did not answer within %d s", ASK_SECONDS);
            goto done;
        }
        got += (size_t)n;
    }
    answer[got] = '\0';
    answer[strcspn(answer, "\n")] = '\0';
    status = 0;
done:
    close(fd);
    return status;
}
