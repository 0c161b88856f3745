/*
 * model_file.h - the file a model is kept in: named sections of bytes, each with its checksum.
 *
 * Layout, little-endian: "PLASTMDL", u32 version, u32 number of sections, u64 bytes of the file,
 * u32 checksum of the table, u32 0; then the table, 48 bytes a section: name (24, zero-filled), u64
 * offset, u64 bytes, u32 checksum, u32 0; then the sections, each from a multiple of 64 on. Data
 * only, never code. A file that is not exactly so is refused (`corrupt`), a later version too
 * (`unsupported`). Checksums are CRC-32 (ISO-HDLC).
 */
#ifndef MODEL_MODEL_FILE_H
#define MODEL_MODEL_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define MODEL_FILE_VERSION 1
#define MODEL_FILE_NAME 24
#define MODEL_FILE_SECTIONS 64

struct model_section {
    char name[MODEL_FILE_NAME];
    const void *data; /* in the mapped file: borrowed from it, 64-byte aligned */
    size_t bytes;
};

struct model_file {
    struct model_section sections[MODEL_FILE_SECTIONS];
    int n;
    void *map; /* NULL when the bytes belong to somebody else */
    size_t map_bytes;
};

/* Reads the table of a file in memory; sections point into `data`. */
int model_file_parse(struct model_file *f, const uint8_t *data, size_t bytes, struct err *e);

/* Maps a file read-only and checks it. close may run twice. */
int model_file_open(struct model_file *f, const char *path, struct err *e);
void model_file_close(struct model_file *f);

/* A section by name, or NULL. */
const struct model_section *model_file_find(const struct model_file *f, const char *name);

/* Writes aside, syncs, renames: the file is there whole or as it was before. */
int model_file_save(const char *path, const struct model_section *sections, int n, struct err *e);

#endif
