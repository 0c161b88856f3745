/*
 * script.c - runs one Lua file with every module at hand: how tests and people try things.
 *
 * The file is run as one run without time budgets (the terminal is the owner). Its arguments are
 * the array `arg`; a whole number it returns is the exit code.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "bind/bind.h"
#include "bind/bind_fs.h"
#include "loop/loop.h"
#include "role/role.h"
#include "script/load.h"

#define FILE_MAX_BYTES ((size_t)16 << 20)

struct script {
    const char *path;
    int argc;
    char **argv;
    struct buf text;
    struct host *host;
    int code;
    int ended;
};

static int continued(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    (void)ctx;
    return lua_gettop(L) - 1;
}

static int body(lua_State *L) /* light userdata: script */
{
    struct script *s = lua_touserdata(L, 1);

    load_env(L, 1);
    lua_pushliteral(L, "arg");
    lua_createtable(L, s->argc, 0);
    for (int i = 0; i < s->argc; i++) {
        lua_pushstring(L, s->argv[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_rawset(L, -3);
    if (load_chunk(L, s->path, s->text.data, s->text.len) != 0)
        return lua_error(L);
    buf_deinit(&s->text);
    lua_callk(L, 0, LUA_MULTRET, 0, continued);
    return continued(L, LUA_OK, 0);
}

static void on_end(struct run *r, const struct run_end *end, void *arg)
{
    struct script *s = arg;

    (void)r;
    s->ended = 1;
    if (end->code != ERR_NONE) {
        fprintf(stderr, "%s: %s: %s\n%s\n", s->path, err_name(end->code), end->error.text,
                end->trace);
        s->code = 1;
    } else if (end->n_results > 0 && lua_isinteger(end->L, -end->n_results)) {
        s->code = (int)(lua_tointeger(end->L, -end->n_results) & 0xff);
    }
}

static int read_file(struct script *s, struct err *e)
{
    FILE *f = fopen(s->path, "rb");
    int status = -1;

    if (f == NULL)
        return err_set(e, ERR_NOTFOUND, "cannot read the file");
    for (;;) {
        char *room = buf_room(&s->text, 65536, e);
        if (room == NULL)
            goto done;
        size_t n = fread(room, 1, 65536, f);
        s->text.len += n;
        if (n == 0)
            break;
    }
    if (ferror(f)) {
        err_set(e, ERR_IO, "cannot read the file");
        goto done;
    }
    if (s->text.len > 2 && s->text.data[0] == '#') /* a first line for the kernel */
        memcpy(s->text.data, "--", 2);
    status = 0;
done:
    fclose(f);
    return status;
}

static void on_interrupt(int signum, void *arg)
{
    struct script *s = arg;

    (void)signum;
    host_close(s->host);
    s->host = NULL;
}

int role_script(int argc, char **argv)
{
    struct script s = { .code = 0 };
    struct loop loop;
    struct err e;
    struct run_opt opt = { .on_end = on_end, .arg = &s };

    if (argc < 1 || strcmp(argv[0], "--help") == 0) {
        fputs("usage: plastinka lua FILE [ARGS...]\n\n"
              "Runs a Lua file with every module at hand (require \"db\", \"json\", \"http\" ...).\n"
              "ARGS are in the array `arg`; a whole number the file returns is the exit code.\n",
              argc < 1 ? stderr : stdout);
        return argc < 1 ? 2 : 0;
    }
    s.path = argv[0];
    s.argc = argc - 1;
    s.argv = argv + 1;
    opt.name = s.path;
    buf_init(&s.text, FILE_MAX_BYTES);
    if (read_file(&s, &e) != 0 || loop_init(&loop, &e) != 0) {
        fprintf(stderr, "%s: %s\n", s.path, e.text);
        buf_deinit(&s.text);
        return 1;
    }
    s.host = host_new(&loop.uv, NULL, &e);
    /* the terminal is the owner: relative paths from where it stands, and everything else */
    if (s.host == NULL || bind_all(s.host, &e) != 0 || bind_fs_allow(".", 1, &e) != 0 ||
        bind_fs_allow("/", 1, &e) != 0 ||
        loop_on_signal(&loop, SIGINT, on_interrupt, &s, &e) != 0 ||
        loop_on_signal(&loop, SIGTERM, on_interrupt, &s, &e) != 0 ||
        run_start(s.host, &opt, body, &s, NULL, &e) != 0) {
        fprintf(stderr, "%s: %s\n", s.path, e.text);
        s.code = 1;
        s.ended = 1;
    }
    loop_run(&loop);
    if (!s.ended) {
        fprintf(stderr, "%s: the script waits for something that can never happen\n", s.path);
        s.code = 1;
    }
    host_close(s.host);
    buf_deinit(&s.text);
    if (loop_close(&loop, 5000, &e) != 0) {
        fprintf(stderr, "%s: %s\n", s.path, e.text);
        s.code = 1;
    }
    return s.code;
}
