/*
 * bind_json_in.c - JSON bytes to Lua values. See bind_json.h.
 *
 * One pass, one C call per nesting level. The members of an object or array wait on the Lua stack
 * until there are enough to make a table of the right size at once: growing a table one key at a
 * time costs more than reading the text.
 */
#include "bind/bind_json.h"

#include <lauxlib.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/num.h"
#include "base/text.h"

#define BATCH 32 /* members that wait on the stack */

struct reader {
    lua_State *L;
    const char *start, *p, *end;
    struct err *e;
    int mark; /* stack index of the array metatable */
    int depth_left;
};

static int read_value(struct reader *r);

/* ---- errors ---- */

static int refuse_at(struct reader *r, const char *at, enum err_code code, const char *what)
{
    size_t line = 1, column = 1;

    for (const char *p = r->start; p < at; p++) {
        if (*p == '\n') {
            line++;
            column = 1;
        } else if ((*p & 0xC0) != 0x80) { /* columns count characters */
            column++;
        }
    }
    err_set(r->e, code, "JSON line %zu, column %zu: %s", line, column, what);
    if (r->e != NULL)
        text_utf8_fix(r->e->text); /* a name from the text may have been cut */
    return -1;
}

/* "found X, expected `what`" */
static int unexpected(struct reader *r, const char *what)
{
    struct err text;
    const char *at = r->p;

    if (at >= r->end)
        err_set(&text, ERR_PARSE, "the text ends, expected %s", what);
    else if (r->end - at >= 3 && memcmp(at, "\xEF\xBB\xBF", 3) == 0)
        err_set(&text, ERR_PARSE, "found a byte order mark, expected %s", what);
    else if (*at > 0x20 && *at < 0x7F)
        err_set(&text, ERR_PARSE, "found '%c', expected %s", *at, what);
    else
        err_set(&text, ERR_PARSE, "found byte 0x%02X, expected %s", (unsigned char)*at, what);
    return refuse_at(r, at, ERR_PARSE, text.text);
}

static inline void skip_blank(struct reader *r)
{
    const char *p = r->p;

    while (p < r->end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    r->p = p;
}

/* ---- strings ---- */

static int hex4(const char *p, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++) {
        int c = p[i] | 0x20;
        int v = p[i] >= '0' && p[i] <= '9' ? p[i] - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (v < 0)
            return -1;
        *out = *out << 4 | (uint32_t)v;
    }
    return 0;
}

/* \uXXXX, with its second half where there is one; r->p is at the backslash. Bytes put into `to`,
 * 0 after an error. */
static size_t read_code(struct reader *r, char *to)
{
    uint32_t code, low;
    const char *p = r->p;

    if (r->end - p < 6 || hex4(p + 2, &code) != 0) {
        refuse_at(r, p, ERR_PARSE, "\\u needs four hexadecimal digits");
        return 0;
    }
    r->p += 6;
    if (code >= 0xD800 && code <= 0xDFFF) {
        if (code > 0xDBFF || r->end - p < 12 || p[6] != '\\' || p[7] != 'u' ||
            hex4(p + 8, &low) != 0 || low < 0xDC00 || low > 0xDFFF) {
            refuse_at(r, p, ERR_PARSE, "half of a surrogate pair");
            return 0;
        }
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        r->p += 6;
    }
    return text_utf8_put(to, code);
}

