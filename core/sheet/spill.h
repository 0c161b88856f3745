/*
 * spill.h - bytes that are only added, then only read: in memory while few, else in a temporary
 * file.
 *
 * The file has no name, so it is gone when closed, also after a crash. It is read through a cache
 * of a few megabytes, never mapped: mapped pages would count as ours, in numbers the kernel
 * chooses. One thread at a time.
 */
#ifndef SHEET_SPILL_H
#define SHEET_SPILL_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define SPILL_HEAP_MAX (8u << 20)
#define SPILL_BLOCK 4096u
#define SPILL_BLOCKS 1024u /* of the cache */

struct spill {
    struct buf tail;   /* what is not in the file */
    const char *dir;
    int fd;            /* -1: no file */
    uint64_t len;      /* all bytes */
    char *cache;       /* SPILL_BLOCKS blocks; block b is kept in place b % SPILL_BLOCKS */
    uint64_t *blocks;  /* which block + 1 is in each place */
};

/* `dir` holds the file; NULL: $TMPDIR or /tmp. Borrowed. */
void spill_init(struct spill *s, const char *dir);
void spill_deinit(struct spill *s); /* may run twice */

/* -1: `nomem`, `full`, `io`. Not after spill_seal. */
int spill_add(struct spill *s, const void *data, size_t bytes, struct err *e);

/* No more is added; needed before the first spill_read. -1: as spill_add. */
int spill_seal(struct spill *s, struct err *e);

/* All bytes when they are in memory (also NULL when there are none), valid until deinit. */
static inline const char *spill_data(const struct spill *s)
{
    return s->tail.data;
}

static inline int spill_is_file(const struct spill *s)
{
    return s->fd >= 0;
}

/* Copies bytes from …from + n), which must be there. -1 `io`. */
int spill_read(struct spill *s, uint64_t from, size_t n, char *to, struct err *e);

#endif
