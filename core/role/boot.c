/*
 * boot.c - the first and the last of every process. See boot.h.
 */
#include "role/boot.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/conf.h"
#include "base/log.h"
#include "bind/bind.h"
#include "bind/bind_control.h"
#include "bind/bind_db.h"
#include "bind/bind_fs.h"
#include "role/datadir.h"
#include "script/load.h"

#define CLOSE_GRACE_MS 5000

extern char **environ;

static const struct alias {
    const char *flag, *setting;
} ALIASES[] = {
    { "port", "http_port" },           { "host", "http_host" },
    { "data", "data_root_dir" },       { "workflows", "workflows_dir" },
    { "config", "config_file" },       { "workers", "work_processes" },
    { "web", "web_processes" },
};

static const char *setting_of(const char *flag, size_t len, char *name, size_t size)
{
    for (size_t i = 0; i < sizeof ALIASES / sizeof *ALIASES; i++)
        if (strlen(ALIASES[i].flag) == len && memcmp(ALIASES[i].flag, flag, len) == 0)
            return ALIASES[i].setting;
    if (len >= size)
        return NULL;
    for (size_t i = 0; i < len; i++)
        name[i] = flag[i] == '-' ? '_' : flag[i];
    name[len] = '\0';
    return conf_find(name) != NULL ? name : NULL;
}

int boot_settings(int *argc, char **argv, struct err *e)
{
    const char *config = NULL;
    int kept = 0;

    for (int i = 0; i < *argc; i++) {
        char name[64];
        const char *flag = argv[i] + 2;
        const char *equals = strchr(argv[i], '=');
        size_t len = equals != NULL ? (size_t)(equals - flag) : strlen(argv[i]) - 2;
        const char *setting = strncmp(argv[i], "--", 2) == 0 && argv[i][2] != '\0'
                                  ? setting_of(flag, len, name, sizeof name)
                                  : NULL;
        if (setting == NULL) { /* not ours: a word, or a flag of the command itself */
            argv[kept++] = argv[i];
            continue;
        }
        const char *value = equals != NULL ? equals + 1 : i + 1 < *argc ? argv[++i] : NULL;
        const struct conf_def *d = conf_find(setting);
        if (value == NULL && d->type == CONF_BOOL)
            value = "true";
        if (value == NULL)
            return err_set(e, ERR_INVALID, "--%s needs a value (%s)", flag, d->doc);
        if (strcmp(setting, "config_file") == 0)
            config = value;
        if (conf_flag(setting, value, e) != 0)
            return -1;
    }
    *argc = kept;
    if (conf_load(config, ".env", environ, e) != 0)
        return -1;
    int level = log_level_of(conf_text("log_level"));
    log_set_level(level >= 0 ? (enum log_level)level : LOG_INFO);
    return conf_text("log_file")[0] != '\0' ? log_open(conf_text("log_file"), e) : 0;
}

static void on_prepare(uv_prepare_t *p)
{
    (void)p;
    log_flush();
}

static void on_stop_signal(int signum, void *arg)
{
    struct boot *b = arg;

    if (b->host != NULL)
        control_post(b->host, signum == SIGHUP ? "reload" : "stop");
}

int boot_open(struct boot *b, struct err *e)
{
    memset(b, 0, sizeof *b);
    if (loop_init(&b->loop, e) != 0)
        return -1;
    b->has_loop = 1;
    uv_prepare_init(&b->loop.uv, &b->flush);
    uv_prepare_start(&b->flush, on_prepare);
    uv_unref((uv_handle_t *)&b->flush);
    struct host_opt opt = { .memory_max_bytes = conf_size("vm_memory_bytes") };
    b->host = host_new(&b->loop.uv, &opt, e);
    if (b->host == NULL || bind_all(b->host, e) != 0)
        return -1;
    b->pool = pool_new(&b->loop.uv, (unsigned)conf_int("compute_threads"), e);
    if (b->pool == NULL)
        return -1;
    host_set(b->host, HOST_POOL, b->pool);
    if (control_open(b->host, e) != 0 ||
        loop_on_signal(&b->loop, SIGTERM, on_stop_signal, b, e) != 0 ||
        loop_on_signal(&b->loop, SIGINT, on_stop_signal, b, e) != 0 ||
        loop_on_signal(&b->loop, SIGHUP, on_stop_signal, b, e) != 0)
        return -1;
    return 0;
}

