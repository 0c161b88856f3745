/*
 * bind_cloud.c - core.http: requests to other servers (cloud/cloud_fetch.h).
 *
 *   fetch{ method, url, headers = { name = text | array of texts }, body, file, to_file, max_bytes,
 *          timeout, connect_timeout (seconds), redirects, http2 = "never" | "offer" | "always",
 *          proxy, ca, verify, attempt, base_ms, max_ms }
 *     --> { status, headers, body, bytes, seconds, url, redirects }, nil, nil, delay_ms
 *     or  nil, message, code, delay_ms
 *
 * Waits. delay_ms is there when the same request may be sent again, attempt being the next try:
 * cloud/cloud_retry.h. `file` and `to_file` are paths as fs knows them; to_file is a new file that is
 * only there afterwards when the status is 2xx and all of it came.
 */
#include "bind/bind_cloud.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/conf.h"
#include "base/file.h"
#include "base/mem.h"
#include "bind/bind.h"
#include "bind/bind_fs.h"
#include "cloud/cloud_fetch.h"
#include "cloud/cloud_retry.h"

#define HEADERS_MAX 100
#define BYTES_MAX ((lua_Integer)1 << 40)
#define MEMORY_MAX ((lua_Integer)1 << 30)

struct op {
    struct wait wait;
    struct cloud_transfer *transfer;
    struct cloud_reply *reply; /* borrowed, while on_done runs */
    char *to_file;             /* removed unless is_kept */
    int is_kept;
    char method[33];
    int attempt;
    uint64_t base_ms, max_ms;
};

struct cloud_fetch *bind_cloud_fetcher(struct host *h, struct err *e)
{
    struct cloud_fetch *f = host_get(h, HOST_FETCH);

    if (f != NULL || (f = cloud_fetch_new(host_loop(host_lua(h)), e)) == NULL)
        return f;
    if (host_at_close(h, (void (*)(void *))cloud_fetch_free, f) != 0) {
        cloud_fetch_free(f);
        err_set(e, ERR_LIMIT, "the host has no room for the HTTP client");
        return NULL;
    }
    host_set(h, HOST_FETCH, f);
    return f;
}

static void drop_file(struct op *op)
{
    if (op->to_file != NULL && !op->is_kept)
        file_remove(bind_fs_roots(), op->to_file, 0, NULL);
    mem_free(op->to_file);
    op->to_file = NULL;
}

static void op_free(struct op *op)
{
    drop_file(op);
    mem_free(op);
}

static void on_cancel(struct wait *w)
{
    struct op *op = (struct op *)w;

    cloud_fetch_cancel(op->transfer);
    op_free(op);
}

static void on_done(struct cloud_reply *reply, void *data)
{
    struct op *op = data;

    op->reply = reply;
    op->is_kept = reply->e.code == ERR_NONE && reply->status >= 200 && reply->status < 300;
    drop_file(op); /* the script goes on inside run_wake and may look for it */
    run_wake(&op->wait);
    op_free(op);
}

/* ---- the answer ---- */

/* "Name: value\n" lines as a table with lower-case names; repeated ones joined by ", ". */
static void push_headers(lua_State *L, const struct buf *b)
{
    const char *p = b->data, *end = p + b->len;
    char name[128];

    lua_newtable(L);
    while (p < end) {
        const char *line_end = memchr(p, '\n', (size_t)(end - p));
        const char *colon = memchr(p, ':', (size_t)(line_end - p));
        if (colon != NULL && (size_t)(colon - p) < sizeof name) {
            size_t n = 0;
            for (; p + n < colon; n++)
                name[n] = (char)tolower((unsigned char)p[n]);
            lua_pushlstring(L, name, n);
            for (p = colon + 1; p < line_end && (*p == ' ' || *p == '\t'); p++)
                ;
            lua_pushvalue(L, -1);
            if (lua_rawget(L, -3) == LUA_TSTRING) {
                lua_pushliteral(L, ", ");
                lua_pushlstring(L, p, (size_t)(line_end - p));
                lua_concat(L, 3);
            } else {
                lua_pop(L, 1);
                lua_pushlstring(L, p, (size_t)(line_end - p));
            }
            lua_rawset(L, -3);
        }
        p = line_end + 1;
    }
}

