/*
 * conf_type.c - the types of settings. See conf_type.h.
 */
#include "base/conf_type.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

#define LIST_MAX 256

void conf_type_free(struct conf_type_value *v)
{
    mem_free(v->text);
    mem_free(v->where);
    mem_free(v->path);
    mem_free(v->items);
    *v = (struct conf_type_value){ 0 };
}

static int parse_bool(const char *s, double *out)
{
    static const char *const words[] = { "false", "true", "no", "yes", "off", "on", "0", "1" };

    for (size_t i = 0; i < 8; i++) {
        if (strcasecmp(s, words[i]) == 0) {
            *out = (double)(i & 1);
            return 0;
        }
    }
    return -1;
}

struct suffix {
    const char *name;
    double factor;
};

static const struct suffix SIZES[] = {
    { "", 1 },          { "B", 1 },           { "K", 1024 },       { "KiB", 1024 },
    { "M", 1048576 },   { "MiB", 1048576 },   { "G", 1073741824 }, { "GiB", 1073741824 },
    { "T", 1099511627776 }, { "TiB", 1099511627776 },
    { "kB", 1e3 },      { "KB", 1e3 },        { "MB", 1e6 },       { "GB", 1e9 },
    { NULL, 0 },
};
static const struct suffix TIMES[] = {
    { "", 1 }, { "s", 1 }, { "ms", 1e-3 }, { "m", 60 }, { "min", 60 }, { "h", 3600 },
    { "d", 86400 }, { NULL, 0 },
};
static const struct suffix NONE[] = { { "", 1 }, { NULL, 0 } };

/* Plain decimal numbers only: no hex, no "inf", no leading blanks, all of which strtod would take. */
static int parse_number(const char *s, const struct suffix *suffixes, double *out)
{
    char *end;

    if (strspn(s, "+-.0123456789") == 0 || s[strspn(s, "+-")] == '\0' || strchr(s, 'x') ||
        strchr(s, 'X'))
        return -1;
    double v = strtod(s, &end);
    if (end == s || !isfinite(v))
        return -1;
    while (*end == ' ')
        end++;
    for (; suffixes->name != NULL; suffixes++) {
        if (strcmp(end, suffixes->name) == 0) {
            *out = v * suffixes->factor;
            return isfinite(*out) ? 0 : -1;
        }
    }
    return -1;
}

static int is_choice(const char *word, const char *choices)
{
    size_t n = strlen(word);

    while (n > 0 && choices != NULL) {
        if (strncasecmp(choices, word, n) == 0 && (choices[n] == '|' || choices[n] == '\0'))
            return 1;
        choices = strchr(choices, '|');
        choices = choices ? choices + 1 : NULL;
    }
    return 0;
}

static const char *skip_blank(const char *s)
{
    while (*s == ' ' || *s == '\t')
        s++;
    return s;
}

/* One item of a list from *s into `to` (at least as long as the text). NULL, or what is wrong. */
static const char *list_item(const char **s, char **to, int quoted)
{
    const char *p = *s;
    char *o = *to;

    if (quoted) {
        if (*p != '"')
            return "a text in double quotes";
        for (p++; *p != '"' && *p != '\0'; p++) {
            if (*p == '\\' && (p[1] == '"' || p[1] == '\\' || p[1] == '/'))
                p++;
            *o++ = *p;
        }
        if (*p++ != '"')
            return "a closing quote";
    } else {
        while (*p != ',' && *p != '\0')
            *o++ = *p++;
        while (o > *to && (o[-1] == ' ' || o[-1] == '\t'))
            o--;
    }
    *o++ = '\0';
    *to = o;
    *s = skip_blank(p);
    return NULL;
}

/* Cuts `text` into v->items. NULL, or what was expected. */
static const char *parse_list(struct conf_type_value *v, const char *text)
{
    const char *s = skip_blank(text), *wrong = NULL;
    int is_json = *s == '[';

    v->items = mem_alloc(LIST_MAX * sizeof *v->items + strlen(text) + 2);
    if (v->items == NULL)
        return "more memory";
    char *to = (char *)(v->items + LIST_MAX);
    if (is_json)
        s = skip_blank(s + 1);
    while (*s != '\0' && *s != ']') {
        if (v->n_items == LIST_MAX)
            return "at most 256 items";
        v->items[v->n_items] = to;
        if ((wrong = list_item(&s, &to, is_json)) != NULL)
            return wrong;
        if (v->items[v->n_items][0] != '\0' || is_json)
            v->n_items++;
        if (*s == ',')
            s = skip_blank(s + 1);
        else if (is_json && *s != ']')
            return "a comma or ] behind each item";
        else if (!is_json)
            break;
    }
    if (is_json && (*s != ']' || *skip_blank(s + 1) != '\0'))
        return "a list that ends with ]";
    return is_json || *s == '\0' ? NULL : "items with commas between them";
}

static int parse_path(struct conf_type_value *v, const char *text)
{
    const char *home = getenv("HOME");

    if (text[0] != '~' || (text[1] != '/' && text[1] != '\0') || home == NULL)
        return 0;
    size_t bytes = strlen(home) + strlen(text);
    v->path = mem_alloc(bytes);
    if (v->path == NULL)
        return -1;
    snprintf(v->path, bytes, "%s%s", home, text + 1);
    return 0;
}

const char *conf_type_parse(const struct conf_def *d, struct conf_type_value *v, const char *text,
                               char *room, size_t bytes)
{
    switch (d->type) {
    case CONF_BOOL:
        return parse_bool(text, &v->number) == 0 ? NULL : "true or false";
    case CONF_INT:
    case CONF_NUMBER:
    case CONF_SIZE:
    case CONF_SECONDS: {
        const struct suffix *s = d->type == CONF_SIZE ? SIZES
                                 : d->type == CONF_SECONDS ? TIMES : NONE;
        int bad = parse_number(text, s, &v->number) != 0;
        if (d->type == CONF_SIZE)
            v->number = floor(v->number);
        if (d->type == CONF_INT && !bad)
            bad = v->number != floor(v->number);
        if (!bad && v->number >= d->min && v->number <= d->max)
            return NULL;
        const char *what = d->type == CONF_INT ? "a whole number"
                           : d->type == CONF_NUMBER ? "a number"
                           : d->type == CONF_SIZE ? "bytes such as 4096, 64KiB, 10MiB"
                                                  : "a time such as 30, 250ms, 5m, 4h";
        snprintf(room, bytes, "%s from %.15g to %.15g%s%s", what, d->min, d->max,
                 d->unit[0] ? " " : "", d->unit);
        return room;
    }
    case CONF_CHOICE:
        if (is_choice(text, d->unit))
            return NULL;
        snprintf(room, bytes, "one of %s", d->unit);
        return room;
    case CONF_LIST:
        return parse_list(v, text);
    case CONF_PATH:
        return parse_path(v, text) == 0 ? NULL : "more memory";
    case CONF_TEXT:
    case CONF_SECRET:
        break;
    }
    return NULL;
}
