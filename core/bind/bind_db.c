/*
 * bind_db.c - core.db: databases and statements for scripts. The face is lua/db.lua.
 *
 *   open(path [, opt]) --> db            opt: readonly create attach sync busy_ms timeout_ms
 *                                        tx_idle_ms cache_kib readers cursors value_max rows_max bytes_max
 *   main() --> db                        the one of this process
 *   query(db, sql [, args]) --> rows     array of tables by column
 *   row(db, sql [, args]) --> row        or false when there is none
 *   value(db, sql [, args]) --> true, v  first column of the first row; v nil when NULL or no row
 *   exec(db, sql [, args]) --> changes, last_id
 *   write(db, list) --> array            list of {sql, args, expect =}; of {changes, last_id, rows}
 *   script(db, sql) --> true
 *   migrate(db) --> from, to
 *   interrupt(db)  close(db)  path(db)  is_main(db)  stats()  blob(bytes)
 *
 * and what bind_db_hold.c and bind_db_matrix.c add: begin, commit, rollback, cursor, next, backup,
 * step, matrix. All but the last line wait (query, row and value only when the statement is not cheap: db.h).
 */
#include "bind/bind_db.h"

#include <stddef.h>
#include <string.h>

#include <lauxlib.h>

#include "base/mem.h"
#include "bind/bind.h"
#include "bind/bind_all.h"
#include "bind/bind_json.h"
#include "db/db_migrate.h"
#include "db/db_stats.h"

#define STATEMENTS_MAX 10000 /* of one write */
#define SECOND_MAX 86400000  /* largest time in ms */

enum shape { ROWS, ROW, VALUE, EXEC, WRITE, SCRIPT, OPEN, MIGRATE };

/* One request a script waits for. */
struct ask {
    struct wait wait; /* first */
    struct db_req req;
    enum shape shape;
    int is_cancelled;
    struct db_box *box; /* OPEN: gets the database */
    struct db *db;
    int from, to; /* MIGRATE */
};

struct db_box *bind_db_check(lua_State *L)
{
    struct db_box *b = luaL_checkudata(L, 1, BIND_DB_TYPE);

    if (b->db == NULL)
        luaL_error(L, "this db is closed");
    return b;
}

uint64_t bind_db_tx(lua_State *L, const struct db_box *b)
{
    return b->tx != 0 && b->tx_run == run_current(host_of(L)) ? b->tx : 0;
}

/* ---- waiting ---- */

static void ask_free(struct ask *a)
{
    db_req_deinit(&a->req);
    mem_free(a);
}

static struct ask *ask_of(struct db_req *req)
{
    return (struct ask *)((char *)req - offsetof(struct ask, req));
}

static void on_answer(struct db_req *req)
{
    struct ask *a = ask_of(req);

    if (a->shape == OPEN) {
        if (a->is_cancelled || req->status != 0)
            db_close(a->db);
        else
            a->box->db = a->db;
    }
    if (!a->is_cancelled)
        run_wake(&a->wait);
    ask_free(a);
}

static void ask_cancel(struct wait *w)
{
    struct ask *a = (struct ask *)w;

    a->is_cancelled = 1;
    db_cancel(&a->req);
}

static int push_rows(lua_State *L, enum shape shape, const struct db_rows *rows)
{
    if (shape == ROWS) {
        bind_db_rows(L, rows);
        return 1;
    }
    if (shape == ROW) {
        if (rows->n_rows > 0)
            bind_db_row(L, rows, 0);
        else
            lua_pushboolean(L, 0);
        return 1;
    }
    lua_pushboolean(L, 1);
    if (rows->n_rows > 0 && rows->n_cols > 0)
        bind_db_cell(L, &rows->cells[0]);
    else
        lua_pushnil(L);
    return 2;
}

static void push_done(lua_State *L, const struct db_done *d)
{
    lua_pushinteger(L, d->changes);
    if (d->last_id != 0)
        lua_pushinteger(L, d->last_id);
    else
        lua_pushnil(L);
}

