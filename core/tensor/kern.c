/*
 * kern.c - which kernels this CPU runs. See kern.h.
 */
#include "tensor/kern.h"

#include <string.h>

static const struct kern *chosen;

const struct kern *kern_at(int i)
{
    const struct kern *all[3] = {&kern_ref};
    int n = 1;

#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        all[n++] = &kern_avx2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        all[n++] = &kern_avx512;
#endif
    return i >= 0 && i < n ? all[i] : NULL;
}

const struct kern *kern(void)
{
    if (chosen == NULL)
        kern_use("best");
    return chosen;
}

int kern_use(const char *name)
{
    const struct kern *found = NULL;

    for (int i = 0; kern_at(i) != NULL; i++)
        if (strcmp(name, "best") == 0 || strcmp(name, kern_at(i)->name) == 0)
            found = kern_at(i);
    if (found == NULL)
        return -1;
    chosen = found;
    return 0;
}
