/*
 * bind_json_out.c - Lua values to JSON bytes. See bind_json.h.
 *
 * Walks tables with lua_next and writes as it goes. An array is recognised while it is written: its
 * keys come as 1, 2, 3 …; when they do not (a table filled out of order), they are counted first.
 */
#include "bind/bind_json.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "base/text.h"

struct step { /* how the walk got here, for messages */
    const char *key; /* NULL: index */
    lua_Integer index;
};

struct writer {
    lua_State *L;
    struct buf *out;
    struct err *e;
    unsigned flags;
    int mark;  /* stack index of the array metatable */
    int depth;
    struct step path[BIND_JSON_DEPTH_MAX];
};

static int write_value(struct writer *w, int index);

/* Puts the path of the value before the message that is in w->e. */
static int refuse(struct writer *w, enum err_code code, const char *what)
{
    struct buf path;
    struct err ignored;

    buf_init(&path, 200); /* a longer path is cut */
    for (int i = 0; i < w->depth; i++) {
        const struct step *s = &w->path[i];
        if (s->key == NULL)
            buf_addf(&path, &ignored, "[%lld]", (long long)s->index);
        else
            buf_addf(&path, &ignored, "%s%.60s", i > 0 ? "." : "", s->key);
    }
    const char *text = path.len ? buf_text(&path, &ignored) : NULL;
    err_set(w->e, code, "%s: %s", text ? text : "value", what);
    if (w->e != NULL)
        text_utf8_fix(w->e->text);
    buf_deinit(&path);
    return -1;
}

static inline int put(struct writer *w, const void *data, size_t n)
{
    struct buf *b = w->out;

    if (b->cap - b->len < n)
        return buf_add(b, data, n, w->e);
    memcpy(b->data + b->len, data, n);
    b->len += n;
    return 0;
}

/* Where a number of at most `n` bytes may be written; NULL: there is no room at once. */
static inline char *room(struct writer *w, size_t n)
{
    struct buf *b = w->out;

    return b->cap - b->len < n ? NULL : b->data + b->len;
}

static inline int put_char(struct writer *w, char c)
{
    struct buf *b = w->out;

    if (b->cap == b->len)
        return buf_add(b, &c, 1, w->e);
    b->data[b->len++] = c;
    return 0;
}

/* ---- strings ---- */

/* Bytes that may not be copied: controls, quote, backslash. */
static int is_special(unsigned char c)
{
    return c < 0x20 || c == '"' || c == '\\';
}

static int put_escape(struct writer *w, unsigned char c)
{
    static const char SHORT[] = "b\bf\fn\nr\rt\t\"\"\\\\";
    static const char HEX[] = "0123456789abcdef";

    for (size_t i = 0; i < sizeof SHORT - 1; i += 2)
        if (SHORT[i + 1] == (char)c)
            return put(w, (char[2]){ '\\', SHORT[i] }, 2);
    return put(w, (char[6]){ '\\', 'u', '0', '0', HEX[c >> 4], HEX[c & 15] }, 6);
}

/* Length of the plain run at s; *has_high is set when it holds a byte of a longer character. */
static size_t plain_run(const char *s, size_t n, int *has_high)
{
    uint64_t x, high = 0;
    size_t i = 0;

    for (; n - i >= 8; i += 8) {
        memcpy(&x, s + i, 8);
        if (TEXT_BELOW(x, 0x20) | TEXT_HAS(x, '"') | TEXT_HAS(x, '\\'))
            break;
        high |= x & TEXT_TOPS;
    }
    for (; i < n && !is_special((unsigned char)s[i]); i++)
        high |= (unsigned char)s[i] & 0x80u;
    *has_high |= high != 0;
    return i;
}

/* A run for HTML: also stops at < > & and at the two line separators of JavaScript. */
static int put_html_run(struct writer *w, const char *s, size_t n)
{
    for (size_t i = 0, from = 0;; i++) {
        size_t skip = 0;
        const char *text = "";
        if (i < n && (s[i] == '<' || s[i] == '>' || s[i] == '&')) {
            text = s[i] == '<' ? "\\u003c" : s[i] == '>' ? "\\u003e" : "\\u0026";
            skip = 1;
        } else if (n - i >= 3 && memcmp(s + i, "\xE2\x80\xA8", 3) == 0) {
            text = "\\u2028";
            skip = 3;
        } else if (n - i >= 3 && memcmp(s + i, "\xE2\x80\xA9", 3) == 0) {
            text = "\\u2029";
            skip = 3;
        } else if (i < n) {
            continue;
        }
        if (put(w, s + from, i - from) != 0 || put(w, text, strlen(text)) != 0)
            return -1;
        if (i == n)
            return 0;
        i += skip - 1;
        from = i + 1;
    }
}

#define SHORT_MAX 48

/* A string of plain ASCII in one go: most keys and many values. 0 when it must be looked at closer. */
static inline int write_short(struct writer *w, const char *s, size_t n)
{
    struct buf *b = w->out;

    if (n > SHORT_MAX || b->cap - b->len < SHORT_MAX + 2)
        return 0;
    char *to = b->data + b->len;
    *to++ = '"';
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c < 0x20 || c > 0x7E || c == '"' || c == '\\')
            return 0;
        to[i] = (char)c;
    }
    to[n] = '"';
    b->len += n + 2;
    return 1;
}

