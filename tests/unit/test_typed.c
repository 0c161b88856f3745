#include "base/typed.h"
#include "check.h"

static const char *clean(const char *s)
{
    static char to[256];
    to[typed_clean(to, s, strlen(s))] = '\0';
    return to;
}

static const char *squeeze(const char *s)
{
    static char to[256];
    to[typed_squeeze(to, s, strlen(s))] = '\0';
    return to;
}

static const char *fold(const char *s)
{
    static char to[256];
    to[typed_fold(to, s, strlen(s))] = '\0';
    return to;
}

static double number(const char *s)
{
    double x;
    return typed_number(s, strlen(s), &x) == 0 ? x : -999;
}

static double flt(const char *s)
{
    double x;
    return typed_float(s, strlen(s), &x) == 0 ? x : -999;
}

static const char *of(double x)
{
    static char to[TYPED_FLOAT_MAX];
    typed_of_float(to, x);
    return to;
}

static void utf8(void)
{
    uint32_t cp = 0;
    int is_cut;

    CHECK_INT(typed_char("я", 2, &cp), 2);
    CHECK_INT(cp, 0x44f);
    CHECK_INT(typed_char("\xc0\x80", 2, &cp), 0);     /* too long a form */
    CHECK_INT(typed_char("\xed\xa0\x80", 3, &cp), 0); /* surrogate */
    CHECK_INT(typed_char("\xf4\x90\x80\x80", 4, &cp), 0);
    CHECK_INT(typed_utf8_prefix("ab\xf0\x9f\x8e", 5, &is_cut), 2);
    CHECK_INT(is_cut, 1);
    CHECK_INT(typed_utf8_prefix("ab\xe0", 3, &is_cut), 2); /* 80 behind it is wrong, a0 is right */
    CHECK_INT(is_cut, 1);
    CHECK_INT(typed_utf8_prefix("ab\xff", 3, &is_cut), 2);
    CHECK_INT(is_cut, 0);
    CHECK_INT(typed_utf8_prefix("ab\xed\xa0", 4, &is_cut), 2);
    CHECK_INT(is_cut, 0);
}

static void blanks(void)
{
    CHECK_STR(clean("  Pink \t  Floyd\n"), "Pink Floyd");
    CHECK_STR(clean("\xc2\xa0Кино\xe2\x80\x89\xc2\xa0и  ко\xe3\x80\x80"), "Кино и ко");
    CHECK_STR(clean("   "), "");
    CHECK_STR(clean("a\xff  b"), "a\xff b");
    CHECK_STR(squeeze(" 46 012\xc2\xa0""34 "), "4601234");
    CHECK(typed_is_blank("\xc2\xa0 \xe2\x80\xa8", 6));
    CHECK(!typed_is_blank("\xe2\x80\x8b", 3)); /* zero width: not a blank of Unicode */
    CHECK(typed_is_blank("", 0));
    CHECK_STR(fold(" ЦЕНА, Руб. "), "цена, руб.");
    CHECK_STR(fold("ШТРИХКОД Ё ЁЖ"), "штрихкод ё ёж");
    CHECK_STR(fold("ÀÉ×ÞŸŽ ΑΣς Ѐ Ѡ ＡＺ ԱՖ"), "àé×þÿž ασσ ѐ ѡ ａｚ աֆ");
    CHECK_STR(fold("Straße"), "straße");
}

static void numbers(void)
{
    CHECK_NEAR(number("2 490,50"), 2490.5, 0, 1);
    CHECK_NEAR(number("\xc2\xa0""1\xe2\x80\xaf""234.5 "), 1234.5, 0, 1);
    CHECK_NEAR(number("-5"), -5, 0, 1);
    CHECK_NEAR(number("+0,1"), 0.1, 0, 1);
    CHECK_NEAR(number("0000012"), 12, 0, 1);
    CHECK_NEAR(number("123456789012345678901234567890"), 123456789012345678901234567890.0, 0, 1);
    const char *bad[] = { "", " ", "1e5", "inf", "nan", "1,234.5", "1.2.3", "--1", "1-", "12 руб",
                          "0x10", ".", ",", "-", "+", "١٢", "$5" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_NEAR(number(bad[i]), -999, 0, 1);
    CHECK_NEAR(flt("40513.35138888889"), 40513.35138888889, 0, 1);
    CHECK_NEAR(flt("-1.5E-3"), -0.0015, 0, 1);
    CHECK_NEAR(flt("1e308"), 1e308, 0, 1);
    CHECK_NEAR(flt("1e309"), -999, 0, 1);
    CHECK_NEAR(flt("9007199254740993"), 9007199254740992.0, 0, 1);
    CHECK_NEAR(flt("0.1000000000000000055511151231257827"), 0.1, 0, 1);
    CHECK_NEAR(flt("1e"), -999, 0, 1);
    CHECK_NEAR(flt("1 "), -999, 0, 1);
    CHECK_STR(of(2490), "2490");
    CHECK_STR(of(-0.0), "0");
    CHECK_STR(of(0.1), "0.1");
    CHECK_STR(of(0.1 + 0.2), "0.30000000000000004");
    CHECK_STR(of(1e-7 * 1.5), "1.5e-07");
    CHECK_STR(of(4601234567890), "4601234567890");
    CHECK_STR(of(1e22), "10000000000000000000000");
    CHECK_STR(of(-HUGE_VAL), "-inf");
}

int main(void)
{
    utf8();
    blanks();
    numbers();
    return check_done();
}
