/*
 * bind_sheet.c - core.sheet: table files for scripts. The face is lua/sheet.lua.
 *
 *   loader(opt) --> loader            opt: path table schema columns row_column file_column file_id
 *                                     sheet temp_dir; columns: array of {name, headers, required}
 *   step(db, loader, n) --> more, rows, done
 *                                     stores at most n further rows, in the transaction the run
 *                                     has open; more: boolean, done: share of the file. Waits
 *   result(loader) --> table          rows cells header_row is_1904
 *   close(loader)
 *   info(path [, temp_dir [, sheet]]) --> table      waits, on the compute pool
 *   write(db, opt [, args]) --> rows  bind_sheet_write.c
 *
 * A refusal is nil, message, code and then two more: what is wrong with the file, in the words of
 * sheet_fault.h ("missing_columns"), and the array of columns or sheets it is about.
 *
 * A loader is used by one thread at a time: while a step runs, its box is kept alive, says that it
 * is busy, and closing it is put off.
 */
#include "bind/bind_sheet.h"

#include <stddef.h>
#include <string.h>

#include <lauxlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "bind/bind.h"
#include "bind/bind_all.h"
#include "bind/bind_db.h"
#include "bind/bind_work.h"
#include "sheet/sheet_load.h"

#define TYPE "core.sheet.loader"
#define ROWS_MAX 1000000   /* of one step */
#define HEADER_MAX (1u << 20)

/* User value 1 is a table that keeps the texts and arrays `what` points to. */
struct loader_box {
    struct sheet_load what;
    struct sheet_loaded out;
    struct sheet_loader *l; /* NULL when closed */
    struct db_conn *conn;   /* while a step runs */
    int is_running, close_later;
};

const char *bind_sheet_text(lua_State *L, int index, int keep, const char *field)
{
    const char *text = bind_opt_text(L, index, field, NULL);

    if (text == NULL)
        return NULL;
    lua_getfield(L, index, field);
    if (strlen(text) != lua_rawlen(L, -1))
        luaL_error(L, "%s has a zero byte", field);
    lua_rawseti(L, keep, (lua_Integer)lua_rawlen(L, keep) + 1);
    return text;
}

void *bind_sheet_block(lua_State *L, int keep, size_t bytes)
{
    void *p = lua_newuserdatauv(L, bytes, 0);

    memset(p, 0, bytes);
    lua_rawseti(L, keep, (lua_Integer)lua_rawlen(L, keep) + 1);
    return p;
}

/* nil, message, code, fault, names. */
static int fail_file(lua_State *L, const struct err *e, const struct sheet_trouble *t)
{
    int n = bind_fail(L, e);
    lua_Integer i = 0;

    lua_pushstring(L, sheet_fault_name(t->fault));
    lua_newtable(L);
    for (const char *p = t->names.data, *end = p + t->names.len; p < end; p += strlen(p) + 1) {
        lua_pushstring(L, p);
        lua_rawseti(L, -2, ++i);
    }
    return n + 2;
}

/* ---- the loader ---- */

static void loader_end(struct loader_box *b)
{
    if (b->l == NULL)
        return;
    sheet_load_close(b->l);
    b->l = NULL;
    sheet_loaded_deinit(&b->out);
}

static int on_tick(void *arg, int64_t n_rows, double done)
{
    const struct db_conn *c = ((struct loader_box *)arg)->conn;

    (void)n_rows;
    (void)done;
    return (c->cancel != NULL && atomic_load(c->cancel)) ||
           (c->closing != NULL && atomic_load(c->closing));
}

