/*
 * test_npy.c - .npy files written and read back, every kind of number, and broken ones.
 */
#include "check.h"

#include "base/mem.h"
#include "tensor/npy.h"

static size_t build(uint8_t *out, int version, const char *dict, const void *data, size_t bytes)
{
    size_t n = strlen(dict), at = version == 1 ? 10 : 12;

    memcpy(out, "\x93NUMPY", 6);
    out[6] = (uint8_t)version;
    out[7] = 0;
    memset(out + 8, 0, 4);
    out[8] = (uint8_t)n;
    memcpy(out + at, dict, n);
    memcpy(out + at + n, data, bytes);
    return at + n + bytes;
}

static void round_trip(void)
{
    ptrdiff_t shape[2] = {3, 5};
    struct tensor *t, *v, *back;
    struct err e;
    struct buf b;

    CHECK(tensor_new(&t, 2, shape, &e) == 0);
    for (int i = 0; i < 15; i++)
        t->data[i] = (float)i / 4;
    CHECK(tensor_swap(&v, t, 0, 1, &e) == 0);
    buf_init(&b, 4096);
    CHECK(npy_write(&b, v, &e) == 0);
    CHECK_INT((b.len - 15 * 4) % 64, 0);
    CHECK(npy_parse(&back, (const uint8_t *)b.data, b.len, &e) == 0);
    CHECK(back->n_dims == 2 && back->shape[0] == 5 && back->shape[1] == 3);
    CHECK(back->data[1] == 1.25f && back->data[3] == 0.25f);
    tensor_free(back);
    for (size_t n = 0; n < b.len; n++) {
        CHECK(npy_parse(&back, (const uint8_t *)b.data, n, &e) == -1 && back == NULL);
        tensor_free(back);
    }
    buf_deinit(&b);
    buf_init(&b, 100);
    CHECK(npy_write(&b, v, &e) == -1 && e.code == ERR_LIMIT);
    buf_deinit(&b);
    tensor_free(t);
    tensor_free(v);
}

static void kinds(void)
{
    uint8_t file[512];
    int16_t i2[4] = {-1, 2, -300, 4};
    uint8_t u1[4] = {255, 0, 1, 2};
    double f8[4] = {0.5, -1.25, 3, 1e300};
    int64_t i8[4] = {-5000000000, 1, 2, 3};
    struct tensor *t;
    struct err e;
    size_t n;

    n = build(file, 1, "{'descr': '<i2', 'fortran_order': True, 'shape': (2, 2), }", i2, 8);
    CHECK(npy_parse(&t, file, n, &e) == 0);
    CHECK(t->data[0] == -1 && t->data[1] == -300 && t->data[2] == 2 && t->data[3] == 4);
    tensor_free(t);
    n = build(file, 2, "{'shape':(4,),'fortran_order':False,'descr':'|u1'}", u1, 4);
    CHECK(npy_parse(&t, file, n, &e) == 0);
    CHECK(t->n_dims == 1 && t->data[0] == 255);
    tensor_free(t);
    n = build(file, 3, "{\"descr\": '<f8', 'fortran_order': False, 'shape': (1,4)}", f8, 32);
    CHECK(npy_parse(&t, file, n, &e) == 0);
    CHECK(t->data[1] == -1.25f && isinf(t->data[3]));
    tensor_free(t);
    n = build(file, 1, "{'descr': '<i8', 'fortran_order': False, 'shape': (4,)}", i8, 32);
    CHECK(npy_parse(&t, file, n, &e) == 0);
    CHECK(t->data[0] == -5e9f);
    tensor_free(t);
    n = build(file, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': ()}", f8, 4);
    CHECK(npy_parse(&t, file, n, &e) == 0 && t->n_dims == 0);
    tensor_free(t);
}

static void refused(void)
{
    static const struct {
        const char *dict;
        enum err_code code;
    } bad[] = {
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (1,)}", ERR_UNSUPPORTED},
        {"{'descr': '<f2', 'fortran_order': False, 'shape': (1,)}", ERR_UNSUPPORTED},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", ERR_UNSUPPORTED},
        {"{'descr': '<f4', 'fortran_order': No, 'shape': (1,)}", ERR_PARSE},
        {"{'descr': '<f4', 'fortran_order': False}", ERR_PARSE},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", ERR_PARSE},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999999999999999,)}",
         ERR_LIMIT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999999, 9999999999999)}",
         ERR_LIMIT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1)}", ERR_LIMIT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (5,)}", ERR_PARSE},
        {"{'other': 1}", ERR_PARSE},
        {"[]", ERR_PARSE},
    };
    uint8_t file[512], zero[8] = {0};
    struct tensor *t;
    struct err e;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t n = build(file, 1, bad[i].dict, zero, 8);
        CHECK(npy_parse(&t, file, n, &e) == -1);
        CHECK_STR(err_name(e.code), err_name(bad[i].code));
    }
    CHECK(npy_parse(&t, (const uint8_t *)"PK\3\4abcdefghijkl", 16, &e) == -1);
}

int main(void)
{
    size_t live = mem_live();

    round_trip();
    kinds();
    refused();
    CHECK_INT(mem_live(), live);
    return check_done();
}
