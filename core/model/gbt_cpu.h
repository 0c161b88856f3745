/*
 * gbt_cpu.h - may the trees use AVX-512? Follows the choice of kernels (tensor/kern.h), so `ref`
 * forces the plain loops here too. Both give the same bits.
 */
#ifndef MODEL_GBT_CPU_H
#define MODEL_GBT_CPU_H

int gbt_cpu_avx2(void);
int gbt_cpu_avx512(void);      /* f, bw, dq, vl */
int gbt_cpu_avx512_vbmi(void); /* and byte permutes */

#endif