/* The rest of a string that has escapes: r->p is at the first of them, `from` at its start. */
static int read_escaped(struct reader *r, const char *from, const char *close)
{
    static const char NAMES[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    luaL_Buffer b;
    char *to = luaL_buffinitsize(r->L, &b, (size_t)(close - from));
    char *o = to;

    for (const char *p = from;;) {
        memcpy(o, p, (size_t)(r->p - p));
        o += r->p - p;
        if (r->p == close)
            break;
        char c = r->p[1]; /* the closing quote was found, so there is a byte */
        if (c == 'u') {
            const char *end = r->end;
            r->end = close; /* the digits end before the quote */
            size_t n = read_code(r, o);
            r->end = end;
            if (n == 0)
                return -1;
            o += n;
        } else {
            size_t i = 0;
            while (i < sizeof NAMES - 1 && NAMES[i] != c)
                i += 2;
            if (i >= sizeof NAMES - 1)
                return refuse_at(r, r->p, ERR_PARSE, "no such escape; a backslash is written \\\\");
            *o++ = NAMES[i + 1];
            r->p += 2;
        }
        p = r->p;
        const char *next = memchr(p, '\\', (size_t)(close - p));
        r->p = next ? next : close;
    }
    luaL_pushresultsize(&b, (size_t)(o - to));
    return 0;
}

/* Pushes the string whose opening quote is at r->p. */
static int read_string(struct reader *r)
{
    const char *from = r->p + 1, *p = from, *first_escape = NULL;
    uint64_t x, high = 0;

    for (;;) {
        while (r->end - p >= 8) {
            memcpy(&x, p, 8);
            if (TEXT_BELOW(x, 0x20) | TEXT_HAS(x, '"') | TEXT_HAS(x, '\\'))
                break;
            high |= x & TEXT_TOPS;
            p += 8;
        }
        while (p < r->end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
            high |= (unsigned char)*p++ & 0x80u;
        if (p < r->end && *p == '\\') {
            first_escape = first_escape ? first_escape : p;
            p += 2; /* what is escaped is looked at later; it may be a quote */
            if (p > r->end)
                p = r->end;
            if (p[-1] >= 0 && p[-1] < 0x20)
                p--;
            else
                continue;
        }
        break;
    }
    if (p >= r->end || *p != '"') {
        r->p = p;
        return unexpected(r, p < r->end ? "an escape (\\n, \\t, \\u00…) for a control character"
                                        : "a quote at the end of the string");
    }
    if (high) {
        size_t n = (size_t)(p - from), bad = text_utf8_bad(from, n);
        if (bad != n)
            return refuse_at(r, from + bad, ERR_PARSE, "the text is not valid UTF-8");
    }
    if (first_escape == NULL) {
        lua_pushlstring(r->L, from, (size_t)(p - from));
    } else {
        r->p = first_escape;
        if (read_escaped(r, from, p) != 0)
            return -1;
    }
    r->p = p + 1;
    return 0;
}

/* ---- numbers ---- */

static int is_digit(const struct reader *r, const char *p)
{
    return p < r->end && *p >= '0' && *p <= '9';
}

static int push_double(struct reader *r, const char *s, size_t n)
{
    double v;

    if (s + n == r->end) { /* num_parse wants a byte behind: the VM's copy has its NUL */
        v = num_parse(lua_pushlstring(r->L, s, n), n);
        lua_pop(r->L, 1);
    } else {
        v = num_parse(s, n);
    }
    if (!isfinite(v))
        return refuse_at(r, s, ERR_NAN, "the number is too large for a double");
    lua_pushnumber(r->L, v);
    return 0;
}

static int read_number(struct reader *r)
{
    const char *s = r->p, *p = s + (*s == '-');
    const char *whole = p;
    uint64_t v = 0;

    if (!is_digit(r, p)) {
        r->p = p;
        return unexpected(r, "a digit");
    }
    for (; is_digit(r, p); p++)
        v = v > (uint64_t)NUM_EXACT_MAX ? v : v * 10 + (uint64_t)(*p - '0');
    if (*whole == '0' && p - whole > 1)
        return refuse_at(r, s, ERR_PARSE, "a number may not begin with 0 and another digit");
    int is_float = 0;
    if (p < r->end && *p == '.') {
        is_float = 1;
        p++;
        if (!is_digit(r, p)) {
            r->p = p;
            return unexpected(r, "a digit behind the point");
        }
        while (is_digit(r, p))
            p++;
    }
    if (p < r->end && (*p == 'e' || *p == 'E')) {
        is_float = 1;
        p++;
        if (p < r->end && (*p == '+' || *p == '-'))
            p++;
        if (!is_digit(r, p)) {
            r->p = p;
            return unexpected(r, "a digit in the exponent");
        }
        while (is_digit(r, p))
            p++;
    }
    r->p = p;
    if (p < r->end && ((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z'))
        return unexpected(r, "a comma or the end behind the number"); /* also keeps 0x1 from strtod */
    if (is_float)
        return push_double(r, s, (size_t)(p - s));
    if (v > (uint64_t)NUM_EXACT_MAX)
        return refuse_at(r, s, ERR_PARSE, "an integer beyond 2^53 cannot be kept exactly; send it as text");
    if (v == 0 && *s == '-')
        lua_pushnumber(r->L, -0.0);
    else
        lua_pushinteger(r->L, *s == '-' ? -(lua_Integer)v : (lua_Integer)v);
    return 0;
}

/* ---- arrays and objects ---- */

/* r->p is behind the opening bracket. Reserves the stack and leaves a nil where the table will be. */
static int enter(struct reader *r)
{
    if (r->depth_left-- == 0)
        return refuse_at(r, r->p - 1, ERR_LIMIT, "nested too deeply");
    if (!lua_checkstack(r->L, 2 * BATCH + 8))
        return err_set(r->e, ERR_NOMEM, "no memory for JSON");
    lua_pushnil(r->L);
    skip_blank(r);
    return 0;
}

/* Behind a member: 1 after a comma, 0 after `close`, -1 on anything else. */
static inline int more(struct reader *r, char close, const char *expected)
{
    skip_blank(r);
    if (r->p < r->end && *r->p == ',') {
        r->p++;
        skip_blank(r);
        return 1;
    }
    if (r->p < r->end && *r->p == close) {
        r->p++;
        return 0;
    }
    return unexpected(r, expected);
}

/* Moves n waiting elements into the array at t, behind the `have` it has. */
static void array_flush(struct reader *r, int t, lua_Integer have, int n, int is_last)
{
    lua_State *L = r->L;

    if (have == 0) {
        lua_createtable(L, is_last ? n : 4 * BATCH, 0);
        lua_pushvalue(L, r->mark);
        lua_setmetatable(L, -2);
        lua_replace(L, t);
    }
    for (int i = 1; i <= n; i++) {
        lua_pushvalue(L, t + i);
        lua_rawseti(L, t, have + i);
    }
    lua_settop(L, t);
}

static int read_array(struct reader *r)
{
    lua_Integer have = 0;
    int n = 0, again = 1;

    r->p++;
    if (enter(r) != 0)
        return -1;
    int t = lua_gettop(r->L);
    if (r->p < r->end && *r->p == ']') {
        r->p++;
        again = 0;
    }
    while (again) {
        if (n == BATCH) {
            array_flush(r, t, have, n, 0);
            have += n;
            n = 0;
        }
        if (read_value(r) != 0)
            return -1;
        n++;
        if ((again = more(r, ']', "a comma or ]")) < 0)
            return -1;
    }
    array_flush(r, t, have, n, 1);
    r->depth_left++;
    return 0;
}

/* Moves n waiting pairs into the object at t. `at` says where each name stands in the text. */
static int object_flush(struct reader *r, int t, const uint32_t *at, int n, int is_first, int is_last)
{
    lua_State *L = r->L;

    if (is_first) {
        lua_createtable(L, 0, is_last ? n : 4 * BATCH);
        lua_replace(L, t);
    }
    for (int i = 0; i < n; i++) {
        int k = t + 1 + 2 * i;
        lua_pushvalue(L, k);
        if (lua_rawget(L, t) != LUA_TNIL) {
            struct err text;
            err_set(&text, ERR_PARSE, "the name \"%.60s\" stands twice in this object",
                    lua_tostring(L, k));
            return refuse_at(r, r->start + at[i], ERR_PARSE, text.text);
        }
        lua_pop(L, 1);
        lua_pushvalue(L, k);
        lua_pushvalue(L, k + 1);
        lua_rawset(L, t);
    }
    lua_settop(L, t);
    return 0;
}

static int read_object(struct reader *r)
{
    uint32_t at[BATCH];
    int n = 0, again = 1, is_first = 1;

    r->p++;
    if (enter(r) != 0)
        return -1;
    int t = lua_gettop(r->L);
    if (r->p < r->end && *r->p == '}') {
        r->p++;
        again = 0;
    }
    while (again) {
        if (n == BATCH) {
            if (object_flush(r, t, at, n, is_first, 0) != 0)
                return -1;
            is_first = 0;
            n = 0;
        }
        if (r->p >= r->end || *r->p != '"')
            return unexpected(r, is_first && n == 0 ? "a name in quotes or }" : "a name in quotes");
        at[n] = (uint32_t)(r->p - r->start);
        if (read_string(r) != 0)
            return -1;
        skip_blank(r);
        if (r->p >= r->end || *r->p != ':')
            return unexpected(r, "a colon");
        r->p++;
        skip_blank(r);
        if (read_value(r) != 0)
            return -1;
        n++;
        if ((again = more(r, '}', "a comma or }")) < 0)
            return -1;
    }
    if (object_flush(r, t, at, n, is_first, 1) != 0)
        return -1;
    r->depth_left++;
    return 0;
}

/* ---- values ---- */

static int read_word(struct reader *r, const char *word)
{
    size_t n = strlen(word);

    if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0)
        return unexpected(r, "a value (true, false, null, a number, text, [ or {)");
    r->p += n;
    return 0;
}

/* Pushes one value; no blanks before it. */
static int read_value(struct reader *r)
{
    switch (r->p < r->end ? *r->p : '\0') {
    case '"':
        return read_string(r);
    case '{':
        return read_object(r);
    case '[':
        return read_array(r);
    case 't':
        lua_pushboolean(r->L, 1);
        return read_word(r, "true");
    case 'f':
        lua_pushboolean(r->L, 0);
        return read_word(r, "false");
    case 'n':
        bind_json_null(r->L);
        return read_word(r, "null");
    case '-': case '0': case '1': case '2': case '3': case '4':
    case '5': case '6': case '7': case '8': case '9':
        return read_number(r);
    default:
        return unexpected(r, "a value");
    }
}

int bind_json_decode(lua_State *L, const char *s, size_t n, int depth_max, struct err *e)
{
    struct reader r = { .L = L, .start = s, .p = s, .end = s + n, .e = e };
    int top = lua_gettop(L);

    r.depth_left = depth_max < BIND_JSON_DEPTH_MAX ? depth_max : BIND_JSON_DEPTH_MAX;
    if (n > UINT32_MAX)
        return err_set(e, ERR_LIMIT, "JSON of %zu bytes; at most 4 GiB expected", n);
    if (!lua_checkstack(L, 16))
        return err_set(e, ERR_NOMEM, "no memory for JSON");
    bind_json_mark(L);
    r.mark = top + 1;
    skip_blank(&r);
    int rc = read_value(&r);
    if (rc == 0) {
        skip_blank(&r);
        if (r.p < r.end)
            rc = unexpected(&r, "nothing behind the value");
    }
    if (rc != 0) {
        lua_settop(L, top);
        return -1;
    }
    lua_remove(L, top + 1);
    return 0;
}
