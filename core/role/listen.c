/*
 * listen.c - several sockets on one port. See listen.h.
 */
#include "role/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 1024

static int port_of(const struct sockaddr_storage *a)
{
    return ntohs(a->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)a)->sin6_port
                                          : ((const struct sockaddr_in *)a)->sin_port);
}

static void set_port(struct sockaddr *a, int port)
{
    if (a->sa_family == AF_INET6)
        ((struct sockaddr_in6 *)a)->sin6_port = htons((uint16_t)port);
    else
        ((struct sockaddr_in *)a)->sin_port = htons((uint16_t)port);
}

static int open_one(struct listen_set *s, const struct addrinfo *a, struct err *e)
{
    struct sockaddr_storage bound;
    socklen_t len = sizeof bound;
    int on = 1;
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return err_errno(e, errno, "cannot make a socket");
    s->fds[s->n] = fd;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0 ||
        bind(fd, a->ai_addr, a->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&bound, &len) != 0) {
        int errnum = errno;
        close(fd);
        return err_errno(e, errnum, "cannot listen at %s port %d", s->host, s->port);
    }
    s->n++;
    s->port = port_of(&bound);
    set_port(a->ai_addr, s->port); /* the others on the same one */
    return 0;
}

/* With SO_REUSEPORT a second server of ours would not be noticed: ask once without it. */
static int port_is_free(const struct listen_set *s, const struct addrinfo *a, struct err *e)
{
    int on = 1, status = 0;
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return err_errno(e, errno, "cannot make a socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, a->ai_addr, a->ai_addrlen) != 0)
        status = err_errno(e, errno, "cannot listen at %s port %d", s->host, s->port);
    close(fd);
    return status;
}

int listen_open(struct listen_set *s, const char *host, int port, int n, struct err *e)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *list = NULL;
    char service[16];
    int status = 0;

    memset(s, 0, sizeof *s);
    snprintf(s->host, sizeof s->host, "%s", host);
    s->port = port;
    snprintf(service, sizeof service, "%d", port);
    int why = getaddrinfo(host[0] ? host : NULL, service, &hints, &list);
    if (why != 0)
        return err_set(e, ERR_INVALID, "cannot listen at %s: %s", host, gai_strerror(why));
    if (port != 0)
        status = port_is_free(s, list, e);
    while (status == 0 && s->n < n && s->n < LISTEN_MAX)
        status = open_one(s, list, e);
    freeaddrinfo(list);
    if (status != 0)
        listen_close(s);
    return status;
}

void listen_close(struct listen_set *s)
{
    for (int i = 0; i < s->n; i++)
        close(s->fds[i]);
    s->n = 0;
}
