/*
 * conf.c - reading, checking and showing the settings. See conf.h; the table is conf_list.c.
 *
 * Start at conf_load; every source ends in value_set, which alone checks and stores.
 */
#include "base/conf.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/conf_list.h"
#include "base/conf_type.h"
#include "base/mem.h"

#define DEFS_MAX 256
#define FILE_MAX_BYTES ((size_t)1 << 20)
#define VALUE_MAX_BYTES 4096

static struct conf_type_value values[DEFS_MAX];

static int value_set(const struct conf_def *d, const char *text, enum conf_origin origin,
                     const char *where, struct err *e)
{
    struct conf_type_value *old = &values[d - CONF_DEFS], v = { .origin = origin, .is_parsed = 1 };
    char room[256], folded[64];

    if (old->is_parsed && old->origin > origin)
        return 0;
    if (strlen(text) > VALUE_MAX_BYTES)
        return err_set(e, ERR_LIMIT, "%s (%s): a value of %zu bytes; at most %d expected", d->name,
                       where, strlen(text), VALUE_MAX_BYTES);
    if (d->type == CONF_CHOICE) { /* kept in lower case, as the table has it: INFO is info */
        size_t n = 0;
        for (; text[n] && n < sizeof folded - 1; n++)
            folded[n] = (char)tolower((unsigned char)text[n]);
        folded[n] = '\0';
        text = folded;
    }
    const char *expected = conf_type_parse(d, &v, text, room, sizeof room);
    if (expected != NULL) {
        conf_type_free(&v);
        return err_set(e, ERR_INVALID, "%s (%s): found %s%.80s%s; expected %s", d->name, where,
                       d->type == CONF_SECRET ? "" : "\"", d->type == CONF_SECRET ? "***" : text,
                       d->type == CONF_SECRET ? "" : "\"", expected);
    }
    v.text = mem_dup(text);
    v.where = mem_dup(where);
    if (v.text == NULL || v.where == NULL) {
        conf_type_free(&v);
        return err_set(e, ERR_NOMEM, "no memory for the settings");
    }
    conf_type_free(old);
    *old = v;
    return 0;
}

/* The value of d, with its default read on first use. */
static const struct conf_type_value *value_of(const struct conf_def *d)
{
    struct conf_type_value *v = &values[d - CONF_DEFS];
    char room[256];

    if (!v->is_parsed) {
        const char *wrong = conf_type_parse(d, v, d->fallback, room, sizeof room);
        assert(wrong == NULL && "a default that its own setting refuses");
        (void)wrong;
        v->is_parsed = 1;
    }
    return v;
}

/* ---- names ---- */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Edits that turn a into b (Levenshtein). Long names count as far away. */
static size_t distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b), row[64];

    if (n > 63 || m > 63)
        return 64;
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t swap = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = least(swap, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[m];
}

static int unknown_name(const char *name, const char *where, struct err *e)
{
    const struct conf_def *near = &CONF_DEFS[0];
    size_t best = SIZE_MAX;

    for (size_t i = 0; i < CONF_DEFS_COUNT; i++) {
        size_t d = distance(name, CONF_DEFS[i].name);
        if (d < best) {
            best = d;
            near = &CONF_DEFS[i];
        }
    }
    return err_set(e, ERR_NOTFOUND, "%s: there is no setting \"%.60s\"; the nearest is \"%s\"", where,
                   name, near->name);
}

const struct conf_def *conf_find(const char *name)
{
    assert(CONF_DEFS_COUNT <= DEFS_MAX);
    for (size_t i = 0; i < CONF_DEFS_COUNT; i++)
        if (strcmp(CONF_DEFS[i].name, name) == 0)
            return &CONF_DEFS[i];
    return NULL;
}

/* The k-th environment name of d, or 0 when there is none. */
static int env_name(const struct conf_def *d, size_t k, char *out, size_t bytes)
{
    const char *s = d->env;

    if (s == NULL) {
        if (k > 0)
            return 0;
        snprintf(out, bytes, "PLASTINKA_%s", d->name);
        for (char *p = out; *p; p++)
            *p = (char)toupper((unsigned char)*p);
        return 1;
    }
    for (; k > 0 && s != NULL; k--)
        s = strchr(s, '|') ? strchr(s, '|') + 1 : NULL;
    if (s == NULL)
        return 0;
    snprintf(out, bytes, "%.*s", (int)strcspn(s, "|"), s);
    return 1;
}

