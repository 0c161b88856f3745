/*
 * http_date.h - times as HTTP writes them: "Sun, 06 Nov 1994 08:49:37 GMT". Loop thread only.
 */
#ifndef HTTP_DATE_H
#define HTTP_DATE_H

#include <time.h>

#define HTTP_DATE_BYTES 29

/* Now; made once a second. */
const char *http_date_now(void);

void http_date_write(char to[HTTP_DATE_BYTES], time_t t);

/* -1 when it is no date of the one form that may be sent (RFC 9110, 5.6.7); the old two are not. */
time_t http_date_read(const char *p, size_t n);

#endif