int boot_database(struct boot *b, struct err *e)
{
    char name[512], path[4096];

    snprintf(name, sizeof name, "database/%s", conf_text("database_file"));
    if (strchr(conf_text("database_file"), '/') != NULL)
        return err_set(e, ERR_INVALID, "database_file is %s, expected a file name without a folder",
                       conf_text("database_file"));
    if (datadir_make(e) != 0 || datadir_use(&b->use_fd, 0, e) != 0 ||
        datadir_path(path, sizeof path, name, e) != 0 ||
        bind_fs_allow(conf_text("data_root_dir"), 1, e) != 0)
        return -1;
    struct db_opt opt;
    db_opt_init(&opt);
    opt.busy_ms = (int)conf_ms("database_busy_seconds");
    opt.n_readers = (int)conf_int("database_readers");
    return bind_db_main(b->host, path, &opt, e);
}

struct start {
    const char *module;
    int argc;
    char **argv;
    struct boot *boot;
};

static int continued(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    (void)ctx;
    return lua_gettop(L) - 1;
}

static int body(lua_State *L) /* light userdata: start */
{
    struct start *s = lua_touserdata(L, 1);

    lua_pushcfunction(L, load_require);
    lua_pushstring(L, s->module);
    lua_call(L, 1, 1);
    if (lua_getfield(L, -1, "main") != LUA_TFUNCTION)
        return luaL_error(L, "%s has no function main", s->module);
    lua_replace(L, 2);
    lua_settop(L, 2);
    lua_createtable(L, s->argc, 0);
    for (int i = 0; i < s->argc; i++) {
        lua_pushstring(L, s->argv[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_callk(L, 1, LUA_MULTRET, 0, continued);
    return continued(L, LUA_OK, 0);
}

static void on_end(struct run *r, const struct run_end *end, void *arg)
{
    struct start *s = arg;

    (void)r;
    s->boot->ended = 1;
    if (end->code != ERR_NONE) {
        log_flush();
        fprintf(stderr, "plastinka: %s\n", end->error.text);
        LOG(LOG_DEBUG, "main failed", LOG_S("module", s->module),
            LOG_S("code", err_name(end->code)), LOG_S("trace", end->trace));
        s->boot->code = 1;
    } else if (end->n_results > 0 && lua_isinteger(end->L, -end->n_results)) {
        s->boot->code = (int)(lua_tointeger(end->L, -end->n_results) & 0xff);
    }
    uv_stop(&s->boot->loop.uv);
}

int boot_main(struct boot *b, const char *module, int argc, char **argv)
{
    static struct start s; /* a run that never ended ends with the host, after this has returned */
    struct run_opt opt = { .name = module, .on_end = on_end, .arg = &s };
    struct err e;

    s = (struct start){ module, argc, argv, b };

    if (run_start(b->host, &opt, body, &s, NULL, &e) != 0) {
        fprintf(stderr, "plastinka: %s\n", e.text);
        return b->code = 1;
    }
    if (!b->ended)
        loop_run(&b->loop);
    if (!b->ended) {
        fprintf(stderr, "plastinka: %s waits for something that can never happen\n", module);
        b->code = 1;
    }
    return b->code;
}

int boot_close(struct boot *b)
{
    struct err e;

    host_close(b->host);
    b->host = NULL;
    pool_close(b->pool);
    b->pool = NULL;
    log_flush();
    if (b->has_loop) {
        uv_close((uv_handle_t *)&b->flush, NULL);
        if (loop_close(&b->loop, CLOSE_GRACE_MS, &e) != 0) {
            LOG(LOG_ERROR, "unclean end", LOG_S("why", e.text));
            if (b->code == 0)
                b->code = 1;
        }
    }
    if (b->use_fd > 0)
        close(b->use_fd);
    b->use_fd = 0;
    bind_fs_forget();
    log_close();
    return b->code;
}
