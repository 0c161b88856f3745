/*
 * http_sink.c - writes a new file off the loop. See http_sink.h.
 *
 * What a worker uses (fd, is_made, full, hash, err, bytes, has_trouble) is not touched by the loop
 * while `is_busy`; all else is the loop's.
 */
#include "http/http_sink.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"

#define BUFFER_BYTES (1 << 20)
#define WRITE_BYTES HTTP_SINK_WRITE /* a worker is woken for no less, but at the end */

struct http_sink {
    uv_loop_t *loop;
    uv_work_t work;
    char *path;
    struct buf filling, full;
    EVP_MD_CTX *hash;
    int fd;
    struct err err;
    uint64_t bytes;
    char hex[HTTP_SINK_HASH];
    uint8_t is_busy, is_ending, is_last, is_done, is_failed;
    uint8_t is_taken, is_freed, is_made, is_dropping;
    uint8_t has_trouble; /* a worker says that it failed */
    void (*on_ready)(void *arg);
    void *arg;
    void (*on_gone)(void *arg);
    void *on_gone_arg;
};

struct http_sink *http_sink_new(uv_loop_t *loop, const char *path, void (*on_ready)(void *arg),
                                void *arg)
{
    struct http_sink *k = mem_zero(1, sizeof *k);

    if (k == NULL)
        return NULL;
    k->loop = loop;
    k->path = mem_dup(path);
    k->hash = EVP_MD_CTX_new();
    if (k->path == NULL || k->hash == NULL ||
        EVP_DigestInit_ex(k->hash, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(k->hash);
        mem_free(k->path);
        mem_free(k);
        return NULL;
    }
    buf_init(&k->filling, BUFFER_BYTES);
    buf_init(&k->full, BUFFER_BYTES);
    k->fd = -1;
    k->on_ready = on_ready;
    k->arg = arg;
    k->work.data = k;
    return k;
}

/* --- on a worker --- */

static void write_all(struct http_sink *k)
{
    if (!k->is_made) {
        k->fd = open(k->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (k->fd < 0) {
            k->has_trouble = 1;
            err_errno(&k->err, errno, "%s", k->path);
            return;
        }
        k->is_made = 1;
    }
    for (size_t at = 0; at < k->full.len;) {
        ssize_t n = write(k->fd, k->full.data + at, k->full.len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            k->has_trouble = 1;
            err_errno(&k->err, n < 0 ? errno : EIO, "%s", k->path);
            if (n < 0 && errno == EFBIG)
                k->err.code = ERR_FULL; /* over this process's or file system's file size */
            return;
        }
        at += (size_t)n;
    }
    k->bytes += k->full.len;
    EVP_DigestUpdate(k->hash, k->full.data, k->full.len);
}

static void close_last(struct http_sink *k)
{
    static const char HEX[] = "0123456789abcdef";
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    if (close(k->fd) != 0) { /* some file systems tell here that the disk is full */
        k->has_trouble = 1;
        err_errno(&k->err, errno, "%s", k->path);
    }
    k->fd = -1;
    EVP_DigestFinal_ex(k->hash, sum, &n);
    for (unsigned i = 0; i < n && i < 32; i++) {
        k->hex[2 * i] = HEX[sum[i] >> 4];
        k->hex[2 * i + 1] = HEX[sum[i] & 15];
    }
}

static void drop_file(struct http_sink *k)
{
    if (k->fd >= 0)
        close(k->fd);
    k->fd = -1;
    if (k->is_made && !k->is_taken)
        unlink(k->path);
}

static void on_work(uv_work_t *w)
{
    struct http_sink *k = w->data;

    if (k->is_dropping) {
        drop_file(k);
        return;
    }
    write_all(k);
    if (k->is_last && !k->has_trouble)
        close_last(k);
}

/* --- on the loop --- */

static void gone(struct http_sink *k)
{
    void (*on_gone)(void *) = k->on_gone;
    void *arg = k->on_gone_arg;

    buf_deinit(&k->filling);
    buf_deinit(&k->full);
    EVP_MD_CTX_free(k->hash);
    mem_free(k->path);
    mem_free(k);
    if (on_gone != NULL)
        on_gone(arg);
}

static void on_work_done(uv_work_t *w, int status);

/* The end; by way of a worker when there is a file to remove. */
static void drop(struct http_sink *k)
{
    if (k->is_dropping || (k->fd < 0 && (!k->is_made || k->is_taken))) {
        gone(k);
        return;
    }
    k->is_dropping = 1;
    k->is_busy = 1;
    if (uv_queue_work(k->loop, &k->work, on_work, on_work_done) != 0) {
        drop_file(k);
        gone(k);
    }
}

static void start(struct http_sink *k, int is_last)
{
    struct buf b = k->full;

    k->full = k->filling;
    k->filling = b;
    k->filling.len = 0;
    k->is_last = (uint8_t)is_last;
    k->is_busy = 1;
    if (uv_queue_work(k->loop, &k->work, on_work, on_work_done) != 0) {
        k->is_busy = 0;
        k->is_failed = 1;
        err_set(&k->err, ERR_IO, "%s: no worker", k->path);
    }
}

static void on_work_done(uv_work_t *w, int status)
{
    struct http_sink *k = w->data;

    (void)status;
    k->is_busy = 0;
    if (k->has_trouble)
        k->is_failed = 1;
    if (k->is_freed) { /* it was writing then, or has just removed the file */
        drop(k);
        return;
    }
    if (!k->is_failed && k->is_last)
        k->is_done = 1;
    else if (!k->is_failed && (k->is_ending || k->filling.len >= WRITE_BYTES))
        start(k, k->is_ending);
    k->on_ready(k->arg);
}

size_t http_sink_put(struct http_sink *k, const char *p, size_t n)
{
    size_t room = BUFFER_BYTES - k->filling.len;

    assert(!k->is_ending && !k->is_freed);
    if (n > room)
        n = room;
    if (k->is_failed || buf_add(&k->filling, p, n, NULL) != 0) {
        if (!k->is_failed && !k->is_busy) { /* while busy the next on_ready tries again */
            k->is_failed = 1;
            err_set(&k->err, ERR_NOMEM, "no memory to save %s", k->path);
        }
        return 0;
    }
    if (!k->is_busy && k->filling.len >= WRITE_BYTES)
        start(k, 0);
    return n;
}

void http_sink_end(struct http_sink *k)
{
    k->is_ending = 1;
    if (!k->is_busy && !k->is_failed)
        start(k, 1);
}

int http_sink_state(const struct http_sink *k, struct err *e)
{
    if (k->is_busy || !(k->is_failed || k->is_done))
        return 0;
    if (k->is_failed) {
        *e = k->err;
        return -1;
    }
    return 1;
}

void http_sink_take(struct http_sink *k, uint64_t *bytes, char hash[HTTP_SINK_HASH])
{
    assert(k->is_done);
    k->is_taken = 1;
    *bytes = k->bytes;
    memcpy(hash, k->hex, HTTP_SINK_HASH);
}

void http_sink_free(struct http_sink *k)
{
    if (k == NULL)
        return;
    assert(!k->is_freed);
    k->is_freed = 1;
    if (!k->is_busy) /* else on_work_done ends it */
        drop(k);
}

void http_sink_free_then(struct http_sink *k, void (*on_gone)(void *arg), void *arg)
{
    k->on_gone = on_gone;
    k->on_gone_arg = arg;
    http_sink_free(k);
}

size_t http_sink_room(const struct http_sink *k)
{
    return BUFFER_BYTES - k->filling.len;
}
