/*
 * bind_fs.c - core.fs: files inside the folders that the host allows (base/file.h).
 *
 *   read(path, max_bytes) --> text
 *   write(path, text [, is_new]) --> bytes            atomic
 *   append(path, text) --> bytes
 *   list(path) --> array of { name, kind, bytes, mtime, mode }
 *   stat(path) --> { kind, bytes, mtime, mode }
 *   mkdir(path), remove(path [, deep]), rename(from, to) --> true
 *   copy(from, to) --> bytes
 *   temp(folder, prefix) --> name
 *
 * All wait; all answer nil, message, code when the world says no. The operation copies what it
 * needs: the script may be gone before its thread is.
 */
#include "bind/bind_fs.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "bind/bind_block.h"

#define READ_MAX_BYTES ((lua_Integer)1 << 30)

static struct file_roots *roots; /* not of the VM: threads may use it after that is closed */

struct op {
    struct bind_block work;
    char *path, *other;  /* copied */
    char *data;          /* write, append */
    size_t bytes, max;
    int flag;            /* is_new, deep */
    struct buf content;
    struct file_info info;
    struct file_list list;
    uint64_t copied;
    char name[160];
};

int bind_fs_allow(const char *folder, int is_writable, struct err *e)
{
    if (roots == NULL && (roots = file_roots_new()) == NULL)
        return err_set(e, ERR_NOMEM, "no memory for the folders of scripts");
    return file_roots_add(roots, folder, is_writable, e);
}

const struct file_roots *bind_fs_roots(void)
{
    return roots;
}

void bind_fs_forget(void)
{
    file_roots_free(roots);
    roots = NULL;
}

static void op_release(struct bind_block *w)
{
    struct op *op = (struct op *)w;

    mem_free(op->path);
    mem_free(op->other);
    mem_free(op->data);
    buf_deinit(&op->content);
    file_list_free(&op->list);
}

static const char *check_path(lua_State *L, int arg)
{
    size_t n;
    const char *path = luaL_checklstring(L, arg, &n);

    luaL_argcheck(L, n > 0 && n <= FILE_PATH_MAX && memchr(path, '\0', n) == NULL, arg,
                  "a path of 1 to 4096 bytes without a zero byte expected");
    return path;
}

/* Every check that can raise is done: from here on only memory can be short. */
static struct op *op_new(lua_State *L, const char *path, const char *other,
                         int (*run)(struct bind_block *, struct err *),
                         int (*finish)(lua_State *, struct bind_block *))
{
    struct err e;

    run_check_can_wait(L);
    if (roots == NULL) {
        err_set(&e, ERR_AUTH, "path %.300s is outside the folders that may be used", path);
        bind_fail(L, &e);
        return NULL;
    }
    struct op *op = mem_zero(1, sizeof *op);
    if (op != NULL) {
        op->work.run = run;
        op->work.finish = finish;
        op->work.release = op_release;
        op->path = mem_dup(path);
        op->other = other ? mem_dup(other) : NULL;
        if (op->path != NULL && (other == NULL || op->other != NULL))
            return op;
        bind_block_drop(&op->work);
    }
    err_set(&e, ERR_NOMEM, "no memory for a file operation");
    bind_fail(L, &e);
    return NULL;
}

static int finish_true(lua_State *L, struct bind_block *w)
{
    (void)w;
    lua_pushboolean(L, 1);
    return 1;
}

static int finish_bytes(lua_State *L, struct bind_block *w)
{
    lua_pushinteger(L, (lua_Integer)((struct op *)w)->bytes);
    return 1;
}

/* ---- content ---- */

static int run_read(struct bind_block *w, struct err *e)
{
    struct op *op = (struct op *)w;

    return file_read(roots, op->path, op->max, &op->content, e);
}

static int finish_read(lua_State *L, struct bind_block *w)
{
    struct op *op = (struct op *)w;

    lua_pushlstring(L, op->content.data ? op->content.data : "", op->content.len);
    return 1;
}

static int l_read(lua_State *L)
{
    const char *path = check_path(L, 1);
    lua_Integer max = luaL_checkinteger(L, 2);

    luaL_argcheck(L, max >= 0 && max <= READ_MAX_BYTES, 2, "0 to 1 GiB expected");
    struct op *op = op_new(L, path, NULL, run_read, finish_read);
    if (op == NULL)
        return 3;
    op->max = (size_t)max;
    buf_init(&op->content, op->max + 4096);
    return bind_block_wait(L, &op->work);
}

static int run_write(struct bind_block *w, struct err *e)
{
    struct op *op = (struct op *)w;

    return file_write(roots, op->path, op->data, op->bytes, op->flag, e);
}

static int run_append(struct bind_block *w, struct err *e)
{
    struct op *op = (struct op *)w;

    return file_append(roots, op->path, op->data, op->bytes, e);
}

static int write_with(lua_State *L, int (*run)(struct bind_block *, struct err *))
{
    size_t n;
    const char *path = check_path(L, 1), *data = luaL_checklstring(L, 2, &n);
    int is_new = lua_toboolean(L, 3);
    struct op *op = op_new(L, path, NULL, run, finish_bytes);

    if (op == NULL)
        return 3;
    op->data = mem_alloc(n);
    if (op->data == NULL) {
        struct err e;
        bind_block_drop(&op->work);
        err_set(&e, ERR_NOMEM, "no memory for %zu bytes to write", n);
        return bind_fail(L, &e);
    }
    memcpy(op->data, data, n);
    op->bytes = n;
    op->flag = is_new;
    return bind_block_wait(L, &op->work);
}

