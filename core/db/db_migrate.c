/*
 * db_migrate.c - schema steps; see the header.
 */
#include "db/db_migrate.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "db/db_stmt.h"

#define SUM_TEXT 65

/* SHA-256 of the text without carriage returns, so that a checkout with CRLF is no edit. */
static int checksum(const struct db_migration *m, char *to, struct err *e)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned bytes = 0;
    const char *p = m->sql, *end = m->sql + m->bytes;
    int ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);

    while (ok && p < end) {
        const char *cr = memchr(p, '\r', (size_t)(end - p));
        size_t part = (size_t)((cr != NULL ? cr : end) - p);
        ok = EVP_DigestUpdate(ctx, p, part);
        p += part + (cr != NULL);
    }
    ok = ok && EVP_DigestFinal_ex(ctx, sum, &bytes);
    EVP_MD_CTX_free(ctx);
    if (!ok || bytes != 32)
        return err_set(e, ERR_NOMEM, "no checksum of %s could be made", m->name);
    for (unsigned i = 0; i < bytes; i++)
        snprintf(to + i * 2, 3, "%02x", sum[i]);
    return 0;
}

static int by_number(const void *a, const void *b)
{
    const struct db_migration *x = a, *y = b;

    return (x->number > y->number) - (x->number < y->number);
}

int db_migrate_list(struct db_migration *steps, int cap, const struct embed_file *files, size_t n,
                    struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        const char *slash = strrchr(files[i].name, '/');
        const char *name = slash != NULL ? slash + 1 : files[i].name;
        if (i == (size_t)cap)
            return err_set(e, ERR_LIMIT, "more than %d schema steps", cap);
        if (strlen(name) < 10 || strspn(name, "0123456789") != 4 || name[4] != '_' ||
            strcmp(name + strlen(name) - 4, ".sql") != 0)
            return err_set(e, ERR_INVALID, "schema step \"%s\": a name like 0001_first.sql was "
                           "expected", name);
        steps[i] = (struct db_migration){(int)strtol(name, NULL, 10), name, files[i].data,
                                         files[i].bytes};
    }
    if (n > 1)
        qsort(steps, n, sizeof *steps, by_number);
    for (size_t i = 0; i < n; i++)
        if (steps[i].number != (int)i + 1)
            return err_set(e, ERR_INVALID, "schema step %s: number %d was expected", steps[i].name,
                           (int)i + 1);
    return (int)n;
}

int db_migrate_embedded(struct db_migration *steps, int cap, const char *folder, struct err *e)
{
    struct embed_file files[DB_MIGRATIONS_MAX];
    const struct embed_file *f;
    size_t n = 0;

    for (size_t at = 0; n < DB_MIGRATIONS_MAX && (f = embed_next(folder, &at)) != NULL;)
        files[n++] = *f;
    return db_migrate_list(steps, cap, files, n, e);
}

int db_migrate_version(struct db_conn *c, int *number, struct err *e)
{
    int64_t n;

    if (db_conn_number(c, "PRAGMA user_version", &n, e) != 0)
        return -1;
    *number = (int)n;
    return 0;
}

static int find_sum(struct db_conn *c, int number, struct db_rows *rows, struct err *e)
{
    static const char sql[] = "SELECT checksum FROM schema_steps WHERE number = ?";
    struct db_value v = {.type = DB_INT, .u.i = number};
    struct db_args args = {&v, NULL, 1};

    db_rows_clear(rows);
    return db_stmt_run(c, sql, sizeof sql - 1, &args, rows, NULL, e);
}