static int push_steps(lua_State *L, const struct db_req *req)
{
    lua_createtable(L, req->n_steps, 0);
    lua_Integer i = 0;
    for (const struct db_step *s = req->steps; s != NULL; s = s->next) {
        lua_createtable(L, 0, 3);
        push_done(L, &s->done);
        lua_setfield(L, -3, "last_id");
        lua_setfield(L, -2, "changes");
        if (s->rows.n_cols > 0) {
            bind_db_rows(L, &s->rows);
            lua_setfield(L, -2, "rows");
        }
        lua_rawseti(L, -2, ++i);
    }
    return 1;
}

static int ask_finish(lua_State *L, struct wait *w)
{
    struct ask *a = (struct ask *)w;

    if (a->req.status != 0)
        return bind_fail(L, &a->req.err);
    switch (a->shape) {
    case EXEC:
        push_done(L, &a->req.steps->done);
        return 2;
    case WRITE:
        return push_steps(L, &a->req);
    case SCRIPT:
        lua_pushboolean(L, 1);
        return 1;
    case OPEN: /* the box is where l_open left it */
        lua_settop(L, 3);
        return 1;
    case MIGRATE:
        lua_pushinteger(L, a->from);
        lua_pushinteger(L, a->to);
        return 2;
    default:
        return push_rows(L, a->shape, &a->req.steps->rows);
    }
}

/* For a box that is open; may raise. */
static struct ask *ask_new(lua_State *L, struct db_box *b, enum db_what what, enum shape shape)
{
    struct ask *a;

    run_check_can_wait(L);
    a = mem_alloc(sizeof *a);
    if (a == NULL)
        luaL_error(L, "not enough memory");
    memset(&a->wait, 0, sizeof a->wait);
    db_req_init(&a->req, what, on_answer);
    a->req.tx = bind_db_tx(L, b);
    a->shape = shape;
    a->is_cancelled = 0;
    a->box = b;
    a->db = b->db;
    return a;
}

static int ask_start(lua_State *L, struct ask *a)
{
    db_submit(a->db, &a->req);
    return run_wait(L, &a->wait, ask_cancel, ask_finish);
}

/* ---- statements ---- */

static int ask_statement(lua_State *L, enum shape shape)
{
    struct db_box *b = bind_db_check(L);
    size_t bytes;
    const char *sql = luaL_checklstring(L, 2, &bytes);
    struct db_args args;
    struct db_rows *rows;
    struct ask *a;
    struct err e;
    int n;

    lua_settop(L, 3);
    bind_db_args(L, 3, &args);
    if ((n = bind_db_bad(L, &args)) != 0)
        return n;
    if (shape != EXEC && bind_db_tx(L, b) == 0) {
        int rc = db_inline(b->db, sql, bytes, &args, &rows, &e);
        if (rc == 1)
            return push_rows(L, shape, rows);
        if (rc < 0)
            return bind_fail(L, &e);
    }
    a = ask_new(L, b, DB_QUERY, shape);
    a->req.is_unwanted = shape == EXEC;
    if (db_req_add(&a->req, sql, bytes, &args, -1, &e) != 0) {
        ask_free(a);
        return bind_fail(L, &e);
    }
    return ask_start(L, a);
}

static int l_query(lua_State *L) { return ask_statement(L, ROWS); }
static int l_row(lua_State *L) { return ask_statement(L, ROW); }
static int l_value(lua_State *L) { return ask_statement(L, VALUE); }
static int l_exec(lua_State *L) { return ask_statement(L, EXEC); }

/* An unfinished request while its statements are read out of Lua, which may raise. */
struct keeper {
    struct ask *ask;
};

static int l_keeper_close(lua_State *L)
{
    struct keeper *k = lua_touserdata(L, 1);

    if (k->ask != NULL)
        ask_free(k->ask);
    k->ask = NULL;
    return 0;
}

