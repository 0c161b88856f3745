/*
 * bind_control.h - the control channel of a process; see bind_control.c. Loop thread.
 */
#ifndef BIND_BIND_CONTROL_H
#define BIND_BIND_CONTROL_H

#include "base/err.h"

struct host;

/* How a supervisor tells its children: descriptor numbers and a count, as decimal text. */
#define CONTROL_FD_ENV "PLASTINKA_CONTROL_FD"
#define CONTROL_LISTEN_ENV "PLASTINKA_LISTEN_FD"
#define CONTROL_INDEX_ENV "PLASTINKA_PROCESS_INDEX"
#define CONTROL_GENERATION_ENV "PLASTINKA_GENERATION"

/* Opens the channel named by the environment; without one, only posted lines arrive. */
int control_open(struct host *h, struct err *e);

/* Puts a line into the queue, as if received. -1 when it is full. */
int control_post(struct host *h, const char *line);

#endif
