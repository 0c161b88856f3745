/*
 * bind_server.h - core.server: HTTP for scripts. What its three files share.
 *
 * bind_server.c is the listening side and the router, bind_request.c what a request can be asked
 * and how it is answered, bind_body.c what waits: bodies, files, streams.
 *
 * The first server that listens is host_get(h, HOST_SERVER), a struct http_server: so a role can
 * drain it on a signal (http_server_drain) without asking a script.
 *
 * A request userdata is a place (struct call) and the serial number it had when the userdata was
 * made: one kept for too long is an error, not a crash, and needs no finalizer. Calls live as long
 * as the VM and are used again.
 */
#ifndef BIND_SERVER_H
#define BIND_SERVER_H

#include <lua.h>
#include <stdint.h>

#include "bind/bind.h"
#include "http/http_form.h"
#include "http/http_req.h"
#include "http/http_server.h"

#define BIND_REQUEST "core.request"
#define BIND_HEADERS "core.headers" /* userdata: header lines as http_reply_lines takes them */

struct service {          /* one listening server; freed when the http room has let go of it */
    struct http_server *server;
    struct host *host;
    struct calls *calls;
    int fn_ref;           /* on_request, in the registry */
    int mt_ref;           /* metatable of requests */
    uint32_t burst_ms;
    uint64_t deadline_ms;
};

struct call {             /* one request in the hands of a script */
    struct http_req *r;   /* NULL: none */
    struct service *service;
    struct run *run;
    uint64_t serial;
    struct http_form *form;
    struct call *next;    /* free list */
};

struct request_box {
    struct call *call;
    uint64_t serial;
};

/* The request at argument 1; raises when it is over. */
struct call *bind_request_check(lua_State *L);

/* nil, message, code; or raises for what is misuse (`invalid`). */
int bind_request_fail(lua_State *L, const struct err *e);

/* server.headers: a table of headers, all checked now, to be given in place of a table. */
int bind_request_headers(lua_State *L);

/* form(text) --> { name = string | { strings } }, or nil, message, code: a body of a form. */
int bind_request_form(lua_State *L);

/* Begins an answer; `headers` is the index of the table of headers or of nil. 0, or -1 with `e`. */
int bind_request_head(lua_State *L, struct http_req *r, int status, int headers, struct err *e);

extern const luaL_Reg bind_request_methods[];
extern const luaL_Reg bind_body_methods[];

int luaopen_core_server(lua_State *L);

#endif
