/*
 * fuzz_date.c - dates, numbers and blanks as people type them.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/day.h"
#include "base/typed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *p = (const char *)data;
    char *to = malloc(size + 1), date[DAY_TEXT];
    int64_t day, again;
    double x, y;
    size_t n;

    for (int is_1904 = 0; is_1904 < 2; is_1904++) {
        if (day_of_text(p, size, is_1904, &day) != 0)
            continue;
        day_write(date, day);
        if (day_of_text(date, sizeof date, is_1904, &again) != 0 || again != day)
            abort();
    }
    if (typed_number(p, size, &x) == 0) {
        char text[TYPED_FLOAT_MAX];
        n = typed_of_float(text, x);
        if (!isfinite(x) || typed_float(text, n, &y) != 0 || y != x)
            abort();
    }
    (void)typed_float(p, size, &x);
    n = typed_clean(to, p, size);
    if (n > size || typed_clean(to, to, n) != n) /* clean stays clean */
        abort();
    n = typed_squeeze(to, p, size);
    if (n > size)
        abort();
    n = typed_fold(to, p, size);
    if (n > size || typed_fold(to, to, n) != n)
        abort();
    free(to);
    return 0;
}