static void push_reply(lua_State *L, const struct cloud_reply *r)
{
    lua_createtable(L, 0, 8);
    lua_pushinteger(L, r->status);
    lua_setfield(L, -2, "status");
    push_headers(L, &r->headers);
    lua_setfield(L, -2, "headers");
    lua_pushlstring(L, r->body.data ? r->body.data : "", r->body.len);
    lua_setfield(L, -2, "body");
    lua_pushinteger(L, (lua_Integer)r->bytes);
    lua_setfield(L, -2, "bytes");
    lua_pushnumber(L, r->seconds);
    lua_setfield(L, -2, "seconds");
    lua_pushinteger(L, r->redirects);
    lua_setfield(L, -2, "redirects");
    lua_pushstring(L, r->url);
    lua_setfield(L, -2, "url");
}

static int on_finish(lua_State *L, struct wait *w)
{
    struct op *op = (struct op *)w;
    struct cloud_reply *r = op->reply;
    int64_t delay = -1;

    if (cloud_retry_allowed(op->method, r))
        delay = cloud_retry_delay(r, op->attempt, op->base_ms, op->max_ms);
    if (r->e.code != ERR_NONE) {
        bind_fail(L, &r->e);
    } else {
        push_reply(L, r);
        lua_pushnil(L);
        lua_pushnil(L);
    }
    if (delay < 0)
        return 3;
    lua_pushinteger(L, delay);
    return 4;
}

/* ---- the request ---- */

static size_t add_header(lua_State *L, size_t n, const char *name)
{
    size_t len;
    const char *value = lua_tolstring(L, -1, &len);

    if (value == NULL || strlen(value) != len)
        luaL_error(L, "header %s: text without a zero byte expected", name);
    if (n == HEADERS_MAX)
        luaL_error(L, "more than %d headers", HEADERS_MAX);
    lua_pushfstring(L, "%s: %s", name, value);
    lua_rawseti(L, 2, (lua_Integer)n + 1);
    return n + 1;
}

/* Texts "Name: value" into the table at stack index 2. */
static size_t gather_headers(lua_State *L)
{
    size_t n = 0;

    if (lua_getfield(L, 1, "headers") == LUA_TNIL)
        return 0;
    luaL_argcheck(L, lua_istable(L, -1), 1, "headers is no table");
    int t = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, t); lua_pop(L, 1)) {
        luaL_argcheck(L, lua_type(L, -2) == LUA_TSTRING, 1, "the name of a header is no text");
        const char *name = lua_tostring(L, -2);
        if (!lua_istable(L, -1)) {
            n = add_header(L, n, name);
            continue;
        }
        for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
            n = add_header(L, n, name);
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    lua_settop(L, 2);
    return n;
}

static int http2_of(lua_State *L)
{
    static const char *const names[] = { "never", "offer", "always" };
    const char *s = bind_opt_text(L, 1, "http2", "offer");

    for (int i = 0; i < 3; i++)
        if (strcmp(s, names[i]) == 0)
            return i;
    return luaL_argerror(L, 1, "http2 is never, offer or always");
}

/* The files, last of all: what can raise is behind us. 0, or -1 with nothing open. */
static int open_files(struct op *op, struct cloud_request *r, const char *file, struct err *e)
{
    struct stat st;

    if ((file != NULL || op->to_file != NULL) && bind_fs_roots() == NULL)
        return err_set(e, ERR_AUTH, "no folder may be used by scripts");
    if (file != NULL) {
        r->in_fd = file_open(bind_fs_roots(), file, O_RDONLY, e);
        if (r->in_fd < 0)
            return -1;
        r->in_bytes = fstat(r->in_fd, &st) == 0 ? (uint64_t)st.st_size : 0;
    }
    if (op->to_file == NULL)
        return 0;
    r->out_fd = file_open(bind_fs_roots(), op->to_file, O_WRONLY | O_CREAT | O_EXCL, e);
    if (r->out_fd >= 0)
        return 0;
    op->is_kept = 1; /* what is there is not ours */
    if (r->in_fd >= 0)
        close(r->in_fd);
    return -1;
}

