/*
 * xml_part.h - reads one small XML part of a workbook with expat, element by element.
 *
 * Document types are refused. Names of elements and attributes come without their prefix.
 */
#ifndef SHEET_XML_PART_H
#define SHEET_XML_PART_H

#include "base/err.h"
#include "sheet/zip_part.h"

struct xml_part_calls {
    /* attrs: name, value, …, NULL. Not 0: stop, *e has been filled. */
    int (*on_open)(void *arg, const char *name, const char **attrs, struct err *e);
    void (*on_close)(void *arg, const char *name); /* may be NULL */
};

/* -1: what reading or a call said; `parse` for what is not XML. */
int xml_part_parse(struct zip_box *box, const char *part, const struct xml_part_calls *calls,
                   void *arg, struct err *e);

/* The value of an attribute, or NULL. */
const char *xml_part_attr(const char **attrs, const char *name);

/* "1", "true" and "on" are true. */
int xml_part_is_true(const char *value);

#endif
