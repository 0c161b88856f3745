/*
 * bind_all.c - the list of C modules that scripts of the framework may require.
 */
#include "bind/bind_all.h"

#include <string.h>

#include "base/conf.h"
#include "bind/bind.h"
#include "tensor/kern.h"

static const luaL_Reg MODULES[] = {
    { "core.auth", luaopen_core_auth },
    { "core.baseline", luaopen_core_baseline },
    { "core.calibrate", luaopen_core_calibrate },
    { "core.chart", luaopen_core_chart },
    { "core.control", luaopen_core_control },
    { "core.crypto", luaopen_core_crypto },
    { "core.db", luaopen_core_db },
    { "core.fs", luaopen_core_fs },
    { "core.http", luaopen_core_http },
    { "core.json", luaopen_core_json },
    { "core.load", luaopen_core_load },
    { "core.log", luaopen_core_log },
    { "core.metrics", luaopen_core_metrics },
    { "core.numbers", luaopen_core_numbers },
    { "core.process", luaopen_core_process },
    { "core.server", luaopen_core_server },
    { "core.sheet", luaopen_core_sheet },
    { "core.settings", luaopen_core_settings },
    { "core.signal", luaopen_core_signal },
    { "core.task", luaopen_core_task },
    { "core.tensor", luaopen_core_tensor },
    { "core.tide", luaopen_core_tide },
    { "core.text", luaopen_core_text },
    { "core.time", luaopen_core_time },
    { "core.trees", luaopen_core_trees },
    { NULL, NULL },
};

int bind_all(struct host *h, struct err *e)
{
    if (strcmp(conf_text("kernels"), "ref") == 0) /* else the first use picks what this CPU does best */
        kern_use("ref");
    for (const luaL_Reg *m = MODULES; m->name != NULL; m++)
        if (host_preload(h, m->name, m->func, e) != 0)
            return -1;
    return 0;
}
