/*
 * bind_db_hold.c - what a script keeps of a database between calls: transactions, iterators, backups.
 *
 *   begin(db, deferred) --> tx           inside of one: a savepoint; waits for its turn
 *   commit(tx) --> true                  rollback(tx) --> true
 *   cursor(db, sql [, args]) --> cursor  runs nothing yet
 *   next(cursor, n) --> array of rows    at most n; the last one is shorter, or empty
 *   backup(db, path) --> backup
 *   step(backup, pages) --> done, total, is_complete
 *   cursor_close(cursor)                 backup_close(backup)
 * These two, and __close and __gc of all three, never wait; a transaction that is not over is
 * rolled back.
 *
 * A transaction belongs to the run that began it: all that this run asks of the database goes into
 * it, also through functions that know nothing of it.
 */
#include <stddef.h>
#include <string.h>

#include <lauxlib.h>

#include "base/mem.h"
#include "bind/bind.h"
#include "bind/bind_db.h"
#include "db/db_backup.h"
#include "db/db_cursor.h"

#define TX_TYPE "core.db.tx"
#define CURSOR_TYPE "core.db.cursor"
#define BACKUP_TYPE "core.db.backup"
#define BATCH_MAX 100000
#define PAGES_MAX 1000000

/* Each holds the box of its database as user value 1. */
struct tx_box {
    struct db_box *db;
    uint64_t tx; /* 0 when it is over */
    int depth;
};

struct cursor_box {
    struct db_cursor *cur;
};

struct backup_box {
    struct db_backup *backup;
};

/* ---- transactions ---- */

struct turn {
    struct wait wait; /* first */
    struct db_req req;
    struct tx_box *box;
    int is_cancelled;
};

static struct turn *turn_of(struct db_req *req)
{
    return (struct turn *)((char *)req - offsetof(struct turn, req));
}

static void tx_over(struct tx_box *t)
{
    if (t->depth == 0 && t->db->tx == t->tx) {
        t->db->tx = 0;
        t->db->tx_run = NULL;
    }
    t->tx = 0;
}

static void on_turn_done(struct db_req *req)
{
    struct turn *t = turn_of(req);

    if (!t->is_cancelled) {
        if (req->what == DB_BEGIN && req->status == 0) {
            t->box->tx = req->tx;
            t->box->depth = req->depth;
            if (req->depth == 0) {
                t->box->db->tx = req->tx;
                t->box->db->tx_run = t->wait.run;
            }
        } else if (req->what != DB_BEGIN) {
            tx_over(t->box); /* whatever came of it */
        }
        run_wake(&t->wait);
    }
    mem_free(t);
}

static void turn_cancel(struct wait *w)
{
    struct turn *t = (struct turn *)w;

    t->is_cancelled = 1;
    db_cancel(&t->req);
}

static int turn_finish(lua_State *L, struct wait *w)
{
    struct turn *t = (struct turn *)w;

    if (t->req.status != 0)
        return bind_fail(L, &t->req.err);
    if (t->req.what == DB_BEGIN)
        lua_settop(L, 3); /* the box is on top */
    else
        lua_pushboolean(L, 1);
    return 1;
}

static struct turn *turn_new(lua_State *L, struct tx_box *box, enum db_what what)
{
    struct turn *t;

    run_check_can_wait(L);
    t = mem_zero(1, sizeof *t);
    if (t == NULL)
        luaL_error(L, "not enough memory");
    db_req_init(&t->req, what, on_turn_done);
    t->box = box;
    return t;
}

static int l_begin(lua_State *L)
{
    struct db_box *b = bind_db_check(L);
    struct tx_box *box;
    struct turn *t;

    lua_settop(L, 2);
    box = lua_newuserdatauv(L, sizeof *box, 1);
    memset(box, 0, sizeof *box);
    box->db = b;
    luaL_setmetatable(L, TX_TYPE);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, 3, 1);
    t = turn_new(L, box, DB_BEGIN);
    t->req.tx = bind_db_tx(L, b);
    t->req.is_deferred = lua_toboolean(L, 2);
    db_submit(b->db, &t->req);
    return run_wait(L, &t->wait, turn_cancel, turn_finish);
}

