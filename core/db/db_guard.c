/*
 * db_guard.c - limits, authorizer, kinds of statements; see the header.
 */
#include "db/db_guard.h"

#include <string.h>
#include <strings.h>

#define SQL_MAX (1 << 20)

static int is_one_of(const char *name, const char *const *list)
{
    for (; *list != NULL; list++)
        if (strcasecmp(name, *list) == 0)
            return 1;
    return 0;
}

/* Functions whose one call may cost much, or whose cost we do not know, never run on the loop. */
static const char *const quick_functions[] = {
    "abs", "avg", "char", "coalesce", "concat", "count", "date", "datetime", "format", "glob",
    "hex", "ifnull", "iif", "instr", "json", "json_array_length", "json_extract", "->", "->>",
    "json_object", "json_array", "json_type", "json_valid", "julianday", "length", "like", "lower",
    "ltrim", "max", "min", "nullif", "printf", "quote", "round", "row_number", "rtrim", "sign",
    "strftime", "substr", "substring", "sum", "time", "total", "trim", "typeof", "unicode",
    "unixepoch", "upper", "likelihood", "likely", "unlikely", NULL};

/* These only tell; the second list does something useful and harmless when given a value. */
static const char *const read_pragmas[] = {
    "application_id", "cache_size", "collation_list", "compile_options", "data_version",
    "encoding", "foreign_keys", "freelist_count", "function_list", "journal_mode", "page_count",
    "page_size", "schema_version", "synchronous", "table_list", "user_version", "database_list",
    NULL};
static const char *const call_pragmas[] = {
    "cache_size", "foreign_key_check", "foreign_key_list", "incremental_vacuum", "index_info", "index_list",
    "index_xinfo", "integrity_check", "optimize", "quick_check", "table_info", "table_list",
    "table_xinfo", "wal_checkpoint", NULL};

static int on_authorize(void *arg, int action, const char *a, const char *b, const char *schema,
                        const char *trigger)
{
    struct db_conn *c = arg;

    (void)schema, (void)trigger;
    if (c->privileged)
        return SQLITE_OK;
    switch (action) {
    case SQLITE_ATTACH: /* VACUUM attaches a nameless file of its own */
        return c->opt.attach || (a != NULL && a[0] == '\0') ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_DETACH:
        return c->opt.attach || (a != NULL && strncmp(a, "vacuum_", 7) == 0) ? SQLITE_OK
                                                                             : SQLITE_DENY;
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT:
        /* the writer keeps the books of these; VACUUM begins one of its own */
        return c->is_alone ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_PRAGMA:
        if (is_one_of(a, call_pragmas))
            return SQLITE_OK;
        return b == NULL && is_one_of(a, read_pragmas) ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_FUNCTION:
        if (b != NULL && (strcasecmp(b, "load_extension") == 0 ||
                          strcasecmp(b, "fts3_tokenizer") == 0))
            return SQLITE_DENY;
        if (b == NULL || !is_one_of(b, quick_functions))
            c->slow_functions = 1;
        return SQLITE_OK;
    default:
        return SQLITE_OK;
    }
}

int db_guard_set(struct db_conn *c, struct err *e)
{
    static const struct {
        int id, value;
    } limits[] = {
        {SQLITE_LIMIT_SQL_LENGTH, SQL_MAX},    {SQLITE_LIMIT_COLUMN, 2000},
        {SQLITE_LIMIT_EXPR_DEPTH, 200},        {SQLITE_LIMIT_COMPOUND_SELECT, 100},
        {SQLITE_LIMIT_VDBE_OP, 2000000},       {SQLITE_LIMIT_FUNCTION_ARG, 64},
        {SQLITE_LIMIT_VARIABLE_NUMBER, 32766}, {SQLITE_LIMIT_TRIGGER_DEPTH, 32},
        {SQLITE_LIMIT_WORKER_THREADS, 0},      {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000},
    };
    size_t value_max = c->opt.value_max_bytes;
    int on = 0, rc;

    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        sqlite3_limit(c->db, limits[i].id, limits[i].value);
    sqlite3_limit(c->db, SQLITE_LIMIT_LENGTH, value_max > 1000000000 ? 1000000000 : (int)value_max);
    sqlite3_limit(c->db, SQLITE_LIMIT_ATTACHED, c->opt.attach ? 8 : 1); /* VACUUM needs one */
    rc = sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, &on);
    if (rc == SQLITE_OK)
        rc = sqlite3_db_config(c->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, &on);
    if (rc == SQLITE_OK)
        rc = sqlite3_db_config(c->db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, &on);
    if (rc == SQLITE_OK)
        rc = sqlite3_db_config(c->db, SQLITE_DBCONFIG_DQS_DML, 0, &on);
    if (rc == SQLITE_OK)
        rc = sqlite3_db_config(c->db, SQLITE_DBCONFIG_DQS_DDL, 0, &on);
    if (rc == SQLITE_OK)
        rc = sqlite3_set_authorizer(c->db, on_authorize, c);
    return rc == SQLITE_OK ? 0 : db_conn_fail(c, rc, NULL, e);
}

/* The first word, behind blanks and comments. */
static const char *first_word(const char *sql)
{
    for (;;) {
        sql += strspn(sql, " \t\r\n\f;");
        if (sql[0] == '-' && sql[1] == '-') {
            sql += strcspn(sql, "\n");
        } else if (sql[0] == '/' && sql[1] == '*') {
            const char *end = strstr(sql + 2, "*/");
            if (end == NULL)
                return "";
            sql = end + 2;
        } else {
            return sql;
        }
    }
}

static int begins_with(const char *text, const char *word)
{
    return strncasecmp(text, word, strlen(word)) == 0;
}

/* Asks the planner: every table reached by a key that exists, nothing scanned. */
static int is_cheap(struct db_conn *c, const char *sql)
{
    char *explain = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sql);
    sqlite3_stmt *st = NULL;
    int cheap = 1, rc;

    if (explain == NULL)
        return 0;
    rc = sqlite3_prepare_v2(c->db, explain, -1, &st, NULL);
    sqlite3_free(explain);
    if (rc != SQLITE_OK)
        return 0;
    while (cheap && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        const char *line = (const char *)sqlite3_column_text(st, 3);
        if (line == NULL || strstr(line, "AUTOMATIC") != NULL ||
            (begins_with(line, "SCAN ") && !begins_with(line, "SCAN CONSTANT ROW")))
            cheap = 0;
    }
    if (cheap && rc != SQLITE_DONE)
        cheap = 0;
    sqlite3_finalize(st);
    return cheap;
}

enum db_kind db_guard_kind(struct db_conn *c, sqlite3_stmt *st, const char *sql)
{
    const char *word = first_word(sql);
    int slow = c->slow_functions, explain;

    c->slow_functions = 0;
    if (begins_with(word, "PRAGMA") || begins_with(word, "VACUUM") ||
        begins_with(word, "ATTACH") || begins_with(word, "DETACH"))
        return DB_ALONE;
    if (!sqlite3_stmt_readonly(st))
        return DB_WRITES;
    explain = sqlite3_stmt_isexplain(st);
    if (c->role == DB_INLINE && c->is_wal && !slow && !explain && is_cheap(c, sql))
        return DB_CHEAP;
    return DB_READS;
}
