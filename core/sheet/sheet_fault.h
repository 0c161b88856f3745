/*
 * sheet_fault.h - what is wrong with a table file, as a word that programs can branch on.
 *
 * `struct err` says it to people and has the codes of the whole program; a file given by a user can
 * be wrong in ways those codes do not tell apart. Whoever reads a file fills both.
 */
#ifndef SHEET_FAULT_H
#define SHEET_FAULT_H

#include "base/err.h"

#define SHEET_FAULTS(X)                                                                           \
    X(SHEET_FINE, "none")                                                                         \
    X(SHEET_UNSUPPORTED, "unsupported_format") /* a known kind of file that is not read */        \
    X(SHEET_CORRUPT, "corrupt_file")           /* cut short, damaged, not what it says it is */   \
    X(SHEET_TOO_LARGE, "file_too_large")       /* unpacks to more than is allowed */              \
    X(SHEET_SEVERAL, "several_sheets")         /* more than one sheet has data, none chosen */    \
    X(SHEET_MISSING, "missing_columns")        /* required columns not found */                   \
    X(SHEET_DUPLICATE, "duplicate_columns")    /* two columns for one thing */                    \
    X(SHEET_EMPTY, "empty_file")               /* no row of data */                               \
    X(SHEET_SYSTEM, "system")                  /* not the file: memory, disk, database, stopped */

#define SHEET_FAULT_ENUM(constant, name) constant,
enum sheet_fault { SHEET_FAULTS(SHEET_FAULT_ENUM) SHEET_FAULT_COUNT };
#undef SHEET_FAULT_ENUM

/* The fault that an error code means when it comes out of reading a file. */
enum sheet_fault sheet_fault_of(enum err_code code);

/* As err_errno, but too many open files are no matter of this file's size. Returns -1. */
int sheet_fault_errno(struct err *e, int errnum, const char *path);

/* "corrupt_file", …; static. */
const char *sheet_fault_name(enum sheet_fault fault);

#endif
