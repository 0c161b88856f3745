/*
 * bind_request.c - core.request: what a request is, and answers that are known at once.
 *
 *   r:method() r:path() r:target() r:remote() r:id() r:traceparent() r:body_bytes()
 *   r:query() --> { name = string | { strings } }     r:header(name)     r:headers()
 *   r:reply(status, headers, body)  r:reply_json(status, headers, value)
 *   r:reply_bytes(status, headers, bytes, etag) --> true | nil, message, code
 *   r:on_wire() --> "none" | "head" | "body" | "done"     r:cancelled()
 *   r:label(text)  r:note(name, value)
 */
#include "bind/bind_server.h"

#include <string.h>

#include "bind/bind_json.h"
#include "http/http_body.h"
#include "http/http_file.h"
#include "http/http_pairs.h"
#include "http/http_reply.h"


struct call *bind_request_check(lua_State *L)
{
    struct request_box *b = luaL_checkudata(L, 1, BIND_REQUEST);

    if (b->call->serial != b->serial || b->call->r == NULL)
        luaL_error(L, "this request is over");
    return b->call;
}

static struct http_req *check(lua_State *L)
{
    return bind_request_check(L)->r;
}

int bind_request_fail(lua_State *L, const struct err *e)
{
    if (e->code == ERR_INVALID)
        return luaL_error(L, "%s", e->text);
    return bind_fail(L, e);
}

static int push_text(lua_State *L, struct http_text t)
{
    lua_pushlstring(L, t.p, t.n);
    return 1;
}

static int l_method(lua_State *L)
{
    lua_pushstring(L, http_parse_method(check(L)->head.method));
    return 1;
}

static int l_path(lua_State *L)
{
    return push_text(L, check(L)->head.path);
}

static int l_target(lua_State *L)
{
    return push_text(L, check(L)->head.target);
}

static int l_id(lua_State *L)
{
    struct http_req *r = check(L);

    lua_pushlstring(L, r->id, r->n_id);
    return 1;
}

static int l_remote(lua_State *L)
{
    struct http_req *r = check(L);

    lua_pushstring(L, r->ip);
    lua_pushinteger(L, r->port);
    return 2;
}

static int l_traceparent(lua_State *L)
{
    size_t n;
    const char *p = http_req_traceparent(check(L), &n);

    if (p == NULL)
        lua_pushnil(L);
    else
        lua_pushlstring(L, p, n);
    return 1;
}

static int l_body_bytes(lua_State *L)
{
    struct http_req *r = check(L);

    if (r->head.content_length < 0)
        lua_pushnil(L);
    else
        lua_pushinteger(L, r->head.content_length);
    return 1;
}

/* Pushes what an escaped text means. 0, or -1 and pushes nothing: a broken escape, a zero byte. */
static int push_decoded(lua_State *L, struct http_text t)
{
    char small[256];

    if (t.n > 0 && memchr(t.p, '\0', t.n) != NULL)
        return -1;
    if (t.n == 0 || (memchr(t.p, '%', t.n) == NULL && memchr(t.p, '+', t.n) == NULL)) {
        lua_pushlstring(L, t.p, t.n);
        return 0;
    }
    char *room = t.n <= sizeof small ? small : lua_newuserdatauv(L, t.n, 0);
    long k = http_text_unescape(room, t.p, t.n, 1);
    if (k >= 0)
        lua_pushlstring(L, room, (size_t)k);
    if (room != small)
        lua_remove(L, k >= 0 ? -2 : -1);
    return k >= 0 ? 0 : -1;
}

/* Takes name and value off the stack into the table below; a name that comes again makes a list. */
static void add_pair(lua_State *L)                                   /* table name value -- table */
{
    int t = lua_gettop(L) - 2;

    lua_pushvalue(L, t + 1);
    int type = lua_rawget(L, t);                                     /* table name value old */
    if (type == LUA_TNIL) {
        lua_pop(L, 1);
        lua_rawset(L, t);
        return;
    }
    if (type != LUA_TTABLE) {
        lua_createtable(L, 2, 0);                                    /* table name value old list */
        lua_insert(L, -2);                                           /* table name value list old */
        lua_rawseti(L, -2, 1);
        lua_pushvalue(L, t + 1);
        lua_pushvalue(L, -2);
        lua_rawset(L, t);                                            /* table name value list */
    }
    lua_insert(L, -2);                                               /* table name list value */
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    lua_settop(L, t);
}

static int push_pairs(lua_State *L, const char *p, size_t n, const char *what)
{
    struct http_pairs it;
    struct http_text name, value;
    struct err e;
    int more;

    http_pairs_init(&it, p, n);
    lua_newtable(L);
    while ((more = http_pairs_next(&it, &name, &value, &e)) == 1) {
        if (push_decoded(L, name) != 0 || push_decoded(L, value) != 0) {
            err_set(&e, ERR_PARSE, "%s: parameter %d has a broken escape or a zero byte", what,
                    it.n);
            return bind_fail(L, &e);
        }
        add_pair(L);
    }
    if (more < 0) {
        err_wrap(&e, "%s", what);
        return bind_fail(L, &e);
    }
    return 1;
}

