/*
 * spill.c - see spill.h. All of the file is written before it is mapped: a full disk is an error of
 * write and never a signal.
 */
#include "sheet/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"

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
    if (s->map != NULL)
        munmap(s->map, s->len);
    s->map = NULL;
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
    return s->fd < 0 ? err_errno(e, errno, "temporary file in %s", s->dir) : 0;
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

int spill_seal(struct spill *s, const char **data, struct err *e)
{
    if (s->fd < 0) {
        *data = s->tail.data;
        return 0;
    }
    if (write_tail(s, e) != 0)
        return -1;
    s->map = mmap(NULL, s->len, PROT_READ, MAP_SHARED, s->fd, 0);
    if (s->map == MAP_FAILED) {
        s->map = NULL;
        return err_errno(e, errno, "temporary file in %s", s->dir);
    }
    buf_deinit(&s->tail);
    *data = s->map;
    return 0;
}

void spill_relax(struct spill *s)
{
    if (s->map != NULL)
        madvise(s->map, s->len, MADV_DONTNEED);
}
