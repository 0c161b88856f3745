/*
 * cloud_retry.c - retry rules. See cloud_retry.h.
 */
#include "cloud/cloud_retry.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

static int is_repeatable(const char *method)
{
    static const char *const names[] = { "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(method, names[i]) == 0)
            return 1;
    return 0;
}

int cloud_retry_allowed(const char *method, const struct cloud_reply *reply)
{
    if (reply->e.code != ERR_NONE) {
        if (reply->e.code != ERR_REMOTE && reply->e.code != ERR_TIMEOUT)
            return 0;
        return !reply->is_sent || is_repeatable(method);
    }
    switch (reply->status) {
    case 429:
        return 1;
    case 408:
    case 500:
    case 502:
    case 503:
    case 504:
        return is_repeatable(method);
    default:
        return 0;
    }
}

int cloud_retry_header(const struct buf *headers, const char *name, char *out, size_t bytes)
{
    const char *p = headers->data, *end = p + headers->len;
    size_t n = strlen(name);

    while (p != NULL && p < end) {
        const char *line_end = memchr(p, '\n', (size_t)(end - p));
        line_end = line_end ? line_end : end;
        if ((size_t)(line_end - p) > n && strncasecmp(p, name, n) == 0 && p[n] == ':') {
            p += n + 1;
            while (p < line_end && (*p == ' ' || *p == '\t'))
                p++;
            snprintf(out, bytes, "%.*s", (int)(line_end - p), p);
            return 1;
        }
        p = line_end + 1;
    }
    return 0;
}

/* Milliseconds the server asks for; 0 when it does not. */
static uint64_t asked_ms(const struct cloud_reply *reply)
{
    char text[64], *end;

    if (reply->headers.len == 0 || !cloud_retry_header(&reply->headers, "Retry-After", text, sizeof text))
        return 0;
    unsigned long long seconds = strtoull(text, &end, 10);
    if (end != text && *end == '\0' && text[0] != '-')
        return seconds < 1000000000 ? seconds * 1000 : UINT64_MAX;
    time_t when = curl_getdate(text, NULL), now = time(NULL);
    return when > now ? (uint64_t)(when - now) * 1000 : 0;
}

int64_t cloud_retry_delay(const struct cloud_reply *reply, int n, uint64_t base_ms, uint64_t max_ms)
{
    uint64_t ms = base_ms;
    uint32_t dice = UINT32_MAX / 2;

    for (int i = 1; i < n && ms < max_ms; i++)
        ms *= 2;
    ms = ms < max_ms ? ms : max_ms;
    if (getrandom(&dice, sizeof dice, GRND_NONBLOCK) < 0)
        dice = UINT32_MAX / 2; /* no spread this time */
    ms = (uint64_t)((double)ms * (0.75 + 0.5 * dice / UINT32_MAX));
    uint64_t asked = asked_ms(reply);
    if (asked > 10 * max_ms)
        return -1;
    return (int64_t)(asked > ms ? asked : ms);
}
