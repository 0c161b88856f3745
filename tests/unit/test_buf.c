#include "base/buf.h"
#include "base/mem.h"
#include "check.h"

int main(void)
{
    struct buf b;
    struct err e;

    buf_init(&b, 1000);
    CHECK_INT(buf_adds(&b, "abc", &e), 0);
    CHECK_INT(buf_addf(&b, &e, "%0600d", 7), 0);
    CHECK_INT(b.len, 603);
    CHECK_INT(buf_addf(&b, &e, "%0600d", 7), -1);
    CHECK_INT(e.code, ERR_LIMIT);
    CHECK_INT(b.len, 603);
    buf_eat(&b, 600);
    CHECK_STR(buf_text(&b, &e), "007");
    mem_fail_at(1);
    CHECK_INT(buf_add(&b, "x", 1, &e), 0); /* room is there: nothing to allocate */
    CHECK(buf_room(&b, 900, &e) == NULL);
    CHECK_INT(e.code, ERR_NOMEM);
    CHECK_INT(b.len, 4);
    mem_fail_at(0);
    buf_deinit(&b);
    buf_deinit(&b);
    CHECK_INT(mem_live(), 0);
    return check_done();
}
