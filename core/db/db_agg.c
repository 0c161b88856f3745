/*
 * db_agg.c - see db_agg.h: values held beyond their row, and the aggregates that count or sort
 * them.
 *
 * State is a block that SQLite zeroes and frees; what hangs on it is freed in the final call, which
 * SQLite makes for every group it began, also when the statement fails.
 */
#include "db/db_agg.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

int db_agg_key_copy(struct db_agg_key *k, sqlite3_value *v)
{
    memset(k, 0, sizeof *k);
    k->type = sqlite3_value_type(v);
    if (k->type == SQLITE_INTEGER) {
        k->u.whole = sqlite3_value_int64(v);
    } else if (k->type == SQLITE_FLOAT) {
        double x = sqlite3_value_double(v);
        k->u.real = x;
        if (x == floor(x) && fabs(x) < 9e15) {
            k->type = SQLITE_INTEGER;
            k->u.whole = (sqlite3_int64)x;
        }
    } else {
        const void *p = k->type == SQLITE_TEXT ? (const void *)sqlite3_value_text(v)
                                               : sqlite3_value_blob(v);
        k->n_bytes = sqlite3_value_bytes(v);
        k->u.bytes = mem_alloc((size_t)k->n_bytes);
        if (k->u.bytes == NULL || (p == NULL && k->n_bytes > 0))
            return -1;
        if (k->n_bytes > 0)
            memcpy(k->u.bytes, p, (size_t)k->n_bytes);
    }
    return 0;
}

void db_agg_key_free(struct db_agg_key *k)
{
    if (k->type == SQLITE_TEXT || k->type == SQLITE_BLOB)
        mem_free(k->u.bytes);
    k->type = 0;
}

static int rank_of(int type)
{
    return type == SQLITE_INTEGER || type == SQLITE_FLOAT ? 0 : type == SQLITE_TEXT ? 1 : 2;
}

int db_agg_key_compare(const struct db_agg_key *a, const struct db_agg_key *b)
{
    int ranks = rank_of(a->type) - rank_of(b->type);

    if (ranks != 0)
        return ranks;
    if (a->type == SQLITE_INTEGER && b->type == SQLITE_INTEGER)
        return (a->u.whole > b->u.whole) - (a->u.whole < b->u.whole);
    if (rank_of(a->type) == 0) {
        double x = a->type == SQLITE_INTEGER ? (double)a->u.whole : a->u.real;
        double y = b->type == SQLITE_INTEGER ? (double)b->u.whole : b->u.real;
        return (x > y) - (x < y);
    }
    int n = a->n_bytes < b->n_bytes ? a->n_bytes : b->n_bytes;
    int order = n > 0 ? memcmp(a->u.bytes, b->u.bytes, (size_t)n) : 0;
    return order != 0 ? order : (a->n_bytes > b->n_bytes) - (a->n_bytes < b->n_bytes);
}

void db_agg_key_result(sqlite3_context *ctx, const struct db_agg_key *k)
{
    switch (k->type) {
    case SQLITE_INTEGER: sqlite3_result_int64(ctx, k->u.whole); break;
    case SQLITE_FLOAT: sqlite3_result_double(ctx, k->u.real); break;
    case SQLITE_TEXT: sqlite3_result_text(ctx, k->u.bytes, k->n_bytes, SQLITE_TRANSIENT); break;
    case SQLITE_BLOB: sqlite3_result_blob(ctx, k->u.bytes, k->n_bytes, SQLITE_TRANSIENT); break;
    default: break;
    }
}

int db_agg_number(sqlite3_context *ctx, const char *name, sqlite3_value *v, double *x)
{
    int type = sqlite3_value_type(v);

    if (type == SQLITE_NULL)
        return 0;
    if (type == SQLITE_INTEGER || type == SQLITE_FLOAT) {
        *x = sqlite3_value_double(v);
        return 1;
    }
    const void *found = type == SQLITE_TEXT ? (const void *)sqlite3_value_text(v) : "blob";
    char *text = sqlite3_mprintf("%s: '%.40s' is not a number", name, (const char *)found);
    if (text == NULL) {
        sqlite3_result_error_nomem(ctx);
    } else {
        sqlite3_result_error(ctx, text, -1);
        sqlite3_free(text);
    }
    return -1;
}

/* --- mode ---------------------------------------------------------------------------------- */

#define LINEAR_MAX 8 /* distinct values that are looked through one by one */

struct entry {
    struct db_agg_key key;
    uint64_t hash;
    int64_t count;
};

struct mode {
    struct entry *entries;
    size_t n, cap;
    uint32_t *slots; /* number of the entry + 1, 0 is free; none while n <= LINEAR_MAX */
    size_t n_slots;
};

