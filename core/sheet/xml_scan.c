/*
 * xml_scan.c - see xml_scan.h. Start at xml_scan_next.
 *
 * The window holds bytes pos … len; behind them stands one NUL so that short looks ahead are safe.
 * A token that is not whole in the window is tried again after more bytes came: `fill` moves the
 * rest to the front, so no pointer into the window survives it.
 */
#include "sheet/xml_scan.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "base/typed.h"

#define WINDOW_START (128u << 10)

enum { MORE = 0, DONE = 1 }; /* of the scanners below, beside -1 */

int xml_scan_init(struct xml_scan *x, xml_read read, void *from, const char *what, struct err *e)
{
    memset(x, 0, sizeof *x);
    x->read = read;
    x->from = from;
    x->what = what;
    x->win = mem_alloc(WINDOW_START + 1);
    if (x->win == NULL)
        return err_set(e, ERR_NOMEM, "%s: out of memory", what);
    x->cap = WINDOW_START;
    x->win[0] = '\0';
    return 0;
}

void xml_scan_deinit(struct xml_scan *x)
{
    mem_free(x->win);
    x->win = NULL;
}

int xml_scan_fail(const struct xml_scan *x, struct err *e, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    err_setv(e, ERR_PARSE, fmt, ap);
    va_end(ap);
    return err_wrap(e, "%s, byte %llu", x->what, (unsigned long long)(x->n_before + x->pos));
}

/* More bytes into the window; is_eof when there are none. */
static int fill(struct xml_scan *x, struct err *e)
{
    int64_t n;

    if (x->is_eof)
        return xml_scan_fail(x, e, "the part ends in the middle");
    if (x->pos > 0) {
        memmove(x->win, x->win + x->pos, x->len - x->pos);
        x->n_before += x->pos;
        x->len -= x->pos;
        x->pos = 0;
    }
    if (x->len == x->cap) {
        if (x->cap >= XML_WINDOW_MAX)
            return err_set(e, ERR_LIMIT, "%s: a tag or text of more than %u bytes", x->what,
                           XML_WINDOW_MAX);
        char *wider = mem_resize(x->win, x->cap * 2 + 1);
        if (wider == NULL)
            return err_set(e, ERR_NOMEM, "%s: out of memory", x->what);
        x->win = wider;
        x->cap *= 2;
    }
    n = x->read(x->from, x->win + x->len, x->cap - x->len, e);
    if (n < 0)
        return -1;
    x->is_eof = n == 0;
    x->len += (size_t)n;
    x->win[x->len] = '\0';
    return 0;
}

static int is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static int has_prefix(const struct xml_scan *x, const char *text)
{
    size_t n = strlen(text);

    return x->len - x->pos >= n && memcmp(x->win + x->pos, text, n) == 0;
}

/* Just past the first `end` after `skip` bytes, or NULL while it is not in the window. */
static const char *find_end(const struct xml_scan *x, size_t skip, const char *end)
{
    if (x->len - x->pos < skip)
        return NULL;
    const char *at = memmem(x->win + x->pos + skip, x->len - x->pos - skip, end, strlen(end));
    return at == NULL ? NULL : at + strlen(end);
}

/* The encoding named in <?xml … ?>, if one is, must be ours. */
static int check_declaration(struct xml_scan *x, const char *end, struct err *e)
{
    const char *p = x->win + x->pos, *at = memmem(p, (size_t)(end - p), "encoding", 8);
    size_t n = 0;

    if (at == NULL)
        return 0;
    for (at += 8; at < end && (is_space(*at) || *at == '='); at++)
        ;
    if (at == end || (*at != '"' && *at != '\''))
        return xml_scan_fail(x, e, "encoding without a value");
    at++;
    while (at + n < end && at[n] != '"' && at[n] != '\'')
        n++;
    if ((n == 5 && strncasecmp(at, "utf-8", 5) == 0) ||
        (n == 4 && strncasecmp(at, "utf8", 4) == 0) ||
        (n == 8 && strncasecmp(at, "us-ascii", 8) == 0))
        return 0;
    return err_set(e, ERR_UNSUPPORTED, "%s: encoding %.*s, only UTF-8 is read", x->what,
                   (int)(n < 40 ? n : 40), at);
}

