/* A tz file of any bytes is taken or refused; what is taken can be asked about any moment. */
#include <stdint.h>
#include <stdlib.h>

#include "base/date.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t moments[] = { -62135596800, -1, 0, 1, 1700000000, 4102444800, 253402300799 };
    struct date_zone *z;
    struct date_parts p;
    struct err e;

    if (date_zone_parse(&z, data, size, &e) != 0)
        return 0;
    for (size_t i = 0; i < sizeof moments / sizeof *moments; i++) {
        date_local(z, moments[i], &p);
        date_utc(z, &p);
    }
    date_zone_close(z);
    return 0;
}