/* Adds the {sql, args, expect =} on top of the stack. 0, or the values of a failure. */
static int add_statement(lua_State *L, struct ask *a, lua_Integer i)
{
    int at = lua_gettop(L), n, is_int;
    size_t bytes;
    const char *sql;
    struct db_args args;
    struct err e;
    lua_Integer expect;

    if (!lua_istable(L, at) || lua_geti(L, at, 1) != LUA_TSTRING)
        return luaL_error(L, "statement %I of a write is no {sql, args}", (LUAI_UACINT)i);
    sql = lua_tolstring(L, -1, &bytes);
    if (lua_getfield(L, at, "expect") == LUA_TNIL) {
        expect = -1;
    } else {
        expect = lua_tointegerx(L, -1, &is_int);
        if (!is_int || expect < 0)
            return luaL_error(L, "expect of statement %I is not a number of rows", (LUAI_UACINT)i);
    }
    if (lua_geti(L, at, 2) != LUA_TNIL && !lua_istable(L, -1))
        return luaL_error(L, "the arguments of statement %I of a write are no table",
                          (LUAI_UACINT)i);
    bind_db_args(L, lua_gettop(L), &args);
    if ((n = bind_db_bad(L, &args)) != 0)
        return n;
    if (db_req_add(&a->req, sql, bytes, &args, expect, &e) != 0)
        return bind_fail(L, &e);
    lua_settop(L, at);
    return 0;
}

static int l_write(lua_State *L)
{
    struct db_box *b = bind_db_check(L);
    struct keeper *k;
    struct ask *a;
    lua_Integer n;

    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    n = (lua_Integer)lua_rawlen(L, 2);
    luaL_argcheck(L, n >= 1 && n <= STATEMENTS_MAX, 2, "1 to 10000 statements expected");
    k = lua_newuserdatauv(L, sizeof *k, 0);
    k->ask = NULL;
    luaL_setmetatable(L, BIND_DB_TYPE ".keeper");
    k->ask = ask_new(L, b, DB_WRITE, WRITE);
    for (lua_Integer i = 1; i <= n; i++) {
        int failed;
        lua_geti(L, 2, i);
        failed = add_statement(L, k->ask, i);
        if (failed != 0) {
            ask_free(k->ask);
            k->ask = NULL;
            return failed;
        }
        lua_pop(L, 1);
    }
    a = k->ask;
    k->ask = NULL;
    return ask_start(L, a);
}

static int l_script(lua_State *L)
{
    struct db_box *b = bind_db_check(L);
    size_t bytes;
    const char *sql = luaL_checklstring(L, 2, &bytes);
    struct ask *a = ask_new(L, b, DB_SCRIPT, SCRIPT);
    struct err e;

    if (db_req_add(&a->req, sql, bytes, NULL, -1, &e) != 0) {
        ask_free(a);
        return bind_fail(L, &e);
    }
    return ask_start(L, a);
}

static int migrate(struct db_req *req, struct db_conn *c, struct err *e)
{
    struct ask *a = ask_of(req);
    struct db_migration *steps = mem_zero(DB_MIGRATIONS_MAX, sizeof *steps);
    int n, rc = -1;

    if (steps == NULL)
        return err_set(e, ERR_NOMEM, "no memory for the schema steps");
    n = db_migrate_embedded(steps, DB_MIGRATIONS_MAX, "schema/sqlite/", e);
    if (n >= 0)
        rc = db_migrate(c, steps, n, &a->from, &a->to, e);
    mem_free(steps);
    return rc;
}

static int l_migrate(lua_State *L)
{
    struct db_box *b = bind_db_check(L);
    struct ask *a;

    if (bind_db_tx(L, b) != 0)
        return luaL_error(L, "a database is not migrated inside of a transaction");
    a = ask_new(L, b, DB_CALL, MIGRATE);
    a->req.call = migrate;
    a->req.is_for_writer = 1;
    return ask_start(L, a);
}