/* First bytes of the part: encoding marks. */
static int start(struct xml_scan *x, struct err *e)
{
    x->is_started = 1;
    while (x->len < 4 && !x->is_eof)
        if (fill(x, e) != 0)
            return -1;
    const unsigned char *p = (const unsigned char *)x->win;
    if (x->len >= 3 && p[0] == 0xef && p[1] == 0xbb && p[2] == 0xbf)
        x->pos = 3;
    else if (x->len >= 2 && ((p[0] == 0xff && p[1] == 0xfe) || (p[0] == 0xfe && p[1] == 0xff) ||
                             p[0] == 0 || p[1] == 0))
        return err_set(e, ERR_UNSUPPORTED, "%s: not UTF-8 but UTF-16, or no text at all", x->what);
    return 0;
}

/*
 * Comments, instructions, CDATA, document types: everything with <! or <?. CDATA sets is_literal.
 */
static int scan_special(struct xml_scan *x, struct err *e)
{
    const char *end;

    if (has_prefix(x, "<?")) {
        if ((end = find_end(x, 2, "?>")) == NULL)
            return MORE;
        if (has_prefix(x, "<?xml") && is_space(x->win[x->pos + 5])) {
            if (x->n_before + x->pos > 3 || x->had_root)
                return xml_scan_fail(x, e, "a declaration that is not at the beginning");
            if (check_declaration(x, end, e) != 0)
                return -1;
        }
    } else if (has_prefix(x, "<!--")) {
        if ((end = find_end(x, 4, "-->")) == NULL)
            return MORE;
    } else if (has_prefix(x, "<![CDATA[")) {
        if (x->depth == 0)
            return xml_scan_fail(x, e, "text outside of the root element");
        if ((end = find_end(x, 9, "]]>")) == NULL)
            return MORE;
        x->text.p = x->win + x->pos + 9;
        x->text.n = (size_t)(end - 3 - x->text.p);
        x->is_literal = 1;
    } else if (x->len - x->pos < 9) {
        return MORE; /* could still become one of them */
    } else if (has_prefix(x, "<!DOCTYPE")) {
        return xml_scan_fail(x, e, "a document type, which no workbook has");
    } else {
        return xml_scan_fail(x, e, "unknown markup");
    }
    x->pos = (size_t)(end - x->win);
    return DONE;
}

static void take_local_name(struct xml_scan *x, const char *p, size_t n)
{
    const char *colon = n > 2 ? memchr(p, ':', n) : NULL;

    x->name.p = colon == NULL ? p : colon + 1;
    x->name.n = colon == NULL ? n : (size_t)(p + n - x->name.p);
}

/* True for bytes that end a name: blank, '/', '>', '=', quotes, '<', NUL. */
static const unsigned char NAME_ENDS[256] = {
    [0] = 1, ['\t'] = 1, ['\n'] = 1, ['\r'] = 1, [' '] = 1, ['/'] = 1, ['>'] = 1,
    ['='] = 1, ['"'] = 1, ['\''] = 1, ['<'] = 1, ['&'] = 1,
};

static int push_name(struct xml_scan *x, const char *p, size_t n, struct err *e)
{
    size_t at = x->name_end[x->depth];

    if (x->depth == XML_DEPTH_MAX || at + n > sizeof x->names)
        return xml_scan_fail(x, e, "elements nested more than %d deep", XML_DEPTH_MAX);
    memcpy(x->names + at, p, n);
    x->name_end[++x->depth] = (uint16_t)(at + n);
    return 0;
}

