/*
 * db_migrate.h - brings a database to the schema this program was built with.
 *
 * Steps are numbered 1, 2, 3 … and only go forward. Each runs in one transaction together with its
 * number (PRAGMA user_version) and its checksum (table schema_steps), so a crash leaves the step
 * done or not begun, and two programs that start at once cannot both do it. Blocks: for program
 * start, or a thread.
 */
#ifndef DB_MIGRATE_H
#define DB_MIGRATE_H

#include <stddef.h>

#include "base/embed.h"
#include "base/err.h"
#include "db/db_conn.h"

struct db_migration {
    int number;
    const char *name; /* NNNN_what.sql; borrowed */
    const char *sql;
    size_t bytes;
};

#define DB_MIGRATIONS_MAX 1000

/*
 * The steps out of files named NNNN_what.sql, in order. Returns how many, or -1 with `invalid`: a
 * name without a number, a number twice, a gap.
 */
int db_migrate_list(struct db_migration *steps, int cap, const struct embed_file *files, size_t n,
                    struct err *e);

/* The same out of the files of this program below `folder`, "schema/sqlite/". */
int db_migrate_embedded(struct db_migration *steps, int cap, const char *folder, struct err *e);

/*
 * Applies what is missing. from and to (NULL is fine) are the numbers before and after.
 * `unsupported`: the database is newer than this program. `corrupt`: a step that was applied has
 * been edited since. Anything else: the step's own error, and the database is as before that step.
 */
int db_migrate(struct db_conn *c, const struct db_migration *steps, int n_steps, int *from, int *to,
               struct err *e);

/* The number of a database, without changing it. */
int db_migrate_version(struct db_conn *c, int *number, struct err *e);

#endif
