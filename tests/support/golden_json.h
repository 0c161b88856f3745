/*
 * golden_json.h - reading golden files: $GOLDEN_DIR/NAME (default tests/golden), JSON, arrays as
 * {shape, data} or plain lists, "inf", "-inf" and "nan" as strings, null = not defined (NaN here).
 */
#ifndef TESTS_GOLDEN_JSON_H
#define TESTS_GOLDEN_JSON_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

/* $GOLDEN_DIR/dir/file as text, or NULL after saying why. free() it. */
static inline char *golden_text(const char *dir, const char *file)
{
    const char *root = getenv("GOLDEN_DIR");
    char path[1024], *text = NULL;
    long size;
    FILE *f;

    snprintf(path, sizeof path, "%s/%s/%s", root ? root : "tests/golden", dir, file);
    f = fopen(path, "rb");
    if (f == NULL || fseek(f, 0, SEEK_END) != 0 || (size = ftell(f)) < 0 ||
        fseek(f, 0, SEEK_SET) != 0) {
        printf("%s: cannot be read\n", path);
    } else {
        text = calloc((size_t)size + 1, 1);
        if (text != NULL && fread(text, 1, (size_t)size, f) != (size_t)size) {
            free(text);
            text = NULL;
        }
    }
    if (f != NULL)
        fclose(f);
    return text;
}

static inline cJSON *golden_open(const char *dir, const char *file)
{
    char *text = golden_text(dir, file);
    cJSON *json = text ? cJSON_Parse(text) : NULL;

    if (text != NULL && json == NULL)
        printf("%s/%s: not JSON\n", dir, file);
    free(text);
    return json;
}

static inline double golden_number(const cJSON *item)
{
    const char *s = cJSON_GetStringValue(item);

    if (cJSON_IsNumber(item))
        return item->valuedouble;
    if (s != NULL && strcmp(s, "inf") == 0)
        return INFINITY;
    if (s != NULL && strcmp(s, "-inf") == 0)
        return -INFINITY;
    return NAN;
}

static inline double golden_field(const cJSON *object, const char *name, double absent)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    return item != NULL ? golden_number(item) : absent;
}

static inline const char *golden_name(const cJSON *object, const char *name)
{
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));

    return s != NULL ? s : "";
}

/* A list, or {shape, data}, as fresh doubles; *n numbers. NULL when there is no such array. */
static inline double *golden_array(const cJSON *object, const char *name, size_t *n)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name), *one;
    double *out;

    *n = 0;
    if (cJSON_IsObject(item))
        item = cJSON_GetObjectItemCaseSensitive(item, "data");
    if (!cJSON_IsArray(item))
        return NULL;
    out = calloc((size_t)cJSON_GetArraySize(item) + 1, sizeof *out);
    if (out != NULL)
        cJSON_ArrayForEach(one, item) out[(*n)++] = golden_number(one);
    return out;
}

/* Entry `i` of the shape of an array; 0 when it has none. */
static inline size_t golden_shape(const cJSON *object, const char *name, int i)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    const cJSON *shape = cJSON_GetObjectItemCaseSensitive(item, "shape");
    const cJSON *one = cJSON_GetArrayItem(shape, i);

    return one != NULL ? (size_t)one->valuedouble : 0;
}

static inline float *golden_floats(const double *x, size_t n)
{
    float *out = calloc(n + 1, sizeof *out);

    for (size_t i = 0; out != NULL && i < n; i++)
        out[i] = (float)x[i];
    return out;
}

/* Equal within rel * max(floor, |expected|); infinities and NaN only equal themselves. */
static inline int golden_near(double found, double expected, double rel, double floor_)
{
    if (isnan(expected))
        return isnan(found);
    if (isinf(expected))
        return found == expected;
    return fabs(found - expected) <= fmax(rel * fabs(expected), floor_);
}

#endif
