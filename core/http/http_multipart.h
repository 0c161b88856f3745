/*
 * http_multipart.h - reads multipart/form-data (RFC 7578, RFC 2046) piece by piece.
 *
 * Strict where it matters: lines end in CR LF, every part has one Content-Disposition of form-data
 * with a name, headers are bounded. Allocates nothing.
 */
#ifndef HTTP_MULTIPART_H
#define HTTP_MULTIPART_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define HTTP_MULTIPART_BOUNDARY 70
#define HTTP_MULTIPART_HEAD 4096
#define HTTP_MULTIPART_NAME 256

enum http_multipart_got {
    HTTP_MULTIPART_MORE, /* all was used */
    HTTP_MULTIPART_PART, /* a part begins: name, filename, type are set */
    HTTP_MULTIPART_DATA, /* bytes of it */
    HTTP_MULTIPART_PART_END,
    HTTP_MULTIPART_END,  /* what follows is of no interest */
    HTTP_MULTIPART_BAD   /* why says what is wrong */
};

struct http_multipart {
    uint8_t state;
    uint8_t has_filename;
    size_t matched;                             /* of delim, at the end of what came in */
    size_t n_delim, n_head;
    char delim[HTTP_MULTIPART_BOUNDARY + 4];    /* CR LF - - boundary */
    char head[HTTP_MULTIPART_HEAD];
    char name[HTTP_MULTIPART_NAME], filename[HTTP_MULTIPART_NAME], type[HTTP_MULTIPART_NAME];
    const char *why;
};

/* Takes the boundary out of a Content-Type. -1: `invalid`, it is no multipart/form-data. */
int http_multipart_init(struct http_multipart *m, const char *type, size_t n, struct err *e);

/* Reads on in p[0…n); *used says how far. DATA: *data, *n_data; they may lie outside of p. */
enum http_multipart_got http_multipart_next(struct http_multipart *m, const char *p, size_t n,
                                            size_t *used, const char **data, size_t *n_data);

#endif
