/*
 * bind_all.c - the list of C modules that scripts of the framework may require.
 */
#include "bind/bind_all.h"

#include "bind/bind.h"

static const luaL_Reg MODULES[] = {
    { "core.control", luaopen_core_control },
    { "core.db", luaopen_core_db },
    { "core.json", luaopen_core_json },
    { "core.load", luaopen_core_load },
    { "core.server", luaopen_core_server },
    { "core.sheet", luaopen_core_sheet },
    { "core.task", luaopen_core_task },
    { "core.tensor", luaopen_core_tensor },
    { NULL, NULL },
};

int bind_all(struct host *h, struct err *e)
{
    for (const luaL_Reg *m = MODULES; m->name != NULL; m++)
        if (host_preload(h, m->name, m->func, e) != 0)
            return -1;
    return 0;
}
