/*
 * http_chunk.h - the chunked coding of a body, strictly: hexadecimal size, CR LF after every part,
 * bounded extensions and trailers. Extensions and trailers are checked and thrown away.
 */
#ifndef HTTP_CHUNK_H
#define HTTP_CHUNK_H

#include <stddef.h>
#include <stdint.h>

#define HTTP_CHUNK_LINE_MAX 256         /* size and extensions of one chunk */
#define HTTP_CHUNK_EXTENSIONS_MAX 16384 /* extensions of one body in all */
#define HTTP_CHUNK_TRAILER_MAX 8192     /* all trailer lines */

struct http_chunk {
    uint8_t state;
    uint8_t digits;
    uint16_t line;
    uint32_t extensions, trailer;
    uint64_t left;
};

enum http_chunk_got { HTTP_CHUNK_MORE, HTTP_CHUNK_DATA, HTTP_CHUNK_END, HTTP_CHUNK_BAD };

void http_chunk_init(struct http_chunk *c);

/*
 * Reads on in p[0…n), *used says how far. MORE: all was used, no data. DATA: *data, *n_data are
 * bytes of the body inside p. END: the body and its trailers are over. BAD: refuse with 400.
 */
enum http_chunk_got http_chunk_next(struct http_chunk *c, const char *p, size_t n, size_t *used,
                                    const char **data, size_t *n_data);

#endif