static int l_write(lua_State *L)
{
    return write_with(L, run_write);
}

static int l_append(lua_State *L)
{
    return write_with(L, run_append);
}

/* ---- looking ---- */

static void push_info(lua_State *L, const struct file_info *info, const char *name)
{
    const char *kind = info->kind == 'f' ? "file" : info->kind == 'd' ? "folder"
                       : info->kind == 'l' ? "link" : "other";

    lua_createtable(L, 0, 5);
    if (name != NULL) {
        lua_pushstring(L, name);
        lua_setfield(L, -2, "name");
    }
    lua_pushstring(L, kind);
    lua_setfield(L, -2, "kind");
    lua_pushinteger(L, (lua_Integer)info->bytes);
    lua_setfield(L, -2, "bytes");
    lua_pushnumber(L, info->mtime);
    lua_setfield(L, -2, "mtime");
    lua_pushinteger(L, info->mode);
    lua_setfield(L, -2, "mode");
}

static int run_stat(struct bind_block *w, struct err *e)
{
    struct op *op = (struct op *)w;

    return file_stat(roots, op->path, &op->info, e);
}

static int finish_stat(lua_State *L, struct bind_block *w)
{
    push_info(L, &((struct op *)w)->info, NULL);
    return 1;
}

static int l_stat(lua_State *L)
{
    struct op *op = op_new(L, check_path(L, 1), NULL, run_stat, finish_stat);

    return op ? bind_block_wait(L, &op->work) : 3;
}

static int run_list(struct bind_block *w, struct err *e)
{
    struct op *op = (struct op *)w;

    return file_list(roots, op->path, &op->list, e);
}

static int finish_list(lua_State *L, struct bind_block *w)
{
    struct op *op = (struct op *)w;

    lua_createtable(L, (int)op->list.n, 0);
    for (size_t i = 0; i < op->list.n; i++) {
        push_info(L, &op->list.items[i].info, op->list.items[i].name);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int l_list(lua_State *L)
{
    struct op *op = op_new(L, check_path(L, 1), NULL, run_list, finish_list);

    return op ? bind_block_wait(L, &op->work) : 3;
}

/* ---- changing the tree ---- */

static int run_mkdir(struct bind_block *w, struct err *e)
{
    return file_mkdir(roots, ((struct op *)w)->path, e);
}

static int l_mkdir(lua_State *L)
{
    struct op *op = op_new(L, check_path(L, 1), NULL, run_mkdir, finish_true);

    return op ? bind_block_wait(L, &op->work) : 3;
}

static int run_remove(struct bind_block *w, struct err *e)
{
    struct op *op = (struct op *)w;

    return file_remove(roots, op->path, op->flag, e);
}

static int l_remove(lua_State *L)
{
    int deep = lua_toboolean(L, 2);
    struct op *op = op_new(L, check_path(L, 1), NULL, run_remove, finish_true);

    if (op == NULL)
        return 3;
    op->flag = deep;
    return bind_block_wait(L, &op->work);
}

static int run_rename(struct bind_block *w, struct err *e)
{
    struct op *op = (struct op *)w;

    return file_rename(roots, op->path, op->other, e);
}

static int l_rename(lua_State *L)
{
    const char *from = check_path(L, 1), *to = check_path(L, 2);
    struct op *op = op_new(L, from, to, run_rename, finish_true);

    return op ? bind_block_wait(L, &op->work) : 3;
}

static int run_copy(struct bind_block *w, struct err *e)
{
    struct op *op = (struct op *)w;
    int rc = file_copy(roots, op->path, op->other, &op->copied, e);

    op->bytes = (size_t)op->copied;
    return rc;
}

static int l_copy(lua_State *L)
{
    const char *from = check_path(L, 1), *to = check_path(L, 2);
    struct op *op = op_new(L, from, to, run_copy, finish_bytes);

    return op ? bind_block_wait(L, &op->work) : 3;
}

static int run_temp(struct bind_block *w, struct err *e)
{
    struct op *op = (struct op *)w;

    return file_temp(roots, op->path, op->other, op->name, sizeof op->name, e);
}

static int finish_temp(lua_State *L, struct bind_block *w)
{
    lua_pushstring(L, ((struct op *)w)->name);
    return 1;
}

static int l_temp(lua_State *L)
{
    const char *folder = check_path(L, 1), *prefix = luaL_checkstring(L, 2);
    struct op *op = op_new(L, folder, prefix, run_temp, finish_temp);

    return op ? bind_block_wait(L, &op->work) : 3;
}

static const luaL_Reg FUNCTIONS[] = {
    { "read", l_read },     { "write", l_write },   { "append", l_append }, { "stat", l_stat },
    { "list", l_list },     { "mkdir", l_mkdir },   { "remove", l_remove }, { "rename", l_rename },
    { "copy", l_copy },     { "temp", l_temp },     { NULL, NULL },
};

int luaopen_core_fs(lua_State *L)
{
    luaL_newlib(L, FUNCTIONS);
    return 1;
}