static int scan_open(struct xml_scan *x, struct err *e)
{
    const char *p = x->win + x->pos + 1, *end = x->win + x->len, *name = p;
    size_t n_name;

    while (!NAME_ENDS[(unsigned char)*p])
        p++;
    if (p >= end)
        return MORE;
    n_name = (size_t)(p - name);
    if (n_name == 0)
        return xml_scan_fail(x, e, "a tag without a name");
    x->n_attrs = 0;
    for (;;) {
        const char *before = p;
        while (is_space(*p))
            p++;
        if (p >= end)
            return MORE;
        if (*p == '>')
            break;
        if (*p == '/') {
            if (p + 1 >= end)
                return MORE;
            if (p[1] != '>')
                return xml_scan_fail(x, e, "'/' inside of a tag");
            x->close_next = 1;
            p++;
            break;
        }
        if (p == before)
            return xml_scan_fail(x, e, "no blank before an attribute");
        if (x->n_attrs == XML_ATTRS_MAX)
            return xml_scan_fail(x, e, "more than %d attributes", XML_ATTRS_MAX);
        struct xml_attr *a = &x->attrs[x->n_attrs];
        a->name.p = p;
        while (!NAME_ENDS[(unsigned char)*p])
            p++;
        a->name.n = (size_t)(p - a->name.p);
        while (is_space(*p))
            p++;
        if (p >= end)
            return MORE;
        if (a->name.n == 0 || *p != '=')
            return xml_scan_fail(x, e, "an attribute without a name or a value");
        for (p++; is_space(*p); p++)
            ;
        if (p >= end)
            return MORE;
        char quote = *p++;
        if (quote != '"' && quote != '\'')
            return xml_scan_fail(x, e, "an attribute value without quotes");
        a->value.p = p;
        while (p < end && *p != quote && *p != '<')
            p++;
        if (p >= end)
            return MORE;
        if (*p == '<')
            return xml_scan_fail(x, e, "'<' in an attribute value");
        a->value.n = (size_t)(p - a->value.p);
        x->n_attrs++;
        p++;
    }
    if (x->depth == 0 && x->had_root)
        return xml_scan_fail(x, e, "a second root element");
    if (push_name(x, name, n_name, e) != 0)
        return -1;
    x->had_root = 1;
    take_local_name(x, name, n_name);
    x->pos = (size_t)(p + 1 - x->win);
    return DONE;
}

/* Takes the innermost name off; it becomes the name of the token. */
static void pop_name(struct xml_scan *x)
{
    size_t from = x->name_end[x->depth - 1], to = x->name_end[x->depth];

    x->depth--;
    take_local_name(x, x->names + from, to - from);
}

static int scan_close(struct xml_scan *x, struct err *e)
{
    const char *p = x->win + x->pos + 2, *end = x->win + x->len;

    if (x->depth == 0)
        return xml_scan_fail(x, e, "a closing tag without an open one");
    size_t from = x->name_end[x->depth - 1], n = x->name_end[x->depth] - from;
    if ((size_t)(end - p) <= n)
        return memcmp(p, x->names + from, (size_t)(end - p)) == 0
                   ? MORE
                   : xml_scan_fail(x, e, "tags cross each other");
    if (memcmp(p, x->names + from, n) != 0)
        return xml_scan_fail(x, e, "tags cross each other");
    for (p += n; is_space(*p); p++)
        ;
    if (p >= end)
        return MORE;
    if (*p != '>')
        return xml_scan_fail(x, e, "tags cross each other");
    pop_name(x);
    x->pos = (size_t)(p + 1 - x->win);
    return DONE;
}

/* Text up to the next '<'. Blanks around the root element are DONE with an empty text. */
static int scan_text(struct xml_scan *x, struct err *e)
{
    const char *p = x->win + x->pos, *end = x->win + x->len, *lt;

    lt = memchr(p, '<', (size_t)(end - p));
    if (lt == NULL && !x->is_eof)
        return MORE;
    if (lt == NULL)
        lt = end;
    x->text.p = p;
    x->text.n = (size_t)(lt - p);
    x->is_literal = 0;
    if (x->depth == 0) {
        for (; p < lt; p++)
            if (!is_space(*p))
                return xml_scan_fail(x, e, "text outside of the root element");
        x->text.n = 0;
    }
    x->pos = (size_t)(lt - x->win);
    return DONE;
}

enum xml_token xml_scan_next(struct xml_scan *x, struct err *e)
{
    int rc;

    if (!x->is_started && start(x, e) != 0)
        return XML_FAIL;
    if (x->close_next) {
        x->close_next = 0;
        pop_name(x);
        return XML_CLOSE;
    }
    for (;;) {
        if (x->pos == x->len) {
            if (x->is_eof && x->depth == 0 && x->had_root)
                return XML_END;
            if (fill(x, e) != 0)
                return XML_FAIL;
            continue;
        }
        char c = x->win[x->pos], next = x->win[x->pos + 1];
        if (c != '<') {
            if ((rc = scan_text(x, e)) == DONE && x->text.n > 0)
                return XML_TEXT;
        } else if (next == '/') {
            if ((rc = scan_close(x, e)) == DONE)
                return XML_CLOSE;
        } else if (next == '!' || next == '?') {
            x->is_literal = 0;
            if ((rc = scan_special(x, e)) == DONE && x->is_literal && x->text.n > 0)
                return XML_TEXT;
        } else if ((rc = scan_open(x, e)) == DONE) {
            return XML_OPEN;
        }
        if (rc < 0 || (rc == MORE && fill(x, e) != 0))
            return XML_FAIL;
    }
}

