/*
 * boot.h - what every process does first and last: settings, log, loop, VM; and running the Lua
 * module that is its main.
 */
#ifndef ROLE_BOOT_H
#define ROLE_BOOT_H

#include <uv.h>

#include "base/err.h"
#include "loop/loop.h"
#include "loop/pool.h"
#include "script/host.h"

struct boot {
    struct loop loop;
    uv_prepare_t flush; /* hands the log to its sink before the loop sleeps */
    struct host *host;
    struct pool *pool;
    int has_loop;
    int use_fd; /* of datadir_use; 0 = none: it is never the standard input */
    int code;  /* exit code, once main has ended */
    int ended;
};

/*
 * Reads all settings: `--name value` and `--name=value` are taken out of argv (short forms: --port,
 * --host, --data, --workflows, --config, --workers, --web); what is left stays, in order. Opens the
 * log. -1 with the setting, what was found, what was expected.
 */
int boot_settings(int *argc, char **argv, struct err *e);

/* Loop, VM with every module, compute pool, control channel. boot_close also after a failure. */
int boot_open(struct boot *b, struct err *e);

/* Makes the data folder and opens the main database in it (db.main() of scripts). */
int boot_database(struct boot *b, struct err *e);

/*
 * Runs require(module).main(args) as one run without budgets and the loop until nothing is left.
 * A whole number it returns is the exit code; an error is printed with its code: 1.
 */
int boot_main(struct boot *b, const char *module, int argc, char **argv);

/* Cancels runs, drains the loop, closes VM and loop. The exit code: b->code, or 1. */
int boot_close(struct boot *b);

#endif
