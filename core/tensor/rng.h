/*
 * rng.h - random numbers from a counter: the same (key, stream, index) always gives the same
 * number, so any thread may draw any part of a sequence in any order. No state, no locks.
 *
 * Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3" (Philox 4x32-10).
 */
#ifndef TENSOR_RNG_H
#define TENSOR_RNG_H

#include <stddef.h>
#include <stdint.h>

/* The ten rounds, in place: counter (c0..c3) in, four numbers of 32 bits out. */
static inline void rng_philox(uint32_t *c0, uint32_t *c1, uint32_t *c2, uint32_t *c3, uint64_t key)
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);

    for (int r = 0; r < 10; r++, k0 += 0x9e3779b9u, k1 += 0xbb67ae85u) {
        uint64_t p = (uint64_t)*c0 * 0xd2511f53u, q = (uint64_t)*c2 * 0xcd9e8d57u;
        uint32_t n0 = (uint32_t)(q >> 32) ^ *c1 ^ k0, n2 = (uint32_t)(p >> 32) ^ *c3 ^ k1;
        *c1 = (uint32_t)q;
        *c3 = (uint32_t)p;
        *c0 = n0;
        *c2 = n2;
    }
}

/* Number i of a stream: 32 even bits; a double in [0, 1) of 53 bits; a standard normal. */
uint32_t rng_bits(uint64_t key, uint64_t stream, uint64_t i);
double rng_uniform(uint64_t key, uint64_t stream, uint64_t i);
double rng_normal(uint64_t key, uint64_t stream, uint64_t i);

/* Place i of a random order of 0..n-1 that (key, stream) fixes. No memory, any i at any time. */
uint64_t rng_shuffled(uint64_t key, uint64_t stream, uint64_t i, uint64_t n);

#endif
