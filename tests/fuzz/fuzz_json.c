/* JSON text: any bytes are read or refused; what was read is written, and reads the same again. */
#include <assert.h>
#include <lauxlib.h>
#include <stdint.h>
#include <string.h>

#include "bind/bind_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static lua_State *L;
    struct err e = { 0 };
    struct buf first, second;

    if (L == NULL)
        L = luaL_newstate();
    if (bind_json_decode(L, (const char *)data, size, BIND_JSON_DEPTH, &e) != 0) {
        assert(e.code != ERR_NONE && e.text[0] != '\0' && lua_gettop(L) == 0);
        return 0;
    }
    buf_init(&first, 1 << 24);
    buf_init(&second, 1 << 24);
    int rc = bind_json_encode(L, -1, BIND_JSON_SORTED, &first, &e);
    assert(rc == 0);
    rc = bind_json_decode(L, first.data, first.len, BIND_JSON_DEPTH, &e);
    assert(rc == 0);
    rc = bind_json_encode(L, -1, BIND_JSON_SORTED, &second, &e);
    assert(rc == 0 && first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    buf_deinit(&first);
    buf_deinit(&second);
    lua_settop(L, 0);
    return 0;
}
