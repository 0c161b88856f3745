/*
 * embed.c - finding files in the table that CMakeLists.txt generates. See embed.h.
 */
#include "base/embed.h"

#include <stdint.h>
#include <string.h>

extern const struct embed_file embedded_files[]; /* sorted by name: CMake sorts what it globs */
extern const uint64_t embedded_count;

size_t embed_count(void)
{
    return (size_t)embedded_count;
}

const struct embed_file *embed_find(const char *name)
{
    size_t low = 0, high = embed_count();

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = strcmp(embedded_files[mid].name, name);
        if (c == 0)
            return &embedded_files[mid];
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

const struct embed_file *embed_next(const char *prefix, size_t *at)
{
    size_t n = strlen(prefix);

    for (; *at < embed_count(); ++*at)
        if (strncmp(embedded_files[*at].name, prefix, n) == 0)
            return &embedded_files[(*at)++];
    return NULL;
}