/* ---- open, close ---- */

static void read_opt(lua_State *L, int index, struct db_opt *opt)
{
    static const char *const names[] = {"full", "normal", "off", NULL};
    const char *sync;
    int i = 0;

    db_opt_init(opt);
    opt->readonly = bind_opt_bool(L, index, "readonly", 0);
    opt->create = bind_opt_bool(L, index, "create", 1);
    opt->attach = bind_opt_bool(L, index, "attach", 0);
    opt->busy_ms = (int)bind_opt_int(L, index, "busy_ms", opt->busy_ms, 0, SECOND_MAX);
    opt->timeout_ms = (int)bind_opt_int(L, index, "timeout_ms", 0, 0, SECOND_MAX);
    opt->tx_idle_ms = (int)bind_opt_int(L, index, "tx_idle_ms", opt->tx_idle_ms, 0, SECOND_MAX);
    opt->cache_kib = (int)bind_opt_int(L, index, "cache_kib", opt->cache_kib, 64, 4 << 20);
    opt->n_readers = (int)bind_opt_int(L, index, "readers", opt->n_readers, 1, 16);
    opt->n_cursors = (int)bind_opt_int(L, index, "cursors", opt->n_cursors, 1, 256);
    opt->value_max_bytes = (size_t)bind_opt_int(L, index, "value_max",
                                                (lua_Integer)opt->value_max_bytes, 1024, 1000000000);
    opt->rows_max_bytes = (size_t)bind_opt_int(L, index, "rows_max",
                                               (lua_Integer)opt->rows_max_bytes, 1024, (lua_Integer)1 << 40);
    opt->file_max_bytes = bind_opt_int(L, index, "bytes_max", 0, 0, (lua_Integer)1 << 50);
    sync = bind_opt_text(L, index, "sync", "full");
    while (names[i] != NULL && strcmp(names[i], sync) != 0)
        i++;
    luaL_argcheck(L, names[i] != NULL, index, "sync is full, normal or off");
    opt->sync = (enum db_sync)i;
}

static struct db_box *new_box(lua_State *L)
{
    struct db_box *b = lua_newuserdatauv(L, sizeof *b, 0);

    memset(b, 0, sizeof *b);
    luaL_setmetatable(L, BIND_DB_TYPE);
    return b;
}

static int l_open(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct db_opt opt;
    struct db_box *b;
    struct ask *a;
    struct err e;

    luaL_argcheck(L, strlen(path) == lua_rawlen(L, 1), 1, "a path without a zero byte expected");
    lua_settop(L, 2);
    read_opt(L, 2, &opt);
    b = new_box(L); /* path opt box */
    a = ask_new(L, b, DB_OPEN, OPEN);
    if (db_open(&a->db, host_loop(L), path, &opt, &a->req, &e) != 0) {
        ask_free(a);
        return bind_fail(L, &e);
    }
    return run_wait(L, &a->wait, ask_cancel, ask_finish);
}

static int l_close(lua_State *L) /* close, __close, __gc */
{
    struct db_box *b = luaL_checkudata(L, 1, BIND_DB_TYPE);

    if (!b->is_main)
        db_close(b->db);
    b->db = NULL;
    return 0;
}

static void main_close(void *arg) { db_close(arg); }

int bind_db_main(struct host *h, const char *path, const struct db_opt *opt, struct err *e)
{
    struct db *db;

    if (host_get(h, HOST_DB) != NULL)
        return err_set(e, ERR_EXISTS, "the main database is open already");
    if (db_open_wait(&db, host_loop(host_lua(h)), path, opt, e) != 0)
        return -1;
    if (host_at_close(h, main_close, db) != 0) {
        db_close(db);
        return err_set(e, ERR_LIMIT, "too much to close with the host");
    }
    host_set(h, HOST_DB, db);
    return 0;
}

