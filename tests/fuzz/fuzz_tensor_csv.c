/* fuzz_tensor_csv.c - any bytes as lines of numbers; what is read is written and read again. */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "tensor/tensor_op.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tensor *t, *back;
    struct err e;
    struct buf b;

    if (tensor_csv_parse(&t, (const char *)data, size, &e) != 0)
        return 0;
    buf_init(&b, (size_t)64 << 20);
    if (tensor_csv_write(&b, t, &e) == 0 && t->shape[1] > 1) {
        if (tensor_csv_parse(&back, b.data, b.len, &e) != 0 || !tensor_same_shape(t, back))
            abort();
        tensor_free(back);
    }
    buf_deinit(&b);
    tensor_free(t);
    return 0;
}
