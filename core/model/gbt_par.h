/*
 * gbt_par.h - how the trees ask for threads: the caller lends a function that runs numbered chunks.
 *
 * Chunks are cut by shape alone and results do not depend on who runs them, so the bits are the
 * same for any number of lanes, also for none (`run` NULL: all chunks here, in order).
 */
#ifndef MODEL_GBT_PAR_H
#define MODEL_GBT_PAR_H

/* Does chunk `chunk` of the work; `lane` (0 .. n_lanes - 1) is not used by another one meanwhile. */
typedef void gbt_chunk_fn(void *ctx, int chunk, int lane);

struct gbt_par {
    void (*run)(void *pool, int n_chunks, gbt_chunk_fn *fn, void *ctx); /* returns when all are done */
    void *pool;
    int n_lanes;
};

static inline void gbt_par_run(const struct gbt_par *p, int n_chunks, gbt_chunk_fn *fn, void *ctx)
{
    if (p != 0 && p->run != 0 && p->n_lanes > 1 && n_chunks > 1) {
        p->run(p->pool, n_chunks, fn, ctx);
        return;
    }
    for (int i = 0; i < n_chunks; i++)
        fn(ctx, i, 0);
}

static inline int gbt_par_lanes(const struct gbt_par *p)
{
    return p != 0 && p->run != 0 && p->n_lanes > 1 ? p->n_lanes : 1;
}

#endif
