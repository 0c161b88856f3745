/*
 * test_rng.c - the generator against published vectors, its moments, and the order without memory.
 */
#include "check.h"

#include <stdlib.h>

#include "tensor/rng.h"

static void known_vectors(void)
{
    /* Random123, kat_vectors, philox4x32 10 */
    uint32_t z[4] = {0, 0, 0, 0};
    uint32_t o[4] = {0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu};

    rng_philox(&z[0], &z[1], &z[2], &z[3], 0);
    CHECK_INT(z[0], 0x6627e8d5u);
    CHECK_INT(z[1], 0xe169c58du);
    CHECK_INT(z[2], 0xbc57ac4cu);
    CHECK_INT(z[3], 0x9b00dbd8u);
    rng_philox(&o[0], &o[1], &o[2], &o[3], UINT64_MAX);
    CHECK_INT(o[0], 0x408f276du);
    CHECK_INT(o[1], 0x41c83b0eu);
    CHECK_INT(o[2], 0xa20bc7c6u);
    CHECK_INT(o[3], 0x6d5451fdu);
}

static void moments(void)
{
    double s = 0, q = 0, u = 0;
    int n = 100000;

    for (int i = 0; i < n; i++) {
        double v = rng_normal(3, 4, (uint64_t)i), w = rng_uniform(5, 6, (uint64_t)i);
        s += v / n;
        q += v * v / n;
        u += w / n;
        CHECK(w >= 0 && w < 1);
    }
    CHECK_NEAR(s, 0, 0.02, 1);
    CHECK_NEAR(q, 1, 0.02, 1);
    CHECK_NEAR(u, 0.5, 0.01, 1);
}

static void order(uint64_t n)
{
    unsigned char *seen = calloc(n, 1);
    uint64_t twice = 0, same = 0, moved = 0;

    if (seen == NULL)
        exit(1);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t at = rng_shuffled(11, 12, i, n);
        CHECK(at < n);
        twice += seen[at]++ != 0;
        same += at == rng_shuffled(11, 13, i, n);
        moved += at != i;
    }
    CHECK_INT(twice, 0);
    if (n > 50) {
        CHECK(moved > n * 9 / 10);
        CHECK(same < n / 10);
    }
    free(seen);
}

int main(void)
{
    known_vectors();
    moments();
    for (uint64_t n = 1; n < 70; n++)
        order(n);
    order(4096);
    order(10007);
    return check_done();
}
