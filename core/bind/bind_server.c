/*
 * bind_server.c - core.server: listen, drain, count, route. See bind_server.h.
 *
 *   listen{…} --> server          or nil, message, code
 *   router{ {method=, pattern=}, … } --> router      or nil, message, code
 *   form(text) --> { name = string | { strings } }   or nil, message, code: a body of a form
 *   headers{ name = value } --> headers, to be given in place of a table, checked once for all
 *   server:address() --> host, port
 *   server:drain(seconds)         waits until the last connection is gone, or the time is over
 *   server:close()
 *   server:reload_tls() --> true  or nil, message, code
 *   server:stats() --> table
 *   router:match(r) --> index, params | nil, "notfound" | nil, "method", allow
 */
#include "bind/bind_server.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/http_reply.h"
#include "http/http_route.h"

#define SERVER "core.server"
#define ROUTER "core.router"
#define CALLS_PER_BLOCK 64

/* --- calls --- */

struct calls {
    struct call *free;
    struct block {
        struct block *next;
        struct call calls[CALLS_PER_BLOCK];
    } *blocks;
};

static struct call *call_get(struct calls *all)
{
    if (all->free == NULL) {
        struct block *b = mem_zero(1, sizeof *b);
        if (b == NULL)
            return NULL;
        b->next = all->blocks;
        all->blocks = b;
        for (int i = 0; i < CALLS_PER_BLOCK; i++) {
            b->calls[i].next = all->free;
            all->free = &b->calls[i];
        }
    }
    struct call *c = all->free;
    all->free = c->next;
    return c;
}

static void call_put(struct calls *all, struct call *c)
{
    http_form_free(c->form);
    c->form = NULL;
    c->r = NULL;
    c->run = NULL;
    c->serial++;
    c->next = all->free;
    all->free = c;
}

static int l_free_calls(lua_State *L)
{
    struct calls *all = lua_touserdata(L, 1);

    while (all->blocks != NULL) {
        struct block *b = all->blocks;
        all->blocks = b->next;
        mem_free(b);
    }
    all->free = NULL;
    return 0;
}

/* --- a request's run --- */

static int request_continued(lua_State *L, int status, lua_KContext ctx)
{
    (void)L, (void)status, (void)ctx;
    return 0;
}

static int request_body(lua_State *L) /* light userdata: call */
{
    struct call *c = lua_touserdata(L, 1);

    lua_rawgeti(L, LUA_REGISTRYINDEX, c->service->fn_ref);
    struct request_box *b = lua_newuserdatauv(L, sizeof *b, 0);
    b->call = c;
    b->serial = c->serial;
    lua_rawgeti(L, LUA_REGISTRYINDEX, c->service->mt_ref);
    lua_setmetatable(L, -2);
    lua_callk(L, 1, 0, 0, request_continued);
    return 0;
}

static void on_end(struct run *run, const struct run_end *end, void *arg)
{
    struct call *c = arg;
    struct http_req *r = c->r;
    struct calls *all = c->service->calls;

    (void)run;
    c->run = NULL;
    if (end->code == ERR_NONE) {
        call_put(all, c);
        http_req_done(r);
        return;
    }
    if (!r->is_gone)
        LOG(LOG_ERROR, "request failed", LOG_T("request_id", r->id, r->n_id),
            LOG_S("code", err_name(end->code)), LOG_S("message", end->error.text),
            LOG_S("trace", end->trace));
    call_put(all, c);
    switch (end->code) {
    case ERR_KILLED:
    case ERR_TIMEOUT:
        http_req_fail(r, 503, "timeout", "the request took too long");
        break;
    case ERR_NOMEM:
        http_req_fail(r, 503, "nomem", "not enough memory for this request");
        break;
    case ERR_CANCELLED:
        http_req_fail(r, 503, "cancelled", "the request was cancelled");
        break;
    default:
        http_req_fail(r, 500, "internal_error", "an internal error occurred");
    }
}

