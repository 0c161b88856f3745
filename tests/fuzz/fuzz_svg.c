/* A series of any bytes is drawn or refused; a drawing is plain text of bounded size. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/svg.h"

#define N_MAX 100

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    double v[N_MAX];
    struct buf b;
    struct err e;
    int n = svg_numbers((const char *)data, size, v, N_MAX, &e);

    if (n <= 0)
        return 0;
    buf_init(&b, 8192);
    if (svg_spark(&b, v, (size_t)n, 104, 22, &e) == 0) {
        if (b.len < 20 || memcmp(b.data, "<svg", 4) != 0 || memchr(b.data, 0, b.len) != NULL)
            abort();
    } else if (e.code != ERR_NAN && e.code != ERR_LIMIT && e.code != ERR_NOMEM) {
        abort();
    }
    buf_clear(&b);
    if (n >= 6 && svg_interval(&b, v, v[5], 110, 14, &e) != 0 && e.code != ERR_NAN)
        abort();
    buf_deinit(&b);
    return 0;
}
