/*
 * http_save.h - the body of a request, straight into a new file.
 */
#ifndef HTTP_SAVE_H
#define HTTP_SAVE_H

#include "http/http_req.h"
#include "http/http_sink.h"

struct http_save_end {
    int failed;
    struct err err;   /* `limit`, `exists`, `full`, `io`, `timeout`, `cancelled` … */
    uint64_t bytes;
    char hash[HTTP_SINK_HASH];
};

struct http_save;

/*
 * Starts. `done` comes once, from the loop, never from inside this call, and not after
 * http_save_cancel. On failure no file is left. NULL with `e`: nothing was started.
 */
struct http_save *http_save_start(struct http_req *r, const char *path, uint64_t max_bytes,
                                  void (*done)(const struct http_save_end *end, void *arg),
                                  void *arg, struct err *e);

void http_save_cancel(struct http_save *s);

#endif
