/* JSON between bytes and Lua: RFC 8259 by the letter, cJSON as the oracle for values. */
#include "bind/bind_json.h"

#include <cJSON.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "check.h"

static lua_State *L;

static int decode(const char *s, size_t n, struct err *e)
{
    char *exact = malloc(n ? n : 1); /* so that a read behind the end is seen */

    memcpy(exact, s, n);
    int rc = bind_json_decode(L, exact, n, BIND_JSON_DEPTH, e);
    free(exact);
    return rc;
}

/* The value on top of the stack as text; pops it. */
static const char *encoded(unsigned flags)
{
    static struct buf b;
    struct err e;

    buf_deinit(&b);
    buf_init(&b, 1 << 24);
    if (lua_isnone(L, -1))
        return NULL;
    int rc = bind_json_encode(L, -1, flags, &b, &e);
    lua_pop(L, 1);
    return rc == 0 ? buf_text(&b, &e) : "refused";
}

/* Reads and writes again. */
static const char *again(const char *s)
{
    struct err e = { 0 };

    if (decode(s, strlen(s), &e) != 0) {
        printf("%s: %s\n", s, e.text);
        return "refused";
    }
    return encoded(BIND_JSON_SORTED);
}

static void accepted(void)
{
    static const char *const t[][2] = {
        { "null", "null" }, { " true ", "true" }, { "\t\r\nfalse", "false" }, { "0", "0" },
        { "-0", "-0.0" }, { "-1", "-1" }, { "9007199254740992", "9007199254740992" },
        { "-9007199254740992", "-9007199254740992" }, { "1.0", "1.0" }, { "1e2", "100.0" },
        { "1E+2", "100.0" }, { "0.1", "0.1" }, { "123456789012345678901e0", "1.2345678901234568e+20" },
        { "1e-400", "0.0" }, { "[]", "[]" }, { "{}", "{}" }, { "[ ]", "[]" }, { "{ }", "{}" },
        { "[1,[2,[]],{}]", "[1,[2,[]],{}]" }, { "[null]", "[null]" },
        { "{\"b\":1 , \"a\":[{}] }", "{\"a\":[{}],\"b\":1}" }, { "{\"\":0}", "{\"\":0}" },
        { "\"\"", "\"\"" }, { "\"a\\\"\\\\\\/\\b\\f\\n\\r\\tb\"", "\"a\\\"\\\\/\\b\\f\\n\\r\\tb\"" },
        { "\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\"", "\"Aé€😀\"" }, { "\"\\u0000\"", "\"\\u0000\"" },
        { "\"\x7f\"", "\"\x7f\"" }, { "\"\\u001f\"", "\"\\u001f\"" }, { "\"пластинка\"", "\"пластинка\"" },
        { "\"ends in a backslash \\\\\"", "\"ends in a backslash \\\\\"" },
        { "\"\\uD83D\\uDE00 and a long tail of plain bytes\"", "\"😀 and a long tail of plain bytes\"" },
    };

    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        CHECK_STR(again(t[i][0]), t[i][1]);
    char deep[2 * BIND_JSON_DEPTH + 1];
    memset(deep, '[', BIND_JSON_DEPTH);
    memset(deep + BIND_JSON_DEPTH, ']', BIND_JSON_DEPTH);
    deep[2 * BIND_JSON_DEPTH] = '\0';
    CHECK_STR(again(deep), deep);
}

