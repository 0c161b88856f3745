#include "sheet/xml_scan.h"
#include "base/mem.h"
#include "check.h"

struct bytes {
    const char *p;
    size_t n, step;
};

static int64_t give(void *from, char *to, size_t room, struct err *e)
{
    struct bytes *b = from;
    size_t n = b->n < b->step ? b->n : b->step;

    (void)e;
    n = n < room ? n : room;
    memcpy(to, b->p, n);
    b->p += n;
    b->n -= n;
    return (int64_t)n;
}

/* All tokens as one text: "(name a=v)" "text" "/name"; "!code" at an error. */
static const char *tokens(const char *xml, size_t n, size_t step)
{
    static char out[1 << 16];
    struct bytes b = { xml, n, step };
    struct xml_scan x;
    struct buf text;
    struct err e;
    size_t at = 0;

    buf_init(&text, 1 << 20);
    CHECK_INT(xml_scan_init(&x, give, &b, "part", &e), 0);
    for (;;) {
        enum xml_token t = xml_scan_next(&x, &e);
        if (t == XML_FAIL) {
            at += (size_t)snprintf(out + at, sizeof out - at, "!%s", err_name(e.code));
            break;
        }
        if (t == XML_END)
            break;
        if (t == XML_OPEN) {
            at += (size_t)snprintf(out + at, sizeof out - at, "(%.*s", (int)x.name.n, x.name.p);
            for (size_t i = 0; i < x.n_attrs; i++)
                at += (size_t)snprintf(out + at, sizeof out - at, " %.*s=%.*s",
                                       (int)x.attrs[i].name.n, x.attrs[i].name.p,
                                       (int)x.attrs[i].value.n, x.attrs[i].value.p);
            at += (size_t)snprintf(out + at, sizeof out - at, ")");
        } else if (t == XML_CLOSE) {
            at += (size_t)snprintf(out + at, sizeof out - at, "/%.*s", (int)x.name.n, x.name.p);
        } else {
            buf_clear(&text);
            if (xml_scan_decode(&x, x.text, x.is_literal, &text, &e) != 0) {
                at += (size_t)snprintf(out + at, sizeof out - at, "!%s", err_name(e.code));
                break;
            }
            at += (size_t)snprintf(out + at, sizeof out - at, "\"%.*s\"", (int)text.len,
                                   text.data ? text.data : "");
        }
    }
    out[at] = '\0';
    xml_scan_deinit(&x);
    buf_deinit(&text);
    return out;
}

static const struct { const char *xml, *expected; } CASES[] = {
    { "<a/>", "(a)/a" },
    { "\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<x:a  b = 'c>d' e=\"\"><!-- <z> --><b>1</b >"
      "</x:a>\n", "(a b=c>d e=)(b)\"1\"/b/a" },
    { "<a>x &lt;&#65;&#x44f;&amp;&quot;&apos;&gt;\r\n\ry</a>", "(a)\"x <Aя&\"'>\n\ny\"/a" },
    { "<a><![CDATA[<&amp;]]>b</a>", "(a)\"<&amp;\"\"b\"/a" },
    { "<a>&nbsp;</a>", "(a)!parse" },
    { "<a>&#0;</a>", "(a)!parse" },
    { "<a>&#xD800;</a>", "(a)!parse" },
    { "<a>&#99999999999;</a>", "(a)!parse" },
    { "<a>& b</a>", "(a)!parse" },
    { "<a>\x01</a>", "(a)!parse" },
    { "<a>\xff</a>", "(a)!parse" },
    { "<a><b></a></b>", "(a)(b)!parse" },
    { "<a><b></bc></a>", "(a)(b)!parse" },
    { "<a>", "(a)!parse" },
    { "<a", "!parse" },
    { "", "!parse" },
    { "text", "!parse" },
    { "<a/><b/>", "(a)/a!parse" },
    { "<a/>x", "(a)/a!parse" },
    { "</a>", "!parse" },
    { "<a b=1/>", "!parse" },
    { "<a b='1'c='2'/>", "!parse" },
    { "<a b='<'/>", "!parse" },
    { "<a b/>", "!parse" },
    { "<a / >", "!parse" },
    { "< a/>", "!parse" },
    { "<!DOCTYPE a []><a/>", "!parse" },
    { "<!ELEMENT a><a/>", "!parse" },
    { "<a><?xml version='1.0'?></a>", "(a)!parse" },
    { "<a><?pi ?></a>", "(a)/a" },
    { "<?xml version='1.0' encoding='windows-1251'?><a/>", "!unsupported" },
    { "\xff\xfe<", "!unsupported" },
    { "<![CDATA[x]]><a/>", "!parse" },
};

static void limits(void)
{
    size_t n = XML_WINDOW_MAX * 2;
    char *big = mem_alloc(n);

    memset(big, 'x', n);
    memcpy(big, "<a>", 3);
    CHECK_STR(tokens(big, n, 1 << 16), "(a)!limit");
    memcpy(big, "<a b='", 6);
    CHECK_STR(tokens(big, n, 1 << 16), "!limit");
    for (size_t i = 0; i + 3 <= 300; i += 3)
        memcpy(big + i, "<a>", 3);
    CHECK(strstr(tokens(big, 300, 7), "!parse") != NULL); /* too deep */
    mem_free(big);
}

int main(void)
{
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        for (size_t step = 1; step < 64; step = step * 2 + 1)
            CHECK_STR(tokens(CASES[i].xml, strlen(CASES[i].xml), step), CASES[i].expected);
    CHECK_STR(tokens("<a>\0</a>", 8, 8), "(a)!parse");
    CHECK_STR(tokens("\0\0\0\0", 4, 8), "!unsupported");
    limits();
    mem_fail_at(1);
    struct xml_scan x;
    struct err e;
    CHECK_INT(xml_scan_init(&x, give, NULL, "part", &e), -1);
    CHECK_INT(e.code, ERR_NOMEM);
    mem_fail_at(0);
    CHECK_INT(mem_live(), 0);
    return check_done();
}
