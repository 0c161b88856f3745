/*
 * log.h - one event, one line of JSON: time, level, event, then the fields given.
 *
 * A line goes into a buffer and never waits for a disk or a reader. log_flush writes what the sink
 * takes at once; the loop calls it when it has nothing better to do. A sink that does not keep up
 * (a stuck pipe) loses whole lines, never parts, and a later line says how many. Any thread.
 *
 *     LOG(LOG_WARN, "upload refused", LOG_S("file", name), LOG_I("bytes", n));
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_OFF };

enum log_kind { LOG_KIND_TEXT, LOG_KIND_INT, LOG_KIND_NUM, LOG_KIND_BOOL, LOG_KIND_JSON };

struct log_field {
    const char *key;    /* NUL-terminated, used as it is: ASCII without quotes */
    enum log_kind kind;
    const char *text;   /* any bytes; what is not UTF-8 is shown as U+FFFD. NULL: field left out */
    size_t n_bytes;
    int64_t number;
    double real;        /* not finite: null */
};

#define LOG_T(k, p, n) ((struct log_field){ (k), LOG_KIND_TEXT, (p), (n), 0, 0 })
#define LOG_S(k, p) log_text((k), (p))
#define LOG_I(k, i) ((struct log_field){ (k), LOG_KIND_INT, NULL, 0, (int64_t)(i), 0 })
#define LOG_N(k, d) ((struct log_field){ (k), LOG_KIND_NUM, NULL, 0, 0, (d) })
#define LOG_B(k, b) ((struct log_field){ (k), LOG_KIND_BOOL, NULL, 0, (b) != 0, 0 })
/* Text that is JSON already; put in unchanged. */
#define LOG_J(k, p, n) ((struct log_field){ (k), LOG_KIND_JSON, (p), (n), 0, 0 })

#define LOG(level, event, ...)                                                                    \
    do {                                                                                          \
        if (log_on(level)) {                                                                      \
            const struct log_field log_f_[] = { __VA_ARGS__ };                                    \
            log_event((level), (event), log_f_, sizeof log_f_ / sizeof *log_f_);                  \
        }                                                                                         \
    } while (0)

struct log_field log_text(const char *key, const char *text);

/*
 * Where lines go: a file that is appended to, or NULL for standard error (also before the first
 * call). May be called again, to let go of a rotated file. -1 `io`, the old sink stays.
 */
int log_open(const char *path, struct err *e);

/* Lines below `level` are not made. At start: LOG_INFO. */
void log_set_level(enum log_level level);
int log_on(enum log_level level);

/* The level of a name ("debug" … "error", "off"), or -1. */
int log_level_of(const char *name);
const char *log_level_name(enum log_level level);

/* Adds one line. Fields beyond what fits in LOG_LINE_MAX are left out, and "cut":true says so. */
#define LOG_LINE_MAX 16384
void log_event(enum log_level level, const char *event, const struct log_field *f, size_t n);

/*
 * For who writes lines by the hundred thousand: log_begin gives room for `bytes` (at most
 * LOG_LINE_MAX) or NULL when the buffer is full (then the line counts as lost and log_end must not
 * be called). The caller puts a whole line there with its line feed; log_end says how long it is.
 * The log is locked between the two.
 */
char *log_begin(size_t bytes);
void log_end(size_t bytes);

/* Writes "2026-01-31T12:00:00.123Z" of this moment, 24 bytes, no NUL. Cached for a millisecond. */
void log_stamp(char to[24]);

/* Writes `text` as the inside of a JSON string. At most 6 * n bytes; returns how many. */
size_t log_escape(char *to, const char *text, size_t n);

/* Hands the buffered lines to the sink as far as it takes them without waiting. */
void log_flush(void);

/* At the end of the process: writes the rest, waiting at most a second; then closes the file. */
void log_close(void);

/* Lines lost since the start. */
uint64_t log_lost(void);

#endif
