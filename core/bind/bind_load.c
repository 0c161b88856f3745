/*
 * bind_load.c - core.load: chunks in environments of their own, for lua/generation.lua and
 * lua/template.lua. Text in, functions out; nothing here touches the disk.
 *
 *   env([framework]) --> table                        fresh, read-only base behind it
 *   chunk(name, text, env) --> function               or nil, "file:line: why", "parse"
 *   call(burst_ms, fn, ...) --> results               or nil, message, code, error object: in a run
 *                                                     of its own that may not wait
 *   lock(table) --> read-only proxy
 *   embedded(path) --> text or nil
 *   embedded_list(prefix) --> array of paths
 *   tree(dir) --> table path -> text                  waits; all files of a folder, on the pool
 *   hash(files) --> id                                32 hex digits over paths and contents
 *   set_name(env, name, value)                        the one way to put a name into an environment
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/embed.h"
#include "base/mem.h"
#include "base/tree.h"
#include "bind/bind.h"
#include "bind/bind_all.h"
#include "bind/bind_work.h"
#include "loop/pool.h"
#include "script/load.h"

static int l_env(lua_State *L)
{
    load_env(L, lua_toboolean(L, 1));
    return 1;
}

static int l_chunk(lua_State *L)
{
    size_t len;
    const char *name = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &len);

    luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 3);
    if (load_chunk(L, name, text, len) == 0)
        return 1;
    lua_pushnil(L);
    lua_insert(L, -2);
    lua_pushliteral(L, "parse");
    return 3;
}

static int l_call(lua_State *L)
{
    lua_Integer burst_ms = luaL_checkinteger(L, 1);
    struct err e;
    int n = 0, top;

    luaL_argcheck(L, burst_ms > 0 && burst_ms <= 600000, 1, "1 to 600000 ms expected");
    luaL_checktype(L, 2, LUA_TFUNCTION);
    top = lua_gettop(L);
    if (run_call(L, top - 2, (uint32_t)burst_ms, &n, &e) == 0)
        return n;
    bind_fail(L, &e);       /* error nil message code */
    lua_pushvalue(L, -4);
    return 4;
}

static int l_lock(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    load_lock(L);
    return 1;
}

static int l_embedded(lua_State *L)
{
    const struct embed_file *f = embed_find(luaL_checkstring(L, 1));

    if (f == NULL)
        return 0;
    lua_pushlstring(L, f->data, f->bytes);
    return 1;
}

