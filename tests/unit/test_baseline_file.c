/*
 * test_baseline_file.c - a model as bytes: as it was, or refused; never a crash.
 */
#include "check.h"

#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "model/baseline_file.h"

enum { N = 3, T = 30, H = 2 };

static double data[N * T];
static const struct baseline_block block = {.d = data, .N = N, .T = T, .stride = T};

static struct baseline_model *fitted(enum baseline_method method)
{
    struct baseline_opt o = baseline_default(method);
    struct baseline_model *m = NULL;
    struct err e;

    o.window = 4;
    o.season = 4;
    o.alpha = 0.3;
    o.floor = 0;
    o.fallback = 1;
    o.instance_norm = 1;
    CHECK_INT(baseline_model_fit(&m, &o, H, &block, NULL, &e), 0);
    return m;
}

static void forecast(const struct baseline_model *m, double *out)
{
    struct baseline_out to = {.mean_d = out};
    struct err e;

    CHECK_INT(baseline_model_predict(m, &block, 0, N, H, NULL, 0, &to, NULL, &e), 0);
}

static void test_round(enum baseline_method method)
{
    struct baseline_model *m = fitted(method), *back = NULL;
    double a[N * H], b[N * H];
    struct buf bytes;
    struct err e;

    buf_init(&bytes, BASELINE_FILE_MAX);
    CHECK_INT(baseline_file_write(m, &bytes, &e), 0);
    CHECK_INT(baseline_file_read(&back, bytes.data, bytes.len, &e), 0);
    forecast(m, a);
    forecast(back, b);
    CHECK_INT(memcmp(a, b, sizeof a), 0);
    CHECK_INT(baseline_model_horizon(back), H);
    CHECK_INT(baseline_model_opt(back)->method, method);
    baseline_model_free(back);
    baseline_model_free(m);
    buf_deinit(&bytes);
}

/* Every length but the right one, and every byte changed, is refused. */
static void test_damage(void)
{
    struct baseline_model *m = fitted(BASELINE_RIDGE), *back = NULL;
    struct buf b;
    struct err e;

    buf_init(&b, BASELINE_FILE_MAX);
    CHECK_INT(baseline_file_write(m, &b, &e), 0);
    for (size_t n = 0; n < b.len; n++) {
        char *copy = malloc(n + 1); /* exactly as long: reading past it is seen */

        memcpy(copy, b.data, n);
        CHECK_INT(baseline_file_read(&back, copy, n, &e), -1);
        CHECK_STR(err_name(e.code), "corrupt");
        free(copy);
    }
    for (size_t i = 0; i < b.len; i++) {
        b.data[i] = (char)(b.data[i] ^ 0x40);
        CHECK_INT(baseline_file_read(&back, b.data, b.len, &e), -1);
        CHECK(e.code == ERR_CORRUPT || (e.code == ERR_UNSUPPORTED && i >= 8 && i < 16));
        b.data[i] = (char)(b.data[i] ^ 0x40);
    }
    CHECK(back == NULL);
    baseline_model_free(m);
    buf_deinit(&b);
}

static void test_file(void)
{
    struct baseline_model *m = fitted(BASELINE_RIDGE), *back = NULL;
    struct file_roots *roots = file_roots_new();
    char folder[] = "/tmp/test_baseline_XXXXXX", path[64];
    double a[N * H], b[N * H];
    struct err e;

    CHECK(mkdtemp(folder) != NULL && roots != NULL);
    CHECK_INT(file_roots_add(roots, folder, 1, &e), 0);
    snprintf(path, sizeof path, "%s/model", folder);
    CHECK_INT(baseline_file_save(m, roots, path, &e), 0);
    CHECK_INT(baseline_file_load(&back, roots, path, &e), 0);
    forecast(m, a);
    forecast(back, b);
    CHECK_INT(memcmp(a, b, sizeof a), 0);
    baseline_model_free(back);
    unlink(path);
    CHECK_INT(baseline_file_load(&back, roots, path, &e), -1);
    CHECK_STR(err_name(e.code), "notfound");
    CHECK_INT(baseline_file_save(m, roots, "/etc/model", &e), -1);
    CHECK_STR(err_name(e.code), "auth");
    CHECK_INT(baseline_file_save(m, NULL, path, &e), -1);
    CHECK_STR(err_name(e.code), "auth");
    rmdir(folder);
    file_roots_free(roots);
    baseline_model_free(m);
}

static void test_no_memory(void)
{
    struct baseline_model *m = fitted(BASELINE_RIDGE), *back = NULL;
    size_t live;
    struct buf b;
    struct err e;

    buf_init(&b, BASELINE_FILE_MAX);
    CHECK_INT(baseline_file_write(m, &b, &e), 0);
    live = mem_live();
    for (size_t at = 1; at < 9; at++) {
        mem_fail_at(at);
        int rc = baseline_file_read(&back, b.data, b.len, &e);
        mem_fail_at(0);
        CHECK(rc == 0 || (e.code == ERR_NOMEM && back == NULL));
        CHECK(rc != 0 || at > 2);
        baseline_model_free(back);
        back = NULL;
        CHECK_INT(mem_live(), live);
    }
    baseline_model_free(m);
    buf_deinit(&b);
}

int main(void)
{
    uint32_t x = 1;

    for (int i = 0; i < N * T; i++) {
        x = x * 1664525u + 1013904223u;
        data[i] = 5 + (double)(x >> 24) / 64;
    }
    for (int method = 0; method < BASELINE_COUNT; method++)
        test_round((enum baseline_method)method);
    test_damage();
    test_file();
    test_no_memory();
    return check_done();
}