/* Headers of the column on top of the stack, or NULL. */
static const char *const *read_headers(lua_State *L, int keep)
{
    const char **headers;
    int at = lua_gettop(L);
    lua_Integer n;

    if (lua_getfield(L, at, "headers") == LUA_TNIL) {
        lua_settop(L, at);
        return NULL;
    }
    luaL_checktype(L, -1, LUA_TTABLE);
    n = (lua_Integer)lua_rawlen(L, -1);
    headers = bind_sheet_block(L, keep, (size_t)(n + 1) * sizeof *headers);
    for (lua_Integer i = 0; i < n; i++) {
        if (lua_rawgeti(L, at + 1, i + 1) != LUA_TSTRING)
            luaL_error(L, "header %I of a column is no text", (LUAI_UACINT)(i + 1));
        headers[i] = lua_tostring(L, -1);
        lua_rawseti(L, keep, (lua_Integer)lua_rawlen(L, keep) + 1);
    }
    lua_settop(L, at);
    return headers;
}

static void read_columns(lua_State *L, int keep, struct sheet_load *what)
{
    struct sheet_column *columns;
    int top = lua_gettop(L);
    lua_Integer n;

    if (lua_getfield(L, 1, "columns") == LUA_TNIL) {
        lua_settop(L, top);
        return;
    }
    luaL_checktype(L, -1, LUA_TTABLE);
    n = (lua_Integer)lua_rawlen(L, -1);
    luaL_argcheck(L, n >= 1 && n <= SHEET_LOAD_COLUMNS_MAX, 1, "1 to 1900 columns expected");
    columns = bind_sheet_block(L, keep, (size_t)n * sizeof *columns);
    for (lua_Integer i = 0; i < n; i++) {
        if (lua_rawgeti(L, top + 1, i + 1) != LUA_TTABLE)
            luaL_error(L, "column %I is no table", (LUAI_UACINT)(i + 1));
        columns[i].name = bind_sheet_text(L, top + 2, keep, "name");
        if (columns[i].name == NULL)
            luaL_error(L, "column %I has no name", (LUAI_UACINT)(i + 1));
        columns[i].is_required = bind_opt_bool(L, top + 2, "required", 0);
        columns[i].headers = read_headers(L, keep);
        lua_settop(L, top + 1);
    }
    what->columns = columns;
    what->n_columns = (size_t)n;
    lua_settop(L, top);
}

static int l_loader(lua_State *L)
{
    struct loader_box *b;
    struct err e;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    b = lua_newuserdatauv(L, sizeof *b, 1); /* opt box */
    memset(b, 0, sizeof *b);
    luaL_setmetatable(L, TYPE);
    lua_newtable(L);                        /* opt box keep */
    lua_pushvalue(L, 3);
    lua_setiuservalue(L, 2, 1);
    b->what.path = bind_sheet_text(L, 1, 3, "path");
    b->what.table = bind_sheet_text(L, 1, 3, "table");
    if (b->what.path == NULL || b->what.table == NULL)
        return luaL_error(L, "a path and a table expected");
    b->what.schema = bind_sheet_text(L, 1, 3, "schema");
    b->what.row_column = bind_sheet_text(L, 1, 3, "row_column");
    b->what.file_column = bind_sheet_text(L, 1, 3, "file_column");
    b->what.file_id = bind_opt_int(L, 1, "file_id", 0, LUA_MININTEGER, LUA_MAXINTEGER);
    b->what.sheet = bind_sheet_text(L, 1, 3, "sheet");
    b->what.temp_dir = bind_sheet_text(L, 1, 3, "temp_dir");
    b->what.tick = on_tick;
    b->what.tick_arg = b;
    read_columns(L, 3, &b->what);
    if (sheet_load_open(&b->l, &b->what, &b->out, &e) != 0)
        return bind_fail(L, &e);
    lua_settop(L, 2);
    return 1;
}

static struct loader_box *check_loader(lua_State *L, int arg)
{
    struct loader_box *b = luaL_checkudata(L, arg, TYPE);

    if (b->l == NULL || b->close_later)
        luaL_error(L, "this loader is closed");
    if (b->is_running)
        luaL_error(L, "this loader is in use by another task");
    return b;
}

