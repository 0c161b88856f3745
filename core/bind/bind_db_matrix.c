/*
 * bind_db_matrix.c - rows into a tensor.
 *
 *   matrix(db, sql [, args]) --> tensor, names     waits; the tensor is filled on the thread
 */
#include <stddef.h>

#include <lauxlib.h>

#include "base/mem.h"
#include "bind/bind.h"
#include "bind/bind_db.h"
#include "bind/bind_tensor.h"
#include "db/db_matrix.h"

struct fill {
    struct wait wait; /* first */
    struct db_matrix m;
    struct tensor *tensor; /* until the script owns it */
    int is_cancelled;
};

static struct fill *fill_of(struct db_req *req)
{
    return (struct fill *)((char *)req - offsetof(struct fill, m));
}

static void fill_free(struct fill *f)
{
    db_matrix_deinit(&f->m);
    tensor_free(f->tensor);
    mem_free(f);
}

static void *place(struct db_matrix *m, struct err *e) /* thread */
{
    struct fill *f = fill_of(&m->req);
    ptrdiff_t shape[2] = {(ptrdiff_t)m->n_rows, (ptrdiff_t)m->n_cols};

    return tensor_new(&f->tensor, 2, shape, e) == 0 ? f->tensor->data : NULL;
}

static void on_filled(struct db_req *req)
{
    struct fill *f = fill_of(req);

    if (!f->is_cancelled)
        run_wake(&f->wait);
    fill_free(f);
}

static void fill_cancel(struct wait *w)
{
    struct fill *f = (struct fill *)w;

    f->is_cancelled = 1;
    db_cancel(&f->m.req);
}

static int fill_finish(lua_State *L, struct wait *w)
{
    struct fill *f = (struct fill *)w;
    const struct db_rows *rows = &f->m.req.steps->rows;
    struct tensor **box;

    if (f->m.req.status != 0)
        return bind_fail(L, &f->m.req.err);
    box = bind_tensor_box(L);
    *box = f->tensor;
    f->tensor = NULL;
    lua_createtable(L, rows->n_cols, 0);
    for (int i = 0; i < rows->n_cols; i++) {
        lua_pushstring(L, rows->names[i]);
        lua_rawseti(L, -2, i + 1);
    }
    return 2;
}

static int l_matrix(lua_State *L)
{
    struct db_box *b = bind_db_check(L);
    size_t bytes;
    const char *sql = luaL_checklstring(L, 2, &bytes);
    struct db_args args;
    struct fill *f;
    struct err e;
    int n;

    lua_settop(L, 3);
    bind_db_args(L, 3, &args);
    if ((n = bind_db_bad(L, &args)) != 0)
        return n;
    run_check_can_wait(L);
    f = mem_zero(1, sizeof *f);
    if (f == NULL)
        return luaL_error(L, "not enough memory");
    if (db_matrix_init(&f->m, bind_db_tx(L, b), sql, bytes, &args, 1, 0, on_filled, &e) != 0) {
        mem_free(f);
        return bind_fail(L, &e);
    }
    f->m.place = place;
    db_submit(b->db, &f->m.req);
    return run_wait(L, &f->wait, fill_cancel, fill_finish);
}

void bind_db_matrix_open(lua_State *L)
{
    lua_pushcfunction(L, l_matrix);
    lua_setfield(L, -2, "matrix");
}
