/*
 * test_model_file.c - model files: there and back, cut at every length, every bit flipped, a
 * version from the future.
 */
#include "check.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "model/tide_file.h"

static uint8_t *read_all(const char *path, size_t *bytes)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = malloc(1 << 20);

    if (f == NULL || data == NULL)
        exit(1);
    *bytes = fread(data, 1, 1 << 20, f);
    fclose(f);
    return data;
}

int main(void)
{
    struct model_section s[2] = {{"one", "abc", 3}, {"two", "0123456789", 10}};
    struct model_file f;
    struct tide_conf c;
    struct tide *t, *back;
    struct err e;
    char path[64];
    size_t bytes, live = mem_live();

    snprintf(path, sizeof path, "/tmp/test_model_file.%d", (int)getpid());
    CHECK(model_file_save(path, s, 2, &e) == 0);
    CHECK(model_file_open(&f, path, &e) == 0);
    CHECK_INT(f.n, 2);
    CHECK(model_file_find(&f, "two")->bytes == 10 &&
          memcmp(model_file_find(&f, "two")->data, "0123456789", 10) == 0);
    CHECK(((uintptr_t)model_file_find(&f, "two")->data) % 64 == 0);
    CHECK(model_file_find(&f, "three") == NULL);
    model_file_close(&f);
    model_file_close(&f);
    CHECK(model_file_save("/nowhere/at/all", s, 2, &e) == -1 && e.code == ERR_NOTFOUND);
    CHECK(model_file_open(&f, "/nowhere/at/all", &e) == -1 && e.code == ERR_NOTFOUND);

    uint8_t *data = read_all(path, &bytes), *copy = malloc(bytes + 1);
    if (copy == NULL)
        return 1;
    for (size_t n = 0; n < bytes; n++)
        CHECK(model_file_parse(&f, data, n, &e) == -1 && e.code == ERR_CORRUPT);
    for (size_t i = 0; i < bytes * 8; i++) {
        memcpy(copy, data, bytes);
        copy[i / 8] ^= (uint8_t)(1u << (i % 8));
        int rc = model_file_parse(&f, copy, bytes, &e);
        /* the filling between sections and the reserved words carry nothing */
        CHECK(rc == -1 || (i / 8 >= 28 && i / 8 < 32) || i / 8 >= 32);
        if (rc == 0)
            CHECK(memcmp(f.sections[0].data, "abc", 3) == 0 &&
                  memcmp(f.sections[1].data, "0123456789", 10) == 0);
    }
    memcpy(copy, data, bytes);
    copy[8] = 2;
    CHECK(model_file_parse(&f, copy, bytes, &e) == -1 && e.code == ERR_UNSUPPORTED);
    memcpy(copy, data, bytes);
    copy[bytes] = 0;
    CHECK(model_file_parse(&f, copy, bytes + 1, &e) == -1 && e.code == ERR_CORRUPT);
    free(data);
    free(copy);

    /* a whole model, its parameters not finite, or not enough of them */
    tide_conf_init(&c);
    c.input_chunk = 4;
    c.output_chunk = 1;
    c.hidden = 4;
    CHECK(tide_new(&t, &c, 1, &e) == 0);
    t->params[3] = NAN;
    CHECK(tide_save(t, path, NULL, 0, &e) == 0);
    CHECK(model_file_open(&f, path, &e) == 0);
    CHECK(tide_open(&back, &f, &e) == -1 && e.code == ERR_NAN && back == NULL);
    model_file_close(&f);
    tide_free(t);
    CHECK(model_file_save(path, s, 2, &e) == 0);
    CHECK(model_file_open(&f, path, &e) == 0);
    CHECK(tide_open(&back, &f, &e) == -1 && e.code == ERR_CORRUPT);
    model_file_close(&f);
    unlink(path);
    CHECK_INT(mem_live(), live);
    return check_done();
}
