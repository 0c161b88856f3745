/*
 * sheet_bench.c - one table file into an SQLite table, timed. Driven by sheet_bench.py.
 *
 *     sheet_bench FILE [DB]      cells, seconds (processor time) and peak memory as one JSON line
 */
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "sheet/sheet_load.h"

static double seconds(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    const char *path = argc > 2 ? argv[2] : ":memory:";
    struct sheet_load what = { .path = argv[1], .table = "t" };
    sqlite3 *db;
    struct sheet_loaded out;
    struct rusage use;
    struct err e;

    if (argc < 2)
        return 2;
    unlink(path);
    if (sqlite3_open(path, &db) != SQLITE_OK ||
        sqlite3_exec(db, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF", NULL, NULL, NULL) !=
            SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", path, sqlite3_errmsg(db));
        return 1;
    }
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), wall = seconds(CLOCK_MONOTONIC);
    if (sheet_load(&what, db, &out, &e) != 0) {
        fprintf(stderr, "%s: %s: %s\n", argv[1], sheet_fault_name(out.trouble.fault), e.text);
        return 1;
    }
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    wall = seconds(CLOCK_MONOTONIC) - wall;
    getrusage(RUSAGE_SELF, &use);
    printf("{\"rows\": %lld, \"cells\": %lld, \"cpu_s\": %.4f, \"wall_s\": %.4f, \"cells_per_s\": "
           "%.0f, \"peak_mib\": %.1f}\n",
           (long long)out.n_rows, (long long)out.n_cells, cpu, wall, (double)out.n_cells / cpu,
           (double)use.ru_maxrss / 1024);
    sheet_loaded_deinit(&out);
    sqlite3_close(db);
    return 0;
}
