/*
 * golden.h - for tests that read stored cases: files, JSON and .npy arrays under $GOLDEN_DIR
 * (default tests/golden). A file that cannot be read ends the test program.
 */
#ifndef TESTS_GOLDEN_H
#define TESTS_GOLDEN_H

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "tensor/npy.h"

static char golden_dir[512];

static inline void golden_open(const char *name)
{
    const char *root = getenv("GOLDEN_DIR");

    snprintf(golden_dir, sizeof golden_dir, "%s/%s", root != NULL ? root : "tests/golden", name);
}

static inline uint8_t *golden_bytes(const char *path, size_t *bytes)
{
    char full[1024];
    FILE *f;
    uint8_t *data;
    long n;

    snprintf(full, sizeof full, "%s/%s", golden_dir, path);
    f = fopen(full, "rb");
    if (f == NULL || fseek(f, 0, SEEK_END) != 0 || (n = ftell(f)) < 0) {
        printf("%s cannot be read\n", full);
        exit(1);
    }
    rewind(f);
    data = malloc((size_t)n + 1);
    if (data == NULL || fread(data, 1, (size_t)n, f) != (size_t)n) {
        printf("%s cannot be read\n", full);
        exit(1);
    }
    data[n] = 0;
    *bytes = (size_t)n;
    fclose(f);
    return data;
}

static inline cJSON *golden_json(const char *path)
{
    size_t bytes;
    uint8_t *data = golden_bytes(path, &bytes);
    cJSON *j = cJSON_ParseWithLength((const char *)data, bytes);

    if (j == NULL) {
        printf("%s/%s is not JSON\n", golden_dir, path);
        exit(1);
    }
    free(data);
    return j;
}

/* A list of numbers; "nan", "inf" and "-inf" stand for themselves. */
static inline double golden_number(const cJSON *j)
{
    if (cJSON_IsString(j))
        return strtod(j->valuestring, NULL);
    return j != NULL && cJSON_IsNumber(j) ? j->valuedouble : NAN;
}

/* Values of an array, nested or flat, or of one number; freed by the caller. */
static inline double *golden_list(const cJSON *j, size_t *n)
{
    double *v;
    const cJSON *i;

    *n = cJSON_IsArray(j) ? (size_t)cJSON_GetArraySize(j) : 1;
    v = malloc((*n + 1) * sizeof *v);
    if (v == NULL)
        exit(1);
    if (!cJSON_IsArray(j)) {
        v[0] = golden_number(j);
    } else {
        size_t k = 0;
        cJSON_ArrayForEach(i, j) v[k++] = golden_number(i);
    }
    return v;
}

static inline float *golden_floats(const cJSON *j, size_t *n)
{
    double *d = golden_list(j, n);
    float *f = malloc((*n + 1) * sizeof *f);

    if (f == NULL)
        exit(1);
    for (size_t i = 0; i < *n; i++)
        f[i] = (float)d[i];
    free(d);
    return f;
}

static inline double *golden_npy(const char *path, size_t *n)
{
    size_t bytes;
    uint8_t *data = golden_bytes(path, &bytes);
    struct npy h;
    struct err e;
    double *v;

    if (npy_head(&h, data, bytes, &e) != 0) {
        printf("%s: %s\n", path, e.text);
        exit(1);
    }
    v = malloc((h.n + 1) * sizeof *v);
    if (v == NULL)
        exit(1);
    for (size_t i = 0; i < h.n; i++)
        v[i] = npy_value(&h, data, i);
    *n = h.n;
    free(data);
    return v;
}

#endif
