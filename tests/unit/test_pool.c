#include "base/mem.h"
#include "check.h"
#include "loop/loop.h"
#include "loop/pool.h"

#include <unistd.h>

struct sum {
    struct pool_job job;
    struct pool *pool;
    long parts[1000], total;
    int done, progress_calls;
    double last_progress;
};

static void part(void *ctx, int i)
{
    ((struct sum *)ctx)->parts[i] = i;
}

static void work(struct pool_job *job)
{
    struct sum *s = (struct sum *)job;

    pool_for(s->pool, 1000, part, s);
    for (int i = 0; i < 1000; i++)
        s->total += s->parts[i];
    pool_progress(job, 0.5);
    usleep(20000);
}

static void on_progress(struct pool_job *job, double fraction)
{
    struct sum *s = (struct sum *)job;

    s->progress_calls++;
    s->last_progress = fraction;
}

static void done(struct pool_job *job)
{
    ((struct sum *)job)->done++;
}

static void work_until_cancelled(struct pool_job *job)
{
    while (!pool_cancelled(job))
        usleep(1000);
}

static void on_timer(uv_timer_t *t)
{
    pool_cancel(t->data);
    uv_close((uv_handle_t *)t, NULL);
}

int main(void)
{
    static struct sum sums[8], waiting, dropped[20];
    struct loop loop;
    struct err e;
    uv_timer_t timer;

    CHECK_INT(loop_init(&loop, &e), 0);
    struct pool *p = pool_new(&loop.uv, 3, &e);
    CHECK(p != NULL);
    for (int i = 0; i < 8; i++) {
        sums[i].pool = p;
        sums[i].job.work = work;
        sums[i].job.done = done;
        sums[i].job.on_progress = on_progress;
        CHECK_INT(pool_submit(p, &sums[i].job, &e), 0);
    }
    loop_run(&loop);
    for (int i = 0; i < 8; i++) {
        CHECK_INT(sums[i].total, 499500);
        CHECK_INT(sums[i].done, 1);
        CHECK_INT(sums[i].progress_calls, 1);
        CHECK_NEAR(sums[i].last_progress, 0.5, 1e-6, 1);
    }

    waiting.job.work = work_until_cancelled;
    waiting.job.done = done;
    CHECK_INT(pool_submit(p, &waiting.job, &e), 0);
    uv_timer_init(&loop.uv, &timer);
    timer.data = &waiting.job;
    uv_timer_start(&timer, on_timer, 10, 0);
    loop_run(&loop);
    CHECK_INT(waiting.done, 1);

    for (int i = 0; i < 20; i++) { /* closing cancels what runs and what waits; done comes for all */
        dropped[i].job.work = work_until_cancelled;
        dropped[i].job.done = done;
        CHECK_INT(pool_submit(p, &dropped[i].job, &e), 0);
    }
    pool_close(p);
    for (int i = 0; i < 20; i++)
        CHECK_INT(dropped[i].done, 1);
    CHECK_INT(loop_close(&loop, 1000, &e), 0);
    CHECK_INT(mem_live(), 0);
    return check_done();
}
