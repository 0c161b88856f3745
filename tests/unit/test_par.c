/*
 * test_par.c - every chunk runs exactly once, whatever the number of threads, also when calls
 * follow each other closely and when threads sleep in between.
 */
#include "check.h"

#include <stdatomic.h>
#include <unistd.h>

#include "base/mem.h"
#include "tensor/par.h"

#define CHUNKS 97

struct count {
    atomic_int ran[CHUNKS];
    atomic_int bad_lane;
    int lanes;
};

static void mark(void *ctx, int chunk, int lane)
{
    struct count *c = ctx;

    atomic_fetch_add(&c->ran[chunk], 1);
    if (lane < 0 || lane >= c->lanes)
        atomic_store(&c->bad_lane, 1);
}

static void run_many(int n_threads)
{
    struct par *p;
    struct err e;
    static struct count c;
    int wrong = 0;

    CHECK(par_new(&p, n_threads, &e) == 0);
    CHECK_INT(par_threads(p), n_threads);
    c.lanes = n_threads;
    for (int round = 0; round < 20000; round++) {
        int n = round % (CHUNKS + 1);
        for (int i = 0; i < CHUNKS; i++)
            atomic_store(&c.ran[i], 0);
        par_run(p, n, mark, &c);
        for (int i = 0; i < CHUNKS; i++)
            wrong += atomic_load(&c.ran[i]) != (i < n);
        if (round % 5000 == 4999)
            usleep(3000);
    }
    CHECK_INT(wrong, 0);
    CHECK_INT(atomic_load(&c.bad_lane), 0);
    par_free(p);
}

int main(void)
{
    struct par *p;
    struct err e;
    size_t before = mem_live();

    run_many(1);
    run_many(2);
    run_many(5);
    CHECK(par_new(&p, 0, &e) == -1 && e.code == ERR_INVALID && p == NULL);
    CHECK(par_new(&p, PAR_MAX + 1, &e) == -1);
    mem_fail_at(1);
    CHECK(par_new(&p, 2, &e) == -1 && e.code == ERR_NOMEM && p == NULL);
    mem_fail_at(0);
    par_free(NULL);
    CHECK_INT(mem_live(), before);
    return check_done();
}
