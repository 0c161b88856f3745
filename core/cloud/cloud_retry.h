/*
 * cloud_retry.h - whether and when a request is sent again. No state, any thread.
 */
#ifndef CLOUD_RETRY_H
#define CLOUD_RETRY_H

#include <stdint.h>

#include "cloud/cloud_fetch.h"

/*
 * Whether the same request may simply be sent again: an error or status that may pass (408, 429,
 * 500, 502, 503, 504), and a method that may be repeated (RFC 9110 9.2.2), or a request of which
 * nothing was sent, or one that the server says it refused (429).
 */
int cloud_retry_allowed(const char *method, const struct cloud_reply *reply);

/*
 * Milliseconds before retry n (1 = the first): base * 2^(n-1), at most max, times 0.75 … 1.25. A
 * Retry-After of the reply (seconds or date) is honoured when longer, up to ten times max; -1 when it
 * asks for more than that.
 */
int64_t cloud_retry_delay(const struct cloud_reply *reply, int n, uint64_t base_ms, uint64_t max_ms);

/* The value of a header in `headers` ("Name: value\n" lines) into out; 0 when there is none. */
int cloud_retry_header(const struct buf *headers, const char *name, char *out, size_t bytes);

#endif
