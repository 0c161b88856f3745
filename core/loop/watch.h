/*
 * watch.h - calls back when something in a folder, or in folders below it, has changed and then
 * been quiet for a while. Watches folders, not files, so editors that write by rename are seen.
 * Loop thread.
 */
#ifndef LOOP_WATCH_H
#define LOOP_WATCH_H

#include <uv.h>

#include "base/err.h"

struct watch;

/* NULL with `notfound` or `io`. Does not keep the loop alive. */
struct watch *watch_open(uv_loop_t *loop, const char *dir, unsigned quiet_ms,
                         void (*fn)(void *arg), void *arg, struct err *e);
void watch_close(struct watch *w); /* NULL is fine */

#endif