static int l_close(lua_State *L) /* close, __close, __gc */
{
    struct loader_box *b = luaL_checkudata(L, 1, TYPE);

    if (b->is_running)
        b->close_later = 1;
    else
        loader_end(b);
    return 0;
}

static int l_result(lua_State *L)
{
    struct loader_box *b = check_loader(L, 1);

    lua_createtable(L, 0, 4);
    lua_pushinteger(L, b->out.n_rows);
    lua_setfield(L, -2, "rows");
    lua_pushinteger(L, b->out.n_cells);
    lua_setfield(L, -2, "cells");
    lua_pushinteger(L, b->out.header_row);
    lua_setfield(L, -2, "header_row");
    lua_pushboolean(L, b->out.is_1904);
    lua_setfield(L, -2, "is_1904");
    return 1;
}

/* ---- a step ---- */

struct step {
    struct wait wait; /* first */
    struct db_req req;
    struct loader_box *box;
    lua_State *L; /* the main state, for the reference that keeps the box */
    int ref, rc, is_cancelled;
    int64_t n_rows;
};

static struct step *step_of(struct db_req *req)
{
    return (struct step *)((char *)req - offsetof(struct step, req));
}

static int step_call(struct db_req *req, struct db_conn *c, struct err *e)
{
    struct step *s = step_of(req);

    s->box->conn = c;
    s->rc = sheet_load_step(s->box->l, c->db, s->n_rows, e);
    s->box->conn = NULL;
    return s->rc < 0 ? -1 : 0;
}

static void on_step_done(struct db_req *req)
{
    struct step *s = step_of(req);

    s->box->is_running = 0;
    if (!s->is_cancelled)
        run_wake(&s->wait);
    if (s->box->close_later)
        loader_end(s->box);
    luaL_unref(s->L, LUA_REGISTRYINDEX, s->ref);
    db_req_deinit(&s->req);
    mem_free(s);
}

static void step_cancel(struct wait *w)
{
    struct step *s = (struct step *)w;

    s->is_cancelled = 1;
    db_cancel(&s->req);
}

static int step_finish(lua_State *L, struct wait *w)
{
    struct step *s = (struct step *)w;

    if (s->req.status != 0)
        return fail_file(L, &s->req.err, &s->box->out.trouble);
    lua_pushboolean(L, s->rc);
    lua_pushinteger(L, s->box->out.n_rows);
    lua_pushnumber(L, sheet_load_done(s->box->l));
    return 3;
}

