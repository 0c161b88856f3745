/*
 * bind_process.c - core.process: what this process and its machine use.
 *
 *   monotonic() --> seconds            the loop's clock: cheap, stands still between two turns
 *   pid() --> integer                  uptime() --> seconds
 *   usage() --> { rss_bytes, cpu_seconds, threads, open_files, open_files_max, lua_bytes,
 *                 lua_peak_bytes, lua_cap_bytes, lua_allocated_bytes, runs }
 *   machine() --> { memory_bytes, memory_free_bytes, cpu_seconds, cpu_idle_seconds, cpus, load }
 *   disk(path) --> total, free bytes   or nil, message, code
 *   watch_lag()                        begins to measure how late the loop is
 *   lag() --> { last, mean, max } seconds of the last quarter of a minute, or nil
 *   machine_id() --> text              the same for all processes whose numbers we can see
 *   is_terminal() --> boolean          standard output
 *   put(text)                          to standard output, at once, without a line end
 *   is_alive(pid) --> boolean          a process of machine_id()
 *   version                            of this program
 *
 * Files of /proc never wait for a disk, so they are read on the loop.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/mem.h"
#include "bind/bind.h"
#include "bind/bind_all.h"

#define LAG_EVERY_MS 250
#define LAG_KEPT 60

struct lag {
    uv_timer_t timer;
    uint64_t due_ns;
    double late[LAG_KEPT]; /* seconds, a ring */
    unsigned n;
};

static struct lag *lag; /* of the one loop of this process */

static int l_monotonic(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)uv_now(host_loop(L)) / 1e3);
    return 1;
}

static int l_pid(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)getpid());
    return 1;
}

/* One line of a small file of /proc into `out`. 0 or -1. */
static int read_small(const char *path, char *out, size_t bytes)
{
    FILE *f = fopen(path, "re");
    size_t n;

    if (f == NULL)
        return -1;
    n = fread(out, 1, bytes - 1, f);
    out[n] = 0;
    fclose(f);
    return n > 0 ? 0 : -1;
}

/* The number behind "name" in a file of "name: 123 kB" lines, or -1. */
static double field(const char *text, const char *name)
{
    const char *p = strstr(text, name);
    double v;

    return p != NULL && sscanf(p + strlen(name), ": %lf", &v) == 1 ? v : -1;
}

static double uptime(void)
{
    char text[1024];
    double up;
    unsigned long long start;

    if (read_small("/proc/self/stat", text, sizeof text) != 0)
        return 0;
    const char *p = strrchr(text, ')'); /* the name may hold anything */
    if (p == NULL || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d "
                                   "%*d %*d %*d %*d %llu", &start) != 1)
        return 0;
    if (read_small("/proc/uptime", text, sizeof text) != 0 || sscanf(text, "%lf", &up) != 1)
        return 0;
    return up - (double)start / (double)sysconf(_SC_CLK_TCK);
}

static int l_uptime(lua_State *L)
{
    lua_pushnumber(L, uptime());
    return 1;
}

static lua_Integer count_open_files(void)
{
    DIR *d = opendir("/proc/self/fd");
    lua_Integer n = 0;

    if (d == NULL)
        return -1;
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n - 3; /* . and .. and the folder itself */
}

static void set_number(lua_State *L, const char *name, double v)
{
    lua_pushnumber(L, v);
    lua_setfield(L, -2, name);
}

