/*
 * db_value.c - values, arguments and rows; see the header.
 */
#include "db/db_value.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

#define CHUNK_MIN 2048
#define CHUNK_MAX (1u << 20)
#define CELLS_MIN 64

struct db_chunk {
    struct db_chunk *next;
    size_t used, size;
    _Alignas(8) char data[];
};

void *db_arena_take(struct db_arena *a, size_t bytes)
{
    struct db_chunk *c = a->chunks;
    size_t want = (bytes + 7) & ~(size_t)7, size;

    if (want < bytes)
        return NULL;
    if (c == NULL || c->size - c->used < want) {
        size = c == NULL ? CHUNK_MIN : c->size < CHUNK_MAX ? c->size * 2 : CHUNK_MAX;
        if (size < want)
            size = want;
        if (size > SIZE_MAX - sizeof *c || (c = mem_alloc(sizeof *c + size)) == NULL)
            return NULL;
        c->next = a->chunks;
        c->used = 0;
        c->size = size;
        a->chunks = c;
    }
    c->used += want;
    return c->data + c->used - want;
}

static void chunks_free(struct db_chunk *c, struct db_chunk *keep)
{
    while (c != NULL) {
        struct db_chunk *next = c->next;
        if (c != keep)
            mem_free(c);
        c = next;
    }
}

void db_arena_clear(struct db_arena *a)
{
    struct db_chunk *keep = a->chunks;

    if (keep == NULL)
        return;
    while (keep->next != NULL) /* the oldest is the smallest */
        keep = keep->next;
    chunks_free(a->chunks, keep);
    keep->next = NULL;
    keep->used = 0;
    a->chunks = keep;
}

void db_arena_deinit(struct db_arena *a)
{
    chunks_free(a->chunks, NULL);
    a->chunks = NULL;
}

char *db_arena_copy(struct db_arena *a, const void *data, size_t bytes)
{
    char *copy = bytes < SIZE_MAX ? db_arena_take(a, bytes + 1) : NULL;

    if (copy == NULL)
        return NULL;
    if (bytes > 0)
        memcpy(copy, data, bytes);
    copy[bytes] = '\0';
    return copy;
}

int db_arena_args(struct db_arena *a, struct db_args *to, const struct db_args *from,
                  struct err *e)
{
    struct db_value *values;
    const char **names = NULL;
    size_t n = (size_t)from->n;

    to->n = 0;
    to->values = NULL;
    to->names = NULL;
    if (n == 0)
        return 0;
    values = db_arena_take(a, n * sizeof *values);
    if (from->names != NULL)
        names = db_arena_take(a, n * sizeof *names);
    if (values == NULL || (from->names != NULL && names == NULL))
        return err_set(e, ERR_NOMEM, "no memory for %d arguments", from->n);
    for (size_t i = 0; i < n; i++) {
        values[i] = from->values[i];
        if (values[i].type == DB_TEXT || values[i].type == DB_BLOB) {
            values[i].u.text = db_arena_copy(a, from->values[i].u.text, values[i].bytes);
            if (values[i].u.text == NULL)
                return err_set(e, ERR_NOMEM, "no memory for an argument of %u bytes",
                               values[i].bytes);
        }
        if (names != NULL) {
            names[i] = db_arena_copy(a, from->names[i], strlen(from->names[i]));
            if (names[i] == NULL)
                return err_set(e, ERR_NOMEM, "no memory for the name of an argument");
        }
    }
    to->values = values;
    to->names = names;
    to->n = from->n;
    return 0;
}

void db_rows_init(struct db_rows *r, size_t max_bytes)
{
    memset(r, 0, sizeof *r);
    r->max_bytes = max_bytes;
}

void db_rows_clear(struct db_rows *r)
{
    db_arena_clear(&r->arena);
    r->n_cols = 0;
    r->names = NULL;
    r->n_rows = 0;
    r->bytes = 0;
}

void db_rows_deinit(struct db_rows *r)
{
    db_arena_deinit(&r->arena);
    mem_free(r->cells);
    db_rows_init(r, r->max_bytes);
}

static int over_limit(const struct db_rows *r, size_t more, struct err *e)
{
    if (r->max_bytes == 0 || more <= r->max_bytes - r->bytes)
        return 0;
    err_set(e, ERR_LIMIT, "the result is larger than %zu bytes: ask for fewer rows, or read them "
            "with rows() or matrix()", r->max_bytes);
    return 1;
}

struct db_value *db_rows_add(struct db_rows *r, struct err *e)
{
    size_t n = (size_t)r->n_cols, used = r->n_rows * n;
    struct db_value *row;

    if (over_limit(r, n * sizeof *row, e))
        return NULL;
    if (used + n > r->cap_cells) {
        size_t cap = r->cap_cells < CELLS_MIN ? CELLS_MIN : r->cap_cells * 2;
        while (cap < used + n)
            cap *= 2;
        row = mem_resize(r->cells, cap * sizeof *row);
        if (row == NULL) {
            err_set(e, ERR_NOMEM, "no memory for %zu rows", r->n_rows + 1);
            return NULL;
        }
        r->cells = row;
        r->cap_cells = cap;
    }
    row = r->cells + used;
    memset(row, 0, n * sizeof *row);
    r->n_rows++;
    r->bytes += n * sizeof *row;
    return row;
}

int db_rows_text(struct db_rows *r, struct db_value *cell, enum db_type type, const void *data,
                 size_t bytes, struct err *e)
{
    char *copy;

    if (over_limit(r, bytes, e))
        return -1;
    copy = db_arena_copy(&r->arena, data, bytes);
    if (copy == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a value of %zu bytes", bytes);
    r->bytes += bytes;
    cell->type = type;
    cell->bytes = (uint32_t)bytes;
    cell->u.text = copy;
    return 0;
}

int db_value_check(const struct db_value *v, int which, struct err *e)
{
    if (v->type == DB_REAL && !isfinite(v->u.f))
        return err_set(e, ERR_NAN, "argument %d is %s: a database holds finite numbers only", which,
                       isnan(v->u.f) ? "not a number" : "infinite");
    if (v->type == DB_TEXT && text_utf8_bad(v->u.text, v->bytes) != v->bytes)
        return err_set(e, ERR_INVALID, "argument %d is not UTF-8 text: pass bytes as a blob", which);
    return 0;
}
