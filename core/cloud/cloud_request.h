/*
 * cloud_request.h - what to send to another server, and its check.
 */
#ifndef CLOUD_REQUEST_H
#define CLOUD_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define CLOUD_REQUEST_URL_MAX 8192

struct cloud_reply;
struct cloud_transfer;

/* What to send. Everything is copied; the two fds are taken, also when starting fails. */
struct cloud_request {
    const char *method;         /* NULL: GET */
    const char *url;
    const char *const *headers; /* "Name: value" texts, NULL at the end; may be NULL */
    const char *body;           /* or NULL */
    size_t body_bytes;
    int in_fd;                  /* body from a file, -1: none */
    uint64_t in_bytes;
    int out_fd;                 /* answer's body into a file (only 2xx), -1: into memory */
    uint64_t max_bytes;         /* of the answer's body; more is `limit` */
    uint64_t timeout_ms, connect_timeout_ms; /* 0: none */
    int redirects;              /* followed at most; 0: handed back as they are */
    int http2;                  /* 0: 1.1; 1: when the server offers it by TLS; 2: at once */
    const char *proxy;          /* NULL: none, whatever the environment says */
    const char *ca_file;        /* NULL: those of the system */
    int no_verify;              /* take any certificate: tests only */

    /* Called once on the loop, never from inside cloud_fetch_start, never after a cancel. The reply
     * is borrowed for the call; buffers may be moved out of it. */
    void (*on_done)(struct cloud_reply *reply, void *data);
    void *data;
};

/* An empty request: method GET, 32 MiB, 60 s, 10 s to connect. */
void cloud_request_init(struct cloud_request *r);

/* 0, or -1 and `invalid`, which names the part that is wrong. Nothing that could end a line of the
 * request early, and no address but http and https, gets through. */
int cloud_request_check(const struct cloud_request *r, struct err *e);

/* Puts r into t's curl handle. For cloud_fetch.c. */
int cloud_request_apply(const struct cloud_request *r, struct cloud_transfer *t);

#endif