static int l_query(lua_State *L)
{
    struct http_text q = check(L)->head.query;

    return push_pairs(L, q.p, q.n, "the query");
}

int bind_request_form(lua_State *L)
{
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);

    return push_pairs(L, text, n, "the form");
}

static void add_joined(luaL_Buffer *b, const struct http_field *f, int is_cookie)
{
    if (is_cookie)
        luaL_addlstring(b, "; ", 2);
    else
        luaL_addlstring(b, ", ", 2);
    luaL_addlstring(b, f->value, f->n_value);
}

/* Pushes the value of that lower-case name, all of its fields joined. 0: there is none. */
static int push_header(lua_State *L, const struct http_head *h, const char *name, size_t n)
{
    int i = http_parse_find(h, name, n, 0), k;
    luaL_Buffer b;

    if (i < 0)
        return 0;
    k = http_parse_find(h, name, n, (uint32_t)i + 1);
    if (k < 0) {
        lua_pushlstring(L, h->fields[i].value, h->fields[i].n_value);
        return 1;
    }
    luaL_buffinit(L, &b);
    luaL_addlstring(&b, h->fields[i].value, h->fields[i].n_value);
    for (; k >= 0; k = http_parse_find(h, name, n, (uint32_t)k + 1))
        add_joined(&b, &h->fields[k], n == 6 && memcmp(name, "cookie", 6) == 0);
    luaL_pushresult(&b);
    return 1;
}

static size_t lower(char *to, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (char)(p[i] >= 'A' && p[i] <= 'Z' ? p[i] | 0x20 : p[i]);
    return n;
}

static int l_header(lua_State *L)
{
    struct http_req *r = check(L);
    size_t n;
    const char *name = luaL_checklstring(L, 2, &n);
    char low[128];

    if (n > sizeof low || !push_header(L, &r->head, low, lower(low, name, n)))
        lua_pushnil(L);
    return 1;
}

static int l_headers(lua_State *L)
{
    struct http_req *r = check(L);
    char low[1024];

    lua_createtable(L, 0, (int)r->head.n_fields);
    for (uint32_t i = 0; i < r->head.n_fields; i++) {
        const struct http_field *f = &r->head.fields[i];
        if (f->n_name > sizeof low)
            continue;
        lua_pushlstring(L, low, lower(low, f->name, f->n_name));
        push_header(L, &r->head, low, f->n_name);
        lua_rawset(L, -3);
    }
    return 1;
}

/* --- answers --- */

/* One header whose value is on top. 0, or -1 with `e`. */
static int add_header(lua_State *L, struct http_req *r, const char *name, size_t n_name,
                      struct err *e)
{
    size_t n;
    int type = lua_type(L, -1);

    if (type != LUA_TSTRING && type != LUA_TNUMBER)
        return err_set(e, ERR_INVALID, "the header %s is a %s, expected a string", name,
                       lua_typename(L, type));
    const char *value = lua_tolstring(L, -1, &n);
    return http_reply_header(r, name, n_name, value, n, e);
}

int bind_request_head(lua_State *L, struct http_req *r, int status, int headers, struct err *e)
{
    if (http_reply_start(r, status, e) != 0)
        return -1;
    if (lua_isnoneornil(L, headers))
        return 0;
    if (lua_isuserdata(L, headers)) { /* its type was checked before the head was begun */
        if (http_reply_lines(r, lua_touserdata(L, headers), lua_rawlen(L, headers), e) == 0)
            return 0;
        http_reply_undo(r);
        return -1;
    }
    lua_pushnil(L);
    while (lua_next(L, headers)) {
        size_t n_name;
        int bad = 0;
        if (lua_type(L, -2) != LUA_TSTRING) {
            bad = err_set(e, ERR_INVALID, "a header name is a %s, expected a string",
                          luaL_typename(L, -2));
        } else if (lua_istable(L, -1)) {
            const char *name = lua_tolstring(L, -2, &n_name);
            int n = (int)lua_rawlen(L, -1);
            for (int i = 1; i <= n && !bad; i++) {
                lua_rawgeti(L, -1, i);
                bad = add_header(L, r, name, n_name, e);
                lua_pop(L, 1);
            }
        } else {
            const char *name = lua_tolstring(L, -2, &n_name);
            bad = add_header(L, r, name, n_name, e);
        }
        if (bad) {
            lua_pop(L, 2);
            http_reply_undo(r);
            return -1;
        }
        lua_pop(L, 1);
    }
    return 0;
}

/* status, headers at 2 and 3, checked before anything is begun */
static int check_status(lua_State *L)
{
    lua_Integer status = luaL_checkinteger(L, 2);

    luaL_argcheck(L, status >= 200 && status <= 599, 2, "a status from 200 to 599 expected");
    if (lua_isuserdata(L, 3))
        luaL_checkudata(L, 3, BIND_HEADERS);
    else
        luaL_argexpected(L, lua_isnoneornil(L, 3) || lua_istable(L, 3), 3, "table of headers");
    return (int)status;
}