static int end_tx(lua_State *L, enum db_what what)
{
    struct tx_box *box = luaL_checkudata(L, 1, TX_TYPE);
    struct turn *t;

    if (box->db->db == NULL)
        return luaL_error(L, "this db is closed");
    if (box->tx == 0)
        return luaL_error(L, "this transaction is over");
    t = turn_new(L, box, what);
    t->req.tx = box->tx;
    t->req.depth = box->depth;
    db_submit(box->db->db, &t->req);
    return run_wait(L, &t->wait, turn_cancel, turn_finish);
}

static int l_commit(lua_State *L) { return end_tx(L, DB_COMMIT); }
static int l_rollback(lua_State *L) { return end_tx(L, DB_ROLLBACK); }

/* Reached with the transaction open only when its run was ended from outside: all of it goes. */
static int l_tx_close(lua_State *L)
{
    struct tx_box *box = luaL_checkudata(L, 1, TX_TYPE);

    if (box->tx != 0 && box->db->db != NULL)
        db_tx_abort(box->db->db, box->tx);
    if (box->tx != 0)
        tx_over(box);
    return 0;
}

/* ---- iterators ---- */

struct batch {
    struct wait wait; /* first */
    struct db_cursor *cur;
};

static void on_batch(struct db_cursor *cur)
{
    struct batch *b = cur->owner;

    cur->owner = NULL;
    if (b == NULL) /* the run has ended; so has the box, or it will */
        return;
    run_wake(&b->wait);
    mem_free(b);
}

static void batch_cancel(struct wait *w)
{
    struct batch *b = (struct batch *)w;

    b->cur->owner = NULL;
    db_cancel(&b->cur->hold.req);
    mem_free(b);
}

static int batch_finish(lua_State *L, struct wait *w)
{
    struct db_cursor *cur = ((struct batch *)w)->cur;

    if (cur->hold.req.status != 0)
        return bind_fail(L, &cur->hold.req.err);
    bind_db_rows(L, &cur->rows);
    return 1;
}

static int l_cursor(lua_State *L)
{
    struct db_box *b = bind_db_check(L);
    size_t bytes;
    const char *sql = luaL_checklstring(L, 2, &bytes);
    struct cursor_box *box;
    struct db_args args;
    struct err e;
    int n;

    lua_settop(L, 3);
    bind_db_args(L, 3, &args);
    if ((n = bind_db_bad(L, &args)) != 0)
        return n;
    box = lua_newuserdatauv(L, sizeof *box, 1);
    box->cur = NULL;
    luaL_setmetatable(L, CURSOR_TYPE);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    if (db_cursor_new(&box->cur, b->db, bind_db_tx(L, b), sql, bytes, &args, &e) != 0)
        return bind_fail(L, &e);
    return 1;
}

static int l_next(lua_State *L)
{
    struct cursor_box *box = luaL_checkudata(L, 1, CURSOR_TYPE);
    lua_Integer n = luaL_checkinteger(L, 2);
    struct batch *b;
    struct err e;

    luaL_argcheck(L, n >= 1 && n <= BATCH_MAX, 2, "1 to 100000 rows expected");
    if (box->cur == NULL)
        return luaL_error(L, "this iterator is closed");
    if (box->cur->owner != NULL || box->cur->hold.is_running)
        return luaL_error(L, "this iterator is being read by another task");
    if (box->cur->is_at_end) {
        lua_newtable(L);
        return 1;
    }
    run_check_can_wait(L);
    b = mem_zero(1, sizeof *b);
    if (b == NULL)
        return luaL_error(L, "not enough memory");
    b->cur = box->cur;
    box->cur->owner = b;
    if (db_cursor_next(box->cur, (size_t)n, on_batch, &e) != 0) {
        box->cur->owner = NULL;
        mem_free(b);
        return bind_fail(L, &e);
    }
    return run_wait(L, &b->wait, batch_cancel, batch_finish);
}

static int l_cursor_close(lua_State *L)
{
    struct cursor_box *box = luaL_checkudata(L, 1, CURSOR_TYPE);
    struct db_cursor *cur = box->cur;

    box->cur = NULL;
    db_cursor_close(cur);
    return 0;
}

