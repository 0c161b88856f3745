/*
 * bind_sheet_write.c - core.sheet.write(db, opt [, args]) --> rows
 *
 * Writes what a query gives into a workbook or csv, on a thread of the database, without a Lua
 * value per cell. opt: path sql format ("xlsx", "csv", "parquet") sheet created temp_dir separator mark columns;
 * columns: array of {title, style, width}. Without columns the names of the query's are the titles.
 * Waits.
 */
#include <stddef.h>
#include <string.h>

#include <lauxlib.h>

#include "base/mem.h"
#include "bind/bind.h"
#include "bind/bind_db.h"
#include "bind/bind_sheet.h"
#include "sheet/sheet_row.h"
#include "sheet/sheet_write.h"

struct write_op {
    struct wait wait; /* first */
    struct db_req req;
    struct sheet_write_options o;
    const char *path;
    const struct db_conn *conn; /* while it runs */
    lua_State *L;
    int ref, is_cancelled;      /* ref: the table that keeps texts and arrays */
    int64_t n_rows;
};

static struct write_op *op_of(struct db_req *req)
{
    return (struct write_op *)((char *)req - offsetof(struct write_op, req));
}

static int on_tick(void *arg, int64_t n_rows)
{
    const struct db_conn *c = ((struct write_op *)arg)->conn;

    (void)n_rows;
    return (c->cancel != NULL && atomic_load(c->cancel)) ||
           (c->closing != NULL && atomic_load(c->closing));
}

/* The file, out of a statement that is bound. */
static int write_file(struct write_op *op, sqlite3_stmt *st, struct err *e)
{
    struct sheet_write_options o = op->o;
    struct sheet_write_column *own = NULL;
    struct sheet_write *w = NULL;
    int n = sqlite3_column_count(st), rc = -1;

    if (n == 0)
        return err_set(e, ERR_INVALID, "the statement gives no rows");
    if (o.columns == NULL) {
        own = mem_zero((size_t)n, sizeof *own);
        if (own == NULL)
            return err_set(e, ERR_NOMEM, "out of memory");
        for (int i = 0; i < n; i++)
            own[i].title = sqlite3_column_name(st, i);
        o.columns = own;
        o.n_columns = (size_t)n;
    }
    if ((size_t)n != o.n_columns) {
        err_set(e, ERR_SHAPE, "the statement has %d columns, %zu are described", n, o.n_columns);
        goto done;
    }
    if (sheet_write_open(&w, op->path, &o, e) != 0)
        goto done;
    op->n_rows = sheet_write_rows(w, st, on_tick, op, e);
    if (op->n_rows < 0)
        sheet_write_drop(w);
    else
        rc = sheet_write_close(w, e);
done:
    mem_free(own);
    return rc;
}

static int op_call(struct db_req *req, struct db_conn *c, struct err *e)
{
    struct write_op *op = op_of(req);
    const struct db_step *step = req->steps;
    struct db_stmt *s = db_stmt_take(c, step->sql, step->bytes, e);
    int rc = -1;

    if (s == NULL)
        return -1;
    op->conn = c;
    if (!sqlite3_stmt_readonly(s->st))
        err_set(e, ERR_INVALID, "only a statement that reads can be written to a file");
    else if (db_stmt_bind(c, s, &step->args, e) == 0)
        rc = write_file(op, s->st, e);
    db_stmt_give(c, s);
    return rc;
}

static void op_free(struct write_op *op)
{
    luaL_unref(op->L, LUA_REGISTRYINDEX, op->ref);
    db_req_deinit(&op->req);
    mem_free(op);
}

static void on_op_done(struct db_req *req)
{
    struct write_op *op = op_of(req);

    if (!op->is_cancelled)
        run_wake(&op->wait);
    op_free(op);
}

static void op_cancel(struct wait *w)
{
    struct write_op *op = (struct write_op *)w;

    op->is_cancelled = 1;
    db_cancel(&op->req);
}

static int op_finish(lua_State *L, struct wait *w)
{
    struct write_op *op = (struct write_op *)w;

    if (op->req.status != 0)
        return bind_fail(L, &op->req.err);
    lua_pushinteger(L, op->n_rows);
    return 1;
}

