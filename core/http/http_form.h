/*
 * http_form.h - a multipart body: values into memory, files to disk under names of our own.
 */
#ifndef HTTP_FORM_H
#define HTTP_FORM_H

#include "base/buf.h"
#include "http/http_multipart.h"
#include "http/http_req.h"
#include "http/http_sink.h"

struct http_form_limits {
    const char *dir;  /* where files go; borrowed for the call */
    uint64_t total_max, part_max;
    size_t value_max;
    unsigned parts_max;
};

struct http_form_part {
    char *name, *type;
    char *filename;         /* what the client calls it, only as text; NULL: a value */
    struct buf value;
    char *path;             /* of a file */
    uint64_t bytes;
    char hash[HTTP_SINK_HASH];
    uint8_t is_kept;        /* set by who wants the file to stay */
};

struct http_form {
    struct http_form_part *parts;
    unsigned n_parts;
    /* below: while it is read */
    struct http_req *r;
    struct http_multipart *m;
    struct http_form_limits limits;
    char *dir;
    struct http_sink *sink; /* of the last part, when it is a file */
    uint64_t total;
    uint8_t part_ended, is_over, is_done, in_pump;
    void (*done)(struct http_form *f, int failed, const struct err *e, void *arg);
    void *arg;
};

/*
 * Starts. When the result has is_done set, all was at hand already and `done` will not come. Else
 * it comes once, from the loop, and not after http_form_free. NULL with `e` (`invalid`: no
 * multipart; `limit`; `nomem`): nothing was started.
 */
struct http_form *http_form_start(struct http_req *r, const struct http_form_limits *l,
                                  void (*done)(struct http_form *f, int failed,
                                               const struct err *e, void *arg),
                                  void *arg, struct err *e);

/* Ends reading if it goes on, removes every file that is not kept, frees. NULL is fine. */
void http_form_free(struct http_form *f);

#endif
