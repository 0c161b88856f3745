/*
 * err.c - filling and naming errors. See err.h for the convention.
 */
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ERR_NAME(constant, name) name,
static const char *const NAMES[] = { ERR_CODES(ERR_NAME) };
#undef ERR_NAME

int err_setv(struct err *e, enum err_code code, const char *fmt, va_list ap)
{
    if (e != NULL) {
        e->code = code;
        vsnprintf(e->text, sizeof e->text, fmt, ap);
    }
    return -1;
}

int err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    err_setv(e, code, fmt, ap);
    va_end(ap);
    return -1;
}

static enum err_code code_of_errno(int errnum)
{
    switch (errnum) {
    case ENOENT:
    case ENOTDIR:
        return ERR_NOTFOUND;
    case EEXIST:
        return ERR_EXISTS;
    case ENOMEM:
        return ERR_NOMEM;
    case EACCES:
    case EPERM:
        return ERR_AUTH;
    case ENOSPC:
    case EDQUOT:
        return ERR_FULL;
    case EAGAIN:
    case EBUSY:
        return ERR_BUSY;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    case ECANCELED:
        return ERR_CANCELLED;
    case EFBIG:
    case EMFILE:
    case ENFILE:
        return ERR_LIMIT;
    default:
        return ERR_IO;
    }
}

int err_errno(struct err *e, int errnum, const char *what, ...)
{
    char text[ERR_TEXT_MAX], reason[128];
    va_list ap;

    va_start(ap, what);
    vsnprintf(text, sizeof text, what, ap);
    va_end(ap);
    /* the GNU strerror_r: the answer may or may not be in `reason` */
    const char *why = strerror_r(errnum, reason, sizeof reason);
    return err_set(e, code_of_errno(errnum), "%.380s: %.120s", text, why);
}

int err_wrap(struct err *e, const char *fmt, ...)
{
    char prefix[ERR_TEXT_MAX], old[ERR_TEXT_MAX];
    va_list ap;

    if (e == NULL)
        return -1;
    va_start(ap, fmt);
    vsnprintf(prefix, sizeof prefix, fmt, ap);
    va_end(ap);
    memcpy(old, e->text, sizeof old);
    return err_set(e, e->code, "%.200s: %.300s", prefix, old);
}

const char *err_name(enum err_code code)
{
    return (unsigned)code < ERR_COUNT ? NAMES[code] : "unknown";
}

enum err_code err_code_of(const char *name)
{
    for (unsigned i = 0; i < ERR_COUNT; i++)
        if (strcmp(NAMES[i], name) == 0)
            return (enum err_code)i;
    return ERR_NONE;
}
