/*
 * http_gzip.h - gzip for whole answers. One compressor per server, made at first use.
 */
#ifndef HTTP_GZIP_H
#define HTTP_GZIP_H

#include <stddef.h>

#include "base/buf.h"

#define HTTP_GZIP_MIN 1024        /* below it the head costs more than is won */
#define HTTP_GZIP_MAX (4 << 20)   /* above it the loop would stand still for over 10 ms */

struct http_gzip;

/*
 * Compresses into `to` (cleared first). *g is made when NULL. 0; -1 when there is no memory or it
 * would not become smaller: send it as it is.
 */
int http_gzip_pack(struct http_gzip **g, struct buf *to, const char *data, size_t n);
void http_gzip_free(struct http_gzip *g);

/* Is a body of this Content-Type worth it? */
int http_gzip_is_type(const char *type, size_t n);

#endif
