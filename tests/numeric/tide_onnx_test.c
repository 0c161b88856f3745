/*
 * tide_onnx_test.c - exporting a TiDE: memory that ends at every point, places that cannot be
 * written. What is in the file is checked by tests/server/test_onnx.py.
 */
#include "check.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "model/tide_onnx.h"

int main(void)
{
    struct tide_conf c;
    struct tide *t;
    struct err e;
    char path[64];
    size_t live = mem_live();
    int n = 1, rc = -1;

    tide_conf_init(&c);
    c.input_chunk = 6;
    c.output_chunk = 2;
    c.n_targets = 2;
    c.past_cov = c.future_cov = c.static_cov = 2;
    c.layer_norm = c.rin = 1;
    c.hidden = 8;
    CHECK(tide_new(&t, &c, 1, &e) == 0);
    snprintf(path, sizeof path, "/tmp/tide_onnx_test.%d", (int)getpid());
    for (; rc != 0 && n < 2000; n++) {
        size_t before = mem_live();
        mem_fail_at((size_t)n);
        rc = tide_onnx_save(t, TIDE_SCALE_LOG_MINMAX, 0, 1, path, &e);
        mem_fail_at(0);
        CHECK(rc == 0 || e.code == ERR_NOMEM);
        CHECK(rc == 0 || access(path, F_OK) != 0);
        CHECK_INT(mem_live(), before);
    }
    CHECK(rc == 0 && n > 5);
    CHECK(access(path, R_OK) == 0);
    unlink(path);
    CHECK(tide_onnx_save(t, TIDE_SCALE_NONE, 0, 1, "/tmp/no such folder/x.onnx", &e) == -1);
    CHECK(e.code == ERR_NOTFOUND || e.code == ERR_IO);
    tide_free(t);
    CHECK_INT(mem_live(), live);
    return check_done();
}
