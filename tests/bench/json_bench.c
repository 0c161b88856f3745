/*
 * json_bench.c - JSON between bytes and Lua against cJSON's own tree (which is not Lua yet).
 * Prints nanoseconds for an answer of 15 objects, MB/s for a large array; CPU time of one thread.
 */
#include <cJSON.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "bind/bind_json.h"

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static lua_State *L;

static void make(const char *chunk)
{
    if (luaL_dostring(L, chunk) != LUA_OK)
        printf("%s\n", lua_tostring(L, -1));
}

static void measure(const char *name, int rounds)
{
    struct buf b;
    struct err e;

    buf_init(&b, (size_t)1 << 30);
    bind_json_encode(L, -1, 0, &b, &e);
    double t0 = now();
    for (int i = 0; i < rounds; i++) {
        buf_clear(&b);
        if (bind_json_encode(L, -1, 0, &b, &e) != 0)
            printf("%s\n", e.text);
    }
    double write = (now() - t0) / rounds;
    t0 = now();
    for (int i = 0; i < rounds; i++) {
        if (bind_json_decode(L, b.data, b.len, 64, &e) != 0)
            printf("%s\n", e.text);
        lua_pop(L, 1);
    }
    double read = (now() - t0) / rounds;
    t0 = now();
    for (int i = 0; i < rounds; i++)
        cJSON_Delete(cJSON_ParseWithLength(b.data, b.len));
    double cread = (now() - t0) / rounds;
    cJSON *tree = cJSON_ParseWithLength(b.data, b.len);
    t0 = now();
    for (int i = 0; i < rounds; i++)
        free(cJSON_PrintBuffered(tree, (int)b.len + 64, 0));
    double cwrite = (now() - t0) / rounds;
    double mb = (double)b.len * 1e-6;
    printf("%-28s %9zu bytes  write %10.0f ns %6.0f MB/s (cJSON %6.0f MB/s, %4.1fx)   read %10.0f ns "
           "%6.0f MB/s (cJSON %6.0f MB/s, %4.1fx)\n", name, b.len, write * 1e9, mb / write, mb / cwrite,
           cwrite / write, read * 1e9, mb / read, mb / cread, cread / read);
    cJSON_Delete(tree);
    buf_deinit(&b);
    lua_pop(L, 1);
}

int main(void)
{
    L = luaL_newstate();
    luaL_openlibs(L);
    make("local t = {} for i = 1, 15 do t[i] = {id = i, name = 'item ' .. i, price = i * 1.5} end return t");
    measure("15 objects", 50000);
    make("local t = {} for i = 1, 53000 do t[i] = {barcode = '46' .. 10000000000 + i, artist = "
         "'Исполнитель ' .. i % 500, album = 'Album number ' .. i, price = 690 + i % 100, cost = i / 7, "
         "stock = i % 9, sold = i % 5, year = 1960 + i % 60, style = 'Rock', new = i % 2 == 0, q = i / 100} "
         "end return t");
    measure("53,000 objects of 11 fields", 5);
    make("local t = {} for i = 1, 200000 do t[i] = math.random() end return t");
    measure("200,000 random doubles", 5);
    make("return ('пластинка и \"кавычки\" '):rep(40000)");
    measure("one long Russian text", 50);
    lua_close(L);
    return 0;
}
