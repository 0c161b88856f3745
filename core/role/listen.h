/*
 * listen.h - listening sockets of a supervisor: one for each web process, all on one port, the
 * kernel spreads connections over them (SO_REUSEPORT). The supervisor keeps them open, so that
 * connections wait while a process is replaced, and are never refused.
 */
#ifndef ROLE_LISTEN_H
#define ROLE_LISTEN_H

#include "base/err.h"

#define LISTEN_MAX 256

struct listen_set {
    int fds[LISTEN_MAX];
    int n;
    char host[64];
    int port; /* as bound, also when 0 was asked for */
};

/* Binds n sockets. -1 with the address and why. */
int listen_open(struct listen_set *s, const char *host, int port, int n, struct err *e);
void listen_close(struct listen_set *s);

#endif
