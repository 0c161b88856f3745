/*
 * mem.h - the allocator seam: every heap block of ours goes through here, so that a test can make
 * each allocation fail in turn. Any thread.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

/* As malloc, calloc, realloc, free and strdup. NULL means out of memory; size 0 gives a block. */
void *mem_alloc(size_t bytes);
void *mem_zero(size_t n, size_t bytes);
void *mem_resize(void *p, size_t bytes);
void mem_free(void *p); /* NULL is fine */
char *mem_dup(const char *text);

/* Aligned to 64 bytes, for kernels. Freed with mem_free. */
void *mem_aligned(size_t bytes);

/* Tests only: the n-th allocation from now (1 = the next) fails, and only that one; 0 = none. */
void mem_fail_at(size_t n);

/* Blocks handed out and not yet freed. */
size_t mem_live(void);

#endif