static void refused(void)
{
    static const struct { const char *text, *part; } t[] = {
        { "", "the text ends, expected a value" }, { " ", "line 1, column 2" },
        { "01", "begin with 0" }, { "-01", "begin with 0" }, { "+1", "found '+'" },
        { ".5", "found '.'" }, { "1.", "a digit behind the point" }, { "1.e2", "a digit behind" },
        { "1e", "a digit in the exponent" }, { "1e+", "exponent" }, { "-", "a digit" },
        { "-a", "a digit" }, { "0x10", "behind the number" }, { "1a", "behind the number" },
        { "[1 2]", "found '2', expected a comma or ]" }, { "[1,]", "found ']', expected a value" },
        { "[,1]", "found ','" }, { "[1", "a comma or ]" }, { "[", "a value" }, { "{", "a name in quotes" },
        { "{\"a\"}", "expected a colon" }, { "{\"a\":}", "expected a value" },
        { "{\"a\":1,}", "a name in quotes" }, { "{a:1}", "a name in quotes" },
        { "{\"a\":1 \"b\":2}", "a comma or }" }, { "{\"a\":1,\"a\":2}", "column 8: the name \"a\" stands twice" },
        { "{\"a\":1,\"\\u0061\":2}", "stands twice" }, { "tru", "expected a value (true" },
        { "truex", "nothing behind" }, { "nul", "a value (true" }, { "NaN", "found 'N'" },
        { "Infinity", "found 'I'" }, { "'a'", "found '''" }, { "1 2", "nothing behind the value" },
        { "[]]", "nothing behind" }, { "\"abc", "a quote at the end" }, { "\"", "a quote at the end" },
        { "\"\\", "a quote at the end" }, { "\"\\\"", "a quote at the end" },
        { "\"a\nb\"", "found byte 0x0A, expected an escape" }, { "\"a\tb\"", "0x09" },
        { "\"\\\n\"", "0x0A" }, { "\"\\x41\"", "no such escape" }, { "\"\\u12\"", "four hexadecimal" },
        { "\"\\u12g4\"", "four hexadecimal" }, { "\"\\ud800\"", "half of a surrogate" },
        { "\"\\udc00\"", "half of a surrogate" }, { "\"\\ud800\\u0041\"", "half of a surrogate" },
        { "\"\\ud800\\ud800\"", "half of a surrogate" }, { "\"\xff\"", "not valid UTF-8" },
        { "\"abcdefgh\xc0\x80\"", "column 10: the text is not valid UTF-8" },
        { "\"\xed\xa0\x80\"", "not valid UTF-8" }, { "\"\\u0041\xff\"", "not valid UTF-8" },
        { "\xEF\xBB\xBF[]", "byte order mark" }, { "// no\n1", "found '/'" },
        { "9007199254740993", "beyond 2^53" }, { "-9007199254740993", "beyond 2^53" },
        { "99999999999999999999999", "beyond 2^53" }, { "\"\x01\"", "0x01" },
        { "[1,\n 2,\n  x]", "line 3, column 3: found 'x'" }, { "[\"ё\", x]", "line 1, column 7" },
        { "\x01", "0x01" }, { "[\"\\", "a quote" },
    };

    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct err e = { 0 };
        int top = lua_gettop(L);
        CHECK_INT(decode(t[i].text, strlen(t[i].text), &e), -1);
        CHECK_INT(e.code, ERR_PARSE);
        CHECK_INT(lua_gettop(L), top);
        if (strstr(e.text, t[i].part) == NULL)
            CHECK_STR(e.text, t[i].part);
        lua_settop(L, top);
    }
    struct err e;
    CHECK_INT(decode("[\0]", 3, &e), -1);
    CHECK_INT(decode("1e400", 5, &e), -1);
    CHECK_INT(e.code, ERR_NAN);
    CHECK_INT(decode("[-1e400]", 8, &e), -1);
    CHECK_INT(e.code, ERR_NAN);
    char deep[BIND_JSON_DEPTH + 1];
    memset(deep, '[', sizeof deep);
    CHECK_INT(decode(deep, sizeof deep, &e), -1);
    CHECK_INT(e.code, ERR_LIMIT);
    char *bomb = malloc(1000000);
    memset(bomb, '[', 1000000);
    CHECK_INT(bind_json_decode(L, bomb, 1000000, 1000000, &e), -1);
    CHECK_INT(e.code, ERR_LIMIT);
    free(bomb);
}

/* A Lua expression as JSON, or the message of its refusal. */
static const char *of_lua(const char *expression, unsigned flags)
{
    static struct buf b;
    static struct err e;
    char chunk[1000];

    buf_deinit(&b);
    buf_init(&b, 1 << 20);
    snprintf(chunk, sizeof chunk, "return %s", expression);
    if (luaL_dostring(L, chunk) != LUA_OK)
        return lua_tostring(L, -1);
    int top = lua_gettop(L);
    int rc = bind_json_encode(L, -1, flags, &b, &e);
    CHECK_INT(lua_gettop(L), top);
    lua_pop(L, 1);
    if (rc != 0)
        CHECK_INT(b.len, 0);
    return rc == 0 ? buf_text(&b, &e) : e.text;
}

