/*
 * embed.h - the files inside the binary: lua/, schema/ and workflows/, put there by the build.
 *
 * Names are paths from the top of the source tree, "lua/db.lua". Everything is static. Any thread.
 */
#ifndef BASE_EMBED_H
#define BASE_EMBED_H

#include <stddef.h>

struct embed_file {
    const char *name;
    const char *data; /* followed by a NUL that is not counted */
    size_t bytes;
};

/* NULL when there is no file of that name. */
const struct embed_file *embed_find(const char *name);

/*
 * The files whose names begin with `prefix`, in the order of their names. Pass *at = 0 first; NULL
 * at the end:  for (size_t at = 0; (f = embed_next("schema/sqlite/", &at)) != NULL;)
 */
const struct embed_file *embed_next(const char *prefix, size_t *at);

size_t embed_count(void);

#endif