static void on_request(struct http_req *r, void *arg)
{
    struct service *sv = arg;
    struct call *c = call_get(sv->calls);
    struct run_opt opt = { .name = "request", .burst_ms = sv->burst_ms,
                           .deadline_ms = sv->deadline_ms, .on_end = on_end, .arg = c };
    struct err e;

    if (c == NULL) {
        http_req_fail(r, 503, "nomem", "not enough memory for this request");
        return;
    }
    c->r = r;
    c->service = sv;
    r->app = c;
    if (run_start(sv->host, &opt, request_body, c, &c->run, &e) != 0) {
        call_put(sv->calls, c);
        http_req_fail(r, 503, err_name(e.code), e.text);
    }
}

static void on_gone(struct http_req *r, void *arg)
{
    struct call *c = r->app;

    (void)arg;
    if (c != NULL && c->run != NULL)
        run_cancel(c->run, ERR_CANCELLED, "the client is gone");
}

/* --- server --- */

struct drain {
    struct wait wait;
};

struct server_box {
    struct service *service; /* NULL: closed */
    struct drain *drain;     /* a run waits for the end */
    int self_ref;            /* keeps the box while it listens */
};

static struct server_box *check_server(lua_State *L)
{
    struct server_box *b = luaL_checkudata(L, 1, SERVER);

    if (b->service == NULL)
        luaL_error(L, "this server is closed");
    return b;
}

static void on_server_closed(void *arg)
{
    mem_free(arg);
}

static int drain_finish(lua_State *L, struct wait *w)
{
    (void)w;
    lua_pushboolean(L, 1);
    return 1;
}

static void wake_drain(struct server_box *b)
{
    struct drain *d = b->drain;

    b->drain = NULL;
    if (d == NULL)
        return;
    run_wake(&d->wait);
    mem_free(d);
}

static int l_close(lua_State *L) /* close, __close, __gc */
{
    struct server_box *b = luaL_checkudata(L, 1, SERVER);
    struct service *sv = b->service;

    if (sv == NULL)
        return 0;
    b->service = NULL;
    if (host_get(sv->host, HOST_SERVER) == sv->server)
        host_set(sv->host, HOST_SERVER, NULL);
    luaL_unref(L, LUA_REGISTRYINDEX, sv->fn_ref);
    luaL_unref(L, LUA_REGISTRYINDEX, sv->mt_ref);
    luaL_unref(L, LUA_REGISTRYINDEX, b->self_ref);
    http_server_close(sv->server, on_server_closed, sv);
    wake_drain(b);
    return 0;
}

static void on_drained(struct http_server *s, void *arg)
{
    (void)s;
    wake_drain(arg);
}

static void drain_cancel(struct wait *w)
{
    struct drain *d = (struct drain *)w;

    (void)d; /* freed when the drain ends: the server still points to it */
}

static int l_drain(lua_State *L)
{
    struct server_box *b = check_server(L);
    lua_Number seconds = luaL_optnumber(L, 2, 30);

    luaL_argcheck(L, seconds >= 0 && seconds <= 86400, 2, "0 to 86400 seconds expected");
    run_check_can_wait(L);
    if (b->service->server->draining)
        return luaL_error(L, "this server is drained already");
    struct drain *d = mem_zero(1, sizeof *d);
    if (d == NULL)
        return luaL_error(L, "not enough memory");
    b->drain = d;
    http_server_drain(b->service->server, (double)seconds, on_drained, b);
    return run_wait(L, &d->wait, drain_cancel, drain_finish);
}

static int l_address(lua_State *L)
{
    struct server_box *b = check_server(L);
    char host[64];
    struct err e;
    int port;

    if (http_server_address(b->service->server, host, sizeof host, &port, &e) != 0)
        return bind_fail(L, &e);
    lua_pushstring(L, host);
    lua_pushinteger(L, port);
    return 2;
}

