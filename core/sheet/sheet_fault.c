/*
 * sheet_fault.c - see sheet_fault.h.
 */
#include "sheet/sheet_fault.h"

#include <errno.h>

enum sheet_fault sheet_fault_of(enum err_code code)
{
    switch (code) {
    case ERR_NONE: return SHEET_FINE;
    case ERR_UNSUPPORTED: return SHEET_UNSUPPORTED;
    case ERR_PARSE: return SHEET_CORRUPT;
    case ERR_LIMIT: return SHEET_TOO_LARGE;
    default: return SHEET_SYSTEM;
    }
}

int sheet_fault_errno(struct err *e, int errnum, const char *path)
{
    err_errno(e, errnum, "%s", path);
    if (errnum == EMFILE || errnum == ENFILE)
        e->code = ERR_BUSY;
    return -1;
}

const char *sheet_fault_name(enum sheet_fault fault)
{
#define SHEET_FAULT_NAME(constant, name) [constant] = name,
    static const char *const NAMES[] = { SHEET_FAULTS(SHEET_FAULT_NAME) };

    return fault < SHEET_FAULT_COUNT ? NAMES[fault] : "none";
}