#define LINES_MAX 4096

int bind_request_headers(lua_State *L)
{
    struct buf out;
    struct err e;
    int bad = 0;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) /* before anything is owned: this may raise */
        luaL_argcheck(L, lua_type(L, -2) == LUA_TSTRING && lua_type(L, -1) == LUA_TSTRING, 1,
                      "texts by name expected");
    buf_init(&out, LINES_MAX);
    for (lua_pushnil(L); !bad && lua_next(L, 1); lua_pop(L, 1)) {
        size_t n_name, n;
        const char *name = lua_tolstring(L, -2, &n_name), *value = lua_tolstring(L, -1, &n);
        bad = http_reply_line(&out, name, n_name, value, n, &e);
    }
    char lines[LINES_MAX];
    size_t n_lines = out.len;
    if (!bad && n_lines > 0)
        memcpy(lines, out.data, n_lines);
    buf_deinit(&out);
    if (bad)
        return luaL_error(L, "%s", e.text);
    memcpy(lua_newuserdatauv(L, n_lines, 0), lines, n_lines);
    luaL_setmetatable(L, BIND_HEADERS);
    return 1;
}

static int l_reply(lua_State *L)
{
    struct http_req *r = check(L);
    int status = check_status(L);
    size_t n;
    const char *body = luaL_optlstring(L, 4, "", &n);
    struct err e;

    if (bind_request_head(L, r, status, 3, &e) != 0 || http_reply_body(r, body, n, &e) != 0)
        return bind_request_fail(L, &e);
    lua_pushboolean(L, 1);
    return 1;
}

/* Encoding may raise when the VM is out of memory, so it comes before the head is begun. */
static int l_reply_json(lua_State *L)
{
    struct http_req *r = check(L);
    struct buf *out = &r->server->json;
    int status = check_status(L);
    struct err e;

    luaL_checkany(L, 4);
    lua_settop(L, 4);
    buf_clear(out);
    if (bind_json_encode(L, 4, 0, out, &e) != 0) {
        lua_pushnil(L);
        lua_pushstring(L, e.text);
        lua_pushstring(L, err_name(e.code));
        return 3;
    }
    int bad = bind_request_head(L, r, status, 3, &e) != 0;
    if (!bad && !r->answer.has_type)
        bad = http_reply_header(r, "Content-Type", 12, "application/json", 16, &e) != 0;
    if (!bad)
        bad = http_reply_body(r, out->data, out->len, &e) != 0;
    if (out->cap > (1 << 20))
        buf_deinit(out);
    if (bad)
        return bind_request_fail(L, &e);
    lua_pushboolean(L, 1);
    return 1;
}

static int l_reply_bytes(lua_State *L)
{
    struct http_req *r = check(L);
    int status = check_status(L);
    size_t n;
    const char *body = luaL_checklstring(L, 4, &n), *etag = luaL_checkstring(L, 5);
    size_t n_etag = strlen(etag);
    struct err e;

    luaL_argcheck(L, n_etag >= 2 && etag[n_etag - 1] == '"', 5, "an ETag in its quotes expected");
    if (bind_request_head(L, r, status, 3, &e) != 0 || http_file_bytes(r, body, n, etag, &e) != 0)
        return bind_request_fail(L, &e);
    lua_pushboolean(L, 1);
    return 1;
}

static int l_on_wire(lua_State *L)
{
    static const char *const NAMES[] = { "none", "head", "body", "done" };
    struct http_req *r = check(L);

    lua_pushstring(L, NAMES[r->wire]);
    return 1;
}

static int l_cancelled(lua_State *L)
{
    lua_pushboolean(L, check(L)->is_gone);
    return 1;
}

static int l_label(lua_State *L)
{
    struct http_req *r = check(L);
    size_t n;
    const char *text = luaL_checklstring(L, 2, &n);

    http_req_label(r, text, n);
    return 0;
}

static int l_note(lua_State *L)
{
    struct http_req *r = check(L);
    const char *name = luaL_checkstring(L, 2);
    size_t n;
    const char *value = luaL_checklstring(L, 3, &n);

    luaL_argcheck(L, http_text_is_token(name, strlen(name)), 2, "a plain word expected");
    http_req_note(r, name, value, n);
    return 0;
}

const luaL_Reg bind_request_methods[] = {
    { "method", l_method },           { "path", l_path },
    { "target", l_target },           { "id", l_id },
    { "remote", l_remote },           { "traceparent", l_traceparent },
    { "body_bytes", l_body_bytes },   { "query", l_query },
    { "header", l_header },           { "headers", l_headers },
    { "reply", l_reply },             { "reply_json", l_reply_json },
    { "reply_bytes", l_reply_bytes }, { "on_wire", l_on_wire },
    { "cancelled", l_cancelled },     { "label", l_label },
    { "note", l_note },               { NULL, NULL },
};