static void set_int(lua_State *L, const char *name, lua_Integer v)
{
    lua_pushinteger(L, v);
    lua_setfield(L, -2, name);
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static int l_usage(lua_State *L)
{
    char text[4096];
    struct rusage u;
    struct rlimit files;
    size_t now, peak, cap;

    lua_createtable(L, 0, 10);
    if (read_small("/proc/self/status", text, sizeof text) == 0) {
        set_int(L, "rss_bytes", (lua_Integer)(field(text, "VmRSS") * 1024));
        set_int(L, "threads", (lua_Integer)field(text, "Threads"));
    }
    if (getrusage(RUSAGE_SELF, &u) == 0)
        set_number(L, "cpu_seconds", seconds(u.ru_utime) + seconds(u.ru_stime));
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        set_int(L, "open_files_max", (lua_Integer)files.rlim_cur);
    set_int(L, "open_files", count_open_files());
    host_memory(host_of(L), &now, &peak, &cap);
    set_int(L, "lua_bytes", (lua_Integer)now);
    set_int(L, "lua_peak_bytes", (lua_Integer)peak);
    set_int(L, "lua_allocated_bytes", (lua_Integer)host_allocated(host_of(L)));
    set_int(L, "lua_cap_bytes", (lua_Integer)cap);
    set_int(L, "runs", (lua_Integer)run_count(host_of(L)));
    return 1;
}

static int l_machine(lua_State *L)
{
    char text[8192];
    double t[8] = { 0 }, load, all = 0;
    double hz = (double)sysconf(_SC_CLK_TCK);

    lua_createtable(L, 0, 8);
    if (read_small("/proc/meminfo", text, sizeof text) == 0) {
        set_int(L, "memory_bytes", (lua_Integer)(field(text, "MemTotal") * 1024));
        set_int(L, "memory_free_bytes", (lua_Integer)(field(text, "MemAvailable") * 1024));
    }
    if (read_small("/proc/stat", text, sizeof text) == 0 &&
        sscanf(text, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &t[0], &t[1], &t[2], &t[3], &t[4],
               &t[5], &t[6], &t[7]) == 8) {
        for (int i = 0; i < 8; i++)
            all += t[i];
        set_number(L, "cpu_seconds", all / hz);
        set_number(L, "cpu_idle_seconds", (t[3] + t[4]) / hz);
    }
    if (read_small("/proc/loadavg", text, sizeof text) == 0 && sscanf(text, "%lf", &load) == 1)
        set_number(L, "load", load);
    set_int(L, "cpus", (lua_Integer)sysconf(_SC_NPROCESSORS_ONLN));
    return 1;
}

static int l_disk(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct statvfs v;
    struct err e;

    if (statvfs(path, &v) != 0) {
        err_errno(&e, errno, "%s", path);
        return bind_fail(L, &e);
    }
    lua_pushinteger(L, (lua_Integer)(v.f_blocks * v.f_frsize));
    lua_pushinteger(L, (lua_Integer)(v.f_bavail * v.f_frsize));
    return 2;
}

static void on_lag(uv_timer_t *t)
{
    struct lag *g = t->data;
    uint64_t now = uv_hrtime();

    g->late[g->n++ % LAG_KEPT] = now > g->due_ns ? (double)(now - g->due_ns) / 1e9 : 0;
    g->due_ns = now + (uint64_t)LAG_EVERY_MS * 1000000;
    uv_timer_start(t, on_lag, LAG_EVERY_MS, 0);
}

static void on_lag_closed(uv_handle_t *h)
{
    mem_free(h->data);
}

static void lag_end(void *arg)
{
    struct lag *g = arg;

    lag = NULL;
    uv_close((uv_handle_t *)&g->timer, on_lag_closed);
}

static int l_watch_lag(lua_State *L)
{
    if (lag != NULL)
        return 0;
    struct lag *g = mem_zero(1, sizeof *g);
    if (g == NULL)
        return luaL_error(L, "not enough memory");
    uv_timer_init(host_loop(L), &g->timer);
    uv_unref((uv_handle_t *)&g->timer);
    g->timer.data = g;
    if (host_at_close(host_of(L), lag_end, g) != 0) {
        uv_close((uv_handle_t *)&g->timer, on_lag_closed);
        return luaL_error(L, "too many things to do at the end of this process");
    }
    lag = g;
    g->due_ns = uv_hrtime() + (uint64_t)LAG_EVERY_MS * 1000000;
    uv_update_time(host_loop(L));
    uv_timer_start(&g->timer, on_lag, LAG_EVERY_MS, 0);
    return 0;
}

static int l_lag(lua_State *L)
{
    double sum = 0, max = 0;

    if (lag == NULL || lag->n == 0)
        return 0;
    unsigned n = lag->n < LAG_KEPT ? lag->n : LAG_KEPT;
    for (unsigned i = 0; i < n; i++) {
        sum += lag->late[i];
        max = lag->late[i] > max ? lag->late[i] : max;
    }
    lua_createtable(L, 0, 3);
    set_number(L, "last", lag->late[(lag->n - 1) % LAG_KEPT]);
    set_number(L, "mean", sum / n);
    set_number(L, "max", max);
    return 1;
}

/* Machine since its start, and namespace of process numbers: containers have one of their own. */
static int l_machine_id(lua_State *L)
{
    char boot[64], space[64];

    if (read_small("/proc/sys/kernel/random/boot_id", boot, sizeof boot) != 0)
        snprintf(boot, sizeof boot, "%s", "unknown");
    boot[strcspn(boot, "\n")] = '\0';
    ssize_t n = readlink("/proc/self/ns/pid", space, sizeof space - 1);
    space[n > 0 ? n : 0] = '\0';
    lua_pushfstring(L, "%s %s", boot, space);
    return 1;
}

static int l_is_terminal(lua_State *L)
{
    lua_pushboolean(L, isatty(STDOUT_FILENO));
    return 1;
}

static int l_put(lua_State *L)
{
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);

    fwrite(text, 1, n, stdout);
    fflush(stdout);
    return 0;
}

static int l_is_alive(lua_State *L)
{
    lua_Integer pid = luaL_checkinteger(L, 1);
    char path[64], stat[512];

    luaL_argcheck(L, pid > 0 && pid <= INT32_MAX, 1, "the number of a process expected");
    if (kill((pid_t)pid, 0) != 0 && errno == ESRCH) {
        lua_pushboolean(L, 0);
        return 1;
    }
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    const char *end = read_small(path, stat, sizeof stat) == 0 ? strrchr(stat, ')') : NULL;
    lua_pushboolean(L, end == NULL || (strncmp(end, ") Z", 3) != 0 && strncmp(end, ") X", 3) != 0));
    return 1;
}

static const luaL_Reg FUNCTIONS[] = {
    { "is_terminal", l_is_terminal }, { "put", l_put },
    { "machine_id", l_machine_id }, { "is_alive", l_is_alive },
    { "monotonic", l_monotonic }, { "pid", l_pid },   { "uptime", l_uptime },
    { "usage", l_usage },         { "machine", l_machine }, { "disk", l_disk },
    { "watch_lag", l_watch_lag }, { "lag", l_lag },   { NULL, NULL },
};

int luaopen_core_process(lua_State *L)
{
    luaL_newlib(L, FUNCTIONS);
    lua_pushliteral(L, PLASTINKA_VERSION);
    lua_setfield(L, -2, "version");
    return 1;
}