static int write_string(struct writer *w, const char *s, size_t n)
{
    int has_high = 0;

    if (!(w->flags & BIND_JSON_HTML) && write_short(w, s, n))
        return 0;
    size_t run = plain_run(s, n, &has_high);

    if (put_char(w, '"') != 0)
        return -1;
    for (size_t i = 0;;) {
        if (((w->flags & BIND_JSON_HTML) ? put_html_run(w, s + i, run) : put(w, s + i, run)) != 0)
            return -1;
        i += run;
        if (i == n)
            break;
        if (put_escape(w, (unsigned char)s[i++]) != 0)
            return -1;
        run = plain_run(s + i, n - i, &has_high);
    }
    if (has_high && text_utf8_bad(s, n) != n)
        return refuse(w, ERR_INVALID, "the text is not valid UTF-8");
    return put_char(w, '"');
}

/* ---- tables ---- */

/* About the table itself, not about what is in it. */
static int refuse_key(struct writer *w, int index)
{
    lua_State *L = w->L;

    w->depth--;
    if (lua_type(L, index) == LUA_TSTRING)
        return refuse(w, ERR_INVALID, "an array that also has text as a key");
    if (lua_type(L, index) != LUA_TNUMBER)
        return refuse(w, ERR_INVALID, "a key that is neither text nor a number");
    return refuse(w, ERR_INVALID, "numbers as keys must be 1, 2, … n, without holes or other keys");
}

static int enter(struct writer *w)
{
    if (w->depth == BIND_JSON_DEPTH)
        return refuse(w, ERR_LIMIT, "nested deeper than 64; does the table contain itself?");
    if (!lua_checkstack(w->L, 4))
        return refuse(w, ERR_NOMEM, "no memory");
    w->depth++;
    return 0;
}

/* The stack holds the table at `t`; its keys came out of order, `n` values are written already. */
static int array_counted(struct writer *w, int t, lua_Integer n)
{
    lua_State *L = w->L;
    lua_Integer count = 0, length = (lua_Integer)lua_rawlen(L, t);

    for (lua_pushnil(L); lua_next(L, t); count++) {
        lua_pop(L, 1);
        lua_Integer k = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : 0;
        if (k < 1 || k > length)
            return refuse_key(w, -1);
    }
    if (count != length) {
        w->depth--;
        return refuse(w, ERR_INVALID, "an array with holes");
    }
    for (lua_Integer i = n + 1; i <= length; i++) {
        lua_rawgeti(L, t, i);
        w->path[w->depth - 1] = (struct step){ NULL, i };
        if ((i > 1 && put_char(w, ',') != 0) || write_value(w, lua_gettop(L)) != 0)
            return -1;
        lua_pop(L, 1);
    }
    return 0;
}

/* The first key and value are on the stack. */
static int write_array(struct writer *w, int t)
{
    lua_State *L = w->L;
    lua_Integer n = 0;
    int top = lua_gettop(L);

    if (put_char(w, '[') != 0)
        return -1;
    do {
        if (!lua_isinteger(L, -2) || lua_tointeger(L, -2) != n + 1) {
            lua_pop(L, 2);
            if (array_counted(w, t, n) != 0)
                return -1;
            break;
        }
        n++;
        w->path[w->depth - 1] = (struct step){ NULL, n };
        if ((n > 1 && put_char(w, ',') != 0) || write_value(w, top) != 0)
            return -1;
        lua_pop(L, 1);
    } while (lua_next(L, t));
    return put_char(w, ']');
}

static int write_pair(struct writer *w, int index, int is_first)
{
    size_t n;
    const char *key = lua_tolstring(w->L, index - 1, &n);

    w->path[w->depth - 1] = (struct step){ key, 0 };
    if ((!is_first && put_char(w, ',') != 0) || write_string(w, key, n) != 0 ||
        put_char(w, ':') != 0)
        return -1;
    return write_value(w, index);
}

static int write_object(struct writer *w, int t)
{
    lua_State *L = w->L;
    int is_first = 1, top = lua_gettop(L);

    do {
        if (lua_type(L, -2) != LUA_TSTRING)
            return refuse_key(w, -2);
        if (write_pair(w, top, is_first) != 0)
            return -1;
        is_first = 0;
        lua_pop(L, 1);
    } while (lua_next(L, t));
    return 0;
}

struct name {
    const char *text;
    size_t bytes;
};

