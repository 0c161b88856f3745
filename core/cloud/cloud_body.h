/*
 * cloud_body.h - a transfer from the inside: its buffers and files. For cloud_*.c only.
 *
 * curl asks for bytes (cloud_body_give) and brings bytes (cloud_body_take). Files are read and
 * written in slices on the thread pool; while that takes longer than the net, the transfer pauses.
 */
#ifndef CLOUD_BODY_H
#define CLOUD_BODY_H

#include <curl/curl.h>
#include <uv.h>

#include "cloud/cloud_fetch.h"

#define CLOUD_SLICE_BYTES ((size_t)256 << 10)

/* One body file. `busy` while the thread pool works on `slice`. */
struct cloud_side {
    int fd; /* -1: none */
    uv_fs_t req;
    struct buf slice, waiting; /* out: what is being written, what comes next; in: slice only */
    uint64_t offset, bytes;    /* in: how far, how long */
    size_t used;               /* in: bytes of the slice that curl has taken */
    int is_busy, is_paused;
};

struct cloud_transfer {
    struct cloud_fetch *f;
    uv_loop_t *loop;
    struct cloud_transfer *next, **self;
    CURL *easy;
    struct curl_slist *headers;
    char *body;
    struct cloud_side in, out;
    uint64_t max_bytes;
    struct cloud_reply reply;
    void (*on_done)(struct cloud_reply *reply, void *data);
    void *data;
    int is_done, is_cancelled;
};

/* curl's callbacks; p is the transfer. */
size_t cloud_body_take(char *data, size_t size, size_t n, void *p);
size_t cloud_body_head(char *data, size_t size, size_t n, void *p);
size_t cloud_body_give(char *to, size_t size, size_t n, void *p);
int cloud_body_rewind(void *p, curl_off_t offset, int origin);

/* In cloud_fetch.c: a transfer that is done or cancelled ends here once no thread works for it. */
void cloud_fetch_settle(struct cloud_transfer *t);

#endif
