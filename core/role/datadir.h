/*
 * datadir.h - the data folder: made, locked, spoken to.
 */
#ifndef ROLE_DATADIR_H
#define ROLE_DATADIR_H

#include <stddef.h>

#include "base/err.h"

/* Makes data_root_dir and the folders below it (0700). */
int datadir_make(struct err *e);

/*
 * Locks it for one supervisor; the descriptor stays open as long as the lock is wanted. -1 `busy`
 * naming the process that holds it.
 */
int datadir_lock(int *fd, struct err *e);

/*
 * Says that this process works with the database (any number may), or that it alone does (is_alone: for
 * putting another one in its place). The descriptor stays open as long as that is so. -1 `busy`.
 */
int datadir_use(int *fd, int is_alone, struct err *e);

/* DATA_ROOT_DIR/name into `to`. -1 `limit` when it does not fit. */
int datadir_path(char *to, size_t size, const char *name, struct err *e);

/*
 * Sends one line to the supervisor of this data folder and reads its one-line answer (blocks, at
 * most 30 s). -1 `notfound` when none is running.
 */
int datadir_ask(const char *line, char *answer, size_t size, struct err *e);

#endif
