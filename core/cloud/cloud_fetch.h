/*
 * cloud_fetch.h - HTTP requests to other servers: libcurl's multi interface driven by the loop.
 *
 * One fetcher per loop; it keeps connections open for the next request. Bodies are taken from and
 * put into memory or files; file work goes to the loop's thread pool and holds the transfer back
 * when the disk is slower than the net. Names are resolved by curl's own thread. Only http and
 * https, no redirects unless asked. Loop thread only.
 *
 * Start at cloud_fetch_start. What to send is in cloud_request.h; retrying is the caller's, with
 * cloud_retry.h.
 */
#ifndef CLOUD_FETCH_H
#define CLOUD_FETCH_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/buf.h"
#include "base/err.h"
#include "cloud/cloud_request.h"

#define CLOUD_FETCH_HEADERS_MAX 65536 /* bytes of an answer's head */

struct cloud_fetch;    /* the fetcher */
struct cloud_transfer; /* one request under way */

struct cloud_reply {
    struct err e;       /* code ERR_NONE: an answer came, whatever its status */
    long status;        /* 0: none came */
    struct buf headers; /* "Name: value\n" lines of the last answer, as they came */
    struct buf body;    /* empty when it went to a file */
    uint64_t bytes;     /* of the body, decoded */
    double seconds, connect_seconds;
    long redirects;
    int is_sent;        /* something of the request may have reached the server */
    char *url;          /* where the answer came from */
};

struct cloud_fetch *cloud_fetch_new(uv_loop_t *loop, struct err *e);

/* Ends every transfer without a callback and closes the handles; the memory goes when the loop has
 * run their close callbacks. NULL is fine. */
void cloud_fetch_free(struct cloud_fetch *f);

/* NULL and e (`invalid` names the part that is wrong, `nomem`) or the transfer, which ends itself. */
struct cloud_transfer *cloud_fetch_start(struct cloud_fetch *f, const struct cloud_request *r,
                                         struct err *e);

void cloud_fetch_cancel(struct cloud_transfer *t);

/* Transfers under way. */
size_t cloud_fetch_active(const struct cloud_fetch *f);

#endif
