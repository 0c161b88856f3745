/*
 * db_bench.c - what the database costs in C: a look-up on the loop thread, the same by a reader, writes
 * one after the other and many at once (against the disk's own fsync), rows into a matrix.
 *
 * Prints a table; arguments: a folder on the disk to measure (default: build).
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "db/db_matrix.h"
#include "db/db_stats.h"

#define N_ROWS 100000

static uv_loop_t loop;
static int n_answers;

static void on_done(struct db_req *r)
{
    if (r->status != 0)
        printf("failed: %s\n", r->err.text);
    n_answers++;
}

static void wait_for(int n)
{
    while (n_answers < n)
        uv_run(&loop, UV_RUN_ONCE);
}

static double now(void) { return (double)uv_hrtime() * 1e-9; }

static void tell(struct db *db, const char *sql)
{
    struct db_req r;
    struct err e;

    db_req_init(&r, DB_QUERY, on_done);
    db_req_add(&r, sql, strlen(sql), NULL, -1, &e);
    db_submit(db, &r);
    wait_for(n_answers + 1);
    db_req_deinit(&r);
}

/* Gives the rate. */
static double line(const char *what, double n, double seconds)
{
    printf("%-44s %10.0f /s %10.2f us each\n", what, n / seconds, seconds / n * 1e6);
    return n / seconds;
}

static struct db_args one(struct db_value *v, int64_t i)
{
    *v = (struct db_value){.type = DB_INT, .u.i = i};
    return (struct db_args){v, NULL, 1};
}

static const char get[] = "SELECT id, name, price, stock FROM item WHERE id = ?";
static const char put[] = "INSERT INTO log(at, what) VALUES(?, 'something happened')";

static double bench_inline(struct db *db, int n, int n_writes)
{
    struct db_rows *rows;
    struct db_value v;
    struct err e;
    double t = now();
    int bad = 0;

    for (int i = 0; i < n; i++) {
        struct db_args args = one(&v, (int64_t)i * 7919 % N_ROWS);
        bad += db_inline(db, get, sizeof get - 1, &args, &rows, &e) != 1 || rows->n_rows != 1;
        if (n_writes > 0 && i % (n / n_writes) == 0)
            tell(db, "UPDATE item SET stock = stock + 1 WHERE id = 5");
    }
    if (bad)
        printf("%d look-ups were not answered\n", bad);
    return line(n_writes ? "row by key, inline, a write every 50" : "row by key, inline", n, now() - t);
}

static double bench_many(struct db *db, const char *what, const char *sql, int n, int at_once,
                       enum db_what kind)
{
    struct db_req *r = calloc((size_t)at_once, sizeof *r);
    struct db_value v;
    struct err e;
    double t = now();

    for (int i = 0; i < n; i += at_once) {
        int from = n_answers;
        for (int k = 0; k < at_once; k++) {
            struct db_args args = one(&v, (int64_t)(i + k) * 7919 % N_ROWS);
            db_req_init(&r[k], kind, on_done);
            db_req_add(&r[k], sql, strlen(sql), &args, -1, &e);
            r[k].is_for_writer = 0;
            db_submit(db, &r[k]);
        }
        wait_for(from + at_once);
        for (int k = 0; k < at_once; k++)
            db_req_deinit(&r[k]);
    }
    free(r);
    return line(what, n, now() - t);
}

static double bench_fsync(const char *folder, int n)
{
    char path[600], block[4096] = "x";
    double t;
    int fd;

    snprintf(path, sizeof path, "%s/db_bench.sync", folder);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        return 0;
    t = now();
    for (int i = 0; i < n; i++)
        if (pwrite(fd, block, sizeof block, (off_t)i * 4096) < 0 || fdatasync(fd) != 0)
            break;
    close(fd);
    unlink(path);
    return line("the disk: write 4 KiB, fdatasync", n, now() - t);
}

int main(int argc, char **argv)
{
    const char *folder = argc > 1 ? argv[1] : "build";
    char path[600];
    struct db_opt opt;
    struct db_matrix m;
    struct db *db;
    struct err e;
    double t, by_key, by_reader, grouped, syncs;

    uv_loop_init(&loop);
    snprintf(path, sizeof path, "%s/db_bench.db", folder);
    unlink(path);
    db_opt_init(&opt);
    if (db_open_wait(&db, &loop, path, &opt, &e) != 0) {
        printf("%s\n", e.text);
        return 1;
    }
    tell(db, "CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, price REAL, stock INTEGER) STRICT");
    tell(db, "CREATE TABLE log(id INTEGER PRIMARY KEY, at INTEGER, what TEXT) STRICT");
    tell(db, "INSERT INTO item WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE "
             "i < 99999) SELECT i, 'item number ' || i, i * 0.25, i % 100 FROM n");
    bench_inline(db, 20000, 0);
    by_key = bench_inline(db, 500000, 0);
    bench_inline(db, 100000, 2000);
    by_reader = bench_many(db, "row by key, by a reader, one by one", get, 20000, 1, DB_QUERY);
    bench_many(db, "row by key, by readers, 64 at once", get, 64000, 64, DB_QUERY);
    bench_many(db, "insert, one by one, full sync", put, 2000, 1, DB_QUERY);
    bench_many(db, "insert, 8 at once, full sync", put, 16000, 8, DB_QUERY);
    grouped = bench_many(db, "insert, 64 at once, full sync", put, 64000, 64, DB_QUERY);
    bench_many(db, "insert, 1000 at once, full sync", put, 200000, 1000, DB_QUERY);
    syncs = bench_fsync(folder, 2000);
    t = now();
    db_matrix_init(&m, 0, "SELECT id, price, stock FROM item", 33, &(struct db_args){NULL, NULL, 0}, 1,
                   0, on_done, &e);
    db_submit(db, &m.req);
    wait_for(n_answers + 1);
    line("matrix of 3 columns, a row", (double)m.n_rows, now() - t);
    db_matrix_deinit(&m);
    printf("@figure\tdb: look-up by key, inline / by a thread, per s\t%.0f\t%.0f\t3\thigher\n", by_key,
           by_reader);
    printf("@figure\tdb: durable inserts, 64 wait / fsyncs of the disk, per s\t%.0f\t%.0f\t8\thigher\n",
           grouped, syncs);
    db_close(db);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    unlink(path);
    return 0;
}
