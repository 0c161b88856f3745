/*
 * golden_table.h - what golden tests of models share: find the fixtures, read a CSV of numbers.
 * A failure here ends the test program: without data there is nothing to check.
 */
#ifndef TESTS_GOLDEN_TABLE_H
#define TESTS_GOLDEN_TABLE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

struct table {
    int n_rows, n_cols;
    char **names;  /* NULL when the file has no header */
    double *cells; /* (n_rows, n_cols) */
    char *text;
};

static inline void golden_need(int cond, const char *what)
{
    if (!cond) {
        printf("golden data: %s\n", what);
        _Exit(1);
    }
}

static inline char *golden_path(char *out, size_t size, const char *set, const char *a, const char *b)
{
    const char *root = getenv("GOLDEN_DIR");

    snprintf(out, size, "%s/%s/%s%s%s", root != NULL ? root : "tests/golden", set, a,
             b[0] != '\0' ? "/" : "", b);
    return out;
}

static inline char *golden_text(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    char *text;
    long n;

    golden_need(f != NULL, path);
    fseek(f, 0, SEEK_END);
    n = ftell(f);
    rewind(f);
    text = malloc((size_t)n + 1);
    golden_need(text != NULL && fread(text, 1, (size_t)n, f) == (size_t)n, path);
    text[n] = '\0';
    fclose(f);
    if (len != NULL)
        *len = (size_t)n;
    return text;
}

static inline cJSON *golden_json(const char *path)
{
    char *text = golden_text(path, NULL);
    cJSON *j = cJSON_Parse(text);

    golden_need(j != NULL, path);
    free(text);
    return j;
}

static inline double golden_number(const cJSON *object, const char *name, double missing)
{
    const cJSON *x = cJSON_GetObjectItem(object, name);

    return cJSON_IsNumber(x) ? x->valuedouble : missing;
}

static inline struct table table_read(const char *path, int header)
{
    struct table t = { 0, 1, NULL, NULL, NULL };
    char *text = golden_text(path, NULL), *at = text, *line;
    size_t n = 0, cap = 1 << 16;

    t.text = text;
    t.cells = malloc(cap * sizeof *t.cells);
    for (char *p = text; *p != '\0' && *p != '\n'; p++)
        t.n_cols += *p == ',';
    if (header) {
        t.names = calloc((size_t)t.n_cols, sizeof *t.names);
        line = strsep(&at, "\n");
        line[strcspn(line, "\r")] = '\0';
        for (int c = 0; c < t.n_cols; c++)
            t.names[c] = strsep(&line, ",");
    }
    while ((line = strsep(&at, "\n")) != NULL && line[0] != '\0') {
        for (int c = 0; c < t.n_cols; c++) {
            char *end;

            if (n == cap)
                t.cells = realloc(t.cells, (cap *= 2) * sizeof *t.cells);
            t.cells[n++] = strtod(line, &end);
            golden_need(end > line && (*end == ',' || *end == '\0' || *end == '\r'), path);
            line = end + (*end == ',');
        }
        t.n_rows++;
    }
    golden_need(t.n_rows > 0, path);
    return t;
}

static inline void table_free(struct table *t)
{
    free(t->cells);
    free(t->names);
    free(t->text);
}

static inline int table_col(const struct table *t, const char *name)
{
    for (int c = 0; c < t->n_cols; c++)
        if (strcmp(t->names[c], name) == 0)
            return c;
    printf("no column %s\n", name);
    golden_need(0, name);
    return -1;
}

#endif
