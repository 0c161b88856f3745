/*
 * http_cond.h - conditional and range requests (RFC 9110, 13 and 14): what to send of a content
 * with an entity tag and a time.
 */
#ifndef HTTP_COND_H
#define HTTP_COND_H

#include <stdint.h>
#include <time.h>

#include "http/http_parse.h"

struct http_content {
    const char *etag; /* with its quotes, "W/" before a weak one; NULL: none */
    time_t modified;  /* -1: not known */
    uint64_t bytes;
};

enum http_cond_result {
    HTTP_COND_ALL,       /* 200 */
    HTTP_COND_PART,      /* 206, *from … *to inclusive */
    HTTP_COND_SAME,      /* 304 */
    HTTP_COND_FAILED,    /* 412 */
    HTTP_COND_NO_RANGE   /* 416 */
};

enum http_cond_result http_cond_check(const struct http_head *h, const struct http_content *c,
                                      uint64_t *from, uint64_t *to);

#endif
