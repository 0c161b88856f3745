/*
 * http_pairs.h - name=value&name=value: the query of a target, a body of application/x-www-form-urlencoded.
 */
#ifndef HTTP_PAIRS_H
#define HTTP_PAIRS_H

#include "base/err.h"
#include "http/http_text.h"

#define HTTP_PAIRS_MAX 1000 /* in one text */

struct http_pairs {
    const char *at, *end; /* borrowed */
    int n;
};

void http_pairs_init(struct http_pairs *it, const char *p, size_t n);

/*
 * The next pair, as sent; a name without '=' has an empty value, nothing between two '&' is no pair.
 * 1; 0 at the end; -1 `limit` when there are more than HTTP_PAIRS_MAX.
 * Source: URL Standard, 5.1
 */
int http_pairs_next(struct http_pairs *it, struct http_text *name, struct http_text *value,
                    struct err *e);

#endif
