/*
 * conf.h - the settings of this process: one table, five sources.
 *
 * defaults < configuration file < .env file < environment < flags. A later source wins and is
 * remembered as the origin of the value. What may be set stands in conf_list.c, a line each.
 *
 * Values are written once, by the main thread before any other starts; after that every thread may
 * read. Texts handed out are borrowed and live until conf_reset. Asking for a name that is not in
 * the table, or as another type, is a bug of ours and fails an assert.
 */
#ifndef BASE_CONF_H
#define BASE_CONF_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum conf_type {
    CONF_BOOL,    /* true false yes no on off 1 0 */
    CONF_INT,     /* whole number */
    CONF_NUMBER,  /* any finite number */
    CONF_SIZE,    /* bytes: 4096, 64KiB, 10M, 1.5GiB (1024 each; kB MB GB are 1000 each) */
    CONF_SECONDS, /* 300, 0.5, 250ms, 90s, 5m, 4h, 7d */
    CONF_TEXT,
    CONF_CHOICE, /* one of the words in `unit` */
    CONF_SECRET, /* a text that is never printed */
    CONF_LIST,   /* a, b, c or ["a", "b", "c"] */
    CONF_PATH    /* ~/ at the front is the home directory */
};

enum conf_origin { CONF_DEFAULT, CONF_FILE, CONF_DOTENV, CONF_ENV, CONF_FLAG };

struct conf_def {
    const char *name;     /* snake_case; the part before the first _ is its section */
    const char *env;      /* environment variable, NAME or NAME|OTHER_NAME; the first set one wins */
    enum conf_type type;
    const char *unit;     /* shown to people; for CONF_CHOICE the words, with | between */
    double min, max;      /* numbers: allowed range, both ends included, in the unit of the type */
    const char *fallback; /* default, in the form a file would have it */
    const char *doc;      /* one line */
};

/*
 * Reads every source but the flags. `file` is the configuration file or NULL for the one named by
 * CONFIG_FILE_PATH (none is fine then); `dotenv` a file of NAME=value lines that may be missing;
 * `env` an environment as in environ(7). The first thing wrong is the error, and says which
 * setting, what was found, what was expected and where. Unknown names are errors in the file, and
 * are somebody else's business in the environment.
 */
int conf_load(const char *file, const char *dotenv, char *const *env, struct err *e);

/* One flag: "http-port" or "http_port" and its value. May come before or after conf_load. */
int conf_flag(const char *name, const char *value, struct err *e);

/* The text of a configuration file: `name = value` lines, # comments. `label` names it in errors. */
int conf_parse(const char *text, size_t bytes, const char *label, struct err *e);

/* The text of a .env file: NAME=value, `export` and quotes allowed; unknown names are passed by. */
int conf_parse_env(const char *text, size_t bytes, const char *label, struct err *e);

/* Back to the defaults; frees everything. */
void conf_reset(void);

int conf_bool(const char *name);
int64_t conf_int(const char *name);
double conf_number(const char *name);
size_t conf_size(const char *name);
double conf_seconds(const char *name);
uint64_t conf_ms(const char *name); /* a CONF_SECONDS setting in milliseconds */
const char *conf_text(const char *name); /* TEXT, CHOICE, SECRET, PATH; "" when not set */
const char *const *conf_list(const char *name, size_t *n);

/* The table, for those who show it. conf_at(i) for i < conf_count(); conf_find: NULL when unknown. */
size_t conf_count(void);
const struct conf_def *conf_at(size_t i);
const struct conf_def *conf_find(const char *name);
const char *conf_value(const struct conf_def *d);         /* as text; secrets in clear */
enum conf_origin conf_origin(const struct conf_def *d);
const char *conf_where(const struct conf_def *d);         /* "default", "file.conf:3", "API_PORT" … */

/* The environment variable of a setting (its first name) into `out`. */
void conf_env_name(const struct conf_def *d, char *out, size_t bytes);

/* A table for people: name, value, origin, meaning. Secrets are masked. */
int conf_print(struct buf *out, struct err *e);

/* A commented .env template of every setting. */
int conf_template(struct buf *out, struct err *e);

#endif