void conf_env_name(const struct conf_def *d, char *out, size_t bytes)
{
    env_name(d, 0, out, bytes);
}

/* ---- sources ---- */

/* Calls set for each `name = value` line. The text is changed in place. */
struct lines {
    const char *label;
    int (*set)(const char *name, char *value, const char *where, struct err *e);
};

/* Cuts blanks and, when it is the whole of the rest, one pair of quotes. NULL when a quote hangs. */
static char *trim_value(char *s)
{
    s += strspn(s, " \t");
    if (*s == '"' || *s == '\'') {
        char *end = strchr(s + 1, *s);
        if (end == NULL)
            return NULL;
        char *rest = end + 1 + strspn(end + 1, " \t");
        if (*rest != '\0' && *rest != '#')
            return NULL;
        *end = '\0';
        return s + 1;
    }
    for (char *p = s; *p; p++) { /* a comment needs a blank before it: passwords have # inside */
        if (*p == '#' && (p == s || p[-1] == ' ' || p[-1] == '\t')) {
            *p = '\0';
            break;
        }
    }
    size_t n = strlen(s);
    while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t'))
        s[--n] = '\0';
    return s;
}

static int line_read(const struct lines *ls, char *line, int number, struct err *e)
{
    char where[320];

    snprintf(where, sizeof where, "%.256s:%d", ls->label, number);
    char *name = line + strspn(line, " \t");
    if (*name == '\0' || *name == '#')
        return 0;
    if (strncmp(name, "export ", 7) == 0)
        name += 7 + strspn(name + 7, " \t");
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.");
    char *eq = name + n + strspn(name + n, " \t");
    if (n == 0 || *eq != '=')
        return err_set(e, ERR_PARSE, "%s: found \"%.60s\"; expected name = value", where, name);
    char *value = trim_value(eq + 1);
    if (value == NULL)
        return err_set(e, ERR_PARSE, "%s: the quotes of %.*s do not match", where, (int)n, name);
    name[n] = '\0';
    return ls->set(name, value, where, e);
}

static int lines_read(const struct lines *ls, const char *text, size_t bytes, struct err *e)
{
    int rc = -1, number = 1;

    if (bytes > FILE_MAX_BYTES)
        return err_set(e, ERR_LIMIT, "%s: %zu bytes; at most %zu expected", ls->label, bytes,
                       FILE_MAX_BYTES);
    if (memchr(text, '\0', bytes) != NULL)
        return err_set(e, ERR_PARSE, "%s: has a zero byte; a text file is expected", ls->label);
    char *copy = mem_alloc(bytes + 1), *line = copy;
    if (copy == NULL)
        return err_set(e, ERR_NOMEM, "no memory for %s", ls->label);
    memcpy(copy, text, bytes);
    copy[bytes] = '\0';
    if (strncmp(line, "\xEF\xBB\xBF", 3) == 0)
        line += 3;
    while (line != NULL) {
        char *next = strchr(line, '\n');
        if (next != NULL) {
            if (next > line && next[-1] == '\r')
                next[-1] = '\0';
            *next++ = '\0';
        }
        if (line_read(ls, line, number++, e) != 0)
            goto done;
        line = next;
    }
    rc = 0;
done:
    mem_free(copy);
    return rc;
}

static int set_from_file(const char *name, char *value, const char *where, struct err *e)
{
    const struct conf_def *d = conf_find(name);

    return d ? value_set(d, value, CONF_FILE, where, e) : unknown_name(name, where, e);
}

/* Sets whatever has `name` as one of its variables, unless an earlier name of it was set. */
static int set_from_env(const char *name, const char *value, enum conf_origin origin,
                        const char *where, struct err *e)
{
    char mine[128];

    if (*value == '\0') /* templates write NAME= */
        return 0;
    for (size_t i = 0; i < CONF_DEFS_COUNT; i++) {
        for (size_t k = 0; env_name(&CONF_DEFS[i], k, mine, sizeof mine); k++)
            if (strcmp(mine, name) == 0 && value_set(&CONF_DEFS[i], value, origin, where, e) != 0)
                return -1;
    }
    return 0;
}

