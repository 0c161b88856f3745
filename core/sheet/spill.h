/*
 * spill.h - bytes that are only added, then only read: in memory while few, else in a temporary
 * file.
 *
 * The file has no name (it is gone when closed, also after a crash) and is read through a mapping,
 * so its pages are the kernel's to drop; spill_relax drops them at once. One thread at a time.
 */
#ifndef SHEET_SPILL_H
#define SHEET_SPILL_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define SPILL_HEAP_MAX (8u << 20)

struct spill {
    struct buf tail;   /* what is not in the file */
    const char *dir;
    int fd;            /* -1: no file */
    uint64_t len;      /* all bytes */
    char *map;
};

/* `dir` holds the file; NULL: $TMPDIR or /tmp. Borrowed. */
void spill_init(struct spill *s, const char *dir);
void spill_deinit(struct spill *s); /* may run twice */

/* -1: `nomem`, `full`, `io`. Not after spill_seal. */
int spill_add(struct spill *s, const void *data, size_t bytes, struct err *e);

/* No more is added. Sets *data to all `len` bytes, valid until deinit. */
int spill_seal(struct spill *s, const char **data, struct err *e);

/* Lets go of the file's pages; they come back when read. */
void spill_relax(struct spill *s);

#endif
