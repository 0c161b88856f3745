/*
 * rng.c - numbers from a counter. See rng.h.
 */
#include "tensor/rng.h"

#include <math.h>

static void block(uint32_t x[4], uint64_t key, uint64_t stream, uint64_t i)
{
    x[0] = (uint32_t)i;
    x[1] = (uint32_t)(i >> 32);
    x[2] = (uint32_t)stream;
    x[3] = (uint32_t)(stream >> 32);
    rng_philox(&x[0], &x[1], &x[2], &x[3], key);
}

uint32_t rng_bits(uint64_t key, uint64_t stream, uint64_t i)
{
    uint32_t x[4];

    block(x, key, stream, i);
    return x[0];
}

static double unit(uint32_t hi, uint32_t lo)
{
    return (double)((uint64_t)(hi >> 5) << 26 | lo >> 6) * 0x1p-53;
}

double rng_uniform(uint64_t key, uint64_t stream, uint64_t i)
{
    uint32_t x[4];

    block(x, key, stream, i);
    return unit(x[0], x[1]);
}

/* Box and Muller; 1 - u so that the logarithm never sees 0. */
double rng_normal(uint64_t key, uint64_t stream, uint64_t i)
{
    uint32_t x[4];

    block(x, key, stream, i);
    return sqrt(-2 * log(1 - unit(x[0], x[1]))) * cos(6.283185307179586 * unit(x[2], x[3]));
}

/*
 * A Feistel network of six rounds permutes the next even power of two; a value past n is put
 * through again, which stays a permutation of 0..n-1 (Black and Rogaway 2002, "cycle walking").
 */
uint64_t rng_shuffled(uint64_t key, uint64_t stream, uint64_t i, uint64_t n)
{
    int half = 1;
    uint64_t low;

    while (half < 32 && n > (uint64_t)1 << (2 * half))
        half++;
    low = ((uint64_t)1 << half) - 1;
    do {
        uint64_t l = i >> half, r = i & low;
        for (uint64_t round = 0; round < 6; round++) {
            uint64_t t = l ^ (rng_bits(key, stream, r << 3 | round) & low);
            l = r;
            r = t;
        }
        i = l << half | r;
    } while (i >= n);
    return i;
}
