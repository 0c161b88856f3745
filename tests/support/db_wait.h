/*
 * db_wait.h - for C tests of the db room: runs a request and the loop until it is answered.
 */
#ifndef TESTS_DB_WAIT_H
#define TESTS_DB_WAIT_H

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "check.h"
#include "db/db.h"

static uv_loop_t loop;
static int n_answers; /* done calls so far */

static void count_answer(struct db_req *r)
{
    (void)r;
    n_answers++;
}

static inline void turn(void)
{
    uv_run(&loop, UV_RUN_ONCE);
}

static inline void wait_for(int answers)
{
    while (n_answers < answers)
        turn();
}

/* A fresh folder for one test program. */
static inline const char *test_folder(void)
{
    static char name[] = "/tmp/plastinka-db-XXXXXX";
    static int is_made;

    if (!is_made && mkdtemp(name) == NULL)
        perror("mkdtemp");
    is_made = 1;
    return name;
}

static inline const char *test_path(const char *file)
{
    static char path[4][256];
    static int at;

    at = (at + 1) % 4;
    snprintf(path[at], sizeof path[at], "%s/%s", test_folder(), file);
    return path[at];
}

static inline void test_folder_remove(void)
{
    char cmd[300];

    snprintf(cmd, sizeof cmd, "rm -rf '%s'", test_folder());
    if (system(cmd) != 0)
        perror(cmd);
}

/* One statement without arguments, or a script; the request is left for the caller to look at. */
static inline int ask(struct db *db, struct db_req *r, enum db_what what, uint64_t tx, const char *sql)
{
    struct err e;

    db_req_init(r, what, count_answer);
    r->tx = tx;
    if (sql != NULL && db_req_add(r, sql, strlen(sql), NULL, -1, &e) != 0) {
        printf("ask: %s\n", e.text);
        return -1;
    }
    db_submit(db, r);
    wait_for(n_answers + 1);
    return r->status;
}

/* The same, thrown away. */
static inline enum err_code tell_in(struct db *db, uint64_t tx, enum db_what what, const char *sql)
{
    struct db_req r;
    int rc = ask(db, &r, what, tx, sql);

    db_req_deinit(&r);
    return rc == 0 ? ERR_NONE : r.err.code;
}

static inline enum err_code tell(struct db *db, const char *sql)
{
    return tell_in(db, 0, DB_QUERY, sql);
}

/* The whole number a query finds in its first cell; -1 for an error, -2 for nothing. */
static inline long long number_in(struct db *db, uint64_t tx, const char *sql)
{
    struct db_req r;
    long long n = ask(db, &r, DB_QUERY, tx, sql) != 0 ? -1 : -2;

    if (n == -1)
        printf("%s: %s\n", sql, r.err.text);
    if (n == -2 && r.steps->rows.n_rows > 0 && r.steps->rows.cells[0].type == DB_INT)
        n = r.steps->rows.cells[0].u.i;
    db_req_deinit(&r);
    return n;
}

static inline long long number(struct db *db, const char *sql)
{
    return number_in(db, 0, sql);
}

static inline struct db *open_test(const char *path, const struct db_opt *opt)
{
    struct db_opt o;
    struct db *db;
    struct err e;

    db_opt_init(&o);
    if (opt == NULL) {
        o.sync = DB_SYNC_NORMAL;
        opt = &o;
    }
    if (db_open_wait(&db, &loop, path, opt, &e) != 0) {
        printf("open %s: %s\n", path, e.text);
        return NULL;
    }
    return db;
}

/* Closes and turns the loop until nothing of it is left. */
static inline void close_test(struct db *db)
{
    db_close(db);
    uv_run(&loop, UV_RUN_DEFAULT);
}

#endif
