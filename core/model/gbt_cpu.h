/*
 * gbt_cpu.h - may the trees use AVX-512? Follows the choice of kernels (tensor/kern.h), so `ref`
 * forces the plain loops here too. Both give the same bits.
 */
#ifndef MODEL_GBT_CPU_H
#define MODEL_GBT_CPU_H

int gbt_cpu_avx2(void);
int gbt_cpu_avx512(void);      /* f, bw, dq, vl */
int gbt_cpu_avx512_vbmi(void); /* and byte permutes */

/* before a function that only runs when gbt_cpu_avx512() says so; clang has no say about widths */
#if defined(__clang__)
#define GBT_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))
#else
#define GBT_AVX512 \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")))
#endif

#endif
