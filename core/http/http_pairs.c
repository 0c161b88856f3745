/*
 * http_pairs.c - name=value&name=value. See http_pairs.h.
 */
#include "http/http_pairs.h"

#include <string.h>

void http_pairs_init(struct http_pairs *it, const char *p, size_t n)
{
    it->at = p;
    it->end = p + n;
    it->n = 0;
}

int http_pairs_next(struct http_pairs *it, struct http_text *name, struct http_text *value,
                    struct err *e)
{
    while (it->at < it->end && *it->at == '&')
        it->at++;
    if (it->at == it->end)
        return 0;
    if (++it->n > HTTP_PAIRS_MAX)
        return err_set(e, ERR_LIMIT, "there are more than %d parameters", HTTP_PAIRS_MAX);
    const char *p = it->at, *amp = memchr(p, '&', (size_t)(it->end - p));
    const char *stop = amp != NULL ? amp : it->end;
    const char *eq = memchr(p, '=', (size_t)(stop - p));
    *name = (struct http_text){ p, (size_t)((eq != NULL ? eq : stop) - p) };
    *value = eq != NULL ? (struct http_text){ eq + 1, (size_t)(stop - eq - 1) }
                        : (struct http_text){ stop, 0 };
    it->at = stop;
    return 1;
}
