#include "base/mem.h"
#include "check.h"
#include "sheet/spill.h"

/* Bytes at and around the edge between memory and file come back as they were. */
static void round_trip(size_t total, size_t piece)
{
    struct spill s;
    struct err e;
    char block[5000];
    size_t n = 0;
    int same = 1;

    spill_init(&s, NULL);
    while (n < total) {
        size_t len = total - n < piece ? total - n : piece;
        for (size_t i = 0; i < len; i++)
            block[i] = (char)((n + i) * 31 % 251);
        CHECK_INT(spill_add(&s, block, len, &e), 0);
        n += len;
    }
    CHECK_INT(s.len, total);
    CHECK_INT(spill_seal(&s, &e), 0);
    CHECK_INT(s.fd >= 0, total > SPILL_HEAP_MAX);
    for (int round = 0; round < 2; round++) {
        size_t from = 0, len;
        for (; from < total; from += len * (size_t)(1 + round * 977) + 1) {
            len = (from % 4999) + 1 < total - from ? (from % 4999) + 1 : total - from;
            CHECK_INT(spill_read(&s, from, len, block, &e), 0);
            for (size_t i = 0; i < len; i++)
                same = same && block[i] == (char)((from + i) * 31 % 251);
        }
    }
    CHECK(same);
    spill_deinit(&s);
    spill_deinit(&s);
}

int main(void)
{
    struct spill s;
    struct err e;
    char byte = 'x';

    round_trip(0, 100);
    round_trip(1, 100);
    round_trip(SPILL_HEAP_MAX, 4096);
    round_trip(SPILL_HEAP_MAX + 1, 4999);
    round_trip(20000000, 4999);

    spill_init(&s, "/no/such/folder"); /* needed only when memory is not enough */
    CHECK_INT(spill_add(&s, &byte, 1, &e), 0);
    CHECK_INT(spill_seal(&s, &e), 0);
    spill_deinit(&s);
    spill_init(&s, "/no/such/folder");
    int rc = 0;
    for (size_t n = 0; rc == 0 && n <= SPILL_HEAP_MAX; n += 4096) {
        static char zeros[4096];
        rc = spill_add(&s, zeros, sizeof zeros, &e);
    }
    CHECK_INT(rc, -1);
    CHECK_INT(e.code, ERR_NOTFOUND);
    spill_deinit(&s);
    CHECK_INT(mem_live(), 0);
    return check_done();
}
