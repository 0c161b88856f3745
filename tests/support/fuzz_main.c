/*
 * fuzz_main.c - runs a fuzz target without libFuzzer: every file of the corpus folder, every prefix
 * of it, then a fixed number of seeded mutations. A smoke test; the fuzz preset does the real work.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILE_MAX_BYTES (1 << 20)
#define MUTATIONS 2000
#define PREFIXES 512

static uint64_t state = 0x9e3779b97f4a7c15u;

static uint32_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32);
}

/* The block is exactly as long as its content, so that a read past the end is seen. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void mutate(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + 64);

    memcpy(copy, data, size);
    for (uint32_t n = 1 + next() % 8; n > 0; n--) {
        size_t at = size ? next() % size : 0;
        switch (next() % 4) {
        case 0:
            if (size)
                copy[at] = (uint8_t)next();
            break;
        case 1:
            if (size)
                copy[at] ^= (uint8_t)(1u << (next() % 8));
            break;
        case 2: /* cut out */
            if (size > 1) {
                memmove(copy + at, copy + at + 1, size - at - 1);
                size--;
            }
            break;
        default: /* put in, at most 8 in all */
            memmove(copy + at + 1, copy + at, size - at);
            copy[at] = (uint8_t)next();
            size++;
        }
    }
    run(copy, size);
    free(copy);
}

int main(int argc, char **argv)
{
    static uint8_t data[FILE_MAX_BYTES];
    int n_files = 0, n_runs = 0;
    DIR *dir = argc > 1 ? opendir(argv[1]) : NULL;

    if (dir == NULL) {
        fprintf(stderr, "corpus folder %s cannot be read\n", argc > 1 ? argv[1] : "(none given)");
        return 1;
    }
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        char path[4096];
        if (d->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", argv[1], d->d_name);
        FILE *f = fopen(path, "rb");
        if (f == NULL)
            return 1;
        size_t size = fread(data, 1, sizeof data, f);
        fclose(f);
        run(data, size);
        size_t step = size / PREFIXES + 1;
        for (size_t n = 0; n < size; n += step, n_runs++)
            run(data, n);
        int rounds = size > 100000 ? MUTATIONS / 20 : size > 10000 ? MUTATIONS / 4 : MUTATIONS;
        for (int i = 0; i < rounds; i++, n_runs++)
            mutate(data, size);
        n_files++;
    }
    closedir(dir);
    run(data, 0);
    printf("%d corpus files, %d runs\n", n_files, n_runs);
    return n_files == 0;
}