static uint64_t mix(uint64_t h, uint64_t w)
{
    __extension__ unsigned __int128 m = (unsigned __int128)(h ^ w) * 0x9e3779b97f4a7c15u;

    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/* Seeded with where the group lives, so that no file can be made to collide. */
static uint64_t hash_of(const struct mode *m, const struct db_agg_key *k)
{
    uint64_t h = mix(0x2545f4914f6cdd1du ^ (uint64_t)(uintptr_t)m, (uint64_t)k->type), w;

    if (k->type == SQLITE_INTEGER || k->type == SQLITE_FLOAT) {
        memcpy(&w, &k->u, sizeof w);
        return mix(h, w);
    }
    for (int i = 0; i < k->n_bytes; i += 8) {
        int n = k->n_bytes - i < 8 ? k->n_bytes - i : 8;
        w = 0;
        memcpy(&w, k->u.bytes + i, (size_t)n);
        h = mix(h, w + (uint64_t)n);
    }
    return h;
}

static struct entry *mode_find(const struct mode *m, const struct db_agg_key *k, uint64_t hash)
{
    if (m->slots == NULL) {
        for (size_t i = 0; i < m->n; i++)
            if (m->entries[i].hash == hash && db_agg_key_compare(&m->entries[i].key, k) == 0)
                return &m->entries[i];
        return NULL;
    }
    for (size_t at = hash & (m->n_slots - 1); m->slots[at] != 0; at = (at + 1) & (m->n_slots - 1)) {
        struct entry *found = &m->entries[m->slots[at] - 1];
        if (found->hash == hash && db_agg_key_compare(&found->key, k) == 0)
            return found;
    }
    return NULL;
}

static void mode_put(struct mode *m, size_t i)
{
    size_t at = m->entries[i].hash & (m->n_slots - 1);

    while (m->slots[at] != 0)
        at = (at + 1) & (m->n_slots - 1);
    m->slots[at] = (uint32_t)(i + 1);
}

/* Room for one more entry, and slots for all. */
static int mode_grow(struct mode *m)
{
    if (m->n == m->cap) {
        size_t cap = m->cap == 0 ? 4 : m->cap * 2;
        struct entry *p = cap > UINT32_MAX / 2 ? NULL : mem_resize(m->entries, cap * sizeof *p);
        if (p == NULL)
            return -1;
        m->entries = p;
        m->cap = cap;
    }
    if (m->n >= LINEAR_MAX && m->n * 2 >= m->n_slots) {
        size_t n = m->n_slots == 0 ? 64 : m->n_slots * 2;
        uint32_t *slots = mem_zero(n, sizeof *slots);
        if (slots == NULL)
            return -1;
        mem_free(m->slots);
        m->slots = slots;
        m->n_slots = n;
        for (size_t i = 0; i < m->n; i++)
            mode_put(m, i);
    }
    return 0;
}

static void mode_count(sqlite3_context *ctx, sqlite3_value *v, int64_t by)
{
    struct mode *m = sqlite3_aggregate_context(ctx, sizeof *m);
    struct db_agg_key k;

    if (sqlite3_value_type(v) == SQLITE_NULL)
        return;
    if (m == NULL || db_agg_key_copy(&k, v) != 0) {
        sqlite3_result_error_nomem(ctx);
        return;
    }
    uint64_t hash = hash_of(m, &k);
    struct entry *found = mode_find(m, &k, hash);
    if (found != NULL) {
        found->count += by;
        db_agg_key_free(&k);
    } else if (mode_grow(m) != 0) {
        db_agg_key_free(&k);
        sqlite3_result_error_nomem(ctx);
    } else {
        m->entries[m->n++] = (struct entry){ k, hash, by };
        if (m->slots != NULL)
            mode_put(m, m->n - 1);
    }
}

static void mode_step(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    mode_count(ctx, argv[0], 1);
}

static void mode_inverse(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    mode_count(ctx, argv[0], -1);
}

static void mode_value(sqlite3_context *ctx)
{
    struct mode *m = sqlite3_aggregate_context(ctx, 0);
    const struct entry *best = NULL;

    for (size_t i = 0; m != NULL && i < m->n; i++) {
        const struct entry *x = &m->entries[i];
        if (x->count <= 0 || (best != NULL && x->count < best->count))
            continue;
        if (best == NULL || x->count > best->count || db_agg_key_compare(&x->key, &best->key) < 0)
            best = x;
    }
    if (best != NULL)
        db_agg_key_result(ctx, &best->key);
}

static void mode_final(sqlite3_context *ctx)
{
    struct mode *m = sqlite3_aggregate_context(ctx, 0);

    if (m == NULL)
        return;
    mode_value(ctx);
    for (size_t i = 0; i < m->n; i++)
        db_agg_key_free(&m->entries[i].key);
    mem_free(m->entries);
    mem_free(m->slots);
    memset(m, 0, sizeof *m);
}

/* --- median, quantile ---------------------------------------------------------------------- */

struct numbers {
    double *x;       /* head … n: what is in the window, in the order it came */
    size_t head, n, cap;
    double q;
};

static void numbers_step(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    struct numbers *s = sqlite3_aggregate_context(ctx, sizeof *s);
    const char *name = argc > 1 ? "quantile" : "median";
    double x, q = 0.5;
    int rc = db_agg_number(ctx, name, argv[0], &x);

    if (s == NULL) {
        sqlite3_result_error_nomem(ctx);
        return;
    }
    if (argc > 1 && (db_agg_number(ctx, name, argv[1], &q) != 1 || !(q >= 0 && q <= 1))) {
        sqlite3_result_error(ctx, "quantile: the second argument must be from 0 to 1", -1);
        return;
    }
    s->q = q;
    if (rc <= 0)
        return;
    if (s->n == s->cap) {
        size_t cap = s->cap == 0 ? 16 : s->cap * 2;
        double *p = mem_resize(s->x, cap * sizeof *p);
        if (p == NULL) {
            sqlite3_result_error_nomem(ctx);
            return;
        }
        s->x = p;
        s->cap = cap;
    }
    s->x[s->n++] = x;
}

static void numbers_inverse(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    struct numbers *s = sqlite3_aggregate_context(ctx, sizeof *s);

    (void)argc;
    if (s == NULL || sqlite3_value_type(argv[0]) == SQLITE_NULL || s->head == s->n)
        return;
    s->head++; /* rows leave in the order they came */
    if (s->head > 1024 && s->head * 2 > s->n) {
        memmove(s->x, s->x + s->head, (s->n - s->head) * sizeof *s->x);
        s->n -= s->head;
        s->head = 0;
    }
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void numbers_result(sqlite3_context *ctx, double *sorted, size_t n, double q)
{
    double at = (double)(n - 1) * q;
    size_t low = (size_t)at;

    qsort(sorted, n, sizeof *sorted, compare_doubles);
    if (low + 1 >= n) {
        sqlite3_result_double(ctx, sorted[n - 1]);
        return;
    }
    double gap = sorted[low + 1] - sorted[low];
    sqlite3_result_double(ctx, sorted[low] + (at - (double)low) * gap);
}

static void numbers_value(sqlite3_context *ctx)
{
    struct numbers *s = sqlite3_aggregate_context(ctx, 0);

    if (s == NULL || s->head == s->n)
        return;
    size_t n = s->n - s->head;
    double *copy = mem_alloc(n * sizeof *copy);
    if (copy == NULL) {
        sqlite3_result_error_nomem(ctx);
        return;
    }
    memcpy(copy, s->x + s->head, n * sizeof *copy);
    numbers_result(ctx, copy, n, s->q);
    mem_free(copy);
}

static void numbers_final(sqlite3_context *ctx)
{
    struct numbers *s = sqlite3_aggregate_context(ctx, 0);

    if (s == NULL)
        return;
    if (s->n > s->head)
        numbers_result(ctx, s->x + s->head, s->n - s->head, s->q);
    mem_free(s->x);
    memset(s, 0, sizeof *s);
}

/* --- first_by ------------------------------------------------------------------------------ */

struct first {
    struct db_agg_key value, order; /* type 0: none yet */
};

static void first_step(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    struct first *s = sqlite3_aggregate_context(ctx, sizeof *s);
    struct db_agg_key value = { 0 }, order = { 0 };
    int diff;

    (void)argc;
    if (sqlite3_value_type(argv[0]) == SQLITE_NULL || sqlite3_value_type(argv[1]) == SQLITE_NULL)
        return;
    if (s == NULL || db_agg_key_copy(&value, argv[0]) != 0 ||
        db_agg_key_copy(&order, argv[1]) != 0) {
        sqlite3_result_error_nomem(ctx);
        goto drop;
    }
    if (s->order.type != 0) {
        diff = db_agg_key_compare(&order, &s->order);
        if (diff > 0 || (diff == 0 && db_agg_key_compare(&value, &s->value) >= 0))
            goto drop;
    }
    db_agg_key_free(&s->value);
    db_agg_key_free(&s->order);
    s->value = value;
    s->order = order;
    return;
drop:
    db_agg_key_free(&value);
    db_agg_key_free(&order);
}

static void first_final(sqlite3_context *ctx)
{
    struct first *s = sqlite3_aggregate_context(ctx, 0);

    if (s == NULL)
        return;
    if (s->order.type != 0)
        db_agg_key_result(ctx, &s->value);
    db_agg_key_free(&s->value);
    db_agg_key_free(&s->order);
}

int db_agg_add(sqlite3 *db, struct err *e)
{
    if (sqlite3_create_window_function(db, "mode", 1, DB_FUNC_FLAGS, NULL, mode_step, mode_final,
                                       mode_value, mode_inverse, NULL) != SQLITE_OK ||
        sqlite3_create_window_function(db, "median", 1, DB_FUNC_FLAGS, NULL, numbers_step,
                                       numbers_final, numbers_value, numbers_inverse,
                                       NULL) != SQLITE_OK ||
        sqlite3_create_window_function(db, "quantile", 2, DB_FUNC_FLAGS, NULL, numbers_step,
                                       numbers_final, numbers_value, numbers_inverse,
                                       NULL) != SQLITE_OK ||
        sqlite3_create_function_v2(db, "first_by", 2, DB_FUNC_FLAGS, NULL, NULL, first_step,
                                   first_final, NULL) != SQLITE_OK)
        return err_set(e, ERR_NOMEM, "SQL aggregates: %s", sqlite3_errmsg(db));
    return 0;
}