static int by_bytes(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    int c = memcmp(x->text, y->text, x->bytes < y->bytes ? x->bytes : y->bytes);

    return c != 0 ? c : (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* As write_object, in the order of the keys. The names stay alive in their table. */
static int write_sorted(struct writer *w, int t)
{
    lua_State *L = w->L;
    size_t n = 0, cap = 0;
    struct name *names;
    int rc = -1, top = lua_gettop(L) - 2;

    do {
        if (lua_type(L, -2) != LUA_TSTRING)
            return refuse_key(w, -2);
        cap++;
        lua_pop(L, 1);
    } while (lua_next(L, t));
    names = lua_newuserdatauv(L, cap * sizeof *names, 0); /* owned by the VM: rawget may raise */
    for (lua_pushnil(L); lua_next(L, t); n++) {
        lua_pop(L, 1);
        names[n].text = lua_tolstring(L, -1, &names[n].bytes);
    }
    qsort(names, n, sizeof *names, by_bytes);
    for (size_t i = 0; i < n; i++) {
        lua_pushlstring(L, names[i].text, names[i].bytes);
        lua_pushvalue(L, -1);
        lua_rawget(L, t);
        if (write_pair(w, lua_gettop(L), i == 0) != 0)
            goto done;
        lua_pop(L, 2);
    }
    rc = 0;
done:
    lua_settop(L, top);
    return rc;
}

static int is_marked(struct writer *w, int t)
{
    if (!lua_getmetatable(w->L, t))
        return 0;
    int same = lua_rawequal(w->L, -1, w->mark);
    lua_pop(w->L, 1);
    return same;
}

/* Its fields are elsewhere: read-only tables of the sandbox look empty to lua_next. */
static int is_proxy(struct writer *w, int t)
{
    int rc = 0;

    if (lua_getmetatable(w->L, t)) {
        lua_pushliteral(w->L, "__index");
        rc = lua_rawget(w->L, -2) != LUA_TNIL;
        lua_pop(w->L, 2);
    }
    return rc;
}

static int write_table(struct writer *w, int t)
{
    lua_State *L = w->L;

    if (enter(w) != 0)
        return -1;
    lua_pushnil(L);
    if (!lua_next(L, t)) {
        w->depth--;
        if (is_marked(w, t))
            return put(w, "[]", 2);
        if (is_proxy(w, t))
            return refuse(w, ERR_INVALID, "an empty table with __index: a read-only table or an object; "
                                          "copy what is meant");
        return put(w, "{}", 2);
    }
    if (lua_type(L, -2) == LUA_TNUMBER || is_marked(w, t)) {
        if (write_array(w, t) != 0)
            return -1;
    } else {
        if (put_char(w, '{') != 0 ||
            ((w->flags & BIND_JSON_SORTED) ? write_sorted(w, t) : write_object(w, t)) != 0 ||
            put_char(w, '}') != 0)
            return -1;
    }
    w->depth--;
    return 0;
}

/* ---- values ---- */

static int write_number(struct writer *w, int index)
{
    char text[NUM_DOUBLE_MAX], *to = room(w, NUM_DOUBLE_MAX);

    if (lua_isinteger(w->L, index)) {
        lua_Integer i = lua_tointeger(w->L, index);
        if (i > NUM_EXACT_MAX || i < -NUM_EXACT_MAX)
            return refuse(w, ERR_INVALID, "an integer beyond 2^53, which not every reader can keep; "
                                          "send it as text");
        if (to == NULL)
            return put(w, text, num_int(text, i));
        w->out->len += num_int(to, i);
        return 0;
    }
    lua_Number v = lua_tonumber(w->L, index);
    if (!isfinite(v))
        return refuse(w, ERR_NAN, isnan(v) ? "not a number (NaN)" : "an infinite number");
    if (w->flags & BIND_JSON_TIDY)
        v = num_tidy(v);
    if (to == NULL)
        return put(w, text, num_double(text, v));
    w->out->len += num_double(to, v);
    return 0;
}

static int write_value(struct writer *w, int index)
{
    lua_State *L = w->L;
    size_t n;
    const char *s;

    switch (lua_type(L, index)) {
    case LUA_TSTRING:
        s = lua_tolstring(L, index, &n);
        return write_string(w, s, n);
    case LUA_TNUMBER:
        return write_number(w, index);
    case LUA_TTABLE:
        return write_table(w, index);
    case LUA_TBOOLEAN:
        return lua_toboolean(L, index) ? put(w, "true", 4) : put(w, "false", 5);
    case LUA_TNIL:
        return put(w, "null", 4);
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, index) == NULL)
            return put(w, "null", 4);
        break;
    default:
        break;
    }
    struct err what;
    err_set(&what, ERR_INVALID, "a %s has no form in JSON", lua_typename(L, lua_type(L, index)));
    return refuse(w, ERR_INVALID, what.text);
}

int bind_json_encode(lua_State *L, int index, unsigned flags, struct buf *out, struct err *e)
{
    struct writer w;
    size_t before = out->len;
    int top = lua_gettop(L);

    index = lua_absindex(L, index);
    if (!lua_checkstack(L, 8))
        return err_set(e, ERR_NOMEM, "no memory for JSON");
    w.L = L;
    w.out = out;
    w.e = e;
    w.flags = flags;
    w.depth = 0;
    bind_json_mark(L);
    w.mark = top + 1;
    int rc = write_value(&w, index);
    lua_settop(L, top);
    if (rc != 0)
        out->len = before;
    return rc;
}
