/*
 * spill.c - see spill.h.
 */
#include "sheet/spill.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "sheet/sheet_fault.h"

void spill_init(struct spill *s, const char *dir)
{
    memset(s, 0, sizeof *s);
    buf_init(&s->tail, SPILL_HEAP_MAX);
    s->fd = -1;
    s->dir = dir != NULL ? dir : getenv("TMPDIR");
    if (s->dir == NULL || s->dir[0] == '\0')
        s->dir = "/tmp";
}

void spill_deinit(struct spill *s)
{
    mem_free(s->cache);
    mem_free(s->blocks);
    s->cache = NULL;
    s->blocks = NULL;
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    buf_deinit(&s->tail);
}

static int open_file(struct spill *s, struct err *e)
{
    s->fd = open(s->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (s->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) { /* not every file system can */
        struct buf name;
        buf_init(&name, 4096);
        if (buf_addf(&name, e, "%s/sheet-XXXXXX", s->dir) != 0 || buf_text(&name, e) == NULL) {
            buf_deinit(&name);
            return -1;
        }
        s->fd = mkostemp(name.data, O_CLOEXEC);
        if (s->fd >= 0)
            unlink(name.data);
        buf_deinit(&name);
    }
    return s->fd < 0 ? sheet_fault_errno(e, errno, s->dir) : 0;
}

static int write_tail(struct spill *s, struct err *e)
{
    size_t done = 0;

    if (s->fd < 0 && open_file(s, e) != 0)
        return -1;
    while (done < s->tail.len) {
        ssize_t n = write(s->fd, s->tail.data + done, s->tail.len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_errno(e, n < 0 ? errno : ENOSPC, "temporary file in %s", s->dir);
        done += (size_t)n;
    }
    buf_clear(&s->tail);
    return 0;
}

int spill_add(struct spill *s, const void *data, size_t bytes, struct err *e)
{
    const char *p = data;

    while (bytes > 0) {
        size_t room = SPILL_HEAP_MAX - s->tail.len, n = bytes < room ? bytes : room;
        if (n == 0) {
            if (write_tail(s, e) != 0)
                return -1;
            continue;
        }
        if (buf_add(&s->tail, p, n, e) != 0)
            return -1;
        s->len += n;
        p += n;
        bytes -= n;
    }
    return 0;
}

int spill_seal(struct spill *s, struct err *e)
{
    if (s->fd < 0)
        return 0;
    if (write_tail(s, e) != 0)
        return -1;
    buf_deinit(&s->tail);
    s->cache = mem_alloc(SPILL_BLOCKS * (size_t)SPILL_BLOCK);
    s->blocks = mem_zero(SPILL_BLOCKS, sizeof *s->blocks);
    return s->cache == NULL || s->blocks == NULL ? err_set(e, ERR_NOMEM, "out of memory") : 0;
}

/* The block in the cache. NULL `io`. */
static const char *block_of(struct spill *s, uint64_t block, struct err *e)
{
    size_t place = block % SPILL_BLOCKS, done = 0;
    char *to = s->cache + place * SPILL_BLOCK;
    uint64_t from = block * SPILL_BLOCK;
    size_t n = s->len - from < SPILL_BLOCK ? (size_t)(s->len - from) : SPILL_BLOCK;

    if (s->blocks[place] == block + 1)
        return to;
    s->blocks[place] = 0;
    while (done < n) {
        ssize_t got = pread(s->fd, to + done, n - done, (off_t)(from + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            err_errno(e, got < 0 ? errno : EIO, "temporary file in %s", s->dir);
            return NULL;
        }
        done += (size_t)got;
    }
    s->blocks[place] = block + 1;
    return to;
}

int spill_read(struct spill *s, uint64_t from, size_t n, char *to, struct err *e)
{
    assert(from <= s->len && n <= s->len - from);
    if (s->fd < 0) {
        if (n > 0)
            memcpy(to, s->tail.data + from, n);
        return 0;
    }
    while (n > 0) {
        const char *block = block_of(s, from / SPILL_BLOCK, e);
        size_t at = from % SPILL_BLOCK, len = SPILL_BLOCK - at < n ? SPILL_BLOCK - at : n;
        if (block == NULL)
            return -1;
        memcpy(to, block + at, len);
        from += len;
        to += len;
        n -= len;
    }
    return 0;
}