/* The applied steps must be the ones we know. */
static int check_applied(struct db_conn *c, const struct db_migration *steps, int n, struct err *e)
{
    struct db_rows rows;
    char sum[SUM_TEXT];
    int rc = 0;

    db_rows_init(&rows, 0);
    for (int i = 0; i < n && rc == 0; i++) {
        rc = checksum(&steps[i], sum, e);
        if (rc == 0)
            rc = find_sum(c, steps[i].number, &rows, e);
        if (rc == 0 && rows.n_rows == 0)
            rc = err_set(e, ERR_CORRUPT, "the database says it has %d schema steps, but step %s "
                         "was never recorded", n, steps[i].name);
        else if (rc == 0 && strcmp(rows.cells[0].type == DB_TEXT ? rows.cells[0].u.text : "", sum))
            rc = err_set(e, ERR_CORRUPT, "schema step %s was edited after it had been applied here: "
                         "undo the edit and add a new step instead", steps[i].name);
    }
    db_rows_deinit(&rows);
    return rc;
}

static int record(struct db_conn *c, const struct db_migration *m, struct err *e)
{
    static const char sql[] = "INSERT INTO schema_steps(number, name, checksum) VALUES(?, ?, ?)";
    struct db_value v[3] = {{.type = DB_INT, .u.i = m->number},
                            {.type = DB_TEXT, .u.text = m->name},
                            {.type = DB_TEXT}};
    struct db_args args = {v, NULL, 3};
    char sum[SUM_TEXT], text[64];

    if (checksum(m, sum, e) != 0)
        return -1;
    v[1].bytes = (uint32_t)strlen(m->name);
    v[2].u.text = sum;
    v[2].bytes = (uint32_t)strlen(sum);
    snprintf(text, sizeof text, "PRAGMA user_version=%d", m->number);
    if (db_stmt_run(c, sql, sizeof sql - 1, &args, NULL, NULL, e) != 0)
        return -1;
    return db_conn_own(c, text, e);
}

/* Inside BEGIN IMMEDIATE. */
static int apply(struct db_conn *c, const struct db_migration *m, struct err *e)
{
    static const char books[] =
        "CREATE TABLE IF NOT EXISTS schema_steps(number INTEGER PRIMARY KEY, name TEXT NOT NULL, "
        "checksum TEXT NOT NULL, "
        "applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))) STRICT";
    int64_t n_bad;

    if (db_conn_own(c, books, e) != 0 || db_stmt_script(c, m->sql, m->bytes, e) != 0)
        return -1;
    if (db_conn_number(c, "SELECT count(*) FROM pragma_foreign_key_check", &n_bad, e) != 0)
        return -1;
    if (n_bad > 0)
        return err_set(e, ERR_EXISTS, "%lld rows would point to rows that do not exist",
                       (long long)n_bad);
    return record(c, m, e);
}

/* One step, or none if somebody else was faster. */
static int step(struct db_conn *c, const struct db_migration *steps, int n_steps, int *at,
                struct err *e)
{
    db_conn_begin(c, NULL, uv_hrtime());
    if (db_conn_own(c, "BEGIN IMMEDIATE", e) != 0)
        return -1;
    if (db_migrate_version(c, at, e) != 0)
        goto fail;
    if (*at > n_steps) {
        err_set(e, ERR_UNSUPPORTED, "the database has schema %d, this program knows only up to %d: "
                "it was written by a newer version, use that one", *at, n_steps);
        goto fail;
    }
    if (*at < n_steps) {
        if (apply(c, &steps[*at], e) != 0) {
            err_wrap(e, "schema step %s", steps[*at].name);
            goto fail;
        }
        ++*at;
    }
    if (db_conn_own(c, "COMMIT", e) == 0)
        return 0;
fail:
    if (!sqlite3_get_autocommit(c->db))
        db_conn_own(c, "ROLLBACK", NULL);
    return -1;
}

int db_migrate(struct db_conn *c, const struct db_migration *steps, int n_steps, int *from, int *to,
               struct err *e)
{
    int at;

    if (db_migrate_version(c, &at, e) != 0)
        return -1;
    if (from != NULL)
        *from = at;
    if (at > 0 && at <= n_steps && check_applied(c, steps, at, e) != 0)
        return -1;
    while (at != n_steps)
        if (step(c, steps, n_steps, &at, e) != 0)
            return -1;
    if (to != NULL)
        *to = at;
    return 0;
}
