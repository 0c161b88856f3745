#include "base/err.h"
#include "check.h"

#include <errno.h>

int main(void)
{
    struct err e;

    CHECK_INT(err_set(&e, ERR_PARSE, "row %d: price \"%s\" is not a number", 35, "12,0"), -1);
    CHECK_INT(e.code, ERR_PARSE);
    CHECK_STR(e.text, "row 35: price \"12,0\" is not a number");
    CHECK_STR(err_name(e.code), "parse");
    err_wrap(&e, "stock.xlsx");
    CHECK_STR(e.text, "stock.xlsx: row 35: price \"12,0\" is not a number");
    CHECK_INT(err_set(NULL, ERR_IO, "nobody listens"), -1);
    err_errno(&e, ENOENT, "cannot open %s", "x");
    CHECK_INT(e.code, ERR_NOTFOUND);
    CHECK_STR(e.text, "cannot open x: No such file or directory");
    for (int i = 0; i < ERR_COUNT; i++)
        CHECK_INT(err_code_of(err_name((enum err_code)i)), i);
    CHECK_INT(err_code_of("no such name"), ERR_NONE);
    return check_done();
}
