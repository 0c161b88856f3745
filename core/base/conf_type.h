/*
 * conf_type.h - one value of a setting: its text read as the type the table says. Used by conf.c
 * alone; everybody else asks conf.h.
 */
#ifndef BASE_CONF_TYPE_H
#define BASE_CONF_TYPE_H

#include <stddef.h>

#include "base/conf.h"

struct conf_type_value {
    char *text;      /* what was found; NULL: the default */
    char *where;     /* NULL: "default" */
    char *path;      /* CONF_PATH with ~ replaced, or NULL */
    char **items;    /* CONF_LIST: one block for pointers and texts */
    size_t n_items;
    double number;   /* BOOL, INT, NUMBER, SIZE, SECONDS */
    enum conf_origin origin;
    int is_parsed;
};

/*
 * Reads `text` as d's type into v, which is fresh. NULL when it fits, else what was expected: a
 * static text, or one put into `room`. v is to be freed either way.
 */
const char *conf_type_parse(const struct conf_def *d, struct conf_type_value *v, const char *text,
                            char *room, size_t bytes);

void conf_type_free(struct conf_type_value *v);

#endif