static void from_lua(void)
{
    static const char *const t[][2] = {
        { "nil", "null" }, { "json.null", "null" }, { "{}", "{}" }, { "json.array()", "[]" },
        { "json.array{}", "[]" }, { "{1,2,3}", "[1,2,3]" }, { "{[3]=3,[2]=2,[1]=1}", "[1,2,3]" },
        { "{[2]=2,[1]=1}", "[1,2]" }, { "json.array{1}", "[1]" }, { "{a=json.array()}", "{\"a\":[]}" },
        { "1.5", "1.5" }, { "10/2", "5.0" }, { "3", "3" }, { "{ {json.null} }", "[[null]]" },
        { "{json.null, json.null}", "[null,null]" }, { "2^53|0", "9007199254740992" },
        { "2^53", "9007199254740992.0" }, { "math.mininteger", "value: an integer beyond 2^53" },
        { "{a={b={1,2,0/0}}}", "a.b[3]: not a number" }, { "{math.huge}", "[1]: an infinite number" },
        { "{items={{price=print}}}", "items[1].price: a function has no form in JSON" },
        { "io.stdout", "value: a userdata has no form" }, { "{1,2,a=3}", "value: an array that also has text" },
        { "{x={1,nil,3}}", "x: " }, { "{[0]=1}", "numbers as keys must be" },
        { "{[1.5]=1}", "numbers as keys must be" }, { "{[true]=1}", "value: a key that is neither" },
        { "{a={[true]=1}}", "a: a key that is neither" }, { "json.array{a=1}", "value: an array that also" },
        { "'\\xff'", "value: the text is not valid UTF-8" }, { "{['\\xff']=1}", "?: the text is not valid" },
        { "(function() local t = {} t.t = t return t end)()", "does the table contain itself" },
        { "{[1]=1,[2]=2,[4]=4}", "value: " }, { "'a\\0b'", "\"a\\u0000b\"" },
        { "{x=setmetatable({},{__index={b=2}})}", "x: an empty table with __index" },
        { "setmetatable({},{})", "{}" },
        { "setmetatable({a=1},{__index={b=2},__pairs=error})", "{\"a\":1}" },
    };

    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        const char *found = of_lua(t[i][0], 0);
        if (strncmp(found, t[i][1], strlen(t[i][1])) != 0 && strstr(found, t[i][1]) == NULL)
            CHECK_STR(found, t[i][1]);
        CHECK(found[0] != '\0');
    }
    CHECK_STR(of_lua("{b=1,a={d=1,c=2},ab=3}", BIND_JSON_SORTED),
              "{\"a\":{\"c\":2,\"d\":1},\"ab\":3,\"b\":1}");
    CHECK_STR(of_lua("'</script>&\\u{2028}x\\u{2029}'", BIND_JSON_HTML),
              "\"\\u003c/script\\u003e\\u0026\\u2028x\\u2029\"");
    CHECK_STR(of_lua("{1.23456, 0.00046, 7, 5.0, 2^53|0}", BIND_JSON_TIDY),
              "[1.235,0.0005,7,5.0,9007199254740992]");
    CHECK_STR(of_lua("'</script>'", 0), "\"</script>\"");
    CHECK(strstr(of_lua("('x'):rep(2000000)", 0), "over the limit") != NULL);
}

static uint64_t state = 0x1234567u;

static uint32_t next(uint32_t n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % n;
}