static int l_reload_tls(lua_State *L)
{
    struct server_box *b = check_server(L);
    struct err e;

    if (http_server_reload_tls(b->service->server, &e) != 0)
        return bind_fail(L, &e);
    lua_pushboolean(L, 1);
    return 1;
}

static void set_int(lua_State *L, const char *name, uint64_t v)
{
    lua_pushinteger(L, (lua_Integer)v);
    lua_setfield(L, -2, name);
}

static void push_classes(lua_State *L, const uint64_t classes[6])
{
    static const char *const NAMES[] = { NULL, "1xx", "2xx", "3xx", "4xx", "5xx" };

    lua_createtable(L, 0, 5);
    for (int i = 1; i < 6; i++)
        set_int(L, NAMES[i], classes[i]);
}

/*
 * { accepted, refused, connections, in_flight, requests, malformed, bytes_in, bytes_out,
 *   classes = { ["2xx"] = n, … }, bounds_ms = { … },
 *   routes = { [label] = { count, sum_ms, classes, buckets = { cumulative counts by bound } } } }
 */
static int l_stats(lua_State *L)
{
    const struct http_stat *s = &check_server(L)->service->server->stat;

    lua_createtable(L, 0, 12);
    set_int(L, "accepted", s->accepted);
    set_int(L, "refused", s->refused);
    set_int(L, "connections", s->connections);
    set_int(L, "in_flight", s->in_flight);
    set_int(L, "requests", s->requests);
    set_int(L, "malformed", s->malformed);
    set_int(L, "bytes_in", s->bytes_in);
    set_int(L, "bytes_out", s->bytes_out);
    push_classes(L, s->classes);
    lua_setfield(L, -2, "classes");
    lua_createtable(L, HTTP_STAT_BUCKETS, 0);
    for (int i = 0; i < HTTP_STAT_BUCKETS; i++) {
        lua_pushnumber(L, http_stat_bounds_ms[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "bounds_ms");
    lua_createtable(L, 0, (int)s->n_routes);
    for (size_t i = 0; i < s->n_routes; i++) {
        const struct http_stat_route *r = s->routes[i];
        uint64_t sum = 0;
        lua_createtable(L, 0, 4);
        set_int(L, "count", r->count);
        lua_pushnumber(L, (double)r->sum_ns / 1e6);
        lua_setfield(L, -2, "sum_ms");
        push_classes(L, r->classes);
        lua_setfield(L, -2, "classes");
        lua_createtable(L, HTTP_STAT_BUCKETS, 0);
        for (int k = 0; k < HTTP_STAT_BUCKETS; k++) {
            sum += r->buckets[k];
            lua_pushinteger(L, (lua_Integer)sum);
            lua_rawseti(L, -2, k + 1);
        }
        lua_setfield(L, -2, "buckets");
        lua_setfield(L, -2, r->label);
    }
    lua_setfield(L, -2, "routes");
    return 1;
}

static void read_limits(lua_State *L, int t, struct http_limits *l, struct service *sv)
{
    const lua_Integer MS = 86400000;

    http_limits_default(l);
#define LIMIT(field, low, high)                                                                   \
    l->field = (__typeof__(l->field))bind_opt_int(L, t, #field, (lua_Integer)l->field, low, high)
    LIMIT(header_bytes, 1024, 1 << 20);
    LIMIT(header_count, 1, HTTP_FIELDS_MAX);
    LIMIT(target_bytes, 16, 1 << 19);
    LIMIT(body_bytes, 0, (lua_Integer)1 << 50);
    LIMIT(connections, 1, 1000000);
    LIMIT(header_timeout_ms, 10, MS);
    LIMIT(body_idle_ms, 10, MS);
    LIMIT(body_min_rate, 0, 1 << 30);
    LIMIT(keepalive_ms, 10, MS);
    LIMIT(write_idle_ms, 10, MS);
    LIMIT(requests_per_connection, 0, INT32_MAX);
#undef LIMIT
    sv->burst_ms = (uint32_t)bind_opt_int(L, t, "burst_ms", 200, 0, MS);
    sv->deadline_ms = (uint64_t)bind_opt_int(L, t, "deadline_ms", 30000, 0, MS);
}

static int l_listen(lua_State *L)
{
    struct http_server_opt opt = { .fd = -1, .app = { on_request, on_gone, NULL } };
    struct service found = { .host = host_of(L) };
    struct err e;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    opt.host = bind_opt_text(L, 1, "host", NULL);
    opt.port = (int)bind_opt_int(L, 1, "port", 0, 0, 65535);
    opt.fd = (int)bind_opt_int(L, 1, "fd", -1, -1, INT32_MAX);
    opt.reuse_port = bind_opt_bool(L, 1, "reuse_port", 0);
    if (lua_getfield(L, 1, "limits") != LUA_TNIL)
        luaL_argexpected(L, lua_istable(L, 2), 1, "a table as limits");
    read_limits(L, 2, &opt.limits, &found);
    if (lua_getfield(L, 1, "tls") != LUA_TNIL) {                    /* opt limits tls */
        luaL_argexpected(L, lua_istable(L, 3), 1, "a table as tls");
        opt.cert = bind_opt_text(L, 3, "cert", NULL);
        opt.key = bind_opt_text(L, 3, "key", NULL);
        luaL_argcheck(L, opt.cert && opt.key, 1, "tls needs cert and key");
    }
    luaL_argcheck(L, lua_getfield(L, 1, "on_request") == LUA_TFUNCTION, 1,
                  "on_request is not a function");                  /* opt limits tls fn */
    struct server_box *b = lua_newuserdatauv(L, sizeof *b, 0);      /* opt limits tls fn box */
    memset(b, 0, sizeof *b);
    luaL_setmetatable(L, SERVER);
    luaL_getmetatable(L, BIND_REQUEST);
    found.mt_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, 4);
    found.fn_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, 5);
    b->self_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    found.calls = lua_touserdata(L, lua_upvalueindex(1));
    struct service *sv = mem_alloc(sizeof *sv);
    if (sv != NULL) {
        *sv = found;
        opt.app.arg = sv;
        if ((sv->server = http_server_open(found.host ? host_loop(L) : NULL, &opt, &e)) != NULL) {
            b->service = sv;
            if (host_get(found.host, HOST_SERVER) == NULL)
                host_set(found.host, HOST_SERVER, sv->server);
            return 1;
        }
    } else {
        err_set(&e, ERR_NOMEM, "no memory for a server");
    }
    mem_free(sv);
    luaL_unref(L, LUA_REGISTRYINDEX, found.mt_ref);
    luaL_unref(L, LUA_REGISTRYINDEX, found.fn_ref);
    luaL_unref(L, LUA_REGISTRYINDEX, b->self_ref);
    return bind_fail(L, &e);
}

/* --- router --- */

struct router_box {
    struct http_router *router;
};

static int l_router_gc(lua_State *L)
{
    struct router_box *b = luaL_checkudata(L, 1, ROUTER);

    http_route_free(b->router);
    b->router = NULL;
    return 0;
}

static int l_router(lua_State *L)
{
    struct err e;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    struct router_box *b = lua_newuserdatauv(L, sizeof *b, 0); /* list box */
    b->router = NULL;
    luaL_setmetatable(L, ROUTER);
    b->router = http_route_new();
    if (b->router == NULL)
        return luaL_error(L, "not enough memory");
    int n = (int)lua_rawlen(L, 1);
    for (int i = 1; i <= n; i++) {
        lua_rawgeti(L, 1, i);
        luaL_argexpected(L, lua_istable(L, -1), 1, "an array of { method=, pattern= }");
        const char *method = bind_opt_text(L, lua_gettop(L), "method", NULL);
        const char *pattern = bind_opt_text(L, lua_gettop(L), "pattern", NULL);
        luaL_argcheck(L, method && pattern, 1, "a route needs method and pattern");
        if (http_route_add(b->router, method, pattern, i, &e) != 0)
            return bind_fail(L, &e);
        lua_settop(L, 2);
    }
    return 1;
}

static int l_match(lua_State *L)
{
    struct router_box *b = luaL_checkudata(L, 1, ROUTER);
    struct http_route_found f;
    char small[512];

    luaL_argcheck(L, b->router != NULL, 1, "this router is closed");
    lua_remove(L, 1); /* the request is argument 1 for bind_request_check */
    struct http_req *r = bind_request_check(L)->r;
    struct http_text raw = r->head.raw_path;
    char *room = raw.n <= sizeof small ? small : lua_newuserdatauv(L, raw.n, 0);
    switch (http_route_match(b->router, r->head.method, raw, room, &f)) {
    case HTTP_ROUTE_NONE:
        lua_pushnil(L);
        lua_pushliteral(L, "notfound");
        return 2;
    case HTTP_ROUTE_METHOD:
        lua_pushnil(L);
        lua_pushliteral(L, "method");
        lua_pushstring(L, f.allow);
        return 3;
    case HTTP_ROUTE_FOUND:
        break;
    }
    lua_pushinteger(L, f.index);
    if (f.n_params == 0)
        return 1;
    lua_createtable(L, 0, f.n_params);
    for (int i = 0; i < f.n_params; i++) {
        lua_pushlstring(L, f.values[i].p, f.values[i].n);
        lua_setfield(L, -2, f.names[i]);
    }
    return 2;
}

static const luaL_Reg SERVER_METHODS[] = {
    { "address", l_address }, { "drain", l_drain }, { "close", l_close },
    { "reload_tls", l_reload_tls }, { "stats", l_stats }, { NULL, NULL },
};

static const luaL_Reg SERVER_META[] = {
    { "__gc", l_close }, { "__close", l_close }, { NULL, NULL },
};

static const luaL_Reg ROUTER_METHODS[] = { { "match", l_match }, { NULL, NULL } };
static const luaL_Reg ROUTER_META[] = { { "__gc", l_router_gc }, { NULL, NULL } };
static const luaL_Reg CALLS_META[] = { { "__gc", l_free_calls }, { NULL, NULL } };

int luaopen_core_server(lua_State *L)
{
    luaL_Reg methods[64];
    int n = 0;

    for (const luaL_Reg *m = bind_request_methods; m->name; m++)
        methods[n++] = *m;
    for (const luaL_Reg *m = bind_body_methods; m->name; m++)
        methods[n++] = *m;
    methods[n] = (luaL_Reg){ NULL, NULL };
    bind_class(L, SERVER, SERVER_METHODS, SERVER_META);
    bind_class(L, ROUTER, ROUTER_METHODS, ROUTER_META);
    bind_class(L, BIND_REQUEST, methods, NULL);
    bind_class(L, "core.server.calls", NULL, CALLS_META);
    bind_class(L, BIND_HEADERS, NULL, NULL);
    lua_createtable(L, 0, 4);
    struct calls *all = lua_newuserdatauv(L, sizeof *all, 0); /* made first, so collected last */
    memset(all, 0, sizeof *all);
    luaL_setmetatable(L, "core.server.calls");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, all);
    lua_pushcclosure(L, l_listen, 1);
    lua_setfield(L, -2, "listen");
    lua_pushcfunction(L, l_router);
    lua_setfield(L, -2, "router");
    lua_pushcfunction(L, bind_request_headers);
    lua_setfield(L, -2, "headers");
    lua_pushcfunction(L, bind_request_form);
    lua_setfield(L, -2, "form");
    return 1;
}
