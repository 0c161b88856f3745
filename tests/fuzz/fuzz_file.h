/*
 * fuzz_file.h - gives an input to readers that want a path, without touching a disk; reads any table.
 */
#ifndef TESTS_FUZZ_FILE_H
#define TESTS_FUZZ_FILE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zip.h>

#include "sheet/sheet.h"

/* The path of a file in memory with these bytes; one at a time. */
static inline const char *fuzz_file(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static char path[64];

    if (fd < 0) {
        fd = memfd_create("fuzz", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
    return path;
}

/* Reads a table of any kind to its end and checks what readers promise. */
static inline void fuzz_file_read(const char *path)
{
    static const char *const KNOWN[] = { "a", "Цена", NULL };
    struct sheet_options o = { "b", KNOWN, "/dev/shm" };
    struct sheet_trouble t;
    struct sheet *s;
    struct sheet_row row;
    struct err e = { 0 };
    int64_t last = 0;
    int rc;

    sheet_trouble_init(&t);
    rc = sheet_open(&s, path, &o, &t, &e);
    while (rc == 0 || rc == 1) {
        rc = sheet_next_row(s, &row, &t, &e);
        if (rc != 1)
            break;
        if (row.number <= last || row.n_cells == 0)
            abort();
        last = row.number;
        for (uint32_t i = 0; i < row.n_cells; i++) {
            const struct sheet_cell *c = &row.cells[i];
            if (c->column >= SHEET_COLUMNS_MAX || (c->text == NULL) != (c->kind == SHEET_NUMBER))
                abort();
        }
    }
    if (rc < 0 && (t.fault == SHEET_FINE || e.text[0] == '\0'))
        abort();
    sheet_close(s);
    sheet_trouble_deinit(&t);
}

#define FUZZ_RELS "http://schemas.openxmlformats.org/officeDocument/2006/relationships"

/* A workbook whose sheet (or, after '!', shared texts) is this XML. */
static inline void fuzz_file_book(const uint8_t *data, size_t size)
{
    static const char TOP[] = "<Relationships><Relationship Id=\"r\" Type=\"" FUZZ_RELS
                              "/officeDocument\" Target=\"w.xml\"/></Relationships>";
    static const char BOOK[] = "<workbook><sheets><sheet name=\"b\" id=\"1\"/></sheets></workbook>";
    static const char RELS[] = "<Relationships><Relationship Id=\"1\" Type=\"" FUZZ_RELS
                               "/worksheet\" Target=\"s.xml\"/><Relationship Id=\"2\" Type=\"" FUZZ_RELS
                               "/sharedStrings\" Target=\"t.xml\"/><Relationship Id=\"3\" Type=\"" FUZZ_RELS
                               "/styles\" Target=\"y.xml\"/></Relationships>";
    static const char STYLES[] = "<styleSheet><cellXfs><xf numFmtId=\"0\"/><xf numFmtId=\"14\"/></cellXfs>"
                                 "</styleSheet>";
    static const char TEXTS[] = "<sst><si><t>a</t></si><si><r><t>b</t></r></si></sst>";
    static const char SHEET[] = "<worksheet><sheetData><row><c t=\"s\"><v>0</v></c></row></sheetData></worksheet>";
    int is_texts = data[0] == '!';
    const struct { const char *name; const void *p; size_t n; } PARTS[] = {
        { "_rels/.rels", TOP, sizeof TOP - 1 },
        { "w.xml", BOOK, sizeof BOOK - 1 },
        { "_rels/w.xml.rels", RELS, sizeof RELS - 1 },
        { "y.xml", STYLES, sizeof STYLES - 1 },
        { "t.xml", is_texts ? (const void *)(data + 1) : TEXTS, is_texts ? size - 1 : sizeof TEXTS - 1 },
        { "s.xml", is_texts ? (const void *)SHEET : data, is_texts ? sizeof SHEET - 1 : size },
    };
    zip_error_t error;
    zip_source_t *out = zip_source_buffer_create(NULL, 0, 0, &error);
    zip_t *z = out == NULL ? NULL : zip_open_from_source(out, ZIP_TRUNCATE, &error);
    zip_stat_t st;

    if (z == NULL)
        abort();
    zip_source_keep(out);
    for (size_t i = 0; i < sizeof PARTS / sizeof *PARTS; i++) {
        zip_source_t *s = zip_source_buffer(z, PARTS[i].p, PARTS[i].n, 0);
        zip_int64_t at = zip_file_add(z, PARTS[i].name, s, 0);
        if (at < 0 || zip_set_file_compression(z, (zip_uint64_t)at, ZIP_CM_STORE, 0) != 0)
            abort();
    }
    if (zip_close(z) != 0 || zip_source_stat(out, &st) != 0 || zip_source_open(out) != 0)
        abort();
    uint8_t *bytes = malloc(st.size);
    if (bytes == NULL || zip_source_read(out, bytes, st.size) != (zip_int64_t)st.size)
        abort();
    zip_source_close(out);
    zip_source_free(out);
    fuzz_file_read(fuzz_file(bytes, st.size));
    free(bytes);
}

#endif