static cJSON *random_value(int depth)
{
    static const char *const texts[] = { "", "a", "пластинка \"X\"", "tab\t and \\", "😀", "0123456789abcdef" };
    uint32_t kind = next(depth > 0 ? 8 : 6);
    char name[16];

    switch (kind) {
    case 0:
        return cJSON_CreateNull();
    case 1:
        return cJSON_CreateBool((int)next(2));
    case 2:
        return cJSON_CreateNumber((double)next(1000000) - 500000);
    case 3:
        return cJSON_CreateNumber(((double)next(1u << 31) - 1e9) / (1 + next(1000)));
    case 4:
    case 5:
        return cJSON_CreateString(texts[next(6)]);
    case 6: {
        cJSON *a = cJSON_CreateArray();
        for (uint32_t n = next(5) == 0 ? next(300) : next(6); n > 0; n--)
            cJSON_AddItemToArray(a, random_value(depth - 1));
        return a;
    }
    default: {
        cJSON *o = cJSON_CreateObject();
        for (uint32_t n = next(5) == 0 ? next(150) : next(6); n > 0; n--) {
            snprintf(name, sizeof name, "k%u%s", n, next(3) ? "" : "\"ё");
            cJSON_AddItemToObject(o, name, random_value(depth - 1));
        }
        return o;
    }
    }
}

/* cJSON writes, we read and write, cJSON reads: the same value. */
static void against_cjson(void)
{
    int bad = 0;

    for (int i = 0; i < 500; i++) {
        struct err e = { 0 };
        cJSON *v = random_value(4);
        char *text = i & 1 ? cJSON_Print(v) : cJSON_PrintUnformatted(v);
        if (decode(text, strlen(text), &e) != 0) {
            printf("%s\n", e.text);
            bad++;
        } else {
            const char *ours = encoded(0);
            cJSON *back = cJSON_Parse(ours);
            cJSON *original = cJSON_Parse(text);
            bad += back == NULL || !cJSON_Compare(back, original, 1);
            cJSON_Delete(back);
            cJSON_Delete(original);
        }
        free(text);
        cJSON_Delete(v);
    }
    CHECK_INT(bad, 0);
}

/* Every allocation of a writer's buffer fails in turn. */
static void out_of_memory(void)
{
    CHECK_INT(luaL_dostring(L, "local t = {} for i = 1, 200 do t[i] = {name = 'item ' .. i} end return t"), 0);
    int refusals = 0;
    for (size_t n = 1; n < 50; n++) {
        struct buf b;
        struct err e = { 0 };
        buf_init(&b, 1 << 20);
        mem_fail_at(n);
        int rc = bind_json_encode(L, -1, 0, &b, &e);
        mem_fail_at(0);
        if (rc != 0) {
            refusals++;
            CHECK_INT(e.code, ERR_NOMEM);
            CHECK_INT(b.len, 0);
        }
        buf_deinit(&b);
    }
    CHECK(refusals > 3);
    lua_pop(L, 1);
}

struct quota {
    size_t left;
};

static void *limited(void *ud, void *p, size_t old, size_t bytes)
{
    struct quota *q = ud;

    if (bytes == 0) {
        free(p);
        return NULL;
    }
    if (p == NULL || bytes > old) {
        if (q->left == 0)
            return NULL;
        q->left--;
    }
    return realloc(p, bytes);
}

static int decode_protected(lua_State *l)
{
    const char *s = "{\"a\":[1,2,{\"b\":\"x\\ny and a long text that is no short string at all, is it\"}]}";
    struct err e;

    return bind_json_decode(l, s, strlen(s), 10, &e) == 0 ? 1 : luaL_error(l, "%s", e.text);
}

/* Every allocation of the VM fails in turn while it reads. */
static void vm_out_of_memory(void)
{
    int failures = 0, rc = LUA_ERRMEM;

    for (size_t n = 0; n < 100 && rc != LUA_OK; n++) {
        struct quota q = { 1 << 20 };
        lua_State *l = lua_newstate(limited, &q);
        lua_pushcfunction(l, decode_protected);
        lua_gc(l, LUA_GCSTOP);
        q.left = n;
        rc = lua_pcall(l, 0, 1, 0);
        failures += rc == LUA_ERRMEM;
        q.left = 1 << 20;
        lua_close(l);
    }
    CHECK_INT(rc, LUA_OK);
    CHECK(failures > 5);
}

int main(void)
{
    L = luaL_newstate();
    luaL_openlibs(L);
    luaL_requiref(L, "json", luaopen_core_json, 1);
    accepted();
    refused();
    from_lua();
    against_cjson();
    out_of_memory();
    vm_out_of_memory();
    lua_pushnil(L);
    encoded(0);
    of_lua("1", 0);
    lua_close(L);
    return check_done();
}
