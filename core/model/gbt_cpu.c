/*
 * gbt_cpu.c - see gbt_cpu.h.
 */
#include "model/gbt_cpu.h"

#include <string.h>

#include "tensor/kern.h"

int gbt_cpu_avx512(void)
{
    return strcmp(kern()->name, "avx512") == 0;
}

int gbt_cpu_avx2(void)
{
    return strcmp(kern()->name, "avx2") == 0 || gbt_cpu_avx512();
}

int gbt_cpu_avx512_vbmi(void)
{
#if defined(__x86_64__)
    return gbt_cpu_avx512() && __builtin_cpu_supports("avx512vbmi");
#else
    return 0;
#endif
}