/* ---- backups ---- */

struct slice {
    struct wait wait; /* first */
    struct db_backup *backup;
};

static void on_slice(struct db_backup *backup)
{
    struct slice *s = backup->owner;

    backup->owner = NULL;
    if (s == NULL)
        return;
    run_wake(&s->wait);
    mem_free(s);
}

static void slice_cancel(struct wait *w)
{
    struct slice *s = (struct slice *)w;

    s->backup->owner = NULL;
    db_cancel(&s->backup->hold.req);
    mem_free(s);
}

static int slice_finish(lua_State *L, struct wait *w)
{
    struct db_backup *b = ((struct slice *)w)->backup;

    if (b->hold.req.status != 0)
        return bind_fail(L, &b->hold.req.err);
    lua_pushinteger(L, b->n_done);
    lua_pushinteger(L, b->n_total);
    lua_pushboolean(L, b->is_complete);
    return 3;
}

static int l_backup(lua_State *L)
{
    struct db_box *b = bind_db_check(L);
    const char *path = luaL_checkstring(L, 2);
    struct backup_box *box;
    struct err e;

    luaL_argcheck(L, strlen(path) == lua_rawlen(L, 2) && path[0] != '\0', 2, "a path expected");
    box = lua_newuserdatauv(L, sizeof *box, 1);
    box->backup = NULL;
    luaL_setmetatable(L, BACKUP_TYPE);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    if (db_backup_new(&box->backup, b->db, path, &e) != 0)
        return bind_fail(L, &e);
    return 1;
}

static int l_step(lua_State *L)
{
    struct backup_box *box = luaL_checkudata(L, 1, BACKUP_TYPE);
    lua_Integer n = luaL_checkinteger(L, 2);
    struct slice *s;
    struct err e;

    luaL_argcheck(L, n >= 1 && n <= PAGES_MAX, 2, "1 to 1000000 pages expected");
    if (box->backup == NULL)
        return luaL_error(L, "this backup is closed");
    if (box->backup->owner != NULL || box->backup->hold.is_running)
        return luaL_error(L, "this backup is being made by another task");
    run_check_can_wait(L);
    s = mem_zero(1, sizeof *s);
    if (s == NULL)
        return luaL_error(L, "not enough memory");
    s->backup = box->backup;
    box->backup->owner = s;
    if (db_backup_next(box->backup, (int)n, on_slice, &e) != 0) {
        box->backup->owner = NULL;
        mem_free(s);
        return bind_fail(L, &e);
    }
    return run_wait(L, &s->wait, slice_cancel, slice_finish);
}

static int l_backup_close(lua_State *L)
{
    struct backup_box *box = luaL_checkudata(L, 1, BACKUP_TYPE);
    struct db_backup *b = box->backup;

    box->backup = NULL;
    db_backup_close(b);
    return 0;
}

/* ---- table ---- */

static const luaL_Reg functions[] = {
    {"begin", l_begin},           {"commit", l_commit},
    {"rollback", l_rollback},     {"cursor", l_cursor},
    {"next", l_next},             {"cursor_close", l_cursor_close},
    {"backup", l_backup},         {"step", l_step},
    {"backup_close", l_backup_close}, {NULL, NULL},
};

static const luaL_Reg tx_meta[] = {{"__gc", l_tx_close}, {"__close", l_tx_close}, {NULL, NULL}};
static const luaL_Reg cursor_meta[] = {
    {"__gc", l_cursor_close}, {"__close", l_cursor_close}, {NULL, NULL}};
static const luaL_Reg backup_meta[] = {
    {"__gc", l_backup_close}, {"__close", l_backup_close}, {NULL, NULL}};

void bind_db_hold_open(lua_State *L)
{
    bind_class(L, TX_TYPE, NULL, tx_meta);
    bind_class(L, CURSOR_TYPE, NULL, cursor_meta);
    bind_class(L, BACKUP_TYPE, NULL, backup_meta);
    luaL_setfuncs(L, functions, 0);
}
