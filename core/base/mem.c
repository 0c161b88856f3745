/*
 * mem.c - malloc with a count of live blocks and a way to fail on demand. See mem.h.
 */
#include "base/mem.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static atomic_size_t live;
static atomic_size_t fail_at; /* 0: off; else counts down to the allocation that fails */

static int must_fail(void)
{
    if (atomic_load_explicit(&fail_at, memory_order_relaxed) == 0)
        return 0;
    return atomic_fetch_sub(&fail_at, 1) == 1;
}

static void *counted(void *p)
{
    if (p != NULL)
        atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
    return p;
}

void *mem_alloc(size_t bytes)
{
    return must_fail() ? NULL : counted(malloc(bytes ? bytes : 1));
}

void *mem_zero(size_t n, size_t bytes)
{
    return must_fail() ? NULL : counted(calloc(n ? n : 1, bytes ? bytes : 1));
}

void *mem_resize(void *p, size_t bytes)
{
    if (p == NULL)
        return mem_alloc(bytes);
    return must_fail() ? NULL : realloc(p, bytes ? bytes : 1);
}

void mem_free(void *p)
{
    if (p != NULL)
        atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
    free(p);
}

char *mem_dup(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *p = mem_alloc(bytes);

    if (p != NULL)
        memcpy(p, text, bytes);
    return p;
}

void *mem_aligned(size_t bytes)
{
    if (must_fail() || bytes > SIZE_MAX - 64)
        return NULL;
    return counted(aligned_alloc(64, bytes ? (bytes + 63) & ~(size_t)63 : 64));
}

void mem_fail_at(size_t n)
{
    atomic_store(&fail_at, n);
}

size_t mem_live(void)
{
    return atomic_load(&live);
}
