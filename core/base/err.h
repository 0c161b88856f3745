/*
 * err.h - one error: a code to branch on, a message to show.
 *
 * Every C function that can be refused by the world returns -1 and fills `struct err *e`, its last
 * parameter. Messages name the thing, what was found and what was expected.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdarg.h>

/* The one list of codes. X(constant, name as Lua, JSON and logs see it) */
#define ERR_CODES(X)                                                                              \
    X(ERR_NONE, "none")               /* no error */                                              \
    X(ERR_NOMEM, "nomem")             /* memory is short, or its cap is reached */                \
    X(ERR_IO, "io")                   /* file, socket or disk said no */                          \
    X(ERR_BUSY, "busy")               /* held by somebody else; trying again may help */          \
    X(ERR_NOTFOUND, "notfound")       /* there is no such thing */                                \
    X(ERR_EXISTS, "exists")           /* there is one already, or a constraint says so */         \
    X(ERR_TIMEOUT, "timeout")         /* took longer than allowed */                              \
    X(ERR_CANCELLED, "cancelled")     /* somebody asked to stop */                                \
    X(ERR_LIMIT, "limit")             /* larger than allowed */                                   \
    X(ERR_PARSE, "parse")             /* bytes that are not what they should be */                \
    X(ERR_SHAPE, "shape")             /* sizes that do not fit together */                        \
    X(ERR_NAN, "nan")                 /* not a number, or infinite, where neither may be */       \
    X(ERR_AUTH, "auth")               /* not allowed */                                           \
    X(ERR_REMOTE, "remote")           /* another server failed or refused */                      \
    X(ERR_CORRUPT, "corrupt")         /* a file of ours that is damaged */                        \
    X(ERR_INVALID, "invalid")         /* a value outside its range, or of the wrong kind */       \
    X(ERR_UNSUPPORTED, "unsupported") /* understood, but not done here */                         \
    X(ERR_DIVERGED, "diverged")       /* training ran away from its data */                       \
    X(ERR_FULL, "full")               /* no space left on the disk */                             \
    X(ERR_KILLED, "killed")           /* a script over its time budget */

#define ERR_ENUM(constant, name) constant,
enum err_code { ERR_CODES(ERR_ENUM) ERR_COUNT };
#undef ERR_ENUM

#define ERR_TEXT_MAX 512

struct err {
    enum err_code code;
    char text[ERR_TEXT_MAX]; /* NUL-terminated UTF-8; longer messages are cut */
};

/* Fills `e` (NULL is fine: the caller does not care) and returns -1. */
int err_set(struct err *e, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int err_setv(struct err *e, enum err_code code, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

/* Fills `e` from an errno value: "what: reason". Returns -1. */
int err_errno(struct err *e, int errnum, const char *what, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the message of `e`. Returns -1. */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The name of a code, "none" … "killed". Static. */
const char *err_name(enum err_code code);

/* The code of a name; ERR_NONE when there is none of that name. */
enum err_code err_code_of(const char *name);

#endif
