#include "base/mem.h"
#include "base/text.h"
#include "check.h"

static const char *html(const char *s)
{
    static struct buf b;
    struct err e;

    buf_deinit(&b);
    buf_init(&b, 1000);
    CHECK_INT(text_html(&b, s, strlen(s), &e), 0);
    return buf_text(&b, &e);
}

/* Every code point, alone and behind seven plain bytes, is valid; its cut-off forms are not. */
static void all_code_points(void)
{
    int bad = 0;

    for (uint32_t c = 0; c <= 0x110000; c++) {
        char s[16] = "1234567";
        size_t n = text_utf8_put(s + 7, c);
        int is_fine = c <= 0x10FFFF && !(c >= 0xD800 && c <= 0xDFFF);
        bad += (text_utf8_bad(s, 7 + n) == 7 + n) != is_fine;
        bad += (text_utf8_bad(s + 7, n) == n) != is_fine;
        if (n > 1)
            bad += text_utf8_bad(s, 7 + n - 1) != 7;
    }
    CHECK_INT(bad, 0);
}

int main(void)
{
    struct buf b;
    struct err e;

    all_code_points();
    CHECK_INT(text_utf8_bad("\xC0\x80", 2), 0);
    CHECK_INT(text_utf8_bad("ab\x80", 3), 2);
    CHECK_INT(text_utf8_bad("\xE0\x9F\xBF", 3), 0);
    CHECK_INT(text_utf8_bad("\xF8\x88\x80\x80\x80", 5), 0);
    CHECK_INT(text_utf8_bad("пластинка пластинка \xFF", 39), 38);
    CHECK_INT(text_utf8_bad("", 0), 0);

    CHECK_STR(html("a < b && \"c\" > 'd'"), "a &lt; b &amp;&amp; &#34;c&#34; &gt; &#39;d&#39;");
    CHECK_STR(html(""), "");
    CHECK_STR(html("plain text of more than sixteen bytes <"), "plain text of more than sixteen bytes &lt;");
    CHECK_STR(html("Пинк Флойд & Co"), "Пинк Флойд &amp; Co");
    html(""); /* frees the last */

    buf_init(&b, 60);
    CHECK_INT(text_url(&b, "a b/ё~-._Z", 11, &e), 0);
    CHECK_STR(buf_text(&b, &e), "a%20b%2F%D1%91~-._Z");
    buf_clear(&b);
    CHECK_INT(text_html(&b, "<<<<<<<<<<<<<<<<<<<<", 20, &e), -1);
    CHECK_INT(e.code, ERR_LIMIT);
    buf_deinit(&b);
    return check_done();
}