static int choice(lua_State *L, int index, const char *field, const char *const *names)
{
    const char *text = bind_opt_text(L, index, field, names[0]);

    for (int i = 0; names[i] != NULL; i++)
        if (strcmp(names[i], text) == 0)
            return i;
    return luaL_error(L, "%s is \"%s\", which is not known", field, text);
}

static void read_columns(lua_State *L, int index, int keep, struct sheet_write_options *o)
{
    static const char *const STYLES[] = {
        "plain", "whole", "money", "percent", "date", "number", "integer", "time",
        NULL,
    };
    struct sheet_write_column *columns;
    int top = lua_gettop(L);
    lua_Integer n;

    if (lua_getfield(L, index, "columns") != LUA_TNIL) {
        luaL_checktype(L, -1, LUA_TTABLE);
        n = (lua_Integer)lua_rawlen(L, -1);
        luaL_argcheck(L, n >= 1 && n <= SHEET_COLUMNS_MAX, index, "1 to 16384 columns expected");
        columns = bind_sheet_block(L, keep, (size_t)n * sizeof *columns);
        for (lua_Integer i = 0; i < n; i++) {
            if (lua_rawgeti(L, top + 1, i + 1) != LUA_TTABLE)
                luaL_error(L, "column %I is no table", (LUAI_UACINT)(i + 1));
            columns[i].title = bind_sheet_text(L, top + 2, keep, "title");
            if (columns[i].title == NULL)
                luaL_error(L, "column %I has no title", (LUAI_UACINT)(i + 1));
            columns[i].style = (enum sheet_style)choice(L, top + 2, "style", STYLES);
            columns[i].width = bind_opt_number(L, top + 2, "width", 0, 0, 255);
            lua_settop(L, top + 1);
        }
        o->columns = columns;
        o->n_columns = (size_t)n;
    }
    lua_settop(L, top);
}

int bind_sheet_write(lua_State *L)
{
    static const char *const FORMATS[] = { "xlsx", "csv", "parquet", NULL };
    struct db_box *db = bind_db_check(L);
    struct sheet_write_options o = { 0 };
    const char *path, *sql, *separator;
    struct write_op *op;
    struct db_args args;
    struct err e;
    int n, ref;

    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 3);
    lua_newtable(L); /* db opt args keep */
    path = bind_sheet_text(L, 2, 4, "path");
    sql = bind_sheet_text(L, 2, 4, "sql");
    luaL_argcheck(L, path != NULL && sql != NULL, 2, "a path and sql expected");
    o.format = (enum sheet_write_format)choice(L, 2, "format", FORMATS); /* in this order */
    o.sheet = bind_sheet_text(L, 2, 4, "sheet");
    o.temp_dir = bind_sheet_text(L, 2, 4, "temp_dir");
    separator = bind_sheet_text(L, 2, 4, "separator");
    luaL_argcheck(L, separator == NULL || (strlen(separator) == 1 && strchr(",;\t", separator[0])),
                  2, "the separator is a comma, a semicolon or a tab");
    o.separator = separator != NULL ? separator[0] : ',';
    o.created = bind_opt_int(L, 2, "created", 0, 0, 4102444800);
    o.has_mark = bind_opt_bool(L, 2, "mark", 0);
    read_columns(L, 2, 4, &o);
    bind_db_args(L, 3, &args);
    if ((n = bind_db_bad(L, &args)) != 0)
        return n;
    run_check_can_wait(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    lua_State *main = lua_tothread(L, -1);
    lua_pushvalue(L, 4);
    ref = luaL_ref(L, LUA_REGISTRYINDEX);
    op = mem_zero(1, sizeof *op);
    if (op == NULL) {
        luaL_unref(L, LUA_REGISTRYINDEX, ref);
        return luaL_error(L, "not enough memory");
    }
    db_req_init(&op->req, DB_CALL, on_op_done);
    op->req.tx = bind_db_tx(L, db);
    op->req.call = op_call;
    op->o = o;
    op->path = path;
    op->L = main;
    op->ref = ref;
    if (db_req_add(&op->req, sql, strlen(sql), &args, -1, &e) != 0) {
        op_free(op);
        return bind_fail(L, &e);
    }
    db_submit(db->db, &op->req);
    return run_wait(L, &op->wait, op_cancel, op_finish);
}
