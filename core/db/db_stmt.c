/*
 * db_stmt.c - prepared statements and their cache; see the header.
 */
#include "db/db_stmt.h"

#include <limits.h>
#include <string.h>

#include "base/mem.h"
#include "db/db_guard.h"

#define EXCERPT DB_EXCERPT

void db_stmt_free(struct db_stmt *s)
{
    sqlite3_finalize(s->st);
    mem_free(s->sql);
    mem_free(s);
}

static uint64_t hash_of(const char *sql, size_t bytes)
{
    uint64_t h = 0x9e3779b97f4a7c15u ^ bytes, part;

    for (; bytes >= 8; sql += 8, bytes -= 8) {
        memcpy(&part, sql, 8);
        h = (h ^ part) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    part = 0;
    memcpy(&part, sql, bytes);
    h = (h ^ part) * 0xff51afd7ed558ccdu;
    return h ^ h >> 29;
}

static void forget_oldest(struct db_conn *c)
{
    struct db_stmt **oldest = NULL;

    for (int i = 0; i < DB_BUCKETS; i++)
        for (struct db_stmt **at = &c->buckets[i]; *at != NULL; at = &(*at)->next)
            if (!(*at)->in_use && (oldest == NULL || (*at)->used_at < (*oldest)->used_at))
                oldest = at;
    if (oldest != NULL) {
        struct db_stmt *s = *oldest;
        *oldest = s->next;
        c->n_stmts--;
        db_stmt_free(s);
    }
}

/* Only blanks, comments and semicolons. */
static int is_blank(struct db_conn *c, const char *tail)
{
    sqlite3_stmt *st = NULL;

    while (*tail != '\0') {
        if (sqlite3_prepare_v2(c->db, tail, -1, &st, &tail) != SQLITE_OK)
            return 0;
        if (st != NULL) {
            sqlite3_finalize(st);
            return 0;
        }
    }
    return 1;
}

static int prepare(struct db_conn *c, struct db_stmt *s, struct err *e)
{
    const char *tail;
    int rc;

    if (memchr(s->sql, '\0', s->bytes) != NULL)
        return err_set(e, ERR_INVALID, "the SQL holds a NUL byte");
    c->slow_functions = 0;
    rc = sqlite3_prepare_v3(c->db, s->sql, (int)s->bytes + 1, SQLITE_PREPARE_PERSISTENT, &s->st,
                            &tail);
    if (rc != SQLITE_OK)
        return db_conn_fail(c, rc, s->sql, e);
    if (s->st == NULL)
        return err_set(e, ERR_INVALID, "the SQL holds no statement");
    s->kind = db_guard_kind(c, s->st, s->sql);
    if (!is_blank(c, tail))
        return err_set(e, ERR_INVALID, "the SQL holds more than one statement: \"%.*s\"; "
                       "use script() for several", EXCERPT, tail);
    s->n_params = sqlite3_bind_parameter_count(s->st);
    for (int i = 1; i <= s->n_params && !s->is_named; i++) {
        const char *name = sqlite3_bind_parameter_name(s->st, i);
        s->is_named = name != NULL && name[0] != '?';
    }
    return 0;
}

struct db_stmt *db_stmt_take(struct db_conn *c, const char *sql, size_t bytes, struct err *e)
{
    uint64_t h = hash_of(sql, bytes);
    struct db_stmt **bucket = &c->buckets[h & (DB_BUCKETS - 1)], *s;

    for (s = *bucket; s != NULL; s = s->next)
        if (s->hash == h && !s->in_use && s->bytes == bytes && memcmp(s->sql, sql, bytes) == 0) {
            s->in_use = 1;
            s->used_at = ++c->clock;
            return s;
        }
    if (bytes > (size_t)sqlite3_limit(c->db, SQLITE_LIMIT_SQL_LENGTH, -1)) {
        err_set(e, ERR_LIMIT, "the SQL is longer than %d bytes",
                sqlite3_limit(c->db, SQLITE_LIMIT_SQL_LENGTH, -1));
        return NULL;
    }
    s = mem_zero(1, sizeof *s);
    if (s == NULL || (s->sql = mem_alloc(bytes + 1)) == NULL) {
        mem_free(s);
        err_set(e, ERR_NOMEM, "no memory for a statement");
        return NULL;
    }
    memcpy(s->sql, sql, bytes);
    s->sql[bytes] = '\0';
    s->bytes = bytes;
    s->hash = h;
    if (prepare(c, s, e) != 0) {
        db_stmt_free(s);
        return NULL;
    }
    if (c->n_stmts >= DB_STMTS)
        forget_oldest(c);
    s->in_use = 1;
    s->used_at = ++c->clock;
    s->next = *bucket;
    *bucket = s;
    c->n_stmts++;
    return s;
}

void db_stmt_give(struct db_conn *c, struct db_stmt *s)
{
    (void)c;
    sqlite3_reset(s->st); /* its error was seen by the step already */
    if (s->n_params > 0)
        sqlite3_clear_bindings(s->st);
    s->in_use = 0;
}

static int bind_one(struct db_conn *c, struct db_stmt *s, int at, const struct db_value *v,
                    struct err *e)
{
    int rc;

    switch (v->type) {
    case DB_INT:
        rc = sqlite3_bind_int64(s->st, at, v->u.i);
        break;
    case DB_REAL:
        rc = sqlite3_bind_double(s->st, at, v->u.f);
        break;
    case DB_TEXT:
        rc = sqlite3_bind_text64(s->st, at, v->bytes ? v->u.text : "", v->bytes, SQLITE_STATIC,
                                 SQLITE_UTF8);
        break;
    case DB_BLOB: /* NULL would bind as null */
        rc = sqlite3_bind_blob64(s->st, at, v->bytes ? v->u.text : "", v->bytes, SQLITE_STATIC);
        break;
    default:
        rc = sqlite3_bind_null(s->st, at);
    }
    if (rc == SQLITE_TOOBIG)
        return err_set(e, ERR_LIMIT, "argument %d has %u bytes, more than the %zu allowed", at,
                       v->bytes, c->opt.value_max_bytes);
    return rc == SQLITE_OK ? 0 : db_conn_fail(c, rc, s->sql, e);
}

static int bind_named(struct db_conn *c, struct db_stmt *s, const struct db_args *args,
                      struct err *e)
{
    for (int i = 0; i < args->n; i++) {
        char name[128];
        int at = 0;
        if (strlen(args->names[i]) < sizeof name - 1) {
            memcpy(name + 1, args->names[i], strlen(args->names[i]) + 1);
            for (const char *mark = ":@$"; at == 0 && *mark != '\0'; mark++) {
                name[0] = *mark;
                at = sqlite3_bind_parameter_index(s->st, name);
            }
        }
        if (at == 0)
            return err_set(e, ERR_INVALID, "the statement has no parameter :%.64s, in the SQL: %.*s",
                           args->names[i], EXCERPT, s->sql);
        if (bind_one(c, s, at, &args->values[i], e) != 0)
            return -1;
    }
    for (int i = 1; i <= s->n_params && args->n != s->n_params; i++) {
        const char *name = sqlite3_bind_parameter_name(s->st, i);
        int found = 0;
        for (int k = 0; k < args->n && name != NULL && !found; k++)
            found = strcmp(name + 1, args->names[k]) == 0;
        if (!found)
            return err_set(e, ERR_INVALID, "no value was given for %s, in the SQL: %.*s",
                           name ? name : "a ? parameter", EXCERPT, s->sql);
    }
    return 0;
}

int db_stmt_bind(struct db_conn *c, struct db_stmt *s, const struct db_args *args, struct err *e)
{
    if (args->names != NULL && args->n > 0)
        return bind_named(c, s, args, e);
    if (s->n_params != args->n)
        return err_set(e, ERR_INVALID, "the statement takes %d argument%s, %d given, in the SQL: "
                       "%.*s", s->n_params, s->n_params == 1 ? "" : "s", args->n, EXCERPT, s->sql);
    if (s->is_named && args->n > 0)
        return err_set(e, ERR_INVALID, "the statement has named parameters: give a table with "
                       "names, in the SQL: %.*s", EXCERPT, s->sql);
    for (int i = 0; i < args->n; i++)
        if (bind_one(c, s, i + 1, &args->values[i], e) != 0)
            return -1;
    return 0;
}

/* ---- running ---- */

int db_stmt_step(struct db_conn *c, struct db_stmt *s, struct err *e)
{
    int rc;

    c->is_alone = s->kind == DB_ALONE;
    rc = sqlite3_step(s->st);
    c->is_alone = 0;
    if (rc == SQLITE_ROW)
        return 1;
    return rc == SQLITE_DONE ? 0 : db_conn_fail(c, rc, s->sql, e);
}

int db_stmt_columns(struct db_stmt *s, struct db_rows *rows, struct err *e)
{
    int n = sqlite3_column_count(s->st);

    rows->n_cols = n;
    if (n == 0)
        return 0;
    rows->names = db_arena_take(&rows->arena, (size_t)n * sizeof *rows->names);
    for (int i = 0; rows->names != NULL && i < n; i++) {
        const char *name = sqlite3_column_name(s->st, i);
        char *copy = name ? db_arena_copy(&rows->arena, name, strlen(name)) : NULL;
        if (copy == NULL)
            rows->names = NULL;
        else
            rows->names[i] = copy;
    }
    if (rows->names == NULL) {
        rows->n_cols = 0;
        return err_set(e, ERR_NOMEM, "no memory for %d columns", n);
    }
    return 0;
}

int db_stmt_row(struct db_stmt *s, struct db_rows *rows, struct err *e)
{
    struct db_value *cell = db_rows_add(rows, e);
    const void *data;
    int type;

    if (cell == NULL)
        return -1;
    for (int i = 0; i < rows->n_cols; i++, cell++) {
        switch (type = sqlite3_column_type(s->st, i)) {
        case SQLITE_INTEGER:
            cell->type = DB_INT;
            cell->u.i = sqlite3_column_int64(s->st, i);
            break;
        case SQLITE_FLOAT:
            cell->type = DB_REAL;
            cell->u.f = sqlite3_column_double(s->st, i);
            break;
        case SQLITE_TEXT:
        case SQLITE_BLOB:
            data = type == SQLITE_TEXT ? (const void *)sqlite3_column_text(s->st, i)
                                       : sqlite3_column_blob(s->st, i);
            if (data == NULL && (type == SQLITE_TEXT || sqlite3_column_bytes(s->st, i) > 0))
                return err_set(e, ERR_NOMEM, "no memory for a value of the database");
            if (db_rows_text(rows, cell, type == SQLITE_TEXT ? DB_TEXT : DB_BLOB, data,
                             (size_t)sqlite3_column_bytes(s->st, i), e) != 0)
                return -1;
            break;
        default:
            break;
        }
    }
    return 0;
}

int db_stmt_run(struct db_conn *c, const char *sql, size_t bytes, const struct db_args *args,
                struct db_rows *rows, struct db_done *done, struct err *e)
{
    struct db_stmt *s = db_stmt_take(c, sql, bytes, e);
    int64_t before;
    int rc;

    if (s == NULL)
        return -1;
    rc = db_stmt_bind(c, s, args, e);
    if (rc == 0 && rows != NULL)
        rc = db_stmt_columns(s, rows, e);
    before = sqlite3_total_changes64(c->db);
    if (rc == 0 && s->kind == DB_WRITES)
        sqlite3_set_last_insert_rowid(c->db, 0);
    while (rc == 0 && (rc = db_stmt_step(c, s, e)) == 1)
        rc = rows != NULL && rows->n_cols > 0 ? db_stmt_row(s, rows, e) : 0;
    if (done != NULL) {
        /* sqlite3_changes keeps the count of an older statement when this one counts nothing */
        int64_t total = sqlite3_total_changes64(c->db) - before;
        done->changes = total > 0 ? sqlite3_changes64(c->db) : 0;
        done->last_id = total > 0 ? sqlite3_last_insert_rowid(c->db) : 0;
    }
    db_stmt_give(c, s);
    return rc;
}

int db_stmt_script(struct db_conn *c, const char *sql, size_t bytes, struct err *e)
{
    const char *end = sql + bytes, *tail;

    if (bytes > INT_MAX - 1 || memchr(sql, '\0', bytes) != NULL)
        return err_set(e, ERR_INVALID, "the SQL is too long or holds a NUL byte");
    while (sql < end) {
        sqlite3_stmt *st = NULL;
        int rc = sqlite3_prepare_v2(c->db, sql, (int)(end - sql), &st, &tail);
        if (rc == SQLITE_OK && st != NULL && sqlite3_bind_parameter_count(st) > 0) {
            err_set(e, ERR_INVALID, "a script takes no arguments, in the SQL: %.*s", EXCERPT,
                    sqlite3_sql(st));
            sqlite3_finalize(st);
            return -1;
        }
        if (rc == SQLITE_OK && st != NULL) {
            while ((rc = sqlite3_step(st)) == SQLITE_ROW)
                ;
            rc = rc == SQLITE_DONE ? SQLITE_OK : rc;
        }
        if (rc != SQLITE_OK) {
            db_conn_fail(c, rc, st ? sqlite3_sql(st) : sql, e);
            sqlite3_finalize(st);
            return -1;
        }
        sqlite3_finalize(st);
        sql = tail;
    }
    return 0;
}

