/*
 * bind_body.c - core.request: what waits. Bodies in, files and streams out.
 *
 *   r:body(max) --> string            r:json(max) --> value
 *   r:read() --> string, or nil at the end
 *   r:save(path, max) --> bytes, sha256
 *   r:multipart{ dir=, total_max=, part_max=, value_max=, parts_max= } --> parts     r:keep(path)
 *   r:reply_file(path, opt)           r:start(status, headers)  r:write(string)  r:finish()
 * all: or nil, message, code.
 *
 * Each wait is one struct op. The http room calls back; the op wakes its run and is freed.
 */
#include "bind/bind_server.h"

#include <string.h>

#include "base/mem.h"
#include "bind/bind_json.h"
#include "http/http_body.h"
#include "http/http_file.h"
#include "http/http_reply.h"
#include "http/http_save.h"

#define BODY_MAX ((lua_Integer)1 << 50)
#define STRING_MAX ((lua_Integer)1 << 30) /* a body as one string */

struct op {
    struct wait wait; /* first */
    struct call *call;
    struct http_req *r;
    int failed;
    struct err err;
    struct buf got;            /* body, json */
    int json_depth;            /* json: depth; 0: a string */
    struct http_save *save;
    struct http_save_end saved;
    struct http_file *file;
};

static struct op *op_new(lua_State *L, struct call *c)
{
    run_check_can_wait(L);
    struct op *op = mem_zero(1, sizeof *op);
    if (op == NULL)
        luaL_error(L, "not enough memory");
    op->call = c;
    op->r = c->r;
    http_req_ref(c->r);
    return op;
}

static void op_free(struct op *op)
{
    struct http_req *r = op->r;

    buf_deinit(&op->got);
    mem_free(op);
    http_req_unref(r);
}

static void op_wake(struct op *op)
{
    run_wake(&op->wait);
    op_free(op);
}

/* --- body and json --- */

static size_t check_max(lua_State *L, int arg, struct http_req *r, lua_Integer high)
{
    lua_Integer def = (lua_Integer)r->server->limits.body_bytes;
    lua_Integer max = luaL_optinteger(L, arg, def < high ? def : high);

    luaL_argcheck(L, max >= 0 && max <= high, arg, "a number of bytes expected");
    return (size_t)max;
}

static int push_body(lua_State *L, const char *p, size_t n, int json_depth)
{
    struct err e;

    if (json_depth == 0)
        lua_pushlstring(L, p, n);
    else if (bind_json_decode(L, n ? p : "", n, json_depth, &e) != 0)
        return bind_fail(L, &e);
    return 1;
}

static int body_finish(lua_State *L, struct wait *w)
{
    struct op *op = (struct op *)w;

    if (op->failed)
        return bind_fail(L, &op->err);
    return push_body(L, op->got.data, op->got.len, op->json_depth);
}

static void body_cancel(struct wait *w)
{
    struct op *op = (struct op *)w;

    http_body_watch(op->r, NULL, NULL);
    op_free(op);
}

/* Gathers what is there. 1: complete or failed; 0: more must come. */
static int body_gather(struct op *op)
{
    struct http_req *r = op->r;
    const char *p;
    size_t n = http_body_ready(r, &p);

    if (buf_add(&op->got, p, n, &op->err) != 0) {
        if (op->err.code == ERR_LIMIT)
            err_set(&op->err, ERR_LIMIT, "the request body is larger than %zu bytes", op->got.max);
        op->failed = 1;
        return 1;
    }
    http_body_eat(r, n);
    if (r->body_state == BODY_MORE)
        return 0;
    if (r->body_state == BODY_FAILED) {
        op->failed = 1;
        http_body_error(r, &op->err);
    }
    return 1;
}

static void on_body(struct http_req *r, void *arg)
{
    struct op *op = arg;

    if (!body_gather(op))
        return;
    http_body_watch(r, NULL, NULL);
    op_wake(op);
}

