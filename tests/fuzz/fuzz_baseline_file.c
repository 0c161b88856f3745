/*
 * Baseline files: any bytes are read or refused; what was read forecasts, and writes the same
 * bytes again. The second try has its length and checksum put right, to get past them.
 */
#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "model/baseline_file.h"

static void try_bytes(const uint8_t *data, size_t size)
{
    static const double y[] = {1, 0, NAN, 2, 5, 1, 3, 2, 2, 0, 1, 4};
    static const double levels[] = {0.1, 0.9};
    struct baseline_block block = {.d = y, .N = 2, .T = 6, .stride = 6};
    struct baseline_model *m = NULL;
    struct err e = {0};
    double mean[2], quantile[4];
    struct baseline_out out = {.mean_d = mean, .quantile_d = quantile};
    struct buf b;

    if (baseline_file_read(&m, data, size, &e) != 0) {
        assert(m == NULL && e.code != ERR_NONE && e.text[0] != '\0');
        return;
    }
    int rc = baseline_model_predict(m, &block, 0, 2, 1, levels, 2, &out, NULL, &e);
    assert(rc == 0);
    buf_init(&b, BASELINE_FILE_MAX);
    rc = baseline_file_write(m, &b, &e);
    assert(rc == 0 && b.len == size);
    buf_deinit(&b);
    baseline_model_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy;
    uint64_t length = size, sum;

    try_bytes(data, size);
    if (size < 32 || size > 100000)
        return 0;
    copy = malloc(size);
    memcpy(copy, data, size);
    memcpy(copy, "plbase\r\n\1\0\0\0\0\0\0\0", 16);
    for (int i = 0; i < 8; i++)
        copy[16 + i] = (uint8_t)(length >> (8 * i));
    sum = crc32_z(0, copy, size - 8);
    for (int i = 0; i < 8; i++)
        copy[size - 8 + (size_t)i] = (uint8_t)(sum >> (8 * i));
    try_bytes(copy, size);
    free(copy);
    return 0;
}
