/*
 * http_route.c - a trie over path segments. See http_route.h.
 */
#include "http/http_route.h"

#include <string.h>

#include "base/mem.h"

struct leaf {
    char *pattern;       /* NULL: no route for this method */
    int index, n_params;
    char *names;         /* NUL-terminated, one after the other */
};

struct node {
    char *text;          /* of a fixed segment */
    size_t n_text;
    struct node *next;   /* sibling with another text */
    struct node *fixed, *param, *rest;
    struct leaf leaves[METHODS];
};

struct http_router {
    struct node root;    /* stands before the first '/' */
};

struct http_router *http_route_new(void)
{
    return mem_zero(1, sizeof(struct http_router));
}

static void node_deinit(struct node *n)
{
    for (int i = 0; i < METHODS; i++) {
        mem_free(n->leaves[i].pattern);
        mem_free(n->leaves[i].names);
    }
    for (struct node *c = n->fixed, *next; c != NULL; c = next) {
        next = c->next;
        node_deinit(c);
        mem_free(c);
    }
    if (n->param)
        node_deinit(n->param);
    if (n->rest)
        node_deinit(n->rest);
    mem_free(n->param);
    mem_free(n->rest);
    mem_free(n->text);
}

void http_route_free(struct http_router *t)
{
    if (t == NULL)
        return;
    node_deinit(&t->root);
    mem_free(t);
}

static int method_of(const char *text)
{
    for (int m = 0; m < METHODS; m++)
        if (strcmp(text, http_parse_method((enum http_method)m)) == 0)
            return m;
    return -1;
}

static int is_name(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char low = (char)(p[i] | 0x20);
        if (!((low >= 'a' && low <= 'z') || p[i] == '_' || (i > 0 && p[i] >= '0' && p[i] <= '9')))
            return 0;
    }
    return n > 0;
}

static struct node *step(struct node **at)
{
    if (*at == NULL)
        *at = mem_zero(1, sizeof **at);
    return *at;
}

static struct node *step_fixed(struct node *n, const char *p, size_t len)
{
    struct node **at = &n->fixed;

    for (; *at != NULL; at = &(*at)->next)
        if ((*at)->n_text == len && memcmp((*at)->text, p, len) == 0)
            return *at;
    struct node *made = mem_zero(1, sizeof *made);
    char *text = mem_alloc(len + 1);
    if (made == NULL || text == NULL) {
        mem_free(made);
        mem_free(text);
        return NULL;
    }
    memcpy(text, p, len);
    made->text = text;
    made->n_text = len;
    *at = made;
    return made;
}

int http_route_add(struct http_router *t, const char *method, const char *pattern, int index,
                   struct err *e)
{
    int m = method_of(method), n_params = 0, n_segments = 0;
    size_t size = strlen(pattern) + 1, n_names = 0;
    struct node *n = &t->root;

    if (m < 0)
        return err_set(e, ERR_INVALID, "\"%s\" is not a method that can be routed", method);
    if (pattern[0] != '/')
        return err_set(e, ERR_INVALID, "the pattern \"%s\" does not begin with /", pattern);
    char *names = mem_alloc(size), *copy = mem_dup(pattern);
    if (names == NULL || copy == NULL)
        goto nomem;
    for (const char *p = pattern + 1;; p++) {
        size_t len = strcspn(p, "/");
        int is_param = len >= 2 && p[0] == '{' && p[len - 1] == '}';
        int is_rest = is_param && len > 5 && memcmp(p + len - 4, "...}", 4) == 0;
        if (++n_segments > HTTP_ROUTE_SEGMENTS)
            goto invalid;
        if (is_param) {
            size_t k = len - (is_rest ? 5 : 2);
            if (!is_name(p + 1, k) || n_params == HTTP_ROUTE_PARAMS || (is_rest && p[len] != 0))
                goto invalid;
            for (size_t i = 0; i < n_names; i += strlen(names + i) + 1)
                if (strlen(names + i) == k && memcmp(names + i, p + 1, k) == 0)
                    goto invalid; /* the same name twice */
            memcpy(names + n_names, p + 1, k);
            names[n_names + k] = 0;
            n_names += k + 1;
            n_params++;
            n = step(is_rest ? &n->rest : &n->param);
        } else if (memchr(p, '{', len) || memchr(p, '}', len)) {
            goto invalid;
        } else {
            n = step_fixed(n, p, len);
        }
        if (n == NULL)
            goto nomem;
        p += len;
        if (*p == 0)
            break;
    }
    struct leaf *leaf = &n->leaves[m];
    if (leaf->pattern != NULL) {
        err_set(e, ERR_EXISTS, "%s %s clashes with %s %s", method, pattern, method, leaf->pattern);
        goto fail;
    }
    *leaf = (struct leaf){ copy, index, n_params, names };
    return 0;
nomem:
    err_set(e, ERR_NOMEM, "no memory for a route");
    goto fail;
invalid:
    err_set(e, ERR_INVALID, "the pattern \"%s\" is malformed: {name} must be a whole segment, "
                            "{name...} the last, names differ", pattern);
fail:
    mem_free(names);
    mem_free(copy);
    return -1;
}

