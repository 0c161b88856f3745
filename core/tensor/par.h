/*
 * par.h - runs the chunks of one computation on several threads.
 *
 * The caller cuts its work into chunks by shape alone; who runs which chunk is luck, so a chunk
 * must depend on nothing but its number. Then the bits are the same for any number of threads.
 * One par serves one caller at a time.
 */
#ifndef TENSOR_PAR_H
#define TENSOR_PAR_H

#include "base/err.h"

struct par;

/* Chunk `chunk` of the work `ctx`; `lane` is the thread it runs on, 0..n_threads-1: for scratch. */
typedef void par_fn(void *ctx, int chunk, int lane);

/* Starts n_threads - 1 threads; the caller of par_run is the last one. 1 to PAR_MAX. */
#define PAR_MAX 64
int par_new(struct par **out, int n_threads, struct err *e);
void par_free(struct par *p); /* NULL is fine */
int par_threads(const struct par *p); /* NULL is one thread */

/* Runs chunks 0..n-1 and returns when all are done. p may be NULL: then all run here, in order. */
void par_run(struct par *p, int n, par_fn *fn, void *ctx);

#endif
