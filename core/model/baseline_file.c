/*
 * baseline_file.c - a fitted baseline as bytes and as a file. See baseline_file.h.
 */
#include "model/baseline_file.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include <zlib.h>

#include "base/mem.h"

#define MAGIC "plbase\r\n"
#define VERSION 1
#define N_WHOLE 9    /* whole numbers of the options */
#define N_REAL 7     /* real ones */
#define NAME_BYTES 32
#define HEAD_BYTES (8 + 8 + 8 + NAME_BYTES + 8 * N_WHOLE + 8 * N_REAL + 8)

static int add_u64(struct buf *b, uint64_t x, struct err *e)
{
    unsigned char bytes[8];

    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(x >> (8 * i));
    return buf_add(b, bytes, sizeof bytes, e);
}

static int add_real(struct buf *b, double x, struct err *e)
{
    uint64_t bits;

    memcpy(&bits, &x, sizeof bits);
    return add_u64(b, bits, e);
}

static uint64_t get_u64(const unsigned char **p)
{
    uint64_t x = 0;

    for (int i = 0; i < 8; i++)
        x |= (uint64_t)*(*p)++ << (8 * i);
    return x;
}

static double get_real(const unsigned char **p)
{
    uint64_t bits = get_u64(p);
    double x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

int baseline_file_write(const struct baseline_model *m, struct buf *b, struct err *e)
{
    const struct baseline_opt *o = baseline_model_opt(m);
    size_t count, n_intervals, from = b->len;
    const double *weights = baseline_model_weights(m, &count);
    const double *intervals = baseline_model_intervals(m, &n_intervals);
    const uint64_t whole[N_WHOLE] = {baseline_model_horizon(m), o->season, o->window,
                                     (uint64_t)o->interval, o->fallback != 0, o->missing_zero != 0,
                                     o->instance_norm != 0, o->series_norm != 0, 0};
    const double real[N_REAL] = {o->alpha, o->beta, o->gamma, o->phi, o->alpha_p, o->floor,
                                 o->penalty};
    char name[NAME_BYTES] = {0};
    int rc;

    memcpy(name, baseline_name(o->method), strlen(baseline_name(o->method)));
    rc = buf_add(b, MAGIC, 8, e);
    rc = rc ? rc : add_u64(b, VERSION, e);
    rc = rc ? rc : add_u64(b, HEAD_BYTES + 8 * (uint64_t)(count + n_intervals) + 8, e);
    rc = rc ? rc : buf_add(b, name, sizeof name, e);
    for (int i = 0; i < N_WHOLE && rc == 0; i++)
        rc = add_u64(b, whole[i], e);
    for (int i = 0; i < N_REAL && rc == 0; i++)
        rc = add_real(b, real[i], e);
    rc = rc ? rc : add_u64(b, count + n_intervals, e);
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = add_real(b, weights[i], e);
    for (size_t i = 0; i < n_intervals && rc == 0; i++)
        rc = add_real(b, intervals[i], e);
    if (rc == 0)
        rc = add_u64(b, crc32_z(0, (const Bytef *)b->data + from, b->len - from), e);
    if (rc != 0)
        b->len = from;
    return rc;
}

/* The options from their place; -1 when one is not what an option can be. */
static int read_opt(struct baseline_opt *o, size_t *H, const unsigned char **p, struct err *e)
{
    char name[NAME_BYTES + 1] = {0};
    uint64_t whole[N_WHOLE];

    memcpy(name, *p, NAME_BYTES);
    *p += NAME_BYTES;
    for (int i = 0; i < N_WHOLE; i++) {
        whole[i] = get_u64(p);
        if (whole[i] > 100000)
            return err_set(e, ERR_CORRUPT, "baseline file: option %d is out of range", i + 1);
    }
    *o = baseline_default(baseline_of(name));
    if (o->method == BASELINE_COUNT || whole[3] > BASELINE_ROLLING)
        return err_set(e, ERR_CORRUPT, "baseline file: no such method");
    *H = whole[0];
    o->season = whole[1];
    o->window = whole[2];
    o->interval = (enum baseline_interval)whole[3];
    o->fallback = whole[4] != 0;
    o->missing_zero = whole[5] != 0;
    o->instance_norm = whole[6] != 0;
    o->series_norm = whole[7] != 0;
    o->alpha = get_real(p);
    o->beta = get_real(p);
    o->gamma = get_real(p);
    o->phi = get_real(p);
    o->alpha_p = get_real(p);
    o->floor = get_real(p);
    o->penalty = get_real(p);
    return 0;
}

static int check_frame(const unsigned char *data, size_t bytes, struct err *e)
{
    const unsigned char *p = data + 8;
    uint64_t version, length, sum;

    if (bytes < HEAD_BYTES + 8 || memcmp(data, MAGIC, 8) != 0)
        return err_set(e, ERR_CORRUPT, "not a baseline file");
    version = get_u64(&p);
    if (version > VERSION)
        return err_set(e, ERR_UNSUPPORTED, "baseline file of version %llu, this program reads %d",
                       (unsigned long long)version, VERSION);
    length = get_u64(&p);
    if (version == 0 || length != bytes)
        return err_set(e, ERR_CORRUPT, "baseline file of %zu bytes, %llu expected", bytes,
                       (unsigned long long)length);
    p = data + bytes - 8;
    sum = get_u64(&p);
    if (sum != crc32_z(0, data, bytes - 8))
        return err_set(e, ERR_CORRUPT, "baseline file: the checksum does not match");
    return 0;
}

int baseline_file_read(struct baseline_model **out, const void *data, size_t bytes,
                       struct err *e)
{
    const unsigned char *p = (const unsigned char *)data + 24;
    struct baseline_opt o;
    double *weights;
    size_t H = 0, count;
    int rc;

    *out = NULL;
    if (check_frame(data, bytes, e) != 0 || read_opt(&o, &H, &p, e) != 0)
        return -1;
    count = get_u64(&p);
    if (count != (bytes - HEAD_BYTES - 8) / 8 || (bytes - HEAD_BYTES) % 8 != 0)
        return err_set(e, ERR_CORRUPT, "baseline file: %zu weights do not fill it", count);
    weights = mem_alloc(count * sizeof *weights);
    if (weights == NULL)
        return err_set(e, ERR_NOMEM, "no memory for %zu weights", count);
    rc = 0;
    for (size_t i = 0; i < count; i++) {
        weights[i] = get_real(&p);
        if (!isfinite(weights[i]) && rc == 0)
            rc = err_set(e, ERR_CORRUPT, "baseline file: weight %zu is not a number", i + 1);
    }
    if (rc == 0 && baseline_model_restore(out, &o, H, weights, count, e) != 0) {
        if (e != NULL && e->code != ERR_NOMEM)
            e->code = ERR_CORRUPT;
        rc = -1;
    }
    mem_free(weights);
    return rc;
}

static int check_roots(const struct file_roots *roots, const char *path, struct err *e)
{
    if (roots == NULL)
        return err_set(e, ERR_AUTH, "%s: no folder is open to scripts", path);
    return 0;
}

int baseline_file_save(const struct baseline_model *m, const struct file_roots *roots,
                       const char *path, struct err *e)
{
    struct buf b;
    int rc;

    if (check_roots(roots, path, e) != 0)
        return -1;
    buf_init(&b, BASELINE_FILE_MAX);
    rc = baseline_file_write(m, &b, e);
    if (rc == 0)
        rc = file_write(roots, path, b.data, b.len, 0, e);
    buf_deinit(&b);
    return rc;
}

int baseline_file_load(struct baseline_model **out, const struct file_roots *roots,
                       const char *path, struct err *e)
{
    struct buf b;
    int rc;

    *out = NULL;
    if (check_roots(roots, path, e) != 0)
        return -1;
    buf_init(&b, BASELINE_FILE_MAX);
    rc = file_read(roots, path, BASELINE_FILE_MAX, &b, e);
    if (rc == 0) {
        rc = baseline_file_read(out, b.data, b.len, e);
        if (rc != 0)
            err_wrap(e, "%s", path);
    }
    buf_deinit(&b);
    return rc;
}
