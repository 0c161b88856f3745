/*
 * sheet_bench.c - table files against the clock. Without arguments it runs sheet_peers.py, which calls it
 * for one thing at a time, each in a process of its own, so that peaks of memory mean something:
 *
 *     load FILE DB      into a table of an SQLite database
 *     scan FILE         all rows of a file, stored nowhere
 *     expat FILE        a workbook's first sheet through expat with empty callbacks, for comparison
 *     make ROWS FILE    a workbook of that many rows x 8 columns
 *
 * Each prints rows, cells, seconds of processor time and peak memory as one line of JSON.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "sheet/sheet_load.h"
#include "sheet/sheet_write.h"
#include "sheet/xlsx_book.h"
#include "sheet/xml_part.h"

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int report(long long rows, long long cells, double cpu)
{
    struct rusage use;

    getrusage(RUSAGE_SELF, &use);
    printf("{\"rows\": %lld, \"cells\": %lld, \"cpu_s\": %.4f, \"peak_mib\": %.1f}\n", rows, cells,
           cpu, (double)use.ru_maxrss / 1024);
    return 0;
}

static int fail(const char *path, const struct err *e)
{
    fprintf(stderr, "%s: %s\n", path, e->text);
    return 1;
}

static int load(const char *file, const char *path)
{
    struct sheet_load what = { .path = file, .table = "t" };
    struct sheet_loaded out;
    struct err e;
    sqlite3 *db;

    unlink(path);
    if (sqlite3_open(path, &db) != SQLITE_OK ||
        sqlite3_exec(db, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF", NULL, NULL, NULL) !=
            SQLITE_OK)
        return 1;
    double cpu = seconds();
    if (sheet_load(&what, db, &out, &e) != 0)
        return fail(file, &e);
    report(out.n_rows, out.n_cells, seconds() - cpu);
    sheet_loaded_deinit(&out);
    return sqlite3_close(db) != SQLITE_OK;
}

static int scan(const char *file)
{
    struct sheet_trouble t;
    struct sheet *s;
    struct sheet_row row;
    struct err e;
    long long rows = 0, cells = 0;
    double cpu = seconds();

    sheet_trouble_init(&t);
    if (sheet_open(&s, file, NULL, &t, &e) != 0)
        return fail(file, &e);
    while (sheet_next_row(s, &row, &t, &e) == 1) {
        rows++;
        cells += row.n_cells;
    }
    sheet_close(s);
    sheet_trouble_deinit(&t);
    return report(rows, cells, seconds() - cpu);
}

static int on_open(void *arg, const char *name, const char **attrs, struct err *e)
{
    (void)attrs, (void)e;
    *(long long *)arg += strcmp(name, "c") == 0;
    return 0;
}

static int expat(const char *file)
{
    static const struct xml_part_calls CALLS = { on_open, NULL };
    struct xlsx_book book;
    struct err e;
    long long cells = 0;
    double cpu = seconds();

    if (xlsx_book_open(&book, file, &e) != 0 ||
        xml_part_parse(book.zip, book.sheets[0].part, &CALLS, &cells, &e) != 0)
        return fail(file, &e);
    xlsx_book_close(&book);
    return report(0, cells, seconds() - cpu);
}

static int make(const char *rows, const char *file)
{
    static const struct sheet_write_column COLUMNS[] = {
        { "invoice", SHEET_STYLE_PLAIN, 0 }, { "code", SHEET_STYLE_PLAIN, 0 },
        { "text", SHEET_STYLE_PLAIN, 0 },    { "count", SHEET_STYLE_WHOLE, 0 },
        { "sold", SHEET_STYLE_TIME, 0 },     { "price", SHEET_STYLE_MONEY, 0 },
        { "customer", SHEET_STYLE_WHOLE, 0 }, { "country", SHEET_STYLE_PLAIN, 0 },
    };
    struct sheet_write_options o = { .columns = COLUMNS, .n_columns = 8 };
    struct sheet_write *w;
    sqlite3_stmt *st;
    struct err e;
    sqlite3 *db;
    double cpu = seconds();
    long long n;

    if (sqlite3_open(":memory:", &db) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
                               "WHERE i < ?1) SELECT 'A' || (i / 20), 'code ' || (i * 7919 % 4000), "
                               "'A thing of kind ' || (i * 7919 % 4000), i % 24, "
                               "datetime(1291190400 + i * 60, 'unixepoch'), (i % 999) / 100.0, "
                               "12000 + i % 4372, 'Country ' || (i % 38) FROM n", -1, &st, NULL) !=
            SQLITE_OK)
        return 1;
    sqlite3_bind_int64(st, 1, strtoll(rows, NULL, 10));
    if (sheet_write_open(&w, file, &o, &e) != 0)
        return fail(file, &e);
    n = sheet_write_rows(w, st, NULL, NULL, &e);
    if (n < 0 || sheet_write_close(w, &e) != 0)
        return fail(file, &e);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return report(n, n * 8, seconds() - cpu);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "load") == 0)
        return load(argv[2], argv[3]);
    if (argc == 3 && strcmp(argv[1], "scan") == 0)
        return scan(argv[2]);
    if (argc == 3 && strcmp(argv[1], "expat") == 0)
        return expat(argv[2]);
    if (argc == 4 && strcmp(argv[1], "make") == 0)
        return make(argv[2], argv[3]);
    execlp("python3", "python3", "tests/bench/sheet_peers.py", argv[0], (char *)NULL);
    perror("python3");
    return 1;
}