static int whole_body(lua_State *L, size_t max, int json_depth)
{
    struct call *c = bind_request_check(L);
    struct http_req *r = c->r;
    const char *p;
    struct err e;

    if (http_body_fits(r, max, &e) != 0)
        return bind_fail(L, &e);
    if (r->body_state == BODY_FAILED) {
        http_body_error(r, &e);
        return bind_fail(L, &e);
    }
    if (r->body_state != BODY_MORE) { /* all is here: no wait, no copy but Lua's own */
        size_t n = http_body_ready(r, &p);
        int k = push_body(L, p, n, json_depth);
        http_body_eat(r, n);
        return k;
    }
    struct op *op = op_new(L, c);
    op->json_depth = json_depth;
    buf_init(&op->got, max);
    http_body_watch(r, on_body, op);
    body_gather(op); /* not complete: the state said so */
    if (op->failed) {
        e = op->err;
        http_body_watch(r, NULL, NULL);
        op_free(op);
        return bind_fail(L, &e);
    }
    return run_wait(L, &op->wait, body_cancel, body_finish);
}

static int l_body(lua_State *L)
{
    return whole_body(L, check_max(L, 2, bind_request_check(L)->r, STRING_MAX), 0);
}

static int l_json(lua_State *L)
{
    return whole_body(L, check_max(L, 2, bind_request_check(L)->r, STRING_MAX), BIND_JSON_DEPTH);
}

/* --- read --- */

static int push_chunk(lua_State *L, struct http_req *r)
{
    const char *p;
    size_t n = http_body_ready(r, &p);
    struct err e;

    if (n > 0) {
        lua_pushlstring(L, p, n);
        http_body_eat(r, n);
        return 1;
    }
    if (r->body_state == BODY_FAILED) {
        http_body_error(r, &e);
        return bind_fail(L, &e);
    }
    lua_pushnil(L);
    return 1;
}

static int read_finish(lua_State *L, struct wait *w)
{
    return push_chunk(L, ((struct op *)w)->r);
}

static void on_readable(struct http_req *r, void *arg)
{
    http_body_watch(r, NULL, NULL);
    op_wake(arg);
}

static int l_read(lua_State *L)
{
    struct call *c = bind_request_check(L);
    const char *p;

    if (http_body_ready(c->r, &p) > 0 || c->r->body_state != BODY_MORE)
        return push_chunk(L, c->r);
    struct op *op = op_new(L, c);
    http_body_watch(c->r, on_readable, op);
    return run_wait(L, &op->wait, body_cancel, read_finish);
}

/* --- save --- */

static int save_finish(lua_State *L, struct wait *w)
{
    struct op *op = (struct op *)w;

    if (op->saved.failed)
        return bind_fail(L, &op->saved.err);
    lua_pushinteger(L, (lua_Integer)op->saved.bytes);
    lua_pushstring(L, op->saved.hash);
    return 2;
}

static void save_cancel(struct wait *w)
{
    struct op *op = (struct op *)w;

    http_save_cancel(op->save);
    op_free(op);
}

static void on_saved(const struct http_save_end *end, void *arg)
{
    struct op *op = arg;

    op->saved = *end;
    op_wake(op);
}

static int l_save(lua_State *L)
{
    struct call *c = bind_request_check(L);
    const char *path = luaL_checkstring(L, 2);
    size_t max = check_max(L, 3, c->r, BODY_MAX);
    struct op *op = op_new(L, c);
    struct err e;

    op->save = http_save_start(c->r, path, max, on_saved, op, &e);
    if (op->save == NULL) {
        op_free(op);
        return bind_fail(L, &e);
    }
    return run_wait(L, &op->wait, save_cancel, save_finish);
}

/* --- multipart --- */

