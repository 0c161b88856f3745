/* fuzz_npy.c - any bytes as an .npy file. */
#include "base/mem.h"
#include "tensor/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tensor *t;
    struct err e;

    tensor_set_cap((size_t)64 << 20);
    if (npy_parse(&t, data, size, &e) == 0)
        tensor_free(t);
    return 0;
}