static int l_main(lua_State *L)
{
    struct db *db = host_get(host_of(L), HOST_DB);
    struct db_box *b;
    struct err e;

    if (db == NULL) {
        err_set(&e, ERR_NOTFOUND, "this process has no main database");
        return bind_fail(L, &e);
    }
    if (lua_getfield(L, LUA_REGISTRYINDEX, BIND_DB_TYPE ".main") == LUA_TUSERDATA)
        return 1;
    b = new_box(L);
    b->db = db;
    b->is_main = 1;
    lua_pushvalue(L, -1);
    lua_setfield(L, LUA_REGISTRYINDEX, BIND_DB_TYPE ".main");
    return 1;
}

static int l_interrupt(lua_State *L)
{
    db_interrupt(bind_db_check(L)->db);
    return 0;
}

static int l_path(lua_State *L)
{
    lua_pushstring(L, db_path(bind_db_check(L)->db));
    return 1;
}

static int l_is_main(lua_State *L)
{
    lua_pushboolean(L, ((struct db_box *)luaL_checkudata(L, 1, BIND_DB_TYPE))->is_main);
    return 1;
}

/* ---- numbers ---- */

static void set_count(lua_State *L, const char *name, uint64_t n)
{
    lua_pushinteger(L, (lua_Integer)n);
    lua_setfield(L, -2, name);
}

static int l_stats(lua_State *L)
{
    static const char *const kinds[] = {"inline", "read", "write"};
    struct db_stats s;

    db_stats_get(&s);
    lua_createtable(L, 0, 8);
    for (int k = 0; k < DB_STATS_KINDS; k++) {
        lua_createtable(L, 0, 5);
        set_count(L, "count", s.kinds[k].n);
        set_count(L, "errors", s.kinds[k].n_errors);
        set_count(L, "busy", s.kinds[k].n_busy);
        lua_pushnumber(L, (double)s.kinds[k].sum_ns * 1e-9);
        lua_setfield(L, -2, "seconds");
        lua_createtable(L, DB_STATS_BUCKETS, 0);
        for (int i = 0; i < DB_STATS_BUCKETS; i++) {
            lua_pushinteger(L, (lua_Integer)s.kinds[k].buckets[i]);
            lua_rawseti(L, -2, i + 1);
        }
        lua_setfield(L, -2, "buckets");
        lua_setfield(L, -2, kinds[k]);
    }
    lua_createtable(L, DB_STATS_BUCKETS - 1, 0);
    for (int i = 0; i < DB_STATS_BUCKETS - 1; i++) {
        lua_pushnumber(L, db_stats_bounds[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "bounds");
    set_count(L, "cuts", s.n_cuts);
    set_count(L, "commits", s.n_commits);
    set_count(L, "grouped", s.n_grouped);
    set_count(L, "aborts", s.n_aborts);
    return 1;
}

static const luaL_Reg functions[] = {
    {"open", l_open},       {"main", l_main},           {"query", l_query},
    {"row", l_row},         {"value", l_value},         {"exec", l_exec},
    {"write", l_write},     {"script", l_script},       {"migrate", l_migrate},
    {"close", l_close},     {"interrupt", l_interrupt}, {"path", l_path},
    {"is_main", l_is_main}, {"stats", l_stats},         {"blob", bind_db_blob},
    {NULL, NULL},
};

static const luaL_Reg meta[] = {{"__gc", l_close}, {"__close", l_close}, {NULL, NULL}};
static const luaL_Reg keeper_meta[] = {{"__gc", l_keeper_close}, {NULL, NULL}};

int luaopen_core_db(lua_State *L)
{
    bind_class(L, BIND_DB_TYPE, NULL, meta);
    bind_class(L, BIND_DB_TYPE ".keeper", NULL, keeper_meta);
    bind_db_blob_class(L);
    luaL_newlib(L, functions);
    bind_json_null(L);
    lua_setfield(L, -2, "null");
    bind_db_hold_open(L);
    bind_db_matrix_open(L);
    return 1;
}