static int set_from_dotenv(const char *name, char *value, const char *where, struct err *e)
{
    char both[400];

    snprintf(both, sizeof both, "%.320s %.64s", where, name);
    return set_from_env(name, value, CONF_DOTENV, both, e);
}

int conf_parse(const char *text, size_t bytes, const char *label, struct err *e)
{
    struct lines ls = { label, set_from_file };

    return lines_read(&ls, text, bytes, e);
}

int conf_parse_env(const char *text, size_t bytes, const char *label, struct err *e)
{
    struct lines ls = { label, set_from_dotenv };

    return lines_read(&ls, text, bytes, e);
}

/* The whole of a small file; the caller frees it. NULL on error; errno is ENOENT when missing. */
static char *file_read(const char *path, size_t *bytes, struct err *e)
{
    struct stat st;
    char *data = NULL;
    ssize_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    *bytes = 0;
    if (fd < 0) {
        int why = errno;
        err_errno(e, why, "settings file %s", path);
        errno = why;
        return NULL;
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > (off_t)FILE_MAX_BYTES) {
        err_set(e, ERR_INVALID, "settings file %s: a plain file of at most %zu bytes expected", path,
                FILE_MAX_BYTES);
        goto done;
    }
    data = mem_alloc((size_t)st.st_size + 1);
    if (data == NULL) {
        err_set(e, ERR_NOMEM, "no memory for %s", path);
        goto done;
    }
    while (*bytes < (size_t)st.st_size &&
           (n = read(fd, data + *bytes, (size_t)st.st_size - *bytes)) > 0)
        *bytes += (size_t)n;
    if (n < 0) {
        err_errno(e, errno, "settings file %s", path);
        mem_free(data);
        data = NULL;
    }
done:
    close(fd);
    errno = 0;
    return data;
}

static int file_load(const char *path, int may_be_missing,
                     int (*parse)(const char *, size_t, const char *, struct err *), struct err *e)
{
    size_t bytes;
    char *text = file_read(path, &bytes, e);

    if (text == NULL)
        return may_be_missing && errno == ENOENT ? 0 : -1;
    int rc = parse(text, bytes, path, e);
    mem_free(text);
    return rc;
}

/* Names are tried in the order of the table, so that the first name of a setting wins. */
static int environ_load(char *const *env, struct err *e)
{
    char name[128];

    for (size_t i = 0; i < CONF_DEFS_COUNT; i++) {
        for (size_t k = 0; env_name(&CONF_DEFS[i], k, name, sizeof name); k++) {
            size_t n = strlen(name);
            char *const *p = env;
            while (*p != NULL && (strncmp(*p, name, n) != 0 || (*p)[n] != '='))
                p++;
            if (*p != NULL && (*p)[n + 1] != '\0') {
                if (value_set(&CONF_DEFS[i], *p + n + 1, CONF_ENV, name, e) != 0)
                    return -1;
                break;
            }
        }
    }
    return 0;
}

int conf_load(const char *file, const char *dotenv, char *const *env, struct err *e)
{
    if (env != NULL && environ_load(env, e) != 0)
        return -1;
    if (dotenv != NULL && file_load(dotenv, 1, conf_parse_env, e) != 0)
        return -1;
    if (file == NULL || *file == '\0')
        file = conf_text("config_file");
    return *file == '\0' ? 0 : file_load(file, 0, conf_parse, e);
}

int conf_flag(const char *name, const char *value, struct err *e)
{
    char plain[64], where[80];
    size_t n = 0;

    for (; name[n] && n < sizeof plain - 1; n++)
        plain[n] = name[n] == '-' ? '_' : name[n];
    plain[n] = '\0';
    snprintf(where, sizeof where, "--%s", name);
    const struct conf_def *d = conf_find(plain);
    return d ? value_set(d, value, CONF_FLAG, where, e) : unknown_name(plain, where, e);
}

void conf_reset(void)
{
    for (size_t i = 0; i < DEFS_MAX; i++)
        conf_type_free(&values[i]);
}