static void set_text(lua_State *L, const char *name, const char *text)
{
    if (text == NULL)
        return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

static int push_form(lua_State *L, const struct http_form *f)
{
    lua_createtable(L, (int)f->n_parts, 0);
    for (unsigned i = 0; i < f->n_parts; i++) {
        const struct http_form_part *p = &f->parts[i];
        lua_createtable(L, 0, 6);
        set_text(L, "name", p->name);
        set_text(L, "filename", p->filename);
        set_text(L, "content_type", p->type);
        if (p->path != NULL) {
            set_text(L, "path", p->path);
            set_text(L, "sha256", p->hash);
            lua_pushinteger(L, (lua_Integer)p->bytes);
            lua_setfield(L, -2, "bytes");
        } else {
            lua_pushlstring(L, p->value.data, p->value.len);
            lua_setfield(L, -2, "value");
        }
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int form_finish(lua_State *L, struct wait *w)
{
    struct op *op = (struct op *)w;

    if (op->failed)
        return bind_fail(L, &op->err);
    return push_form(L, op->call->form);
}

static void form_cancel(struct wait *w)
{
    struct op *op = (struct op *)w;

    http_form_free(op->call->form);
    op->call->form = NULL;
    op_free(op);
}

static void on_form(struct http_form *f, int failed, const struct err *e, void *arg)
{
    struct op *op = arg;

    op->failed = failed;
    if (failed) {
        op->err = *e;
        op->call->form = NULL;
        http_form_free(f);
    }
    op_wake(op);
}

static int l_multipart(lua_State *L)
{
    struct call *c = bind_request_check(L);
    lua_Integer total = (lua_Integer)c->r->server->limits.body_bytes;
    struct http_form_limits l;
    struct err e;

    luaL_checktype(L, 2, LUA_TTABLE);
    l.dir = bind_opt_text(L, 2, "dir", NULL);
    luaL_argcheck(L, l.dir != NULL, 2, "dir is missing");
    l.total_max = (uint64_t)bind_opt_int(L, 2, "total_max", total, 0, BODY_MAX);
    l.part_max = (uint64_t)bind_opt_int(L, 2, "part_max", (lua_Integer)l.total_max, 0, BODY_MAX);
    l.value_max = (size_t)bind_opt_int(L, 2, "value_max", 64 << 10, 0, 64 << 20);
    l.parts_max = (unsigned)bind_opt_int(L, 2, "parts_max", 100, 1, 10000);
    if (c->form != NULL)
        return luaL_error(L, "this form is read already");
    struct op *op = op_new(L, c);
    c->form = http_form_start(c->r, &l, on_form, op, &e);
    if (c->form == NULL) {
        op_free(op);
        return bind_fail(L, &e);
    }
    if (c->form->is_done) {
        op_free(op);
        return push_form(L, c->form);
    }
    return run_wait(L, &op->wait, form_cancel, form_finish);
}

static int l_keep(lua_State *L)
{
    struct http_form *f = bind_request_check(L)->form;
    const char *path = luaL_checkstring(L, 2);

    for (unsigned i = 0; f != NULL && i < f->n_parts; i++)
        if (f->parts[i].path != NULL && strcmp(f->parts[i].path, path) == 0) {
            f->parts[i].is_kept = 1;
            return 0;
        }
    return luaL_argerror(L, 2, "not a file of this request");
}

/* --- files --- */

static int file_finish(lua_State *L, struct wait *w)
{
    struct op *op = (struct op *)w;

    if (op->failed)
        return bind_fail(L, &op->err);
    lua_pushboolean(L, 1);
    return 1;
}

static void file_cancel(struct wait *w)
{
    struct op *op = (struct op *)w;

    http_file_cancel(op->file);
    op_free(op);
}

static void on_file(int failed, const struct err *e, void *arg)
{
    struct op *op = arg;

    op->failed = failed;
    op->err = *e;
    op_wake(op);
}

static int l_reply_file(lua_State *L)
{
    struct call *c = bind_request_check(L);
    const char *path = luaL_checkstring(L, 2);
    struct http_file_opt opt;
    struct err e;

    lua_settop(L, 3);
    opt.type = bind_opt_text(L, 3, "content_type", NULL);
    opt.download = bind_opt_text(L, 3, "download", NULL);
    opt.cache = bind_opt_text(L, 3, "cache", NULL);
    opt.immutable = bind_opt_bool(L, 3, "immutable", 0);
    if (c->r->conn == NULL) {
        http_reply_over(c->r, &e);
        return bind_request_fail(L, &e);
    }
    if (c->r->wire != WIRE_NONE)
        return luaL_error(L, "the answer has begun already");
    struct op *op = op_new(L, c);
    op->file = http_file_send(c->r, path, &opt, on_file, op, &e);
    if (op->file == NULL) {
        op_free(op);
        return bind_fail(L, &e);
    }
    return run_wait(L, &op->wait, file_cancel, file_finish);
}

/* --- streams --- */

static int l_start(lua_State *L)
{
    struct http_req *r = bind_request_check(L)->r;
    lua_Integer status = luaL_checkinteger(L, 2);
    struct err e;

    luaL_argcheck(L, status >= 200 && status <= 599, 2, "a status from 200 to 599 expected");
    if (lua_isuserdata(L, 3))
        luaL_checkudata(L, 3, BIND_HEADERS);
    else
        luaL_argexpected(L, lua_isnoneornil(L, 3) || lua_istable(L, 3), 3, "table of headers");
    if (bind_request_head(L, r, (int)status, 3, &e) != 0 || http_reply_stream(r, &e) != 0)
        return bind_request_fail(L, &e);
    lua_pushboolean(L, 1);
    return 1;
}

static int write_finish(lua_State *L, struct wait *w)
{
    (void)w;
    lua_pushboolean(L, 1);
    return 1;
}

static void write_cancel(struct wait *w)
{
    struct op *op = (struct op *)w;

    op->r->on_room = NULL;
    op_free(op);
}

static void on_room(struct http_req *r, void *arg)
{
    r->on_room = NULL;
    op_wake(arg);
}

static int l_write(lua_State *L)
{
    struct call *c = bind_request_check(L);
    struct http_req *r = c->r;
    size_t n;
    const char *p = luaL_checklstring(L, 2, &n);
    struct err e;

    if (r->conn != NULL && r->wire != WIRE_BODY)
        return luaL_error(L, "start the answer before writing to it");
    int may_wait = n >= HTTP_BODY_HIGH || http_reply_is_full(r);
    struct op *op = may_wait ? op_new(L, c) : NULL;
    if (http_reply_chunk(r, p, n, &e) != 0) {
        if (op != NULL)
            op_free(op);
        return bind_request_fail(L, &e);
    }
    if (!http_reply_is_full(r)) {
        if (op != NULL)
            op_free(op);
        lua_pushboolean(L, 1);
        return 1;
    }
    if (op == NULL)
        op = op_new(L, c);
    r->on_room = on_room;
    r->on_room_arg = op;
    return run_wait(L, &op->wait, write_cancel, write_finish);
}

static int l_finish(lua_State *L)
{
    struct http_req *r = bind_request_check(L)->r;
    struct err e;

    if (r->conn == NULL) {
        http_reply_over(r, &e);
        return bind_request_fail(L, &e);
    }
    if (r->wire != WIRE_BODY)
        return luaL_error(L, "start the answer before finishing it");
    http_reply_end(r);
    lua_pushboolean(L, 1);
    return 1;
}

const luaL_Reg bind_body_methods[] = {
    { "body", l_body },   { "json", l_json },           { "read", l_read },
    { "save", l_save },   { "multipart", l_multipart }, { "keep", l_keep },
    { "start", l_start }, { "write", l_write },         { "finish", l_finish },
    { "reply_file", l_reply_file }, { NULL, NULL },
};