int xml_scan_skip(struct xml_scan *x, struct err *e)
{
    for (int depth = x->depth - 1;;) {
        enum xml_token t = xml_scan_next(x, e);
        if (t == XML_FAIL)
            return -1;
        if (t == XML_CLOSE && x->depth == depth)
            return 0;
    }
}

int xml_scan_is_whole(const struct xml_scan *x)
{
    return x->pos + 1 < x->len && x->win[x->pos] == '<' && x->win[x->pos + 1] == '/';
}

int xml_scan_is(const struct xml_scan *x, const char *name)
{
    return strlen(name) == x->name.n && memcmp(name, x->name.p, x->name.n) == 0;
}

const struct xml_span *xml_scan_attr(const struct xml_scan *x, const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < x->n_attrs; i++)
        if (x->attrs[i].name.n == n && memcmp(x->attrs[i].name.p, name, n) == 0)
            return &x->attrs[i].value;
    return NULL;
}

static int is_allowed(uint32_t cp)
{
    return cp == '\t' || cp == '\n' || cp == '\r' || (cp >= 0x20 && cp < 0xd800) ||
           (cp >= 0xe000 && cp <= 0x10ffff && cp != 0xfffe && cp != 0xffff);
}

/* The character of "&name;" at p; *used bytes of it. 0 when it is none. */
static uint32_t entity_char(const char *p, size_t n, size_t *used)
{
    static const struct { const char *text; char c; } NAMED[] = {
        { "&amp;", '&' }, { "&lt;", '<' }, { "&gt;", '>' }, { "&quot;", '"' }, { "&apos;", '\'' },
    };
    uint32_t cp = 0;
    size_t i, first;

    for (i = 0; i < sizeof NAMED / sizeof *NAMED; i++) {
        *used = strlen(NAMED[i].text);
        if (n >= *used && memcmp(p, NAMED[i].text, *used) == 0)
            return (uint32_t)NAMED[i].c;
    }
    if (n < 4 || p[1] != '#')
        return 0;
    int is_hex = p[2] == 'x';
    first = i = is_hex ? 3 : 2;
    for (; i < n && p[i] != ';'; i++) {
        int digit = p[i] >= '0' && p[i] <= '9'   ? p[i] - '0'
                    : p[i] >= 'a' && p[i] <= 'f' ? p[i] - 'a' + 10
                    : p[i] >= 'A' && p[i] <= 'F' ? p[i] - 'A' + 10
                                                 : 99;
        if (digit >= (is_hex ? 16 : 10))
            return 0;
        cp = cp * (is_hex ? 16 : 10) + (uint32_t)digit;
        if (cp > 0x10ffff)
            return 0;
    }
    if (i == n || i == first)
        return 0;
    *used = i + 1;
    return is_allowed(cp) ? cp : 0;
}

int xml_scan_decode(const struct xml_scan *x, struct xml_span s, int is_literal, struct buf *to,
                    struct err *e)
{
    size_t i = 0, used;
    uint32_t cp;
    char *out;

    if (s.n == 0)
        return 0;
    out = buf_room(to, s.n, e); /* no form is shorter than what it stands for */
    if (out == NULL)
        return -1;
    while (i < s.n) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c < 0x80 && c != '&') {
            *out++ = (char)c;
            i++;
            continue;
        }
        if (c == '&' && !is_literal) {
            cp = entity_char(s.p + i, s.n - i, &used);
            if (cp == 0)
                return xml_scan_fail(x, e, "an entity that XML does not know");
        } else if (c == '\r') {
            used = i + 1 < s.n && s.p[i + 1] == '\n' ? 2 : 1;
            cp = '\n';
        } else {
            used = typed_char(s.p + i, s.n - i, &cp);
            if (used == 0 || !is_allowed(cp))
                return xml_scan_fail(x, e, "text that is not UTF-8, or not allowed in XML");
        }
        out += text_utf8_put(out, cp);
        i += used;
    }
    to->len = (size_t)(out - to->data);
    return 0;
}