static void read_options(lua_State *L, struct cloud_request *r)
{
    size_t n;
    const char *text;

    r->method = bind_opt_text(L, 1, "method", "GET");
    r->url = bind_opt_text(L, 1, "url", NULL);
    luaL_argcheck(L, r->url != NULL, 1, "url is missing");
    luaL_argcheck(L, strlen(r->method) <= 32, 1, "method of more than 32 bytes");
    r->timeout_ms = (uint64_t)(1000 * bind_opt_number(L, 1, "timeout", conf_seconds("fetch_timeout_seconds"), 0.001, 86400));
    r->connect_timeout_ms = (uint64_t)(1000 * bind_opt_number(L, 1, "connect_timeout", conf_seconds("fetch_connect_seconds"), 0.001, 3600));
    r->redirects = (int)bind_opt_int(L, 1, "redirects", 0, 0, 50);
    r->http2 = http2_of(L);
    text = conf_text("fetch_proxy");
    r->proxy = bind_opt_text(L, 1, "proxy", *text ? text : NULL);
    text = conf_text("fetch_ca_file");
    r->ca_file = bind_opt_text(L, 1, "ca", *text ? text : NULL);
    r->no_verify = !bind_opt_bool(L, 1, "verify", 1);
    if (lua_getfield(L, 1, "body") != LUA_TNIL) {
        luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, 1, "body is no text");
        r->body = lua_tolstring(L, -1, &n); /* stays in the option table */
        r->body_bytes = n;
    }
    lua_pop(L, 1);
}

static int l_fetch(lua_State *L)
{
    struct cloud_request r;
    const char *headers[HEADERS_MAX + 1] = { NULL };
    struct err e;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_newtable(L);
    cloud_request_init(&r);
    read_options(L, &r);
    const char *file = bind_opt_text(L, 1, "file", NULL), *to = bind_opt_text(L, 1, "to_file", NULL);
    lua_Integer most = (lua_Integer)conf_size("fetch_max_bytes");
    r.max_bytes = (uint64_t)bind_opt_int(L, 1, "max_bytes", to ? BYTES_MAX : most, 0, to ? BYTES_MAX : MEMORY_MAX);
    int attempt = (int)bind_opt_int(L, 1, "attempt", 1, 1, 1000);
    uint64_t base_ms = (uint64_t)bind_opt_int(L, 1, "base_ms", 2000, 1, 3600000);
    uint64_t max_ms = (uint64_t)bind_opt_int(L, 1, "max_ms", 30000, 1, 3600000);
    size_t n = gather_headers(L);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, 2, (lua_Integer)i + 1);
        headers[i] = lua_tostring(L, -1); /* kept by the table */
        lua_pop(L, 1);
    }
    r.headers = headers;
    run_check_can_wait(L);

    struct cloud_fetch *f = bind_cloud_fetcher(host_of(L), &e);
    struct op *op = f ? mem_zero(1, sizeof *op) : NULL;
    if (op == NULL || (to != NULL && (op->to_file = mem_dup(to)) == NULL)) {
        mem_free(op);
        err_set(&e, ERR_NOMEM, "no memory for a request");
        return bind_fail(L, &e);
    }
    memcpy(op->method, r.method, strlen(r.method) + 1);
    op->attempt = attempt;
    op->base_ms = base_ms;
    op->max_ms = max_ms;
    r.on_done = on_done;
    r.data = op;
    if (open_files(op, &r, file, &e) != 0 || (op->transfer = cloud_fetch_start(f, &r, &e)) == NULL) {
        op_free(op);
        return bind_fail(L, &e);
    }
    return run_wait(L, &op->wait, on_cancel, on_finish);
}

static const luaL_Reg FUNCTIONS[] = {
    { "fetch", l_fetch },
    { NULL, NULL },
};

int luaopen_core_http(lua_State *L)
{
    luaL_newlib(L, FUNCTIONS);
    return 1;
}
