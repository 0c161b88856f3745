/*
 * http_route.h - finds the route of a request: a trie over path segments.
 *
 * Patterns: "/api/v1/jobs/{job_id}": {name} is one segment that is not empty, {name...} at the end
 * is the rest of the path. A fixed segment is preferred to {name}, {name} to the rest, and what
 * leads nowhere is tried again with the next. Segments are decoded one by one: an encoded slash
 * does not make two of one.
 */
#ifndef HTTP_ROUTE_H
#define HTTP_ROUTE_H

#include "base/err.h"
#include "http/http_parse.h"

#define HTTP_ROUTE_PARAMS 16
#define HTTP_ROUTE_SEGMENTS 64
#define HTTP_ROUTE_ALLOW 64

struct http_router;

struct http_route_found {
    int index;
    int n_params;
    const char *names[HTTP_ROUTE_PARAMS];    /* of the router */
    struct http_text values[HTTP_ROUTE_PARAMS]; /* in the path or in the room given */
    char allow[HTTP_ROUTE_ALLOW];            /* when the method is none of the path's */
};

enum http_route_result { HTTP_ROUTE_FOUND, HTTP_ROUTE_NONE, HTTP_ROUTE_METHOD };

struct http_router *http_route_new(void); /* NULL: no memory */
void http_route_free(struct http_router *t);

/* -1: `invalid` pattern or method, `exists` (names both), `nomem`. The index is the caller's. */
int http_route_add(struct http_router *t, const char *method, const char *pattern, int index,
                   struct err *e);

/*
 * The route for a raw path (before '?'). HEAD falls back to GET. `room` takes raw.n bytes.
 * METHOD: the path is known, f->allow lists its methods.
 */
enum http_route_result http_route_match(const struct http_router *t, enum http_method method,
                                        struct http_text raw, char *room,
                                        struct http_route_found *f);

#endif
