/*
 * http_stat.c - what a server counts. See http_stat.h.
 */
#include "http/http_stat.h"

#include <string.h>

#include "base/mem.h"

const double http_stat_bounds_ms[HTTP_STAT_BUCKETS] = { 0.1, 0.25, 0.5, 1,   2.5,  5,    10,
                                                        25,  50,   100, 250, 1000, 5000, 30000 };

void http_stat_deinit(struct http_stat *s)
{
    for (size_t i = 0; i < s->n_routes; i++)
        mem_free(s->routes[i]);
    mem_free(s->routes);
    s->routes = NULL;
    s->n_routes = s->cap_routes = 0;
}

static struct http_stat_route *add_route(struct http_stat *s, const char *label, size_t n)
{
    if (s->n_routes == s->cap_routes) {
        size_t cap = s->cap_routes ? 2 * s->cap_routes : 16;
        void *p = mem_resize(s->routes, cap * sizeof *s->routes);
        if (p == NULL)
            return NULL;
        s->routes = p;
        s->cap_routes = cap;
    }
    struct http_stat_route *r = mem_zero(1, sizeof *r);
    if (r == NULL)
        return NULL;
    memcpy(r->label, label, n);
    s->routes[s->n_routes++] = r;
    return r;
}

static struct http_stat_route *find(struct http_stat *s, const char *label, size_t n)
{
    const size_t size = sizeof s->index / sizeof *s->index;

    if (n >= HTTP_STAT_LABEL)
        n = HTTP_STAT_LABEL - 1;
    for (;;) {
        uint32_t h = 2166136261u; /* FNV-1a */
        for (size_t i = 0; i < n; i++)
            h = (h ^ (unsigned char)label[i]) * 16777619u;
        size_t at = h % size;
        while (s->index[at] != 0) {
            struct http_stat_route *r = s->routes[s->index[at] - 1];
            if (memcmp(r->label, label, n) == 0 && r->label[n] == 0)
                return r;
            at = (at + 1) % size;
        }
        if (s->n_routes < HTTP_STAT_ROUTES - 1 || (n == 5 && memcmp(label, "other", 5) == 0)) {
            struct http_stat_route *r = add_route(s, label, n);
            if (r != NULL)
                s->index[at] = (uint16_t)s->n_routes;
            return r;
        }
        label = "other";
        n = 5;
    }
}

void http_stat_add(struct http_stat *s, const char *label, size_t n_label, int status, uint64_t ns)
{
    int class = status >= 100 && status < 600 ? status / 100 : 5;
    double ms = (double)ns / 1e6;

    s->requests++;
    s->classes[class]++;
    struct http_stat_route *r = find(s, label, n_label);
    if (r == NULL)
        return;
    r->count++;
    r->classes[class]++;
    r->sum_ns += ns;
    for (int i = 0; i < HTTP_STAT_BUCKETS; i++)
        if (ms <= http_stat_bounds_ms[i]) {
            r->buckets[i]++;
            break;
        }
}
