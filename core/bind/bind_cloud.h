/*
 * bind_cloud.h - the HTTP client of the scripts' host, for other modules that send requests.
 */
#ifndef BIND_CLOUD_H
#define BIND_CLOUD_H

#include <lua.h>

#include "base/err.h"

struct cloud_fetch;
struct host;

/* The fetcher of the host, made on first use and freed when the host closes. NULL and e: `nomem`. */
struct cloud_fetch *bind_cloud_fetcher(struct host *h, struct err *e);

int luaopen_core_http(lua_State *L);

#endif
