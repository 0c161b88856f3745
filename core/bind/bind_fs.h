/*
 * bind_fs.h - which folders scripts may use. See bind_fs.c for what they can do there.
 */
#ifndef BIND_FS_H
#define BIND_FS_H

#include <lua.h>

#include "base/err.h"

struct file_roots;

/*
 * Lets scripts use what is in `folder` (which must exist). The first folder is the base of relative
 * paths; before there is one, every path is refused. Before the first script runs.
 */
int bind_fs_allow(const char *folder, int is_writable, struct err *e);

/* The folders so far, for other modules that take paths from scripts; lives as long as the process.
 * NULL: none. */
const struct file_roots *bind_fs_roots(void);

/* Forgets the folders, at the end of the process. */
void bind_fs_forget(void);

int luaopen_core_fs(lua_State *L);

#endif