/* ---- asking ---- */

static const struct conf_def *known(const char *name)
{
    const struct conf_def *d = conf_find(name);

    assert(d != NULL && "a setting that is not in the table");
    return d;
}

static double number_of(const char *name, enum conf_type type)
{
    const struct conf_def *d = known(name);

    assert(d->type == type);
    (void)type;
    return value_of(d)->number;
}

int conf_bool(const char *name)
{
    return number_of(name, CONF_BOOL) != 0;
}

int64_t conf_int(const char *name)
{
    return (int64_t)number_of(name, CONF_INT);
}

double conf_number(const char *name)
{
    return number_of(name, CONF_NUMBER);
}

size_t conf_size(const char *name)
{
    return (size_t)number_of(name, CONF_SIZE);
}

double conf_seconds(const char *name)
{
    return number_of(name, CONF_SECONDS);
}

uint64_t conf_ms(const char *name)
{
    return (uint64_t)llround(conf_seconds(name) * 1000);
}

const char *conf_value(const struct conf_def *d)
{
    const struct conf_type_value *v = value_of(d);

    return v->path ? v->path : v->text ? v->text : d->fallback;
}

const char *conf_text(const char *name)
{
    const struct conf_def *d = known(name);

    assert(d->type == CONF_TEXT || d->type == CONF_CHOICE || d->type == CONF_SECRET ||
           d->type == CONF_PATH);
    return conf_value(d);
}

const char *const *conf_list(const char *name, size_t *n)
{
    const struct conf_def *d = known(name);

    assert(d->type == CONF_LIST);
    const struct conf_type_value *v = value_of(d);
    *n = v->n_items;
    return (const char *const *)v->items;
}

size_t conf_count(void)
{
    return CONF_DEFS_COUNT;
}

const struct conf_def *conf_at(size_t i)
{
    assert(i < CONF_DEFS_COUNT);
    return &CONF_DEFS[i];
}

enum conf_origin conf_origin(const struct conf_def *d)
{
    return value_of(d)->origin;
}

const char *conf_where(const struct conf_def *d)
{
    const struct conf_type_value *v = value_of(d);

    return v->where ? v->where : "default";
}

/* ---- showing ---- */

int conf_print(struct buf *out, struct err *e)
{
    size_t wide[3] = { 0 };

    for (size_t i = 0; i < CONF_DEFS_COUNT; i++) {
        const struct conf_def *d = &CONF_DEFS[i];
        size_t n[3] = { strlen(d->name), d->type == CONF_SECRET ? 9 : strlen(conf_value(d)),
                        strlen(conf_where(d)) };
        for (int k = 0; k < 3; k++)
            wide[k] = n[k] > wide[k] ? n[k] : wide[k];
    }
    if (wide[1] > 48)
        wide[1] = 48;
    for (size_t i = 0; i < CONF_DEFS_COUNT; i++) {
        const struct conf_def *d = &CONF_DEFS[i];
        const char *value = conf_value(d);
        if (d->type == CONF_SECRET)
            value = *value ? "********" : "(not set)";
        else if (*value == '\0')
            value = "-";
        const char *unit = d->type == CONF_CHOICE || d->unit[0] ? d->unit : "";
        if (buf_addf(out, e, "%-*s  %-*s  %-*s  %s%s%s%s\n", (int)wide[0], d->name, (int)wide[1],
                     value, (int)wide[2], conf_where(d), d->doc, *unit ? " [" : "", unit,
                     *unit ? "]" : "") != 0)
            return -1;
    }
    return 0;
}

int conf_template(struct buf *out, struct err *e)
{
    char name[128];

    if (buf_adds(out, "# Settings of Plastinka. An empty value is the default, shown in brackets.\n",
                 e) != 0)
        return -1;
    for (size_t i = 0; i < CONF_DEFS_COUNT; i++) {
        const struct conf_def *d = &CONF_DEFS[i];
        env_name(d, 0, name, sizeof name);
        if (buf_addf(out, e, "\n# %s%s%s [%s]\n%s=\n", d->doc, d->unit[0] ? "; " : "", d->unit,
                     d->fallback, name) != 0)
            return -1;
    }
    return 0;
}
