/*
 * model_file.c - named sections with checksums. See model_file.h.
 */
#include "model/model_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define MAGIC "PLASTMDL"
#define HEAD_BYTES 32
#define ENTRY_BYTES 48
#define ALIGN 64

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get64(const uint8_t *p)
{
    return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static void put64(uint8_t *p, uint64_t v)
{
    put32(p, (uint32_t)v);
    put32(p + 4, (uint32_t)(v >> 32));
}

static uint32_t checksum(const void *data, size_t bytes)
{
    return (uint32_t)crc32_z(0, data, bytes);
}

/* One entry of the table; `end` is where the section before it ended. */
static int parse_entry(struct model_section *s, const uint8_t *p, const uint8_t *data,
                       uint64_t bytes, uint64_t *end, struct err *e)
{
    uint64_t at = get64(p + MODEL_FILE_NAME), n = get64(p + MODEL_FILE_NAME + 8);

    memcpy(s->name, p, MODEL_FILE_NAME);
    if (s->name[0] == '\0' || s->name[MODEL_FILE_NAME - 1] != '\0')
        return err_set(e, ERR_CORRUPT, "model file: a section without a name");
    if (at % ALIGN != 0 || at < *end || at > bytes || n > bytes - at || at - *end >= ALIGN)
        return err_set(e, ERR_CORRUPT, "model file: section \"%s\" lies outside the file",
                       s->name);
    if (checksum(data + at, (size_t)n) != get32(p + MODEL_FILE_NAME + 16))
        return err_set(e, ERR_CORRUPT, "model file: section \"%s\" is damaged", s->name);
    s->data = data + at;
    s->bytes = (size_t)n;
    *end = at + n;
    return 0;
}

int model_file_parse(struct model_file *f, const uint8_t *data, size_t bytes, struct err *e)
{
    memset(f, 0, sizeof *f);
    if (bytes < HEAD_BYTES || memcmp(data, MAGIC, 8) != 0)
        return err_set(e, ERR_CORRUPT, "not a model file");
    uint32_t version = get32(data + 8), n = get32(data + 12);
    if (version > MODEL_FILE_VERSION)
        return err_set(e, ERR_UNSUPPORTED, "model file of version %u, this program reads up to %d",
                       version, MODEL_FILE_VERSION);
    if (version == 0 || n > MODEL_FILE_SECTIONS)
        return err_set(e, ERR_CORRUPT, "model file: version %u, %u sections", version, n);
    if (get64(data + 16) != bytes)
        return err_set(e, ERR_CORRUPT, "model file: %zu bytes of %llu", bytes,
                       (unsigned long long)get64(data + 16));
    uint64_t end = HEAD_BYTES + (uint64_t)n * ENTRY_BYTES;
    if (end > bytes || checksum(data + HEAD_BYTES, n * ENTRY_BYTES) != get32(data + 24))
        return err_set(e, ERR_CORRUPT, "model file: the table of sections is damaged");
    for (uint32_t i = 0; i < n; i++)
        if (parse_entry(&f->sections[i], data + HEAD_BYTES + i * ENTRY_BYTES, data, bytes, &end,
                        e) != 0)
            return -1;
    if (end != bytes)
        return err_set(e, ERR_CORRUPT, "model file: bytes behind the last section");
    f->n = (int)n;
    return 0;
}

int model_file_open(struct model_file *f, const char *path, struct err *e)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc = -1;
    void *map;

    memset(f, 0, sizeof *f);
    if (fd < 0)
        return err_errno(e, errno, "%s", path);
    if (fstat(fd, &st) != 0) {
        err_errno(e, errno, "%s", path);
        goto done;
    }
    if (!S_ISREG(st.st_mode) || st.st_size < HEAD_BYTES) {
        err_set(e, ERR_CORRUPT, "%s is not a model file", path);
        goto done;
    }
    map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) {
        err_errno(e, errno, "%s", path);
        goto done;
    }
    rc = model_file_parse(f, map, (size_t)st.st_size, e);
    f->map = map;
    f->map_bytes = (size_t)st.st_size;
    if (rc != 0) {
        err_wrap(e, "%s", path);
        model_file_close(f);
    }
done:
    close(fd);
    return rc;
}

void model_file_close(struct model_file *f)
{
    if (f->map != NULL)
        munmap(f->map, f->map_bytes);
    f->map = NULL;
    f->n = 0;
}

const struct model_section *model_file_find(const struct model_file *f, const char *name)
{
    for (int i = 0; i < f->n; i++)
        if (strcmp(f->sections[i].name, name) == 0)
            return &f->sections[i];
    return NULL;
}

static int write_all(FILE *out, const uint8_t *head, size_t head_bytes,
                     const struct model_section *s, int n)
{
    static const uint8_t zero[ALIGN];
    size_t at = head_bytes;

    if (fwrite(head, 1, head_bytes, out) != head_bytes)
        return -1;
    for (int i = 0; i < n; i++) {
        size_t gap = (ALIGN - at % ALIGN) % ALIGN;
        if (fwrite(zero, 1, gap, out) != gap ||
            (s[i].bytes > 0 && fwrite(s[i].data, 1, s[i].bytes, out) != s[i].bytes))
            return -1;
        at += gap + s[i].bytes;
    }
    return fflush(out) == 0 && fsync(fileno(out)) == 0 ? 0 : -1;
}

int model_file_save(const char *path, const struct model_section *sections, int n, struct err *e)
{
    uint8_t head[HEAD_BYTES + ENTRY_BYTES * MODEL_FILE_SECTIONS] = {0};
    size_t head_bytes = HEAD_BYTES + (size_t)n * ENTRY_BYTES, at = head_bytes;
    char aside[4096];
    FILE *out;

    if (n < 0 || n > MODEL_FILE_SECTIONS)
        return err_set(e, ERR_LIMIT, "%d sections: at most %d", n, MODEL_FILE_SECTIONS);
    if (snprintf(aside, sizeof aside, "%s.part", path) >= (int)sizeof aside)
        return err_set(e, ERR_INVALID, "a path of %zu bytes", strlen(path));
    for (int i = 0; i < n; i++) {
        uint8_t *p = head + HEAD_BYTES + i * ENTRY_BYTES;
        at = (at + ALIGN - 1) / ALIGN * ALIGN;
        memcpy(p, sections[i].name, strnlen(sections[i].name, MODEL_FILE_NAME - 1));
        put64(p + MODEL_FILE_NAME, at);
        put64(p + MODEL_FILE_NAME + 8, sections[i].bytes);
        put32(p + MODEL_FILE_NAME + 16, checksum(sections[i].data, sections[i].bytes));
        at += sections[i].bytes;
    }
    memcpy(head, MAGIC, 8);
    put32(head + 8, MODEL_FILE_VERSION);
    put32(head + 12, (uint32_t)n);
    put64(head + 16, at);
    put32(head + 24, checksum(head + HEAD_BYTES, (size_t)n * ENTRY_BYTES));
    out = fopen(aside, "wb");
    if (out == NULL)
        return err_errno(e, errno, "%s", aside);
    int failed = write_all(out, head, head_bytes, sections, n) != 0, errnum = errno;
    if (fclose(out) != 0 && !failed) {
        failed = 1;
        errnum = errno;
    }
    if (!failed && rename(aside, path) != 0) {
        failed = 1;
        errnum = errno;
    }
    if (failed) {
        unlink(aside);
        return err_errno(e, errnum, "%s", path);
    }
    return 0;
}