struct walk {
    struct http_text parts[HTTP_ROUTE_SEGMENTS + 1];
    int n_parts;
    const char *end;                 /* of the decoded path */
    struct http_text values[HTTP_ROUTE_SEGMENTS];
    uint8_t methods[METHODS];        /* seen on nodes that fit the path */
    int method;
    const struct leaf *leaf;
};

static int arrive(struct walk *w, const struct node *n)
{
    for (int m = 0; m < METHODS; m++)
        w->methods[m] |= n->leaves[m].pattern != NULL;
    if (n->leaves[w->method].pattern != NULL)
        w->leaf = &n->leaves[w->method];
    else if (w->method == METHOD_HEAD && n->leaves[METHOD_GET].pattern != NULL)
        w->leaf = &n->leaves[METHOD_GET];
    return w->leaf != NULL;
}

/* Depth is bounded by the patterns, breadth by fixed / {name} / rest at each level. */
static int descend(struct walk *w, const struct node *n, int part, int n_values)
{
    if (part == w->n_parts)
        return arrive(w, n);
    struct http_text t = w->parts[part];
    for (const struct node *c = n->fixed; c != NULL; c = c->next)
        if (c->n_text == t.n && memcmp(c->text, t.p, t.n) == 0) {
            if (descend(w, c, part + 1, n_values))
                return 1;
            break;
        }
    if (n->param != NULL && t.n > 0) {
        w->values[n_values] = t;
        if (descend(w, n->param, part + 1, n_values + 1))
            return 1;
    }
    if (n->rest != NULL) {
        w->values[n_values] = (struct http_text){ t.p, (size_t)(w->end - t.p) };
        return arrive(w, n->rest);
    }
    return 0;
}

static int split(struct walk *w, struct http_text raw, char *room)
{
    int plain = memchr(raw.p, '%', raw.n) == NULL;
    const char *p = raw.p + 1, *end = raw.p + raw.n;
    char *to = room;

    if (raw.n == 0 || raw.p[0] != '/')
        return -1;
    for (;;) {
        const char *slash = memchr(p, '/', (size_t)(end - p));
        size_t n = slash ? (size_t)(slash - p) : (size_t)(end - p);
        if (w->n_parts == HTTP_ROUTE_SEGMENTS)
            return -1; /* longer than any pattern but one with a rest, and nobody asks for that */
        if (plain) {
            w->parts[w->n_parts++] = (struct http_text){ p, n };
        } else {
            long k = http_text_unescape(to, p, n, 0);
            if (k < 0)
                return -1;
            w->parts[w->n_parts++] = (struct http_text){ to, (size_t)k };
            to += k;
            if (slash)
                *to++ = '/';
        }
        if (slash == NULL)
            break;
        p = slash + 1;
    }
    w->end = plain ? end : to;
    return 0;
}

enum http_route_result http_route_match(const struct http_router *t, enum http_method method,
                                        struct http_text raw, char *room,
                                        struct http_route_found *f)
{
    struct walk w;

    w.n_parts = 0;
    w.method = (int)method;
    w.leaf = NULL;
    memset(w.methods, 0, sizeof w.methods);
    if (split(&w, raw, room) != 0)
        return HTTP_ROUTE_NONE;
    if (descend(&w, &t->root, 0, 0)) {
        const char *name = w.leaf->names;
        f->index = w.leaf->index;
        f->n_params = w.leaf->n_params;
        for (int i = 0; i < f->n_params; i++, name += strlen(name) + 1) {
            f->names[i] = name;
            f->values[i] = w.values[i];
        }
        return HTTP_ROUTE_FOUND;
    }
    size_t n = 0;
    w.methods[METHOD_HEAD] |= w.methods[METHOD_GET];
    for (int m = 0; m < METHODS; m++) {
        const char *name = http_parse_method((enum http_method)m);
        if (!w.methods[m] || m == METHOD_OPTIONS)
            continue;
        memcpy(f->allow + n, name, strlen(name));
        n += strlen(name);
        memcpy(f->allow + n, ", ", 2);
        n += 2;
    }
    if (n == 0 && !w.methods[METHOD_OPTIONS])
        return HTTP_ROUTE_NONE;
    memcpy(f->allow + n, "OPTIONS", 8);
    return HTTP_ROUTE_METHOD;
}