static int l_embedded_list(lua_State *L)
{
    const char *prefix = luaL_checkstring(L, 1);
    const struct embed_file *f;
    lua_Integer n = 0;

    lua_newtable(L);
    for (size_t at = 0; (f = embed_next(prefix, &at)) != NULL;) {
        lua_pushstring(L, f->name);
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

static int l_set_name(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkstring(L, 2);
    lua_settop(L, 3);
    lua_rawset(L, 1);
    return 0;
}

/* ---- a folder of files ---- */

struct tree_op {
    struct wait wait;
    struct pool_job job;
    struct tree tree;
    struct err error;
    int status;
    char dir[];
};

static struct tree_op *op_of(struct pool_job *job)
{
    return (struct tree_op *)((char *)job - offsetof(struct tree_op, job));
}

static void tree_work(struct pool_job *job)
{
    struct tree_op *op = op_of(job);

    op->status = tree_read(op->dir, &op->tree, &op->error);
}

static void tree_done(struct pool_job *job)
{
    struct tree_op *op = op_of(job);

    run_wake(&op->wait);
    tree_free(&op->tree);
    mem_free(op);
}

static void tree_cancel(struct wait *w)
{
    pool_cancel(&((struct tree_op *)w)->job);
}

static int tree_finish(lua_State *L, struct wait *w)
{
    struct tree_op *op = (struct tree_op *)w;

    if (op->status != 0)
        return bind_fail(L, &op->error);
    lua_createtable(L, 0, (int)op->tree.n_files);
    for (size_t i = 0; i < op->tree.n_files; i++) {
        struct tree_file *f = &op->tree.files[i];
        lua_pushlstring(L, f->data, f->bytes);
        lua_setfield(L, -2, f->path);
    }
    return 1;
}

static int l_tree(lua_State *L)
{
    size_t len;
    const char *dir = luaL_checklstring(L, 1, &len);
    struct err e;

    run_check_can_wait(L);
    struct pool *pool = bind_work_pool(L, &e);
    if (pool == NULL)
        return bind_fail(L, &e);
    struct tree_op *op = mem_zero(1, sizeof *op + len + 1);
    if (op == NULL)
        return luaL_error(L, "not enough memory");
    memcpy(op->dir, dir, len + 1);
    op->job.work = tree_work;
    op->job.done = tree_done;
    op->status = err_set(&op->error, ERR_CANCELLED, "the process is stopping");
    if (pool_submit(pool, &op->job, &e) != 0) {
        mem_free(op);
        return bind_fail(L, &e);
    }
    return run_wait(L, &op->wait, tree_cancel, tree_finish);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The box keeps the digest while Lua may raise. */
struct digest {
    EVP_MD_CTX *ctx;
};

static int digest_gc(lua_State *L)
{
    struct digest *d = lua_touserdata(L, 1);

    EVP_MD_CTX_free(d->ctx);
    d->ctx = NULL;
    return 0;
}

static int l_hash(lua_State *L)
{
    static const luaL_Reg meta[] = { { "__gc", digest_gc }, { NULL, NULL } };
    unsigned char sum[EVP_MAX_MD_SIZE];
    char hex[33];
    size_t n = 0, len;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    bind_class(L, "core.load.digest", NULL, meta);
    struct digest *d = lua_newuserdatauv(L, sizeof *d, 0);
    d->ctx = NULL;
    luaL_setmetatable(L, "core.load.digest");
    for (lua_pushnil(L); lua_next(L, 1) != 0; lua_pop(L, 1)) {
        luaL_argcheck(L, lua_type(L, -2) == LUA_TSTRING && lua_type(L, -1) == LUA_TSTRING, 1,
                      "texts by path expected");
        n++;
    }
    const char **paths = lua_newuserdatauv(L, (n + 1) * sizeof *paths, 0);
    n = 0;
    for (lua_pushnil(L); lua_next(L, 1) != 0; lua_pop(L, 1))
        paths[n++] = lua_tostring(L, -2); /* kept by the table */
    qsort(paths, n, sizeof *paths, by_text);
    d->ctx = EVP_MD_CTX_new();
    if (d->ctx == NULL || EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) != 1)
        return luaL_error(L, "not enough memory");
    for (size_t i = 0; i < n; i++) { /* path NUL length NUL content: no two trees give one stream */
        lua_getfield(L, 1, paths[i]);
        const char *text = lua_tolstring(L, -1, &len);
        uint64_t size = len;
        EVP_DigestUpdate(d->ctx, paths[i], strlen(paths[i]) + 1);
        EVP_DigestUpdate(d->ctx, &size, sizeof size);
        EVP_DigestUpdate(d->ctx, text, len);
        lua_pop(L, 1);
    }
    if (EVP_DigestFinal_ex(d->ctx, sum, NULL) != 1)
        return luaL_error(L, "SHA-256 failed");
    for (int i = 0; i < 16; i++) {
        hex[2 * i] = "0123456789abcdef"[sum[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[sum[i] & 15];
    }
    hex[32] = '\0';
    lua_pushstring(L, hex);
    return 1;
}

static const luaL_Reg FUNCTIONS[] = {
    { "env", l_env },           { "chunk", l_chunk },
    { "call", l_call },         { "lock", l_lock },
    { "embedded", l_embedded }, { "embedded_list", l_embedded_list },
    { "set_name", l_set_name }, { "tree", l_tree },
    { "hash", l_hash },         { NULL, NULL },
};

int luaopen_core_load(lua_State *L)
{
    luaL_newlib(L, FUNCTIONS);
    return 1;
}