static int l_step(lua_State *L)
{
    struct db_box *db = bind_db_check(L);
    struct loader_box *b = check_loader(L, 2);
    lua_Integer n = luaL_checkinteger(L, 3);
    struct step *s;
    int ref;

    luaL_argcheck(L, n >= 1 && n <= ROWS_MAX, 3, "1 to 1000000 rows expected");
    run_check_can_wait(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    lua_State *main = lua_tothread(L, -1);
    lua_pushvalue(L, 2);
    ref = luaL_ref(L, LUA_REGISTRYINDEX);
    s = mem_zero(1, sizeof *s);
    if (s == NULL) {
        luaL_unref(L, LUA_REGISTRYINDEX, ref);
        return luaL_error(L, "not enough memory");
    }
    db_req_init(&s->req, DB_CALL, on_step_done);
    s->req.tx = bind_db_tx(L, db);
    s->req.call = step_call;
    s->req.is_for_writer = 1;
    s->box = b;
    s->L = main;
    s->ref = ref;
    s->n_rows = n;
    b->is_running = 1;
    db_submit(db->db, &s->req);
    return run_wait(L, &s->wait, step_cancel, step_finish);
}

/* ---- info ---- */

struct look {
    struct bind_work work; /* first */
    const char *path, *temp_dir, *sheet;
    struct sheet *s;
    struct sheet_trouble trouble;
    struct err e;
    struct buf header; /* texts of the first row, each ended by a NUL */
    int status;
};

static int add_header(struct look *k, const struct sheet_row *row, struct err *e)
{
    uint32_t column = 0;

    for (uint32_t i = 0; i < row->n_cells; i++) {
        const struct sheet_cell *c = &row->cells[i];
        for (; column < c->column; column++) /* columns without a header */
            if (buf_addc(&k->header, '\0', e) != 0)
                return -1;
        column++;
        if ((c->text != NULL ? buf_add(&k->header, c->text, c->n_bytes, e)
                             : buf_addf(&k->header, e, "%.15g", c->number)) != 0 ||
            buf_addc(&k->header, '\0', e) != 0)
            return -1;
    }
    return 0;
}

static int look_work(struct bind_work *w, struct err *e)
{
    struct look *k = (struct look *)w;
    struct sheet_options o = { .sheet = k->sheet, .temp_dir = k->temp_dir };
    struct sheet_row row;

    (void)e;
    k->status = sheet_open(&k->s, k->path, &o, &k->trouble, &k->e);
    if (k->status == 0)
        k->status = sheet_next_row(k->s, &row, &k->trouble, &k->e);
    if (k->status == 1)
        k->status = add_header(k, &row, &k->e);
    return 0;
}

static void push_texts(lua_State *L, const struct buf *b)
{
    lua_Integer i = 0;

    lua_newtable(L);
    for (const char *p = b->data, *end = p + b->len; p < end; p += strlen(p) + 1) {
        lua_pushstring(L, p);
        lua_rawseti(L, -2, ++i);
    }
}

static int look_finish(lua_State *L, struct bind_work *w)
{
    struct look *k = (struct look *)w;
    struct sheet_info info;

    if (k->status != 0)
        return fail_file(L, &k->e, &k->trouble);
    sheet_get_info(k->s, &info);
    lua_createtable(L, 0, 7);
    lua_pushstring(L, info.kind);
    lua_setfield(L, -2, "kind");
    lua_pushstring(L, info.name);
    lua_setfield(L, -2, "sheet");
    lua_pushstring(L, info.encoding);
    lua_setfield(L, -2, "encoding");
    lua_pushlstring(L, &info.separator, info.separator != '\0');
    lua_setfield(L, -2, "separator");
    lua_pushboolean(L, info.is_1904);
    lua_setfield(L, -2, "is_1904");
    lua_createtable(L, (int)info.n_sheets, 0);
    for (size_t i = 0; i < info.n_sheets; i++) {
        lua_pushstring(L, sheet_name(k->s, i));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "sheets");
    push_texts(L, &k->header);
    lua_setfield(L, -2, "header");
    return 1;
}

static void look_free(struct bind_work *w)
{
    struct look *k = (struct look *)w;

    sheet_close(k->s);
    sheet_trouble_deinit(&k->trouble);
    buf_deinit(&k->header);
}

static int l_info(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1), *temp_dir = luaL_optstring(L, 2, NULL);
    const char *sheet = luaL_optstring(L, 3, NULL);
    struct look *k;

    lua_settop(L, 3);
    k = bind_work_new(L, sizeof *k, 3);
    k->path = path;
    k->temp_dir = temp_dir;
    k->sheet = sheet;
    sheet_trouble_init(&k->trouble);
    buf_init(&k->header, HEADER_MAX);
    k->work.work = look_work;
    k->work.finish = look_finish;
    k->work.free = look_free;
    return bind_work_start(L, &k->work);
}

static const luaL_Reg FUNCTIONS[] = {
    { "loader", l_loader }, { "step", l_step }, { "result", l_result },        { "close", l_close },
    { "info", l_info },     { "write", bind_sheet_write }, { NULL, NULL },
};

static const luaL_Reg META[] = { { "__gc", l_close }, { "__close", l_close }, { NULL, NULL } };

int luaopen_core_sheet(lua_State *L)
{
    bind_class(L, TYPE, NULL, META);
    luaL_newlib(L, FUNCTIONS);
    return 1;
}
