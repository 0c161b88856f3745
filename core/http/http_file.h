/*
 * http_file.h - answers with a file or with bytes in memory, conditional and by ranges. Files are
 * opened and read off the loop.
 */
#ifndef HTTP_FILE_H
#define HTTP_FILE_H

#include "http/http_req.h"

struct http_file_opt {
    const char *type;     /* Content-Type; NULL: by the ending of the name */
    const char *download; /* file name for Content-Disposition; NULL: shown in place */
    const char *cache;    /* Cache-Control; NULL: none, or for ever when immutable */
    int immutable;
};

struct http_file;

/*
 * Starts to answer with a regular file. `done` comes once, from the loop, not from inside this call
 * and not after http_file_cancel: failed with `notfound`, `auth`, `io` … and the request still
 * unanswered; or the answer is under way and goes on by itself (the connection is cut when the file
 * cannot be read to its end). NULL with `e`.
 */
struct http_file *http_file_send(struct http_req *r, const char *path,
                                 const struct http_file_opt *opt,
                                 void (*done)(int failed, const struct err *e, void *arg),
                                 void *arg, struct err *e);

/* Before `done` came: stops, the request is unanswered. */
void http_file_cancel(struct http_file *f);

/* The Content-Type for a file name; "application/octet-stream" when the ending is not known. */
const char *http_file_type(const char *path);

/*
 * Answers with bytes at hand by the same rules, after http_reply_start(r, 200) and any headers: the
 * status is changed to what the conditions say. `etag` with its quotes. 0 or -1.
 */
int http_file_bytes(struct http_req *r, const char *data, size_t n, const char *etag,
                    struct err *e);

#endif
